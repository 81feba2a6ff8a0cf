#include "flat_reader.h"

#include <bit>
#include <vector>

#include "demur/base/check.h"

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

Bytes Flatten(capnp::MessageBuilder& builder) {
  const auto segments = builder.getSegmentsForOutput();
  // The table: how many more than one, words of each, padding to a whole word.
  std::vector<std::uint32_t> table = {static_cast<std::uint32_t>(segments.size() - 1)};
  std::size_t num_words = 0;
  for (const auto& segment : segments) {
    table.push_back(static_cast<std::uint32_t>(segment.size()));
    num_words += segment.size();
  }
  if (table.size() % 2 != 0) table.push_back(0);
  const auto header = std::as_bytes(std::span(table));
  Bytes out;
  out.reserve(header.size() + num_words * sizeof(capnp::word));
  out.assign(header.begin(), header.end());
  for (const auto& segment : segments) {
    const auto bytes = segment.asBytes();
    const auto* first = reinterpret_cast<const std::byte*>(bytes.begin());
    out.insert(out.end(), first, first + bytes.size());
  }
  return out;
}

static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ >= alignof(capnp::word));

Bytes KeepOnly(Bytes whole, ByteView part) {
  if (part.empty()) return {};
  const auto begin = reinterpret_cast<std::uintptr_t>(whole.data());
  const auto at =
      reinterpret_cast<std::uintptr_t>(part.data()) - begin;  // huge where it lies before
  DEMUR_CHECK(at <= whole.size() && part.size() <= whole.size() - at, "a field of these bytes");
  const std::size_t len = part.size();
  whole.erase(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(at));
  whole.resize(len);
  return whole;
}

capnp::ReaderOptions OptionsFor(ByteView body, const ReadLimits& limits) noexcept {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 2 * (body.size() / sizeof(capnp::word)) + 16;
  options.nestingLimit = limits.max_nesting;
  return options;
}

}  // namespace demur::wire::internal
