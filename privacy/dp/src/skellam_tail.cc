#include <algorithm>
#include <cmath>
#include <complex>

#include "demur/base/check.h"
#include "demur/dp/accountant.h"
#include "demur/dp/decoder.h"

// The upper tail of Skellam(v) and the distinguisher that uses it. With z = c + i theta,
//   P(X >= x) = (1 / 2 pi) integral over theta of exp(v (cosh z - 1) - z x) / (1 - exp(-z)).
// The trapezoid rule with N points gives exactly the sum over j of P(X >= x + j N) exp(c j N), so
// its error is what lies N units away: nothing, when N is 50 standard deviations of the law tilted
// by c and 50 / c. Only points near theta = 0 count, a few hundred of them whatever the variance.
// The best c is the saddle point asinh(x / v), where the largest exponents cancel; near the mean,
// where that approaches the pole at 0, c stays half a standard deviation away.
namespace demur::dp {
namespace {

constexpr double kPi = 3.14159265358979323846;

// theta - sin(theta), also for small theta.
double ThetaMinusSin(double theta) {
  if (std::fabs(theta) > 0.5) return theta - std::sin(theta);
  double term = theta * theta * theta / 6;
  double sum = term;
  for (int k = 5; std::fabs(term) > 1e-22 * std::fabs(sum); k += 2) {
    term *= -theta * theta / (k * (k - 1));
    sum += term;
  }
  return sum;
}

// x above the mean.
double TailByContour(double v, double x) {
  const double c = std::max(std::asinh(x / v), 0.5 / std::sqrt(v));
  const double cosh_c = std::cosh(c);
  const double spread = std::sqrt(v * cosh_c);  // of the tilted law
  const double linear = v * std::sinh(c) - x;   // 0 at the saddle point
  const double half_sinh = std::sinh(c / 2);
  const double top = 2 * v * half_sinh * half_sinh - c * x;  // exponent at theta = 0
  // Far enough that the aliases, damped by the tilted law, vanish also for small v.
  const double points = std::ceil(50 * spread + 4 * 50 + 50 / c);
  const double step = 2 * kPi / points;
  const auto last =
      static_cast<std::int64_t>(std::min(std::floor(points / 2), std::ceil(12 / spread / step)));
  double sum = 0;
  for (std::int64_t j = 0; j <= last; ++j) {
    const double theta = static_cast<double>(j) * step;
    const double half_sin = std::sin(theta / 2);
    // v (cosh z - 1) - z x less its value at theta = 0.
    const std::complex<double> exponent(-2 * v * cosh_c * half_sin * half_sin,
                                        linear * std::sin(theta) - x * ThetaMinusSin(theta));
    const std::complex<double> z(c, theta);
    // 1 - exp(-z) without cancellation for small z.
    const std::complex<double> factor(-std::expm1(-c) + std::exp(-c) * 2 * half_sin * half_sin,
                                      std::exp(-c) * std::sin(theta));
    const double part = (std::exp(exponent) / factor).real();
    // Points come in conjugate pairs, but for 0 and the one opposite.
    const bool alone = j == 0 || static_cast<double>(2 * j) == points;
    sum += alone ? part : 2 * part;
  }
  return std::exp(top) * sum / points;
}

}  // namespace

double SkellamUpperTail(double variance, std::int64_t x) {
  DEMUR_CHECK(variance > 0, "a law without variance has no tail");
  // By symmetry, so that the contour is always right of the pole.
  if (x <= 0) return 1 - SkellamUpperTail(variance, 1 - x);
  return std::min(1.0, TailByContour(variance, static_cast<double>(x)));
}

double EpsilonLowerBound(const SkellamCharge& charge, std::uint32_t participations, double delta) {
  model::EncodingPlan bounds;
  bounds.l2_sq_max = charge.l2_sq;
  const std::uint64_t shift_one = std::min(LargestCoordinate(bounds), charge.l1);
  const double variance = static_cast<double>(charge.mu) * participations;
  const double shift = static_cast<double>(shift_one) * participations;
  // Beyond 2^52 a double does not tell integers apart; such charges are refused elsewhere.
  if (shift_one == 0 || variance <= 0 || shift > 0x1p52) return 0;
  const double deviation = std::sqrt(variance);
  // {Y >= t} has probability P(X >= t - shift) with the identity and P(X >= t) without it:
  // delta >= first - e^eps second at every t. Whatever t is tried, the bound is sound.
  const auto proved = [&](double t) {
    const double with = SkellamUpperTail(variance, static_cast<std::int64_t>(t - shift));
    const double without = SkellamUpperTail(variance, static_cast<std::int64_t>(t));
    const double excess = with * (1 - 1e-9) - delta;
    if (!(excess > 0) || !(without > 0)) return 0.0;
    return std::log(excess / without) - 1e-8;
  };
  double best = 0;
  double at = shift;
  double reach = 8 * deviation;
  // A grid around the present best, then a finer one.
  for (int round = 0; round < 6 && reach >= 1; ++round, reach /= 8) {
    const double centre = at;
    for (int i = -24; i <= 24; ++i) {
      const double t = std::floor(centre + reach * i / 24);
      const double epsilon = proved(t);
      if (epsilon > best) {
        best = epsilon;
        at = t;
      }
    }
  }
  return best;
}

}  // namespace demur::dp
