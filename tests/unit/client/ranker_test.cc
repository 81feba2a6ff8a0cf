#include "demur/client/ranker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "client_test_util.h"
#include "result_matchers.h"

namespace demur::client {
namespace {

using learning::Event;
using learning::Signal;

constexpr std::int64_t kHour = 3'600'000;
constexpr std::int64_t kNow = 1'900'000'000'000;

learning::Suppression Suppress(const std::vector<Event>& events,
                               const learning::SuppressionOptions& options = {}) {
  return learning::Suppression::Create(events, learning::SignalTable(), kNow, options).value();
}

std::vector<std::uint32_t> Items(const std::vector<Ranked>& list) {
  std::vector<std::uint32_t> out;
  for (const Ranked& one : list) out.push_back(one.item.value);
  return out;
}

std::vector<ItemId> Ids(const std::vector<std::uint32_t>& items) {
  std::vector<ItemId> out;
  for (const std::uint32_t item : items) out.emplace_back(item);
  return out;
}

// Six items with two factors: 0, 1 and 2 point the same way, 3 and 4 across, 5 the other way.
class RankerTest : public ::testing::Test {
 protected:
  RankerTest() : step_(MakeStep(training_)), model_(training_.schema) {
    const float rows[6][3] = {{1, 0, 0.6F}, {1, 0, 0.5F},  {2, 0, 0.4F},
                              {0, 1, 0.9F}, {0, 1, -0.3F}, {-1, 0, 0.1F}};
    for (std::uint32_t item = 0; item < 6; ++item) {
      std::copy_n(rows[item], 3, model_.Row(0, item).begin());
    }
  }
  Result<Ranker> Make(const std::vector<Event>& events = {},
                      const learning::SuppressionOptions& options = {}) {
    return Ranker::Create(*step_, model_, state_, Suppress(events, options));
  }

  model::TrainingPlan training_ = MakeTraining("biased_mf", 6, 2, {{"prior_logit", 0.25}});
  std::unique_ptr<learning::LocalStep> step_;
  model::SharedModel model_;
  model::PrivateState state_{{0.5F, 0.25F, 1.0F}};  // vector, then bias
};

TEST_F(RankerTest, TheBestComeFirst) {
  ASSERT_OK_AND_ASSIGN(const Ranker ranker, Make());
  // 1.25 + item bias + 0.5 x + 0.25 y
  ASSERT_OK_AND_ASSIGN(const auto all, ranker.Rank(6));
  EXPECT_EQ(Items(all), (std::vector<std::uint32_t>{2, 3, 0, 1, 4, 5}));
  EXPECT_FLOAT_EQ(all[0].score, 2.65F);
  EXPECT_FLOAT_EQ(all[5].score, 0.85F);
  ASSERT_OK_AND_ASSIGN(const auto few, ranker.Rank(2));
  EXPECT_EQ(Items(few), (std::vector<std::uint32_t>{2, 3}));
  ASSERT_OK_AND_ASSIGN(const auto many, ranker.Rank(100));
  EXPECT_EQ(many.size(), 6U);
  ASSERT_OK_AND_ASSIGN(const auto none, ranker.Rank(0));
  EXPECT_TRUE(none.empty());
  // A filter that leaves nothing must not show everything.
  ASSERT_OK_AND_ASSIGN(const auto nobody, ranker.Rank(Ids({}), 6));
  EXPECT_TRUE(nobody.empty());
  EXPECT_ERROR(ranker.Explain(ItemId(1), Ids({})), ErrorCode::kInvalidArgument);
  ASSERT_OK_AND_ASSIGN(const auto some, ranker.Rank(Ids({5, 1, 3}), 6));
  EXPECT_EQ(Items(some), (std::vector<std::uint32_t>{3, 1, 5}));
}

TEST_F(RankerTest, EqualScoresComeInTheOrderOfTheirItems) {
  for (std::uint32_t item = 0; item < 6; ++item) {
    std::fill_n(model_.Row(0, item).begin(), 3, 0.5F);
  }
  ASSERT_OK_AND_ASSIGN(const Ranker ranker, Make());
  ASSERT_OK_AND_ASSIGN(const auto list, ranker.Rank(Ids({4, 0, 5, 2}), 3));
  EXPECT_EQ(Items(list), (std::vector<std::uint32_t>{0, 2, 4}));
}

TEST_F(RankerTest, WhatIsDislikedIsGoneAtOnce) {
  for (const Signal signal : {Signal::kDislike, Signal::kHide, Signal::kReport}) {
    ASSERT_OK_AND_ASSIGN(const Ranker ranker, Make({MakeEvent(2, signal, kNow)}));
    ASSERT_OK_AND_ASSIGN(const auto all, ranker.Rank(6));
    EXPECT_EQ(all.size(), 5U);
    for (const Ranked& one : all) EXPECT_NE(one.item, ItemId(2)) << learning::ToString(signal);
    ASSERT_OK_AND_ASSIGN(const auto asked_for, ranker.Rank(Ids({2}), 6));
    EXPECT_TRUE(asked_for.empty()) << "not even where nothing else is there";
  }
}

TEST_F(RankerTest, ADislikeStaysHoweverOldItIs) {
  const std::int64_t years_ago = kNow - 24 * kHour * 3'650;
  ASSERT_OK_AND_ASSIGN(const Ranker ranker, Make({MakeEvent(2, Signal::kDislike, years_ago)}));
  ASSERT_OK_AND_ASSIGN(const auto all, ranker.Rank(6));
  EXPECT_EQ(Items(all), (std::vector<std::uint32_t>{3, 0, 1, 4, 5})) << "its likes are forgiven";
}

TEST_F(RankerTest, ALikeTakesADislikeBack) {
  const std::vector<Event> events = {MakeEvent(2, Signal::kDislike, kNow - kHour, 1),
                                     MakeEvent(2, Signal::kLike, kNow, 2)};
  ASSERT_OK_AND_ASSIGN(const Ranker ranker, Make(learning::Clean(events, 6).events));
  ASSERT_OK_AND_ASSIGN(const auto all, ranker.Rank(6));
  EXPECT_EQ(all[0].item, ItemId(2));
}

TEST_F(RankerTest, WhatResemblesADislikeSinks) {
  ASSERT_OK_AND_ASSIGN(const Ranker before, Make());
  ASSERT_OK_AND_ASSIGN(const Ranker after, Make({MakeEvent(2, Signal::kDislike, kNow)}));
  // Measured over what is left: scores of the five others.
  const std::vector<ItemId> others = Ids({0, 1, 3, 4, 5});
  double mean = 0;
  double squares = 0;
  for (const ItemId item : others) mean += before.scores()[item.value] / 5.0;
  for (const ItemId item : others) squares += std::pow(before.scores()[item.value] - mean, 2) / 5;
  const double deviation = std::sqrt(squares);
  for (const std::uint32_t alike : {0U, 1U}) {  // cosine 1, kappa 1.5
    ASSERT_OK_AND_ASSIGN(const Explanation why, after.Explain(ItemId(alike)));
    EXPECT_NEAR(why.suppression, 1.5 * deviation, 1e-5);
  }
  for (const std::uint32_t other : {3U, 4U, 5U}) {  // cosine 0 and -1
    ASSERT_OK_AND_ASSIGN(const Explanation why, after.Explain(ItemId(other)));
    EXPECT_EQ(why.suppression, 0);
  }
  ASSERT_OK_AND_ASSIGN(const auto list, after.Rank(6));
  EXPECT_EQ(list[0].item, ItemId(3));
  // Half of it is gone after the half-life of a dislike, 90 days.
  ASSERT_OK_AND_ASSIGN(const Ranker later,
                       Make({MakeEvent(2, Signal::kDislike, kNow - 90 * 24 * kHour)}));
  ASSERT_OK_AND_ASSIGN(const Explanation faded, later.Explain(ItemId(0)));
  EXPECT_NEAR(faded.suppression, 0.75 * deviation, 1e-5);
}

TEST_F(RankerTest, ASkipPushesDownTheItemAlone) {
  ASSERT_OK_AND_ASSIGN(const Ranker ranker, Make({MakeEvent(2, Signal::kSkip, kNow)}));
  ASSERT_OK_AND_ASSIGN(const Explanation skipped, ranker.Explain(ItemId(2)));
  EXPECT_FALSE(skipped.hidden);
  EXPECT_GT(skipped.suppression, 0);
  ASSERT_OK_AND_ASSIGN(const Explanation alike, ranker.Explain(ItemId(0)));
  EXPECT_EQ(alike.suppression, 0);
}

TEST_F(RankerTest, MetricsSeeScoresBeforeSuppression) {
  ASSERT_OK_AND_ASSIGN(const Ranker before, Make());
  ASSERT_OK_AND_ASSIGN(const Ranker after, Make({MakeEvent(2, Signal::kDislike, kNow)}));
  EXPECT_TRUE(std::equal(before.scores().begin(), before.scores().end(), after.scores().begin(),
                         after.scores().end()));
}

// Against numbers that are worked out here, not by the ranker.
TEST_F(RankerTest, ThePartsOfAnExplanationAreWhatTheySay) {
  ASSERT_OK_AND_ASSIGN(const Ranker ranker, Make());
  ASSERT_OK_AND_ASSIGN(const Explanation why, ranker.Explain(ItemId(2)));
  EXPECT_NEAR(why.user_bias, 0.25 + 1.0, 1e-6);  // prior and the owner's own
  EXPECT_NEAR(why.item_bias, 0.4, 1e-6);
  EXPECT_NEAR(why.affinity, 0.5 * 2, 1e-6);
  EXPECT_EQ(why.suppression, 0);
  EXPECT_FALSE(why.hidden);
  EXPECT_NEAR(why.score, 2.65, 1e-6);
}

TEST_F(RankerTest, AHiddenItemIsExplainedAsHidden) {
  ASSERT_OK_AND_ASSIGN(const Ranker ranker, Make({MakeEvent(2, Signal::kDislike, kNow)}));
  ASSERT_OK_AND_ASSIGN(const Explanation why, ranker.Explain(ItemId(2)));
  EXPECT_TRUE(why.hidden);
  EXPECT_NEAR(why.score, why.user_bias + why.item_bias + why.affinity - why.suppression, 1e-4);
}

TEST(RankerExplanationTest, SumsToTheScoreThatIsRankedBy) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const model::TrainingPlan training = MakeTraining("biased_mf", 200, 16);
    const auto step = MakeStep(training);
    const model::SharedModel model = RandomModel(training.schema, seed);
    model::PrivateState state{std::vector<float>(17)};
    const model::SharedModel drawn = RandomModel(
        learning_server::MakeSchema("biased_mf", {.items = 1, .factors = 16}).value(), seed + 100);
    std::copy_n(drawn.values(0).begin(), 17, state.values.begin());
    std::vector<Event> events;
    for (std::uint32_t i = 0; i < 20; ++i) {
      events.push_back(MakeEvent(7 * i,
                                 i % 3 == 0   ? Signal::kDislike
                                 : i % 3 == 1 ? Signal::kSkip
                                              : Signal::kHide,
                                 kNow - i * kHour, i));
    }
    ASSERT_OK_AND_ASSIGN(const Ranker ranker,
                         Ranker::Create(*step, model, state, Suppress(events)));
    ASSERT_OK_AND_ASSIGN(const auto list, ranker.Rank(200));
    EXPECT_LT(list.size(), 200U);
    double suppressed = 0;
    for (const Ranked& one : list) {
      ASSERT_OK_AND_ASSIGN(const Explanation why, ranker.Explain(one.item));
      EXPECT_NEAR(why.user_bias + why.item_bias + why.affinity - why.suppression, one.score, 1e-4);
      EXPECT_NEAR(why.user_bias, state.values[16], 1e-4) << "the same for every item";
      EXPECT_FALSE(why.hidden);
      EXPECT_GE(why.suppression, 0);
      suppressed += why.suppression;
    }
    EXPECT_GT(suppressed, 0);
  }
}

TEST_F(RankerTest, WhatIsNotInTheCatalogueIsNamed) {
  ASSERT_OK_AND_ASSIGN(const Ranker ranker, Make());
  EXPECT_ERROR(ranker.Rank(Ids({0, 6}), 3), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ranker.Explain(ItemId(6)), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ranker.Explain(ItemId(6), Ids({6})), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ranker.Explain(ItemId(1), Ids({0, 2})), ErrorCode::kInvalidArgument);
  // A rejection of an item that left the catalogue.
  ASSERT_OK_AND_ASSIGN(const Ranker stale, Make({MakeEvent(77, Signal::kDislike, kNow)}));
  EXPECT_ERROR(stale.Rank(3), ErrorCode::kInvalidArgument);
}

TEST_F(RankerTest, ModelStateAndStepMustFit) {
  state_.values.pop_back();
  EXPECT_ERROR(Make(), ErrorCode::kInvalidArgument);
  state_.values.clear();
  EXPECT_OK(Make()) << "nobody yet: no personalisation";
  const auto other = MakeStep(MakeTraining("biased_mf", 6, 3));
  EXPECT_ERROR(Ranker::Create(*other, model_, state_, Suppress({})), ErrorCode::kInvalidArgument);
}

TEST_F(RankerTest, ModelValuesThatAreNotFiniteRankNothing) {
  model_.Row(0, 3)[2] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_OK_AND_ASSIGN(const Ranker ranker, Make());
  EXPECT_ERROR(ranker.Rank(3), ErrorCode::kInvalidArgument);
}

TEST(RankerWithoutFactorsTest, RejectedItemsGoAndNothingResemblesThem) {
  const model::TrainingPlan training = MakeTraining("item_statistics", 4, 0);
  const auto step = MakeStep(training);
  model::SharedModel counts(training.schema);
  for (std::uint32_t item = 0; item < 4; ++item) {
    counts.Row(0, item)[0] = static_cast<float>(10 * (item + 1));  // likes
    counts.Row(0, item)[2] = 100;                                  // impressions
  }
  ASSERT_OK_AND_ASSIGN(
      const Ranker ranker,
      Ranker::Create(*step, counts, {}, Suppress({MakeEvent(3, Signal::kDislike, kNow)})));
  ASSERT_OK_AND_ASSIGN(const auto list, ranker.Rank(4));
  EXPECT_EQ(Items(list), (std::vector<std::uint32_t>{2, 1, 0}));
  ASSERT_OK_AND_ASSIGN(const Explanation why, ranker.Explain(ItemId(2)));
  EXPECT_EQ(why.suppression, 0);
  EXPECT_EQ(why.affinity, 0);
  EXPECT_NEAR(why.user_bias + why.item_bias, why.score, 1e-4);
}

TEST(CatalogueTest, IsTheLongestTable) {
  EXPECT_EQ(CatalogueSize(MakeTraining("biased_mf", 17, 3).schema), 17U);
  EXPECT_EQ(CatalogueSize({}), 0U);
}

}  // namespace
}  // namespace demur::client
