#include <gtest/gtest.h>

#include <set>

#include "secagg_session.h"

// Whole sessions: the sum is exact for every set of departures that leaves enough, and nothing is
// opened otherwise.
namespace demur::secagg {
namespace {

using testing::SecAggSession;
using testing::SessionOptions;
using wire::FrameType;

SessionOptions Options(std::uint32_t n, std::uint64_t seed) {
  SessionOptions options;
  options.devices = n;
  options.seed = seed;
  return options;
}

void ExpectExactSum(SecAggSession& session) {
  ASSERT_TRUE(session.sum_ready().has_value())
      << (session.abandoned() ? ToString(session.abandoned()->reason) : "no end");
  EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
  EXPECT_TRUE(session.sum_ready()->permit.valid());
  EXPECT_TRUE(session.evidence().empty());
}

TEST(Session, EverybodyStaysForEverySize) {
  for (const std::uint32_t n : {20U, 33U, 60U, 120U}) {
    SCOPED_TRACE(n);
    SecAggSession session(Options(n, n));
    session.Run();
    ExpectExactSum(session);
    EXPECT_EQ(session.sum_ready()->survivors.size(), n);
  }
}

TEST(Session, RandomDeparturesAtEveryPhaseLeaveTheSumExact) {
  for (const std::uint32_t n : {20U, 33U, 60U, 120U}) {
    for (std::uint64_t trial = 0; trial < (n > 50 ? 1 : 4); ++trial) {
      SCOPED_TRACE(::testing::Message() << n << " devices, trial " << trial);
      SessionOptions options = Options(n, 100 * n + trial);
      options.devices = n + n / 10;  // some leave before the roster
      options.roster_min = n;
      SecAggSession session(options);
      session.ShuffleDelivery(trial + 1);
      // Within the design: delta n after the roster, over three phases.
      const FrameType phases[] = {FrameType::kShares, FrameType::kMasked, FrameType::kUnmask};
      std::set<std::uint32_t> stay;
      for (std::uint32_t i = 0; i < options.devices; ++i) stay.insert(i);
      std::uint32_t device = static_cast<std::uint32_t>(7 * trial + 3) % options.devices;
      for (std::uint32_t left = 0; left < n / 10 + n / 5; ++left) {
        const bool early = left < n / 10;
        const FrameType type = early ? FrameType::kAdvertise : phases[(left + trial) % 3];
        session.Depart(device, type, (left + trial) % 2 == 0);
        if (type != FrameType::kUnmask) stay.erase(device);
        device = (device + 5) % options.devices;
        while (session.device(device).departure) device = (device + 1) % options.devices;
      }
      session.Run();
      ExpectExactSum(session);
      const auto survivors = session.Survivors();
      EXPECT_EQ(std::set<std::uint32_t>(survivors.begin(), survivors.end()), stay);
    }
  }
}

TEST(Session, TheSumIsTheSameInAnyOrderOfArrival) {
  std::optional<std::vector<std::uint32_t>> first;
  for (std::uint64_t order = 0; order < 4; ++order) {
    SecAggSession session(Options(24, 5));
    if (order > 0) session.ShuffleDelivery(order);
    session.Depart(3, FrameType::kMasked);
    session.Depart(9, FrameType::kShares);
    session.Run();
    ExpectExactSum(session);
    if (!first) first = session.sum_ready()->sum;
    EXPECT_EQ(session.sum_ready()->sum, *first);
  }
}

TEST(Session, EveryWidthOfCoordinateIsExact) {
  for (const std::uint32_t bits : {8U, 9U, 16U, 17U, 24U, 31U, 32U}) {
    SCOPED_TRACE(bits);
    SessionOptions options = Options(20, bits);
    options.bits = bits;
    options.dim = 2051;  // beyond one chunk of the mask stream
    SecAggSession session(options);
    session.Depart(1, FrameType::kMasked);
    session.Run();
    ExpectExactSum(session);
  }
}

struct TooMany {
  FrameType phase;
  ServerAbort reason;
  bool shares_asked;
};

TEST(Session, BelowTheMinimumNothingIsOpened) {
  const TooMany cases[] = {
      {FrameType::kAdvertise, ServerAbort::kRosterTooSmall, false},
      {FrameType::kShares, ServerAbort::kTooFewShared, false},
      {FrameType::kMasked, ServerAbort::kTooFewSurvivors, false},
      {FrameType::kUnmask, ServerAbort::kTooFewShares, true},
  };
  for (const TooMany& c : cases) {
    for (const std::uint32_t n : {20U, 33U}) {
      SCOPED_TRACE(::testing::Message() << wire::ToString(c.phase) << " " << n);
      SecAggSession session(Options(n, 11));
      const auto leave = c.phase == FrameType::kUnmask ? n - 3 : n * 2 / 5;
      for (std::uint32_t i = 0; i < leave; ++i) {
        session.Depart(i, c.phase);
      }
      if (c.phase == FrameType::kAdvertise) {
        for (std::uint32_t i = 0; i + 19 < n; ++i) session.Depart(i, c.phase);
      }
      session.Run();
      EXPECT_FALSE(session.sum_ready().has_value());
      ASSERT_TRUE(session.abandoned().has_value());
      EXPECT_EQ(session.abandoned()->reason, c.reason);
      EXPECT_EQ(session.abandoned()->shares_asked, c.shares_asked);
      EXPECT_TRUE(session.abandoned()->permit.valid());
      const bool asked =
          std::any_of(session.sent().begin(), session.sent().end(),
                      [](const auto& frame) { return frame.type == FrameType::kConfirmRequest; });
      EXPECT_EQ(asked, c.shares_asked);
    }
  }
}

TEST(Session, AbandoningClosesTheDevicesAndCommittingTellsThemTheModel) {
  SecAggSession session(Options(20, 4));
  session.Run();
  ASSERT_TRUE(session.sum_ready().has_value());
  Hash256 result{};
  result.fill(std::byte{9});
  session.ServerEvent(server::event::Finish{wire::CloseStatus::kCommitted, result});
  session.Settle();
  for (std::uint32_t i = 0; i < 20; ++i) {
    const auto* closed = std::get_if<client::state::Closed>(&*session.device(i).state);
    ASSERT_NE(closed, nullptr);
    EXPECT_EQ(closed->status, wire::CloseStatus::kCommitted);
    EXPECT_EQ(closed->result_hash, result);
  }
  SecAggSession stopped(Options(20, 4));
  stopped.Start();
  ASSERT_TRUE(stopped.RunUntil("masking"));
  stopped.ServerEvent(server::event::Stop{});
  stopped.Settle();
  for (std::uint32_t i = 0; i < 20; ++i) {
    const auto* closed = std::get_if<client::state::Closed>(&*stopped.device(i).state);
    ASSERT_NE(closed, nullptr) << NameOf(*stopped.device(i).state);
    EXPECT_EQ(closed->status, wire::CloseStatus::kAbandoned);
  }
}

TEST(Session, AMemberThatMissedAPhaseIsToldAndTheOthersGoOn) {
  SecAggSession session(Options(24, 6));
  session.SetTap([](SecAggSession::Frame& frame) {
    return !(frame.to_server && frame.device == 5 && frame.type == FrameType::kShares);
  });
  session.Run();
  ExpectExactSum(session);
  EXPECT_EQ(session.Survivors().size(), 23U);
  const auto* closed = std::get_if<client::state::Closed>(&*session.device(5).state);
  ASSERT_NE(closed, nullptr);
  EXPECT_EQ(closed->status, wire::CloseStatus::kExcluded);
}

TEST(Session, AReconnectingDeviceGetsItsAnswersAgainAndTheSumStaysExact) {
  SecAggSession session(Options(20, 8));
  session.Start();
  for (const char* phase : {"sharing", "masking", "unmasking"}) {
    ASSERT_TRUE(session.RunUntil(phase));
    const auto before = session.received().size();
    session.DeviceEvent(2, client::event::Reconnected{});
    EXPECT_GE(session.queue().size(), 1U);
    EXPECT_EQ(session.received().size(), before);
  }
  session.Settle();
  ExpectExactSum(session);
}

}  // namespace
}  // namespace demur::secagg
