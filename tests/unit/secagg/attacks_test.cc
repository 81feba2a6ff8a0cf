#include <gtest/gtest.h>

#include <set>

#include "demur/crypto/aead.h"
#include "demur/secagg/mask.h"
#include "secagg_test_util.h"

// What dishonest coordinators and members try, each under the name by which the attack is known.
namespace demur::secagg {
namespace {

using wire::FrameType;

Recording& Reference() {
  static Recording& recording = *new Recording(SessionOptions{});
  return recording;
}

ClientTransition Give(std::uint32_t device, std::string_view state, FrameType type, Bytes frame) {
  return Step(Reference().DeviceIn(device, state), client::event::Message{type, std::move(frame)},
              Reference().config(device));
}

wire::Roster RosterOf(std::uint32_t device) {
  auto roster = wire::DecodeRoster(Opened(Reference().ToDevice(device, FrameType::kRoster)).body,
                                   Reference().announcement().limits());
  EXPECT_OK(roster);
  return std::move(*roster);
}
Bytes AsFrame(const wire::Roster& roster) {
  return Reference().AsServer(FrameType::kRoster, wire::Encode(roster));
}
wire::Inbox InboxOf(std::uint32_t device) {
  auto inbox = wire::DecodeInbox(Opened(Reference().ToDevice(device, FrameType::kInbox)).body,
                                 Reference().announcement().limits());
  EXPECT_OK(inbox);
  return std::move(*inbox);
}
Bytes AsFrame(const wire::Inbox& inbox) {
  return Reference().AsServer(FrameType::kInbox, wire::Encode(inbox));
}
Bytes ConfirmFrame(const MemberSet& survivors) {
  return Reference().AsServer(
      FrameType::kConfirmRequest,
      wire::Encode(wire::ConfirmRequest{Reference().session_id(), ToBytes(survivors.bytes())}));
}
wire::Unmask UnmaskIn(const ClientTransition& t) {
  for (const ClientEffect& effect : t.effects) {
    const auto* send = std::get_if<client::effect::Send>(&effect);
    if (send == nullptr || send->type != FrameType::kUnmask) continue;
    auto unmask =
        wire::DecodeUnmask(Opened(*send->frame).body, Reference().announcement().limits());
    EXPECT_OK(unmask);
    return std::move(*unmask);
  }
  ADD_FAILURE() << "no M9";
  return {};
}
MemberSet AllBut(const std::set<std::uint32_t>& out, std::uint32_t n = 20) {
  MemberSet set(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    if (!out.contains(i)) set.Insert(i);
  }
  return set;
}
bool Fails(const ClientTransition& t, ClientAbort reason) {
  const auto* aborted = std::get_if<client::state::Aborted>(&t.next);
  if (aborted == nullptr) return false;
  for (const ClientEffect& effect : t.effects) {
    if (!std::holds_alternative<client::effect::Failed>(effect)) return false;  // says nothing more
  }
  EXPECT_EQ(ToString(aborted->reason), ToString(reason));
  return aborted->reason == reason;
}
// Re-signs `advertise` as `device`.
wire::SignedBody SignedAdvertise(std::uint32_t device, const wire::Advertise& advertise) {
  return Opened(Reference().AsDevice(device, FrameType::kAdvertise, wire::Encode(advertise)));
}

// --- One kind of share
// ----------------------------------------------------------------------------

// A victim declared dropped to some and alive to others would give both its seeds.
TEST(SecAggAttacks, unmask_overlap_rejected) {
  Recording& r = Reference();
  const std::uint32_t victim = RosterOf(0).neighbours[2].index;
  auto t = Give(0, "masked", FrameType::kConfirmRequest, ConfirmFrame(AllBut({victim})));
  std::map<std::uint32_t, wire::ShareKind> kinds;
  for (const auto& share : UnmaskIn(t).shares) {
    EXPECT_TRUE(kinds.emplace(share.index, share.kind).second) << "two shares of one member";
  }
  for (const auto& neighbour : RosterOf(0).neighbours) {
    ASSERT_TRUE(kinds.contains(neighbour.index));
    EXPECT_EQ(kinds[neighbour.index],
              neighbour.index == victim ? wire::ShareKind::kMask : wire::ShareKind::kSelf);
  }
  t = Step(std::move(t.next),
           client::event::Message{FrameType::kConfirmRequest, ConfirmFrame(AllBut({}))},
           r.config(0));
  EXPECT_TRUE(Fails(t, ClientAbort::kSecondBody));
  // Nor can a message carry both.
  wire::Unmask both;
  both.session = r.session_id();
  both.shares.resize(2);
  both.shares[0].index = both.shares[1].index = victim;
  both.shares[1].kind = wire::ShareKind::kSelf;
  EXPECT_ERROR(wire::DecodeUnmask(wire::Encode(both), r.announcement().limits()),
               ErrorCode::kInvalidArgument);
}

TEST(SecAggAttacks, two_survivor_sets_one_signature) {
  Recording& r = Reference();
  auto t = Give(0, "masked", FrameType::kConfirmRequest, ConfirmFrame(AllBut({})));
  ASSERT_EQ(t.effects.size(), 2U);
  // Durable before the answer leaves: a device that restarts knows that it has answered.
  const auto* mark = std::get_if<client::effect::PersistSurvivors>(&t.effects[0]);
  ASSERT_NE(mark, nullptr);
  EXPECT_EQ(mark->survivors_hash, crypto::Sha256(AllBut({}).bytes()));
  const std::uint32_t other = r.IndexOf(0) == 3 ? 4 : 3;
  t = Step(std::move(t.next),
           client::event::Message{FrameType::kConfirmRequest, ConfirmFrame(AllBut({other}))},
           r.config(0));
  EXPECT_TRUE(Fails(t, ClientAbort::kSecondBody));
}

// --- Sets that would open too few
// --------------------------------------------------------------------

TEST(SecAggAttacks, server_low_threshold_rejected) {
  Recording& r = Reference();
  const std::uint32_t own = r.IndexOf(0);
  // 14 of 20 have to survive; nothing in a message says otherwise.
  MemberSet few(20);
  for (std::uint32_t i = 0; i < 13; ++i) few.Insert((own + i) % 20);
  EXPECT_TRUE(Fails(Give(0, "masked", FrameType::kConfirmRequest, ConfirmFrame(few)),
                    ClientAbort::kSurvivors));
  MemberSet enough = few;
  enough.Insert((own + 13) % 20);
  EXPECT_EQ(NameOf(Give(0, "masked", FrameType::kConfirmRequest, ConfirmFrame(enough)).next),
            "unmasked");
  wire::Inbox inbox = InboxOf(0);
  inbox.shared = ToBytes(few.bytes());
  EXPECT_TRUE(Fails(Give(0, "shared", FrameType::kInbox, AsFrame(inbox)), ClientAbort::kSurvivors));
  // A roster below the plan's.
  wire::Roster roster = RosterOf(0);
  roster.size = 19;
  roster.my_index = 0;
  roster.neighbours.clear();
  EXPECT_TRUE(
      Fails(Give(0, "advertised", FrameType::kRoster, AsFrame(roster)), ClientAbort::kRoster));
}

// Enough members in all, but too few of the device's own neighbours. At n = 20 the smallest set
// allowed cannot do that, so the threshold of the state is raised to what larger rosters have.
TEST(SecAggAttacks, a_set_that_isolates_a_device_is_rejected) {
  Recording& r = Reference();
  const auto neighbours = RosterOf(0).neighbours;
  constexpr std::uint32_t kThreshold = 5;
  for (const bool enough : {true, false}) {
    ClientState state = r.DeviceIn(0, "masked");
    std::get<client::state::Masked>(state).place.parameters.threshold = kThreshold;
    std::set<std::uint32_t> out;
    for (std::size_t i = 0; i < neighbours.size() - kThreshold + (enough ? 0 : 1); ++i) {
      out.insert(neighbours[i].index);
    }
    ASSERT_LE(out.size(), 6U);
    const auto t = Step(
        std::move(state),
        client::event::Message{FrameType::kConfirmRequest, ConfirmFrame(AllBut(out))}, r.config(0));
    if (enough) {
      EXPECT_EQ(NameOf(t.next), "unmasked");
    } else {
      EXPECT_TRUE(Fails(t, ClientAbort::kSurvivors));
    }
  }
}

TEST(SecAggAttacks, a_device_that_is_declared_dropped_reveals_nothing) {
  const std::uint32_t own = Reference().IndexOf(0);
  EXPECT_TRUE(Fails(Give(0, "masked", FrameType::kConfirmRequest, ConfirmFrame(AllBut({own}))),
                    ClientAbort::kSurvivors));
  wire::Inbox inbox = InboxOf(0);
  inbox.shared = ToBytes(AllBut({own}).bytes());
  EXPECT_TRUE(Fails(Give(0, "shared", FrameType::kInbox, AsFrame(inbox)), ClientAbort::kSurvivors));
}

TEST(SecAggAttacks, u2_mismatch_aborts) {
  Recording& r = Reference();
  // U3 with a member that was not in U2: no mask with it was ever made.
  const std::uint32_t absent = (r.IndexOf(0) + 1) % 20;
  wire::Inbox inbox = InboxOf(0);
  inbox.shared = ToBytes(AllBut({absent}).bytes());
  auto t = Give(0, "shared", FrameType::kInbox, AsFrame(inbox));
  ASSERT_EQ(NameOf(t.next), "ready");
  t = Step(std::move(t.next), client::event::Input{r.session().InputOf(0)}, r.config(0));
  const auto* send = std::get_if<client::effect::Send>(&t.effects[1]);
  ASSERT_NE(send, nullptr);
  const Bytes masked = *send->frame;
  t = Step(std::move(t.next),
           client::event::Message{FrameType::kConfirmRequest, ConfirmFrame(AllBut({}))},
           r.config(0));
  EXPECT_TRUE(Fails(t, ClientAbort::kSurvivors));
  // And the vector it made says which U2 it was made for: the coordinator takes no other.
  auto server = Step(
      r.ServerIn("masking", {0, 1}),
      server::event::Message{r.session().device(0).identity.public_key, FrameType::kMasked, masked},
      r.session().server_config());
  EXPECT_EQ(Describe(server), "evidence: another member set, M10 -> masking");
}

// The coordinator loses the shares of a neighbour: its mask is there all the same.
TEST(SecAggAttacks, a_lost_ciphertext_does_not_thin_the_masks) {
  Recording& r = Reference();
  wire::Inbox inbox = InboxOf(0);
  inbox.items.erase(inbox.items.begin());
  auto t = Give(0, "shared", FrameType::kInbox, AsFrame(inbox));
  ASSERT_EQ(NameOf(t.next), "ready");
  t = Step(std::move(t.next), client::event::Input{r.session().InputOf(0)}, r.config(0));
  const auto* send = std::get_if<client::effect::Send>(&t.effects[1]);
  ASSERT_NE(send, nullptr);
  EXPECT_EQ(*send->frame, r.FromDevice(0, FrameType::kMasked));
}

TEST(SecAggAttacks, fewer_than_threshold_shares_abort) {
  wire::Inbox inbox = InboxOf(0);
  inbox.items.resize(1);  // t is 2 at n = 20
  EXPECT_TRUE(Fails(Give(0, "shared", FrameType::kInbox, AsFrame(inbox)), ClientAbort::kShares));
}

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
  std::swap(inbox.items[0].nonce, inbox.items[1].nonce);
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
  const Bytes plain(88);
  ASSERT_OK_AND_ASSIGN(const Bytes sealed, crypto::Seal(key, {}, ShareAad(facts, 1, 2), plain));
  EXPECT_OK(crypto::Open(key, {}, ShareAad(facts, 1, 2), sealed));
  for (const Bytes& aad :
       {ShareAad(facts, 2, 1), ShareAad(facts, 1, 3), ShareAad(other_session, 1, 2),
        ShareAad(other_plan, 1, 2), ShareAad(other_root, 1, 2)}) {
    EXPECT_ERROR(crypto::Open(key, {}, aad, sealed), ErrorCode::kDataLoss);
  }
}

// --- What the coordinator sees
// ------------------------------------------------------------------------------

// One device's vector of zeros, without any dropout: the coordinator must see uniform noise.
// Chi-square over 256 bins, 255 degrees of freedom: above 400 has a probability below 1e-7.
TEST(SecAggAttacks, masked_vector_without_dropout_is_uniform) {
  SessionOptions options;
  options.dim = 1U << 14;
  options.bits = 8;
  static Recording& r = *new Recording(options);
  auto t = Step(r.DeviceIn(0, "ready"),
                client::event::Input{std::vector<std::uint32_t>(options.dim)}, r.config(0));
  const auto* send = std::get_if<client::effect::Send>(&t.effects[1]);
  ASSERT_NE(send, nullptr);
  const auto masked = wire::DecodeMasked(Opened(*send->frame).body, r.announcement().limits());
  ASSERT_OK(masked);
  std::vector<double> bins(256);
  for (const std::byte byte : masked->packed) ++bins[std::to_integer<std::size_t>(byte)];
  double chi_square = 0;
  for (const double count : bins) chi_square += (count - 64) * (count - 64) / 64;
  EXPECT_LT(chi_square, 400);
  EXPECT_GT(chi_square, 150);
}

// The same device, the same vector, another session: nothing in common.
TEST(SecAggAttacks, masks_are_fresh_in_every_session) {
  Recording& r = Reference();
  SessionOptions next;
  next.round = 3;
  static Recording& second = *new Recording(next);
  const auto limits = r.announcement().limits();
  const auto a = wire::DecodeMasked(Opened(r.FromDevice(0, FrameType::kMasked)).body, limits);
  const auto b = wire::DecodeMasked(Opened(second.FromDevice(0, FrameType::kMasked)).body, limits);
  ASSERT_TRUE(a && b);
  std::size_t equal = 0;
  for (std::size_t i = 0; i < a->packed.size(); ++i)
    equal += a->packed[i] == b->packed[i] ? 1U : 0U;
  EXPECT_LT(equal, 8U);  // of 84 bytes
}

// --- Members
// ------------------------------------------------------------------------------------------------

std::string Unmasked(const std::function<void(wire::Unmask&)>& change) {
  Recording& r = Reference();
  auto unmask = wire::DecodeUnmask(Opened(r.FromDevice(0, FrameType::kUnmask)).body,
                                   r.announcement().limits());
  EXPECT_OK(unmask);
  change(*unmask);
  return Describe(
      Step(r.ServerIn("unmasking", {0, 1}),
           server::event::Message{r.session().device(0).identity.public_key, FrameType::kUnmask,
                                  r.AsDevice(0, FrameType::kUnmask, wire::Encode(*unmask))},
           r.session().server_config()));
}

TEST(SecAggAttacks, bad_share_blamed) {
  EXPECT_EQ(Unmasked([](auto&) {}), "-> unmasking");
  EXPECT_EQ(Unmasked([](auto& m) { m.shares[1].share.mutable_view()[39] ^= std::byte{1}; }),
            "evidence: share is not the dealt, M10 -> unmasking");
  EXPECT_EQ(Unmasked([](auto& m) { m.shares[0].kind = wire::ShareKind::kMask; }),
            "evidence: wrong share kind, M10 -> unmasking");
  EXPECT_EQ(Unmasked([](auto& m) { m.session[0] ^= std::byte{1}; }),
            "evidence: another round, M10 -> unmasking");
  EXPECT_EQ(Unmasked([](auto& m) {
              m.shares.resize(1);
              m.shares[0].index = Reference().IndexOf(0);  // its own
            }),
            "evidence: wrong neighbours, M10 -> unmasking");
}

// A holder whose share is wrong costs itself its place and the others nothing.
TEST(SecAggAttacks, a_lying_holder_does_not_end_the_session) {
  SessionOptions options;
  options.devices = 24;
  SecAggSession session(options);
  session.Depart(2, FrameType::kMasked);
  session.SetTap([&](SecAggSession::Frame& frame) {
    if (!frame.to_server || frame.type != FrameType::kUnmask || frame.device != 5) return true;
    const auto& state = std::get<client::state::Unmasked>(*session.device(5).state);
    auto unmask = wire::DecodeUnmask(Opened(frame.bytes).body,
                                     session.server_config().announcement().limits());
    unmask->shares[0].share.mutable_view()[3] ^= std::byte{1};
    frame.bytes = SignedFrame(session.device(5).identity, FrameType::kUnmask,
                              state.place.facts.session, state.place.index, wire::Encode(*unmask));
    return true;
  });
  session.Run();
  ASSERT_TRUE(session.sum_ready().has_value());
  EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
  ASSERT_EQ(session.evidence().size(), 1U);
  EXPECT_EQ(session.evidence()[0].fault, Fault::kShareMismatch);
}

// A dealer whose shares open to another seed than it committed to: blamed, and no sum comes out.
TEST(SecAggAttacks, a_seed_that_was_not_committed_to_blames_its_dealer) {
  Recording& r = Reference();
  for (const bool survives : {true, false}) {
    SessionOptions options;
    options.devices = 24;
    SecAggSession session(options);
    if (!survives) session.Depart(4, FrameType::kMasked);
    session.Start();
    ASSERT_TRUE(session.RunUntil("unmasking"));
    auto& state = std::get<server::state::Unmasking>(session.server());
    std::uint32_t index = 0;
    const MemberId dealer = session.device(4).identity.public_key;
    while (state.core.members[state.frozen.roster[index].position].id != dealer) ++index;
    auto& owner = state.frozen.roster[index];
    (survives ? owner.self_commitment : owner.mask_key)[0] ^= std::byte{1};
    session.Settle();
    EXPECT_FALSE(session.sum_ready().has_value());
    ASSERT_TRUE(session.abandoned().has_value());
    EXPECT_EQ(session.abandoned()->reason, ServerAbort::kBadDealing);
    EXPECT_TRUE(session.abandoned()->shares_asked);
    ASSERT_EQ(session.evidence().size(), 1U);
    EXPECT_EQ(session.evidence()[0].member, dealer);
    EXPECT_EQ(session.evidence()[0].fault, Fault::kBadDealing);
  }
  (void)r;
}

std::string Advertised(const std::function<void(wire::Advertise&)>& change) {
  Recording& r = Reference();
  auto advertise = wire::DecodeAdvertise(Opened(r.FromDevice(0, FrameType::kAdvertise)).body);
  EXPECT_OK(advertise);
  change(*advertise);
  return Describe(
      Step(r.ServerIn("announced", {0, 1}),
           server::event::Message{r.session().device(0).identity.public_key, FrameType::kAdvertise,
                                  r.AsDevice(0, FrameType::kAdvertise, wire::Encode(*advertise))},
           r.session().server_config()));
}

TEST(SecAggAttacks, an_advertisement_that_does_not_hold_is_rejected) {
  Recording& r = Reference();
  EXPECT_EQ(Advertised([](auto&) {}), "-> announced");
  EXPECT_EQ(Advertised([](auto& m) { m.announce[0] ^= std::byte{1}; }),
            "evidence: another round, M10 -> announced");
  EXPECT_EQ(
      Advertised([&](auto& m) { m.identity_key = r.session().device(1).identity.public_key; }),
      "evidence: certificate, M10 -> announced");
  EXPECT_EQ(Advertised([&](auto& m) { m.certificate = r.session().device(1).certificate; }),
            "evidence: certificate, M10 -> announced");
  EXPECT_EQ(Advertised([](auto& m) { m.certificate = ToBytes(AsBytes("forged")); }),
            "evidence: certificate, M10 -> announced");
  EXPECT_EQ(Advertised([](auto& m) { m.mask_key = m.channel_key; }),
            "evidence: bad key, M10 -> announced");
  EXPECT_EQ(Advertised([](auto& m) { m.mask_key.back() |= std::byte{0x80}; }),
            "evidence: bad key, M10 -> announced");
  EXPECT_EQ(Advertised([](auto& m) {
              m.second_mask_key = m.mask_key;
              m.second_self_commitment = m.nonce;
            }),
            "evidence: malformed message, M10 -> announced");
}

TEST(SecAggAttacks, a_vector_that_does_not_fit_is_rejected) {
  Recording& r = Reference();
  const auto given = [&](const std::function<void(wire::Masked&)>& change) {
    auto masked = wire::DecodeMasked(Opened(r.FromDevice(0, FrameType::kMasked)).body,
                                     r.announcement().limits());
    EXPECT_OK(masked);
    change(*masked);
    auto t =
        Step(r.ServerIn("masking", {0, 1}),
             server::event::Message{r.session().device(0).identity.public_key, FrameType::kMasked,
                                    r.AsDevice(0, FrameType::kMasked, wire::Encode(*masked))},
             r.session().server_config());
    return Describe(t);
  };
  EXPECT_EQ(given([](auto& m) { m.packed[0] ^= std::byte{1}; }),
            "evidence: bad vector, M10 -> masking");
  EXPECT_EQ(given([](auto& m) {
              m.packed.back() |= std::byte{0x80};  // 37 * 18 bits leave six unused
              m.packed_hash = crypto::Sha256(m.packed);
            }),
            "evidence: bad vector, M10 -> masking");
  EXPECT_EQ(given([](auto& m) { m.packed.pop_back(); }),
            "evidence: malformed message, M10 -> masking");
  EXPECT_EQ(given([](auto& m) { m.session[0] ^= std::byte{1}; }),
            "evidence: another round, M10 -> masking");
}

TEST(SecAggAttacks, shares_for_others_than_the_neighbours_are_rejected) {
  Recording& r = Reference();
  auto shares = wire::DecodeShares(Opened(r.FromDevice(0, FrameType::kShares)).body,
                                   r.announcement().limits());
  ASSERT_OK(shares);
  shares->items.pop_back();
  const auto t =
      Step(r.ServerIn("sharing", {0, 1}),
           server::event::Message{r.session().device(0).identity.public_key, FrameType::kShares,
                                  r.AsDevice(0, FrameType::kShares, wire::Encode(*shares))},
           r.session().server_config());
  EXPECT_EQ(Describe(t), "evidence: wrong neighbours, M10 -> sharing");
}

}  // namespace
}  // namespace demur::secagg
