#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "demur/base/ids.h"
#include "demur/learning/signals.h"

// The event log of one person, and what cleaning makes of it. Stateless; safe from several threads.
namespace demur::learning {

struct Event {
  ItemId item;
  Signal signal = Signal::kNeutral;
  std::int64_t unix_ms = 0;  // 0 where the source has no times; `order` then decides alone
  std::uint64_t order = 0;   // position in the log or file; breaks ties of time

  friend bool operator==(const Event&, const Event&) = default;
};

// Earlier first: by time, then by order.
bool EarlierThan(const Event& a, const Event& b) noexcept;

struct Cleaned {
  std::vector<Event> events;       // one per item, ascending by (time, order)
  std::uint64_t out_of_range = 0;  // dropped: item >= num_items
  std::uint64_t superseded = 0;    // dropped: another event of the item won
};

// One event per item: explicit beats implicit beats neutral, and among equals the latest wins. So
// a dislike is not washed out by a later click, but a like that comes after it takes it back.
// Events of items outside the catalogue are dropped and counted.
Cleaned Clean(std::span<const Event> events, std::uint32_t num_items);

}  // namespace demur::learning
