#include "demur/secagg/merkle.h"

#include <algorithm>
#include <bit>

#include "demur/base/check.h"
#include "demur/crypto/hash.h"

namespace demur::secagg {

Hash256 MerkleNode(const Hash256& left, const Hash256& right) {
  ByteWriter node;
  node.U8(1).Raw(left).Raw(right);
  return crypto::Sha256(node.bytes());
}

std::size_t MerkleLeftSize(std::size_t size) noexcept { return std::bit_floor(size - 1); }

namespace {

// Fills nodes[at, at + 2 * leaves.size() - 1).
void Build(std::span<const Hash256> leaves, std::size_t at, std::vector<Hash256>& nodes) {
  if (leaves.size() == 1) {
    nodes[at] = leaves.front();
    return;
  }
  const std::size_t left = MerkleLeftSize(leaves.size());
  const std::size_t right_at = at + 2 * left;
  Build(leaves.first(left), at + 1, nodes);
  Build(leaves.subspan(left), right_at, nodes);
  nodes[at] = MerkleNode(nodes[at + 1], nodes[right_at]);
}

using Indices = std::span<const std::uint32_t>;

// `indices`: those inside the subtree at `at` of leaves [first, first + size).
void Collect(const std::vector<Hash256>& nodes, std::size_t at, std::size_t first, std::size_t size,
             Indices indices, std::vector<Hash256>& out) {
  if (indices.empty()) {
    out.push_back(nodes[at]);
    return;
  }
  if (size == 1) return;
  const std::size_t left = MerkleLeftSize(size);
  const auto middle = std::lower_bound(indices.begin(), indices.end(), first + left);
  const auto split = static_cast<std::size_t>(middle - indices.begin());
  Collect(nodes, at + 1, first, left, indices.first(split), out);
  Collect(nodes, at + 2 * left, first + left, size - left, indices.subspan(split), out);
}

// The way back. `proof` loses what was used; `short_of` is set where it ran out.
class Rebuild {
 public:
  explicit Rebuild(std::span<const Hash256> proof) : proof_(proof) {}

  Hash256 Subtree(std::size_t first, std::size_t size, std::span<const MerkleLeaf> leaves) {
    if (leaves.empty()) return Next();
    if (size == 1) return leaves.front().hash;
    const std::size_t left = MerkleLeftSize(size);
    const auto middle = std::find_if(leaves.begin(), leaves.end(), [&](const MerkleLeaf& leaf) {
      return leaf.index >= first + left;
    });
    const auto split = static_cast<std::size_t>(middle - leaves.begin());
    const Hash256 a = Subtree(first, left, leaves.first(split));
    const Hash256 b = Subtree(first + left, size - left, leaves.subspan(split));
    return MerkleNode(a, b);
  }
  bool used_exactly() const { return !short_ && proof_.empty(); }

 private:
  Hash256 Next() {
    if (proof_.empty()) {
      short_ = true;
      return {};
    }
    const Hash256 node = proof_.front();
    proof_ = proof_.subspan(1);
    return node;
  }
  std::span<const Hash256> proof_;
  bool short_ = false;
};

}  // namespace

MerkleTree::MerkleTree(std::span<const Hash256> leaves) : size_(leaves.size()) {
  DEMUR_CHECK(!leaves.empty(), "a tree has leaves");
  nodes_.resize(2 * leaves.size() - 1);
  Build(leaves, 0, nodes_);
}

std::vector<Hash256> MerkleTree::Proof(std::span<const std::uint32_t> indices) const {
  DEMUR_CHECK(!indices.empty() && indices.back() < size_ &&
                  std::is_sorted(indices.begin(), indices.end(), std::less_equal<>()),
              "indices ascend and are in the tree");
  std::vector<Hash256> out;
  Collect(nodes_, 0, 0, size_, indices, out);
  return out;
}

Result<Hash256> MerkleRootOf(std::uint32_t n, std::span<const MerkleLeaf> leaves,
                             std::span<const Hash256> proof) {
  const Error bad(ErrorCode::kInvalidArgument, "merkle: leaves and proof do not fit the tree");
  if (leaves.empty() || leaves.back().index >= n) return bad;
  for (std::size_t i = 1; i < leaves.size(); ++i) {
    if (leaves[i - 1].index >= leaves[i].index) return bad;
  }
  Rebuild rebuild(proof);
  const Hash256 root = rebuild.Subtree(0, n, leaves);
  if (!rebuild.used_exactly()) return bad;
  return root;
}

}  // namespace demur::secagg
