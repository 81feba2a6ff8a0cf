#include "demur/learning/train_view.h"

#include <gtest/gtest.h>

#include <cmath>

#include "demur/seeded/seeded_random.h"
#include "learning_test_util.h"
#include "result_matchers.h"

namespace demur::learning {
namespace {

TrainView View(const std::vector<std::uint32_t>& items, std::uint32_t num_items) {
  std::vector<Event> events;
  for (const std::uint32_t item : items) events.push_back(MakeEvent(item, Signal::kLike));
  return TrainView::Create(events, SignalTable(), num_items).value();
}

TEST(TrainViewTest, ListsExamplesAndObservedAscending) {
  const std::vector<Event> events = {MakeEvent(7, Signal::kDislike), MakeEvent(2, Signal::kNeutral),
                                     MakeEvent(5, Signal::kLike)};
  ASSERT_OK_AND_ASSIGN(const TrainView view, TrainView::Create(events, SignalTable(), 9));
  EXPECT_EQ(std::vector<std::uint32_t>(view.observed().begin(), view.observed().end()),
            std::vector<std::uint32_t>({2, 5, 7}));
  ASSERT_EQ(view.examples().size(), 2U);
  EXPECT_EQ(view.examples()[0].item, 5U);
  EXPECT_EQ(view.num_positives(), 1U);
  EXPECT_EQ(view.num_unobserved(), 6U);
  EXPECT_TRUE(view.Observed(2));
  EXPECT_FALSE(view.Observed(3));
}

TEST(TrainViewTest, RefusesItemsOutsideAndTwice) {
  const std::vector<Event> outside = {MakeEvent(9, Signal::kLike)};
  EXPECT_ERROR(TrainView::Create(outside, SignalTable(), 9), ErrorCode::kInvalidArgument);
  const std::vector<Event> twice = {MakeEvent(3, Signal::kLike), MakeEvent(3, Signal::kSkip)};
  EXPECT_ERROR(TrainView::Create(twice, SignalTable(), 9), ErrorCode::kInvalidArgument);
}

TEST(TrainViewTest, UnobservedCountsThroughTheGaps) {
  for (const auto& observed : std::vector<std::vector<std::uint32_t>>{
           {}, {0}, {11}, {0, 1, 2}, {3, 4, 8}, {0, 11}, {0, 2, 4, 6, 8, 10}}) {
    const TrainView view = View(observed, 12);
    std::vector<std::uint32_t> drawn;
    std::vector<std::uint32_t> expected;
    for (std::uint32_t k = 0; k < view.num_unobserved(); ++k) drawn.push_back(view.Unobserved(k));
    for (std::uint32_t i = 0; i < 12; ++i) {
      if (!view.Observed(i)) expected.push_back(i);
    }
    EXPECT_EQ(drawn, expected);
  }
}

TEST(UnobservedSamplerTest, NeverDrawsATrainItemAndDrawsEveryOther) {
  const TrainView view = View({0, 3, 4, 9, 19}, 20);
  seeded::SeededRandom random(1);
  ASSERT_OK_AND_ASSIGN(const auto stream, random.Stream({.purpose = Purpose::kSampling}));
  WordReader words(*stream);
  const UnobservedSampler sampler(view);
  std::vector<int> counts(20, 0);
  constexpr int kDraws = 30'000;
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.Draw(words)];
  ASSERT_OK(words.status());
  for (std::uint32_t item = 0; item < 20; ++item) {
    if (view.Observed(item)) {
      EXPECT_EQ(counts[item], 0) << item;
    } else {
      // 6 standard deviations of a binomial: false alarm about 3e-8 over all items.
      EXPECT_NEAR(counts[item], kDraws / 15.0, 6 * std::sqrt(kDraws / 15.0)) << item;
    }
  }
}

TEST(UnobservedSamplerTest, IsEmptyWhenEverythingWasSeen) {
  EXPECT_TRUE(UnobservedSampler(View({0, 1}, 2)).empty());
  EXPECT_FALSE(UnobservedSampler(View({0}, 2)).empty());
}

TEST(WordReaderTest, AFailedStreamIsSaidAndEndsEveryLoop) {
  FailingStream stream;
  WordReader words(stream);
  for (std::uint32_t bound : {1U, 3U, 0x80000001U}) EXPECT_EQ(words.Below(bound), 0U);
  EXPECT_ERROR(words.status(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace demur::learning
