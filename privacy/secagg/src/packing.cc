#include "demur/secagg/packing.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "demur/base/check.h"
#include "demur/wire/secagg_messages.h"

namespace demur::secagg {
namespace {

static_assert(std::endian::native == std::endian::little, "packed words are read in place");

constexpr std::uint32_t LowBits(std::uint32_t bits) noexcept {
  return static_cast<std::uint32_t>((std::uint64_t{1} << bits) - 1);
}

}  // namespace

Bytes Pack(std::span<const std::uint32_t> values, std::uint32_t bits) {
  DEMUR_CHECK(bits >= 8 && bits <= 32, "bits: 8 to 32");
  const std::uint32_t mask = LowBits(bits);
  Bytes packed(wire::PackedLen(static_cast<std::uint32_t>(values.size()), bits));
  std::size_t at = 0;
  std::uint64_t pending = 0;
  std::uint32_t filled = 0;
  for (const std::uint32_t value : values) {
    pending |= std::uint64_t{value & mask} << filled;
    filled += bits;
    for (; filled >= 8; filled -= 8, pending >>= 8) packed[at++] = std::byte(pending & 0xFFU);
  }
  if (filled > 0) packed[at] = std::byte(pending & 0xFFU);
  return packed;
}

Status UnpackAdd(ByteView packed, std::uint32_t bits, std::span<std::uint32_t> sum) {
  DEMUR_CHECK(bits >= 8 && bits <= 32, "bits: 8 to 32");
  const std::uint64_t total_bits = std::uint64_t{sum.size()} * bits;
  if (packed.size() != (total_bits + 7) / 8) {
    return Error(ErrorCode::kInvalidArgument, "packed vector of the wrong length");
  }
  if (total_bits % 8 != 0 && (std::to_integer<unsigned>(packed.back()) >> (total_bits % 8)) != 0) {
    return Error(ErrorCode::kInvalidArgument, "packed vector with bits behind its end");
  }
  const std::uint64_t mask = LowBits(bits);
  std::uint64_t position = 0;  // in bits
  for (std::uint32_t& entry : sum) {
    const auto first = static_cast<std::size_t>(position / 8);
    std::uint64_t word = 0;  // bits + 7 <= 39 of its bits are needed
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
