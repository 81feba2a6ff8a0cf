#include "demur/simulations/cohort_bound.h"

#include <array>
#include <cmath>
#include <cstdio>

#include "demur/coordinator/task.h"
#include "demur/secagg/cohort.h"

namespace demur::sim {
namespace {

struct Numbers {
  secagg::CorruptBound bound;
  secagg::EligibleBounds eligible;
};

Result<Numbers> Compute(const CohortBoundRequest& request) {
  const bool sound = request.enrolled > 0 && request.roster > 0 && request.rate > 0 &&
                     request.rate <= 1 && request.corrupt >= 0 && request.corrupt <= 0.5;
  if (!sound) {
    return Error(ErrorCode::kInvalidArgument,
                 "cohort-bound: --enrolled and --roster above 0, --rate up to 1, --corrupt up to "
                 "0.5");
  }
  coordinator::TaskConfig::Eligibility eligibility;
  eligibility.rate = request.rate;
  const std::uint32_t rate = eligibility.RateUnits();
  const auto permille = static_cast<std::uint32_t>(std::lround(request.corrupt * 1000));
  Numbers out;
  out.bound = secagg::BoundCorrupt({.enrolled = request.enrolled,
                                    .corrupt_permille = permille,
                                    .rate = rate,
                                    .sigma = secagg::kCohortSigma},
                                   request.roster);
  out.eligible = secagg::EligibleRange(request.enrolled, rate);
  return out;
}

}  // namespace

Result<Json> CohortBoundJson(const CohortBoundRequest& request) {
  DEMUR_TRY(const Numbers numbers, Compute(request));
  Json out;
  out.Set("enrolled", request.enrolled).Set("rate", request.rate).Set("corrupt", request.corrupt);
  out.Set("roster", request.roster).Set("sigma", secagg::kCohortSigma);
  out.Set("corrupt_members_max", numbers.bound.corrupt);
  out.Set("corrupt_permille_max", numbers.bound.permille);
  out.Set("eligible_least", numbers.eligible.least).Set("eligible_most", numbers.eligible.most);
  return out;
}

Result<std::string> CohortBoundText(const CohortBoundRequest& request) {
  DEMUR_TRY(const Numbers numbers, Compute(request));
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(),
                "eligible %llu to %llu of %llu; at most %u corrupt members in a roster of %u (%u "
                "permille), except with 2^-%u a draw",
                static_cast<unsigned long long>(numbers.eligible.least),
                static_cast<unsigned long long>(numbers.eligible.most),
                static_cast<unsigned long long>(request.enrolled), numbers.bound.corrupt,
                request.roster, numbers.bound.permille, secagg::kCohortSigma);
  return std::string(text.data());
}

}  // namespace demur::sim
