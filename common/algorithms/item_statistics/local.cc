#include "local.h"

#include <utility>
#include <vector>

#include "demur/learning_local/item_scores.h"
#include "hyper.h"

namespace demur::item_statistics {
namespace {

using learning_local::ItemScore;

class Local final : public learning::LocalStep {
 public:
  Local(std::uint32_t items, ItemScore score, learning_local::LikeRatePrior prior)
      : items_(items), score_(score), prior_(prior) {}

  Result<model::PrivateState> Run(const model::SharedModel& /*shared*/,
                                  const model::PrivateState& state, const learning::TrainView& view,
                                  const learning::LocalContext& context,
                                  model::Update* out) const override {
    out->Clear();
    if (view.num_items() != items_) {
      return Error(ErrorCode::kInvalidArgument, "item_statistics: another catalogue than the plan");
    }
    if (view.observed().empty()) {
      return Error(ErrorCode::kFailedPrecondition, "item_statistics: no events to count");
    }
    const auto examples = view.examples();
    std::size_t next = 0;  // both lists ascend by item
    for (const std::uint32_t item : view.observed()) {
      const bool labelled = next < examples.size() && examples[next].item == item;
      const bool liked = labelled && examples[next].label > 0.5F;
      next += labelled ? 1U : 0U;
      if (context.layout.Offset(0, item) == model::Layout::kNotInSlice) continue;
      const std::span<float> row = out->AddRow(0, item, kCols);
      row[kLikes] = liked ? 1.0F : 0.0F;
      row[kRejections] = labelled && !liked ? 1.0F : 0.0F;
      row[kImpressions] = 1.0F;
    }
    return state;
  }

  Result<model::PrivateState> Personalise(
      const model::SharedModel& /*shared*/, const model::PrivateState& state,
      const learning::TrainView& /*view*/,
      const learning::LocalContext& /*context*/) const override {
    return state;
  }

  Status Score(const model::SharedModel& shared, const model::PrivateState& /*state*/,
               std::span<float> scores) const override {
    return learning_local::ScoreItems(shared, score_, prior_, scores);
  }

 private:
  std::uint32_t items_;
  ItemScore score_;
  learning_local::LikeRatePrior prior_;
};

}  // namespace

Result<std::unique_ptr<learning::LocalStep>> MakeLocal(const model::TrainingPlan& plan) {
  DEMUR_TRY(const auto hyper, learning::ReadHyper(plan, kHyper));
  const auto& tables = plan.schema.tables;
  if (tables.size() != 1 || tables[0].name != kTable || tables[0].cols != kCols) {
    return Error(ErrorCode::kInvalidArgument,
                 "item_statistics needs one table item_counts, cols 3");
  }
  return std::unique_ptr<learning::LocalStep>(std::make_unique<Local>(
      tables[0].rows, static_cast<ItemScore>(hyper[kScore]),
      learning_local::LikeRatePrior{hyper[kPriorLikes], hyper[kPriorRejections]}));
}

}  // namespace demur::item_statistics
