#pragma once

#include <cstdint>
#include <span>

#include "demur/learning/server_step.h"

namespace demur::biased_mf {

enum class Optimiser : std::uint8_t { kSgd = 0, kAdam = 1, kAdagrad = 2 };

struct OptimiserOptions {
  Optimiser kind = Optimiser::kAdam;
  double rate = 0;
  double momentum = 0;  // beta 1 of Adam; Adagrad does not use it
  double beta2 = 0;
  double epsilon = 0;
};

// Sizes `table` for `rows` x `cols` on first use.
// kInvalidArgument: the table is there, but was made for another optimiser or other sizes.
Status PrepareState(const OptimiserOptions& options, std::uint32_t rows, std::uint32_t cols,
                    learning::ServerState::Table* table);

// Moves one row by its mean change `delta`, and advances the row's state:
//   SGD      m = momentum * m + delta;                       value += rate * m
//   Adam     m, v: decaying means of delta and delta^2, unbiased by the row's own step count;
//                                                            value += rate * m' / (sqrt(v') + eps)
//   Adagrad  s += delta^2;                                   value += rate * delta / (sqrt(s) +
//   eps)
// The state must be prepared; row < rows.
void StepRow(const OptimiserOptions& options, std::uint32_t row, std::span<const double> delta,
             learning::ServerState::Table* table, std::span<float> values);

}  // namespace demur::biased_mf
