#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "demur/dp/accountant.h"

// The upper tail of Skellam against sums over its definition, and the distinguisher against a
// direct search.
namespace demur::dp {
namespace {

// P(X = k), k = 0 .. size - 1, by the recurrence of Bessel functions in long double.
std::vector<long double> Pmf(long double variance, int size) {
  const int start = size + 40 + static_cast<int>(4 * std::sqrt(variance));
  std::vector<long double> value(static_cast<std::size_t>(start) + 2);
  value[static_cast<std::size_t>(start)] = 1e-4000L;
  for (std::size_t k = static_cast<std::size_t>(start); k > 0; --k) {
    value[k - 1] = value[k + 1] + 2 * static_cast<long double>(k) / variance * value[k];
  }
  long double sum = value[0];
  for (std::size_t k = 1; k < value.size(); ++k) sum += 2 * value[k];
  for (long double& v : value) v /= sum;
  value.resize(static_cast<std::size_t>(size));
  return value;
}

// P(X >= x), x >= 0, for each x.
std::vector<long double> Tail(const std::vector<long double>& pmf) {
  std::vector<long double> tail(pmf.size() + 1, 0);
  for (std::size_t k = pmf.size(); k-- > 0;) tail[k] = tail[k + 1] + pmf[k];
  return tail;
}

TEST(SkellamTailTest, AgreesWithTheSumOverTheDefinition) {
  for (const double variance : {0.5, 1.0, 4.0, 100.0, 12'345.0}) {
    const int size = static_cast<int>(14 * std::sqrt(variance)) + 60;
    const std::vector<long double> tail = Tail(Pmf(variance, 2 * size));
    for (int x = 1; x < size; x += 1 + size / 40) {
      const auto expected = static_cast<double>(tail[static_cast<std::size_t>(x)]);
      if (expected < 1e-280) break;
      EXPECT_NEAR(SkellamUpperTail(variance, x) / expected, 1.0, 1e-10)
          << "variance " << variance << " x " << x;
    }
  }
}

TEST(SkellamTailTest, IsSymmetricAndAtMostOne) {
  for (const double variance : {1.0, 50.0, 1e6, 1e12}) {
    const auto step = static_cast<std::int64_t>(std::sqrt(variance));
    for (std::int64_t x = -5 * step; x <= 5 * step; x += step) {
      const double up = SkellamUpperTail(variance, x);
      EXPECT_LE(up, 1.0);
      EXPECT_NEAR(up + SkellamUpperTail(variance, 1 - x), 1.0, 1e-12);
    }
    // P(X >= 0) - P(X >= 1) = P(X = 0), about 1 / sqrt(2 pi variance).
    const double zero = SkellamUpperTail(variance, 0) - SkellamUpperTail(variance, 1);
    EXPECT_NEAR(zero * std::sqrt(2 * 3.14159265358979 * variance), 1.0, 0.3 / variance + 1e-4);
  }
}

TEST(SkellamTailTest, TendsToTheNormalLaw) {
  const double variance = 1e14;
  for (const double z : {0.5, 1.0, 3.0, 6.0}) {
    const auto x = static_cast<std::int64_t>(z * std::sqrt(variance));
    EXPECT_NEAR(SkellamUpperTail(variance, x) / (std::erfc(z / std::sqrt(2.0)) / 2), 1.0, 1e-6);
  }
}

// The hockey-stick divergence at epsilon, from the definition, best threshold included.
long double HockeyStick(const std::vector<long double>& tail, int shift, double epsilon) {
  long double best = 0;
  for (int t = 0; t + 1 < static_cast<int>(tail.size()); ++t) {
    const int from = t - shift;
    const long double with = from >= 0 ? tail[static_cast<std::size_t>(from)]
                                       : 1 - tail[static_cast<std::size_t>(1 - from)];
    best = std::max(best, with - std::exp(static_cast<long double>(epsilon)) *
                                     tail[static_cast<std::size_t>(t)]);
  }
  return best;
}

TEST(EpsilonLowerBoundTest, IsTheDistinguishersEpsilonAndNeverAbove) {
  const SkellamCharge charge{.l2_sq = 401, .l1 = 1000, .mu = 900};
  const std::uint32_t rounds = 4;
  const double delta = 1e-5;
  const double found = EpsilonLowerBound(charge, rounds, delta);
  // floor(sqrt(401)) = 20 a round, 80 in all; variance 3,600.
  const std::vector<long double> tail = Tail(Pmf(3600, 1500));
  EXPECT_GE(static_cast<double>(HockeyStick(tail, 80, found)), delta);
  EXPECT_LE(static_cast<double>(HockeyStick(tail, 80, found + 1e-3)), delta);
}

TEST(EpsilonLowerBoundTest, UsesOneCoordinateAtMostAsLargeAsL1Allows) {
  const double wide = EpsilonLowerBound({.l2_sq = 400, .l1 = 400, .mu = 900}, 4, 1e-5);
  const double narrow = EpsilonLowerBound({.l2_sq = 400, .l1 = 5, .mu = 900}, 4, 1e-5);
  EXPECT_LT(narrow, wide);
}

TEST(EpsilonLowerBoundTest, ProvesNothingWhereNothingIsReleased) {
  EXPECT_EQ(EpsilonLowerBound({.l2_sq = 0, .l1 = 0, .mu = 900}, 4, 1e-5), 0);
  EXPECT_EQ(EpsilonLowerBound({.l2_sq = 400, .l1 = 400, .mu = 900}, 0, 1e-5), 0);
}

// With very wide noise the distinguisher faces the Gaussian mechanism, whose epsilon is known:
// delta = Phi(m/2 - e/m) - e^e Phi(-m/2 - e/m), m = shift / deviation.
TEST(EpsilonLowerBoundTest, ReachesTheGaussianMechanism) {
  const SkellamCharge charge{
      .l2_sq = std::uint64_t{1'000'000} * 1'000'000, .l1 = 1ULL << 40, .mu = 1'000'000'000'000};
  const double epsilon = EpsilonLowerBound(charge, 1, 1e-7);  // m = 1
  const auto phi = [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; };
  const double delta = phi(0.5 - epsilon) - std::exp(epsilon) * phi(-0.5 - epsilon);
  EXPECT_NEAR(delta / 1e-7, 1.0, 1e-3);
}

}  // namespace
}  // namespace demur::dp
