#include "demur/secagg/member_set.h"

#include <bit>

#include "demur/base/check.h"
#include "demur/wire/secagg_messages.h"

namespace demur::secagg {

MemberSet::MemberSet(std::uint32_t n) : n_(n), bits_(wire::BitmapLen(n)) {}

Result<MemberSet> MemberSet::FromBytes(std::uint32_t n, ByteView bytes) {
  if (bytes.size() != wire::BitmapLen(n)) {
    return Error(ErrorCode::kInvalidArgument, "member set of the wrong length");
  }
  if (n % 8 != 0 && (std::to_integer<unsigned>(bytes.back()) >> (n % 8)) != 0) {
    return Error(ErrorCode::kInvalidArgument, "member set with a member outside the roster");
  }
  MemberSet set(n);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    set.bits_[i] = bytes[i];
    set.count_ += static_cast<std::uint32_t>(std::popcount(std::to_integer<unsigned>(bytes[i])));
  }
  return set;
}

void MemberSet::Insert(std::uint32_t member) {
  DEMUR_CHECK(member < n_, "a member set holds members of its roster only");
  if (Contains(member)) return;
  bits_[member / 8] |= std::byte(1U << (member % 8));
  ++count_;
}

bool MemberSet::IsSubsetOf(const MemberSet& other) const noexcept {
  if (n_ != other.n_) return false;
  for (std::size_t i = 0; i < bits_.size(); ++i) {
    if ((bits_[i] & ~other.bits_[i]) != std::byte{0}) return false;
  }
  return true;
}

}  // namespace demur::secagg
