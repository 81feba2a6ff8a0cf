#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "algorithms_test_util.h"
#include "demur/learning/row_buckets.h"
#include "demur/seeded/seeded_random.h"
#include "result_matchers.h"

namespace demur {
namespace {

using learning::Signal;
using Rows = std::vector<std::uint32_t>;
using Acts = std::vector<std::pair<std::uint32_t, Signal>>;

// A generator that notes what it was asked for.
class NotingRandom final : public RandomSource {
 public:
  explicit NotingRandom(std::uint64_t seed) : inner_(seed) {}
  Result<std::unique_ptr<RandomStream>> Stream(const StreamId& id) override {
    asked_.push_back(id);
    return inner_.Stream(id);
  }
  Result<std::unique_ptr<RandomBlocks>> Blocks(const StreamId& id) override {
    return inner_.Blocks(id);
  }
  const std::vector<StreamId>& asked() const { return asked_; }

 private:
  seeded::SeededRandom inner_;
  std::vector<StreamId> asked_;
};

class FailingRandom final : public RandomSource {
 public:
  Result<std::unique_ptr<RandomStream>> Stream(const StreamId& /*id*/) override {
    return Error(ErrorCode::kInternal, "the generator failed");
  }
  Result<std::unique_ptr<RandomBlocks>> Blocks(const StreamId& /*id*/) override {
    return Error(ErrorCode::kInternal, "the generator failed");
  }
};

Result<model::Update> Count(const model::TrainingPlan& plan, const learning::TrainView& view,
                            RandomSource& random, const StreamId& id = {}) {
  DEMUR_TRY(const auto step, learning_local::MakeLocalStep(plan.algorithm, plan));
  const model::SharedModel model(plan.schema);
  const model::PrivateState state{{1, 2, 3}};
  model::Update update;
  const model::Layout layout = MakeLayout(plan);
  DEMUR_TRY(const auto kept, step->Run(model, state, view, {layout, random, id}, &update));
  EXPECT_EQ(kept.values, state.values) << "what training remembers is left alone";
  return update;
}

// The rows of `update`, each of which is a single one.
Rows Ones(const model::Update& update) {
  Rows out;
  for (const auto& row : update.rows()) {
    EXPECT_EQ(row.table, 0U);
    const auto values = update.values(row);
    EXPECT_EQ(std::vector<float>(values.begin(), values.end()), std::vector<float>{1.0F});
    out.push_back(row.row);
  }
  return out;
}

TEST(RowCountsTest, ThePlanIsOneTableWithARowABucket) {
  const auto plan = learning_server::RowCountsTraining(50, 7);
  EXPECT_EQ(plan.algorithm, model::kRowCountsAlgorithm);
  ASSERT_EQ(plan.schema.tables.size(), 1U);
  EXPECT_EQ(plan.schema.tables[0], (model::TableSpec{"row_count", 50, 1, 1.0}));
  EXPECT_EQ(plan.normaliser, 1);
  EXPECT_EQ(plan.value_max, 1);
  EXPECT_EQ(plan.hyper, (std::vector<model::HyperParameter>{{"items", 50}, {"rows_max", 7}}));
  EXPECT_EQ(MakeLayout(plan).dim(), 50U);
  EXPECT_EQ(learning_server::RowCountsTraining(1U << 26, 7).schema.tables[0].rows,
            learning::kMaxBuckets);
  EXPECT_OK(learning_local::MakeLocalStep("row_counts", plan));
}

TEST(RowCountsTest, TheServerHasNoModelForIt) {
  const auto plan = learning_server::RowCountsTraining(50, 7);
  EXPECT_ERROR(learning_server::MakeServerStep("row_counts", plan), ErrorCode::kNotFound);
  EXPECT_ERROR(learning_server::MakeSchema("row_counts", {.items = 50}), ErrorCode::kNotFound);
}

TEST(RowCountsTest, CountsWhatTheOwnerHasAnOpinionOn) {
  const auto plan = learning_server::RowCountsTraining(10, 10);
  const Acts acts = {
      {8, Signal::kLike}, {0, Signal::kDislike}, {5, Signal::kNeutral}, {3, Signal::kLike}};
  const auto view = MakeView(acts, 10);
  NotingRandom random(1);
  ASSERT_OK_AND_ASSIGN(const model::Update update, Count(plan, view, random));
  Rows expected;
  for (const learning::Example& example : view.examples()) expected.push_back(example.item);
  ASSERT_EQ(expected, (Rows{0, 3, 8}));
  EXPECT_EQ(Ones(update), expected);
  EXPECT_TRUE(random.asked().empty()) << "where all of them fit nothing is drawn";
}

TEST(RowCountsTest, ABucketIsCountedOnceForAllItsRows) {
  constexpr std::uint32_t kItems = 1U << 20;
  const std::uint32_t bucket = learning::RowBucket(0, kItems);
  std::uint32_t twin = 1;
  while (learning::RowBucket(twin, kItems) != bucket) ++twin;
  const auto plan = learning_server::RowCountsTraining(kItems, 10);
  NotingRandom random(1);
  const auto view =
      MakeView({{0, Signal::kLike}, {1, Signal::kLike}, {twin, Signal::kLike}}, kItems);
  ASSERT_OK_AND_ASSIGN(const model::Update update, Count(plan, view, random));
  Rows expected = {bucket, learning::RowBucket(1, kItems)};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(Ones(update), expected);
}

TEST(RowCountsTest, OfTooManyItDrawsAsManyAsItMay) {
  const auto plan = learning_server::RowCountsTraining(40, 10);
  Acts acts;
  for (std::uint32_t item = 0; item < 30; ++item) acts.push_back({item, Signal::kLike});
  const auto view = MakeView(acts, 40);
  std::vector<double> drawn(40);
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    NotingRandom random(seed);
    ASSERT_OK_AND_ASSIGN(const model::Update update, Count(plan, view, random));
    const Rows rows = Ones(update);
    ASSERT_EQ(rows.size(), 10U);
    EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
    EXPECT_EQ(std::adjacent_find(rows.begin(), rows.end()), rows.end());
    for (const std::uint32_t row : rows) drawn[row] += 1.0 / 300;
  }
  // Evenly: seeded, so the numbers are always the same.
  for (std::uint32_t row = 0; row < 40; ++row) {
    EXPECT_NEAR(drawn[row], row < 30 ? 1.0 / 3 : 0, row < 30 ? 0.13 : 0) << row;
  }
  // As many as it may are all of them.
  NotingRandom random(1);
  const auto all = learning_server::RowCountsTraining(40, 30);
  ASSERT_OK_AND_ASSIGN(const model::Update update, Count(all, view, random));
  EXPECT_EQ(Ones(update).size(), 30U);
}

TEST(RowCountsTest, TheDrawIsAFunctionOfItsStream) {
  const auto plan = learning_server::RowCountsTraining(40, 10);
  Acts acts;
  for (std::uint32_t item = 0; item < 40; ++item) acts.push_back({item, Signal::kLike});
  const auto view = MakeView(acts, 40);
  const auto draw = [&](const StreamId& id) {
    NotingRandom random(1);
    return Ones(Count(plan, view, random, id).value());
  };
  EXPECT_EQ(draw({.round = 1, .client = 5}), draw({.round = 1, .client = 5}));
  EXPECT_NE(draw({.round = 1, .client = 5}), draw({.round = 2, .client = 5}));
  EXPECT_NE(draw({.round = 1, .client = 5}), draw({.round = 1, .client = 6}));
}

// The context's stream has no purpose of its own: two purposes never share bits.
TEST(RowCountsTest, TheDrawHasItsOwnPurpose) {
  const auto plan = learning_server::RowCountsTraining(4, 1);
  const auto view = MakeView({{0, Signal::kLike}, {1, Signal::kLike}}, 4);
  NotingRandom random(1);
  const StreamId id{.task = 3, .round = 4, .attempt = 5, .client = 6};
  ASSERT_OK(Count(plan, view, random, id));
  ASSERT_EQ(random.asked().size(), 1U);
  EXPECT_EQ(random.asked()[0].purpose, Purpose::kSampling);
  EXPECT_EQ(random.asked()[0].task, 3U);
  EXPECT_EQ(random.asked()[0].round, 4U);
  EXPECT_EQ(random.asked()[0].attempt, 5U);
  EXPECT_EQ(random.asked()[0].client, 6U);
}

TEST(RowCountsTest, WhatItCannotCountIsRefused) {
  const auto plan = learning_server::RowCountsTraining(4, 1);
  NotingRandom random(1);
  EXPECT_ERROR(Count(plan, MakeView({}, 4), random), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(Count(plan, MakeView({{0, Signal::kNeutral}}, 4), random),
               ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(Count(plan, MakeView({{0, Signal::kLike}}, 5), random), ErrorCode::kInvalidArgument);
  FailingRandom failing;
  EXPECT_ERROR(Count(plan, MakeView({{0, Signal::kLike}, {1, Signal::kLike}}, 4), failing),
               ErrorCode::kInternal);
}

TEST(RowCountsTest, PlansThatDoNotFitAreRefused) {
  const auto refused = [](auto change) {
    model::TrainingPlan plan = learning_server::RowCountsTraining(50, 7);
    change(plan);
    return testing::HasError(learning_local::MakeLocalStep("row_counts", plan),
                             ErrorCode::kInvalidArgument);
  };
  EXPECT_FALSE(refused([](auto&) {}));
  EXPECT_TRUE(refused([](auto& p) { p.hyper[0].value = 51; }));
  EXPECT_TRUE(refused([](auto& p) { p.hyper[0].value = 0; }));
  EXPECT_TRUE(refused([](auto& p) { p.hyper[0].value = 50.5; }));
  EXPECT_TRUE(refused([](auto& p) { p.hyper[1].value = 0; }));
  EXPECT_TRUE(refused([](auto& p) { p.hyper[1].value = (1 << 26) + 1; }));
  EXPECT_TRUE(refused([](auto& p) { p.hyper[1].name = "rows"; }));
  EXPECT_TRUE(refused([](auto& p) { p.schema.tables[0].name = "item"; }));
  EXPECT_TRUE(refused([](auto& p) { p.schema.tables[0].rows = 49; }));
  EXPECT_TRUE(refused([](auto& p) { p.schema.tables[0].cols = 2; }));
  EXPECT_TRUE(refused([](auto& p) { p.slice.tables[0] = {false, {1, 2}}; }));
  EXPECT_TRUE(refused([](auto& p) { p.slice.tables.clear(); }));
  EXPECT_TRUE(refused([](auto& p) { p.schema.tables.clear(); }));
  EXPECT_TRUE(refused([](auto& p) {
    p.schema.tables.push_back({"z", 1, 1, 1.0});
    p.slice.tables.push_back({true, {}});
  }));
}

TEST(RowCountsTest, CountsRankNothing) {
  const auto plan = learning_server::RowCountsTraining(4, 1);
  ASSERT_OK_AND_ASSIGN(const auto step, learning_local::MakeLocalStep("row_counts", plan));
  const model::SharedModel model(plan.schema);
  std::vector<float> scores(4);
  EXPECT_ERROR(step->Score(model, {}, scores), ErrorCode::kInvalidArgument);
  seeded::SeededRandom random(1);
  const model::Layout layout = MakeLayout(plan);
  const model::PrivateState state{{1, 2}};
  ASSERT_OK_AND_ASSIGN(const auto kept,
                       step->Personalise(model, state, MakeView({}, 4), {layout, random, {}}));
  EXPECT_EQ(kept.values, state.values);
}

}  // namespace
}  // namespace demur
