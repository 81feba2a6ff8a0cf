#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "demur/base/bytes.h"
#include "result_matchers.h"

// What every decoder has to bear, given the bytes of a good message.
namespace demur::wire {

// `decode` takes a ByteView. Accepts the message also from an address that is not word-aligned;
// refuses every truncation and extension; survives every single flipped bit.
template <class Decode>
void ExpectHardened(ByteView good, Decode decode) {
  ASSERT_OK(decode(good));
  Bytes shifted(good.size() + 1);
  std::copy(good.begin(), good.end(), shifted.begin() + 1);
  EXPECT_OK(decode(ByteView(shifted).subspan(1)));
  for (std::size_t len = 0; len < good.size(); ++len) {
    EXPECT_ERROR(decode(good.first(len)), ErrorCode::kInvalidArgument) << len;
  }
  Bytes longer = ToBytes(good);
  for (int i = 0; i < 16; ++i) {
    longer.push_back(std::byte{0});
    EXPECT_ERROR(decode(ByteView(longer)), ErrorCode::kInvalidArgument) << longer.size();
  }
  std::size_t refused = 0;
  const std::size_t bits = 8 * std::min<std::size_t>(good.size(), 1024);
  for (std::size_t bit = 0; bit < bits; ++bit) {
    Bytes bad = ToBytes(good);
    bad[bit / 8] ^= std::byte(1U << (bit % 8));
    const auto outcome = decode(ByteView(bad));
    if (outcome.has_value()) continue;
    ++refused;
    EXPECT_ERROR(outcome, ErrorCode::kInvalidArgument) << bit;
  }
  // The segment table and the root pointer alone have more bits than this.
  EXPECT_GT(refused, 64U);
}

// Little-endian words, to build messages that no encoder makes.
class Words {
 public:
  Words& Word(std::uint64_t word) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof word);
    std::memcpy(bytes_.data() + at, &word, sizeof word);
    return *this;
  }
  // Cap'n Proto pointers: `offset` in words from the end of the pointer.
  Words& StructPointer(std::int32_t offset, std::uint16_t data_words, std::uint16_t pointers) {
    return Word(static_cast<std::uint32_t>(offset) << 2 | std::uint64_t{data_words} << 32 |
                std::uint64_t{pointers} << 48);
  }
  // `size` 2: bytes, 7: structs behind a tag (then `count` is in words).
  Words& ListPointer(std::int32_t offset, std::uint8_t size, std::uint32_t count) {
    return Word((static_cast<std::uint32_t>(offset) << 2 | 1U) | std::uint64_t{size} << 32 |
                std::uint64_t{count} << 35);
  }
  // The message, as one segment.
  Bytes Message() const {
    Words out;
    out.Word(std::uint64_t{bytes_.size() / 8} << 32);
    out.bytes_.insert(out.bytes_.end(), bytes_.begin(), bytes_.end());
    return out.bytes_;
  }

 private:
  Bytes bytes_;
};

}  // namespace demur::wire
