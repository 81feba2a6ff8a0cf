#include "flat_reader.h"

#include <bit>

namespace demur::wire::internal {

static_assert(std::endian::native == std::endian::little, "segment tables are read in place");

bool HasSoundFraming(ByteView body, const ReadLimits& limits) noexcept {
  if (body.empty() || body.size() % sizeof(capnp::word) != 0) return false;
  std::uint32_t last_segment = 0;
  std::memcpy(&last_segment, body.data(), sizeof last_segment);
  if (last_segment >= limits.max_segments) return false;
  // The table: a count, a size per segment, padded to a word; then the segments themselves.
  const std::size_t table_words = (std::size_t{last_segment} + 1) / 2 + 1;
  std::uint64_t total_words = table_words;
  if (table_words * sizeof(capnp::word) > body.size()) return false;
  for (std::size_t i = 0; i <= last_segment; ++i) {
    std::uint32_t segment_words = 0;
    std::memcpy(&segment_words, body.data() + sizeof(std::uint32_t) * (i + 1),
                sizeof segment_words);
    total_words += segment_words;
  }
  return total_words == body.size() / sizeof(capnp::word);
}

capnp::ReaderOptions OptionsFor(ByteView body, const ReadLimits& limits) noexcept {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 2 * (body.size() / sizeof(capnp::word)) + 16;
  options.nestingLimit = limits.max_nesting;
  return options;
}

}  // namespace demur::wire::internal
