#pragma once

#include <cstddef>
#include <cstdint>

#include "demur/base/bytes.h"
#include "demur/base/result.h"

// A set of members of one roster (U2, U3). Value type.
namespace demur::secagg {

class MemberSet {
 public:
  MemberSet() = default;
  explicit MemberSet(std::uint32_t n);  // empty set over 0..n-1
  // From the wire: bit i % 8 of byte i / 8 is member i.
  // kInvalidArgument: not ceil(n / 8) bytes, or a bit at n or beyond.
  static Result<MemberSet> FromBytes(std::uint32_t n, ByteView bytes);

  std::uint32_t universe() const noexcept { return n_; }
  std::uint32_t count() const noexcept { return count_; }
  bool Contains(std::uint32_t member) const noexcept {
    return member < n_ && (std::to_integer<unsigned>(bits_[member / 8]) >> (member % 8) & 1U) != 0;
  }
  void Insert(std::uint32_t member);  // member < n (checked); twice is once
  bool IsSubsetOf(const MemberSet& other) const noexcept;
  ByteView bytes() const noexcept { return bits_; }

  friend bool operator==(const MemberSet&, const MemberSet&) = default;

 private:
  std::uint32_t n_ = 0;
  std::uint32_t count_ = 0;
  Bytes bits_;
};

}  // namespace demur::secagg
