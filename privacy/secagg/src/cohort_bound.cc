#include <algorithm>

#include "demur/base/check.h"
#include "demur/secagg/cohort.h"
#include "scaled.h"

// How many eligible devices, and how many corrupt ones, a draw gives (cohort.h). The binomial law
// is walked term by term from P[0], which needs one power and no logarithm.
namespace demur::secagg {
namespace {

using internal::Scaled;

constexpr double kTwo32 = 4294967296.0;
// Terms beyond this many bits under the bound are left out, and the bound is taken this much
// smaller for it and for the rounding of the walk (each term: 4 operations of 2^-53).
constexpr int kNegligibleBits = 64;
constexpr double kMargin = 1.0 - 1.0 / (1 << 20);
constexpr std::uint64_t kMostExpected = std::uint64_t{1} << 22;
constexpr std::uint32_t kRangeSigma = 40;

// floor(count * rate / 2^32)
std::uint64_t Expected(std::uint64_t count, std::uint32_t rate) {
  return (count >> 32) * rate + ((count & 0xFFFFFFFFU) * rate >> 32);
}

// X of `count` draws, each with probability rate / 2^32.
class Binomial {
 public:
  Binomial(std::uint64_t count, std::uint32_t rate)
      : count_(count), hit_(rate / kTwo32), miss_((kTwo32 - rate) / kTwo32) {}

  std::uint64_t count() const { return count_; }
  Scaled AtZero() const {
    Scaled out(1.0);
    Scaled square(miss_);
    for (std::uint64_t left = count_; left > 0; left >>= 1) {
      if ((left & 1) != 0) out *= square;
      square *= Scaled(square);
    }
    return out;
  }
  // P[x + 1] from P[x], and P[x - 1] from P[x].
  void Up(std::uint64_t x, Scaled* p) const {
    *p *= static_cast<double>(count_ - x);
    *p /= static_cast<double>(x + 1);
    *p *= hit_;
    *p /= miss_;
  }
  void Down(std::uint64_t x, Scaled* p) const {
    *p *= static_cast<double>(x);
    *p /= static_cast<double>(count_ - x + 1);
    *p *= miss_;
    *p /= hit_;
  }

 private:
  std::uint64_t count_;
  double hit_, miss_;
};

// Least x with P[X > x] <= 2^-sigma. `expected`: floor of the mean.
std::uint64_t UpperQuantile(const Binomial& law, std::uint64_t expected, std::uint32_t sigma) {
  const Scaled negligible = Scaled::PowerOfTwo(-static_cast<int>(sigma) - kNegligibleBits);
  Scaled p = law.AtZero();
  std::uint64_t x = 0;
  while (x < law.count() && (x <= expected + 1 || negligible < p)) law.Up(x++, &p);
  Scaled bound = Scaled::PowerOfTwo(-static_cast<int>(sigma));
  bound *= kMargin;
  Scaled tail;
  while (x > 0) {
    tail += p;  // P[X > x - 1], but for what is negligible
    if (bound < tail) break;
    law.Down(x--, &p);
  }
  return x;
}

// Greatest x with P[X < x] <= 2^-sigma.
std::uint64_t LowerQuantile(const Binomial& law, std::uint32_t sigma) {
  Scaled bound = Scaled::PowerOfTwo(-static_cast<int>(sigma));
  bound *= kMargin;
  Scaled p = law.AtZero();
  Scaled tail;
  std::uint64_t x = 0;
  while (x < law.count()) {
    tail += p;  // P[X < x + 1]
    if (bound < tail) break;
    law.Up(x++, &p);
  }
  return x;
}

// floor(gamma * enrolled), for any number enrolled.
std::uint64_t CorruptEnrolled(std::uint64_t enrolled, std::uint32_t permille) {
  const std::uint64_t share = std::min(permille, 1000U);
  return enrolled / 1000 * share + enrolled % 1000 * share / 1000;
}

}  // namespace

CorruptBound BoundCorrupt(const CohortAssumptions& assume, std::uint32_t roster) {
  DEMUR_CHECK(roster > 0, "a bound over nobody");
  DEMUR_CHECK(assume.sigma > 0, "a bound that may fail always");
  const std::uint64_t corrupt = CorruptEnrolled(assume.enrolled, assume.corrupt_permille);
  const std::uint64_t expected = Expected(corrupt, assume.rate);
  if (assume.rate == 0 || corrupt == 0) return {};
  // More than half of all draws pass the mean (the median is within one of it): no bound at all.
  if (expected >= roster) return {roster, 1000};
  const std::uint64_t most = UpperQuantile(Binomial(corrupt, assume.rate), expected, assume.sigma);
  const auto bounded = static_cast<std::uint32_t>(std::min<std::uint64_t>(most, roster));
  const std::uint64_t permille = (std::uint64_t{1000} * bounded + roster - 1) / roster;
  return {bounded, static_cast<std::uint32_t>(permille)};
}

EligibleBounds EligibleRange(std::uint64_t enrolled, std::uint32_t rate) {
  if (enrolled == 0 || rate == 0) return {};
  const std::uint64_t expected = Expected(enrolled, rate);
  if (expected > kMostExpected) return {0, enrolled};
  const Binomial law(enrolled, rate);
  return {LowerQuantile(law, kRangeSigma), UpperQuantile(law, expected, kRangeSigma)};
}

}  // namespace demur::secagg
