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
constexpr int kHistory = 30;
constexpr int kRounds = 40;

std::vector<std::uint32_t> Permutation(WordReader& words) {
  std::vector<std::uint32_t> out(kItems);
  std::iota(out.begin(), out.end(), 0U);
  for (std::uint32_t i = kItems; i > 1; --i) std::swap(out[i - 1], out[words.Below(i)]);
  return out;
}

// 99 items that the person has in no part of the split, and the test item.
std::vector<std::uint32_t> EvaluationItems(const std::vector<std::uint32_t>& unseen,
                                           std::uint32_t test) {
  std::vector<std::uint32_t> out(unseen.begin(), unseen.begin() + 99);
  out.push_back(test);
  return out;
}

TEST(LeakTest, AMemoriserOfNegativesScoresChance) {
  seeded::SeededRandom random(7);
  int hits = 0;
  for (std::uint64_t user = 0; user < kUsers; ++user) {
    ASSERT_OK_AND_ASSIGN(const auto data, random.Stream({.task = 1, .client = user}));
    WordReader data_words(*data);
    const std::vector<std::uint32_t> order = Permutation(data_words);
    std::vector<Event> events;
    for (int i = 0; i < kHistory; ++i) {
      events.push_back(MakeEvent(order[static_cast<std::size_t>(i)], Signal::kLike, i));
    }
    ASSERT_OK_AND_ASSIGN(const Split split,
                         SplitUser(events, {.kind = SplitKind::kLeaveOneOut}, user, random));
    ASSERT_OK_AND_ASSIGN(const TrainView view,
                         TrainView::Create(split.train, SignalTable(), kItems));
    std::vector<float> scores(kItems, 0.0F);
    const UnobservedSampler sampler(view);
    ASSERT_OK_AND_ASSIGN(const auto stream,
                         random.Stream({.client = user, .purpose = Purpose::kSampling}));
    WordReader words(*stream);
    for (int draw = 0; draw < kRounds * kHistory; ++draw) scores[sampler.Draw(words)] -= 1.0F;

    const std::vector<std::uint32_t> unseen(order.begin() + kHistory, order.end());
    const auto candidates = EvaluationItems(unseen, split.test[0].item.value);
    std::vector<std::uint32_t> masked;
    for (std::uint32_t item = 0; item < kItems; ++item) {
      if (std::find(candidates.begin(), candidates.end(), item) == candidates.end()) {
        masked.push_back(item);
      }
    }
    ASSERT_OK_AND_ASSIGN(const Ranking ranking, Ranking::Create(scores, masked));
    ASSERT_OK_AND_ASSIGN(const std::uint32_t rank, ranking.RankOfLike(candidates.back()));
    hits += rank <= 10 ? 1 : 0;
  }
  const double rate = static_cast<double>(hits) / kUsers;
  // Ties lose, which takes a little off chance; three standard deviations around 0.10.
  EXPECT_NEAR(rate, 0.10, 3 * std::sqrt(0.09 / kUsers));
}

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
