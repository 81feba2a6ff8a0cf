#pragma once

#include <cstdint>

#include "demur/base/result.h"
#include "demur/coordinator/task.h"

namespace demur::sim {

// Bytes that one device and the coordinator exchange in a round, without TLS records: the model,
// and messages M0 to M10 with their frames (docs/protocol.md). Private to simulations.
struct Traffic {
  std::uint64_t up = 0;
  std::uint64_t down = 0;
};

// For a roster of `n` of which everybody stays, all sessions of a round together. `rows` of the
// item tables are trained where the task chooses them. Errors of secagg::ComputeParameters.
Result<Traffic> TrafficOf(const coordinator::PreparedTask& task, std::uint32_t rows,
                          std::uint32_t n);

}  // namespace demur::sim
