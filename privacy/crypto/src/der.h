#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>

#include "demur/base/bytes.h"

// Walks over DER. Private to privacy/crypto. Only the one length that DER has for an element is
// taken, so that whoever compares or hashes what was read never meets the same content in other
// bytes. Nothing is copied: what is returned points into the bytes given.
namespace demur::crypto::internal {

// Tags of one byte: class, constructed or not, number.
inline constexpr unsigned kDerInteger = 0x02;
inline constexpr unsigned kDerOctets = 0x04;
inline constexpr unsigned kDerUtf8 = 0x0c;
inline constexpr unsigned kDerPrintable = 0x13;
inline constexpr unsigned kDerUtcTime = 0x17;
inline constexpr unsigned kDerGeneralizedTime = 0x18;
inline constexpr unsigned kDerSequence = 0x30;
inline constexpr unsigned kDerSet = 0x31;

class DerReader {
 public:
  explicit DerReader(ByteView bytes) : rest_(bytes) {}

  bool empty() const noexcept { return rest_.empty(); }
  unsigned next_tag() const noexcept { return empty() ? 0 : std::to_integer<unsigned>(rest_[0]); }

  // The content of the next element. nullopt, and nothing is passed over: it has another tag, is
  // longer than what is left, or its length is written otherwise than DER does.
  std::optional<ByteView> Take(unsigned tag) {
    const auto element = TakeWhole(tag);
    if (!element) return std::nullopt;
    return element->content;
  }
  struct Element {
    ByteView whole;  // tag, length, content
    ByteView content;
  };
  std::optional<Element> TakeWhole(unsigned tag);

  // Passes over just these bytes; false: there are others.
  [[nodiscard]] bool Skip(ByteView expected) {
    if (!AsText(rest_).starts_with(AsText(expected))) return false;
    rest_ = rest_.subspan(expected.size());
    return true;
  }
  // The next `len` bytes, whatever they are.
  std::optional<ByteView> TakeBytes(std::size_t len) {
    if (rest_.size() < len) return std::nullopt;
    const ByteView out = rest_.first(len);
    rest_ = rest_.subspan(len);
    return out;
  }

 private:
  ByteView rest_;
};

inline std::optional<DerReader::Element> DerReader::TakeWhole(unsigned tag) {
  constexpr std::size_t kShortMax = 0x7f;  // a length up to here is one byte
  if (rest_.size() < 2 || next_tag() != tag) return std::nullopt;
  std::size_t len = std::to_integer<std::size_t>(rest_[1]);
  std::size_t header = 2;
  if (len > kShortMax) {
    const std::size_t width = len & kShortMax;
    if (width < 1 || width > 2 || rest_.size() < header + width) return std::nullopt;
    len = 0;
    for (std::size_t i = 0; i < width; ++i) {
      len = len << 8 | std::to_integer<std::size_t>(rest_[header + i]);
    }
    header += width;
    if (len <= kShortMax || (width == 2 && len <= 0xff)) return std::nullopt;
  }
  if (rest_.size() - header < len) return std::nullopt;
  const Element out{rest_.first(header + len), rest_.subspan(header, len)};
  rest_ = rest_.subspan(header + len);
  return out;
}

}  // namespace demur::crypto::internal
