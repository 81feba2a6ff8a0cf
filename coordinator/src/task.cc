#include "demur/coordinator/task.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "demur/crypto/hash.h"
#include "demur/learning_server/registry.h"

namespace demur::coordinator {
namespace {

constexpr double kGammaPlain = 0.05;
constexpr double kGammaWithNoise = 0.10;
constexpr std::int64_t kDayMillis = std::int64_t{24} * 3600 * 1000;

std::uint32_t Permille(double fraction) {
  return static_cast<std::uint32_t>(std::lround(fraction * 1000));
}

std::uint32_t OrElse(std::uint32_t value, std::uint32_t fallback) {
  return value == 0 ? fallback : value;
}

// The listed rows in every table with a row an item, everything in the others.
model::Slice MakeSlice(const TaskConfig& config, const model::Schema& schema) {
  model::Slice slice = model::Slice::Everything(schema);
  if (config.training.slice == "all") return slice;
  for (std::size_t t = 0; t < schema.tables.size(); ++t) {
    if (schema.tables[t].rows == config.model.items) {
      slice.tables[t] = {false, config.training.rows};
    }
  }
  return slice;
}

Result<model::TrainingPlan> MakeTraining(const TaskConfig& config) {
  model::TrainingPlan out;
  out.algorithm = config.model.algorithm;
  out.hyper = config.training.hyper;
  learning_server::ModelShape shape;
  shape.items = config.model.items;
  shape.factors = config.model.factors;
  shape.weight = config.training.weight;
  DEMUR_TRY(out.schema, learning_server::MakeSchema(config.model.algorithm, shape));
  out.slice = MakeSlice(config, out.schema);
  out.value_max = config.training.value_max;
  out.normaliser =
      config.training.normaliser > 0 ? config.training.normaliser : double{1} * config.cohort;
  return out;
}

model::SecAggPlan MakeSecAgg(const TaskConfig& config) {
  model::SecAggPlan out;
  const bool malicious = config.secagg.profile == "malicious";
  out.profile = malicious ? model::SecAggProfile::kMalicious : model::SecAggProfile::kSemiHonest;
  out.roster_min = config.secagg.roster_min;
  out.roster_max = OrElse(config.secagg.roster_max, config.cohort);
  const double fallback = config.privacy.noise ? kGammaWithNoise : kGammaPlain;
  out.corrupt_permille = Permille(config.secagg.gamma.value_or(fallback));
  out.dropout_permille = Permille(config.secagg.delta);
  out.sigma = OrElse(config.secagg.sigma, malicious ? 80 : 40);
  out.eta = config.secagg.eta;
  return out;
}

model::PrivacyPlan MakePrivacy(const TaskConfig& config) {
  model::PrivacyPlan out;
  out.noise = config.privacy.noise;
  if (out.noise) {
    out.epsilon = config.privacy.epsilon;
    out.delta = config.privacy.delta;
    out.weak_privacy = config.privacy.weak_privacy;
  }
  out.participations_max = OrElse(config.privacy.participations, config.rounds);
  out.rounds_max = config.rounds;
  return out;
}

model::TimeoutPlan MakeTimeouts(const TaskConfig::Timeouts& timeouts) {
  model::TimeoutPlan out;
  out.training_ms = timeouts.training_ms;
  out.advertise_ms = timeouts.advertise_ms;
  out.share_ms = timeouts.share_ms;
  out.mask_ms = timeouts.mask_ms;
  out.confirm_ms = timeouts.confirm_ms;
  out.unmask_ms = timeouts.unmask_ms;
  return out;
}

dp::CalibrationRequest MakeRequest(const TaskConfig& config, const model::Plan& plan,
                                   const model::Layout& layout) {
  dp::CalibrationRequest out;
  out.noise = plan.privacy.noise;
  out.epsilon = plan.privacy.epsilon;
  out.delta = plan.privacy.delta;
  out.population = config.privacy.population;
  out.participations_max = plan.privacy.participations_max;
  out.rounds_max = plan.privacy.rounds_max;
  out.weak_privacy = plan.privacy.weak_privacy;
  out.clip_norm = config.training.clip_norm;
  out.rows_max = std::min(OrElse(config.training.rows_max, layout.num_rows()), layout.num_rows());
  out.roster_min = plan.secagg.roster_min;
  out.roster_max = plan.secagg.roster_max;
  out.dropout_permille = plan.secagg.dropout_permille;
  out.corrupt_permille = plan.secagg.corrupt_permille;
  out.bits_max = config.training.bits_max;
  return out;
}

}  // namespace

std::uint32_t TaskConfig::Eligibility::RateUnits() const noexcept {
  constexpr double kTwo32 = 4294967296.0;
  if (!(rate > 0)) return 0;
  const double units = std::clamp(std::floor(rate * kTwo32), 1.0, kTwo32 - 1);
  return static_cast<std::uint32_t>(units);
}

Hash256 HashTask(const TaskConfig& task) { return crypto::Sha256(AsBytes(FormatTask(task))); }

Result<PreparedTask> PreparedTask::Create(TaskConfig config) {
  DEMUR_RETURN_IF_ERROR(config.Validate());
  if (!config.id) return Error(ErrorCode::kInvalidArgument, "task: task.id is not set");
  PreparedTask out;
  model::Plan& plan = out.template_;
  plan.task = *config.id;
  DEMUR_TRY(plan.training, MakeTraining(config));
  plan.secagg = MakeSecAgg(config);
  plan.privacy = MakePrivacy(config);
  plan.timeouts = MakeTimeouts(config.timeouts);
  DEMUR_TRY(out.layout_, model::Layout::Create(plan.training.schema, plan.training.slice));
  DEMUR_TRY(out.calibration_, dp::Calibrate(MakeRequest(config, plan, out.layout_), out.layout_));
  plan.encoding = out.calibration_.encoding;
  DEMUR_RETURN_IF_ERROR(plan.Validate());
  DEMUR_TRY(out.server_step_,
            learning_server::MakeServerStep(plan.training.algorithm, plan.training));
  out.config_ = std::move(config);
  return out;
}

dp::Ledger::Policy PreparedTask::ledger_policy() const {
  dp::Ledger::Policy out;
  out.task = id();
  out.noise = template_.privacy.noise;
  out.budget = dp::BudgetOf(template_, layout_.dim(), config_.privacy.population);
  return out;
}

model::Plan MakePlan(const PreparedTask& task, RoundId round, std::uint32_t attempt,
                     const Hash256& model_hash, std::uint64_t model_version,
                     std::int64_t expires_unix_ms) {
  model::Plan plan = task.plan_template();
  plan.round = round;
  plan.attempt = attempt;
  plan.model_hash = model_hash;
  plan.model_version = model_version;
  plan.expires_unix_ms = expires_unix_ms;
  return plan;
}

StreamId InitialModelStream(const TaskId& task) noexcept {
  StreamId out;
  out.task = StreamTask(task);
  out.client = kNoClient;
  out.purpose = Purpose::kInitialisation;
  return out;
}

StreamId CohortStream(const TaskId& task, RoundId round, std::uint32_t attempt) noexcept {
  StreamId out;
  out.task = StreamTask(task);
  out.round = round.Packed();
  out.attempt = attempt;
  out.client = kNoClient;
  out.purpose = Purpose::kCohort;
  return out;
}

std::int64_t PlanLifetimeMillis(const model::TimeoutPlan& timeouts) noexcept {
  const std::uint32_t all[] = {timeouts.training_ms, timeouts.advertise_ms, timeouts.share_ms,
                               timeouts.mask_ms,     timeouts.confirm_ms,   timeouts.unmask_ms};
  std::int64_t sum = 0;
  for (const std::uint32_t one : all) {
    if (one == 0) return kDayMillis;
    sum += one;
  }
  return sum;
}

}  // namespace demur::coordinator
