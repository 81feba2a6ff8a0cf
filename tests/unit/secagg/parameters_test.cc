#include "demur/secagg/parameters.h"

#include <gtest/gtest.h>

#include "result_matchers.h"

namespace demur::secagg {
namespace {

struct Row {
  std::uint32_t n, corrupt, dropout, sigma, neighbours, threshold;
};

// Published values of the rule (n = 100, 1000, 10000, 1000000 at sigma 40) and values recomputed
// independently with exact integers (the others); eta is 20 throughout.
constexpr Row kKnown[] = {
    {100, 50, 50, 40, 12, 6},        {100, 50, 300, 40, 26, 6},     {300, 50, 50, 40, 24, 14},
    {300, 50, 300, 40, 48, 16},      {500, 50, 50, 40, 28, 16},     {500, 50, 300, 40, 58, 20},
    {1000, 50, 50, 40, 30, 17},      {1000, 50, 100, 40, 36, 19},   {1000, 50, 300, 40, 66, 23},
    {1000, 50, 330, 40, 72, 24},     {1000, 100, 100, 40, 48, 27},  {1000, 100, 300, 40, 88, 36},
    {1000, 200, 300, 40, 140, 67},   {1000, 330, 100, 40, 102, 72}, {1000, 330, 330, 40, 286, 150},
    {10000, 50, 50, 40, 34, 20},     {10000, 50, 300, 40, 80, 29},  {1000000, 50, 50, 40, 38, 22},
    {1000000, 50, 330, 40, 102, 34}, {1000, 50, 50, 80, 40, 27},    {1000, 50, 300, 80, 86, 35},
    {1000, 100, 300, 80, 120, 54},
};

TEST(RingRule, GivesThePublishedNeighboursAndThresholds) {
  for (const Row& row : kKnown) {
    const auto found = FindRingParameters(row.n, {row.corrupt, row.dropout, row.sigma, 20});
    ASSERT_TRUE(found.has_value()) << row.n;
    EXPECT_EQ(found->neighbours, row.neighbours)
        << row.n << " " << row.corrupt << " " << row.dropout << " " << row.sigma;
    EXPECT_EQ(found->threshold, row.threshold)
        << row.n << " " << row.corrupt << " " << row.dropout << " " << row.sigma;
  }
}

TEST(RingRule, HasNoAnswerWhereCorruptAndDroppedAreNearlyAll) {
  EXPECT_FALSE(FindRingParameters(1000, {450, 460, 40, 20}).has_value());
  EXPECT_FALSE(FindRingParameters(20, {500, 400, 40, 20}).has_value());
  EXPECT_FALSE(FindRingParameters(3, {0, 0, 40, 20}).has_value());
}

TEST(RingRule, AsksForMoreWhenMoreIsAssumed) {
  for (std::uint32_t n = 20; n <= 400; n += 37) {
    const auto base = FindRingParameters(n, {50, 200, 40, 20});
    const auto corrupt = FindRingParameters(n, {150, 200, 40, 20});
    const auto safer = FindRingParameters(n, {50, 200, 80, 20});
    ASSERT_TRUE(base && corrupt && safer) << n;
    EXPECT_GE(corrupt->threshold, base->threshold) << n;
    EXPECT_GE(safer->neighbours, base->neighbours) << n;
    EXPECT_EQ(base->neighbours % 2, 0U);
    EXPECT_LT(base->neighbours, n - 1);
    EXPECT_GE(base->threshold, 2U);
  }
}

// The bound behind the threshold, recomputed in another way: exact binomials as 128-bit integers.
TEST(RingRule, TheCorruptTailIsWhatTheThresholdSays) {
  constexpr std::uint32_t n = 60, corrupt = 3, k = 22;  // floor(0.05 n), and k for .05/.30
  const auto choose = [](std::uint32_t a, std::uint32_t b) {
    long double out = 1;
    for (std::uint32_t i = 0; i < b; ++i) out = out * (a - i) / (i + 1);
    return out;
  };
  const auto tail = [&](std::uint32_t x) {  // P[more than x neighbours are corrupt]
    long double sum = 0;
    for (std::uint32_t y = x + 1; y <= corrupt; ++y) {
      sum += choose(corrupt, y) * choose(n - corrupt, k - y) / choose(n, k);
    }
    return sum;
  };
  const auto found = FindRingParameters(n, {50, 300, 40, 20});
  ASSERT_TRUE(found.has_value());
  ASSERT_EQ(found->neighbours, k);
  const long double bound = 0x1p-41L / n;
  EXPECT_LE(tail(found->threshold - 1), bound);
  EXPECT_GT(tail(found->threshold - 2), bound);
}

TEST(Parameters, AreWhatTheRuleSaysForTheRoster) {
  model::SecAggPlan plan{model::SecAggProfile::kSemiHonest, 20, 1000, 50, 300, 40, 20};
  ASSERT_OK_AND_ASSIGN(const Parameters at_1000, ComputeParameters(1000, plan));
  EXPECT_EQ(at_1000, (Parameters{GraphKind::kRing, 66, 23, 700, 0, 0}));
  ASSERT_OK_AND_ASSIGN(const Parameters at_190, ComputeParameters(190, plan));
  EXPECT_EQ(at_190, (Parameters{GraphKind::kRing, 36, 10, 133, 0, 0}));
}

TEST(Parameters, RefuseRostersOutsideThePlanAndTheFloor) {
  model::SecAggPlan plan{model::SecAggProfile::kSemiHonest, 30, 100, 50, 300, 40, 20};
  EXPECT_OK(ComputeParameters(30, plan));
  EXPECT_OK(ComputeParameters(100, plan));
  EXPECT_ERROR(ComputeParameters(29, plan), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ComputeParameters(101, plan), ErrorCode::kInvalidArgument);
  plan.roster_min = 5;  // a plan cannot lower the floor
  EXPECT_ERROR(ComputeParameters(19, plan), ErrorCode::kInvalidArgument);
  EXPECT_OK(ComputeParameters(20, plan));
}

// The values that the design states (docs/protocol.md has the table), to sigma 80 and 40.
TEST(Parameters, OfTheExpanderAndItsCommitteeAreTheDesignsFigures) {
  struct Case {
    std::uint32_t n, gamma, delta, sigma, k, t, m, q;
  };
  const Case cases[] = {
      {1000, 50, 50, 40, 32, 20, 36, 26},    {1000, 50, 100, 40, 42, 23, 56, 38},
      {1000, 50, 300, 40, 82, 32, 238, 137}, {1000, 100, 300, 40, 102, 44, 328, 197},
      {1000, 50, 50, 80, 42, 28, 52, 40},    {1000, 50, 100, 80, 54, 32, 70, 50},
      {1000, 50, 300, 80, 98, 41, 274, 161}, {1000, 100, 300, 80, 130, 60, 382, 234},
      {300, 50, 300, 80, 54, 19, 132, 74}};
  for (const Case& c : cases) {
    const Assumptions assume{c.gamma, c.delta, c.sigma, 20};
    const auto graph = FindExpanderParameters(c.n, assume);
    const auto committee = FindCommittee(c.n, assume);
    ASSERT_TRUE(graph && committee) << c.n << " " << c.gamma << " " << c.delta;
    EXPECT_EQ(*graph, (GraphDegree{c.k, c.t})) << c.n << " " << c.gamma << " " << c.delta;
    EXPECT_EQ(*committee, (CommitteeSize{c.m, c.q})) << c.n << " " << c.gamma << " " << c.delta;
  }
}

TEST(Parameters, OfTheMaliciousProfileFollowTheRoster) {
  const model::SecAggPlan plan{model::SecAggProfile::kMalicious, 20, 1000, 50, 300, 80, 20};
  ASSERT_OK_AND_ASSIGN(const Parameters at_20, ComputeParameters(20, plan));
  EXPECT_EQ(at_20, (Parameters{GraphKind::kComplete, 19, 11, 14, 20, 11}));
  ASSERT_OK_AND_ASSIGN(const Parameters at_200, ComputeParameters(200, plan));
  EXPECT_EQ(at_200, (Parameters{GraphKind::kComplete, 199, 106, 140, 200, 106}));
  ASSERT_OK_AND_ASSIGN(const Parameters at_1000, ComputeParameters(1000, plan));
  EXPECT_EQ(at_1000, (Parameters{GraphKind::kExpander, 98, 41, 700, 274, 161}));
  EXPECT_EQ(ToString(at_200.graph), "complete");
  EXPECT_EQ(ToString(at_1000.graph), "unreviewed");
  EXPECT_EQ(ToString(GraphKind::kRing), "published");
  EXPECT_EQ(ToString(static_cast<GraphKind>(9)), "unknown");
}

TEST(Parameters, OfTheMaliciousProfileAreRefusedWhereTheMajorityMayBeGone) {
  model::SecAggPlan plan{model::SecAggProfile::kMalicious, 20, 1000, 200, 450, 80, 20};
  EXPECT_ERROR(ComputeParameters(100, plan), ErrorCode::kInvalidArgument);
  plan.corrupt_permille = 500;
  plan.dropout_permille = 500;
  EXPECT_ERROR(ComputeParameters(400, plan), ErrorCode::kInvalidArgument);
  // Not all are corrupt or gone, but no graph and no committee is large enough.
  EXPECT_FALSE(FindExpanderParameters(400, {490, 500, 80, 20}).has_value());
  EXPECT_FALSE(FindCommittee(400, {200, 450, 80, 20}).has_value());
  plan = {model::SecAggProfile::kMalicious, 20, 1000, 200, 450, 80, 20};
  EXPECT_ERROR(ComputeParameters(400, plan), ErrorCode::kInvalidArgument);
}

TEST(Parameters, LeaveEnoughSurvivorsToOpenASecretForEveryRosterSize) {
  for (const std::uint32_t dropout : {0U, 50U, 300U, 500U}) {
    for (const auto profile :
         {model::SecAggProfile::kSemiHonest, model::SecAggProfile::kMalicious}) {
      if (profile == model::SecAggProfile::kMalicious && dropout == 500) continue;
      const model::SecAggPlan plan{profile, 20, 400, 50, dropout, 40, 20};
      for (std::uint32_t n = 20; n <= 400; ++n) {
        ASSERT_OK_AND_ASSIGN(const Parameters p, ComputeParameters(n, plan));
        EXPECT_GT(p.survivors_min, p.threshold) << n;
        EXPECT_LE(p.threshold, p.neighbours) << n;
        EXPECT_LE(p.quorum, p.committee) << n;
      }
    }
  }
}

}  // namespace
}  // namespace demur::secagg
