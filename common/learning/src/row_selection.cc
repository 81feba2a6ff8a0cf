#include "demur/learning/row_selection.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "demur/learning/initialise.h"
#include "demur/learning/row_buckets.h"

namespace demur::learning {
namespace {

Error Bad(const char* what) { return Error(ErrorCode::kInvalidArgument, what); }

Status CheckRule(const RowRule& rule) {
  if (rule.items == 0 || rule.cap == 0 || rule.cap > rule.items) {
    return Bad("row selection: cap must be 1 to the number of items");
  }
  return {};
}

// The `cap` rows of `rows` with the largest values, of equal ones the smaller row; ascending.
std::vector<std::uint32_t> Largest(std::vector<std::uint32_t> rows, std::uint32_t cap,
                                   const std::vector<double>& value) {
  if (rows.size() > cap) {
    std::nth_element(rows.begin(), rows.begin() + cap, rows.end(),
                     [&value](std::uint32_t a, std::uint32_t b) {
                       return value[a] != value[b] ? value[a] > value[b] : a < b;
                     });
    rows.resize(cap);
    std::sort(rows.begin(), rows.end());
  }
  return rows;
}

Status CheckScores(const RowScores& scores, const RowRule& rule) {
  if (scores.empty()) return {};
  if (scores.reward.size() != rule.items || scores.count.size() != rule.items) {
    return Bad("row selection: scores of another catalogue");
  }
  return {};
}

}  // namespace

Result<std::vector<std::uint32_t>> RowsByCounts(const model::MeanUpdate& counts,
                                                const RowRule& rule) {
  DEMUR_RETURN_IF_ERROR(CheckRule(rule));
  if (counts.values.size() != NumBuckets(rule.items)) {
    return Bad("row selection: counts of another catalogue");
  }
  std::vector<std::uint32_t> rows;
  std::vector<double> value(rule.items);
  for (std::uint32_t row = 0; row < rule.items; ++row) {
    value[row] = counts.values[RowBucket(row, rule.items)];
    if (value[row] >= rule.count_min) rows.push_back(row);
  }
  if (rows.empty()) {
    return Error(ErrorCode::kFailedPrecondition, "no row was counted often enough");
  }
  return Largest(std::move(rows), rule.cap, value);
}

Result<std::vector<std::uint32_t>> RowsByBandit(const RowScores& scores, const RowRule& rule,
                                                RandomStream& stream) {
  DEMUR_RETURN_IF_ERROR(CheckRule(rule));
  DEMUR_RETURN_IF_ERROR(CheckScores(scores, rule));
  std::vector<float> draws(rule.items);
  DEMUR_RETURN_IF_ERROR(FillGaussianLike(stream, 1.0F, draws));
  std::vector<double> value(rule.items);
  for (std::uint32_t row = 0; row < rule.items; ++row) {
    const double reward = scores.empty() ? 0 : scores.reward[row];
    const double weight = 1 + (scores.empty() ? 0 : scores.count[row]);
    value[row] = (1 + reward) / weight + draws[row] / std::sqrt(weight);
  }
  std::vector<std::uint32_t> rows(rule.items);
  std::iota(rows.begin(), rows.end(), 0U);
  return Largest(std::move(rows), rule.cap, value);
}

Status ScoreRows(const model::MeanUpdate& mean, const model::Layout& layout, const RowRule& rule,
                 RowScores* scores) {
  DEMUR_RETURN_IF_ERROR(CheckRule(rule));
  DEMUR_RETURN_IF_ERROR(CheckScores(*scores, rule));
  if (mean.values.size() != layout.dim()) return Bad("row selection: the mean is of another slice");
  std::vector<double> square(rule.items, 0);
  std::vector<bool> trained(rule.items, false);
  for (std::uint32_t t = 0; t < layout.num_tables(); ++t) {
    const model::TableSpec& table = layout.table(t);
    if (table.rows != rule.items) continue;
    std::size_t at = layout.TableOffset(t);
    for (const std::uint32_t row : layout.Rows(t)) {
      trained[row] = true;
      for (std::uint32_t c = 0; c < table.cols; ++c, ++at) {
        square[row] += mean.values[at] * mean.values[at];
      }
    }
  }
  const double total = std::accumulate(square.begin(), square.end(), 0.0);
  const auto rows = static_cast<double>(std::count(trained.begin(), trained.end(), true));
  scores->reward.resize(rule.items, 0);
  scores->count.resize(rule.items, 0);
  const auto keep = static_cast<float>(rule.keep);
  for (std::uint32_t row = 0; row < rule.items; ++row) {
    scores->reward[row] *= keep;
    scores->count[row] *= keep;
    if (!trained[row]) continue;
    scores->reward[row] += total > 0 ? static_cast<float>(square[row] * rows / total) : 0.0F;
    scores->count[row] += 1.0F;
  }
  return {};
}

}  // namespace demur::learning
