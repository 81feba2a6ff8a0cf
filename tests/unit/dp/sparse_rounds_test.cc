#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "demur/dp/accountant.h"
#include "demur/dp/calibrate.h"
#include "demur/dp/decoder.h"
#include "demur/dp/device_budget.h"
#include "demur/dp/encoder.h"
#include "dp_fixtures.h"
#include "result_matchers.h"

// Rounds of two sessions: what both cost together, and what a device makes of it.
namespace demur::dp {
namespace {

using demur::testing::SparsePlans;
using demur::testing::SparsePlansFor;
using demur::testing::TwoTables;
using demur::testing::UsualRequest;
using demur::testing::Whole;

constexpr std::uint32_t kCountsDim = 100;
constexpr std::uint32_t kRowsDim = 900;

const SparsePlans& Usual() {
  static const SparsePlans plans = SparsePlansFor(UsualRequest());
  return plans;
}

RdpCurve CurveOfOwn(const model::Plan& plan) { return CurveOf(*ChargeOf(plan).value()).value(); }

RdpCurve Times(const RdpCurve& curve, std::uint64_t times) {
  RdpCurve out;
  EXPECT_OK(out.Add(curve, times));
  return out;
}

// Epsilon of `total` at the delta that the sampler leaves of the usual request's.
double EpsilonOfCurve(const RdpCurve& total) {
  const TaskBudget budget = BudgetOf(Usual().counts, kCountsDim, UsualRequest().population);
  const double delta = budget.delta - SamplerDelta(budget, budget.epsilon);
  return static_cast<double>(DpConversion::Create(delta)->EpsilonUnits(total)) * kEpsilonUnit;
}

// --- Both sessions, from the plan of either

TEST(SparseRoundTest, EitherPlanTellsWhatTheWholeRoundCosts) {
  const auto& [counts, rows] = Usual();
  RdpCurve both = CurveOfOwn(counts);
  ASSERT_OK(both.Add(CurveOfOwn(rows)));
  ASSERT_OK_AND_ASSIGN(const RdpCurve by_counts, RoundCurveOf(counts));
  ASSERT_OK_AND_ASSIGN(const RdpCurve by_rows, RoundCurveOf(rows));
  EXPECT_EQ(by_counts, both);
  EXPECT_EQ(by_rows, both);
  EXPECT_EQ(OtherChargeOf(counts).value(), ChargeOf(rows).value());
  EXPECT_EQ(OtherChargeOf(rows).value(), ChargeOf(counts).value());
}

TEST(SparseRoundTest, AWholeRoundHasNoOtherCharge) {
  const model::Plan whole = demur::testing::PlanFor(UsualRequest());
  EXPECT_FALSE(OtherChargeOf(whole).value().has_value());
  EXPECT_EQ(RoundCurveOf(whole).value(), CurveOfOwn(whole));
  auto request = UsualRequest();
  request.noise = false;
  const SparsePlans quiet = SparsePlansFor(request);
  EXPECT_FALSE(OtherChargeOf(quiet.counts).value().has_value());
  EXPECT_EQ(RoundCurveOf(quiet.counts).value(), RdpCurve{});
}

TEST(SparseRoundTest, AnotherSessionThatHasNoBoundHasNoCurve) {
  for (const std::uint64_t variance : {std::uint64_t{0}, kMaxNoiseVariance + 1}) {
    model::Plan plan = Usual().counts;
    plan.session.other.noise_variance = variance;
    EXPECT_ERROR(OtherChargeOf(plan), ErrorCode::kInvalidArgument) << variance;
    EXPECT_ERROR(RoundCurveOf(plan), ErrorCode::kInvalidArgument) << variance;
  }
}

TEST(SparseRoundTest, TheSamplerIsPaidForTheCoordinatesOfBothSessions) {
  const auto& [counts, rows] = Usual();
  EXPECT_EQ(BudgetOf(counts, kCountsDim, 20'000).dim, kCountsDim + kRowsDim);
  EXPECT_EQ(BudgetOf(counts, kCountsDim, 20'000), BudgetOf(rows, kRowsDim, 20'000));
  model::Plan fewer = counts;
  fewer.session.other_dim = 1;
  EXPECT_LT(SamplerDelta(BudgetOf(fewer, kCountsDim, 20'000), 6),
            SamplerDelta(BudgetOf(counts, kCountsDim, 20'000), 6));
}

TEST(SparseRoundTest, NeitherSumMayWrap) {
  for (const model::Plan& good : {Usual().counts, Usual().rows}) {
    EXPECT_OK(CheckEncoding(good));
    model::Plan plan = good;
    --plan.encoding.bits;
    EXPECT_ERROR(CheckEncoding(plan), ErrorCode::kInvalidArgument);
    plan = good;
    --plan.session.other.bits;
    EXPECT_ERROR(CheckEncoding(plan), ErrorCode::kInvalidArgument);
  }
}

// --- Calibration

TEST(SparseRoundTest, TheCountsKeepTheirShare) {
  for (const double share : {0.02, 0.1, 0.3, 0.9}) {
    CalibrationRequest request = UsualRequest();
    request.other_dim = kRowsDim;
    ASSERT_OK_AND_ASSIGN(const Calibration found, CalibrateCounts(request, share, kCountsDim));
    const model::EncodingPlan& encoding = found.encoding;
    const auto times = static_cast<std::uint64_t>(std::ceil(request.participations_max / share));
    const auto epsilon = [&](std::uint64_t variance) {
      const SkellamCharge charge{encoding.l2_sq_max, encoding.l1_max, variance * found.honest};
      return EpsilonOfCurve(Times(CurveOf(charge).value(), times));
    };
    EXPECT_LE(epsilon(encoding.noise_variance), 6) << share;
    if (encoding.noise_variance > 1) {
      EXPECT_GT(epsilon(encoding.noise_variance - 1), 6) << share;
    } else {
      EXPECT_GT(share, 0.2) << "little noise is for a large share only";
    }
    // Alone, the four participations that there are cost less than all of it.
    EXPECT_EQ(found.epsilon.participations, 4U);
    EXPECT_LT(found.epsilon.upper, 6) << share;
  }
}

TEST(SparseRoundTest, CountsAreIntegersAlready) {
  ASSERT_OK_AND_ASSIGN(const Calibration found, CalibrateCounts(UsualRequest(), 0.1, kCountsDim));
  EXPECT_EQ(found.encoding.scale, 1U);
  EXPECT_EQ(found.encoding.l2_sq_max, 60U);
  EXPECT_EQ(found.encoding.l1_max, 60U);
  EXPECT_EQ(found.encoding.rows_max, 60U);
  EXPECT_EQ(found.encoding.clip_norm, std::sqrt(60.0));
  EXPECT_EQ(found.l2_inflation, 0);
  EXPECT_EQ(found.honest, 480U);
  EXPECT_EQ(found.sum_noise_stddev,
            std::sqrt(static_cast<double>(found.encoding.noise_variance) * 480));
  EXPECT_OK(CheckEncoding(found.encoding, 1000));
  model::EncodingPlan fewer = found.encoding;
  --fewer.bits;
  EXPECT_ERROR(CheckEncoding(fewer, 1000), ErrorCode::kInvalidArgument);
  // What is clipped is not the training's business.
  CalibrationRequest request = UsualRequest();
  request.clip_norm = 77;
  ASSERT_OK_AND_ASSIGN(const Calibration same, CalibrateCounts(request, 0.1, kCountsDim));
  EXPECT_EQ(same.encoding, found.encoding);
}

TEST(SparseRoundTest, WithoutNoiseCountsHaveNone) {
  CalibrationRequest request = UsualRequest();
  request.noise = false;
  ASSERT_OK_AND_ASSIGN(const Calibration found, CalibrateCounts(request, 0.1, kCountsDim));
  EXPECT_EQ(found.encoding.noise_variance, 0U);
  EXPECT_EQ(found.encoding.scale, 1U);
  EXPECT_EQ(found.sum_noise_stddev, 0);
  EXPECT_EQ(found.epsilon.upper, 0);
  EXPECT_OK(CheckEncoding(found.encoding, 1000));
}

TEST(SparseRoundTest, CountsThatCannotBeCalibratedAreRefused) {
  for (const double share : {0.0, 1.0, -0.1, 1.5, std::nan("")}) {
    EXPECT_ERROR(CalibrateCounts(UsualRequest(), share, kCountsDim), ErrorCode::kInvalidArgument)
        << share;
  }
  const auto error = [](auto change) {
    CalibrationRequest request = UsualRequest();
    change(request);
    const auto found = CalibrateCounts(request, 0.1, kCountsDim);
    return found ? ErrorCode::kInternal : found.error().code();
  };
  EXPECT_EQ(error([](auto& r) { r.rows_max = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error([](auto& r) { r.epsilon = 11; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error([](auto& r) { r.dropout_permille = 900; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error([](auto& r) { r.roster_min = r.roster_max = 1, r.dropout_permille = 500; }),
            ErrorCode::kInvalidArgument);
  // Twelve devices cannot hide a million rows each.
  EXPECT_EQ(error([](auto& r) { r.roster_min = r.roster_max = 20, r.rows_max = 1U << 26; }),
            ErrorCode::kFailedPrecondition);
}

TEST(SparseRoundTest, CountsPayForNoMoreBitsThanTheOperatorDoes) {
  CalibrationRequest request = UsualRequest();
  const std::uint32_t bits = CalibrateCounts(request, 0.1, kCountsDim)->encoding.bits;
  request.bits_max = bits;
  EXPECT_OK(CalibrateCounts(request, 0.1, kCountsDim));
  request.bits_max = bits - 1;
  EXPECT_ERROR(CalibrateCounts(request, 0.1, kCountsDim), ErrorCode::kFailedPrecondition);
}

TEST(SparseRoundTest, TheTrainingGetsWhatTheCountsLeave) {
  for (const double share : {0.02, 0.1, 0.5, 0.9}) {
    const SparsePlans plans = SparsePlansFor(UsualRequest(), share);
    ASSERT_OK(plans.counts.Validate());
    ASSERT_OK(plans.rows.Validate());
    const double epsilon = EpsilonOfCurve(Times(RoundCurveOf(plans.rows).value(), 4));
    EXPECT_LE(epsilon, 6) << share;
    EXPECT_GT(epsilon, 5.98) << share;
  }
  // What it reports is the price of both.
  CalibrationRequest request = UsualRequest();
  request.other_dim = kCountsDim;
  request.other = CurveOfOwn(Usual().counts);
  ASSERT_OK_AND_ASSIGN(const Calibration found, Calibrate(request, Whole(TwoTables(100, 8))));
  EXPECT_EQ(found.encoding, Usual().rows.encoding);
  EXPECT_NEAR(found.epsilon.upper, EpsilonOfCurve(Times(RoundCurveOf(Usual().rows).value(), 4)),
              1e-6);
  // The counts alone may not be all there is.
  request.other = Times(request.other, 1000);
  EXPECT_ERROR(Calibrate(request, Whole(TwoTables(100, 8))), ErrorCode::kFailedPrecondition);
}

// --- The device

DeviceFloor WideFloor() {
  DeviceFloor floor;
  floor.epsilon_round_max = floor.epsilon_task_max = floor.epsilon_total_max = 100;
  return floor;
}

// Admits `plan` into `accounts`, as the device's store would keep it.
Status Admit(const model::Plan& plan, std::uint32_t dim, std::vector<DeviceTaskAccount>* accounts,
             const DeviceFloor& floor = WideFloor()) {
  DEMUR_TRY(const DeviceTaskAccount account, AdmitPlan(plan, dim, floor, *accounts));
  *accounts = {account};
  return {};
}

TEST(SparseRoundTest, TwoSessionsAreOneParticipationAndTwoCharges) {
  auto [counts, rows] = Usual();
  std::vector<DeviceTaskAccount> accounts;
  for (std::uint32_t round = 1; round <= 4; ++round) {
    counts.round.counter = rows.round.counter = round;
    ASSERT_OK(Admit(counts, kCountsDim, &accounts));
    EXPECT_EQ(accounts[0].participations, round);
    ASSERT_OK(Admit(rows, kRowsDim, &accounts));
    EXPECT_EQ(accounts[0].participations, round);
    EXPECT_EQ(accounts[0].last_round, rows.round);
    EXPECT_EQ(accounts[0].last_attempt, 1U);
    EXPECT_EQ(accounts[0].spent, Times(RoundCurveOf(rows).value(), round));
    // Neither of them again.
    EXPECT_ERROR(Admit(rows, kRowsDim, &accounts), ErrorCode::kFailedPrecondition);
    EXPECT_ERROR(Admit(counts, kCountsDim, &accounts), ErrorCode::kFailedPrecondition);
  }
  EXPECT_LE(EpsilonOfCurve(accounts[0].spent), 6);
  counts.round.counter = rows.round.counter = 5;
  EXPECT_ERROR(Admit(counts, kCountsDim, &accounts), ErrorCode::kResourceExhausted);
  EXPECT_ERROR(Admit(rows, kRowsDim, &accounts), ErrorCode::kResourceExhausted);
}

TEST(SparseRoundTest, ASecondSessionWithoutTheFirstIsAParticipation) {
  auto rows = Usual().rows;
  std::vector<DeviceTaskAccount> accounts;
  for (std::uint32_t round = 1; round <= 4; ++round) {
    rows.round.counter = round;
    ASSERT_OK(Admit(rows, kRowsDim, &accounts));
    EXPECT_EQ(accounts[0].participations, round);
    EXPECT_EQ(accounts[0].spent, Times(CurveOfOwn(rows), round));
  }
  rows.round.counter = 5;
  EXPECT_ERROR(Admit(rows, kRowsDim, &accounts), ErrorCode::kResourceExhausted);
}

TEST(SparseRoundTest, ThePromiseIsForBothSessions) {
  const auto& [counts, rows] = Usual();
  for (const auto& [good, dim] : {std::pair(counts, kCountsDim), std::pair(rows, kRowsDim)}) {
    std::vector<DeviceTaskAccount> none;
    EXPECT_OK(Admit(good, dim, &none));
    none.clear();
    model::Plan dearer = good;
    dearer.session.other.noise_variance = dearer.session.other.noise_variance * 8 / 10;
    EXPECT_ERROR(Admit(dearer, dim, &none), ErrorCode::kInvalidArgument);
    dearer = good;
    dearer.encoding.noise_variance = dearer.encoding.noise_variance * 8 / 10;
    EXPECT_ERROR(Admit(dearer, dim, &none), ErrorCode::kInvalidArgument);
    // One round of the owner's floor is both sessions too.
    DeviceFloor floor = WideFloor();
    floor.epsilon_round_max = EpsilonOfCurve(RoundCurveOf(good).value()) * 0.99;
    EXPECT_ERROR(Admit(good, dim, &none, floor), ErrorCode::kPermissionDenied);
    floor.epsilon_round_max *= 1.02;
    EXPECT_OK(Admit(good, dim, &none, floor));
  }
}

// Both plans say that the other session is the cheap one, so that neither breaks its promise.
TEST(SparseRoundTest, SessionsThatContradictEachOtherStopAtThePromise) {
  auto [counts, rows] = Usual();
  counts.session.other = std::exchange(counts.encoding, rows.encoding);
  std::vector<DeviceTaskAccount> accounts;
  std::uint32_t admitted = 0;
  for (std::uint32_t round = 1; round <= 4; ++round) {
    counts.round.counter = rows.round.counter = round;
    for (const model::Plan& plan : {counts, rows}) {
      const Status status = Admit(plan, kRowsDim, &accounts);
      if (status) {
        ++admitted;
      } else {
        EXPECT_ERROR(status, ErrorCode::kResourceExhausted);
      }
    }
  }
  EXPECT_GE(admitted, 4U);
  EXPECT_LT(admitted, 8U);
  EXPECT_LE(EpsilonOfCurve(accounts[0].spent), 6);
}

TEST(SparseRoundTest, WithoutNoiseTwoSessionsAreOneParticipationToo) {
  auto request = UsualRequest();
  request.noise = false;
  auto [counts, rows] = SparsePlansFor(request);
  DeviceFloor floor = WideFloor();
  floor.allow_no_noise = true;
  std::vector<DeviceTaskAccount> accounts;
  ASSERT_OK(Admit(counts, kCountsDim, &accounts, floor));
  ASSERT_OK(Admit(rows, kRowsDim, &accounts, floor));
  EXPECT_EQ(accounts[0].participations, 1U);
  EXPECT_EQ(accounts[0].spent, RdpCurve{});
}

// --- What is sent

// Whatever the words of the generator: the clip is the root of the number of rows, and a norm that
// came out a hair too large would turn ones into zeros.
TEST(SparseRoundTest, AnUpdateOfOnesIsSentAsItIs) {
  const model::Layout layout = Whole({{{"row_count", 100, 1, 1.0}}});
  for (std::uint32_t rows_max = 1; rows_max <= 100; ++rows_max) {
    CalibrationRequest request = UsualRequest();
    request.noise = false;
    request.rows_max = rows_max;
    ASSERT_OK_AND_ASSIGN(const Calibration found, CalibrateCounts(request, 0.1, 100));
    Encoder encoder = Encoder::Create(layout, found.encoding).value();
    model::Update update;
    std::vector<std::int32_t> expected(100, 0);
    for (std::uint32_t row = 100 - rows_max; row < 100; ++row) {
      demur::testing::AddRow(&update, 0, row, {1.0F});
      expected[row] = 1;
    }
    for (const std::uint32_t word : {0U, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
      demur::testing::ConstantRandom random(word);
      EncodedUpdate out;
      ASSERT_OK_AND_ASSIGN(const auto outcome, encoder.Encode(update, random, nullptr, &out));
      EXPECT_TRUE(outcome.sent);
      EXPECT_FALSE(outcome.clipped);
      EXPECT_EQ(demur::testing::Signed(out), expected) << rows_max << " rows, word " << word;
    }
  }
}

TEST(SparseRoundTest, AnUpdateOfMoreOnesThanAllowedIsNotSent) {
  const model::Layout layout = Whole({{{"row_count", 100, 1, 1.0}}});
  CalibrationRequest request = UsualRequest();
  request.noise = false;
  ASSERT_OK_AND_ASSIGN(const Calibration found, CalibrateCounts(request, 0.1, 100));
  Encoder encoder = Encoder::Create(layout, found.encoding).value();
  model::Update update;
  for (std::uint32_t row = 0; row < 61; ++row) {
    demur::testing::AddRow(&update, 0, row, {1.0F});
  }
  EncodedUpdate out;
  ASSERT_OK_AND_ASSIGN(const auto outcome,
                       demur::testing::EncodeSeeded(encoder, update, 1, 1, &out));
  EXPECT_FALSE(outcome.sent);
  EXPECT_EQ(demur::testing::Signed(out), std::vector<std::int32_t>(100, 0));
}

}  // namespace
}  // namespace demur::dp
