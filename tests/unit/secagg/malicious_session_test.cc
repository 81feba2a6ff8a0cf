#include <gtest/gtest.h>

#include <set>

#include "secagg_test_util.h"

// Whole sessions in the malicious profile: on a complete graph, where everybody signs, and on an
// expander with a committee.
namespace demur::secagg {
namespace {

using wire::FrameType;

SessionOptions Malicious(std::uint32_t devices, std::uint64_t seed) {
  SessionOptions options;
  options.devices = devices;
  options.sigma = 80;
  options.profile = model::SecAggProfile::kMalicious;
  options.seed = seed;
  return options;
}

TEST(MaliciousSession, TheSumIsExactOnACompleteGraph) {
  SecAggSession session(Malicious(24, 1));
  session.Run();
  ASSERT_TRUE(session.sum_ready().has_value());
  EXPECT_EQ(session.sum_ready()->survivors.size(), 24U);
  EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
  EXPECT_TRUE(session.evidence().empty());
}

TEST(MaliciousSession, TheSumIsExactOnAnExpanderWithDeparturesInEveryPhase) {
  SecAggSession session(Malicious(220, 2));
  const FrameType phases[] = {FrameType::kShares, FrameType::kMasked, FrameType::kConfirm,
                              FrameType::kUnmask};
  for (std::uint32_t i = 0; i < 40; ++i) session.Depart(i * 5, phases[i % 4], i % 3 == 0);
  session.Run();
  ASSERT_TRUE(session.sum_ready().has_value());
  EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
  EXPECT_GE(session.sum_ready()->survivors.size(), 200U);
  EXPECT_TRUE(session.evidence().empty());
}

// Only members of the committee say anything to M6, and nobody is asked for a share before M8.
TEST(MaliciousSession, OnlyTheCommitteeSignsAndSharesWaitForItsQuorum) {
  SecAggSession session(Malicious(220, 3));
  session.Run();
  ASSERT_TRUE(session.sum_ready().has_value());
  ASSERT_OK_AND_ASSIGN(const Parameters parameters, ComputeParameters(220, session.plan().secagg));
  std::set<std::uint32_t> signers;
  std::size_t unmask_seen = 0;
  std::size_t confirms_before = 0;
  for (const auto& frame : session.received()) {
    if (frame.type == FrameType::kConfirm) {
      signers.insert(frame.device);
      if (unmask_seen == 0) ++confirms_before;
    }
    if (frame.type == FrameType::kUnmask) ++unmask_seen;
  }
  EXPECT_EQ(signers.size(), parameters.committee);
  EXPECT_LT(parameters.committee, 220U);
  EXPECT_EQ(unmask_seen, 220U);
  EXPECT_GE(confirms_before, parameters.quorum);
}

TEST(MaliciousSession, WithoutAQuorumNothingIsOpened) {
  SecAggSession session(Malicious(24, 4));  // quorum 13
  for (std::uint32_t i = 0; i < 12; ++i) session.Depart(i, FrameType::kConfirm, i % 2 == 0);
  session.Run();
  ASSERT_TRUE(session.abandoned().has_value());
  EXPECT_EQ(session.abandoned()->reason, ServerAbort::kTooFewConfirmed);
  for (const auto& frame : session.received()) EXPECT_NE(frame.type, FrameType::kUnmask);
}

TEST(MaliciousSession, TheSumDoesNotDependOnTheOrderOfArrival) {
  std::vector<std::uint32_t> expected;
  for (std::uint64_t order = 0; order < 4; ++order) {
    SecAggSession session(Malicious(26, 5));
    session.Depart(3, FrameType::kMasked);
    session.Depart(8, FrameType::kUnmask);
    session.ShuffleDelivery(order);
    session.Run();
    ASSERT_TRUE(session.sum_ready().has_value());
    if (order == 0) expected = session.sum_ready()->sum;
    EXPECT_EQ(session.sum_ready()->sum, expected);
  }
}

// A connection that is lost takes what is under way with it, in both directions: whatever that was,
// a device that comes back is told what it waits for, so that nobody waits for it for ever.
TEST(MaliciousSession, AReconnectMakesEveryLossGood) {
  for (const FrameType last :
       {FrameType::kAdvertise, FrameType::kRoster, FrameType::kShares, FrameType::kInbox,
        FrameType::kMasked, FrameType::kConfirmRequest, FrameType::kConfirm,
        FrameType::kUnmaskRequest, FrameType::kUnmask}) {
    SCOPED_TRACE(wire::ToString(last));
    SecAggSession session(Malicious(20, 6));
    bool connected = true;
    bool was_lost = false;
    session.SetTap([&](const SecAggSession::Frame& frame) {
      if (frame.device != 3) return true;
      if (frame.type == last && !was_lost) {
        was_lost = true;
        connected = false;
      }
      return connected;
    });
    session.Start();
    session.Settle();
    EXPECT_TRUE(was_lost);
    EXPECT_FALSE(session.sum_ready().has_value());
    connected = true;
    session.DeviceEvent(3, client::event::Reconnected{});
    session.Settle();
    ASSERT_TRUE(session.sum_ready().has_value()) << NameOf(*session.device(3).state);
    EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
    EXPECT_EQ(session.sum_ready()->survivors.size(), 20U);
    EXPECT_TRUE(session.evidence().empty());
  }
}

// The quorum stood without it, and its new connection hears M8 before the M6 that was lost.
TEST(MaliciousSession, AMemberThatHearsM8AheadOfM6IsNoDropout) {
  SecAggSession session(Malicious(20, 6));
  bool was_lost = false;
  session.SetTap([&](const SecAggSession::Frame& frame) {
    if (frame.device != 3 || frame.type != FrameType::kConfirmRequest || was_lost) return true;
    was_lost = true;
    return false;
  });
  session.Start();
  session.Settle();
  ASSERT_EQ(NameOf(session.server()), "unmasking");
  ASSERT_EQ(NameOf(*session.device(3).state), "masked");
  session.DeviceEvent(3, client::event::Reconnected{});
  session.Settle();
  ASSERT_TRUE(session.sum_ready().has_value()) << NameOf(*session.device(3).state);
  EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
  EXPECT_TRUE(session.evidence().empty());
}

}  // namespace
}  // namespace demur::secagg
