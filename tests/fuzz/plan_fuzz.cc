#include <cstddef>
#include <cstdint>
#include <span>

#include "demur/wire/plan_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const demur::wire::PlanLimits limits{1U << 16};
  const auto plan = demur::wire::DecodePlan(std::as_bytes(std::span(data, size)), limits);
  if (!plan) return 0;
  // What was accepted is valid and survives another round trip.
  if (!plan->Validate()) __builtin_trap();
  const auto again = demur::wire::DecodePlan(demur::wire::EncodePlan(*plan), limits);
  if (!again || !(*again == *plan)) __builtin_trap();
  return 0;
}
