#pragma once

#include <cstdint>
#include <vector>

#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/secagg/member_set.h"

// Who masks with whom: a ring of all members in an order drawn from the session, each joined to the
// k / 2 next on either side (a Harary graph). Immutable; safe from several threads.
namespace demur::secagg {

class Graph {
 public:
  // The order is a Fisher-Yates shuffle over 32-bit big-endian words of AES-256-CTR(seed), words
  // that would bias the draw thrown away. kInternal: the cipher failed.
  // `neighbours`: k, even, below n (checked).
  static Result<Graph> Create(std::uint32_t n, std::uint32_t neighbours,
                              const SecretArray<32>& seed);

  std::uint32_t size() const noexcept { return n_; }
  // Ascending, without `member` itself; `member` < size() (checked).
  std::vector<std::uint32_t> Neighbours(std::uint32_t member) const;
  bool AreNeighbours(std::uint32_t a, std::uint32_t b) const noexcept;
  // |N(member) and set|.
  std::uint32_t CountIn(std::uint32_t member, const MemberSet& set) const;

 private:
  std::uint32_t n_ = 0;
  std::uint32_t half_ = 0;
  std::vector<std::uint32_t> member_at_;    // ring position -> member
  std::vector<std::uint32_t> position_of_;  // member -> ring position
};

}  // namespace demur::secagg
