#pragma once

#include <cstdint>

#include "demur/base/result.h"
#include "demur/model/plan.h"

namespace demur::sim {

// Bytes that one device and the coordinator exchange in a round, without TLS records: the model,
// and messages M0 to M10 with their frames (docs/protocol.md). Private to simulations.
struct Traffic {
  std::uint64_t up = 0;
  std::uint64_t down = 0;
};

// For a roster of `n` of which everybody stays. Errors of secagg::ComputeParameters.
Result<Traffic> TrafficOf(const model::Plan& plan, std::uint32_t dim, std::uint32_t n);

}  // namespace demur::sim
