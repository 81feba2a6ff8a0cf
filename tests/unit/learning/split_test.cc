#include "demur/learning/split.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "demur/seeded/seeded_random.h"
#include "learning_test_util.h"
#include "result_matchers.h"

namespace demur::learning {
namespace {

std::vector<Event> Events(std::uint32_t count) {
  std::vector<Event> out;
  for (std::uint32_t i = 0; i < count; ++i) out.push_back(MakeEvent(i, Signal::kLike, 100 + i, i));
  return out;
}

TEST(SplitTest, RandomKeepsEveryEventOnceInTheSharesAsked) {
  seeded::SeededRandom random(1);
  ASSERT_OK_AND_ASSIGN(const Split split, SplitUser(Events(100), {}, 5, random));
  EXPECT_EQ(split.test.size(), 20U);
  EXPECT_EQ(split.validation.size(), 8U);
  EXPECT_EQ(split.train.size(), 72U);
  std::vector<std::uint32_t> all = Items(split.train);
  for (const auto* part : {&split.validation, &split.test}) {
    const auto items = Items(*part);
    all.insert(all.end(), items.begin(), items.end());
    EXPECT_TRUE(std::is_sorted(part->begin(), part->end(), EarlierThan));
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, Items(Events(100)));
}

TEST(SplitTest, RandomDependsOnUserAndSeedAlone) {
  seeded::SeededRandom random(1);
  seeded::SeededRandom same(1);
  seeded::SeededRandom other(2);
  ASSERT_OK_AND_ASSIGN(const Split a, SplitUser(Events(50), {}, 5, random));
  ASSERT_OK_AND_ASSIGN(const Split b, SplitUser(Events(50), {}, 5, same));
  ASSERT_OK_AND_ASSIGN(const Split c, SplitUser(Events(50), {}, 6, random));
  ASSERT_OK_AND_ASSIGN(const Split d, SplitUser(Events(50), {}, 5, other));
  EXPECT_EQ(a.test, b.test);
  EXPECT_NE(a.test, c.test);
  EXPECT_NE(a.test, d.test);
}

TEST(SplitTest, LeaveOneOutTakesTheTwoLatestByTimeThenOrder) {
  seeded::SeededRandom random(1);
  const std::vector<Event> events = {
      MakeEvent(1, Signal::kLike, 50, 0), MakeEvent(2, Signal::kLike, 90, 1),
      MakeEvent(3, Signal::kLike, 90, 2), MakeEvent(4, Signal::kLike, 10, 3)};
  ASSERT_OK_AND_ASSIGN(const Split split,
                       SplitUser(events, {.kind = SplitKind::kLeaveOneOut}, 0, random));
  EXPECT_EQ(Items(split.test), std::vector<std::uint32_t>({3}));
  EXPECT_EQ(Items(split.validation), std::vector<std::uint32_t>({2}));
  EXPECT_EQ(Items(split.train), std::vector<std::uint32_t>({4, 1}));
}

TEST(SplitTest, LeaveOneOutLeavesShortHistoriesWhole) {
  seeded::SeededRandom random(1);
  ASSERT_OK_AND_ASSIGN(const Split split,
                       SplitUser(Events(2), {.kind = SplitKind::kLeaveOneOut}, 0, random));
  EXPECT_EQ(split.train.size(), 2U);
}

TEST(SplitTest, TimeHoldsOutTheLatest) {
  seeded::SeededRandom random(1);
  ASSERT_OK_AND_ASSIGN(const Split split,
                       SplitUser(Events(10), {.kind = SplitKind::kTime}, 0, random));
  EXPECT_EQ(Items(split.test), std::vector<std::uint32_t>({8, 9}));
  EXPECT_EQ(Items(split.validation), std::vector<std::uint32_t>({7}));
}

TEST(SplitTest, TimeCutIsOneTimeForAll) {
  seeded::SeededRandom random(1);
  const SplitOptions options = {
      .kind = SplitKind::kTimeCut, .validation = 0.25, .cut_unix_ms = 104};
  ASSERT_OK_AND_ASSIGN(const Split split, SplitUser(Events(10), options, 0, random));
  EXPECT_EQ(Items(split.train), std::vector<std::uint32_t>({0, 1, 2}));
  EXPECT_EQ(Items(split.validation), std::vector<std::uint32_t>({3}));
  EXPECT_EQ(split.test.size(), 6U);
  const SplitOptions early = {.kind = SplitKind::kTimeCut, .cut_unix_ms = 1};
  ASSERT_OK_AND_ASSIGN(const Split late, SplitUser(Events(3), early, 0, random));
  EXPECT_TRUE(late.train.empty());
  EXPECT_EQ(late.test.size(), 3U);
}

TEST(SplitTest, AtLeastOneEventTrains) {
  seeded::SeededRandom random(1);
  ASSERT_OK_AND_ASSIGN(const Split split,
                       SplitUser(Events(2), {.test = 0.9, .validation = 0.9}, 0, random));
  EXPECT_EQ(split.train.size(), 1U);
  ASSERT_OK_AND_ASSIGN(const Split none, SplitUser({}, {}, 0, random));
  EXPECT_TRUE(none.train.empty());
}

TEST(SplitTest, RefusesBadFractionsAndFailingGenerators) {
  seeded::SeededRandom random(1);
  EXPECT_ERROR(SplitUser(Events(5), {.test = 1.0}, 0, random), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(SplitUser(Events(5), {.validation = -0.1}, 0, random), ErrorCode::kInvalidArgument);
  FailingRandom failing;
  EXPECT_ERROR(SplitUser(Events(5), {}, 0, failing), ErrorCode::kInternal);
}

TEST(SplitTest, NamesGoBothWays) {
  for (const auto kind :
       {SplitKind::kRandom, SplitKind::kLeaveOneOut, SplitKind::kTime, SplitKind::kTimeCut}) {
    ASSERT_OK_AND_ASSIGN(const SplitKind parsed, ParseSplitKind(ToString(kind)));
    EXPECT_EQ(parsed, kind);
  }
  EXPECT_ERROR(ParseSplitKind("loo"), ErrorCode::kInvalidArgument);
}

TEST(FindTimeCutTest, HoldsOutTheShareAsked) {
  const std::vector<std::int64_t> times = {5, 1, 9, 3, 7, 2, 8, 4, 6, 10};
  ASSERT_OK_AND_ASSIGN(const std::int64_t cut, FindTimeCut(times, 0.2));
  EXPECT_EQ(cut, 9);
  EXPECT_ERROR(FindTimeCut({}, 0.2), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(FindTimeCut(times, 1.0), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur::learning
