#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "attacks_util.h"

// What a dishonest coordinator tries with rosters, keys, shares and the frames of other rounds.
// Each test has the name by which the attack is known.
namespace demur::secagg {
namespace {

// --- Rosters
// --------------------------------------------------------------------------------------------

TEST(SecAggAttacks, duplicate_pubkey_rejected) {
  Recording& r = Reference();
  const auto [a, b] = std::pair{RosterOf(0).neighbours[0].index, RosterOf(0).neighbours[1].index};
  for (const bool mask : {true, false}) {
    wire::Roster roster = RosterOf(0);
    auto first = wire::DecodeAdvertise(roster.neighbours[0].advertise.body);
    auto second = wire::DecodeAdvertise(roster.neighbours[1].advertise.body);
    ASSERT_TRUE(first && second);
    (mask ? second->mask_key : second->channel_key) = first->mask_key;
    roster.neighbours[1].advertise = SignedAdvertise(r.DeviceAt(b), *second);
    EXPECT_TRUE(
        Fails(Give(0, "advertised", FrameType::kRoster, AsFrame(roster)), ClientAbort::kRoster));
  }
  // The same member at two places.
  wire::Roster roster = RosterOf(0);
  roster.neighbours[1].advertise = roster.neighbours[0].advertise;
  EXPECT_TRUE(
      Fails(Give(0, "advertised", FrameType::kRoster, AsFrame(roster)), ClientAbort::kRoster));
  // The coordinator takes neither of two members with one key.
  SessionOptions options;
  options.devices = 24;
  SecAggSession session(options);
  std::optional<crypto::PublicKey> copied;
  session.SetTap([&](SecAggSession::Frame& frame) {
    if (!frame.to_server || frame.type != FrameType::kAdvertise) return true;
    auto advertise = wire::DecodeAdvertise(Opened(frame.bytes).body);
    if (frame.device == 3) copied = advertise->mask_key;
    if (frame.device == 7) {
      advertise->mask_key = *copied;
      frame.bytes = SignedFrame(session.device(7).identity, FrameType::kAdvertise,
                                session.server_config().announcement().announce_hash, kNoIndex,
                                wire::Encode(*advertise));
    }
    return true;
  });
  session.Run();
  ASSERT_TRUE(session.sum_ready().has_value());
  EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
  EXPECT_EQ(session.Survivors().size(), 22U);
  ASSERT_EQ(session.evidence().size(), 2U);
  for (const auto& evidence : session.evidence()) {
    EXPECT_EQ(evidence.fault, Fault::kDuplicateKey);
    const auto device = session.IndexOfDevice(evidence.member);
    EXPECT_TRUE(device == 3 || device == 7);
  }
}

TEST(SecAggAttacks, x25519_zero_shared_secret_rejected) {
  Recording& r = Reference();
  const crypto::PublicKey zero{};
  wire::Roster roster = RosterOf(0);
  const std::uint32_t device = r.DeviceAt(roster.neighbours[0].index);
  for (const bool mask : {true, false}) {
    auto advertise = wire::DecodeAdvertise(roster.neighbours[0].advertise.body);
    ASSERT_OK(advertise);
    (mask ? advertise->mask_key : advertise->channel_key) = zero;
    wire::Roster bad = roster;
    bad.neighbours[0].advertise = SignedAdvertise(device, *advertise);
    EXPECT_TRUE(
        Fails(Give(0, "advertised", FrameType::kRoster, AsFrame(bad)), ClientAbort::kRoster));
    auto t = Step(
        r.ServerIn("announced", {device, (device + 1) % 20}),
        server::event::Message{r.session().device(device).identity.public_key,
                               FrameType::kAdvertise, wire::Encode(bad.neighbours[0].advertise)},
        r.session().server_config());
    EXPECT_EQ(Describe(t), "evidence: bad key, M10 -> announced");
  }
  auto own = crypto::X25519Agreement::Create(SecretArray<32>());
  ASSERT_OK(own);
  EXPECT_ERROR(PairMaskKey({}, *own, {0, {}}, {1, zero}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(DeriveChannel({}, *own, {0, {}}, {1, zero}), ErrorCode::kInvalidArgument);
}

TEST(SecAggAttacks, a_roster_that_does_not_hold_is_rejected) {
  Recording& r = Reference();
  const auto rejects = [](const char* what, ClientAbort reason,
                          const std::function<void(wire::Roster&)>& change) {
    SCOPED_TRACE(what);
    wire::Roster roster = RosterOf(0);
    change(roster);
    EXPECT_TRUE(Fails(Give(0, "advertised", FrameType::kRoster, AsFrame(roster)), reason));
  };
  rejects("nonce that was not committed to", ClientAbort::kRoster,
          [](auto& m) { m.server_nonce[0] ^= std::byte{1}; });
  rejects("root, and so another graph", ClientAbort::kGraph,
          [](auto& m) { m.root[0] ^= std::byte{1}; });
  rejects("neighbour missing", ClientAbort::kGraph, [](auto& m) { m.neighbours.pop_back(); });
  rejects("place of another member", ClientAbort::kGraph,
          [](auto& m) { m.my_index = (m.my_index + 1) % 20; });
  rejects("broken signature of a neighbour", ClientAbort::kRoster,
          [](auto& m) { m.neighbours[0].advertise.signature[0] ^= std::byte{1}; });
  rejects("committee in the semi-honest profile", ClientAbort::kOutOfOrder,
          [](auto& m) { m.committee.push_back({}); });
  rejects("proof in the semi-honest profile", ClientAbort::kOutOfOrder,
          [](auto& m) { m.multiproof.emplace_back(); });
  rejects("neighbour without a certificate", ClientAbort::kRoster, [&](auto& m) {
    auto advertise = wire::DecodeAdvertise(m.neighbours[0].advertise.body);
    advertise->certificate = ToBytes(AsBytes("forged"));
    m.neighbours[0].advertise = SignedAdvertise(r.DeviceAt(m.neighbours[0].index), *advertise);
  });
  rejects("another member's certificate", ClientAbort::kRoster, [&](auto& m) {
    auto advertise = wire::DecodeAdvertise(m.neighbours[0].advertise.body);
    advertise->certificate = r.session().device(r.DeviceAt(m.neighbours[1].index)).certificate;
    m.neighbours[0].advertise = SignedAdvertise(r.DeviceAt(m.neighbours[0].index), *advertise);
  });
  rejects("advertisement for another round", ClientAbort::kRoster, [&](auto& m) {
    auto advertise = wire::DecodeAdvertise(m.neighbours[0].advertise.body);
    advertise->announce[0] ^= std::byte{1};
    m.neighbours[0].advertise = SignedAdvertise(r.DeviceAt(m.neighbours[0].index), *advertise);
  });
  rejects("two neighbours in each other's place", ClientAbort::kRoster,
          [](auto& m) { std::swap(m.neighbours[0].advertise, m.neighbours[1].advertise); });
}

TEST(SecAggAttacks, an_inbox_from_no_neighbour_is_rejected) {
  Recording& r = Reference();
  wire::Inbox inbox = InboxOf(0);
  std::set<std::uint32_t> taken = {r.IndexOf(0)};
  for (const auto& neighbour : RosterOf(0).neighbours) taken.insert(neighbour.index);
  std::uint32_t stranger = 0;
  while (taken.contains(stranger)) ++stranger;
  inbox.items.push_back(inbox.items[0]);
  inbox.items.back().index = stranger;
  std::sort(inbox.items.begin(), inbox.items.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  EXPECT_TRUE(Fails(Give(0, "shared", FrameType::kInbox, AsFrame(inbox)), ClientAbort::kGraph));
}

// --- Other rounds
// -----------------------------------------------------------------------------------------

// Members that trained on different models do not share a mask: their sum stays noise.
TEST(SecAggAttacks, model_hash_mismatch_no_cancel) {
  SessionFacts facts;
  SessionFacts other = facts;
  other.model_hash[0] = std::byte{1};
  SecretArray<32> seed_a;
  seed_a.mutable_view()[0] = std::byte{1};
  SecretArray<32> seed_b;
  seed_b.mutable_view()[0] = std::byte{2};
  const auto a = KeyPairFromSeed({}, seed_a);
  const auto b = KeyPairFromSeed({}, seed_b);
  ASSERT_TRUE(a && b);
  const auto masks = [&](const SessionFacts& at_b) {
    auto own_a = crypto::X25519Agreement::Create(a->private_key);
    auto own_b = crypto::X25519Agreement::Create(b->private_key);
    auto key_a = PairMaskKey(facts, *own_a, {0, a->public_key}, {1, b->public_key});
    auto key_b = PairMaskKey(at_b, *own_b, {1, b->public_key}, {0, a->public_key});
    EXPECT_TRUE(key_a && key_b);
    std::vector<std::uint32_t> sum(64);
    EXPECT_OK(ApplyMask(*key_a, MaskSign::kAdd, sum));
    EXPECT_OK(ApplyMask(*key_b, MaskSign::kSubtract, sum));
    return sum;
  };
  EXPECT_EQ(masks(facts), std::vector<std::uint32_t>(64));
  const auto mismatch = masks(other);
  EXPECT_LT(std::count(mismatch.begin(), mismatch.end(), 0U), 2);
  other = facts;
  other.params_hash[0] = std::byte{1};
  const auto parameters = masks(other);
  EXPECT_LT(std::count(parameters.begin(), parameters.end(), 0U), 2);
}

TEST(SecAggAttacks, replayed_session) {
  Recording& r = Reference();
  SessionOptions next;
  next.round = 2;
  static Recording& second = *new Recording(next);
  // Frames of one round mean nothing in the next, to either side.
  for (const auto& [state, type] : {std::pair{"advertised", FrameType::kRoster},
                                    {"shared", FrameType::kInbox},
                                    {"masked", FrameType::kConfirmRequest},
                                    {"unmasked", FrameType::kClose}}) {
    const auto t = Step(second.DeviceIn(0, state),
                        client::event::Message{type, r.ToDevice(0, type)}, second.config(0));
    EXPECT_TRUE(Fails(t, ClientAbort::kBadSignature)) << state;
  }
  for (const auto& [state, type] : {std::pair{"announced", FrameType::kAdvertise},
                                    {"sharing", FrameType::kShares},
                                    {"masking", FrameType::kMasked},
                                    {"unmasking", FrameType::kUnmask}}) {
    const auto t = Step(second.ServerIn(state, {0, 1}),
                        server::event::Message{r.session().device(0).identity.public_key, type,
                                               r.FromDevice(0, type)},
                        second.session().server_config());
    EXPECT_EQ(Describe(t), std::string("evidence: bad signature, M10 -> ") + state);
  }
}

// --- Shares
// -------------------------------------------------------------------------------------------------

TEST(SecAggAttacks, share_swap_aad) {
  Recording& r = Reference();
  // Two ciphertexts in each other's place open for nobody: they count as not received.
  wire::Inbox inbox = InboxOf(0);
  std::swap(inbox.items[0].sealed, inbox.items[1].sealed);
  auto t = Give(0, "shared", FrameType::kInbox, AsFrame(inbox));
  const auto* ready = std::get_if<client::state::Ready>(&t.next);
  ASSERT_NE(ready, nullptr);
  EXPECT_EQ(ready->shares.size(), inbox.items.size() - 2);
  for (const auto& share : ready->shares) {
    EXPECT_NE(share.dealer, inbox.items[0].index);
    EXPECT_NE(share.dealer, inbox.items[1].index);
  }
  // A share that is not the one its dealer signed the hash of counts as not received, too.
  inbox = InboxOf(0);
  inbox.items[0].self_share_hash[0] ^= std::byte{1};
  t = Give(0, "shared", FrameType::kInbox, AsFrame(inbox));
  ready = std::get_if<client::state::Ready>(&t.next);
  ASSERT_NE(ready, nullptr);
  EXPECT_EQ(ready->shares.size(), inbox.items.size() - 1);
  // The context is in the seal: no other session, dealer, holder or plan opens it.
  const SessionFacts facts{{}, {}, {}, {}, r.session_id(), 20};
  SessionFacts other_session = facts;
  other_session.session[0] ^= std::byte{1};
  SessionFacts other_plan = facts;
  other_plan.params_hash[0] ^= std::byte{1};
  SessionFacts other_root = facts;
  other_root.root[0] ^= std::byte{1};
  SecretArray<32> key;
  const Bytes plain(80);
  ASSERT_OK_AND_ASSIGN(const Bytes sealed, crypto::Seal(key, {}, ShareAad(facts, 1, 2), plain));
  EXPECT_OK(crypto::Open(key, {}, ShareAad(facts, 1, 2), sealed));
  for (const Bytes& aad :
       {ShareAad(facts, 2, 1), ShareAad(facts, 1, 3), ShareAad(other_session, 1, 2),
        ShareAad(other_plan, 1, 2), ShareAad(other_root, 1, 2)}) {
    EXPECT_ERROR(crypto::Open(key, {}, aad, sealed), ErrorCode::kDataLoss);
  }
}

}  // namespace
}  // namespace demur::secagg
