#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "demur/learning/events.h"

// What a loss is computed on. Value types.
namespace demur::learning {

struct Example {
  std::uint32_t item = 0;
  float label = 0;   // 0 or 1
  float weight = 0;  // > 0

  friend bool operator==(const Example&, const Example&) = default;
};

// The events that carry a label and a weight above 0, in the order given.
std::vector<Example> MakeExamples(std::span<const Event> events, const SignalTable& signals);

}  // namespace demur::learning
