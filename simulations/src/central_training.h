#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "demur/base/result.h"
#include "demur/simulations/evaluation.h"
#include "demur/simulations/people.h"
#include "demur/simulations/workers.h"

// Biased matrix factorisation in one place, by stochastic gradient descent over everybody's train
// events in a random order. Private to simulations.
namespace demur::sim {

struct CentralOptions {
  std::uint32_t factors = 16;  // 0: biases alone
  double rate = 0.05;          // halves every `kRateHalfLife` epochs
  double l2 = 0.02;            // per example, on the rows in hand
  std::uint32_t epochs = 40;
  std::uint32_t patience = 3;
  std::uint64_t seed = 1;
};

// logit(u, i) = bias + b_u + b_i + x_u . y_i
struct CentralModel {
  std::uint32_t factors = 0;
  float bias = 0;
  std::vector<float> users;  // size * (factors + 1): factors, then the bias
  std::vector<float> items;
  double validation_auc = 0;
  std::uint32_t epochs = 0;  // of the state that was kept
};

// Keeps the state of the epoch with the best validation AUC and stops after `patience` epochs
// without a better one. kInternal: the random source failed. Errors of PooledAuc.
Result<CentralModel> TrainCentral(const People& people, const CentralOptions& options,
                                  RandomSource& random, Workers& workers);
std::unique_ptr<Scorer> MakeCentralScorer(CentralModel model);

}  // namespace demur::sim
