#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/result.h"

// The hash tree of RFC 6962, section 2.1, and proofs for several leaves at once. A leaf is the hash
// that the caller gives; an inner node is SHA-256(0x01, left, right), and a tree of n leaves splits
// at the largest power of two below n. Immutable; safe from several threads.
namespace demur::secagg {

// SHA-256(0x01, left, right).
Hash256 MerkleNode(const Hash256& left, const Hash256& right);
// Leaves under the left child of a node over `size` > 1 of them.
std::size_t MerkleLeftSize(std::size_t size) noexcept;

class MerkleTree {
 public:
  // `leaves`: at least one (checked).
  explicit MerkleTree(std::span<const Hash256> leaves);

  const Hash256& root() const noexcept { return nodes_.front(); }
  // What somebody who knows the leaves at `indices` (strictly ascending, below the number of
  // leaves, at least one; checked) needs to compute the root: from left to right, the roots of the
  // largest subtrees that hold none of them.
  std::vector<Hash256> Proof(std::span<const std::uint32_t> indices) const;

 private:
  std::size_t size_ = 0;
  std::vector<Hash256> nodes_;  // a node, its left subtree, its right one
};

struct MerkleLeaf {
  std::uint32_t index = 0;
  Hash256 hash{};
};
// The root of the tree of `n` leaves that holds `leaves` (from a peer: any order and number of
// them is checked), given MerkleTree::Proof of their indices.
// kInvalidArgument: no leaf, indices that do not ascend below n, or a proof of another length.
Result<Hash256> MerkleRootOf(std::uint32_t n, std::span<const MerkleLeaf> leaves,
                             std::span<const Hash256> proof);

}  // namespace demur::secagg
