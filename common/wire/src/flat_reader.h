#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "demur/base/bytes.h"
#include "demur/base/result.h"

// The guarded door to Cap'n Proto, for the sources of common/wire only: no capnp or kj type leaves
// this part. Writing: fill a MallocMessageBuilder, then Flatten. Reading: ReadFlat. Stateless; safe
// from several threads.
namespace demur::wire::internal {

struct ReadLimits {
  std::uint32_t max_segments = 16;  // ours have 1; a peer's encoder may need a few
  int max_nesting = 8;              // pointers to follow: depth of the schema plus slack
};

// The one answer to bytes that are not a message. kj's own text names files, lines and conditions
// and stays here.
inline Error MalformedMessage() { return Error(ErrorCode::kInvalidArgument, "malformed message"); }
inline Error FieldOutOfRange(const char* field) {
  return Error(ErrorCode::kInvalidArgument, std::string("message field out of range: ") + field);
}

// Whole words, and a segment table that accounts for every one of them. Looks at the bytes only:
// capnp's reader adds 1 to the segment count before anything else, and sizes a table by it.
bool HasSoundFraming(ByteView body, const ReadLimits& limits) noexcept;
capnp::ReaderOptions OptionsFor(ByteView body, const ReadLimits& limits) noexcept;

// Calls convert(Schema::Reader), which copies what it needs into a plain struct and returns a
// Result of it. Accessors check lazily and THROW kj::Exception, an element of a list or the
// condition of a loop included; so every one of them runs inside this call and no reader outlives
// it. Read each field once: the traversal limit (twice the body) is what stops a small message
// whose pointers lead back to itself.
// A body that is not word-aligned is copied first; capnp reads words in place.
// kInvalidArgument: malformed, over a limit, bytes after the message; or what convert returns.
template <class Schema, class Convert>
auto ReadFlat(ByteView body, const ReadLimits& limits, Convert&& convert)
    -> std::invoke_result_t<Convert, typename Schema::Reader> {
  if (!HasSoundFraming(body, limits)) return MalformedMessage();
  const std::size_t num_words = body.size() / sizeof(capnp::word);
  try {
    kj::Array<capnp::word> copy;
    auto first = reinterpret_cast<const capnp::word*>(body.data());
    if (reinterpret_cast<std::uintptr_t>(body.data()) % alignof(capnp::word) != 0) {
      copy = kj::heapArray<capnp::word>(num_words);
      std::memcpy(copy.begin(), body.data(), body.size());
      first = copy.begin();
    }
    capnp::FlatArrayMessageReader message(kj::arrayPtr(first, num_words), OptionsFor(body, limits));
    return std::forward<Convert>(convert)(message.template getRoot<Schema>());
  } catch (const kj::Exception&) {
    return MalformedMessage();
  }
}

// The message of `builder` with its segment table. Written here because capnp's own function gives
// an array that a masked vector would have to be copied out of once more.
Bytes Flatten(capnp::MessageBuilder& builder);

// Words for a first segment that holds `data_len` bytes of Data and `fields_len` of the rest, so
// that a message is one segment.
inline kj::uint FirstSegmentWords(std::size_t data_len, std::size_t fields_len) {
  return static_cast<kj::uint>((data_len + fields_len) / sizeof(capnp::word) + 8);
}

inline capnp::Data::Reader AsData(ByteView bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}
inline ByteView AsView(capnp::Data::Reader data) {
  return std::as_bytes(std::span(data.begin(), data.size()));
}

// Copies a field of exactly N bytes; false: it has another length, and `out` is untouched.
template <std::size_t N>
[[nodiscard]] bool CopyExactly(capnp::Data::Reader data, std::span<std::byte, N> out) {
  const ByteView bytes = AsView(data);
  if (bytes.size() != N) return false;
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return true;
}
template <std::size_t N>
[[nodiscard]] bool CopyExactly(capnp::Data::Reader data, std::array<std::byte, N>* out) {
  return CopyExactly<N>(data, std::span<std::byte, N>(*out));
}

// Copies at most `max_len` bytes; false: it is longer.
[[nodiscard]] inline bool CopyAtMost(capnp::Data::Reader data, std::size_t max_len, Bytes* out) {
  const ByteView bytes = AsView(data);
  if (bytes.size() > max_len) return false;
  out->assign(bytes.begin(), bytes.end());
  return true;
}

// What is left of `whole` when only `part` of it stays: for a field of a message that is about as
// long as the message. `part` lies in `whole` (checked), as every field does that ReadFlat reads in
// a Bytes: those are aligned.
Bytes KeepOnly(Bytes whole, ByteView part);

inline bool IsPrintable(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}
// Copies at most `max_len` bytes of printable ASCII; false: longer, or other characters.
[[nodiscard]] inline bool CopyText(capnp::Text::Reader text, std::size_t max_len,
                                   std::string* out) {
  const std::string_view view(text.begin(), text.size());
  if (view.size() > max_len || !IsPrintable(view)) return false;
  out->assign(view);
  return true;
}

}  // namespace demur::wire::internal
