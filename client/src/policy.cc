#include "demur/client/policy.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "demur/crypto/hash.h"
#include "demur/dp/accountant.h"

namespace demur::client {
namespace {

Error Refused(const std::string& what) {
  return Error(ErrorCode::kPermissionDenied, "device floor: " + what);
}

Error Weaker(const std::string& field) {
  return Refused(field + " is weaker than in an earlier plan of the task");
}

Status CheckDeadline(const char* field, std::uint32_t value, const Floor& floor) {
  const std::string name = std::string("timeouts.") + field;
  if (value == 0) {
    if (floor.allow_no_deadline) return {};
    return Refused(name + " is 0: no deadline");
  }
  if (value < floor.timeout_min_ms) {
    return Refused(name + " " + std::to_string(value) + " ms is below " +
                   std::to_string(floor.timeout_min_ms));
  }
  if (value > floor.timeout_max_ms) {
    return Refused(name + " " + std::to_string(value) + " ms is above " +
                   std::to_string(floor.timeout_max_ms));
  }
  return {};
}

Status CheckDeadlines(const model::TimeoutPlan& timeouts, const Floor& floor) {
  DEMUR_RETURN_IF_ERROR(CheckDeadline("training_ms", timeouts.training_ms, floor));
  DEMUR_RETURN_IF_ERROR(CheckDeadline("advertise_ms", timeouts.advertise_ms, floor));
  DEMUR_RETURN_IF_ERROR(CheckDeadline("share_ms", timeouts.share_ms, floor));
  DEMUR_RETURN_IF_ERROR(CheckDeadline("mask_ms", timeouts.mask_ms, floor));
  DEMUR_RETURN_IF_ERROR(CheckDeadline("confirm_ms", timeouts.confirm_ms, floor));
  return CheckDeadline("unmask_ms", timeouts.unmask_ms, floor);
}

// What the floor says about work and masking; epsilon and counts are dp::AdmitPlan's.
Status CheckWork(const model::Plan& plan, const model::Layout& layout, const Floor& floor) {
  const auto& algorithms = floor.algorithms;
  if (std::find(algorithms.begin(), algorithms.end(), plan.training.algorithm) ==
      algorithms.end()) {
    return Refused("training.algorithm is not among the allowed ones");
  }
  if (plan.training.value_max > floor.value_max) {
    return Refused("training.value_max is above " + std::to_string(floor.value_max));
  }
  const std::uint32_t dim = std::max(layout.dim(), plan.session.other_dim);
  if (dim > floor.dim_max) {
    return Refused("slice of " + std::to_string(dim) + " coordinates is above " +
                   std::to_string(floor.dim_max));
  }
  const model::SecAggPlan& secagg = plan.secagg;
  if (secagg.profile != model::SecAggProfile::kMalicious && !floor.allow_semi_honest) {
    return Refused("secagg.profile " + std::string(model::ToString(secagg.profile)) +
                   " trusts the coordinator");
  }
  if (secagg.roster_max > floor.roster_max) {
    return Refused("secagg.roster_max " + std::to_string(secagg.roster_max) + " is above " +
                   std::to_string(floor.roster_max));
  }
  if (plan.privacy.noise && secagg.corrupt_permille < floor.noise_corrupt_permille_min) {
    return Refused("secagg.corrupt_permille " + std::to_string(secagg.corrupt_permille) +
                   " is below " + std::to_string(floor.noise_corrupt_permille_min) +
                   ", which noise is sized for");
  }
  if (secagg.corrupt_permille > floor.corrupt_permille_max) {
    return Refused("secagg.corrupt_permille " + std::to_string(secagg.corrupt_permille) +
                   " is above " + std::to_string(floor.corrupt_permille_max));
  }
  if (secagg.sigma < floor.sigma_min) {
    return Refused("secagg.sigma " + std::to_string(secagg.sigma) + " is below " +
                   std::to_string(floor.sigma_min));
  }
  if (secagg.eta < floor.eta_min) {
    return Refused("secagg.eta " + std::to_string(secagg.eta) + " is below " +
                   std::to_string(floor.eta_min));
  }
  return CheckDeadlines(plan.timeouts, floor);
}

Status CheckNotWeaker(const PlanTerms& now, const PlanTerms& before) {
  if (before.noise && !now.noise) return Weaker("privacy.noise");
  if (before.noise && now.epsilon_round > before.epsilon_round) return Weaker("encoding noise");
  if (before.noise && now.delta > before.delta) return Weaker("privacy.delta");
  if (now.participations_max > before.participations_max) {
    return Weaker("privacy.participations_max");
  }
  if (now.roster_min < before.roster_min) return Weaker("secagg.roster_min");
  if (now.survivors_min < before.survivors_min) return Weaker("secagg.dropout_permille");
  if (now.corrupt_permille < before.corrupt_permille) return Weaker("secagg.corrupt_permille");
  if (now.sigma < before.sigma) return Weaker("secagg.sigma");
  if (now.profile < before.profile) return Weaker("secagg.profile");
  return {};
}

}  // namespace

Status Floor::Validate() const {
  DEMUR_RETURN_IF_ERROR(privacy.Validate());
  const auto bad = [](const char* what) {
    return Error(ErrorCode::kInvalidArgument, std::string("device floor: ") + what);
  };
  if (corrupt_permille_max > 1000 ||
      corrupt_permille_max < std::max(privacy.corrupt_permille_min, noise_corrupt_permille_min)) {
    return bad("corrupt_permille_max: corrupt_permille_min and noise_corrupt_permille_min to 1000");
  }
  if (!(std::isfinite(value_max) && value_max > 0)) return bad("value_max must be > 0");
  if (dim_max == 0) return bad("dim_max must be > 0");
  if (roster_max < privacy.roster_min) return bad("roster_max must be at least roster_min");
  if (timeout_min_ms > timeout_max_ms) return bad("timeout_min_ms must not be above the maximum");
  if (algorithms.empty()) return bad("algorithms must not be empty");
  if (population_corrupt_permille > 500) return bad("population_corrupt_permille: at most 500");
  if (sigma_min > 128) return bad("sigma_min: no plan has more than 128 bits");
  if (eta_min > 128) return bad("eta_min: no plan has more than 128 bits");
  return {};
}

Hash256 SessionsHash(const model::Plan& plan) {
  if (!plan.session.sparse()) return {};
  const bool counts = plan.session.counts_rows();
  ByteWriter writer;
  writer.U64(counts ? plan.training.schema.coordinates() : plan.session.other_dim);
  for (const bool first : {true, false}) {
    const model::EncodingPlan& e = first == counts ? plan.encoding : plan.session.other;
    writer.U64(std::bit_cast<std::uint64_t>(e.clip_norm)).U32(e.scale).U32(e.bits);
    writer.U64(e.noise_variance).U64(e.l2_sq_max).U64(e.l1_max).U32(e.rows_max);
  }
  return crypto::Sha256(writer.bytes());
}

Result<PlanTerms> TermsOf(const model::Plan& plan) {
  PlanTerms terms;
  terms.noise = plan.privacy.noise;
  terms.participations_max = plan.privacy.participations_max;
  terms.roster_min = plan.secagg.roster_min;
  terms.survivors_min = plan.secagg.SurvivorsMin(plan.secagg.roster_min);
  terms.corrupt_permille = plan.secagg.corrupt_permille;
  terms.sigma = plan.secagg.sigma;
  terms.profile = plan.secagg.profile;
  if (plan.privacy.noise) {
    terms.delta = plan.privacy.delta;
    DEMUR_TRY(const dp::RdpCurve curve, dp::RoundCurveOf(plan));
    DEMUR_TRY(const auto conversion, dp::DpConversion::Create(plan.privacy.delta));
    terms.epsilon_round = static_cast<double>(conversion.EpsilonUnits(curve)) * dp::kEpsilonUnit;
  }
  return terms;
}

Result<Admission> CheckPlan(const model::Plan& plan, const Floor& floor,
                            std::span<const TaskRecord> records, std::int64_t now_unix_ms) {
  DEMUR_RETURN_IF_ERROR(plan.Validate());
  if (plan.expires_unix_ms <= now_unix_ms) {
    return Error(ErrorCode::kDeadlineExceeded, "plan: expired");
  }
  DEMUR_TRY(model::Layout layout, model::Layout::Create(plan.training.schema, plan.training.slice));
  DEMUR_RETURN_IF_ERROR(CheckWork(plan, layout, floor));

  Admission admission;
  admission.seen.account.task = plan.task;
  std::vector<dp::DeviceTaskAccount> accounts;
  for (const TaskRecord& record : records) {
    accounts.push_back(record.account);
    if (record.account.task == plan.task) admission.seen = record;
  }
  TaskRecord& seen = admission.seen;
  if (std::pair(plan.round, plan.attempt) <= std::pair(seen.last_seen, seen.last_seen_attempt)) {
    return Error(ErrorCode::kFailedPrecondition,
                 "device floor: round is not above the last one seen");
  }
  // A second session takes no participation again, so it must be the one that the first announced:
  // two plans that each call the other's session cheap, or a whole round before it, are refused.
  if (plan.round == seen.last_seen && SessionsHash(plan) != seen.last_seen_sessions) {
    return Refused("the second session of a round is not what its first one announced");
  }
  DEMUR_TRY(dp::DeviceTaskAccount account,
            dp::AdmitPlan(plan, layout.dim(), floor.privacy, accounts));
  DEMUR_TRY(const PlanTerms terms, TermsOf(plan));
  if (seen.terms) DEMUR_RETURN_IF_ERROR(CheckNotWeaker(terms, *seen.terms));

  seen.last_seen = plan.round;
  seen.last_seen_attempt = plan.attempt;
  seen.last_seen_sessions = SessionsHash(plan);
  seen.terms = terms;
  admission.charged = seen;
  admission.charged.account = std::move(account);
  admission.charged.masked_round = plan.round;
  admission.charged.masked_attempt = plan.attempt;
  admission.layout = std::move(layout);
  return admission;
}

}  // namespace demur::client
