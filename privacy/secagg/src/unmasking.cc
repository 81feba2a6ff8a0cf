#include <algorithm>
#include <numeric>

#include "demur/secagg/mask.h"
#include "server_steps.h"

namespace demur::secagg::server {
namespace {

// The `threshold` shares of the lowest holders: which shares are used does not depend on the order
// in which they came.
std::vector<HeldShare> ChooseShares(const OpenedShares& opened, std::uint32_t threshold) {
  std::vector<std::size_t> order(opened.holders.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&opened](auto a, auto b) { return opened.holders[a] < opened.holders[b]; });
  std::vector<HeldShare> chosen;
  chosen.reserve(threshold);
  for (std::size_t i = 0; i < std::min<std::size_t>(threshold, order.size()); ++i) {
    chosen.push_back({opened.holders[order[i]] + 1, &opened.shares[order[i]]});
  }
  return chosen;
}

UnmaskFailure Internal() { return {ServerAbort::kInternal, std::nullopt}; }

// Takes the self mask of a survivor off the sum.
std::optional<UnmaskFailure> RemoveSelfMask(state::Unmasking& state, std::uint32_t member,
                                            const SecretArray<32>& seed) {
  const RosterMember& owner = state.frozen.roster[member];
  const MemberId& id = state.core.members[owner.position].id;
  if (SelfCommitment(state.frozen.facts.announce_hash, id, seed) != owner.self_commitment) {
    return UnmaskFailure{ServerAbort::kBadDealing, id};
  }
  const auto key = SelfMaskKey(state.frozen.facts, seed, member);
  if (!ApplyMask(key, MaskSign::kSubtract, state.sum)) return Internal();
  return std::nullopt;
}

// Takes off what the survivors masked with a member that dropped out after sharing.
std::optional<UnmaskFailure> RemovePairMasks(state::Unmasking& state, std::uint32_t member,
                                             const SecretArray<32>& seed) {
  const Frozen& frozen = state.frozen;
  const RosterMember& owner = frozen.roster[member];
  const auto pair = KeyPairFromSeed(frozen.facts.announce_hash, seed);
  if (!pair) return Internal();
  if (pair->public_key != owner.mask_key) {
    return UnmaskFailure{ServerAbort::kBadDealing, state.core.members[owner.position].id};
  }
  auto own_key = crypto::X25519Agreement::Create(pair->private_key);
  if (!own_key) return Internal();
  for (const std::uint32_t neighbour : frozen.graph.Neighbours(member)) {
    if (!state.survivors.Contains(neighbour)) continue;
    const auto key = PairMaskKey(frozen.facts, *own_key, {member, pair->public_key},
                                 {neighbour, frozen.roster[neighbour].mask_key});
    if (!key) return Internal();
    // The neighbour added it if the member stands above it, and subtracted it otherwise.
    const MaskSign sign = member > neighbour ? MaskSign::kSubtract : MaskSign::kAdd;
    if (!ApplyMask(*key, sign, state.sum)) return Internal();
  }
  return std::nullopt;
}

}  // namespace

std::optional<UnmaskFailure> RemoveMasks(state::Unmasking& state) {
  const std::uint32_t threshold = state.frozen.parameters.threshold;
  for (std::uint32_t member = 0; member < state.frozen.facts.n; ++member) {
    if (!state.shared.Contains(member)) continue;
    const auto shares = ChooseShares(state.opened[member], threshold);
    if (shares.size() < threshold) return UnmaskFailure{ServerAbort::kTooFewShares, std::nullopt};
    const auto seed = OpenSecret(shares);
    if (!seed) {
      const MemberId& id = state.core.members[state.frozen.roster[member].position].id;
      return UnmaskFailure{ServerAbort::kBadDealing, id};
    }
    auto failure = state.survivors.Contains(member) ? RemoveSelfMask(state, member, *seed)
                                                    : RemovePairMasks(state, member, *seed);
    if (failure) return failure;
  }
  return std::nullopt;
}

}  // namespace demur::secagg::server
