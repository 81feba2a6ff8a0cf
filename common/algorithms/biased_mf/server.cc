#include "server.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "demur/learning/initialise.h"
#include "hyper.h"
#include "optimiser.h"

namespace demur::biased_mf {
namespace {

Error Bad(const char* what) { return Error(ErrorCode::kInvalidArgument, what); }

class Server final : public learning::ServerStep {
 public:
  Server(const model::TrainingPlan& plan, const std::vector<double>& hyper)
      : schema_(plan.schema),
        value_max_(plan.value_max),
        initial_scale_(static_cast<float>(hyper[kInitialScale])),
        decay_(hyper[kServerDecay]) {
    optimiser_.kind = static_cast<Optimiser>(hyper[kServerOptimiser]);
    optimiser_.rate = hyper[kServerRate];
    optimiser_.momentum = hyper[kServerMomentum];
    optimiser_.beta2 = hyper[kServerBeta2];
    optimiser_.epsilon = hyper[kServerEpsilon];
  }

  Result<model::SharedModel> InitialModel(RandomSource& random, StreamId stream) const override {
    stream.client = kNoClient;
    stream.purpose = Purpose::kInitialisation;
    DEMUR_TRY(const auto words, random.Stream(stream));
    model::SharedModel shared(schema_);
    for (std::uint32_t row = 0; row < schema_.tables[0].rows; ++row) {
      const std::span<float> values = shared.Row(0, row);
      const auto factors = values.first(values.size() - 1);  // the bias starts at 0
      DEMUR_RETURN_IF_ERROR(learning::FillGaussianLike(*words, initial_scale_, factors));
      Bound(values);
    }
    return shared;
  }

  Status Run(model::SharedModel* shared, learning::ServerState* state,
             const model::MeanUpdate& mean, const model::Layout& layout) const override {
    if (shared->schema() != schema_ || layout.num_tables() != 1 ||
        layout.table(0) != schema_.tables[0] || mean.values.size() != layout.dim()) {
      return Bad("biased_mf: sizes do not fit the plan");
    }
    for (const double value : mean.values) {
      // A float holds the moments: what would overflow one there is refused like an infinity.
      if (!(std::abs(value) <= 1e15)) return Bad("biased_mf: a mean is not finite");
    }
    if (state->tables.size() > 1) return Bad("biased_mf: the server state has other tables");
    const auto [rows, cols] = std::pair(schema_.tables[0].rows, schema_.tables[0].cols);
    learning::ServerState::Table fresh;
    auto* table = state->tables.empty() ? &fresh : &state->tables[0];
    DEMUR_RETURN_IF_ERROR(PrepareState(optimiser_, rows, cols, table));
    for (const std::uint32_t row : layout.Rows(0)) {
      StepOne(row, std::span(mean.values).subspan(layout.Offset(0, row), cols), table,
              shared->Row(0, row));
    }
    if (state->tables.empty()) state->tables.push_back(std::move(fresh));
    return {};
  }

 private:
  void StepOne(std::uint32_t row, std::span<const double> delta,
               learning::ServerState::Table* table, std::span<float> values) const {
    for (float& value : values) value = static_cast<float>(value * (1.0 - decay_));
    // Nobody touched the row: its moments must not fade because others were trained.
    const bool touched =
        std::any_of(delta.begin(), delta.end(), [](double value) { return value != 0; });
    if (touched) StepRow(optimiser_, row, delta, table, values);
    Bound(values);
  }

  void Bound(std::span<float> values) const {
    const auto bound = static_cast<float>(value_max_);
    for (float& value : values) value = std::clamp(value, -bound, bound);
  }

  model::Schema schema_;
  double value_max_;
  float initial_scale_;
  double decay_;
  OptimiserOptions optimiser_;
};

}  // namespace

Result<std::unique_ptr<learning::ServerStep>> MakeServer(const model::TrainingPlan& plan) {
  DEMUR_TRY(const auto hyper, learning::ReadHyper(plan, kHyper));
  DEMUR_RETURN_IF_ERROR(plan.schema.Validate());
  const auto& tables = plan.schema.tables;
  if (tables.size() != 1 || tables[0].name != kTable || tables[0].cols < 2 ||
      tables[0].cols > kMaxFactors + 1) {
    return Bad("biased_mf needs one table `item` of 2 to 257 columns");
  }
  if (!(plan.value_max > 0) || plan.value_max > 1e30) return Bad("biased_mf: value_max > 0");
  return std::unique_ptr<learning::ServerStep>(std::make_unique<Server>(plan, hyper));
}

Result<model::Schema> MakeSchema(std::uint32_t items, std::uint32_t factors, double weight) {
  if (factors < 1 || factors > kMaxFactors) return Bad("biased_mf: 1 to 256 factors");
  model::Schema schema;
  schema.tables.push_back({std::string(kTable), items, factors + 1, weight});
  DEMUR_RETURN_IF_ERROR(schema.Validate());
  return schema;
}

}  // namespace demur::biased_mf
