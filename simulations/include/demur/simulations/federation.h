#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/client/drill.h"
#include "demur/coordinator/task.h"
#include "demur/dp/accountant.h"
#include "demur/learning/local_step.h"
#include "demur/model/tables.h"
#include "demur/simulations/evaluation.h"
#include "demur/simulations/people.h"
#include "demur/simulations/report.h"
#include "demur/simulations/scenario.h"
#include "demur/simulations/workers.h"

// A federation in training: rounds in, model out. Two kinds stand behind one interface: the fast
// one adds the clients' integers directly, the wire one lets real devices and a real coordinator
// talk over TLS. On the same task and seed they give the same model bytes.
namespace demur::sim {

// The first simulated device; person u is device kFirstDevice + u, as the authority would number
// them in order of enrolment.
inline constexpr std::uint64_t kFirstDevice = 1;
inline DeviceNumber DeviceOf(std::uint32_t user) noexcept {
  return DeviceNumber(kFirstDevice + user);
}

class Federation {
 public:
  virtual ~Federation() = default;
  // Runs one round; a round without enough survivors comes back not committed and leaves the model
  // as it was. kResourceExhausted: the budget, the rounds or the participations are used up.
  // Other errors end the training.
  virtual Result<RoundRow> RunRound() = 0;

  virtual const model::SharedModel& model() const noexcept = 0;
  // What person `user`'s device holds in private; empty before its first round.
  virtual const model::PrivateState& state(std::uint32_t user) const = 0;
  virtual const coordinator::PreparedTask& task() const noexcept = 0;
  // secagg::DescribeCohort of the rounds so far.
  virtual std::string cohort_rule() const = 0;
  // What has been spent. nullopt: no noise, or no round yet.
  virtual Result<std::optional<dp::EpsilonReport>> Spent() const = 0;
};

struct FastOptions {
  NoiseMode noise = NoiseMode::kPerDevice;
  client::DrillPlan drill;
};

// Steps 2 to 6 of a round without the wire: client::RunLocalRound for every client of the cohort in
// parallel, one sum of integers per thread, dp::Decode and the coordinator's server step, with the
// ledger's permit as on a server. The model does not depend on the number of threads.
// Borrows people, random and workers; they outlive it.
// Errors: those of the task's calibration, algorithm and first model.
Result<std::unique_ptr<Federation>> MakeFastFederation(coordinator::PreparedTask task,
                                                       const People& people, RandomSource& random,
                                                       Workers& workers,
                                                       const FastOptions& options);

// What both kinds of federation are given. All borrowed; they outlive the federation.
struct FederationSetup {
  const People& people;
  RandomSource& random;
  Workers& workers;
  FastOptions options;
};
// One authority, one coordinator and a device for every person, in one process, over TLS on the
// loopback: what runs in the wild, with the task's deadlines switched off so that nothing depends
// on who is quick. Keys and masks come from the system, everything that decides the model from
// setup.random. `folder` must not hold a federation yet; stores and keys stay there.
// kInvalidArgument: aggregate noise. kResourceExhausted: too few open files allowed.
// kFailedPrecondition: `folder` is taken. Errors of authority, coordinator and devices.
Result<std::unique_ptr<Federation>> MakeWireFederation(coordinator::PreparedTask task,
                                                       const FederationSetup& setup,
                                                       const std::string& folder);
// The federation of `mode`; fast mode does not use `folder`.
Result<std::unique_ptr<Federation>> MakeFederation(Mode mode, coordinator::PreparedTask task,
                                                   const FederationSetup& setup,
                                                   const std::string& folder);

// Lower-case hexadecimal SHA-256 of the canonical bytes.
std::string ModelSha256(const model::SharedModel& model);

// Scores with the present model after every person's device has fitted its private state to it
// (LocalStep::Personalise), as a device does before it ranks. Borrows everything.
std::unique_ptr<Scorer> MakeFederatedScorer(const Federation& federation, const People& people,
                                            RandomSource& random);

// Median thread CPU time, microseconds, of steps 2 to 5 (train, encode, add, and the decoder's
// share) for one client update: `repeats` passes over up to `clients` people on one thread, with
// the federation's present model and states, which stay as they are. `noise_variance` replaces the
// plan's noise: 0 measures without.
Result<double> MeasureUpdateMicros(const Federation& federation, const People& people,
                                   RandomSource& random, std::uint64_t noise_variance,
                                   std::uint32_t clients, std::uint32_t repeats);

}  // namespace demur::sim
