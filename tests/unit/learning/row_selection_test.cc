#include "demur/learning/row_selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "demur/learning/row_buckets.h"
#include "demur/seeded/seeded_random.h"
#include "learning_test_util.h"
#include "result_matchers.h"

namespace demur::learning {
namespace {

using Rows = std::vector<std::uint32_t>;

// --- Buckets

TEST(RowBucketsTest, UpToTheirNumberEveryRowHasItsOwn) {
  for (const std::uint32_t items : {1U, 100U, kMaxBuckets}) {
    EXPECT_EQ(NumBuckets(items), items);
    for (const std::uint32_t row : {0U, items / 2, items - 1}) {
      EXPECT_EQ(RowBucket(row, items), row);
    }
  }
  EXPECT_EQ(NumBuckets(kMaxBuckets + 1), kMaxBuckets);
  EXPECT_EQ(NumBuckets(1U << 26), kMaxBuckets);
}

TEST(RowBucketsTest, ALargeCatalogueIsSpreadEvenly) {
  constexpr std::uint32_t kItems = 1U << 20;
  std::vector<std::uint32_t> load(kMaxBuckets);
  for (std::uint32_t row = 0; row < kItems; ++row) {
    const std::uint32_t bucket = RowBucket(row, kItems);
    ASSERT_LT(bucket, kMaxBuckets);
    ++load[bucket];
  }
  // Four on average.
  EXPECT_GE(*std::min_element(load.begin(), load.end()), 2U);
  EXPECT_LE(*std::max_element(load.begin(), load.end()), 5U);
}

TEST(RowBucketsTest, NeighboursDoNotShareOne) {
  constexpr std::uint32_t kItems = 1U << 26;
  for (std::uint32_t row = 0; row < kItems - 1000; row += 999'983) {
    for (std::uint32_t away = 1; away <= 1000; ++away) {
      ASSERT_NE(RowBucket(row, kItems), RowBucket(row + away, kItems)) << row << " + " << away;
    }
  }
}

// --- By counts

TEST(RowsByCountsTest, TakesRowsWithEnough) {
  const model::MeanUpdate counts{{1.9, 2, 5, 2, 7, -3}};
  EXPECT_EQ(RowsByCounts(counts, {.items = 6, .cap = 6, .count_min = 2}).value(),
            (Rows{1, 2, 3, 4}));
  EXPECT_EQ(RowsByCounts(counts, {.items = 6, .cap = 4, .count_min = 2}).value(),
            (Rows{1, 2, 3, 4}));
  EXPECT_EQ(RowsByCounts(counts, {.items = 6, .cap = 6, .count_min = 6.5}).value(), (Rows{4}));
}

TEST(RowsByCountsTest, OfMoreThanTheCapTheLargestAreTakenAndOfEqualOnesTheFirst) {
  const model::MeanUpdate counts{{1.9, 2, 5, 2, 7, 2}};
  RowRule rule{.items = 6, .cap = 3, .count_min = 2};
  EXPECT_EQ(RowsByCounts(counts, rule).value(), (Rows{1, 2, 4}));
  rule.cap = 4;
  EXPECT_EQ(RowsByCounts(counts, rule).value(), (Rows{1, 2, 3, 4}));
  rule.cap = 2;
  EXPECT_EQ(RowsByCounts(counts, rule).value(), (Rows{2, 4}));
  rule.cap = 1;
  EXPECT_EQ(RowsByCounts(counts, rule).value(), (Rows{4}));
}

TEST(RowsByCountsTest, AllRowsOfABucketAreTaken) {
  constexpr std::uint32_t kItems = 1U << 20;
  constexpr std::uint32_t kHot = 12'345;
  model::MeanUpdate counts{std::vector<double>(kMaxBuckets, 0.0)};
  counts.values[kHot] = 9;
  Rows expected;
  for (std::uint32_t row = 0; row < kItems; ++row) {
    if (RowBucket(row, kItems) == kHot) expected.push_back(row);
  }
  ASSERT_GT(expected.size(), 1U);
  EXPECT_EQ(RowsByCounts(counts, {.items = kItems, .cap = kItems, .count_min = 1}).value(),
            expected);
}

TEST(RowsByCountsTest, WithoutARowThereIsNoSecondSession) {
  const RowRule rule{.items = 3, .cap = 3, .count_min = 2};
  EXPECT_ERROR(RowsByCounts({{1.99, 0, -5}}, rule), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(RowsByCounts({{std::nan(""), std::nan(""), std::nan("")}}, rule),
               ErrorCode::kFailedPrecondition);
}

TEST(RowsByCountsTest, CountsAndRuleHaveToFit) {
  const model::MeanUpdate counts{{3, 3, 3}};
  EXPECT_ERROR(RowsByCounts(counts, {.items = 4, .cap = 1}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(RowsByCounts(counts, {.items = 2, .cap = 1}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(RowsByCounts(counts, {.items = 3, .cap = 0}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(RowsByCounts(counts, {.items = 3, .cap = 4}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(RowsByCounts({}, {.items = 0, .cap = 0}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(RowsByCounts({std::vector<double>(kMaxBuckets + 1, 3.0)},
                            {.items = kMaxBuckets + 1, .cap = 1}),
               ErrorCode::kInvalidArgument);
}

// --- By bandit

Rows Draw(const RowScores& scores, const RowRule& rule, std::uint64_t seed) {
  seeded::SeededRandom random(seed);
  auto stream = random.Stream({.purpose = Purpose::kRows}).value();
  return RowsByBandit(scores, rule, *stream).value();
}

// How often each row is drawn, over 400 seeds. The generator is seeded, so the numbers are always
// the same; the bounds of the tests lie far from what they are.
std::vector<double> Shares(const RowScores& scores, const RowRule& rule) {
  constexpr std::uint64_t kSeeds = 400;
  std::vector<double> out(rule.items);
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    for (const std::uint32_t row : Draw(scores, rule, seed)) out[row] += 1.0 / kSeeds;
  }
  return out;
}

TEST(RowsByBanditTest, GivesExactlyTheCapAscending) {
  for (const std::uint32_t cap : {1U, 7U, 19U, 20U}) {
    const Rows rows = Draw({}, {.items = 20, .cap = cap}, cap);
    ASSERT_EQ(rows.size(), cap);
    EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
    EXPECT_EQ(std::adjacent_find(rows.begin(), rows.end()), rows.end());
    EXPECT_LT(rows.back(), 20U);
  }
}

TEST(RowsByBanditTest, IsAFunctionOfScoresAndStream) {
  const RowRule rule{.items = 200, .cap = 50};
  EXPECT_EQ(Draw({}, rule, 1), Draw({}, rule, 1));
  EXPECT_NE(Draw({}, rule, 1), Draw({}, rule, 2));
  const RowScores zeros{std::vector<float>(200), std::vector<float>(200)};
  EXPECT_EQ(Draw({}, rule, 1), Draw(zeros, rule, 1)) << "no scores are scores of nothing";
}

TEST(RowsByBanditTest, WhatNobodyKnowsIsDrawnEvenly) {
  for (const double share : Shares({}, {.items = 20, .cap = 5})) EXPECT_NEAR(share, 0.25, 0.11);
}

TEST(RowsByBanditTest, PrefersRowsThatWereRewarded) {
  RowScores scores{std::vector<float>(20, 8), std::vector<float>(20, 10)};
  for (std::uint32_t row = 0; row < 5; ++row) scores.reward[row] = 16;
  const std::vector<double> shares = Shares(scores, {.items = 20, .cap = 5});
  double best = 0;
  for (std::uint32_t row = 0; row < 20; ++row) {
    if (row < 5) {
      EXPECT_GT(shares[row], 0.5) << row;
    } else {
      EXPECT_LT(shares[row], 0.25) << row;
      best = std::max(best, shares[row]);
    }
  }
  EXPECT_GT(best, 0) << "others are tried now and then";
}

TEST(RowsByBanditTest, TriesWhatItDoesNotKnowBeforeWhatDidNothing) {
  RowScores scores{std::vector<float>(20, 0), std::vector<float>(20, 0)};
  for (std::uint32_t row = 0; row < 10; ++row) scores.count[row] = 20;
  const std::vector<double> shares = Shares(scores, {.items = 20, .cap = 5});
  EXPECT_LT(std::accumulate(shares.begin(), shares.begin() + 10, 0.0), 0.5);
}

TEST(RowsByBanditTest, ScoresAndRuleHaveToFit) {
  seeded::SeededRandom random(1);
  auto stream = random.Stream({.purpose = Purpose::kRows}).value();
  const RowScores three{{1, 1, 1}, {1, 1, 1}};
  EXPECT_OK(RowsByBandit(three, {.items = 3, .cap = 1}, *stream));
  EXPECT_ERROR(RowsByBandit(three, {.items = 4, .cap = 1}, *stream), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(RowsByBandit({{1, 1, 1}, {1}}, {.items = 3, .cap = 1}, *stream),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(RowsByBandit(three, {.items = 3, .cap = 0}, *stream), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(RowsByBandit(three, {.items = 3, .cap = 4}, *stream), ErrorCode::kInvalidArgument);
  FailingStream failing;
  EXPECT_ERROR(RowsByBandit(three, {.items = 3, .cap = 1}, failing), ErrorCode::kInternal);
}

// --- What it learns

// A table without rows of items, then two with a row for each of four.
model::Layout FourItems(const Rows& rows) {
  model::Schema schema;
  schema.tables = {{"all", 1, 2, 1.0}, {"item", 4, 2, 1.0}, {"item_bias", 4, 1, 1.0}};
  model::Slice slice = model::Slice::Everything(schema);
  slice.tables[1] = slice.tables[2] = {false, rows};
  return model::Layout::Create(schema, slice).value();
}

TEST(ScoreRowsTest, ARewardIsTheShareOfTheChangeTimesTheRows) {
  const model::Layout layout = FourItems({1, 3});
  const model::MeanUpdate mean{{100, 100, 1, -1, 3, 0, 1, 2}};  // squares: 2 + 1 and 9 + 4
  RowScores scores;
  ASSERT_OK(ScoreRows(mean, layout, {.items = 4, .cap = 2, .keep = 0.5}, &scores));
  EXPECT_EQ(scores.count, (std::vector<float>{0, 1, 0, 1}));
  EXPECT_EQ(scores.reward, (std::vector<float>{0, 3.0F * 2 / 16, 0, 13.0F * 2 / 16}));
}

TEST(ScoreRowsTest, ThePastFadesInEveryRow) {
  RowScores scores{{8, 8, 8, 8}, {4, 4, 4, 4}};
  ASSERT_OK(ScoreRows({{0, 0, 1, 0, 0, 0, 0, 0}}, FourItems({0, 2}),
                      {.items = 4, .cap = 2, .keep = 0.5}, &scores));
  EXPECT_EQ(scores.count, (std::vector<float>{3, 2, 3, 2}));
  EXPECT_EQ(scores.reward, (std::vector<float>{6, 4, 4, 4}));
}

TEST(ScoreRowsTest, ARoundThatMovedNothingRewardsNobody) {
  RowScores scores;
  ASSERT_OK(ScoreRows({std::vector<double>(8)}, FourItems({0, 2}),
                      {.items = 4, .cap = 2, .keep = 1}, &scores));
  EXPECT_EQ(scores.count, (std::vector<float>{1, 0, 1, 0}));
  EXPECT_EQ(scores.reward, (std::vector<float>{0, 0, 0, 0}));
}

TEST(ScoreRowsTest, WhatDoesNotFitChangesNothing) {
  const RowScores before{{1, 2, 3, 4}, {1, 1, 1, 1}};
  RowScores scores = before;
  const model::Layout layout = FourItems({0, 2});
  const RowRule rule{.items = 4, .cap = 2, .keep = 0.5};
  EXPECT_ERROR(ScoreRows({std::vector<double>(7)}, layout, rule, &scores),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ScoreRows({std::vector<double>(8)}, layout, {.items = 4, .cap = 5}, &scores),
               ErrorCode::kInvalidArgument);
  EXPECT_EQ(scores, before);
  scores.count.pop_back();
  EXPECT_ERROR(ScoreRows({std::vector<double>(8)}, layout, rule, &scores),
               ErrorCode::kInvalidArgument);
  scores = {{1, 2}, {1, 1}};
  EXPECT_ERROR(ScoreRows({std::vector<double>(8)}, layout, rule, &scores),
               ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur::learning
