#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "both_profiles.h"
#include "secagg_test_util.h"

// Random sessions of both profiles: with departures up to the design rate the sum is exact, above
// it the round ends cleanly; a wrong sum never comes out. (`demur-sim secagg --repeat` runs more.)
namespace demur::secagg {
namespace {

using wire::FrameType;
using Rng = std::mt19937_64;  // numbered draws, the same everywhere

std::uint32_t Below(Rng& rng, std::uint32_t bound) {
  return static_cast<std::uint32_t>(rng() % bound);
}

SessionOptions Draw(Rng& rng, model::SecAggProfile profile) {
  SessionOptions options;
  const bool malicious = profile == model::SecAggProfile::kMalicious;
  options.devices = 20 + Below(rng, malicious ? 9 : 41);
  options.dim = 1 + Below(rng, 12);
  options.bits = 8 + Below(rng, 25);
  options.profile = profile;
  options.sigma = malicious ? 80 : 40;
  options.dropout_permille = 300;
  options.seed = rng();
  return options;
}

// `count` members leave, each where the draw says. Gives back who never sends its vector.
std::set<std::uint32_t> Depart(SecAggSession& session, Rng& rng, std::uint32_t devices,
                               std::uint32_t count, bool malicious) {
  std::vector<FrameType> phases = {FrameType::kShares, FrameType::kMasked, FrameType::kUnmask};
  if (malicious) phases.push_back(FrameType::kConfirm);
  std::set<std::uint32_t> gone;
  std::set<std::uint32_t> without_vector;
  while (gone.size() < count) {
    const std::uint32_t device = Below(rng, devices);
    if (!gone.insert(device).second) continue;
    const FrameType phase = phases[Below(rng, static_cast<std::uint32_t>(phases.size()))];
    session.Depart(device, phase, Below(rng, 2) == 0);
    if (phase == FrameType::kShares || phase == FrameType::kMasked) without_vector.insert(device);
  }
  return without_vector;
}

class RandomSessions : public ::testing::TestWithParam<model::SecAggProfile> {
 protected:
  bool malicious() const { return GetParam() == model::SecAggProfile::kMalicious; }
};

TEST_P(RandomSessions, SumExactlyUpToTheDesignRate) {
  Rng rng(20);
  for (int trial = 0; trial < 30; ++trial) {
    const SessionOptions options = Draw(rng, GetParam());
    SCOPED_TRACE(::testing::Message() << trial << ": " << options.devices << " devices");
    SecAggSession session(options);
    session.ShuffleDelivery(rng());
    const std::uint32_t most = options.devices * options.dropout_permille / 1000;
    // Every third at the very limit.
    const std::uint32_t count = trial % 3 == 0 ? most : Below(rng, most + 1);
    const auto without = Depart(session, rng, options.devices, count, malicious());
    session.Run();
    ASSERT_TRUE(session.sum_ready().has_value())
        << count
        << " left: " << (session.abandoned() ? ToString(session.abandoned()->reason) : "no end");
    EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
    EXPECT_EQ(session.sum_ready()->survivors.size(), options.devices - without.size());
    for (const std::uint32_t survivor : session.Survivors()) {
      EXPECT_FALSE(without.contains(survivor));
    }
    EXPECT_TRUE(session.evidence().empty());
  }
}

TEST_P(RandomSessions, EndCleanlyAboveTheDesignRate) {
  Rng rng(21);
  int abandoned = 0;
  for (int trial = 0; trial < 15; ++trial) {
    const SessionOptions options = Draw(rng, GetParam());
    SCOPED_TRACE(::testing::Message() << trial << ": " << options.devices << " devices");
    SecAggSession session(options);
    session.ShuffleDelivery(rng());
    const std::uint32_t most = options.devices * options.dropout_permille / 1000;
    const std::uint32_t count = most + 1 + Below(rng, options.devices - most);
    const auto without = Depart(session, rng, options.devices, count, malicious());
    session.Run();
    ASSERT_NE(session.sum_ready().has_value(), session.abandoned().has_value());
    if (session.sum_ready()) {  // those who left late were not needed
      EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
      continue;
    }
    ++abandoned;
    EXPECT_TRUE(session.abandoned()->permit.valid());
    if (session.abandoned()->shares_asked) continue;
    for (const auto& frame : session.received()) EXPECT_NE(frame.type, FrameType::kUnmask);
    for (const auto& frame : session.sent()) EXPECT_NE(frame.type, FrameType::kConfirmRequest);
  }
  EXPECT_GE(abandoned, 5);
}

INSTANTIATE_TEST_SUITE_P(Both, RandomSessions, testing::BothProfiles(), testing::NameOfProfile);

}  // namespace
}  // namespace demur::secagg
