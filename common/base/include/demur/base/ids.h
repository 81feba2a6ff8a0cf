#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "demur/base/bytes.h"

// Identifiers that must not be swapped for one another. Value types.
namespace demur {

// An integer with a name. `Tag` keeps two kinds apart.
template <class Tag, class Rep>
struct StrongInteger {
  using rep = Rep;
  Rep value{};

  constexpr StrongInteger() = default;
  constexpr explicit StrongInteger(Rep v) noexcept : value(v) {}
  friend constexpr auto operator<=>(const StrongInteger&, const StrongInteger&) = default;
};

using ItemId = StrongInteger<struct ItemIdTag, std::uint32_t>;  // row of the item tables
using DeviceNumber = StrongInteger<struct DeviceNumberTag, std::uint64_t>;  // given at enrolment
using RosterIndex = StrongInteger<struct RosterIndexTag, std::uint32_t>;    // 0..n-1 in one session

// 16 random bytes that name a training task.
struct TaskId {
  std::array<std::byte, 16> bytes{};
  friend auto operator<=>(const TaskId&, const TaskId&) = default;
};
inline std::string ToHex(const TaskId& task) { return ToHex(ByteView(task.bytes)); }

// Rounds of a task. Restoring a backup bumps the epoch, so an id is never used twice: a device
// refuses what is not greater than the last one it saw.
struct RoundId {
  std::uint32_t epoch = 0;
  std::uint32_t counter = 0;

  constexpr std::uint64_t Packed() const noexcept {
    return std::uint64_t{epoch} << 32 | std::uint64_t{counter};
  }
  static constexpr RoundId FromPacked(std::uint64_t packed) noexcept {
    return {static_cast<std::uint32_t>(packed >> 32), static_cast<std::uint32_t>(packed)};
  }
  friend constexpr auto operator<=>(const RoundId&, const RoundId&) = default;
};

}  // namespace demur

template <class Tag, class Rep>
struct std::hash<demur::StrongInteger<Tag, Rep>> {
  std::size_t operator()(demur::StrongInteger<Tag, Rep> id) const noexcept {
    return std::hash<Rep>{}(id.value);
  }
};
