#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "demur/base/random.h"
#include "demur/learning/events.h"

// What the tests of this folder share.
namespace demur::learning {

inline Event MakeEvent(std::uint32_t item, Signal signal, std::int64_t unix_ms = 0,
                       std::uint64_t order = 0) {
  return {ItemId(item), signal, unix_ms, order};
}

inline std::vector<std::uint32_t> Items(const std::vector<Event>& events) {
  std::vector<std::uint32_t> out;
  for (const Event& event : events) out.push_back(event.item.value);
  return out;
}

// A generator that is out of order.
class FailingStream final : public RandomStream {
 public:
  Status Fill(std::span<std::byte> /*out*/) override {
    return Error(ErrorCode::kInternal, "the generator failed");
  }
};
class FailingRandom final : public RandomSource {
 public:
  Result<std::unique_ptr<RandomStream>> Stream(const StreamId& /*id*/) override {
    return std::unique_ptr<RandomStream>(std::make_unique<FailingStream>());
  }
  Result<std::unique_ptr<RandomBlocks>> Blocks(const StreamId& /*id*/) override {
    return Error(ErrorCode::kInternal, "the generator failed");
  }
};

}  // namespace demur::learning
