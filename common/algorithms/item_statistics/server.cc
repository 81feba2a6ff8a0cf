#include "server.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "hyper.h"

namespace demur::item_statistics {
namespace {

class Server final : public learning::ServerStep {
 public:
  Server(const model::TrainingPlan& plan, double keep)
      : schema_(plan.schema),
        normaliser_(plan.normaliser),
        value_max_(plan.value_max),
        keep_(keep) {}

  Result<model::SharedModel> InitialModel(RandomSource& /*random*/,
                                          StreamId /*stream*/) const override {
    return model::SharedModel(schema_);
  }

  Status Run(model::SharedModel* shared, learning::ServerState* /*state*/,
             const model::MeanUpdate& mean, const model::Layout& layout) const override {
    if (shared->schema() != schema_ || mean.values.size() != layout.dim() ||
        layout.num_tables() != 1 || layout.table(0) != schema_.tables[0]) {
      return Error(ErrorCode::kInvalidArgument, "item_statistics: sizes do not fit the plan");
    }
    for (const double value : mean.values) {
      if (!std::isfinite(value)) {
        return Error(ErrorCode::kInvalidArgument, "item_statistics: a mean is not finite");
      }
    }
    for (const std::uint32_t row : layout.Rows(0)) {
      const std::uint32_t offset = layout.Offset(0, row);
      const std::span<float> counts = shared->Row(0, row);
      for (std::uint32_t k = 0; k < kCols; ++k) {
        const double count = keep_ * counts[k] + mean.values[offset + k] * normaliser_;
        counts[k] = static_cast<float>(std::clamp(count, -value_max_, value_max_));
      }
    }
    return {};
  }

 private:
  model::Schema schema_;
  double normaliser_;
  double value_max_;
  double keep_;
};

}  // namespace

Result<std::unique_ptr<learning::ServerStep>> MakeServer(const model::TrainingPlan& plan) {
  DEMUR_TRY(const auto hyper, learning::ReadHyper(plan, kHyper));
  DEMUR_RETURN_IF_ERROR(plan.schema.Validate());
  const auto& tables = plan.schema.tables;
  if (tables.size() != 1 || tables[0].name != kTable || tables[0].cols != kCols) {
    return Error(ErrorCode::kInvalidArgument,
                 "item_statistics needs one table item_counts, cols 3");
  }
  if (!(plan.normaliser > 0) || !(plan.value_max > 0)) {
    return Error(ErrorCode::kInvalidArgument, "item_statistics: normaliser and value_max > 0");
  }
  return std::unique_ptr<learning::ServerStep>(std::make_unique<Server>(plan, hyper[kKeep]));
}

Result<model::Schema> MakeSchema(std::uint32_t items, double weight) {
  model::Schema schema;
  schema.tables.push_back({std::string(kTable), items, kCols, weight});
  DEMUR_RETURN_IF_ERROR(schema.Validate());
  return schema;
}

}  // namespace demur::item_statistics
