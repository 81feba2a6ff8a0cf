#include "demur/dp/calibrate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "demur/dp/decoder.h"
#include "dp_fixtures.h"
#include "result_matchers.h"

namespace demur::dp {
namespace {

using demur::testing::TwoTables;
using demur::testing::UsualRequest;
using demur::testing::Whole;

TEST(CalibrateTest, TheUsualRequestIsGrantedAndKeepsItsEpsilon) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  const CalibrationRequest request = UsualRequest();
  ASSERT_OK_AND_ASSIGN(const Calibration found, Calibrate(request, layout));
  EXPECT_LE(found.epsilon.upper, 6.0);
  EXPECT_GT(found.epsilon.upper, 5.99);
  EXPECT_GT(found.epsilon.lower, 5.0);
  EXPECT_EQ(found.epsilon.participations, 4U);
  EXPECT_EQ(found.honest, 480U);
  EXPECT_LT(found.l2_inflation, 0.001);
  // 1.81 would do for the exact Gaussian; the RDP conversion asks for a little more.
  EXPECT_GT(found.noise_multiplier, 1.81);
  EXPECT_LT(found.noise_multiplier, 2.1);
  EXPECT_NEAR(found.sum_noise_stddev, found.noise_multiplier * 0.5, 1e-9);
  EXPECT_OK(CheckEncoding(found.encoding, 1000));
  EXPECT_LE(found.encoding.noise_variance, 1'000'000U);
  EXPECT_EQ(found.encoding.rows_max, 60U);
  EXPECT_EQ(found.encoding.clip_norm, 0.5);
}

TEST(CalibrateTest, OneUnitLessNoiseOrOneBitLessWouldNotDo) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  const CalibrationRequest request = UsualRequest();
  const model::EncodingPlan encoding = Calibrate(request, layout)->encoding;
  const SkellamCharge charge{encoding.l2_sq_max, encoding.l1_max,
                             (encoding.noise_variance - 1) * 480};
  TaskBudget budget;
  budget.epsilon = 6;
  budget.delta = 1e-7;
  budget.population = 20'000;
  budget.participations_max = 4;
  budget.rounds_max = 40;
  budget.roster_max = 1000;
  budget.dim = layout.dim();
  EXPECT_GT(EpsilonOf(charge, 4, budget)->upper, 6.0);
  model::EncodingPlan fewer = encoding;
  --fewer.bits;
  EXPECT_ERROR(CheckEncoding(fewer, 1000), ErrorCode::kInvalidArgument);
}

TEST(CalibrateTest, MorePrivacyAndMoreParticipationCostMoreNoise) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  double before = 0;
  for (const double epsilon : {8.0, 4.0, 2.0, 1.0, 0.5}) {
    CalibrationRequest request = UsualRequest();
    request.epsilon = epsilon;
    ASSERT_OK_AND_ASSIGN(const Calibration found, Calibrate(request, layout));
    EXPECT_LE(found.epsilon.upper, epsilon);
    EXPECT_GT(found.noise_multiplier, before);
    before = found.noise_multiplier;
  }
  before = 0;
  for (const std::uint32_t k : {1U, 4U, 16U, 40U}) {
    CalibrationRequest request = UsualRequest();
    request.participations_max = k;
    ASSERT_OK_AND_ASSIGN(const Calibration found, Calibrate(request, layout));
    EXPECT_GT(found.noise_multiplier, before);
    before = found.noise_multiplier;
  }
}

TEST(CalibrateTest, EverybodyTakingPartEveryTimeEncodesWithinTheBounds) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  ASSERT_OK_AND_ASSIGN(const Calibration found, Calibrate(UsualRequest(), layout));
  Encoder encoder = Encoder::Create(layout, found.encoding).value();
  EncodedUpdate out;
  std::uint32_t tries = 0;
  for (std::uint64_t client = 0; client < 50; ++client) {
    const auto update = demur::testing::SomeUpdate(50, 8, 3.0, client);
    ASSERT_OK_AND_ASSIGN(const auto outcome,
                         demur::testing::EncodeSeeded(encoder, update, 1, client, &out));
    EXPECT_TRUE(outcome.sent);
    tries += outcome.tries;
  }
  EXPECT_LT(tries, 100U);
}

TEST(CalibrateTest, WithoutNoiseTheScaleIsLargeAndNothingWraps) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  CalibrationRequest request = UsualRequest();
  request.noise = false;
  for (const double clip : {1e-3, 0.5, 3.0, 1e5}) {
    request.clip_norm = clip;
    ASSERT_OK_AND_ASSIGN(const Calibration found, Calibrate(request, layout));
    EXPECT_EQ(found.encoding.noise_variance, 0U);
    EXPECT_EQ(found.epsilon.upper, 0);
    EXPECT_OK(CheckEncoding(found.encoding, request.roster_max));
    EXPECT_LE(found.encoding.scale * clip, 0x1p20);
    EXPECT_GT(found.encoding.scale * clip, 0x1p19);
  }
  // A clip of a million units and a scale of one: more than 2^20, still no wrap.
  request.clip_norm = 1.5e6;
  ASSERT_OK_AND_ASSIGN(const Calibration coarse, Calibrate(request, layout));
  EXPECT_EQ(coarse.encoding.scale, 1U);
  request.clip_norm = 1e9;
  EXPECT_ERROR(Calibrate(request, layout), ErrorCode::kFailedPrecondition);
}

TEST(CalibrateTest, FewerBitsMeanASmallerScaleUntilRoundingCostsTooMuch) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  CalibrationRequest request = UsualRequest();
  const Calibration wide = Calibrate(request, layout).value();
  request.bits_max = wide.encoding.bits - 3;
  ASSERT_OK_AND_ASSIGN(const Calibration narrow, Calibrate(request, layout));
  EXPECT_LE(narrow.encoding.bits, request.bits_max);
  EXPECT_LT(narrow.encoding.scale, wide.encoding.scale);
  EXPECT_LE(narrow.epsilon.upper, 6.0);
  request.bits_max = 12;
  EXPECT_ERROR(Calibrate(request, layout), ErrorCode::kFailedPrecondition);
}

TEST(CalibrateTest, RequestsThatCannotBeMeantAreRefused) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  const auto refused = [&](auto change) {
    CalibrationRequest request = UsualRequest();
    change(request);
    return demur::testing::HasError(Calibrate(request, layout), ErrorCode::kInvalidArgument);
  };
  EXPECT_TRUE(refused([](auto& r) { r.clip_norm = 0; }));
  EXPECT_TRUE(refused([](auto& r) { r.clip_norm = std::nan(""); }));
  EXPECT_TRUE(refused([](auto& r) { r.rows_max = 0; }));
  EXPECT_TRUE(refused([](auto& r) { r.roster_min = 0; }));
  EXPECT_TRUE(refused([](auto& r) { r.roster_max = r.roster_min - 1; }));
  EXPECT_TRUE(refused([](auto& r) { r.bits_max = 33; }));
  EXPECT_TRUE(refused([](auto& r) { r.dropout_permille = 900; }));
  EXPECT_TRUE(refused([](auto& r) { r.epsilon = 11; }));
  EXPECT_TRUE(refused([](auto& r) { r.epsilon = std::nan(""); }));
  EXPECT_TRUE(refused([](auto& r) { r.delta = 1e-4; }));  // 0.1 / N is 5e-6
  EXPECT_TRUE(refused([](auto& r) { r.participations_max = r.rounds_max + 1; }));
  EXPECT_TRUE(refused([](auto& r) { r.roster_min = r.roster_max = 1, r.dropout_permille = 500; }));
}

TEST(CalibrateTest, EpsilonAboveTenNeedsItsWordAndKeepsIt) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  CalibrationRequest request = UsualRequest();
  request.epsilon = 14;
  request.weak_privacy = true;
  ASSERT_OK_AND_ASSIGN(const Calibration found, Calibrate(request, layout));
  EXPECT_TRUE(found.epsilon.weak_privacy);
  EXPECT_GT(found.epsilon.upper, 13.9);
}

TEST(CalibrateTest, TooLittleRoomForTheNoiseIsSaid) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  CalibrationRequest request = UsualRequest();
  // Twelve honest devices cannot hide a clip of 100,000 units at scale 1.
  request.roster_min = request.roster_max = 20;
  request.clip_norm = 1e5;
  EXPECT_ERROR(Calibrate(request, layout), ErrorCode::kFailedPrecondition);
}

TEST(CalibrateTest, TouchedCoordinatesTakeTheWidestRows) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  EXPECT_EQ(TouchedCoordinates(layout, 60), 480U);
  EXPECT_EQ(TouchedCoordinates(layout, 100), 800U);
  EXPECT_EQ(TouchedCoordinates(layout, 101), 801U);
  EXPECT_EQ(TouchedCoordinates(layout, 1000), 900U);
}

TEST(CalibrateTest, RoundingBoundsFollowTheirFormula) {
  EXPECT_DOUBLE_EQ(RoundedL2Bound(10, 16, 0), 14);
  EXPECT_DOUBLE_EQ(RoundedL2Bound(10, 16, std::exp(-0.5)), std::sqrt(100.0 + 4 + 10 + 2));
  // Never above the bound that holds always.
  EXPECT_LE(RoundedL2Bound(1, 4, 1e-300), 3.0);
  EXPECT_DOUBLE_EQ(RoundedL1Bound(3, 100), 9);
  EXPECT_DOUBLE_EQ(RoundedL1Bound(30, 100), 300);
}

}  // namespace
}  // namespace demur::dp
