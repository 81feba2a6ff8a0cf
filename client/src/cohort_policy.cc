#include <string>
#include <utility>

#include "demur/client/policy.h"

// What a device asks of a cohort that the authority's beacon draws (policy.h).
namespace demur::client {
namespace {

Error Refused(const std::string& what) {
  return Error(ErrorCode::kPermissionDenied, "device floor: cohort: " + what);
}

// Nothing of a task gets weaker, its cohorts neither.
Status CheckServerChosen(const Floor& floor, std::uint64_t last_epoch) {
  if (floor.require_drawn_cohort) return Refused("server-chosen");
  if (last_epoch > 0) return Refused("server-chosen, where an earlier round of the task was drawn");
  return {};
}

Status CheckEpoch(const secagg::PopulationStatement& population, std::uint64_t last_epoch) {
  if (population.epoch >= last_epoch) return {};
  return Refused("epoch " + std::to_string(population.epoch) + " is older than " +
                 std::to_string(last_epoch) + ", which was seen in this task");
}

// The smallest roster is the worst case: the coordinator may call everybody else dropped.
Status CheckBound(const model::Plan& plan, const Floor& floor,
                  const secagg::PopulationStatement& population) {
  const secagg::CorruptBound bound =
      secagg::BoundCorrupt({.enrolled = population.enrolled,
                            .corrupt_permille = floor.population_corrupt_permille,
                            .rate = plan.cohort.rate,
                            .sigma = secagg::kCohortSigma},
                           plan.secagg.roster_min);
  if (plan.secagg.corrupt_permille >= bound.permille) return {};
  return Refused("secagg.corrupt_permille " + std::to_string(plan.secagg.corrupt_permille) +
                 " is below " + std::to_string(bound.permille) + ", which a roster of " +
                 std::to_string(plan.secagg.roster_min) + " drawn from " +
                 std::to_string(population.enrolled) + " may hold");
}

// Another round, or another epoch, may draw it.
Status CheckOwn(const model::Plan& plan, const CohortSelf& self,
                const secagg::PopulationStatement& population) {
  const Status drawn = secagg::CheckPeer(self.device, self.identity_key, population, plan);
  if (drawn) return {};
  return Error(ErrorCode::kFailedPrecondition, drawn.error().message());
}

}  // namespace

Status CheckCohort(const model::Plan& plan, const Floor& floor, const CohortSelf& self,
                   Admission* admission) {
  const std::uint64_t last_epoch = admission->seen.population_epoch;
  DEMUR_TRY(const auto population, secagg::OpenCohort(plan.cohort, self.authority_key));
  if (!population) return CheckServerChosen(floor, last_epoch);
  DEMUR_RETURN_IF_ERROR(CheckEpoch(*population, last_epoch));
  DEMUR_RETURN_IF_ERROR(CheckBound(plan, floor, *population));
  DEMUR_RETURN_IF_ERROR(CheckOwn(plan, self, *population));
  admission->population = *population;
  admission->seen.population_epoch = population->epoch;
  admission->charged.population_epoch = population->epoch;
  return {};
}

}  // namespace demur::client
