#include <gtest/gtest.h>

#include <set>

#include "demur/crypto/hash.h"
#include "demur/secagg/merkle.h"
#include "demur/secagg/session.h"
#include "demur/seeded/seeded_random.h"
#include "result_matchers.h"

// Every derivation against the byte strings of docs/protocol.md, written out again here.
namespace demur::secagg {
namespace {

Hash256 Filled(int value) {
  Hash256 out{};
  out.fill(std::byte(value));
  return out;
}
SecretArray<32> Secret(int value) {
  SecretArray<32> out;
  std::fill_n(out.mutable_view().begin(), 32, std::byte(value));
  return out;
}
SessionFacts Facts() { return {Filled(1), Filled(2), Filled(3), Filled(4), Filled(5), 21}; }
bool Same(const SecretArray<32>& a, const SecretArray<32>& b) {
  return ConstantTimeEqual(a.view(), b.view());
}
crypto::X25519KeyPair Pair(int value) {
  auto pair = crypto::X25519FromSeed(Secret(value));
  EXPECT_OK(pair);
  return std::move(*pair);
}
crypto::X25519Agreement Agreement(int value) {
  auto agreement = crypto::X25519Agreement::Create(Pair(value).private_key);
  EXPECT_OK(agreement);
  return std::move(*agreement);
}
SecretArray<32> Raw(int own, int peer) {
  auto secret = crypto::X25519(Pair(own).private_key, Pair(peer).public_key);
  EXPECT_OK(secret);
  return std::move(*secret);
}

TEST(Derivations, SessionBindsAnnouncementNonceRootAndSize) {
  Announcement announcement;
  announcement.announce_hash = Filled(1);
  announcement.params_hash = Filled(2);
  announcement.plan.model_hash = Filled(3);
  const SessionFacts facts = MakeSession(announcement, Filled(8), Filled(4), 21);
  ByteWriter input;
  input.Text("fsa1/session").Raw(Filled(1)).Raw(Filled(8)).Raw(Filled(4)).U32(21);
  EXPECT_EQ(facts.session, crypto::Sha256(input.bytes()));
  EXPECT_EQ(facts.announce_hash, Filled(1));
  EXPECT_EQ(facts.params_hash, Filled(2));
  EXPECT_EQ(facts.model_hash, Filled(3));
  EXPECT_EQ(facts.root, Filled(4));
  EXPECT_EQ(facts.n, 21U);
}

TEST(Derivations, SignedStringIsPrefixTypeScopeIndexBodyHash) {
  const Bytes body = ToBytes(AsBytes("body"));
  ByteWriter input;
  input.Text("fsa1").U16(13).Raw(Filled(9)).U32(7).Raw(crypto::Sha256(body));
  EXPECT_EQ(SigningInput(wire::FrameType::kShares, Filled(9), 7, crypto::Sha256(body)),
            input.bytes());
}

TEST(Derivations, ASignatureHoldsForItsTypeScopeIndexAndBodyOnly) {
  ASSERT_OK_AND_ASSIGN(const auto key, crypto::Ed25519FromSeed(Secret(1)));
  ASSERT_OK_AND_ASSIGN(auto message, SignMessage(key, wire::FrameType::kShares, Filled(9), 7,
                                                 ToBytes(AsBytes("body"))));
  const auto holds = [&](wire::FrameType type, const Hash256& scope, std::uint32_t index) {
    return VerifyMessage(key.public_key, type, scope, index, message);
  };
  EXPECT_TRUE(holds(wire::FrameType::kShares, Filled(9), 7));
  EXPECT_FALSE(holds(wire::FrameType::kMasked, Filled(9), 7));
  EXPECT_FALSE(holds(wire::FrameType::kShares, Filled(8), 7));
  EXPECT_FALSE(holds(wire::FrameType::kShares, Filled(9), 8));
  message.body.back() ^= std::byte{1};
  EXPECT_FALSE(holds(wire::FrameType::kShares, Filled(9), 7));
}

TEST(Derivations, SeedsGraphAndCommitment) {
  EXPECT_TRUE(
      Same(GraphSeed(Facts()), crypto::HkdfKey(Filled(5), Filled(4), AsBytes("fsa1/graph"))));
  ASSERT_OK_AND_ASSIGN(const auto pair, KeyPairFromSeed(Filled(1), Secret(6)));
  EXPECT_TRUE(
      Same(pair.private_key, crypto::HkdfKey(Secret(6).view(), Filled(1), AsBytes("fsa1/x25519"))));
  ByteWriter input;
  input.Text("fsa1/comB").Raw(Filled(1)).Raw(Filled(7)).Raw(Secret(6).view());
  EXPECT_EQ(SelfCommitment(Filled(1), Filled(7), Secret(6)), crypto::Sha256(input.bytes()));
}

TEST(Derivations, ChannelKeysAreDirectedAndMatchFromBothSides) {
  const KeyedMember a{3, Pair(1).public_key};
  const KeyedMember b{9, Pair(2).public_key};
  auto key_a = Agreement(1);
  auto key_b = Agreement(2);
  ASSERT_OK_AND_ASSIGN(const auto at_a, DeriveChannel(Facts(), key_a, a, b));
  ASSERT_OK_AND_ASSIGN(const auto at_b, DeriveChannel(Facts(), key_b, b, a));
  ByteWriter info;
  info.Text("fsa1/share").U32(3).U32(9).Raw(a.key).Raw(b.key);
  EXPECT_TRUE(Same(at_a.to_peer, crypto::HkdfKey(Raw(1, 2).view(), Filled(5), info.bytes())));
  EXPECT_TRUE(Same(at_a.to_peer, at_b.from_peer));
  EXPECT_TRUE(Same(at_a.from_peer, at_b.to_peer));
  EXPECT_FALSE(Same(at_a.to_peer, at_a.from_peer));
}

TEST(Derivations, PairMaskKeyIsSharedAndNamesModelAndParameters) {
  const KeyedMember a{9, Pair(1).public_key};
  const KeyedMember b{3, Pair(2).public_key};
  auto key_a = Agreement(1);
  auto key_b = Agreement(2);
  ASSERT_OK_AND_ASSIGN(const auto at_a, PairMaskKey(Facts(), key_a, a, b));
  ASSERT_OK_AND_ASSIGN(const auto at_b, PairMaskKey(Facts(), key_b, b, a));
  ByteWriter info;
  info.Text("fsa1/pair").U32(3).U32(9).Raw(b.key).Raw(a.key).Raw(Filled(3)).Raw(Filled(2));
  EXPECT_TRUE(Same(at_a, crypto::HkdfKey(Raw(1, 2).view(), Filled(5), info.bytes())));
  EXPECT_TRUE(Same(at_a, at_b));
}

TEST(Derivations, SelfMaskKeyAndShareContext) {
  ByteWriter info;
  info.Text("fsa1/self").U32(9).Raw(Filled(3)).Raw(Filled(2));
  EXPECT_TRUE(Same(SelfMaskKey(Facts(), Secret(6), 9),
                   crypto::HkdfKey(Secret(6).view(), Filled(5), info.bytes())));
  ByteWriter aad;
  aad.Text("fsa1/M3").Raw(Filled(5)).Raw(Filled(4)).U32(3).U32(9).Raw(Filled(2));
  EXPECT_EQ(ShareAad(Facts(), 3, 9), aad.bytes());
  ByteWriter hashed;
  const Bytes share(40, std::byte{8});
  hashed.Text("fsa1/share-hash").Raw(Filled(5)).U32(3).U32(9).U8(2).Raw(share);
  const Hash256 full = crypto::Sha256(hashed.bytes());
  const auto hash = HashShare(Facts(), 3, 9, wire::ShareKind::kSelf, share);
  EXPECT_TRUE(std::equal(hash.begin(), hash.end(), full.begin()));
  EXPECT_NE(hash, HashShare(Facts(), 3, 9, wire::ShareKind::kMask, share));
}

TEST(Derivations, EveryFactChangesTheKeysThatDependOnIt) {
  const KeyedMember a{3, Pair(1).public_key};
  const KeyedMember b{9, Pair(2).public_key};
  std::set<std::string> keys;
  std::size_t made = 0;
  for (int variant = 0; variant < 4; ++variant) {
    SessionFacts facts = Facts();
    if (variant == 1) facts.model_hash = Filled(30);
    if (variant == 2) facts.params_hash = Filled(30);
    if (variant == 3) facts.session = Filled(30);
    auto own = Agreement(1);
    ASSERT_OK_AND_ASSIGN(const auto pair, PairMaskKey(facts, own, a, b));
    keys.insert(ToHex(pair.view()));
    keys.insert(ToHex(SelfMaskKey(facts, Secret(6), 3).view()));
    made += 2;
  }
  EXPECT_EQ(keys.size(), made);
}

wire::Advertise Member(int value) {
  wire::Advertise member;
  member.identity_key = Filled(value);
  member.certificate = Bytes(10, std::byte(value + 1));
  member.channel_key = Filled(value + 2);
  member.mask_key = Filled(value + 3);
  member.nonce = Filled(value + 4);
  member.self_commitment = Filled(value + 5);
  return member;
}

TEST(RosterTree, LeavesHoldEveryFieldOfAMember) {
  const wire::Advertise member = Member(10);
  ByteWriter rest;
  rest.Text("fsa1/rest").Raw(crypto::Sha256(member.certificate)).Raw(Filled(12));
  rest.Raw(Filled(13)).Raw(Filled(14)).Raw(Filled(15));
  EXPECT_EQ(RosterRest(member), crypto::Sha256(rest.bytes()));
  ByteWriter leaf;
  leaf.U8(0).Raw(Filled(10)).Raw(RosterRest(member));
  EXPECT_EQ(RosterLeaf(member.identity_key, RosterRest(member)), crypto::Sha256(leaf.bytes()));
}

Hash256 RootOf(std::span<const Hash256> leaves) { return MerkleTree(leaves).root(); }

TEST(RosterTree, TheRootHoldsEveryLeafInOrder) {
  const auto node = [](const Hash256& left, const Hash256& right) {
    ByteWriter input;
    input.U8(1).Raw(left).Raw(right);
    return crypto::Sha256(input.bytes());
  };
  const std::vector<Hash256> leaves = {Filled(1), Filled(2), Filled(3), Filled(4), Filled(5)};
  EXPECT_EQ(RootOf(std::span(leaves).first(1)), Filled(1));
  EXPECT_EQ(RootOf(std::span(leaves).first(3)), node(node(Filled(1), Filled(2)), Filled(3)));
  EXPECT_EQ(RootOf(leaves),
            node(node(node(Filled(1), Filled(2)), node(Filled(3), Filled(4))), Filled(5)));
  auto swapped = leaves;
  std::swap(swapped[1], swapped[2]);
  EXPECT_NE(RootOf(swapped), RootOf(leaves));
}

// Every set of leaves of trees of 1 to 9 leaves.
TEST(RosterTree, AProofGivesTheRootForEverySetOfLeavesAndForNoOtherLeafOrPlace) {
  for (std::uint32_t n = 1; n <= 9; ++n) {
    std::vector<Hash256> leaves;
    for (std::uint32_t i = 0; i < n; ++i) leaves.push_back(Filled(static_cast<std::uint8_t>(i)));
    const MerkleTree tree(leaves);
    for (std::uint32_t set = 1; set < (1U << n); ++set) {
      std::vector<std::uint32_t> indices;
      std::vector<MerkleLeaf> shown;
      for (std::uint32_t i = 0; i < n; ++i) {
        if ((set >> i & 1U) == 0) continue;
        indices.push_back(i);
        shown.push_back({i, leaves[i]});
      }
      auto proof = tree.Proof(indices);
      ASSERT_OK_AND_ASSIGN(const Hash256 root, MerkleRootOf(n, shown, proof));
      EXPECT_EQ(root, tree.root());
      auto other = shown;
      other.back().hash[0] ^= std::byte{1};
      ASSERT_OK_AND_ASSIGN(const Hash256 changed, MerkleRootOf(n, other, proof));
      EXPECT_NE(changed, tree.root());
      proof.push_back(Filled(1));
      EXPECT_ERROR(MerkleRootOf(n, shown, proof), ErrorCode::kInvalidArgument);
      proof.pop_back();
      if (proof.empty()) continue;
      proof.pop_back();
      EXPECT_ERROR(MerkleRootOf(n, shown, proof), ErrorCode::kInvalidArgument);
    }
  }
  const MerkleLeaf twice[] = {{1, Filled(1)}, {1, Filled(1)}};
  EXPECT_ERROR(MerkleRootOf(4, twice, {}), ErrorCode::kInvalidArgument);
  const MerkleLeaf outside[] = {{4, Filled(1)}};
  EXPECT_ERROR(MerkleRootOf(4, outside, {}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(MerkleRootOf(4, {}, {}), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur::secagg
