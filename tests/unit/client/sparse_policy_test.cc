#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "demur/client/policy.h"
#include "dp_fixtures.h"
#include "event_store_codec.h"
#include "fake_clock.h"
#include "result_matchers.h"

// Rounds of two sessions, as a device admits them, and what it remembers of them.
namespace demur::client {
namespace {

constexpr std::int64_t kNow = testing::FakeClock::kStart;

model::Plan Ready(model::Plan plan) {
  plan.timeouts = {60'000, 60'000, 60'000, 60'000, 60'000, 60'000};
  plan.expires_unix_ms = kNow + 1;
  return plan;
}

testing::SparsePlans PlansOf(double epsilon, double share) {
  auto request = testing::UsualRequest();
  request.epsilon = epsilon;
  const testing::SparsePlans plans = testing::SparsePlansFor(request, share);
  return {Ready(plans.counts), Ready(plans.rows)};
}

// Epsilon 6: 100 counts, and 900 coordinates of training.
const testing::SparsePlans& Usual() {
  static const testing::SparsePlans plans = PlansOf(6, 0.1);
  return plans;
}

model::Plan WholePlan(double epsilon) {
  auto request = testing::UsualRequest();
  request.epsilon = epsilon;
  return Ready(testing::PlanFor(request));
}

model::Plan At(model::Plan plan, RoundId round) {
  plan.round = round;
  return plan;
}

Result<Admission> Check(const model::Plan& plan, const std::vector<TaskRecord>& records = {},
                        const Floor& floor = {}) {
  return CheckPlan(plan, floor, records, kNow);
}

::testing::AssertionResult Names(const Result<Admission>& result, const std::string& what) {
  const auto refused = testing::HasError(result, ErrorCode::kPermissionDenied);
  if (!refused || result.error().message().find(what) != std::string::npos) return refused;
  return ::testing::AssertionFailure() << result.error().message();
}

TEST(SparsePolicyTest, EachSessionOfARoundIsTakenUpOnce) {
  const auto& [counts, rows] = Usual();
  ASSERT_OK_AND_ASSIGN(const Admission first, Check(At(counts, {2, 7})));
  EXPECT_EQ(first.layout.dim(), 100U);
  EXPECT_EQ(first.seen.last_seen, (RoundId{2, 7}));
  EXPECT_EQ(first.seen.last_seen_attempt, 0U);
  EXPECT_ERROR(Check(At(counts, {2, 7}), {first.seen}), ErrorCode::kFailedPrecondition);

  ASSERT_OK_AND_ASSIGN(const Admission second, Check(At(rows, {2, 7}), {first.seen}));
  EXPECT_EQ(second.layout.dim(), 900U);
  EXPECT_EQ(second.seen.last_seen_attempt, 1U);
  EXPECT_ERROR(Check(At(rows, {2, 7}), {second.seen}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(Check(At(counts, {2, 7}), {second.seen}), ErrorCode::kFailedPrecondition);

  // A first session starts the next round, and so does a second one that is met first.
  ASSERT_OK_AND_ASSIGN(const Admission next, Check(At(counts, {2, 8}), {second.seen}));
  EXPECT_EQ(next.seen.last_seen_attempt, 0U);
  EXPECT_OK(Check(At(rows, {2, 8}), {second.seen}));
}

TEST(SparsePolicyTest, TheSecondSessionOfAnOlderRoundIsRefused) {
  const auto& [counts, rows] = Usual();
  ASSERT_OK_AND_ASSIGN(const Admission first, Check(At(counts, {2, 7})));
  EXPECT_ERROR(Check(At(rows, {2, 6}), {first.seen}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(Check(At(rows, {1, 9}), {first.seen}), ErrorCode::kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const Admission whole, Check(At(WholePlan(6), {2, 7})));
  EXPECT_ERROR(Check(At(rows, {2, 6}), {whole.seen}), ErrorCode::kFailedPrecondition);
}

// It takes no participation again: what the first session announced, or nothing.
TEST(SparsePolicyTest, TheSecondSessionIsWhatTheFirstAnnounced) {
  const auto& [counts, rows] = Usual();
  ASSERT_OK_AND_ASSIGN(const Admission first, Check(At(counts, {2, 7})));
  model::Plan other_counts = At(rows, {2, 7});
  ++other_counts.session.other.noise_variance;
  EXPECT_TRUE(Names(Check(other_counts, {first.seen}), "second session"));
  model::Plan fewer_counted = At(rows, {2, 7});
  --fewer_counted.session.other_dim;
  EXPECT_TRUE(Names(Check(fewer_counted, {first.seen}), "second session"));
  model::Plan other_rows = At(rows, {2, 7});
  ++other_rows.encoding.noise_variance;
  EXPECT_TRUE(Names(Check(other_rows, {first.seen}), "second session"));
  ASSERT_OK_AND_ASSIGN(const Admission whole, Check(At(WholePlan(6), {2, 7})));
  EXPECT_TRUE(Names(Check(At(rows, {2, 7}), {whole.charged}), "second session"));
}

TEST(SparsePolicyTest, BothAreOneParticipationAndTwoMarkers) {
  const auto& [counts, rows] = Usual();
  ASSERT_OK_AND_ASSIGN(const Admission first, Check(At(counts, {2, 7})));
  EXPECT_EQ(first.charged.account.participations, 1U);
  EXPECT_EQ(first.charged.masked_attempt, 0U);
  ASSERT_OK_AND_ASSIGN(const Admission second, Check(At(rows, {2, 7}), {first.charged}));
  EXPECT_EQ(second.seen.masked_attempt, 0U) << "nothing of the second was sent yet";
  EXPECT_EQ(second.charged.account.participations, 1U);
  EXPECT_EQ(second.charged.masked_round, (RoundId{2, 7}));
  EXPECT_EQ(second.charged.masked_attempt, 1U);
  EXPECT_EQ(second.charged.account.spent, dp::RoundCurveOf(rows).value());
}

TEST(SparsePolicyTest, TermsAreThoseOfTheWholeRound) {
  const auto& [counts, rows] = Usual();
  ASSERT_OK_AND_ASSIGN(const PlanTerms of_counts, TermsOf(counts));
  ASSERT_OK_AND_ASSIGN(const PlanTerms of_rows, TermsOf(rows));
  EXPECT_EQ(of_counts, of_rows);
  const auto conversion = dp::DpConversion::Create(rows.privacy.delta).value();
  const auto units = conversion.EpsilonUnits(dp::RoundCurveOf(rows).value());
  EXPECT_EQ(of_rows.epsilon_round, static_cast<double>(units) * dp::kEpsilonUnit);
}

// By its own session alone the sparse plan would be the cheaper one.
TEST(SparsePolicyTest, AWholeAndASparseRoundAreComparedByWhatTheyCost) {
  const testing::SparsePlans dear = PlansOf(6, 0.5);
  const testing::SparsePlans cheap = PlansOf(4, 0.5);
  ASSERT_OK_AND_ASSIGN(const Admission whole, Check(At(WholePlan(5), {1, 1})));
  EXPECT_TRUE(Names(Check(At(dear.counts, {1, 2}), {whole.seen}), "encoding noise is weaker"));
  EXPECT_TRUE(Names(Check(At(dear.rows, {1, 2}), {whole.seen}), "encoding noise is weaker"));
  EXPECT_OK(Check(At(cheap.counts, {1, 2}), {whole.seen}));
  EXPECT_OK(Check(At(cheap.rows, {1, 2}), {whole.seen}));

  ASSERT_OK_AND_ASSIGN(const Admission sparse, Check(At(cheap.counts, {1, 1})));
  EXPECT_TRUE(Names(Check(At(WholePlan(5), {1, 2}), {sparse.seen}), "encoding noise is weaker"));
  EXPECT_OK(Check(At(WholePlan(3), {1, 2}), {sparse.seen}));
  ASSERT_OK_AND_ASSIGN(const Admission costly, Check(At(dear.counts, {1, 1})));
  EXPECT_OK(Check(At(WholePlan(5), {1, 2}), {costly.seen}));
}

TEST(SparsePolicyTest, NeitherSessionIsLargerThanTheOwnerAllows) {
  Floor floor;
  floor.dim_max = 900;
  EXPECT_OK(Check(Usual().counts, {}, floor));
  EXPECT_OK(Check(Usual().rows, {}, floor));
  floor.dim_max = 899;
  EXPECT_TRUE(Names(Check(Usual().counts, {}, floor), "slice of 900 coordinates"));
  EXPECT_TRUE(Names(Check(Usual().rows, {}, floor), "slice of 900 coordinates"));
  floor.dim_max = 900;
  model::Plan plan = Usual().rows;
  plan.session.other_dim = 901;
  EXPECT_TRUE(Names(Check(plan, {}, floor), "slice of 901 coordinates"));
}

TEST(SparsePolicyTest, TheOwnerMayRefuseToCount) {
  Floor floor;
  floor.algorithms = {"item_statistics"};
  EXPECT_TRUE(Names(Check(Usual().counts, {}, floor), "training.algorithm"));
  EXPECT_OK(Check(Usual().rows, {}, floor));
}

// --- Records

TEST(SparsePolicyTest, RecordsFromBeforeThereWereTwoSessionsStillLoad) {
  ASSERT_OK_AND_ASSIGN(const Admission admission, Check(At(Usual().rows, {2, 7})));
  TaskRecord record = admission.charged;
  record.population_epoch = 77;
  const Bytes bytes = EncodeTask(record);
  EXPECT_EQ(DecodeTask(bytes).value(), record);
  record.last_seen_attempt = 0;
  record.last_seen_sessions = {};
  EXPECT_EQ(DecodeTask(ByteView(bytes).first(bytes.size() - 36)).value(), record);
  record.population_epoch = 0;
  EXPECT_EQ(DecodeTask(ByteView(bytes).first(bytes.size() - 44)).value(), record);
  for (const std::size_t cut : {1U, 31U, 32U, 33U, 37U, 43U, 45U}) {
    EXPECT_FALSE(DecodeTask(ByteView(bytes).first(bytes.size() - cut)).has_value()) << cut;
  }
  Bytes longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(DecodeTask(longer).has_value());
}

}  // namespace
}  // namespace demur::client
