#include "demur/client/policy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "dp_fixtures.h"
#include "fake_clock.h"
#include "result_matchers.h"

// What a device refuses of a coordinator that asks for more than it should. The plan below is
// honest; each test changes one thing.
namespace demur::client {
namespace {

constexpr std::int64_t kNow = testing::FakeClock::kStart;

model::Plan WithDeadlines(model::Plan plan) {
  plan.timeouts = {60'000, 60'000, 60'000, 60'000, 60'000, 60'000};
  plan.expires_unix_ms = kNow + 1;
  return plan;
}

// Noise for 4 participations within epsilon 6, 800 to 1,000 devices, 900 coordinates.
const model::Plan& HonestPlan() {
  static const model::Plan plan = WithDeadlines(testing::PlanFor(testing::UsualRequest()));
  return plan;
}

model::Plan PlanWithoutNoise() {
  auto request = testing::UsualRequest();
  request.noise = false;
  return WithDeadlines(testing::PlanFor(request));
}

Result<Admission> Check(const model::Plan& plan, const Floor& floor = {},
                        const std::vector<TaskRecord>& records = {}) {
  return CheckPlan(plan, floor, records, kNow);
}

::testing::AssertionResult Refuses(const Result<Admission>& result, ErrorCode code,
                                   const std::string& named) {
  const auto refused = testing::HasError(result, code);
  if (!refused || result.error().message().find(named) != std::string::npos) return refused;
  return ::testing::AssertionFailure()
         << "'" << named << "' is not named: " << result.error().message();
}

TEST(PolicyTest, AnHonestPlanIsAdmittedWithBothRecords) {
  const model::Plan& plan = HonestPlan();
  ASSERT_OK_AND_ASSIGN(const Admission admission, Check(plan));
  EXPECT_EQ(admission.layout.dim(), 900U);

  EXPECT_EQ(admission.seen.task(), plan.task);
  EXPECT_EQ(admission.seen.last_seen, plan.round);
  EXPECT_EQ(admission.seen.account.participations, 0U) << "nothing is spent before M5";
  EXPECT_EQ(admission.seen.account.spent, dp::RdpCurve{});
  EXPECT_EQ(admission.seen.masked_round, RoundId{});
  ASSERT_TRUE(admission.seen.terms.has_value());

  EXPECT_EQ(admission.charged.last_seen, plan.round);
  EXPECT_EQ(admission.charged.account.participations, 1U);
  EXPECT_NE(admission.charged.account.spent, dp::RdpCurve{});
  EXPECT_EQ(admission.charged.masked_round, plan.round);
  EXPECT_EQ(admission.charged.masked_attempt, 0U);
  EXPECT_EQ(admission.charged.terms, admission.seen.terms);
}

TEST(PolicyTest, WhatIsRememberedOfATaskIsCarriedOn) {
  TaskRecord before;
  before.account.task = HonestPlan().task;
  before.last_seen = {1, 0};
  before.masked_round = {1, 0};
  before.confirmed_session[3] = std::byte{9};
  before.confirmed_survivors[4] = std::byte{8};
  ASSERT_OK_AND_ASSIGN(const Admission admission, Check(HonestPlan(), {}, {before}));
  EXPECT_EQ(admission.seen.masked_round, before.masked_round);
  EXPECT_EQ(admission.charged.confirmed_session, before.confirmed_session);
  EXPECT_EQ(admission.charged.confirmed_survivors, before.confirmed_survivors);
}

// --- The floor, field by field ------------------------------------------------------------------

struct FloorCase {
  const char* field;
  void (*refusing)(Floor&);
  void (*just_enough)(Floor&);
  const char* named;
};

class FloorFieldTest : public ::testing::TestWithParam<FloorCase> {};

TEST_P(FloorFieldTest, NoPlanLowersIt) {
  Floor floor;
  GetParam().just_enough(floor);
  EXPECT_OK(floor.Validate());
  EXPECT_OK(Check(HonestPlan(), floor));
  GetParam().refusing(floor);
  EXPECT_OK(floor.Validate());
  EXPECT_TRUE(Refuses(Check(HonestPlan(), floor), ErrorCode::kPermissionDenied, GetParam().named));
}

constexpr FloorCase kFloorCases[] = {
    {"epsilon_round_max", [](Floor& f) { f.privacy.epsilon_round_max = 0.5; }, [](Floor&) {},
     "one round costs too much"},
    {"epsilon_task_max", [](Floor& f) { f.privacy.epsilon_task_max = 5.99; },
     [](Floor& f) { f.privacy.epsilon_task_max = 6; }, "epsilon is too large"},
    {"delta_max", [](Floor& f) { f.privacy.delta_max = 0.99e-7; },
     [](Floor& f) { f.privacy.delta_max = 1e-7; }, "delta is too large"},
    {"participations_max", [](Floor& f) { f.privacy.participations_max = 3; },
     [](Floor& f) { f.privacy.participations_max = 4; }, "participations_max"},
    {"roster_min", [](Floor& f) { f.privacy.roster_min = 801; },
     [](Floor& f) { f.privacy.roster_min = 800; }, "roster_min"},
    {"survivors_min", [](Floor& f) { f.privacy.survivors_min = 561; },
     [](Floor& f) { f.privacy.survivors_min = 560; }, "survivors"},
    {"corrupt_permille_min", [](Floor& f) { f.privacy.corrupt_permille_min = 101; },
     [](Floor& f) { f.privacy.corrupt_permille_min = 100; }, "corrupt_permille"},
    {"dropout_permille_max", [](Floor& f) { f.privacy.dropout_permille_max = 299; },
     [](Floor& f) { f.privacy.dropout_permille_max = 300; }, "dropout_permille"},
    {"corrupt_permille_max",
     [](Floor& f) { f.corrupt_permille_max = f.noise_corrupt_permille_min = 99; },
     [](Floor& f) { f.corrupt_permille_max = 100; }, "corrupt_permille"},
    {"noise_corrupt_permille_min", [](Floor& f) { f.noise_corrupt_permille_min = 101; },
     [](Floor& f) { f.noise_corrupt_permille_min = 100; }, "corrupt_permille 100 is below 101"},
    {"sigma_min", [](Floor& f) { f.sigma_min = 81; }, [](Floor& f) { f.sigma_min = 80; },
     "secagg.sigma"},
    {"eta_min", [](Floor& f) { f.eta_min = 21; }, [](Floor& f) { f.eta_min = 20; },
     "secagg.eta 20 is below 21"},
    {"dim_max", [](Floor& f) { f.dim_max = 899; }, [](Floor& f) { f.dim_max = 900; },
     "slice of 900 coordinates"},
    {"roster_max", [](Floor& f) { f.roster_max = 999; }, [](Floor& f) { f.roster_max = 1000; },
     "secagg.roster_max"},
    {"value_max", [](Floor& f) { f.value_max = 9.99; }, [](Floor& f) { f.value_max = 10; },
     "training.value_max"},
    {"timeout_min_ms", [](Floor& f) { f.timeout_min_ms = 60'001; },
     [](Floor& f) { f.timeout_min_ms = 60'000; }, "timeouts.training_ms"},
    {"timeout_max_ms", [](Floor& f) { f.timeout_max_ms = 59'999; },
     [](Floor& f) { f.timeout_max_ms = 60'000; }, "timeouts.training_ms"},
    {"algorithms", [](Floor& f) { f.algorithms = {"biased_mf"}; },
     [](Floor& f) { f.algorithms = {"item_statistics"}; }, "training.algorithm"}};

INSTANTIATE_TEST_SUITE_P(Fields, FloorFieldTest, ::testing::ValuesIn(kFloorCases),
                         [](const auto& test) { return std::string(test.param.field); });

TEST(PolicyTest, APlanWithoutNoiseNeedsTheOwnersWord) {
  const model::Plan plan = PlanWithoutNoise();
  EXPECT_TRUE(Refuses(Check(plan), ErrorCode::kPermissionDenied, "without noise"));
  Floor floor;
  floor.privacy.allow_no_noise = true;
  ASSERT_OK_AND_ASSIGN(const Admission admission, Check(plan, floor));
  EXPECT_FALSE(admission.seen.terms->noise);
  EXPECT_EQ(admission.charged.account.participations, 1U) << "counted all the same";
}

TEST(PolicyTest, AllTasksTogetherStayBelowTheirLimit) {
  ASSERT_OK_AND_ASSIGN(const Admission one, Check(HonestPlan()));
  std::vector<TaskRecord> records;
  for (unsigned char task = 1; task <= 10; ++task) {
    TaskRecord other = one.charged;
    other.account.task.bytes[1] = std::byte{task};
    records.push_back(other);
  }
  Floor floor;
  floor.privacy.epsilon_total_max = 7;
  EXPECT_ERROR(Check(HonestPlan(), floor, records), ErrorCode::kResourceExhausted);
  records.resize(1);
  EXPECT_OK(Check(HonestPlan(), floor, records));
}

TEST(PolicyTest, EveryDeadlineLiesBetweenTheOwnersTwo) {
  struct Field {
    const char* name;
    std::uint32_t model::TimeoutPlan::*member;
  };
  for (const Field& field : {Field{"training_ms", &model::TimeoutPlan::training_ms},
                             Field{"advertise_ms", &model::TimeoutPlan::advertise_ms},
                             Field{"share_ms", &model::TimeoutPlan::share_ms},
                             Field{"mask_ms", &model::TimeoutPlan::mask_ms},
                             Field{"confirm_ms", &model::TimeoutPlan::confirm_ms},
                             Field{"unmask_ms", &model::TimeoutPlan::unmask_ms}}) {
    for (const std::uint32_t bad : {0U, 999U, 3'600'001U}) {
      model::Plan plan = HonestPlan();
      plan.timeouts.*field.member = bad;
      EXPECT_TRUE(Refuses(Check(plan), ErrorCode::kPermissionDenied, field.name)) << bad;
    }
    for (const std::uint32_t good : {1'000U, 3'600'000U}) {
      model::Plan plan = HonestPlan();
      plan.timeouts.*field.member = good;
      EXPECT_OK(Check(plan)) << field.name;
    }
    Floor floor;
    floor.allow_no_deadline = true;
    model::Plan plan = HonestPlan();
    plan.timeouts.*field.member = 0;
    EXPECT_OK(Check(plan, floor)) << field.name;
  }
}

TEST(PolicyTest, AnAlgorithmNobodyKnowsIsRefused) {
  model::Plan plan = HonestPlan();
  plan.training.algorithm = "miner";
  EXPECT_TRUE(Refuses(Check(plan), ErrorCode::kPermissionDenied, "training.algorithm"));
}

// --- Weaker than before -------------------------------------------------------------------------

struct TermCase {
  const char* field;
  void (*stronger)(PlanTerms&);
  const char* named;
};

class PlanTermTest : public ::testing::TestWithParam<TermCase> {};

TEST_P(PlanTermTest, ALaterPlanIsNotWeaker) {
  TaskRecord before;
  before.account.task = HonestPlan().task;
  ASSERT_OK_AND_ASSIGN(before.terms, TermsOf(HonestPlan()));
  EXPECT_OK(Check(HonestPlan(), {}, {before})) << "the same terms are no weaker";
  GetParam().stronger(*before.terms);
  EXPECT_TRUE(Refuses(Check(HonestPlan(), {}, {before}), ErrorCode::kPermissionDenied,
                      std::string(GetParam().named) + " is weaker"));
  before.account.task.bytes[5] = std::byte{1};
  EXPECT_OK(Check(HonestPlan(), {}, {before})) << "another task's terms are its own";
}

constexpr TermCase kTermCases[] = {
    {"epsilon_round", [](PlanTerms& t) { t.epsilon_round = std::nextafter(t.epsilon_round, 0.0); },
     "encoding noise"},
    {"delta", [](PlanTerms& t) { t.delta = 0.99e-7; }, "privacy.delta"},
    {"participations_max", [](PlanTerms& t) { t.participations_max = 3; },
     "privacy.participations_max"},
    {"roster_min", [](PlanTerms& t) { t.roster_min = 801; }, "secagg.roster_min"},
    {"survivors_min", [](PlanTerms& t) { t.survivors_min = 561; }, "secagg.dropout_permille"},
    {"corrupt_permille", [](PlanTerms& t) { t.corrupt_permille = 101; }, "secagg.corrupt_permille"},
    {"sigma", [](PlanTerms& t) { t.sigma = 81; }, "secagg.sigma"}};

INSTANTIATE_TEST_SUITE_P(Fields, PlanTermTest, ::testing::ValuesIn(kTermCases),
                         [](const auto& test) { return std::string(test.param.field); });

// A coordinator could otherwise ask for the weaker profile whenever it meant harm.
TEST(PolicyTest, APlanThatTrustsTheCoordinatorNeedsTheOwnersWord) {
  model::Plan plan = HonestPlan();
  plan.secagg.profile = model::SecAggProfile::kSemiHonest;
  EXPECT_TRUE(Refuses(Check(plan), ErrorCode::kPermissionDenied, "secagg.profile semi-honest"));
  Floor floor;
  floor.allow_semi_honest = true;
  ASSERT_OK_AND_ASSIGN(const Admission trusting, Check(plan, floor));
  ASSERT_OK_AND_ASSIGN(const Admission wary, Check(HonestPlan(), floor));
  plan.round.counter += 1;
  EXPECT_OK(Check(plan, floor, {trusting.seen}));
  EXPECT_TRUE(Refuses(Check(plan, floor, {wary.seen}), ErrorCode::kPermissionDenied,
                      "secagg.profile is weaker"));
}

TEST(PolicyTest, NoiseIsNotTakenBack) {
  Floor floor;
  floor.privacy.allow_no_noise = true;
  ASSERT_OK_AND_ASSIGN(const Admission noisy, Check(HonestPlan(), floor));
  model::Plan plan = PlanWithoutNoise();
  plan.round.counter = 2;
  EXPECT_TRUE(Refuses(Check(plan, floor, {noisy.charged}), ErrorCode::kPermissionDenied,
                      "privacy.noise is weaker"));
}

TEST(PolicyTest, ATaskMayBecomeStronger) {
  Floor floor;
  floor.privacy.allow_no_noise = true;
  ASSERT_OK_AND_ASSIGN(const Admission quiet, Check(PlanWithoutNoise(), floor));
  model::Plan plan = HonestPlan();
  plan.round.counter = 2;
  ASSERT_OK_AND_ASSIGN(const Admission noisy, Check(plan, floor, {quiet.charged}));
  EXPECT_TRUE(noisy.seen.terms->noise);
  EXPECT_GT(noisy.seen.terms->epsilon_round, 0);
}

// --- The other refusals -------------------------------------------------------------------------

TEST(PolicyTest, ARoundIsTakenUpOnce) {
  TaskRecord before;
  before.account.task = HonestPlan().task;
  before.last_seen = {2, 7};
  const auto at = [&before](RoundId round) {
    model::Plan plan = HonestPlan();
    plan.round = round;
    return Check(plan, {}, {before});
  };
  EXPECT_ERROR(at({2, 7}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(at({2, 6}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(at({1, 4'000'000'000}), ErrorCode::kFailedPrecondition) << "an older epoch";
  EXPECT_OK(at({2, 8}));
  EXPECT_OK(at({3, 1})) << "a restored coordinator counts in a new epoch";
  before.account.task.bytes[5] = std::byte{1};
  EXPECT_OK(at({2, 7})) << "another task's rounds are its own";
}

TEST(PolicyTest, ParticipationsRunOut) {
  model::Plan plan = HonestPlan();
  std::vector<TaskRecord> records;
  for (std::uint32_t round = 1; round <= 4; ++round) {
    plan.round.counter = round;
    ASSERT_OK_AND_ASSIGN(const Admission admission, Check(plan, {}, records));
    EXPECT_EQ(admission.charged.account.participations, round);
    records = {admission.charged};
  }
  plan.round.counter = 5;
  EXPECT_ERROR(Check(plan, {}, records), ErrorCode::kResourceExhausted);
}

TEST(PolicyTest, ARoundThatCameToNothingBeforeM5IsFree) {
  model::Plan plan = HonestPlan();
  std::vector<TaskRecord> records;
  for (std::uint32_t round = 1; round <= 20; ++round) {
    plan.round.counter = round;
    ASSERT_OK_AND_ASSIGN(const Admission admission, Check(plan, {}, records));
    EXPECT_EQ(admission.charged.account.participations, 1U);
    records = {admission.seen};
  }
}

// Epsilon is counted apart from participations: several attempts of one round cost several times.
TEST(PolicyTest, EpsilonRunsOut) {
  ASSERT_OK_AND_ASSIGN(const Admission admission, Check(HonestPlan()));
  TaskRecord record = admission.charged;
  ASSERT_OK(record.account.spent.Add(dp::RdpCurve(record.account.spent), 3));
  model::Plan plan = HonestPlan();
  plan.round.counter = 2;
  EXPECT_EQ(record.account.participations, 1U);
  EXPECT_TRUE(Refuses(Check(plan, {}, {record}), ErrorCode::kResourceExhausted, "this task"));
}

TEST(PolicyTest, AnExpiredPlanIsRefused) {
  model::Plan plan = HonestPlan();
  for (const std::int64_t expires : {kNow, kNow - 1, std::int64_t{0}, std::int64_t{-5}}) {
    plan.expires_unix_ms = expires;
    EXPECT_ERROR(Check(plan), ErrorCode::kDeadlineExceeded) << expires;
  }
}

TEST(PolicyTest, APromiseBelowWhatTheIntegersCostIsInvalid) {
  const auto check = [](void (*change)(model::Plan&)) {
    model::Plan plan = HonestPlan();
    change(plan);
    return Check(plan);
  };
  EXPECT_TRUE(Refuses(check([](model::Plan& p) { p.privacy.epsilon = 5; }),
                      ErrorCode::kInvalidArgument, "cost more than the epsilon"));
  EXPECT_TRUE(Refuses(
      check([](model::Plan& p) { p.encoding.noise_variance = p.encoding.noise_variance * 9 / 10; }),
      ErrorCode::kInvalidArgument, "cost more than the epsilon"));
  EXPECT_TRUE(
      Refuses(check([](model::Plan& p) { p.encoding.l2_sq_max = p.encoding.l2_sq_max * 11 / 10; }),
              ErrorCode::kInvalidArgument, "cost more than the epsilon"));
}

TEST(PolicyTest, APlanThatDoesNotHoldTogetherIsInvalid) {
  const auto check = [](void (*change)(model::Plan&)) {
    model::Plan plan = HonestPlan();
    change(plan);
    return Check(plan);
  };
  EXPECT_ERROR(check([](model::Plan& p) { p.version = 99; }), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(check([](model::Plan& p) { p.encoding.noise_variance = 0; }),
               ErrorCode::kInvalidArgument)
      << "noise that is promised and absent";
  EXPECT_ERROR(check([](model::Plan& p) { --p.encoding.bits; }), ErrorCode::kInvalidArgument)
      << "a sum that could wrap";
  EXPECT_ERROR(check([](model::Plan& p) { p.training.value_max = std::nan(""); }),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(check([](model::Plan& p) { p.training.slice.tables.clear(); }),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(check([](model::Plan& p) { p.privacy.participations_max = 0; }),
               ErrorCode::kInvalidArgument);
}

// --- Terms and floors themselves ----------------------------------------------------------------

TEST(PolicyTest, TermsAreRecomputedFromTheIntegers) {
  ASSERT_OK_AND_ASSIGN(const PlanTerms terms, TermsOf(HonestPlan()));
  EXPECT_TRUE(terms.noise);
  EXPECT_EQ(terms.delta, 1e-7);
  EXPECT_EQ(terms.participations_max, 4U);
  EXPECT_EQ(terms.roster_min, 800U);
  EXPECT_EQ(terms.survivors_min, 560U);
  EXPECT_EQ(terms.corrupt_permille, 100U);
  EXPECT_EQ(terms.sigma, 80U);
  EXPECT_EQ(terms.profile, model::SecAggProfile::kMalicious);
  // One of four rounds that cost 6 together: more than a quarter, less than all of it.
  EXPECT_GT(terms.epsilon_round, 1.5);
  EXPECT_LT(terms.epsilon_round, 6);

  model::Plan plan = HonestPlan();
  plan.privacy.epsilon = 1;  // a promise changes nothing
  ASSERT_OK_AND_ASSIGN(const PlanTerms promised, TermsOf(plan));
  EXPECT_EQ(promised.epsilon_round, terms.epsilon_round);
  plan.encoding.noise_variance /= 2;
  ASSERT_OK_AND_ASSIGN(const PlanTerms half, TermsOf(plan));
  EXPECT_GT(half.epsilon_round, terms.epsilon_round);

  ASSERT_OK_AND_ASSIGN(const PlanTerms quiet, TermsOf(PlanWithoutNoise()));
  EXPECT_FALSE(quiet.noise);
  EXPECT_EQ(quiet.epsilon_round, 0);
  EXPECT_EQ(quiet.delta, 0);
}

TEST(PolicyTest, TermsOfIntegersOutOfRangeAreInvalid) {
  model::Plan plan = HonestPlan();
  plan.encoding.noise_variance = 0;
  EXPECT_ERROR(TermsOf(plan), ErrorCode::kInvalidArgument);
  plan = HonestPlan();
  plan.secagg.corrupt_permille = 500;
  plan.secagg.dropout_permille = 500;  // no honest survivor
  EXPECT_ERROR(TermsOf(plan), ErrorCode::kInvalidArgument);
  plan = HonestPlan();
  plan.encoding.l2_sq_max = ~std::uint64_t{0};
  EXPECT_ERROR(TermsOf(plan), ErrorCode::kInvalidArgument);
}

// Corrupt members add no noise, so it is sized for a tenth of them; without noise only the masks
// rest on gamma.
TEST(PolicyTest, NoiseAsksForALargerGamma) {
  Floor floor;
  floor.privacy.allow_no_noise = true;
  model::Plan noisy = HonestPlan();
  noisy.secagg.corrupt_permille = 99;
  EXPECT_TRUE(Refuses(Check(noisy, floor), ErrorCode::kPermissionDenied, "corrupt_permille 99"));
  model::Plan quiet = PlanWithoutNoise();
  quiet.secagg.corrupt_permille = 50;
  EXPECT_OK(Check(quiet, floor));
  quiet.secagg.corrupt_permille = 49;
  EXPECT_TRUE(Refuses(Check(quiet, floor), ErrorCode::kPermissionDenied, "corrupt_permille"));
}

TEST(PolicyTest, FloorsThatMeanNothingAreNamed) {
  const auto refused = [](void (*change)(Floor&), const std::string& named) {
    Floor floor;
    change(floor);
    const Status status = floor.Validate();
    return testing::HasError(status, ErrorCode::kInvalidArgument) &&
           status.error().message().find(named) != std::string::npos;
  };
  EXPECT_OK(Floor{}.Validate());
  EXPECT_TRUE(refused([](Floor& f) { f.privacy.epsilon_round_max = 0; }, "epsilon"));
  EXPECT_TRUE(refused([](Floor& f) { f.privacy.delta_max = 1; }, "delta_max"));
  EXPECT_TRUE(refused([](Floor& f) { f.eta_min = 129; }, "eta_min"));
  EXPECT_TRUE(refused([](Floor& f) { f.privacy.roster_min = 0; }, "roster_min"));
  EXPECT_TRUE(refused([](Floor& f) { f.corrupt_permille_max = 1001; }, "corrupt_permille_max"));
  EXPECT_TRUE(refused([](Floor& f) { f.corrupt_permille_max = 99; }, "corrupt_permille_max"));
  EXPECT_TRUE(refused([](Floor& f) { f.value_max = std::nan(""); }, "value_max"));
  EXPECT_TRUE(refused([](Floor& f) { f.value_max = HUGE_VAL; }, "value_max"));
  EXPECT_TRUE(refused([](Floor& f) { f.value_max = 0; }, "value_max"));
  EXPECT_TRUE(refused([](Floor& f) { f.dim_max = 0; }, "dim_max"));
  EXPECT_TRUE(refused([](Floor& f) { f.roster_max = 19; }, "roster_max"));
  EXPECT_TRUE(refused([](Floor& f) { f.timeout_min_ms = 3'600'001; }, "timeout_min_ms"));
  EXPECT_TRUE(refused([](Floor& f) { f.algorithms.clear(); }, "algorithms"));
}

}  // namespace
}  // namespace demur::client
