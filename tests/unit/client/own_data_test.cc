#include "own_data.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

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

}  // namespace
}  // namespace demur::client
