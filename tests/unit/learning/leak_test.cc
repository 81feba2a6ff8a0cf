#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "demur/learning/metrics.h"
#include "demur/learning/split.h"
#include "demur/learning/train_view.h"
#include "demur/seeded/seeded_random.h"
#include "learning_test_util.h"
#include "result_matchers.h"

// The sampler alone, with no model: a scorer that only remembers how often an item was drawn as a
// negative must find a held-out item no more often than chance. A sampler that avoids held-out
// items would find nearly all of them (recsys literature reports HR 1.0 from this leak).
namespace demur::learning {
namespace {

constexpr std::uint32_t kUsers = 600;
constexpr std::uint32_t kItems = 400;
constexpr std::size_t kHistory = 30;
constexpr std::size_t kRounds = 40;

std::vector<std::uint32_t> Permutation(WordReader& words) {
  std::vector<std::uint32_t> out(kItems);
  std::iota(out.begin(), out.end(), 0U);
  for (std::uint32_t i = kItems; i > 1; --i) std::swap(out[i - 1], out[words.Below(i)]);
  return out;
}

// Share of people whose test item is among the first 10 of itself and 99 items that they never
// touched, by the score -(times drawn as a negative), ties broken at random. `all` gives the
// sampler the events that it must not know.
double MemoriserHitRate(bool all) {
  seeded::SeededRandom random(7);
  int hits = 0;
  for (std::uint64_t user = 0; user < kUsers; ++user) {
    const auto data = random.Stream({.task = 1, .client = user}).value();
    WordReader data_words(*data);
    const std::vector<std::uint32_t> order = Permutation(data_words);
    std::vector<Event> events;
    for (std::size_t i = 0; i < kHistory; ++i) {
      events.push_back(MakeEvent(order[i], Signal::kLike, static_cast<std::int64_t>(i)));
    }
    const Split split = SplitUser(events, {.kind = SplitKind::kLeaveOneOut}, user, random).value();
    const TrainView view =
        TrainView::Create(all ? events : split.train, SignalTable(), kItems).value();

    std::vector<float> scores;
    for (std::uint32_t i = 0; i < kItems; ++i) {
      scores.push_back(static_cast<float>(data_words.Below(1U << 20)) * 0x1p-21F);
    }
    const auto stream = random.Stream({.client = user, .purpose = Purpose::kSampling}).value();
    WordReader words(*stream);
    const UnobservedSampler sampler(view);
    for (std::size_t draw = 0; draw < kRounds * kHistory; ++draw)
      scores[sampler.Draw(words)] -= 1.0F;

    std::vector<std::uint32_t> masked(order.begin(), order.begin() + std::ptrdiff_t{kHistory});
    masked.insert(masked.end(), order.begin() + std::ptrdiff_t{kHistory} + 99, order.end());
    const std::uint32_t test = split.test[0].item.value;
    masked.erase(std::find(masked.begin(), masked.end(), test));
    const Ranking ranking = Ranking::Create(scores, masked).value();
    EXPECT_EQ(ranking.candidates(), 100U);
    hits += ranking.RankOfLike(test).value() <= 10 ? 1 : 0;
  }
  return static_cast<double>(hits) / kUsers;
}

TEST(LeakTest, AMemoriserOfNegativesScoresChance) {
  EXPECT_NEAR(MemoriserHitRate(false), 0.10, 3 * std::sqrt(0.09 / kUsers));
}

TEST(LeakTest, ASamplerThatKnowsTheTestSetIsCaught) { EXPECT_GT(MemoriserHitRate(true), 0.9); }

TEST(LeakTest, HeldOutItemsAreDrawn) {
  seeded::SeededRandom random(8);
  std::vector<Event> events;
  for (std::uint32_t i = 0; i < 40; ++i) events.push_back(MakeEvent(i, Signal::kLike, i));
  ASSERT_OK_AND_ASSIGN(const Split split, SplitUser(events, {}, 3, random));
  ASSERT_OK_AND_ASSIGN(const TrainView view, TrainView::Create(split.train, SignalTable(), 60));
  ASSERT_OK_AND_ASSIGN(const auto stream, random.Stream({.purpose = Purpose::kSampling}));
  WordReader words(*stream);
  std::vector<bool> drawn(60, false);
  for (int i = 0; i < 5000; ++i) drawn[UnobservedSampler(view).Draw(words)] = true;
  ASSERT_FALSE(split.test.empty());
  ASSERT_FALSE(split.validation.empty());
  for (const Event& event : split.test) EXPECT_TRUE(drawn[event.item.value]);
  for (const Event& event : split.validation) EXPECT_TRUE(drawn[event.item.value]);
  for (const Event& event : split.train) EXPECT_FALSE(drawn[event.item.value]);
}

}  // namespace
}  // namespace demur::learning
