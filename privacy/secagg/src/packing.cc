#include "demur/secagg/packing.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "demur/base/check.h"
#include "demur/wire/secagg_messages.h"

namespace demur::secagg {
namespace {

static_assert(std::endian::native == std::endian::little, "packed words are read in place");

constexpr std::uint32_t kMinBits = 8;
constexpr std::uint32_t kMaxBits = 32;
// 32 values fill `bits` words of 4 bytes, 8 values `bits` bytes: whole groups have constant shifts,
// so each width has a loop of its own without a branch in it.
constexpr std::size_t kPackGroup = 32;
constexpr std::size_t kUnpackGroup = 8;

constexpr std::uint32_t LowBits(std::uint32_t bits) noexcept {
  return static_cast<std::uint32_t>((std::uint64_t{1} << bits) - 1);
}

// Writes the whole groups at the front of `values`; how many values these are.
template <std::uint32_t kBits>
std::size_t PackGroups(std::span<const std::uint32_t> values, std::byte* out) noexcept {
  const std::size_t groups = values.size() / kPackGroup;
  const std::uint32_t* in = values.data();
  for (std::size_t group = 0; group < groups;
       ++group, in += kPackGroup, out += std::size_t{4} * kBits) {
    std::uint64_t pending = 0;
    const auto put = [&]<std::size_t kAt>(std::integral_constant<std::size_t, kAt>) {
      constexpr std::size_t kFilled = kAt * kBits % 32;
      pending |= std::uint64_t{in[kAt] & LowBits(kBits)} << kFilled;
      if constexpr (kFilled + kBits >= 32) {
        const auto word = static_cast<std::uint32_t>(pending);
        std::memcpy(out + kAt * kBits / 32 * 4, &word, sizeof word);
        pending >>= 32;
      }
    };
    [&]<std::size_t... kAt>(std::index_sequence<kAt...>) {
      (put(std::integral_constant<std::size_t, kAt>{}), ...);
    }
    (std::make_index_sequence<kPackGroup>{});
  }
  return groups * kPackGroup;
}

// Adds the groups at the front that can be read eight bytes at a time; how many values these are.
template <std::uint32_t kBits>
std::size_t UnpackGroups(ByteView packed, std::span<std::uint32_t> sum) noexcept {
  constexpr std::size_t kReach = (kUnpackGroup - 1) * kBits / 8 + 8;  // bytes read from its start
  const std::byte* in = packed.data();
  std::size_t done = 0;
  for (std::size_t left = packed.size(); left >= kReach && sum.size() - done >= kUnpackGroup;
       left -= kBits, in += kBits, done += kUnpackGroup) {
    std::uint32_t* const out = sum.data() + done;
    const auto add = [in, out]<std::size_t kAt>(std::integral_constant<std::size_t, kAt>) {
      std::uint64_t word = 0;  // bits + 7 <= 39 of its bits are needed
      std::memcpy(&word, in + kAt * kBits / 8, sizeof word);
      out[kAt] += static_cast<std::uint32_t>(word >> (kAt * kBits % 8)) & LowBits(kBits);
    };
    [&add]<std::size_t... kAt>(std::index_sequence<kAt...>) {
      (add(std::integral_constant<std::size_t, kAt>{}), ...);
    }
    (std::make_index_sequence<kUnpackGroup>{});
  }
  return done;
}

struct Width {
  std::size_t (*pack)(std::span<const std::uint32_t>, std::byte*) noexcept;
  std::size_t (*unpack)(ByteView, std::span<std::uint32_t>) noexcept;
};

const Width& OfWidth(std::uint32_t bits) {
  static constexpr auto kWidths =
      []<std::uint32_t... kAt>(std::integer_sequence<std::uint32_t, kAt...>) {
    return std::array{Width{PackGroups<kMinBits + kAt>, UnpackGroups<kMinBits + kAt>}...};
  }
  (std::make_integer_sequence<std::uint32_t, kMaxBits - kMinBits + 1>{});
  DEMUR_CHECK(bits >= kMinBits && bits <= kMaxBits, "bits: 8 to 32");
  return kWidths[bits - kMinBits];
}

}  // namespace

Bytes Pack(std::span<const std::uint32_t> values, std::uint32_t bits) {
  const Width& width = OfWidth(bits);
  const std::uint32_t mask = LowBits(bits);
  Bytes packed(wire::PackedLen(static_cast<std::uint32_t>(values.size()), bits));
  const std::size_t done = width.pack(values, packed.data());
  std::size_t at = done / 8 * bits;
  std::uint64_t pending = 0;
  std::uint32_t filled = 0;
  for (const std::uint32_t value : values.subspan(done)) {
    pending |= std::uint64_t{value & mask} << filled;
    filled += bits;
    for (; filled >= 8; filled -= 8, pending >>= 8) packed[at++] = std::byte(pending & 0xFFU);
  }
  if (filled > 0) packed[at] = std::byte(pending & 0xFFU);
  return packed;
}

Status UnpackAdd(ByteView packed, std::uint32_t bits, std::span<std::uint32_t> sum) {
  const Width& width = OfWidth(bits);
  const std::uint64_t total_bits = std::uint64_t{sum.size()} * bits;
  if (packed.size() != (total_bits + 7) / 8) {
    return Error(ErrorCode::kInvalidArgument, "packed vector of the wrong length");
  }
  if (total_bits % 8 != 0 && (std::to_integer<unsigned>(packed.back()) >> (total_bits % 8)) != 0) {
    return Error(ErrorCode::kInvalidArgument, "packed vector with bits behind its end");
  }
  const std::uint64_t mask = LowBits(bits);
  const std::size_t done = width.unpack(packed, sum);
  std::uint64_t position = std::uint64_t{done} * bits;  // in bits
  for (std::uint32_t& entry : sum.subspan(done)) {
    const auto first = static_cast<std::size_t>(position / 8);
    std::uint64_t word = 0;
    std::memcpy(&word, packed.data() + first,
                std::min<std::size_t>(sizeof word, packed.size() - first));
    entry += static_cast<std::uint32_t>(word >> (position % 8) & mask);
    position += bits;
  }
  return {};
}

void Reduce(std::span<std::uint32_t> values, std::uint32_t bits) noexcept {
  const std::uint32_t mask = LowBits(bits);
  for (std::uint32_t& value : values) value &= mask;
}

}  // namespace demur::secagg
