#include "demur/dp/skellam.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "demur/seeded/seeded_random.h"
#include "dp_fixtures.h"
#include "result_matchers.h"

namespace demur::dp {
namespace {

__extension__ using Uint128 = unsigned __int128;
__extension__ using Int128 = __int128;

std::shared_ptr<const AliasTable> Table(std::uint64_t variance) {
  auto table = AliasTable::ForVariance(variance);
  EXPECT_OK(table);
  return *table;
}

std::vector<Uint128> Weights(const AliasTable& table) {
  std::vector<Uint128> weights;
  for (std::uint32_t k = 0; k <= table.max_magnitude(); ++k) {
    const AliasTable::Wide wide = table.Weight(k);
    weights.push_back(Uint128{wide.high} << 64 | wide.low);
  }
  return weights;
}

long double Probability(Uint128 weight) {
  return std::ldexp(static_cast<long double>(weight), -AliasTable::kWeightBits);
}

// P(|X| = k) from the definition: X is the difference of two Poisson(w/2) variables. All terms are
// positive, so nothing cancels.
long double ByConvolution(long double variance, int magnitude) {
  const long double half = variance / 2;
  long double sum = 0;
  for (int j = 0; j < 400; ++j) {
    sum += std::exp(-2 * half + (2 * j + magnitude) * std::log(half) -
                    std::lgamma(static_cast<long double>(j) + 1) -
                    std::lgamma(static_cast<long double>(j + magnitude) + 1));
  }
  return magnitude == 0 ? sum : 2 * sum;
}

TEST(AliasTableTest, RefusesVariancesOutsideItsRange) {
  EXPECT_ERROR(AliasTable::ForVariance(0), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(AliasTable::ForVariance(kMaxNoiseVariance + 1), ErrorCode::kInvalidArgument);
  EXPECT_OK(AliasTable::ForVariance(1));
}

TEST(AliasTableTest, WeightsSumToExactlyTwoToThe126) {
  for (const std::uint64_t variance : {1U, 2U, 7U, 100U, 997U}) {
    SCOPED_TRACE(variance);
    Uint128 sum = 0;
    for (const Uint128 weight : Weights(*Table(variance))) sum += weight;
    EXPECT_TRUE(sum == Uint128{1} << AliasTable::kWeightBits);
  }
}

TEST(AliasTableTest, ProbabilitiesAreThoseOfTheDefinition) {
  for (const std::uint64_t variance : {1U, 2U, 9U, 64U}) {
    const auto table = Table(variance);
    const std::vector<Uint128> weights = Weights(*table);
    for (std::uint32_t k = 0; k < weights.size(); ++k) {
      const long double expected = ByConvolution(variance, static_cast<int>(k));
      // One weight is 2^-126; the sum above is good to some 1e-15.
      EXPECT_NEAR(static_cast<double>(Probability(weights[k]) / expected), 1.0,
                  1e-14 + 0x1p-126 / static_cast<double>(expected))
          << "variance " << variance << " magnitude " << k;
    }
  }
}

// I_{k-1} - I_{k+1} = (2 k / w) I_k holds for Bessel functions, and with the sum it determines
// them: each weight is right to the unit. The differences are small; they are taken modulo 2^128.
TEST(AliasTableTest, EveryWeightIsRightToTheLastUnit) {
  for (const std::uint64_t variance : {1U, 3U, 50U, 1000U}) {
    const std::vector<Uint128> weights = Weights(*Table(variance));
    for (std::size_t k = 2; k + 1 < weights.size(); ++k) {
      const auto difference = static_cast<Int128>(
          Uint128{variance} * (weights[k - 1] - weights[k + 1]) - Uint128{2 * k} * weights[k]);
      // Each of the three weights is at most half a unit off.
      const auto allowed = static_cast<Int128>(variance + k + 1);
      EXPECT_TRUE(difference <= allowed && -difference <= allowed)
          << "variance " << variance << " magnitude " << k;
    }
    // Zero has probability p_0 where the others have 2 p_k, and takes what rounding left over.
    const auto difference = static_cast<Int128>(Uint128{variance} * (2 * weights[0] - weights[2]) -
                                                Uint128{2} * weights[1]);
    const auto allowed = static_cast<Int128>(variance * (weights.size() + 4));
    EXPECT_TRUE(difference <= allowed && -difference <= allowed) << "variance " << variance;
  }
}

TEST(AliasTableTest, VarianceAndMeasuredDistanceAreAsPromised) {
  for (const std::uint64_t variance : {std::uint64_t{1}, std::uint64_t{4096}, kMaxNoiseVariance}) {
    const auto table = Table(variance);
    SCOPED_TRACE(variance);
    EXPECT_EQ(table->variance(), variance);
    EXPECT_GT(table->total_variation(), 0);
    EXPECT_LE(table->total_variation(), kTableDistanceMax);
    const double deviation = std::sqrt(static_cast<double>(variance));
    EXPECT_GT(table->max_magnitude(), 12 * deviation);
    EXPECT_LT(table->max_magnitude(), 14 * deviation + 64);
    if (variance > 5000) continue;  // Weight() is linear: quadratic over a wide table
    long double second = 0;
    const std::vector<Uint128> weights = Weights(*table);
    for (std::size_t k = 0; k < weights.size(); ++k) {
      second += Probability(weights[k]) * static_cast<long double>(k * k);
    }
    EXPECT_NEAR(static_cast<double>(second), static_cast<double>(variance),
                1e-12 * static_cast<double>(variance));
  }
}

TEST(AliasTableTest, TablesAreSharedAlsoBetweenThreads) {
  const auto first = Table(123);
  EXPECT_EQ(first, Table(123));
  std::vector<std::shared_ptr<const AliasTable>> seen(4);
  std::vector<std::thread> threads;
  for (auto& slot : seen) threads.emplace_back([&slot] { slot = Table(4321); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& table : seen) EXPECT_EQ(table, seen[0]);
}

TEST(AliasTableTest, ATableInUseOutlivesItsPlaceInTheCache) {
  const auto held = Table(77);
  for (std::uint64_t variance = 200; variance < 220; ++variance) (void)Table(variance);
  EXPECT_EQ(held->variance(), 77U);
  EXPECT_TRUE(held->Weight(0) == Table(77)->Weight(0));
}

TEST(AliasTableTest, EveryDrawReads24BytesAndDrawsDoNotDependOnTheSplit) {
  const auto table = Table(400);
  testing::ConstantRandom counter(0x12345678U);
  std::vector<std::int32_t> some(1000);
  ASSERT_OK(table->Fill(some, counter));
  EXPECT_EQ(counter.bytes(), 1000 * AliasTable::kBytesPerDraw);

  seeded::SeededRandom random(5);
  std::vector<std::int32_t> whole(2000);
  std::vector<std::int32_t> parts(2000);
  auto stream = random.Stream({.purpose = Purpose::kNoise}).value();
  ASSERT_OK(table->Fill(whole, *stream));
  stream = random.Stream({.purpose = Purpose::kNoise}).value();
  for (std::size_t i = 0; i < parts.size(); i += 250) {
    ASSERT_OK(table->Fill(std::span(parts).subspan(i, 250), *stream));
  }
  EXPECT_EQ(whole, parts);
}

TEST(AliasTableTest, TheTopBitIsTheSignAndNothingPassesTheEnd) {
  const auto table = Table(400);
  // All ones: last bucket, largest uniform, negative.
  testing::ConstantRandom ones(0xFFFFFFFFU);
  testing::ConstantRandom high(0x7FFFFFFFU);
  std::vector<std::int32_t> negative(3);
  std::vector<std::int32_t> positive(3);
  ASSERT_OK(table->Fill(negative, ones));
  ASSERT_OK(table->Fill(positive, high));
  EXPECT_LE(negative[0], 0);
  EXPECT_GE(positive[0], 0);
  seeded::SeededRandom random(6);
  auto stream = random.Stream({.purpose = Purpose::kNoise}).value();
  std::vector<std::int32_t> many(100'000);
  ASSERT_OK(table->Fill(many, *stream));
  for (const std::int32_t value : many) {
    ASSERT_LE(static_cast<std::uint32_t>(std::abs(value)), table->max_magnitude());
  }
}

TEST(AliasTableTest, AFailedGeneratorIsReported) {
  testing::BrokenRandom broken;
  std::vector<std::int32_t> out(10);
  EXPECT_ERROR(Table(400)->Fill(out, broken), ErrorCode::kInternal);
}

}  // namespace
}  // namespace demur::dp
