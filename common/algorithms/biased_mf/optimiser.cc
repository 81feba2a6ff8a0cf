#include "optimiser.h"

#include <algorithm>
#include <cmath>

namespace demur::biased_mf {

Status PrepareState(const OptimiserOptions& options, std::uint32_t rows, std::uint32_t cols,
                    learning::ServerState::Table* table) {
  const std::size_t values = std::size_t{rows} * cols;
  const std::size_t first = options.kind == Optimiser::kAdagrad ? 0 : values;
  const std::size_t second = options.kind == Optimiser::kSgd ? 0 : values;
  const bool fresh = table->steps.empty() && table->first.empty() && table->second.empty();
  if (fresh) {
    table->first.assign(first, 0.0F);
    table->second.assign(second, 0.0F);
    table->steps.assign(rows, 0U);
  } else if (table->first.size() != first || table->second.size() != second ||
             table->steps.size() != rows) {
    return Error(ErrorCode::kInvalidArgument,
                 "server state was made for another optimiser or another model");
  }
  return {};
}

void StepRow(const OptimiserOptions& options, std::uint32_t row, std::span<const double> delta,
             learning::ServerState::Table* table, std::span<float> values) {
  const std::size_t begin = std::size_t{row} * delta.size();
  std::uint32_t& steps = table->steps[row];
  if (steps != ~std::uint32_t{0}) ++steps;
  // 1 - beta^steps is 1 to the last bit long before the counter ends.
  const double unbias1 = 1.0 - std::pow(options.momentum, steps);
  const double unbias2 = 1.0 - std::pow(options.beta2, steps);
  for (std::size_t k = 0; k < delta.size(); ++k) {
    double step = 0;
    switch (options.kind) {
      case Optimiser::kSgd: {
        float& m = table->first[begin + k];
        m = static_cast<float>(options.momentum * m + delta[k]);
        step = m;
        break;
      }
      case Optimiser::kAdam: {
        float& m = table->first[begin + k];
        float& v = table->second[begin + k];
        m = static_cast<float>(options.momentum * m + (1.0 - options.momentum) * delta[k]);
        v = static_cast<float>(options.beta2 * v + (1.0 - options.beta2) * delta[k] * delta[k]);
        step = (m / unbias1) / (std::sqrt(v / unbias2) + options.epsilon);
        break;
      }
      case Optimiser::kAdagrad: {
        float& s = table->second[begin + k];
        s = static_cast<float>(s + delta[k] * delta[k]);
        step = delta[k] / (std::sqrt(static_cast<double>(s)) + options.epsilon);
        break;
      }
    }
    values[k] = static_cast<float>(values[k] + options.rate * step);
  }
}

}  // namespace demur::biased_mf
