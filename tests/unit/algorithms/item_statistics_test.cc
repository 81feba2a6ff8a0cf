#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "algorithms_test_util.h"
#include "demur/learning_local/item_scores.h"
#include "demur/seeded/seeded_random.h"
#include "result_matchers.h"

namespace demur {
namespace {

using learning::Signal;

class ItemStatisticsTest : public ::testing::Test {
 protected:
  ItemStatisticsTest()
      : plan_(MakeTraining("item_statistics", 4, 0)),
        layout_(MakeLayout(plan_)),
        local_(learning_local::MakeLocalStep("item_statistics", plan_).value()),
        server_(learning_server::MakeServerStep("item_statistics", plan_).value()),
        model_(plan_.schema) {}

  Result<model::Update> Count(const learning::TrainView& view, const model::Layout& layout) {
    model::Update update;
    DEMUR_TRY(const auto state, local_->Run(model_, {}, view, {layout, random_, {}}, &update));
    EXPECT_TRUE(state.values.empty());
    return update;
  }

  seeded::SeededRandom random_{1};
  model::TrainingPlan plan_;
  model::Layout layout_;
  std::unique_ptr<learning::LocalStep> local_;
  std::unique_ptr<learning::ServerStep> server_;
  model::SharedModel model_;
};

TEST_F(ItemStatisticsTest, CountsLikesRejectionsAndImpressions) {
  const auto view = MakeView({{3, Signal::kNeutral}, {0, Signal::kLike}, {2, Signal::kDislike}}, 4);
  ASSERT_OK_AND_ASSIGN(const model::Update update, Count(view, layout_));
  ASSERT_EQ(update.rows().size(), 3U);
  const std::vector<std::vector<float>> expected = {{1, 0, 1}, {0, 1, 1}, {0, 0, 1}};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto values = update.values(update.rows()[i]);
    EXPECT_EQ(std::vector<float>(values.begin(), values.end()), expected[i]) << i;
  }
  EXPECT_EQ(update.rows()[1].row, 2U);
}

TEST_F(ItemStatisticsTest, CountsOnlyTheSlice) {
  model::Slice slice;
  slice.tables = {{false, {2}}};
  ASSERT_OK_AND_ASSIGN(const auto layout, model::Layout::Create(plan_.schema, slice));
  ASSERT_OK_AND_ASSIGN(const model::Update update,
                       Count(MakeView({{0, Signal::kLike}, {2, Signal::kLike}}, 4), layout));
  ASSERT_EQ(update.rows().size(), 1U);
  EXPECT_EQ(update.rows()[0].row, 2U);
}

TEST_F(ItemStatisticsTest, RefusesEmptyHistoriesAndOtherCatalogues) {
  EXPECT_ERROR(Count(MakeView({}, 4), layout_), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(Count(MakeView({{0, Signal::kLike}}, 5), layout_), ErrorCode::kInvalidArgument);
}

TEST_F(ItemStatisticsTest, TheServerAddsTheDecodedSum) {
  learning::ServerState state;
  model::MeanUpdate mean;
  mean.values.assign(12, 0.0);
  mean.values[3] = 0.5;  // likes of item 1; normaliser 10
  ASSERT_OK(server_->Run(&model_, &state, mean, layout_));
  ASSERT_OK(server_->Run(&model_, &state, mean, layout_));
  EXPECT_FLOAT_EQ(model_.Row(0, 1)[0], 10.0F);
  EXPECT_FLOAT_EQ(model_.Row(0, 0)[0], 0.0F);
  EXPECT_TRUE(state.tables.empty());
  mean.values[3] = 1e9;
  ASSERT_OK(server_->Run(&model_, &state, mean, layout_));
  EXPECT_FLOAT_EQ(model_.Row(0, 1)[0], 100.0F);  // value_max
}

TEST_F(ItemStatisticsTest, TheServerRefusesWhatDoesNotFit) {
  learning::ServerState state;
  model::MeanUpdate mean;
  mean.values.assign(11, 0.0);
  EXPECT_ERROR(server_->Run(&model_, &state, mean, layout_), ErrorCode::kInvalidArgument);
  mean.values.assign(12, 1.0);
  mean.values[11] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_ERROR(server_->Run(&model_, &state, mean, layout_), ErrorCode::kInvalidArgument);
  EXPECT_EQ(model_.Row(0, 0)[0], 0.0F);
}

TEST(ItemScoresTest, LikeRateShrinksToThePrior) {
  const auto plan = MakeTraining("item_statistics", 3, 0);
  model::SharedModel counts(plan.schema);
  counts.Row(0, 0)[0] = 30;
  counts.Row(0, 0)[1] = 10;
  counts.Row(0, 0)[2] = 60;
  counts.Row(0, 1)[0] = -5;  // noise
  std::vector<float> scores(3);
  using learning_local::ItemScore;
  ASSERT_OK(learning_local::ScoreItems(counts, ItemScore::kLikeRate, {2, 4}, scores));
  EXPECT_FLOAT_EQ(scores[0], std::log(32.0F / 14.0F));
  EXPECT_FLOAT_EQ(scores[1], std::log(2.0F / 4.0F));
  EXPECT_EQ(scores[1], scores[2]);
  ASSERT_OK(learning_local::ScoreItems(counts, ItemScore::kPopularity, {}, scores));
  EXPECT_EQ(scores, std::vector<float>({30, 0, 0}));
  ASSERT_OK(learning_local::ScoreItems(counts, ItemScore::kSeen, {}, scores));
  EXPECT_EQ(scores[0], 60);
  scores.pop_back();
  EXPECT_ERROR(learning_local::ScoreItems(counts, ItemScore::kSeen, {}, scores),
               ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur
