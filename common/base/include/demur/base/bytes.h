#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "demur/base/result.h"

// Plain byte strings and fixed-order encodings. Stateless; safe from several threads.
namespace demur {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;
using Hash256 = std::array<std::byte, 32>;  // SHA-256 digests, Merkle nodes, session ids

inline ByteView AsBytes(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view AsText(ByteView bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes ToBytes(ByteView view) { return {view.begin(), view.end()}; }

// Lower-case hexadecimal.
std::string ToHex(ByteView bytes);
// kInvalidArgument: odd length or a character outside 0-9a-fA-F.
Result<Bytes> FromHex(std::string_view text);
// kInvalidArgument as above, or not exactly N bytes.
template <std::size_t N>
Result<std::array<std::byte, N>> FromHexExactly(std::string_view text) {
  DEMUR_TRY(const Bytes bytes, FromHex(text));
  if (bytes.size() != N) return Error(ErrorCode::kInvalidArgument, "hex text of the wrong length");
  std::array<std::byte, N> out{};
  for (std::size_t i = 0; i < N; ++i) out[i] = bytes[i];
  return out;
}

// Appends fixed-width big-endian integers and raw bytes: the canonical form of everything that is
// hashed or signed.
class ByteWriter {
 public:
  ByteWriter& U8(std::uint8_t v) { return Integer(v, 1); }
  ByteWriter& U16(std::uint16_t v) { return Integer(v, 2); }
  ByteWriter& U32(std::uint32_t v) { return Integer(v, 4); }
  ByteWriter& U64(std::uint64_t v) { return Integer(v, 8); }
  ByteWriter& Raw(ByteView bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  // u32 length, then the bytes.
  ByteWriter& Sized(ByteView bytes) {
    U32(static_cast<std::uint32_t>(bytes.size()));
    return Raw(bytes);
  }
  ByteWriter& Text(std::string_view text) { return Raw(AsBytes(text)); }

  const Bytes& bytes() const& noexcept { return out_; }
  Bytes&& bytes() && noexcept { return std::move(out_); }

 private:
  ByteWriter& Integer(std::uint64_t v, int width) {
    for (int i = width - 1; i >= 0; --i) out_.push_back(std::byte(v >> (8 * i) & 0xFFU));
    return *this;
  }
  Bytes out_;
};

// Reads what ByteWriter wrote. Every call checks the length first; after an error the reader
// stays where it was. kDataLoss: not enough bytes.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) noexcept : rest_(bytes) {}

  Result<std::uint8_t> U8();
  Result<std::uint16_t> U16();
  Result<std::uint32_t> U32();
  Result<std::uint64_t> U64();
  Result<ByteView> Raw(std::size_t len);
  // u32 length (at most `max_len`), then the bytes.
  Result<ByteView> Sized(std::size_t max_len);
  // kDataLoss unless everything was read.
  Status Finish() const;
  std::size_t remaining() const noexcept { return rest_.size(); }

 private:
  Result<std::uint64_t> Integer(std::size_t width);
  ByteView rest_;
};

}  // namespace demur
