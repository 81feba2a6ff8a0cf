#include "demur/learning/events.h"

#include <algorithm>
#include <tuple>

namespace demur::learning {

bool EarlierThan(const Event& a, const Event& b) noexcept {
  return std::tie(a.unix_ms, a.order) < std::tie(b.unix_ms, b.order);
}

Cleaned Clean(std::span<const Event> events, std::uint32_t num_items) {
  Cleaned out;
  std::vector<Event> kept;
  kept.reserve(events.size());
  for (const Event& event : events) {
    if (event.item.value < num_items) {
      kept.push_back(event);
    } else {
      ++out.out_of_range;
    }
  }
  // Per item the winner comes last: weaker evidence first, then the earlier.
  std::stable_sort(kept.begin(), kept.end(), [](const Event& a, const Event& b) {
    return std::make_tuple(a.item.value, EvidenceOf(a.signal), a.unix_ms, a.order) <
           std::make_tuple(b.item.value, EvidenceOf(b.signal), b.unix_ms, b.order);
  });
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (i + 1 < kept.size() && kept[i + 1].item == kept[i].item) {
      ++out.superseded;
    } else {
      out.events.push_back(kept[i]);
    }
  }
  std::stable_sort(out.events.begin(), out.events.end(), EarlierThan);
  return out;
}

}  // namespace demur::learning
