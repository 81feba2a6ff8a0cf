#include "skellam_build.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>

#include "demur/base/check.h"

// P(|X| = k) = 2 e^-w I_k(w) for k > 0 and e^-w I_0(w) for k = 0. The modified Bessel functions
// come from Miller's algorithm: start far in the tail with an arbitrary value and run
// I_{k-1} = I_{k+1} + (2k / w) I_k towards 0. All terms are positive and the wanted solution is the
// one that grows, so errors shrink on the way. Everything is done in 512-bit integers: starting at
// 2^192 where the probability is 2^-210, the result is good to some 2^-170, far below the 2^-126 of
// one weight; long double (2^-64) would not do, since the distance is multiplied by coordinates,
// devices and rounds before it meets delta.
namespace demur::dp::internal {
namespace {

constexpr std::size_t kLimbs = 8;
constexpr int kWeightBits = 126;
constexpr int kFractionBits = 30;  // of a weight, kept to measure the rounding

struct Wide {
  std::array<std::uint64_t, kLimbs> limb{};  // little-endian
};

// a + b; must not overflow 512 bits.
Wide Add(const Wide& a, const Wide& b) {
  Wide sum;
  std::uint64_t carry = 0;
  for (std::size_t i = 0; i < kLimbs; ++i) {
    const Uint128 s = Uint128{a.limb[i]} + b.limb[i] + carry;
    sum.limb[i] = static_cast<std::uint64_t>(s);
    carry = static_cast<std::uint64_t>(s >> 64);
  }
  DEMUR_CHECK(carry == 0, "512 bits hold every term of the recurrence");
  return sum;
}

// floor(a * factor / divisor); factor and divisor below 2^32, divisor > 0.
Wide MulDiv(const Wide& a, std::uint64_t factor, std::uint64_t divisor) {
  std::array<std::uint64_t, kLimbs + 1> product{};
  std::uint64_t carry = 0;
  for (std::size_t i = 0; i < kLimbs; ++i) {
    const Uint128 p = Uint128{a.limb[i]} * factor + carry;
    product[i] = static_cast<std::uint64_t>(p);
    carry = static_cast<std::uint64_t>(p >> 64);
  }
  product[kLimbs] = carry;
  Wide quotient;
  Uint128 rest = product[kLimbs] % divisor;
  DEMUR_CHECK(product[kLimbs] / divisor == 0, "512 bits hold every term of the recurrence");
  for (std::size_t i = kLimbs; i-- > 0;) {
    const Uint128 part = rest << 64 | product[i];
    quotient.limb[i] = static_cast<std::uint64_t>(part / divisor);
    rest = part % divisor;
  }
  return quotient;
}

int BitWidth(const Wide& a) {
  for (std::size_t i = kLimbs; i-- > 0;) {
    if (a.limb[i] != 0)
      return static_cast<int>(64 * i + static_cast<std::size_t>(std::bit_width(a.limb[i])));
  }
  return 0;
}

// 256 bits for the division.
struct Quad {
  std::array<std::uint64_t, 4> limb{};
};

// The 256 bits of `a` from bit `from` on.
Quad Window(const Wide& a, int from) {
  Quad out;
  const auto skip = static_cast<std::size_t>(from / 64);
  const int shift = from % 64;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::uint64_t low = skip + i < kLimbs ? a.limb[skip + i] : 0;
    const std::uint64_t high = skip + i + 1 < kLimbs ? a.limb[skip + i + 1] : 0;
    out.limb[i] = shift == 0 ? low : (low >> shift | high << (64 - shift));
  }
  return out;
}

// a = 2 a - (2 a >= b ? b : 0); gives whether it subtracted. a < b < 2^255.
bool DoubleAndReduce(Quad* a, const Quad& b) {
  for (std::size_t i = 3; i > 0; --i) a->limb[i] = a->limb[i] << 1 | a->limb[i - 1] >> 63;
  a->limb[0] <<= 1;
  Quad difference;
  std::uint64_t borrow = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const Uint128 d = Uint128{a->limb[i]} - b.limb[i] - borrow;
    difference.limb[i] = static_cast<std::uint64_t>(d);
    borrow = static_cast<std::uint64_t>(d >> 64) & 1U;
  }
  if (borrow == 0) *a = difference;
  return borrow == 0;
}

struct Ratio {
  Uint128 weight = 0;          // nearest integer to 2^126 a / b
  std::uint64_t distance = 0;  // |weight - 2^126 a / b| in units of 2^-30, rounded up
};

// a <= b.
Ratio Divide(Quad a, const Quad& b) {
  Uint128 whole = 0;
  for (int bit = 0; bit < kWeightBits; ++bit) whole = whole << 1 | (DoubleAndReduce(&a, b) ? 1 : 0);
  std::uint64_t fraction = 0;
  for (int bit = 0; bit < kFractionBits; ++bit) {
    fraction = fraction << 1 | (DoubleAndReduce(&a, b) ? 1U : 0U);
  }
  const std::uint64_t one = std::uint64_t{1} << kFractionBits;
  if (fraction >= one / 2) return {whole + 1, one - fraction + 1};
  return {whole, fraction + 1};
}

// Where the recurrence starts: P(X >= K) <= 2^-210 by Chernoff's bound
// exp(-(k asinh(k/w) - sqrt(k^2 + w^2) + w)). Anything near it does.
std::uint32_t StartMagnitude(double w) {
  const double wanted = 210 * std::log(2.0);
  const auto exponent = [w](double k) {
    // sqrt(k^2 + w^2) - w without cancellation.
    return k * std::asinh(k / w) - k * k / (std::sqrt(k * k + w * w) + w);
  };
  double low = 1;
  double high = 1;
  while (exponent(high) < wanted) high *= 2;
  while (high - low > 0.5) {
    const double middle = (low + high) / 2;
    (exponent(middle) < wanted ? low : high) = middle;
  }
  return static_cast<std::uint32_t>(high) + 2;
}

}  // namespace

SkellamWeights ComputeSkellamWeights(std::uint64_t variance) {
  const std::uint32_t start = StartMagnitude(static_cast<double>(variance));
  // terms[k] is proportional to P(|X| = k).
  std::vector<Wide> terms(start + 1);
  Wide next;  // k + 1
  Wide here;  // k
  here.limb[3] = 1;
  Wide total;
  for (std::uint32_t k = start;; --k) {
    terms[k] = k == 0 ? here : Add(here, here);
    total = Add(total, terms[k]);
    if (k == 0) break;
    const Wide before = Add(next, MulDiv(here, 2 * std::uint64_t{k}, variance));
    next = here;
    here = before;
  }
  // Both sides of the division lose the same low bits: 250 are kept.
  const int from = BitWidth(total) > 250 ? BitWidth(total) - 250 : 0;
  const Quad divisor = Window(total, from);

  SkellamWeights out;
  out.weights.assign(start + 1, 0);
  Uint128 given = 0;
  double distance = 0;  // in units of 2^-30 of a weight
  for (std::uint32_t k = start; k > 0; --k) {
    const Ratio ratio = Divide(Window(terms[k], from), divisor);
    out.weights[k] = ratio.weight;
    given += ratio.weight;
    distance += static_cast<double>(ratio.distance);
  }
  // Zero takes what rounding left over, so that the sum is exact.
  const Uint128 all = Uint128{1} << kWeightBits;
  DEMUR_CHECK(given < all, "the weights of the other magnitudes leave room for zero");
  out.weights[0] = all - given;
  while (out.weights.back() == 0) out.weights.pop_back();
  // Zero's own error is at most the sum of the others', so the half sum of all errors is at most
  // the sum of the others'. 2^-150 covers the recurrence, its start and the 250 bits; the factor
  // covers the additions in double.
  out.distance = std::ldexp(distance * (1 + 0x1p-30), -kWeightBits - kFractionBits) + 0x1p-150;
  return out;
}

}  // namespace demur::dp::internal
