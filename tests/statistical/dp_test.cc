#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include "demur/dp/accountant.h"
#include "demur/dp/skellam.h"
#include "demur/seeded/seeded_random.h"
#include "dp_fixtures.h"
#include "result_matchers.h"

// Draws against the law they should follow. Seeded, so the outcome never changes; each test's
// false-alarm rate on a fresh seed is at most 1e-6. Passing is not a proof: the proof is the exact
// check of the table's weights in unit.dp, these tests look at what becomes of them on the way out.
namespace demur::dp {
namespace {

std::vector<std::int32_t> Draw(std::uint64_t variance, std::size_t count, std::uint64_t client) {
  seeded::SeededRandom random(20);
  auto stream = random.Stream({.client = client, .purpose = Purpose::kNoise}).value();
  std::vector<std::int32_t> out(count);
  EXPECT_OK(AliasTable::ForVariance(variance).value()->Fill(out, *stream));
  return out;
}

// Upper 1e-6 quantile of chi-square with `freedom` degrees, by Wilson and Hilferty (good to a
// percent here); z = 4.7534.
double ChiSquareLimit(double freedom) {
  const double part = 2 / (9 * freedom);
  return freedom * std::pow(1 - part + 4.7534 * std::sqrt(part), 3);
}

// Chi-square of signed values against Skellam(variance), tails pooled into classes of at least 20
// expected draws.
void ExpectSkellam(const std::vector<std::int32_t>& values, double variance) {
  std::map<std::int64_t, double> seen;
  for (const std::int32_t value : values) ++seen[value];
  const auto n = static_cast<double>(values.size());
  const auto reach = static_cast<std::int64_t>(8 * std::sqrt(variance)) + 20;
  double chi = 0;
  int classes = 0;
  double expected = n * (1 - SkellamUpperTail(variance, -reach));
  double observed = 0;
  for (std::int64_t x = -reach; x <= reach; ++x) {
    expected += n * (SkellamUpperTail(variance, x) - SkellamUpperTail(variance, x + 1));
    observed += seen.contains(x) ? seen[x] : 0;
    const bool last = x == reach;
    if (expected < 20 && !last) continue;
    chi += (observed - expected) * (observed - expected) / std::max(expected, 1.0);
    ++classes;
    expected = 0;
    observed = 0;
  }
  EXPECT_LT(chi, ChiSquareLimit(classes - 1)) << classes << " classes, variance " << variance;
  // Not too good to be true either.
  EXPECT_GT(chi, (classes - 1) - 6 * std::sqrt(2.0 * classes)) << classes << " classes";
}

TEST(SkellamStatisticsTest, DrawsFollowTheLaw) {
  for (const std::uint64_t variance : {1U, 10U, 400U, 10'000U}) {
    ExpectSkellam(Draw(variance, 2'000'000, variance), static_cast<double>(variance));
  }
}

TEST(SkellamStatisticsTest, MeanAndVarianceAreRightAlsoForWideTables) {
  for (const std::uint64_t variance : {std::uint64_t{1'000'000}, kMaxNoiseVariance}) {
    const std::vector<std::int32_t> values = Draw(variance, 2'000'000, 3);
    const auto n = static_cast<double>(values.size());
    double sum = 0;
    double square = 0;
    for (const std::int32_t value : values) {
      sum += value;
      square += static_cast<double>(value) * value;
    }
    const auto w = static_cast<double>(variance);
    // Five standard errors: 6e-7 two-sided.
    EXPECT_NEAR(sum / n, 0, 5 * std::sqrt(w / n));
    EXPECT_NEAR(square / n / w, 1, 5 * std::sqrt((2 + 1 / w) / n));
  }
}

// Sums of n devices are again Skellam, of n times the variance: this is what the accountant
// charges.
TEST(SkellamStatisticsTest, SumsOfDevicesFollowTheLawOfTheSum) {
  for (const std::uint32_t devices : {2U, 25U}) {
    std::vector<std::int32_t> sum(200'000, 0);
    for (std::uint64_t device = 0; device < devices; ++device) {
      const std::vector<std::int32_t> one = Draw(9, sum.size(), 100 + device);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += one[i];
    }
    ExpectSkellam(sum, 9.0 * devices);
  }
}

TEST(SkellamStatisticsTest, NeighbouringDrawsAreUncorrelatedAndSignsAreFair) {
  const std::vector<std::int32_t> values = Draw(400, 2'000'000, 7);
  const auto n = static_cast<double>(values.size());
  double product = 0;
  double positive = 0;
  double nonzero = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) product += static_cast<double>(values[i]) * values[i - 1];
    positive += values[i] > 0 ? 1 : 0;
    nonzero += values[i] != 0 ? 1 : 0;
  }
  EXPECT_NEAR(product / n / 400, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(positive / nonzero, 0.5, 2.5 / std::sqrt(nonzero));
}

// What a device's noise does to a decoded sum: z^2 C^2 a coordinate, up to the inflation.
TEST(SkellamStatisticsTest, TheNoiseOfAnEncodedZeroUpdateHasThePlansVariance) {
  const model::Plan plan = testing::PlanFor(testing::UsualRequest());
  const model::Layout layout = testing::Whole(plan.training.schema);
  Encoder encoder = Encoder::Create(layout, plan.encoding).value();
  seeded::SeededRandom random(3);
  double square = 0;
  const int devices = 400;
  EncodedUpdate out;
  for (std::uint64_t device = 0; device < devices; ++device) {
    auto stream = random.Stream({.client = device, .purpose = Purpose::kNoise}).value();
    ASSERT_OK(encoder.EncodeZero(stream.get(), &out));
    for (const std::int32_t value : testing::Signed(out)) {
      square += static_cast<double>(value) * value;
    }
  }
  const double n = devices * 900.0;
  EXPECT_NEAR(square / n / static_cast<double>(plan.encoding.noise_variance), 1,
              5 * std::sqrt(2 / n));
}

}  // namespace
}  // namespace demur::dp
