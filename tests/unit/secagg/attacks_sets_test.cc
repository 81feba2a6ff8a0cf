#include <gtest/gtest.h>

#include <map>
#include <set>

#include "attacks_util.h"

// What a dishonest coordinator tries with sets of members: both seeds of a victim, too few members,
// another U2. Each test has the name by which the attack is known.
namespace demur::secagg {
namespace {

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

}  // namespace
}  // namespace demur::secagg
