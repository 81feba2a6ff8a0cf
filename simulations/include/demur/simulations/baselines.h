#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "demur/base/result.h"
#include "demur/simulations/evaluation.h"
#include "demur/simulations/federation.h"
#include "demur/simulations/people.h"
#include "demur/simulations/population.h"
#include "demur/simulations/scenario.h"
#include "demur/simulations/workers.h"

// What a federation has to beat or to reach. All are trained on train events alone and tuned on
// validation events alone, each with a stated number of trials. Deterministic for a seed.
namespace demur::sim {

// A trained model and how it was found: "best of 6 settings: rate 0.05, l2 0.02, 17 epochs".
struct Baseline {
  std::unique_ptr<Scorer> scorer;
  std::string tuning;  // empty where nothing was tuned
};

struct BaselineContext {
  const Scenario& scenario;
  const People& people;
  const coordinator::PreparedTask& task;  // without noise
  const Truth* truth = nullptr;           // synthetic data only
  std::uint64_t seed = 0;
  RandomSource& random;
  Workers& workers;
};

// random:     a score drawn per person and item: the floor of every metric.
// popularity: likes per item.
// like_rate:  (likes + a p) / (verdicts + a), p the overall rate, a = 5.
// bias_only:  logit = b + b_u + b_i, weighted logistic loss by SGD (grid baselines.bias_only).
// local_only: the task's local step on own events only, on the first model that nobody trained
//             (grid baselines.local_only: private_rate and l2_user).
// central:    the task's model, trained on everybody's train events in one place: the twin that the
//             federation replaces (grid baselines.central).
// oracle:     the probability that the synthetic population was drawn with.
// Borrows what the context names. kInvalidArgument: an unknown name, the oracle without truth, or
// central for a task that is not `biased_mf`. Errors of training and evaluation.
Result<Baseline> TrainBaseline(const std::string& name, const BaselineContext& context);

}  // namespace demur::sim
