#include "demur/dp/device_budget.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "demur/dp/decoder.h"

namespace demur::dp {
namespace {

constexpr std::uint8_t kAccountVersion = 1;

Error Bad(const std::string& what) { return Error(ErrorCode::kInvalidArgument, what); }
Error Refused(const std::string& what) {
  return Error(ErrorCode::kPermissionDenied, "device floor: " + what);
}
Error Spent(const std::string& what) {
  return Error(ErrorCode::kResourceExhausted, "device budget: " + what);
}

bool Positive(double value) { return std::isfinite(value) && value > 0; }

// Upper end only: what the floor compares.
Result<double> Epsilon(const RdpCurve& total, double delta) {
  DEMUR_TRY(const DpConversion conversion, DpConversion::Create(delta));
  return static_cast<double>(conversion.EpsilonUnits(total)) * kEpsilonUnit;
}

Status CheckFloor(const model::Plan& plan, const DeviceFloor& floor) {
  const model::SecAggPlan& secagg = plan.secagg;
  if (secagg.roster_min < floor.roster_min) return Refused("roster_min is too small");
  if (secagg.SurvivorsMin(secagg.roster_min) < floor.survivors_min) {
    return Refused("too few survivors are asked for");
  }
  if (secagg.corrupt_permille < floor.corrupt_permille_min) {
    return Refused("corrupt_permille is too small");
  }
  if (secagg.dropout_permille > floor.dropout_permille_max) {
    return Refused("dropout_permille is too large");
  }
  if (plan.privacy.participations_max > floor.participations_max) {
    return Refused("participations_max is too large");
  }
  if (!plan.privacy.noise) {
    if (!floor.allow_no_noise) return Refused("a plan without noise");
    return {};
  }
  if (plan.privacy.delta > floor.delta_max) return Refused("delta is too large");
  if (plan.privacy.epsilon > floor.epsilon_task_max) return Refused("epsilon is too large");
  return {};
}

// Delta that is left for the mechanism once the sampler has had its share.
Result<double> MechanismDelta(const model::Plan& plan, std::uint32_t dim) {
  // The device does not know the population; the roster is the least it can be.
  const TaskBudget budget = BudgetOf(plan, dim, plan.secagg.roster_max);
  DEMUR_RETURN_IF_ERROR(budget.Validate());
  const double delta = budget.delta - SamplerDelta(budget, budget.epsilon);
  if (!(delta >= budget.delta / 2)) return Bad("the sampler's error does not fit delta");
  return delta;
}

// What the plan's integers cost against what the plan promises and the floor allows, with both
// sessions of a sparse round. Gives what this session costs.
Result<RdpCurve> CheckCost(const model::Plan& plan, double delta, const DeviceFloor& floor) {
  DEMUR_TRY(const std::optional<SkellamCharge> charge, ChargeOf(plan));
  DEMUR_TRY(const RdpCurve curve, CurveOf(*charge));
  DEMUR_TRY(const RdpCurve round, RoundCurveOf(plan));
  DEMUR_TRY(const double one, Epsilon(round, delta));
  if (one > floor.epsilon_round_max) return Refused("one round costs too much");
  RdpCurve life;
  DEMUR_RETURN_IF_ERROR(life.Add(round, plan.privacy.participations_max));
  DEMUR_TRY(const double promised, Epsilon(life, delta));
  if (promised > plan.privacy.epsilon) {
    return Bad("the plan's integers cost more than the epsilon it promises");
  }
  return curve;
}

// `promised`: the plan's epsilon, at most the floor's. Sessions that each keep it may still pass it
// together, where they do not agree on what the other one costs.
Status CheckSpent(const DeviceTaskAccount& after, double promised,
                  std::span<const DeviceTaskAccount> accounts, const DeviceFloor& floor) {
  DEMUR_TRY(const double task, Epsilon(after.spent, after.delta));
  if (task > promised) return Spent("this task has cost all it may");
  // Curves of all tasks add up; the sum is converted at the smallest of their deltas.
  RdpCurve total = after.spent;
  double least_delta = after.delta;
  for (const DeviceTaskAccount& account : accounts) {
    if (account.task == after.task || account.spent == RdpCurve{}) continue;
    DEMUR_RETURN_IF_ERROR(total.Add(account.spent));
    if (account.delta > 0) least_delta = std::min(least_delta, account.delta);
  }
  DEMUR_TRY(const double all, Epsilon(total, least_delta));
  if (all > floor.epsilon_total_max) return Spent("all tasks together have cost all they may");
  return {};
}

}  // namespace

Status DeviceFloor::Validate() const {
  if (!Positive(epsilon_round_max) || !Positive(epsilon_task_max) || !Positive(epsilon_total_max)) {
    return Bad("device floor: epsilon limits must be > 0");
  }
  if (!(delta_max > 0 && delta_max < 1)) return Bad("device floor: delta_max: between 0 and 1");
  if (participations_max == 0 || roster_min == 0 || survivors_min == 0) {
    return Bad("device floor: participations_max, roster_min and survivors_min must be > 0");
  }
  return {};
}

Result<DeviceTaskAccount> AdmitPlan(const model::Plan& plan, std::uint32_t dim,
                                    const DeviceFloor& floor,
                                    std::span<const DeviceTaskAccount> accounts) {
  DEMUR_RETURN_IF_ERROR(floor.Validate());
  DEMUR_RETURN_IF_ERROR(plan.Validate());
  DEMUR_RETURN_IF_ERROR(CheckEncoding(plan));
  DEMUR_RETURN_IF_ERROR(CheckFloor(plan, floor));
  const auto it = std::find_if(accounts.begin(), accounts.end(),
                               [&](const DeviceTaskAccount& a) { return a.task == plan.task; });
  DeviceTaskAccount after = it != accounts.end() ? *it : DeviceTaskAccount{};
  after.task = plan.task;
  const bool again = after.participations > 0 && plan.round == after.last_round;
  if (again ? plan.attempt <= after.last_attempt
            : after.participations > 0 && plan.round < after.last_round) {
    return Error(ErrorCode::kFailedPrecondition, "device budget: the round is not a new one");
  }
  if (!again) {
    const std::uint32_t allowed =
        std::min(plan.privacy.participations_max, floor.participations_max);
    if (after.participations >= allowed) return Spent("no participation is left");
    ++after.participations;
  }
  after.last_round = plan.round;
  after.last_attempt = plan.attempt;
  if (!plan.privacy.noise) return after;
  DEMUR_TRY(const double delta, MechanismDelta(plan, dim));
  DEMUR_TRY(const RdpCurve curve, CheckCost(plan, delta, floor));
  DEMUR_RETURN_IF_ERROR(after.spent.Add(curve));
  after.delta = after.delta > 0 ? std::min(after.delta, delta) : delta;
  DEMUR_RETURN_IF_ERROR(CheckSpent(after, plan.privacy.epsilon, accounts, floor));
  return after;
}

Bytes DeviceTaskAccount::Encode() const {
  ByteWriter writer;
  writer.U8(kAccountVersion)
      .Raw(task.bytes)
      .U64(last_round.Packed())
      .U32(last_attempt)
      .U32(participations)
      .U64(std::bit_cast<std::uint64_t>(delta));
  for (const std::uint64_t value : spent.units) writer.U64(value);
  return std::move(writer).bytes();
}

Result<DeviceTaskAccount> DeviceTaskAccount::Parse(ByteView bytes) {
  ByteReader reader(bytes);
  DeviceTaskAccount account;
  DEMUR_TRY(const std::uint8_t version, reader.U8());
  if (version != kAccountVersion) {
    return Error(ErrorCode::kDataLoss, "device account: unknown version");
  }
  DEMUR_TRY(const ByteView task, reader.Raw(account.task.bytes.size()));
  std::copy(task.begin(), task.end(), account.task.bytes.begin());
  DEMUR_TRY(const std::uint64_t round, reader.U64());
  account.last_round = RoundId::FromPacked(round);
  DEMUR_TRY(account.last_attempt, reader.U32());
  DEMUR_TRY(account.participations, reader.U32());
  DEMUR_TRY(const std::uint64_t delta, reader.U64());
  account.delta = std::bit_cast<double>(delta);
  if (!(account.delta >= 0 && account.delta < 1)) {
    return Error(ErrorCode::kDataLoss, "device account: delta");
  }
  for (std::uint64_t& value : account.spent.units) {
    DEMUR_TRY(value, reader.U64());
    if (value > kCurveUnitsMax) return Error(ErrorCode::kDataLoss, "device account: curve");
  }
  DEMUR_RETURN_IF_ERROR(reader.Finish());
  return account;
}

}  // namespace demur::dp
