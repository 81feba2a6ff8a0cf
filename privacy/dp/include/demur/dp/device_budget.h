#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "demur/base/bytes.h"
#include "demur/base/ids.h"
#include "demur/base/result.h"
#include "demur/dp/accountant.h"
#include "demur/model/plan.h"

// The device's own account. It trusts no ledger but this one: it recomputes epsilon from the plan's
// integers, counts its participations, and keeps to a floor that no plan lowers. Pure: the client
// stores DeviceTaskAccount, synced, before its masked vector leaves. Stateless; safe from several
// threads.
namespace demur::dp {

// What the owner of the device allows. Defaults: docs/privacy-accounting.md.
struct DeviceFloor {
  bool allow_no_noise = false;      // privacy = none in the device's own configuration
  double epsilon_round_max = 3.0;   // one round alone
  double epsilon_task_max = 6.0;    // a task's promise, and what it has really cost
  double epsilon_total_max = 12.0;  // all tasks together
  double delta_max = 1e-6;
  std::uint32_t participations_max = 64;  // k of any plan
  std::uint32_t roster_min = 20;
  std::uint32_t survivors_min = 14;
  // Largest assumptions the device goes along with. Noise is sized by 1 - dropout - corrupt, so a
  // plan that assumes more of either asks for more noise per device, not less; what the device
  // refuses is a plan that assumes fewer corrupt members than it believes in.
  std::uint32_t corrupt_permille_min = 50;
  std::uint32_t dropout_permille_max = 400;

  // kInvalidArgument: not finite, or not positive.
  Status Validate() const;
};

// What this device has spent on one task. Survives purge: it holds no data.
struct DeviceTaskAccount {
  TaskId task;
  RoundId last_round;                // rounds at or below it are refused; {0,0}: none yet
  std::uint32_t last_attempt = 0;    // of last_round
  std::uint32_t participations = 0;  // rounds, whatever the number of sessions
  double delta = 0;                  // the task's
  RdpCurve spent;

  Bytes Encode() const;
  // kDataLoss: wrong length, version, or a delta outside [0, 1).
  static Result<DeviceTaskAccount> Parse(ByteView bytes);
  friend bool operator==(const DeviceTaskAccount&, const DeviceTaskAccount&) = default;
};

// May this device take part in `plan` (over `dim` coordinates)? `accounts`: what it has spent on
// every task, this one included when there is an entry. Gives the account to store, synced, before
// the masked vector leaves.
// kPermissionDenied: the floor says no (names the field). kResourceExhausted: participations or
// epsilon are used up. kFailedPrecondition: the round is not later than the last one (its second
// session is, and takes no participation again). kInvalidArgument: the plan does not hold together,
// or its integers cost more than the epsilon it promises.
Result<DeviceTaskAccount> AdmitPlan(const model::Plan& plan, std::uint32_t dim,
                                    const DeviceFloor& floor,
                                    std::span<const DeviceTaskAccount> accounts);

}  // namespace demur::dp
