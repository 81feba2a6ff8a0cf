#include "local.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "demur/learning/row_buckets.h"
#include "hyper.h"

namespace demur::row_counts {
namespace {

// The first `count` of a random order of `all`, ascending. kInternal: the stream failed.
Result<std::vector<std::uint32_t>> DrawSome(std::vector<std::uint32_t> all, std::uint32_t count,
                                            RandomStream& stream) {
  learning::WordReader words(stream);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t left = static_cast<std::uint32_t>(all.size()) - i;
    std::swap(all[i], all[i + words.Below(left)]);
  }
  DEMUR_RETURN_IF_ERROR(words.status());
  all.resize(count);
  std::sort(all.begin(), all.end());
  return all;
}

class Local final : public learning::LocalStep {
 public:
  Local(std::uint32_t items, std::uint32_t rows_max) : items_(items), rows_max_(rows_max) {}

  Result<model::PrivateState> Run(const model::SharedModel& /*shared*/,
                                  const model::PrivateState& state, const learning::TrainView& view,
                                  const learning::LocalContext& context,
                                  model::Update* out) const override {
    out->Clear();
    if (view.num_items() != items_) {
      return Error(ErrorCode::kInvalidArgument, "row_counts: another catalogue than the plan");
    }
    if (view.examples().empty()) {
      return Error(ErrorCode::kFailedPrecondition, "row_counts: nothing to train on");
    }
    std::vector<std::uint32_t> buckets;
    buckets.reserve(view.examples().size());
    for (const learning::Example& example : view.examples()) {
      buckets.push_back(learning::RowBucket(example.item, items_));
    }
    std::sort(buckets.begin(), buckets.end());
    buckets.erase(std::unique(buckets.begin(), buckets.end()), buckets.end());
    if (buckets.size() > rows_max_) {
      StreamId id = context.stream;
      id.purpose = Purpose::kSampling;
      DEMUR_TRY(const auto stream, context.random.Stream(id));
      DEMUR_TRY(buckets, DrawSome(std::move(buckets), rows_max_, *stream));
    }
    for (const std::uint32_t bucket : buckets) out->AddRow(0, bucket, 1)[0] = 1.0F;
    return state;
  }

  Result<model::PrivateState> Personalise(
      const model::SharedModel& /*shared*/, const model::PrivateState& state,
      const learning::TrainView& /*view*/,
      const learning::LocalContext& /*context*/) const override {
    return state;
  }

  Status Score(const model::SharedModel& /*shared*/, const model::PrivateState& /*state*/,
               std::span<float> /*scores*/) const override {
    return Error(ErrorCode::kInvalidArgument, "row_counts: counts rank nothing");
  }

 private:
  std::uint32_t items_;
  std::uint32_t rows_max_;
};

}  // namespace

Result<std::unique_ptr<learning::LocalStep>> MakeLocal(const model::TrainingPlan& plan) {
  DEMUR_TRY(const auto hyper, learning::ReadHyper(plan, kHyper));
  const auto items = static_cast<std::uint32_t>(hyper[kItems]);
  const auto& tables = plan.schema.tables;
  if (tables.size() != 1 || tables[0].name != kTable || tables[0].cols != 1 ||
      tables[0].rows != learning::NumBuckets(items) ||
      plan.slice != model::Slice::Everything(plan.schema)) {
    return Error(ErrorCode::kInvalidArgument,
                 "row_counts needs one whole table row_count, cols 1, a row a bucket");
  }
  return std::unique_ptr<learning::LocalStep>(
      std::make_unique<Local>(items, static_cast<std::uint32_t>(hyper[kRowsMax])));
}

}  // namespace demur::row_counts
