#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "attacks_util.h"
#include "demur/secagg/graph.h"
#include "demur/secagg/merkle.h"

// Rosters of the malicious profile that a dishonest coordinator makes up: with proofs that do not
// hold, and with proofs that do hold, over a tree of its own.
namespace demur::secagg {
namespace {

constexpr std::uint32_t kVictim = 0;

struct Leaf {
  crypto::PublicKey identity_key{};
  Hash256 rest{};
};
using Leaves = std::vector<Leaf>;
using Indices = std::vector<std::uint32_t>;

wire::Advertise AdvertiseOf(Recording& r, std::uint32_t index) {
  auto out =
      wire::DecodeAdvertise(Opened(r.FromDevice(r.DeviceAt(index), FrameType::kAdvertise)).body);
  EXPECT_OK(out);
  return std::move(*out);
}

Leaves HonestLeaves(Recording& r) {
  Leaves out;
  for (std::uint32_t i = 0; i < r.announcement().plan.secagg.roster_max; ++i) {
    const auto advertise = AdvertiseOf(r, i);
    out.push_back({advertise.identity_key, RosterRest(advertise)});
  }
  return out;
}

// The M2 for the victim over `leaves`: graph and committee are those of the session that this tree
// makes, and every proof is good. `shown`: whom it names as the committee, given the drawn ones.
wire::Roster RosterOver(
    Recording& r, const Leaves& leaves,
    const std::function<void(Indices*)>& shown = [](Indices*) {}) {
  const auto n = static_cast<std::uint32_t>(leaves.size());
  std::vector<Hash256> hashes;
  for (const Leaf& leaf : leaves) hashes.push_back(RosterLeaf(leaf.identity_key, leaf.rest));
  const MerkleTree tree(hashes);
  wire::Roster out = RosterOf(kVictim, r);
  out.root = tree.root();
  const SessionFacts facts = MakeSession(r.announcement(), out.server_nonce, out.root, n);
  const auto parameters = ComputeParameters(n, r.announcement().plan.secagg);
  EXPECT_OK(parameters);
  auto neighbours = Graph::NeighboursOf(out.my_index, n, *parameters, GraphSeed(facts));
  auto committee = DrawCommittee(n, *parameters, CommitteeSeed(facts));
  EXPECT_TRUE(neighbours && committee);
  out.neighbours.clear();
  std::set<std::uint32_t> named = {out.my_index};
  for (const std::uint32_t i : *neighbours) {
    out.neighbours.push_back({i, Opened(r.FromDevice(r.DeviceAt(i), FrameType::kAdvertise))});
    named.insert(i);
  }
  Indices others;
  for (const std::uint32_t i : *committee) {
    if (!named.contains(i)) others.push_back(i);
  }
  shown(&others);
  out.committee.clear();
  for (const std::uint32_t i : others) {
    out.committee.push_back({i, leaves[i].identity_key, leaves[i].rest});
    named.insert(i);
  }
  const Indices ascending(named.begin(), named.end());
  out.multiproof = tree.Proof(ascending);
  return out;
}

ClientTransition Show(Recording& r, const wire::Roster& roster) {
  return Give(r, kVictim, "advertised", FrameType::kRoster, AsFrame(roster, r));
}

TEST(SecAggNegative, roster_proof_tamper) {
  Recording& r = Expander();
  const wire::Roster honest = RosterOf(kVictim, r);
  ASSERT_FALSE(honest.multiproof.empty());
  ASSERT_FALSE(honest.committee.empty());
  for (std::size_t i = 0; i < honest.multiproof.size(); ++i) {
    wire::Roster roster = honest;
    roster.multiproof[i][i % 32] ^= std::byte{1};
    EXPECT_TRUE(Fails(Show(r, roster), ClientAbort::kRoster)) << i;
  }
  const auto rejects = [&](const char* what, const std::function<void(wire::Roster&)>& change) {
    SCOPED_TRACE(what);
    wire::Roster roster = honest;
    change(roster);
    EXPECT_TRUE(Fails(Show(r, roster), ClientAbort::kRoster));
  };
  rejects("a node less", [](auto& m) { m.multiproof.pop_back(); });
  rejects("a node more", [](auto& m) { m.multiproof.push_back(m.multiproof[0]); });
  rejects("no proof", [](auto& m) { m.multiproof.clear(); });
  rejects("two nodes in each other's place",
          [](auto& m) { std::swap(m.multiproof[0], m.multiproof[1]); });
  rejects("another rest of a committee member",
          [](auto& m) { m.committee[0].rest[0] ^= std::byte{1}; });
  rejects("a key of the coordinator's in the committee", [](auto& m) {
    m.committee[0].identity_key[31] ^= std::byte{1};  // still between its neighbours in the order
  });
  rejects("a member of the committee twice", [](auto& m) {
    auto one = m.committee[0];
    one.index = m.neighbours[0].index;
    m.committee.push_back(one);
    std::sort(m.committee.begin(), m.committee.end(),
              [](const auto& a, const auto& b) { return a.index < b.index; });
  });
}

// The helper's own rosters are taken, so what follows is refused for what it says.
TEST(SecAggNegative, a_roster_over_the_honest_tree_is_taken) {
  Recording& r = Expander();
  const wire::Roster roster = RosterOver(r, HonestLeaves(r));
  EXPECT_EQ(roster, RosterOf(kVictim, r));
  EXPECT_EQ(Describe(Show(r, roster)), "M3 -> shared");
}

// The coordinator's tree holds another key of the victim's: its neighbours would seal shares and
// make masks for the coordinator.
TEST(SecAggNegative, a_tree_without_the_device_itself_is_rejected) {
  Recording& r = Expander();
  Leaves leaves = HonestLeaves(r);
  leaves[r.IndexOf(kVictim)].rest[0] ^= std::byte{1};
  EXPECT_TRUE(Fails(Show(r, RosterOver(r, leaves)), ClientAbort::kRoster));
  // At a place of its own choice.
  wire::Roster roster = RosterOf(kVictim, r);
  roster.my_index = (roster.my_index + 1) % roster.size;
  EXPECT_TRUE(Fails(Show(r, roster), ClientAbort::kGraph));
}

TEST(SecAggNegative, a_committee_that_was_not_drawn_is_rejected) {
  Recording& r = Expander();
  const Leaves leaves = HonestLeaves(r);
  // One of the drawn is missing.
  EXPECT_TRUE(Fails(Show(r, RosterOver(r, leaves, [](Indices* c) { c->erase(c->begin() + 1); })),
                    ClientAbort::kGraph));
  // One too many, who stands in the tree but was not drawn.
  const auto spare = [&](Indices* committee) {
    const auto drawn = DrawCommittee(
        static_cast<std::uint32_t>(leaves.size()),
        *ComputeParameters(static_cast<std::uint32_t>(leaves.size()), r.announcement().plan.secagg),
        CommitteeSeed(std::get<client::state::Shared>(r.DeviceIn(kVictim, "shared")).place.facts));
    std::set<std::uint32_t> named(drawn->begin(), drawn->end());
    for (const auto& neighbour : RosterOf(kVictim, r).neighbours) named.insert(neighbour.index);
    named.insert(r.IndexOf(kVictim));
    std::uint32_t other = 0;
    while (named.contains(other)) ++other;
    committee->insert(std::upper_bound(committee->begin(), committee->end(), other), other);
  };
  EXPECT_TRUE(Fails(Show(r, RosterOver(r, leaves, spare)), ClientAbort::kGraph));
}

// A roster is in order of the identity keys, so that nobody stands in it twice: also across those
// of the committee of whom the device sees nothing but the key.
TEST(SecAggNegative, identity_keys_out_of_order_are_rejected) {
  Recording& r = Expander();
  const Leaves honest = HonestLeaves(r);
  const std::uint32_t own = r.IndexOf(kVictim);
  int tried = 0;
  for (std::uint32_t i = 1; i < honest.size() && tried < 3; ++i) {
    if (i == own || i - 1 == own) continue;
    Leaves leaves = honest;
    leaves[i] = leaves[i - 1];  // one member at two places
    const wire::Roster roster = RosterOver(r, leaves);
    const auto names = [&](std::uint32_t index) {
      return std::any_of(roster.committee.begin(), roster.committee.end(),
                         [index](const auto& c) { return c.index == index; });
    };
    if (!names(i) || !names(i - 1)) continue;
    EXPECT_TRUE(Fails(Show(r, roster), ClientAbort::kRoster)) << i;
    ++tried;
  }
  EXPECT_GT(tried, 0) << "no two seats of the committee stand side by side: another seed";
}

// Entries that the coordinator made up for the device's neighbours.
TEST(SecAggNegative, duplicate_pubkey_rejected) {
  Recording& r = Complete();
  for (const bool mask : {true, false}) {
    wire::Roster roster = RosterOf(0, r);
    auto first = wire::DecodeAdvertise(roster.neighbours[0].advertise.body);
    auto second = wire::DecodeAdvertise(roster.neighbours[1].advertise.body);
    (mask ? second->mask_key : second->channel_key) = first->mask_key;
    const std::uint32_t cheat = r.DeviceAt(roster.neighbours[1].index);
    roster.neighbours[1].advertise =
        Opened(r.AsDevice(cheat, FrameType::kAdvertise, wire::Encode(*second)));
    // The tree holds what the two colluding members signed.
    Leaves leaves = HonestLeaves(r);
    leaves[roster.neighbours[1].index].rest = RosterRest(*second);
    std::vector<Hash256> hashes;
    for (const Leaf& leaf : leaves) hashes.push_back(RosterLeaf(leaf.identity_key, leaf.rest));
    roster.root = MerkleTree(hashes).root();
    EXPECT_TRUE(Fails(Show(r, roster), ClientAbort::kRoster));
  }
}

TEST(SecAggNegative, x25519_zero_shared_secret_rejected) {
  Recording& r = Complete();
  for (const bool mask : {true, false}) {
    wire::Roster roster = RosterOf(0, r);
    const std::uint32_t index = roster.neighbours[3].index;
    auto advertise = wire::DecodeAdvertise(roster.neighbours[3].advertise.body);
    (mask ? advertise->mask_key : advertise->channel_key) = crypto::PublicKey{};
    roster.neighbours[3].advertise =
        Opened(r.AsDevice(r.DeviceAt(index), FrameType::kAdvertise, wire::Encode(*advertise)));
    Leaves leaves = HonestLeaves(r);
    leaves[index].rest = RosterRest(*advertise);
    std::vector<Hash256> hashes;
    for (const Leaf& leaf : leaves) hashes.push_back(RosterLeaf(leaf.identity_key, leaf.rest));
    roster.root = MerkleTree(hashes).root();
    EXPECT_TRUE(Fails(Show(r, roster), ClientAbort::kRoster));
  }
}

}  // namespace
}  // namespace demur::secagg
