#include "demur/client/ranker.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace demur::client {
namespace {

constexpr std::string_view kFactorTable = "item";  // d factors, then the bias

bool Better(const Ranked& a, const Ranked& b) {
  return a.score != b.score ? a.score > b.score : a.item < b.item;
}

}  // namespace

std::uint32_t CatalogueSize(const model::Schema& schema) {
  std::uint32_t rows = 0;
  for (const auto& table : schema.tables) rows = std::max(rows, table.rows);
  return rows;
}

Result<Ranker> Ranker::Create(const learning::LocalStep& step, const model::SharedModel& model,
                              const model::PrivateState& state, learning::Suppression suppression) {
  Ranker ranker(std::move(suppression));
  const std::uint32_t items = CatalogueSize(model.schema());
  ranker.scores_.resize(items);
  DEMUR_RETURN_IF_ERROR(step.Score(model, state, ranker.scores_));
  if (const auto table = model.schema().TableIndex(kFactorTable); table) {
    const auto values = model.values(*table);
    ranker.vectors_.assign(values.begin(), values.end());
    ranker.stride_ = model.schema().tables[*table].cols;
    ranker.dim_ = ranker.stride_ - 1;
    if (state.values.size() >= ranker.dim_) {
      ranker.user_.assign(state.values.begin(),
                          state.values.begin() + static_cast<std::ptrdiff_t>(ranker.dim_));
    }
  } else {
    // Without factors nothing resembles anything; rejected items themselves still go.
    ranker.vectors_.assign(items, 0.0F);
    ranker.stride_ = 1;
    ranker.dim_ = 0;
  }
  return ranker;
}

learning::ItemVectors Ranker::Vectors() const {
  return {vectors_, stride_, dim_ == 0 ? std::uint32_t{1} : dim_};
}

Ranker::List Ranker::Catalogue() const {
  List out;
  out.reserve(scores_.size());
  for (std::uint32_t i = 0; i < scores_.size(); ++i) out.push_back({i, scores_[i]});
  return out;
}

Result<Ranker::List> Ranker::Candidates(std::span<const ItemId> items) const {
  List out;
  out.reserve(items.size());
  for (const ItemId item : items) {
    if (item.value >= scores_.size()) {
      return Error(ErrorCode::kInvalidArgument, "a candidate is not in the catalogue");
    }
    out.push_back({item.value, scores_[item.value]});
  }
  return out;
}

Result<std::vector<Ranked>> Ranker::Rank(std::size_t k) const { return Best(Catalogue(), k); }

Result<std::vector<Ranked>> Ranker::Rank(std::span<const ItemId> candidates, std::size_t k) const {
  DEMUR_TRY(List list, Candidates(candidates));
  return Best(std::move(list), k);
}

Result<std::vector<Ranked>> Ranker::Best(List list, std::size_t k) const {
  if (list.empty()) return std::vector<Ranked>();
  DEMUR_RETURN_IF_ERROR(suppression_.Apply(Vectors(), &list));
  std::vector<Ranked> out;
  out.reserve(list.size());
  for (const auto& candidate : list) out.push_back({ItemId(candidate.item), candidate.score});
  const std::size_t kept = std::min(k, out.size());
  std::partial_sort(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(kept), out.end(),
                    Better);
  out.resize(kept);
  return out;
}

Result<Explanation> Ranker::Explain(ItemId item) const { return ExplainIn(Catalogue(), item); }

Result<Explanation> Ranker::Explain(ItemId item, std::span<const ItemId> candidates) const {
  DEMUR_TRY(List list, Candidates(candidates));
  return ExplainIn(std::move(list), item);
}

Result<Explanation> Ranker::ExplainIn(List list, ItemId item) const {
  const auto is_item = [item](const learning::Candidate& c) { return c.item == item.value; };
  if (std::find_if(list.begin(), list.end(), is_item) == list.end()) {
    return Error(ErrorCode::kInvalidArgument, "the item is not a candidate");
  }
  DEMUR_RETURN_IF_ERROR(suppression_.Apply(Vectors(), &list));
  Explanation out;
  const double base = scores_[item.value];
  out.score = base;
  if (const auto it = std::find_if(list.begin(), list.end(), is_item); it == list.end()) {
    out.hidden = true;
  } else {
    out.score = it->score;
    out.suppression = base - out.score;
  }
  if (dim_ > 0) {
    const float* row = vectors_.data() + std::size_t{item.value} * stride_;
    out.item_bias = row[dim_];
    for (std::size_t i = 0; i < user_.size(); ++i) {
      out.affinity += double{row[i]} * double{user_[i]};
    }
  }
  // What is left of the score belongs to the owner alone.
  out.user_bias = base - out.item_bias - out.affinity;
  return out;
}

}  // namespace demur::client
