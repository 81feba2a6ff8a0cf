#include "demur/learning/suppression.h"

#include <gtest/gtest.h>

#include <cmath>

#include "learning_test_util.h"
#include "result_matchers.h"

namespace demur::learning {
namespace {

constexpr std::int64_t kHour = 3'600'000;
constexpr std::int64_t kNow = 1'000'000 * kHour;

// Items 0 and 1 point one way, 2 across, 3 against; the third number of a row is a bias.
const std::vector<float> kTable = {1, 0, 9, 2, 0, 9, 0, 1, 9, -1, 0, 9};
const ItemVectors kVectors = {kTable, 3, 2};

std::vector<Candidate> Scores() { return {{0, 4}, {1, 3}, {2, 2}, {3, 1}}; }

std::vector<Candidate> After(const std::vector<Event>& events, SuppressionOptions options = {}) {
  auto suppression = Suppression::Create(events, SignalTable(), kNow, options).value();
  std::vector<Candidate> candidates = Scores();
  EXPECT_OK(suppression.Apply(kVectors, &candidates));
  return candidates;
}

TEST(SuppressionTest, ADislikedItemIsGoneAtOnceAndForGood) {
  for (const std::int64_t age : {std::int64_t{0}, 24 * 3650 * kHour}) {
    const auto after = After({MakeEvent(0, Signal::kDislike, kNow - age)});
    ASSERT_EQ(after.size(), 3U);
    EXPECT_EQ(after[0].item, 1U);
  }
  EXPECT_EQ(After({MakeEvent(2, Signal::kReport, kNow)}).size(), 3U);
  EXPECT_EQ(After({MakeEvent(2, Signal::kLike, kNow)}).size(), 4U);
}

TEST(SuppressionTest, SimilarItemsSinkByTheFormula) {
  const auto after =
      After({MakeEvent(0, Signal::kDislike, kNow - 90 * 24 * kHour)}, {.penalty_cap = 0});
  // What is left has scores 3, 2, 1: sd sqrt(2/3). One half-life: kappa 1.5 becomes 0.75.
  ASSERT_EQ(after.size(), 3U);
  EXPECT_NEAR(after[0].score, 3 - std::sqrt(2.0 / 3) * 0.75, 1e-6);
  EXPECT_FLOAT_EQ(after[1].score, 2.0F);  // across
  EXPECT_FLOAT_EQ(after[2].score, 1.0F);  // against: no bonus
}

TEST(SuppressionTest, TheCapHoldsThePenalty) {
  const std::vector<Event> events = {MakeEvent(0, Signal::kDislike, kNow)};
  const auto after = After(events, {.eta = 10, .penalty_cap = 2});
  EXPECT_NEAR(after[0].score, 3 - std::sqrt(2.0 / 3) * 2, 1e-6);
}

TEST(SuppressionTest, ASkipTouchesOnlyItsOwnItemAndFades) {
  const double deviation = std::sqrt(1.25);
  auto after = After({MakeEvent(0, Signal::kSkip, kNow)});
  ASSERT_EQ(after.size(), 4U);
  EXPECT_NEAR(after[0].score, 4 - deviation * 0.1, 1e-6);
  EXPECT_FLOAT_EQ(after[1].score, 3.0F);
  after = After({MakeEvent(0, Signal::kSkip, kNow - 6 * kHour)});
  EXPECT_NEAR(after[0].score, 4 - deviation * 0.05, 1e-6);
  after = After({MakeEvent(0, Signal::kSkip, kNow - 60 * kHour)});  // below 0.01: forgotten
  EXPECT_FLOAT_EQ(after[0].score, 4.0F);
}

TEST(SuppressionTest, AnEventOfTheFutureIsNoStrongerThanOneOfNow) {
  const auto future = After({MakeEvent(0, Signal::kSkip, kNow + 600 * kHour)});
  const auto now = After({MakeEvent(0, Signal::kSkip, kNow)});
  EXPECT_EQ(future[0].score, now[0].score);
}

TEST(SuppressionTest, OnlyTheLatestRejectionsSpread) {
  const std::vector<Event> events = {MakeEvent(2, Signal::kHide, kNow - 5),
                                     MakeEvent(3, Signal::kHide, kNow)};
  ASSERT_OK_AND_ASSIGN(const Suppression suppression,
                       Suppression::Create(events, SignalTable(), kNow, {.rejections_max = 0}));
  std::vector<Candidate> candidates = Scores();
  ASSERT_OK(suppression.Apply(kVectors, &candidates));
  ASSERT_EQ(candidates.size(), 2U);  // both stay hidden
  EXPECT_FLOAT_EQ(candidates[0].score, 4.0F);
}

TEST(SuppressionTest, BadInputLeavesTheCandidatesAlone) {
  ASSERT_OK_AND_ASSIGN(const Suppression suppression,
                       Suppression::Create(std::vector<Event>{MakeEvent(0, Signal::kHide, kNow)},
                                           SignalTable(), kNow, {}));
  std::vector<Candidate> outside = {{1, 1}, {4, 1}};
  EXPECT_ERROR(suppression.Apply(kVectors, &outside), ErrorCode::kInvalidArgument);
  EXPECT_EQ(outside.size(), 2U);
  std::vector<Candidate> nan = {{1, std::nanf("")}};
  EXPECT_ERROR(suppression.Apply(kVectors, &nan), ErrorCode::kInvalidArgument);
  const std::vector<float> bad_table = {1, 0, 9, std::nanf(""), 0, 9};
  std::vector<Candidate> candidates = {{1, 1}};
  EXPECT_ERROR(suppression.Apply({bad_table, 3, 2}, &candidates), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Suppression::Create({}, SignalTable(), kNow, {.eta = -1}),
               ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur::learning
