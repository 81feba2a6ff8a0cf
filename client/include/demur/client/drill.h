#pragma once

#include <cstdint>
#include <string_view>

#include "demur/base/ids.h"
#include "demur/base/random.h"
#include "demur/base/result.h"

// Scripted departures for trials: a share of the devices says Leave in the middle of a round, so
// that dropping out is rehearsed and repeats. Wire devices and the fast simulation ask the same
// function, and with a seeded source they get the same answer. Stateless; thread-safe.
namespace demur::client {

enum class Departure : std::uint8_t {
  kNone = 0,
  kBeforeMasking = 1,  // Leave in place of M5: the update is not in the sum
  kAfterMasking = 2,   // Leave in place of M9: the update is in the sum, its seeds are rebuilt
};
std::string_view ToString(Departure departure) noexcept;

enum class DrillStage : std::uint8_t { kBeforeMasking = 1, kAfterMasking = 2, kMixed = 3 };
// "before", "after", "mixed". kInvalidArgument: another text.
Result<DrillStage> ParseDrillStage(std::string_view text);

struct DrillPlan {
  std::uint32_t leave_permille = 0;  // 0 to 1000; 0 = no drill, no randomness is read
  DrillStage stage = DrillStage::kMixed;
};

// What `device` does in the round of `round` (StreamId of the round; its client and purpose are
// replaced). The draw is block `device` of the round's kDropout blocks, so one device can ask
// without the others.
// kInternal: the random source failed.
Result<Departure> DrillDecision(RandomSource& random, StreamId round, DeviceNumber device,
                                const DrillPlan& plan);

}  // namespace demur::client
