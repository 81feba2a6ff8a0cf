#include "demur/learning/events.h"

#include <gtest/gtest.h>

#include "demur/learning/examples.h"
#include "learning_test_util.h"

namespace demur::learning {
namespace {

TEST(CleanTest, ExplicitBeatsALaterImplicitAct) {
  const std::vector<Event> events = {MakeEvent(3, Signal::kDislike, 10),
                                     MakeEvent(3, Signal::kClick, 20),
                                     MakeEvent(3, Signal::kNeutral, 30)};
  const Cleaned cleaned = Clean(events, 10);
  ASSERT_EQ(cleaned.events.size(), 1U);
  EXPECT_EQ(cleaned.events[0].signal, Signal::kDislike);
  EXPECT_EQ(cleaned.superseded, 2U);
}

TEST(CleanTest, TheLatestOfEqualEvidenceWins) {
  const std::vector<Event> events = {
      MakeEvent(3, Signal::kLike, 20, 0), MakeEvent(3, Signal::kDislike, 10, 1),
      MakeEvent(4, Signal::kSkip, 5, 2), MakeEvent(4, Signal::kClick, 5, 3)};
  const Cleaned cleaned = Clean(events, 10);
  ASSERT_EQ(cleaned.events.size(), 2U);
  EXPECT_EQ(cleaned.events[0].signal, Signal::kClick);  // same time: the later in the log
  EXPECT_EQ(cleaned.events[1].signal, Signal::kLike);
}

TEST(CleanTest, DropsAndCountsItemsOutsideTheCatalogue) {
  const std::vector<Event> events = {MakeEvent(9, Signal::kLike), MakeEvent(10, Signal::kLike),
                                     MakeEvent(~0U, Signal::kLike)};
  const Cleaned cleaned = Clean(events, 10);
  EXPECT_EQ(Items(cleaned.events), std::vector<std::uint32_t>({9}));
  EXPECT_EQ(cleaned.out_of_range, 2U);
}

TEST(CleanTest, ReturnsEventsByTimeThenOrder) {
  const std::vector<Event> events = {MakeEvent(1, Signal::kLike, 30, 0),
                                     MakeEvent(2, Signal::kLike, 10, 2),
                                     MakeEvent(3, Signal::kLike, 10, 1)};
  EXPECT_EQ(Items(Clean(events, 10).events), std::vector<std::uint32_t>({3, 2, 1}));
}

TEST(ExamplesTest, OnlyLabelledEventsWithWeightBecomeExamples) {
  SignalTable signals;
  SignalRule silent = signals.rule(Signal::kSkip);
  silent.weight = 0;
  ASSERT_TRUE(signals.Set(Signal::kSkip, silent).has_value());
  const std::vector<Event> events = {MakeEvent(1, Signal::kLike), MakeEvent(2, Signal::kNeutral),
                                     MakeEvent(3, Signal::kReport), MakeEvent(4, Signal::kSkip),
                                     MakeEvent(5, Signal::kDislike)};
  const std::vector<Example> expected = {{1, 1.0F, 1.5F}, {5, 0.0F, 3.0F}};
  EXPECT_EQ(MakeExamples(events, signals), expected);
}

}  // namespace
}  // namespace demur::learning
