#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "demur/base/result.h"
#include "demur/client/event_store.h"
#include "demur/dp/device_budget.h"
#include "demur/model/plan.h"
#include "demur/model/tables.h"
#include "demur/secagg/cohort.h"

// What a device agrees to. The owner sets the floor; no plan lowers it, and whatever the device can
// compute from a plan's integers it computes (docs/threat-model.md, "The device's floor"). Pure and
// stateless; safe from several threads.
namespace demur::client {

struct Floor {
  dp::DeviceFloor privacy;  // epsilon, delta, participations, roster, survivors, gamma, dropout

  // gamma. With noise a plan must reckon with more corrupt members, since those add none: the
  // larger of this and privacy.corrupt_permille_min counts.
  std::uint32_t noise_corrupt_permille_min = 100;
  std::uint32_t corrupt_permille_max = 400;  // more is a promise nobody can check
  std::uint32_t sigma_min = 80;              // bits
  // Bits. A round whose graph breaks under its own dropouts is charged and gives nothing.
  std::uint32_t eta_min = 20;
  // Plans that hold only while the coordinator follows the protocol.
  bool allow_semi_honest = false;
  std::uint32_t dim_max = 1U << 22;  // coordinates of the slice: work, memory, upload
  std::uint32_t roster_max = 100'000;
  double value_max = 1'000;  // a plan may not allow larger model values
  // Whether only cohorts are agreed to that the authority's beacon draws. Otherwise also those that
  // the coordinator chooses, of whom nothing but corrupt_permille is promised.
  bool require_drawn_cohort = false;
  // gamma of everybody enrolled, as the owner believes it: what a drawn cohort's corrupt share is
  // bounded from (secagg::BoundCorrupt).
  std::uint32_t population_corrupt_permille = secagg::kDefaultPopulationCorruptPermille;
  // Every deadline of a plan lies between these, milliseconds: too short a deadline makes dropouts
  // on purpose, too long a one holds a device.
  std::uint32_t timeout_min_ms = 1'000;
  std::uint32_t timeout_max_ms = 3'600'000;
  bool allow_no_deadline = false;  // 0 in a plan; for runs that compare bytes
  std::vector<std::string> algorithms = {"biased_mf", "item_statistics", "row_counts"};

  // kInvalidArgument names the field.
  Status Validate() const;
};

// A plan that was agreed to, and the two records that go with it.
struct Admission {
  model::Layout layout;  // of the plan's slice
  TaskRecord seen;       // to be saved before anything is sent: the round is taken up
  TaskRecord charged;    // to be saved, with marker and debit, before M5 leaves
  // Whom the members are drawn from (CheckCohort); nothing: the coordinator chooses.
  std::optional<secagg::PopulationStatement> population;
};

// May this device take part in `plan`? `records`: what it remembers of every task.
// kPermissionDenied: the floor says no, or the plan is weaker than an earlier one of its task; the
//   message names the field.
// kResourceExhausted: participations or epsilon are used up.
// kFailedPrecondition: the round is not above the last one seen.
// kDeadlineExceeded: the plan expired before `now_unix_ms`.
// kInvalidArgument: the plan does not hold together, or costs more than it promises.
Result<Admission> CheckPlan(const model::Plan& plan, const Floor& floor,
                            std::span<const TaskRecord> records, std::int64_t now_unix_ms);

// Who this device is.
struct CohortSelf {
  crypto::PublicKey authority_key{};  // of the pinned authority certificate
  crypto::PublicKey identity_key{};
  DeviceNumber device;
};
// May this device be drawn for `plan`, which CheckPlan admitted as `admission`? Adds the population
// and its epoch to it.
// kPermissionDenied: the authority did not sign the statement; the epoch is older than one seen in
//   the task, or the task had drawn cohorts before; the floor demands one; or fewer corrupt members
//   are reckoned with than a roster of roster_min may hold.
// kFailedPrecondition: this device is not eligible in this round, or was enrolled after the epoch.
// kInvalidArgument: a malformed statement.
Status CheckCohort(const model::Plan& plan, const Floor& floor, const CohortSelf& self,
                   Admission* admission);

// SHA-256 of the encodings of both sessions of a sparse round and of how many rows the first
// counts, the same from either plan; zeros for a round of one session.
Hash256 SessionsHash(const model::Plan& plan);

// What `plan` offers its participants, with epsilon recomputed from its integers.
// kInvalidArgument: the integers are out of range.
Result<PlanTerms> TermsOf(const model::Plan& plan);

}  // namespace demur::client
