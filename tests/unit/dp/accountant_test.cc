#include "demur/dp/accountant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dp_fixtures.h"
#include "result_matchers.h"

namespace demur::dp {
namespace {

constexpr SkellamCharge kCharge{.l2_sq = 1'000'000, .l1 = 30'000, .mu = 4'000'000};

TaskBudget Budget() {
  TaskBudget budget;
  budget.epsilon = 6;
  budget.delta = 1e-7;
  budget.population = 20'000;
  budget.participations_max = 4;
  budget.rounds_max = 40;
  budget.roster_max = 1000;
  budget.dim = 900;
  return budget;
}

RdpCurve Times(const SkellamCharge& charge, std::uint64_t count) {
  RdpCurve total;
  EXPECT_OK(total.Add(CurveOf(charge).value(), count));
  return total;
}

TEST(AccountantTest, OrdersAreIntegersFromTwoUpwards) {
  EXPECT_EQ(Orders().front(), 2U);
  EXPECT_EQ(Orders().back(), 512U);
  for (std::size_t i = 1; i < kNumOrders; ++i) EXPECT_GT(Orders()[i], Orders()[i - 1]);
}

TEST(AccountantTest, CurvesAreTheTheoremRoundedUpByAtMostTwoUnits) {
  for (const SkellamCharge& charge :
       {kCharge, SkellamCharge{7, 3, 11}, SkellamCharge{1ULL << 40, 1ULL << 38, 1ULL << 42}}) {
    const RdpCurve curve = CurveOf(charge).value();
    for (std::size_t i = 0; i < kNumOrders; ++i) {
      const double exact =
          SkellamRdp(Orders()[i], static_cast<double>(charge.l2_sq), static_cast<double>(charge.l1),
                     static_cast<double>(charge.mu), 1.0);
      const double units = std::ldexp(exact, kEpsilonFractionBits);
      EXPECT_GE(static_cast<double>(curve.units[i]), units * (1 - 1e-15));
      EXPECT_LE(static_cast<double>(curve.units[i]), units * (1 + 1e-15) + 2.001);
    }
  }
}

TEST(AccountantTest, ChargesOutOfRangeAreRefused) {
  EXPECT_ERROR(CurveOf({.l2_sq = 1, .l1 = 1, .mu = 0}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(CurveOf({.l2_sq = 1ULL << 63, .l1 = 1, .mu = 1}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(CurveOf({.l2_sq = 1, .l1 = 1ULL << 63, .mu = 1}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(CurveOf({.l2_sq = 1, .l1 = 1, .mu = 1ULL << 60}), ErrorCode::kInvalidArgument);
  // Practically no noise: 2^62 units are passed.
  EXPECT_ERROR(CurveOf({.l2_sq = 1ULL << 40, .l1 = 1, .mu = 1}), ErrorCode::kInvalidArgument);
}

TEST(AccountantTest, AddingIsCheckedAndChangesNothingWhenItFails) {
  RdpCurve total = Times(kCharge, 3);
  const RdpCurve before = total;
  EXPECT_ERROR(total.Add(CurveOf(kCharge).value(), ~std::uint64_t{0}),
               ErrorCode::kResourceExhausted);
  EXPECT_EQ(total, before);
}

// One entry with a count and that many entries must be the same thing.
TEST(AccountantTest, CountingIsAdding) {
  RdpCurve one_by_one;
  const RdpCurve curve = CurveOf(kCharge).value();
  for (int i = 0; i < 10; ++i) EXPECT_OK(one_by_one.Add(curve));
  EXPECT_EQ(one_by_one, Times(kCharge, 10));
}

TEST(AccountantTest, ConversionFollowsItsFormula) {
  const double delta = 1e-6;
  const DpConversion conversion = DpConversion::Create(delta).value();
  const RdpCurve total = Times(kCharge, 4);
  double best = std::numeric_limits<double>::infinity();
  std::uint32_t order = 0;
  for (std::size_t i = 0; i < kNumOrders; ++i) {
    const double a = Orders()[i];
    const double epsilon = static_cast<double>(total.units[i]) * kEpsilonUnit + std::log1p(-1 / a) -
                           std::log(delta * a) / (a - 1);
    if (epsilon < best) {
      best = epsilon;
      order = Orders()[i];
    }
  }
  const double found = static_cast<double>(conversion.EpsilonUnits(total)) * kEpsilonUnit;
  EXPECT_GE(found, best);
  EXPECT_LE(found, best + 3 * kEpsilonUnit);
  EXPECT_EQ(conversion.BestOrder(total), order);
}

TEST(AccountantTest, EpsilonIsNeverNegativeAndDeltaNeverAboveOne) {
  const DpConversion conversion = DpConversion::Create(0.5).value();
  EXPECT_EQ(conversion.EpsilonUnits(RdpCurve{}), 0U);
  EXPECT_LE(DeltaAt(Times({.l2_sq = 1 << 10, .l1 = 1 << 10, .mu = 1}, 1), 0.0), 1.0);
}

TEST(AccountantTest, RoundTripsBetweenEpsilonAndDeltaNeverLose) {
  const RdpCurve total = Times(kCharge, 4);
  for (const double delta : {1e-3, 1e-6, 1e-9}) {
    const DpConversion conversion = DpConversion::Create(delta).value();
    const double epsilon = static_cast<double>(conversion.EpsilonUnits(total)) * kEpsilonUnit;
    EXPECT_LE(DeltaAt(total, epsilon), delta * (1 + 1e-9));
    EXPECT_GT(DeltaAt(total, epsilon - 1e-3), delta);
  }
}

TEST(AccountantTest, ImpossibleDeltasAreRefused) {
  for (const double delta : {0.0, 1.0, -1e-6, std::nan(""), HUGE_VAL}) {
    EXPECT_ERROR(DpConversion::Create(delta), ErrorCode::kInvalidArgument) << delta;
  }
}

TEST(AccountantTest, MoreNoiseLessEpsilonMoreRoundsMoreEpsilon) {
  const TaskBudget budget = Budget();
  double before = HUGE_VAL;
  for (std::uint64_t mu = 3'000'000; mu < 300'000'000; mu *= 2) {
    const auto report = EpsilonOf({1'000'000, 30'000, mu}, 4, budget);
    ASSERT_OK(report);
    EXPECT_LT(report->upper, before);
    EXPECT_LE(report->lower, report->upper);
    before = report->upper;
  }
  double more = 0;
  for (std::uint32_t k = 1; k <= 4; ++k) {
    const auto report = EpsilonOf(kCharge, k, budget);
    ASSERT_OK(report);
    EXPECT_GT(report->upper, more);
    more = report->upper;
  }
}

TEST(AccountantTest, ScalingSensitivityAndNoiseTogetherChangesLittle) {
  // In the Gaussian limit only the ratio counts.
  const auto small = EpsilonOf({1'000'000, 1'000'000, 4'000'000}, 4, Budget()).value();
  const auto large = EpsilonOf({100'000'000, 10'000'000, 400'000'000}, 4, Budget()).value();
  EXPECT_NEAR(small.upper, large.upper, 1e-2);
  EXPECT_LE(large.upper, small.upper);
}

TEST(AccountantTest, TheBracketHoldsTheGaussianValue) {
  // z = 1.81 with 4 participations at delta 1e-7 is epsilon 6 for the exact Gaussian.
  const double z = 1.81;
  const std::uint64_t l2 = 100'000;
  const auto mu = static_cast<std::uint64_t>(z * z * l2 * l2);
  TaskBudget budget = Budget();
  budget.epsilon = 8;
  const EpsilonReport report = EpsilonOf({l2 * l2, l2 * 100, mu}, 4, budget).value();
  EXPECT_NEAR(report.lower, 6.0, 0.02);
  EXPECT_GT(report.upper, 6.0);
  EXPECT_LT(report.upper, 6.7);
  EXPECT_GT(report.order, 2U);
  EXPECT_LT(report.sampler_delta, 1e-15);
  EXPECT_GT(report.sampler_delta, 0);
}

TEST(AccountantTest, HonestSurvivorsAreRoundedDown) {
  model::SecAggPlan plan;
  plan.roster_min = 101;
  plan.dropout_permille = 300;
  plan.corrupt_permille = 100;
  EXPECT_EQ(HonestSurvivors(plan), 60U);
  plan.dropout_permille = 500;
  plan.corrupt_permille = 500;
  EXPECT_EQ(HonestSurvivors(plan), 0U);
}

TEST(AccountantTest, TheChargeOfAPlanUsesItsIntegersAlone) {
  model::Plan plan;
  plan.privacy.noise = true;
  plan.encoding.noise_variance = 100;
  plan.encoding.l2_sq_max = 5000;
  plan.encoding.l1_max = 9000;
  plan.secagg.roster_min = 100;
  plan.secagg.dropout_permille = 200;
  plan.secagg.corrupt_permille = 50;
  const auto charge = ChargeOf(plan).value();
  ASSERT_TRUE(charge.has_value());
  EXPECT_EQ(charge->mu, 7500U);
  EXPECT_EQ(charge->l2_sq, 5000U);
  EXPECT_EQ(charge->l1, 5000U);  // integers: |v| <= v^2
  plan.encoding.l1_max = 800;
  EXPECT_EQ(ChargeOf(plan).value()->l1, 800U);

  plan.encoding.noise_variance = 0;
  EXPECT_ERROR(ChargeOf(plan), ErrorCode::kInvalidArgument);
  plan.encoding.noise_variance = 100;
  plan.secagg.roster_min = 1;
  EXPECT_ERROR(ChargeOf(plan), ErrorCode::kInvalidArgument);
  plan.privacy.noise = false;
  EXPECT_FALSE(ChargeOf(plan).value().has_value());
}

TEST(AccountantTest, BudgetsThatCannotBeMeantAreRefused) {
  EXPECT_OK(Budget().Validate());
  const auto refused = [](auto change) {
    TaskBudget budget = Budget();
    change(budget);
    return demur::testing::HasError(budget.Validate(), ErrorCode::kInvalidArgument);
  };
  EXPECT_TRUE(refused([](TaskBudget& b) { b.epsilon = std::nan(""); }));
  EXPECT_TRUE(refused([](TaskBudget& b) { b.epsilon = 0; }));
  EXPECT_TRUE(refused([](TaskBudget& b) { b.epsilon = -1; }));
  EXPECT_TRUE(refused([](TaskBudget& b) { b.epsilon = HUGE_VAL; }));
  EXPECT_TRUE(refused([](TaskBudget& b) { b.epsilon = 10.01; }));
  EXPECT_TRUE(refused([](TaskBudget& b) { b.epsilon = 1e6, b.weak_privacy = true; }));
  EXPECT_TRUE(refused([](TaskBudget& b) { b.delta = std::nan(""); }));
  EXPECT_TRUE(refused([](TaskBudget& b) { b.delta = 0; }));
  EXPECT_TRUE(refused([](TaskBudget& b) { b.delta = 0.1 / 20'000; }));  // 0.1 / N itself
  EXPECT_TRUE(refused([](TaskBudget& b) { b.population = 0; }));
  EXPECT_TRUE(refused([](TaskBudget& b) { b.population = 999; }));  // below the roster
  EXPECT_TRUE(refused([](TaskBudget& b) { b.participations_max = 41; }));
  EXPECT_TRUE(refused([](TaskBudget& b) { b.participations_max = 0; }));
  EXPECT_TRUE(refused([](TaskBudget& b) { b.rounds_max = 0; }));
  EXPECT_TRUE(refused([](TaskBudget& b) { b.dim = 0; }));
  TaskBudget weak = Budget();
  weak.epsilon = 12;
  weak.weak_privacy = true;
  EXPECT_OK(weak.Validate());
}

TEST(AccountantTest, NumbersThatWouldMeanNothingAreNotGiven) {
  EXPECT_ERROR(EpsilonOf(kCharge, 5, Budget()), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(EpsilonOf(kCharge, 0, Budget()), ErrorCode::kInvalidArgument);
  // Above 10, and nobody said weak_privacy.
  EXPECT_ERROR(EpsilonOf({1'000'000, 30'000, 1'000'000}, 4, Budget()),
               ErrorCode::kResourceExhausted);
  TaskBudget weak = Budget();
  weak.weak_privacy = true;
  const auto report = EpsilonOf({1'000'000, 30'000, 1'000'000}, 4, weak);
  ASSERT_OK(report);
  EXPECT_TRUE(report->weak_privacy);
  EXPECT_GT(report->upper, 10);
  // The sampler's error alone passes delta.
  TaskBudget tiny = Budget();
  tiny.delta = 1e-30;
  EXPECT_ERROR(EpsilonOf(kCharge, 1, tiny), ErrorCode::kResourceExhausted);
}

TEST(AccountantTest, TheSamplersErrorGrowsWithWhatItIsMultipliedWith) {
  const TaskBudget budget = Budget();
  const double base = SamplerDelta(budget, 6);
  TaskBudget more = budget;
  more.rounds_max *= 1000;
  EXPECT_GT(SamplerDelta(more, 6), base);
  EXPECT_GT(SamplerDelta(budget, 60), base);
  EXPECT_GE(base, 4 * std::exp(-64.0));
}

}  // namespace
}  // namespace demur::dp
