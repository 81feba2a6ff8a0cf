#include <algorithm>
#include <numeric>

#include "demur/secagg/mask.h"
#include "server_steps.h"

namespace demur::secagg::server {
namespace {

// All shares that were revealed of one seed, those of the lowest holders first: which shares are
// used does not depend on the order in which they came.
std::vector<HeldShare> InOrder(const OpenedShares& opened) {
  std::vector<std::size_t> order(opened.holders.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&opened](auto a, auto b) { return opened.holders[a] < opened.holders[b]; });
  std::vector<HeldShare> out;
  out.reserve(order.size());
  for (const std::size_t i : order) out.push_back({opened.holders[i] + 1, &opened.shares[i]});
  return out;
}

// Takes masks off a sum, a batch at a time: one walk over the vector serves several.
class MaskRemover {
 public:
  explicit MaskRemover(std::span<std::uint32_t> sum) : sum_(sum) {}

  // What was added is subtracted.
  Status Remove(SecretArray<32> key, MaskSign was) {
    keys_.push_back(std::move(key));
    signs_.push_back(was == MaskSign::kAdd ? MaskSign::kSubtract : MaskSign::kAdd);
    return keys_.size() < kBatch ? Status() : Flush();
  }
  Status Flush() {
    std::vector<MaskTerm> terms;
    terms.reserve(keys_.size());
    for (std::size_t i = 0; i < keys_.size(); ++i) terms.push_back({&keys_[i], signs_[i]});
    Status status = ApplyMasks(terms, sum_);
    keys_.clear();
    signs_.clear();
    return status;
  }

 private:
  static constexpr std::size_t kBatch = 64;
  std::span<std::uint32_t> sum_;
  std::vector<SecretArray<32>> keys_;
  std::vector<MaskSign> signs_;
};

class Unmasking {
 public:
  explicit Unmasking(state::Unmasking& state) : state_(state), remover_(state.sum) {}

  std::optional<ServerAbort> Run(std::vector<MemberId>* blamed) {
    for (std::uint32_t member = 0; member < state_.frozen.facts.n; ++member) {
      if (!state_.shared.Contains(member)) continue;
      if (auto failure = RemoveMasksOf(member, blamed)) return failure;
    }
    if (!remover_.Flush()) return ServerAbort::kInternal;
    return std::nullopt;
  }

 private:
  const MemberId& IdOf(std::uint32_t member) const {
    return state_.core.members[state_.frozen.roster[member].position].id;
  }

  // Whether `seed` is what the member committed to: the self seed of a survivor, the mask seed of
  // one that dropped out after sharing. The pair of a mask seed is kept for what follows.
  Result<bool> IsCommitted(std::uint32_t member, const SecretArray<32>& seed,
                           crypto::X25519KeyPair* pair) const {
    const RosterMember& owner = state_.frozen.roster[member];
    const Hash256& announce = state_.frozen.facts.announce_hash;
    if (state_.survivors.Contains(member)) {
      return SelfCommitment(announce, IdOf(member), seed) == owner.self_commitment;
    }
    DEMUR_TRY(*pair, KeyPairFromSeed(announce, seed));
    return pair->public_key == owner.mask_key;
  }

  // The seed from the shares of the lowest holders; where those do not open what the dealer
  // committed to, from all of them, of which some may be wrong.
  std::optional<ServerAbort> Open(std::uint32_t member, SecretArray<32>* seed,
                                  crypto::X25519KeyPair* pair, std::vector<MemberId>* blamed) {
    const std::uint32_t threshold = state_.frozen.parameters.threshold;
    const auto shares = InOrder(state_.opened[member]);
    if (shares.size() < threshold) return ServerAbort::kTooFewShares;
    if (auto opened = OpenSecret(std::span(shares).first(threshold))) {
      const auto committed = IsCommitted(member, *opened, pair);
      if (!committed) return ServerAbort::kInternal;
      if (*committed) {
        *seed = std::move(*opened);
        return std::nullopt;
      }
    }
    // Every share here is the one that its dealer signed the hash of.
    blamed->push_back(IdOf(member));
    if (auto robust = OpenSecretRobust(shares, threshold)) {
      const auto committed = IsCommitted(member, robust->secret, pair);
      if (!committed) return ServerAbort::kInternal;
      if (*committed) {
        *seed = std::move(robust->secret);
        return std::nullopt;
      }
    }
    return ServerAbort::kBadDealing;
  }

  std::optional<ServerAbort> RemoveMasksOf(std::uint32_t member, std::vector<MemberId>* blamed) {
    SecretArray<32> seed;
    crypto::X25519KeyPair pair;
    if (auto failure = Open(member, &seed, &pair, blamed)) return failure;
    if (!state_.survivors.Contains(member)) return RemovePairMasks(member, pair);
    auto key = SelfMaskKey(state_.frozen.facts, seed, member);
    if (!remover_.Remove(std::move(key), MaskSign::kAdd)) return ServerAbort::kInternal;
    return std::nullopt;
  }

  // What the survivors masked with a member that dropped out after sharing.
  std::optional<ServerAbort> RemovePairMasks(std::uint32_t member,
                                             const crypto::X25519KeyPair& pair) {
    const Frozen& frozen = state_.frozen;
    auto own_key = crypto::X25519Agreement::Create(pair.private_key);
    if (!own_key) return ServerAbort::kInternal;
    for (const std::uint32_t neighbour : frozen.graph.Neighbours(member)) {
      if (!state_.survivors.Contains(neighbour)) continue;
      auto key = PairMaskKey(frozen.facts, *own_key, {member, pair.public_key},
                             {neighbour, frozen.roster[neighbour].mask_key});
      if (!key) return ServerAbort::kInternal;
      // The neighbour added it if the member stands above it, and subtracted it otherwise.
      const MaskSign was = member > neighbour ? MaskSign::kAdd : MaskSign::kSubtract;
      if (!remover_.Remove(std::move(*key), was)) return ServerAbort::kInternal;
    }
    return std::nullopt;
  }

  state::Unmasking& state_;
  MaskRemover remover_;
};

}  // namespace

std::optional<ServerAbort> RemoveMasks(state::Unmasking& state, std::vector<MemberId>* blamed) {
  return Unmasking(state).Run(blamed);
}

}  // namespace demur::secagg::server
