#include "demur/base/random.h"

#include <array>
#include <cstring>

namespace demur {

Result<std::uint32_t> UniformBelow(RandomStream& stream, std::uint32_t bound) {
  DEMUR_CHECK(bound > 0, "an empty range has no element");
  // Accept below the largest multiple of `bound`: every residue is then equally likely.
  const std::uint64_t limit = (std::uint64_t{1} << 32) / bound * bound;
  for (;;) {
    std::array<std::byte, 4> raw{};
    DEMUR_RETURN_IF_ERROR(stream.Fill(raw));
    std::uint32_t word = 0;
    std::memcpy(&word, raw.data(), sizeof word);
    if (word < limit) return static_cast<std::uint32_t>(word % bound);
  }
}

std::uint64_t StreamTask(const TaskId& task) noexcept {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < 8; ++i)
    out = out << 8 | std::to_integer<std::uint64_t>(task.bytes[i]);
  return out;
}

Result<double> UniformUnit(RandomStream& stream) {
  std::array<std::byte, 8> raw{};
  DEMUR_RETURN_IF_ERROR(stream.Fill(raw));
  std::uint64_t word = 0;
  std::memcpy(&word, raw.data(), sizeof word);
  return static_cast<double>(word >> 11) * 0x1p-53;
}

}  // namespace demur
