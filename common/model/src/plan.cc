#include "demur/model/plan.h"

#include <algorithm>
#include <cmath>

namespace demur::model {
namespace {

Error Bad(const std::string& what) { return Error(ErrorCode::kInvalidArgument, "plan: " + what); }

bool Positive(double value) { return std::isfinite(value) && value > 0; }

Status ValidateTraining(const TrainingPlan& training) {
  if (training.algorithm.empty() || training.algorithm.size() > 32) {
    return Bad("algorithm: 1 to 32 characters");
  }
  if (training.hyper.size() > 64) return Bad("hyper: at most 64");
  for (std::size_t i = 0; i < training.hyper.size(); ++i) {
    const HyperParameter& hyper = training.hyper[i];
    if (hyper.name.empty() || hyper.name.size() > 32 || !std::isfinite(hyper.value)) {
      return Bad("hyper: names of 1 to 32 characters and finite values");
    }
    if (i > 0 && training.hyper[i - 1].name >= hyper.name) return Bad("hyper: names must ascend");
  }
  if (!Positive(training.value_max)) return Bad("value_max must be > 0");
  if (!Positive(training.normaliser)) return Bad("normaliser must be > 0");
  DEMUR_TRY(const Layout layout, Layout::Create(training.schema, training.slice));
  (void)layout;
  return {};
}

Status ValidateEncoding(const EncodingPlan& encoding, const PrivacyPlan& privacy) {
  if (!Positive(encoding.clip_norm)) return Bad("clip_norm must be > 0");
  if (encoding.scale == 0) return Bad("scale must be > 0");
  if (encoding.bits < 8 || encoding.bits > 32) return Bad("bits: 8 to 32");
  if (encoding.l2_sq_max == 0 || encoding.l1_max == 0 || encoding.rows_max == 0) {
    return Bad("l2_sq_max, l1_max and rows_max must be > 0");
  }
  if (privacy.noise != (encoding.noise_variance > 0)) {
    return Bad("noise_variance must be > 0 exactly when privacy.noise is set");
  }
  return {};
}

Status ValidatePrivacy(const PrivacyPlan& privacy) {
  if (privacy.rounds_max == 0 || privacy.participations_max == 0 ||
      privacy.participations_max > privacy.rounds_max) {
    return Bad("participations_max: 1 to rounds_max");
  }
  if (!privacy.noise) return {};
  if (!Positive(privacy.epsilon)) return Bad("epsilon must be > 0");
  if (!(privacy.delta > 0 && privacy.delta < 1)) return Bad("delta: between 0 and 1");
  if (privacy.epsilon > 10 && !privacy.weak_privacy) {
    return Bad("epsilon above 10 needs weak_privacy = true");
  }
  return {};
}

Status ValidateSecAgg(const SecAggPlan& secagg) {
  if (secagg.profile != SecAggProfile::kSemiHonest && secagg.profile != SecAggProfile::kMalicious) {
    return Bad("secagg profile is unknown");
  }
  if (secagg.roster_min < 20 || secagg.roster_max < secagg.roster_min ||
      secagg.roster_max > 1'000'000) {
    return Bad("roster: 20 <= roster_min <= roster_max <= 1000000");
  }
  if (secagg.corrupt_permille > 500 || secagg.dropout_permille > 500) {
    return Bad("corrupt and dropout fractions: at most 500 permille");
  }
  if (secagg.sigma < 20 || secagg.sigma > 128 || secagg.eta < 10 || secagg.eta > 128) {
    return Bad("sigma: 20 to 128, eta: 10 to 128");
  }
  return {};
}

Status ValidateSession(const Plan& plan) {
  const SessionPlan& session = plan.session;
  if (session.kind != SessionKind::kWhole && session.kind != SessionKind::kRowCounts &&
      session.kind != SessionKind::kRows) {
    return Bad("session.kind is unknown");
  }
  if (plan.attempt != (session.kind == SessionKind::kRows ? 1U : 0U)) {
    return Bad("attempt: 1 in the second session of a sparse round, else 0");
  }
  const bool counts = plan.training.algorithm == kRowCountsAlgorithm;
  if (counts != (session.kind == SessionKind::kRowCounts)) {
    return Bad("algorithm row_counts is for sessions that count rows, and for no other");
  }
  if (!session.sparse()) {
    if (session != SessionPlan{}) return Bad("session.other: only in a sparse round");
    return {};
  }
  if (session.other_dim == 0 || session.other_dim > kMaxCoordinates) {
    return Bad("session.other_dim: 1 to 2^26");
  }
  if (Status status = ValidateEncoding(session.other, plan.privacy); !status) {
    return Bad("session.other: " + status.error().message());
  }
  return {};
}

Status ValidateCohort(const CohortPlan& cohort) {
  if (cohort.statement.size() > kMaxStatementLen) return Bad("cohort.statement: too long");
  if ((cohort.rate == 0) != cohort.statement.empty()) {
    return Bad("cohort: a rate and the authority's statement come together");
  }
  return {};
}

}  // namespace

std::string_view ToString(SessionKind kind) noexcept {
  switch (kind) {
    case SessionKind::kWhole:
      return "whole";
    case SessionKind::kRowCounts:
      return "row-counts";
    case SessionKind::kRows:
      return "rows";
  }
  return "unknown";
}

std::string_view ToString(SecAggProfile profile) noexcept {
  switch (profile) {
    case SecAggProfile::kSemiHonest:
      return "semi-honest";
    case SecAggProfile::kMalicious:
      return "malicious";
  }
  return "unknown";
}

std::uint32_t SecAggPlan::SurvivorsMin(std::uint32_t n) const noexcept {
  const std::uint64_t kept = std::uint64_t{1000U - std::min(dropout_permille, 1000U)} * n;
  return static_cast<std::uint32_t>((kept + 999) / 1000);
}

Status Plan::Validate() const {
  if (version != kPlanVersion) return Bad("version " + std::to_string(version) + " is unknown");
  DEMUR_RETURN_IF_ERROR(ValidateTraining(training));
  DEMUR_RETURN_IF_ERROR(ValidatePrivacy(privacy));
  DEMUR_RETURN_IF_ERROR(ValidateEncoding(encoding, privacy));
  DEMUR_RETURN_IF_ERROR(ValidateSecAgg(secagg));
  DEMUR_RETURN_IF_ERROR(ValidateCohort(cohort));
  return ValidateSession(*this);
}

}  // namespace demur::model
