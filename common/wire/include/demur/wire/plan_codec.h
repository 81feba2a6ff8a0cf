#pragma once

#include <cstdint>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/model/plan.h"

// model::Plan as bytes, and back. Pure functions; safe from several threads.
namespace demur::wire {

// What a reader is ready to hold. A plan of a hundred bytes can ask for 2^26 coordinates, and a
// signature says who asked, not that the device has the memory.
struct PlanLimits {
  std::uint64_t max_coordinates = model::kMaxCoordinates;  // of the whole schema
};

// Every field. The bytes are not canonical: what is signed is the string that was made once.
Bytes EncodePlan(const model::Plan& plan);

// Reads a plan that came from a peer: sizes are checked before anything of that size is made, then
// Plan::Validate has to agree.
// kInvalidArgument: malformed, over a limit, or a plan that Validate refuses (names the field).
Result<model::Plan> DecodePlan(ByteView bytes, const PlanLimits& limits = {});

}  // namespace demur::wire
