#include "demur/coordinator/task.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "demur/crypto/hash.h"
#include "demur/dp/accountant.h"
#include "demur/learning/row_buckets.h"
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

// `rows` in every table with a row an item, everything in the others.
model::Slice SliceOf(std::uint32_t items, const model::Schema& schema,
                     const std::vector<std::uint32_t>& rows) {
  model::Slice slice = model::Slice::Everything(schema);
  for (std::size_t t = 0; t < schema.tables.size(); ++t) {
    if (schema.tables[t].rows == items) slice.tables[t] = {false, rows};
  }
  return slice;
}

// Which rows a round may have, where it chooses them; cap 0: it does not.
learning::RowRule RuleOf(const TaskConfig& config) {
  const bool counts = config.training.slice == "counts";
  if (!counts && config.training.slice != "bandit") return {};
  learning::RowRule rule;
  rule.items = config.model.items;
  rule.cap = std::min(OrElse(config.sparse.rows_cap, config.model.items), config.model.items);
  rule.keep = config.sparse.keep;
  return rule;
}

// What is fixed of the slice; where rows are chosen, any of the largest size stand for them.
model::Slice MakeSlice(const TaskConfig& config, const model::Schema& schema) {
  const learning::RowRule rule = RuleOf(config);
  std::vector<std::uint32_t> rows = config.training.rows;
  if (rule.cap > 0) {
    rows.resize(rule.cap);
    std::iota(rows.begin(), rows.end(), 0U);
  }
  return rows.empty() ? model::Slice::Everything(schema)
                      : SliceOf(config.model.items, schema, rows);
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

// RDP of one session of `plan`; zeros without noise.
Result<dp::RdpCurve> CostOf(const model::Plan& plan) {
  DEMUR_TRY(const auto charge, dp::ChargeOf(plan));
  return charge ? dp::CurveOf(*charge) : dp::RdpCurve{};
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

// The counts come first: what is left of the budget is the training's.
Status PreparedTask::PrepareCounts(const dp::CalibrationRequest& training) {
  dp::CalibrationRequest request = training;
  model::TrainingPlan counting = learning_server::RowCountsTraining(
      rule_.items, std::min(config_.sparse.count_rows_max, learning::NumBuckets(rule_.items)));
  const auto buckets = static_cast<std::uint32_t>(counting.schema.coordinates());
  request.rows_max = std::min(config_.sparse.count_rows_max, buckets);
  request.other_dim = layout_.dim();
  DEMUR_TRY(counts_calibration_, dp::CalibrateCounts(request, config_.sparse.count_share, buckets));
  counts_ = template_;
  counts_->training = std::move(counting);
  counts_->encoding = counts_calibration_.encoding;
  template_.session = {model::SessionKind::kRows, counts_->encoding, buckets};
  rule_.count_min = config_.sparse.count_min > 0
                        ? config_.sparse.count_min
                        : std::max(1.0, 2 * counts_calibration_.sum_noise_stddev);
  return {};
}

Result<PreparedTask> PreparedTask::Create(TaskConfig config) {
  DEMUR_RETURN_IF_ERROR(config.Validate());
  if (!config.id) return Error(ErrorCode::kInvalidArgument, "task: task.id is not set");
  PreparedTask out;
  out.config_ = std::move(config);
  out.rule_ = RuleOf(out.config_);
  model::Plan& plan = out.template_;
  plan.task = *out.config_.id;
  DEMUR_TRY(plan.training, MakeTraining(out.config_));
  plan.secagg = MakeSecAgg(out.config_);
  plan.privacy = MakePrivacy(out.config_);
  plan.timeouts = MakeTimeouts(out.config_.timeouts);
  DEMUR_TRY(out.layout_, model::Layout::Create(plan.training.schema, plan.training.slice));
  dp::CalibrationRequest request = MakeRequest(out.config_, plan, out.layout_);
  if (out.config_.training.slice == "counts") {
    DEMUR_RETURN_IF_ERROR(out.PrepareCounts(request));
    request.other_dim = plan.session.other_dim;
    plan.attempt = 1;
    DEMUR_TRY(request.other, CostOf(*out.counts_));
  }
  DEMUR_TRY(out.calibration_, dp::Calibrate(request, out.layout_));
  plan.encoding = out.calibration_.encoding;
  if (out.counts_) {
    out.counts_->session = {model::SessionKind::kRowCounts, plan.encoding, out.layout_.dim()};
    DEMUR_RETURN_IF_ERROR(out.counts_->Validate());
  }
  DEMUR_RETURN_IF_ERROR(plan.Validate());
  DEMUR_TRY(out.server_step_,
            learning_server::MakeServerStep(plan.training.algorithm, plan.training));
  return out;
}

Result<std::vector<std::uint32_t>> PreparedTask::DrawRows(const learning::ServerState& state,
                                                          RandomSource& random,
                                                          RoundId round) const {
  if (!draws_rows()) return std::vector<std::uint32_t>();
  StreamId id = CohortStream(this->id(), round);
  id.purpose = Purpose::kRows;
  DEMUR_TRY(const auto stream, random.Stream(id));
  return learning::RowsByBandit(state.rows, rule_, *stream);
}

Result<std::vector<std::uint32_t>> PreparedTask::FindRows(const model::MeanUpdate& counts) const {
  return learning::RowsByCounts(counts, rule_);
}

Status PreparedTask::Apply(const model::MeanUpdate& mean, const model::Layout& layout,
                           model::SharedModel* shared, learning::ServerState* state) const {
  DEMUR_RETURN_IF_ERROR(server_step_->Run(shared, state, mean, layout));
  if (!draws_rows()) return {};
  return learning::ScoreRows(mean, layout, rule_, &state->rows);
}

dp::Ledger::Policy PreparedTask::ledger_policy() const {
  dp::Ledger::Policy out;
  out.task = id();
  out.noise = template_.privacy.noise;
  out.budget = dp::BudgetOf(template_, layout_.dim(), config_.privacy.population);
  return out;
}

model::Plan MakePlan(const PreparedTask& task, const dp::RoundKey& key, const ModelName& model,
                     std::int64_t expires_unix_ms, const std::vector<std::uint32_t>& rows) {
  const bool counts = task.counts_template() && key.attempt == 0;
  model::Plan plan = counts ? *task.counts_template() : task.plan_template();
  DEMUR_CHECK(rows.empty() == (counts || !task.chooses_rows()),
              "rows are given where the task chooses them");
  if (!rows.empty()) {
    plan.training.slice = SliceOf(task.config().model.items, plan.training.schema, rows);
  }
  plan.round = key.round;
  plan.attempt = key.attempt;
  plan.model_hash = model.hash;
  plan.model_version = model.version;
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

StreamId CohortStream(const TaskId& task, RoundId round) noexcept {
  StreamId out;
  out.task = StreamTask(task);
  out.round = round.Packed();
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
