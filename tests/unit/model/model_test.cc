#include <gtest/gtest.h>

#include <limits>

#include "demur/model/plan.h"
#include "demur/model/tables.h"
#include "demur/model/update.h"
#include "result_matchers.h"

namespace demur::model {
namespace {

Schema TwoTables() { return {{{"item", 5, 3, 1.0}, {"item_bias", 5, 1, 2.0}}}; }

TEST(SchemaTest, RefusesWhatCannotBeAModel) {
  EXPECT_OK(TwoTables().Validate());
  Schema unsorted{{{"b", 1, 1, 1.0}, {"a", 1, 1, 1.0}}};
  EXPECT_ERROR(unsorted.Validate(), ErrorCode::kInvalidArgument);
  EXPECT_ERROR((Schema{{{"a", 0, 1, 1.0}}}).Validate(), ErrorCode::kInvalidArgument);
  EXPECT_ERROR((Schema{{{"a", 1, 1, 0.0}}}).Validate(), ErrorCode::kInvalidArgument);
  EXPECT_ERROR((Schema{{{"A", 1, 1, 1.0}}}).Validate(), ErrorCode::kInvalidArgument);
  EXPECT_ERROR((Schema{{{"a", 0xFFFFFFFF, 4096, 1.0}}}).Validate(), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Schema{}.Validate(), ErrorCode::kInvalidArgument);
}
TEST(LayoutTest, CountsOnlyTheSlice) {
  Slice slice = Slice::Everything(TwoTables());
  slice.tables[0] = {false, {1, 4}};
  ASSERT_OK_AND_ASSIGN(const Layout layout, Layout::Create(TwoTables(), slice));
  EXPECT_EQ(layout.dim(), 2U * 3 + 5);
  EXPECT_EQ(layout.num_rows(), 7U);
  EXPECT_EQ(layout.Offset(0, 4), 3U);
  EXPECT_EQ(layout.Offset(0, 2), Layout::kNotInSlice);
  EXPECT_EQ(layout.Offset(1, 2), 8U);
  EXPECT_EQ(layout.Offset(1, 5), Layout::kNotInSlice);
}
TEST(LayoutTest, RefusesRowsThatAreUnsortedOrMissing) {
  for (const std::vector<std::uint32_t>& rows : {std::vector<std::uint32_t>{2, 1}, {1, 1}, {5}}) {
    Slice slice = Slice::Everything(TwoTables());
    slice.tables[0] = {false, rows};
    EXPECT_ERROR(Layout::Create(TwoTables(), slice), ErrorCode::kInvalidArgument);
  }
  Slice both = Slice::Everything(TwoTables());
  both.tables[0] = {true, {1}};
  EXPECT_ERROR(Layout::Create(TwoTables(), both), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Layout::Create(TwoTables(), Slice{}), ErrorCode::kInvalidArgument);
}
TEST(SharedModelTest, CanonicalBytesRoundTripAndMinusZeroIsZero) {
  SharedModel model(TwoTables());
  model.Row(0, 2)[1] = 1.5F;
  model.Row(1, 4)[0] = -0.0F;
  SharedModel other(TwoTables());
  other.Row(0, 2)[1] = 1.5F;
  EXPECT_EQ(model.Canonical(), other.Canonical());
  ASSERT_OK_AND_ASSIGN(const auto back,
                       SharedModel::FromCanonical(TwoTables(), model.Canonical(), 2.0));
  EXPECT_EQ(back.Row(0, 2)[1], 1.5F);
}
TEST(SharedModelTest, RefusesWrongLengthsAndValues) {
  SharedModel model(TwoTables());
  Bytes bytes = model.Canonical();
  bytes.pop_back();
  EXPECT_ERROR(SharedModel::FromCanonical(TwoTables(), bytes, 2.0), ErrorCode::kInvalidArgument);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 2.5F}) {
    model.Row(0, 1)[0] = bad;
    EXPECT_ERROR(SharedModel::FromCanonical(TwoTables(), model.Canonical(), 2.0),
                 ErrorCode::kInvalidArgument);
    ASSERT_OK_AND_ASSIGN(const Layout layout,
                         Layout::Create(TwoTables(), Slice::Everything(TwoTables())));
    EXPECT_ERROR(model.CheckValues(layout, 2.0), ErrorCode::kInvalidArgument);
  }
}
TEST(UpdateTest, RowsKeepTheirPlaces) {
  Update update;
  update.AddRow(0, 3, 2)[1] = 4.0F;
  update.AddRow(1, 0, 1)[0] = 5.0F;
  ASSERT_EQ(update.rows().size(), 2U);
  EXPECT_EQ(update.values(update.rows()[0])[1], 4.0F);
  EXPECT_EQ(update.values(update.rows()[1])[0], 5.0F);
}

Plan GoodPlan() {
  Plan plan;
  plan.training = {"biased_mf", {{"lr", 0.1}}, TwoTables(), Slice::Everything(TwoTables()), 10, 20};
  plan.encoding = {1.0, 1000, 20, 0, 2000000, 10000, 5};
  plan.privacy = {false, 0, 0, 1, 1, false};
  plan.secagg = {SecAggProfile::kSemiHonest, 20, 40, 50, 300, 40, 20};
  return plan;
}
TEST(PlanTest, AcceptsAGoodPlanAndRefusesEachBadField) {
  EXPECT_OK(GoodPlan().Validate());
  using Edit = void (*)(Plan&);
  for (const Edit edit : std::initializer_list<Edit>{
           [](Plan& p) { p.version = 2; },
           [](Plan& p) { p.training.algorithm.clear(); },
           [](Plan& p) { p.training.normaliser = 0; },
           [](Plan& p) { p.training.value_max = std::numeric_limits<double>::infinity(); },
           [](Plan& p) {
             p.training.hyper.push_back({"a", 1});
           },
           [](Plan& p) { p.training.hyper[0].value = std::numeric_limits<double>::quiet_NaN(); },
           [](Plan& p) { p.encoding.bits = 33; },
           [](Plan& p) { p.encoding.bits = 7; },
           [](Plan& p) { p.encoding.scale = 0; },
           [](Plan& p) { p.encoding.noise_variance = 1; },
           [](Plan& p) { p.privacy.noise = true; },
           [](Plan& p) { p.privacy.participations_max = 2; },
           [](Plan& p) { p.secagg.roster_min = 19; },
           [](Plan& p) { p.secagg.roster_max = 19; },
           [](Plan& p) { p.secagg.dropout_permille = 501; },
       }) {
    Plan plan = GoodPlan();
    edit(plan);
    EXPECT_ERROR(plan.Validate(), ErrorCode::kInvalidArgument);
  }
}

// The second session of a sparse round, or the first.
Plan SparsePlan(SessionKind kind) {
  Plan plan = GoodPlan();
  plan.session = {kind, {2.0, 1, 16, 0, 4, 4, 4}, 7};
  if (kind == SessionKind::kRowCounts) plan.training.algorithm = kRowCountsAlgorithm;
  if (kind == SessionKind::kRows) plan.attempt = 1;
  return plan;
}
TEST(PlanTest, ASparseRoundHasASessionOfEachKind) {
  EXPECT_FALSE(GoodPlan().session.sparse());
  for (const SessionKind kind : {SessionKind::kRowCounts, SessionKind::kRows}) {
    EXPECT_OK(SparsePlan(kind).Validate()) << ToString(kind);
    EXPECT_TRUE(SparsePlan(kind).session.sparse());
  }
  EXPECT_EQ(ToString(SessionKind::kWhole), "whole");
  EXPECT_EQ(ToString(SessionKind::kRowCounts), "row-counts");
  EXPECT_EQ(ToString(SessionKind::kRows), "rows");
  EXPECT_EQ(ToString(SessionKind{9}), "unknown");
}
TEST(PlanTest, TheAttemptIsThatOfItsSession) {
  for (const SessionKind kind : {SessionKind::kRowCounts, SessionKind::kRows}) {
    Plan plan = SparsePlan(kind);
    plan.attempt = 1 - plan.attempt;
    EXPECT_ERROR(plan.Validate(), ErrorCode::kInvalidArgument) << ToString(kind);
    plan.attempt = 2;
    EXPECT_ERROR(plan.Validate(), ErrorCode::kInvalidArgument) << ToString(kind);
  }
  Plan whole = GoodPlan();
  whole.attempt = 1;
  EXPECT_ERROR(whole.Validate(), ErrorCode::kInvalidArgument);
}
TEST(PlanTest, RowsAreCountedInTheirOwnSessionsOnly) {
  Plan plan = SparsePlan(SessionKind::kRowCounts);
  plan.training.algorithm = "biased_mf";
  EXPECT_ERROR(plan.Validate(), ErrorCode::kInvalidArgument);
  for (Plan other : {GoodPlan(), SparsePlan(SessionKind::kRows)}) {
    other.training.algorithm = kRowCountsAlgorithm;
    EXPECT_ERROR(other.Validate(), ErrorCode::kInvalidArgument);
  }
}
TEST(PlanTest, AWholeRoundHasNoOtherSession) {
  using Edit = void (*)(SessionPlan&);
  for (const Edit edit : std::initializer_list<Edit>{
           [](SessionPlan& s) { s.other_dim = 1; },
           [](SessionPlan& s) { s.other.bits = 8; },
           [](SessionPlan& s) { s.other.noise_variance = 1; },
           [](SessionPlan& s) { s.other.clip_norm = std::numeric_limits<double>::quiet_NaN(); },
           [](SessionPlan& s) { s.kind = SessionKind{0}; },
           [](SessionPlan& s) { s.kind = SessionKind{4}; },
           [](SessionPlan& s) { s.kind = SessionKind{255}; },
       }) {
    Plan plan = GoodPlan();
    edit(plan.session);
    EXPECT_ERROR(plan.Validate(), ErrorCode::kInvalidArgument);
  }
}
TEST(PlanTest, TheOtherSessionIsCheckedAsItsOwn) {
  using Edit = void (*)(SessionPlan&);
  for (const Edit edit : std::initializer_list<Edit>{
           [](SessionPlan& s) { s.other_dim = 0; },
           [](SessionPlan& s) { s.other_dim = (1U << 26) + 1; },
           [](SessionPlan& s) { s.other.clip_norm = 0; },
           [](SessionPlan& s) { s.other.clip_norm = std::numeric_limits<double>::infinity(); },
           [](SessionPlan& s) { s.other.scale = 0; },
           [](SessionPlan& s) { s.other.bits = 7; },
           [](SessionPlan& s) { s.other.bits = 33; },
           [](SessionPlan& s) { s.other.l2_sq_max = 0; },
           [](SessionPlan& s) { s.other.l1_max = 0; },
           [](SessionPlan& s) { s.other.rows_max = 0; },
           [](SessionPlan& s) { s.other.noise_variance = 1; },
           [](SessionPlan& s) { s.other = {}; },
       }) {
    for (const SessionKind kind : {SessionKind::kRowCounts, SessionKind::kRows}) {
      Plan plan = SparsePlan(kind);
      edit(plan.session);
      EXPECT_ERROR(plan.Validate(), ErrorCode::kInvalidArgument) << ToString(kind);
    }
  }
  // With noise the other session has it too.
  Plan noisy = SparsePlan(SessionKind::kRows);
  noisy.privacy = {true, 1, 1e-6, 1, 1, false};
  noisy.encoding.noise_variance = 5;
  EXPECT_ERROR(noisy.Validate(), ErrorCode::kInvalidArgument);
  noisy.session.other.noise_variance = 5;
  EXPECT_OK(noisy.Validate());
}
TEST(PlanTest, SurvivorsAreRoundedUp) {
  EXPECT_EQ(GoodPlan().secagg.SurvivorsMin(21), 15U);
  EXPECT_EQ(GoodPlan().secagg.SurvivorsMin(20), 14U);
}

}  // namespace
}  // namespace demur::model
