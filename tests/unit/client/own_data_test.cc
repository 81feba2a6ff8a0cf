#include "own_data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "client_test_util.h"
#include "result_matchers.h"

namespace demur::client {
namespace {

std::vector<learning::Event> Likes(std::uint32_t first, std::uint32_t last) {
  std::vector<learning::Event> events;
  for (std::uint32_t item = first; item < last; ++item) {
    events.push_back({ItemId(item), learning::Signal::kLike, std::int64_t{item}, item});
  }
  return events;
}

std::set<std::uint32_t> Items(const std::vector<learning::Event>& events) {
  std::set<std::uint32_t> items;
  for (const auto& event : events) items.insert(event.item.value);
  return items;
}

TEST(SplitOwnTest, WhatIsHeldOutStaysHeldOut) {
  const DeviceNumber device(3);
  const auto early = SplitOwn(Likes(0, 1000), 5000, device, 0.2);
  const auto late = SplitOwn(Likes(0, 5000), 5000, device, 0.2);
  EXPECT_EQ(early.train.size() + early.held_out.size(), 1000U);
  const auto then = Items(late.train);
  for (const std::uint32_t item : Items(early.held_out)) EXPECT_FALSE(then.contains(item));
  // Binomial(5000, 0.2): six standard deviations are 170.
  EXPECT_NEAR(static_cast<double>(late.held_out.size()), 1000.0, 170.0);
}

TEST(SplitOwnTest, ItemsAreDrawnAnewForEachDevice) {
  const auto one = Items(SplitOwn(Likes(0, 1000), 1000, DeviceNumber(1), 0.5).held_out);
  const auto two = Items(SplitOwn(Likes(0, 1000), 1000, DeviceNumber(2), 0.5).held_out);
  std::size_t both = 0;
  for (const std::uint32_t item : one) both += two.contains(item) ? 1U : 0U;
  EXPECT_NEAR(static_cast<double>(both), 250.0, 90.0);
}

TEST(SplitOwnTest, NothingHeldOutWhereNothingIsAskedFor) {
  const auto split = SplitOwn(Likes(0, 100), 50, DeviceNumber(1), 0);
  EXPECT_EQ(split.train.size(), 50U) << "items beyond the catalogue are dropped";
  EXPECT_TRUE(split.held_out.empty());
}

// --- Ranking

constexpr std::uint32_t kItems = 30;
constexpr std::int64_t kNow = 1'000'000;

class RankOwnTest : public ::testing::Test {
 protected:
  RankOwnTest() {
    plan_.training = MakeTraining("biased_mf", kItems, 3);
    own_.device = DeviceNumber(1);
  }
  Result<Ranker> Rank() {
    const model::SharedModel model = RandomModel(plan_.training.schema, 7);
    return RankOwn(own_, plan_, model, {}, kNow, random_);
  }

  model::Plan plan_;
  OwnData own_;
  seeded::SeededRandom random_{3};
};

std::vector<Ranked> All(const Ranker& ranker) { return ranker.Rank(kItems).value(); }

bool Shows(const Ranker& ranker, std::uint32_t item) {
  const auto list = All(ranker);
  return std::any_of(list.begin(), list.end(),
                     [item](const Ranked& ranked) { return ranked.item == ItemId(item); });
}

TEST_F(RankOwnTest, WhatWasRejectedIsNotShown) {
  ASSERT_OK_AND_ASSIGN(const Ranker before, Rank());
  EXPECT_EQ(All(before).size(), kItems);
  own_.events = {MakeEvent(4, learning::Signal::kDislike, kNow),
                 MakeEvent(9, learning::Signal::kHide, kNow, 1),
                 MakeEvent(5, learning::Signal::kLike, kNow, 2)};
  ASSERT_OK_AND_ASSIGN(const Ranker after, Rank());
  EXPECT_EQ(All(after).size(), kItems - 2);
  EXPECT_FALSE(Shows(after, 4));
  EXPECT_FALSE(Shows(after, 9));
  EXPECT_TRUE(Shows(after, 5));
}

TEST_F(RankOwnTest, HeldOutEventsCountToo) {
  own_.held_out = 0.99;
  for (std::uint32_t item = 0; item < 10; ++item) {
    own_.events.push_back(MakeEvent(item, learning::Signal::kDislike, kNow, item));
  }
  ASSERT_OK_AND_ASSIGN(const Ranker ranker, Rank());
  EXPECT_EQ(All(ranker).size(), kItems - 10);
}

TEST_F(RankOwnTest, TheStateIsFittedToTheModelAndItemsBeyondItAreDropped) {
  own_.events = {MakeEvent(5, learning::Signal::kLike, kNow),
                 MakeEvent(kItems, learning::Signal::kHide, kNow, 1)};
  ASSERT_OK_AND_ASSIGN(const Ranker ranker, Rank());
  own_.events.clear();
  ASSERT_OK_AND_ASSIGN(const Ranker without, Rank());
  EXPECT_GT(ranker.scores()[5], without.scores()[5]);
}

}  // namespace
}  // namespace demur::client
