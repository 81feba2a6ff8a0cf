#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "demur/secagg/field.h"

// Integers mod a prime below 2^255 in four words, the lowest first: what field.h asks of a Field,
// for sharings over other people's fields. Montgomery's multiplication; no operation branches on a
// value or looks one up.
namespace demur::secagg::testing {

using FourWords = std::array<std::uint64_t, 4>;

template <FourWords kP>
struct WideField {
  using Element = FourWords;
  static constexpr FourWords kOne = {1, 0, 0, 0};
  static constexpr FourWords kInverseExponent = {kP[0] - 2, kP[1], kP[2], kP[3]};
  static_assert(kP[0] % 2 == 1 && kP[0] > 2 && kP[3] >> 63 == 0);

  static constexpr bool IsElement(const FourWords& v) noexcept { return Minus(v, kP).borrow == 1; }
  static constexpr FourWords Add(const FourWords& a, const FourWords& b) noexcept {
    FourWords sum{};
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const Uint128 word = Uint128{a[i]} + b[i] + carry;
      sum[i] = static_cast<std::uint64_t>(word);
      carry = static_cast<std::uint64_t>(word >> 64);
    }
    return Once(sum);
  }
  static constexpr FourWords Sub(const FourWords& a, const FourWords& b) noexcept {
    return Add(a, Minus(kP, b).words);  // b = 0: a + p is reduced as well
  }
  static constexpr FourWords Mul(const FourWords& a, const FourWords& b) noexcept {
    return Montgomery(Montgomery(a, b), kRSquared);
  }
  static constexpr FourWords MulAdd(const FourWords& y, const FourWords& x,
                                    const FourWords& c) noexcept {
    return Add(Mul(y, x), c);
  }
  static constexpr FourWords Reduce(const FourWords& v) noexcept { return v; }

 private:
  struct Difference {
    FourWords words;
    std::uint64_t borrow;
  };
  static constexpr Difference Minus(const FourWords& a, const FourWords& b) noexcept {
    Difference out{};
    for (std::size_t i = 0; i < 4; ++i) {
      const Uint128 word = Uint128{a[i]} - b[i] - out.borrow;
      out.words[i] = static_cast<std::uint64_t>(word);
      out.borrow = static_cast<std::uint64_t>(word >> 64) & 1;
    }
    return out;
  }
  // v or v - p, for v < 2 p.
  static constexpr FourWords Once(const FourWords& v) noexcept {
    const Difference less = Minus(v, kP);
    const std::uint64_t keep = 0 - less.borrow;
    FourWords out{};
    for (std::size_t i = 0; i < 4; ++i) out[i] = (v[i] & keep) | (less.words[i] & ~keep);
    return out;
  }
  static constexpr std::uint64_t NegInverse() noexcept {
    std::uint64_t x = kP[0];
    for (int i = 0; i < 6; ++i) x *= 2 - kP[0] * x;
    return 0 - x;
  }
  static constexpr std::uint64_t kNegInverse = NegInverse();
  // a b / 2^256 mod p.
  static constexpr FourWords Montgomery(const FourWords& a, const FourWords& b) noexcept {
    std::array<std::uint64_t, 5> t{};
    for (std::size_t i = 0; i < 4; ++i) {
      t[4] = Accumulate(a, b[i], t);
      t[4] = Accumulate(kP, t[0] * kNegInverse, t);
      t = {t[1], t[2], t[3], t[4], 0};  // the lowest word is 0, and t < 2 p again
    }
    return Once({t[0], t[1], t[2], t[3]});
  }
  // t += a w in all but its highest word, which is returned; t stays below 2^320.
  static constexpr std::uint64_t Accumulate(const FourWords& a, std::uint64_t w,
                                            std::array<std::uint64_t, 5>& t) noexcept {
    std::uint64_t carry = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const Uint128 word = Uint128{a[j]} * w + t[j] + carry;
      t[j] = static_cast<std::uint64_t>(word);
      carry = static_cast<std::uint64_t>(word >> 64);
    }
    return t[4] + carry;
  }
  // 2^512 mod p.
  static constexpr FourWords RSquared() noexcept {
    FourWords v = kOne;
    for (int i = 0; i < 512; ++i) v = Add(v, v);
    return v;
  }
  static constexpr FourWords kRSquared = RSquared();
};

// Scalars of ristretto255: 2^252 + 27742317777372353535851937790883648493.
using RistrettoScalars =
    WideField<FourWords{0x5812631A5CF5D3ED, 0x14DEF9DEA2F79CD6, 0, 0x1000000000000000}>;

}  // namespace demur::secagg::testing
