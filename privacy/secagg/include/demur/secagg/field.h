#pragma once

#include <array>
#include <cstdint>

// Prime fields of up to 62 bits for secret sharing. No operation branches on a value or looks one
// up.
//
// What the templates of shamir.h and reed_solomon.h ask of a Field: `Element`, a value type with
// == whose default value is zero; kOne; IsElement(v), whether v is reduced; Add, Sub, Mul on
// reduced elements; MulAdd(y, x, c) = y x + c, where y and the result may be unreduced as long as
// they only meet MulAdd and Reduce; and kInverseExponent, the prime minus 2 in words, the lowest
// first.
namespace demur::secagg {

__extension__ using Uint128 = unsigned __int128;  // GCC and Clang

// Integers mod kP for an odd prime below 2^62. Multiplication is by Montgomery's reduction, so no
// division whose time depends on the operands is used.
template <std::uint64_t kP>
struct PrimeField {
  static_assert(kP > 2 && kP % 2 == 1 && kP < (std::uint64_t{1} << 62));
  using Element = std::uint64_t;
  static constexpr std::uint64_t kPrime = kP;
  static constexpr Element kOne = 1;
  static constexpr std::array<std::uint64_t, 1> kInverseExponent = {kP - 2};

  static constexpr bool IsElement(std::uint64_t v) noexcept { return v < kP; }
  // All-ones when v >= kP, else 0. v < 2^63.
  static constexpr std::uint64_t NotBelow(std::uint64_t v) noexcept { return ((v - kP) >> 63) - 1; }
  static constexpr std::uint64_t Add(std::uint64_t a, std::uint64_t b) noexcept {
    const std::uint64_t s = a + b;
    return s - (kP & NotBelow(s));
  }
  static constexpr std::uint64_t Sub(std::uint64_t a, std::uint64_t b) noexcept {
    const std::uint64_t s = a + kP - b;
    return s - (kP & NotBelow(s));
  }
  static constexpr std::uint64_t Mul(std::uint64_t a, std::uint64_t b) noexcept {
    return Redc(Uint128{Redc(Uint128{a} * b)} * kRSquared);
  }
  static constexpr std::uint64_t MulAdd(std::uint64_t y, std::uint64_t x,
                                        std::uint64_t c) noexcept {
    return Add(Mul(y, x), c);
  }
  static constexpr std::uint64_t Reduce(std::uint64_t v) noexcept { return v; }

 private:
  // -kP^-1 mod 2^64 by Newton's iteration.
  static constexpr std::uint64_t NegInverse() noexcept {
    std::uint64_t x = kP;
    for (int i = 0; i < 6; ++i) x *= 2 - kP * x;
    return 0 - x;
  }
  static constexpr std::uint64_t kNegInverse = NegInverse();
  // 2^128 mod kP.
  static constexpr std::uint64_t RSquared() noexcept {
    std::uint64_t v = 1;
    for (int i = 0; i < 128; ++i) v = Add(v, v);
    return v;
  }
  static constexpr std::uint64_t kRSquared = RSquared();
  // v / 2^64 mod kP, for v < kP * 2^64.
  static constexpr std::uint64_t Redc(Uint128 v) noexcept {
    const std::uint64_t m = static_cast<std::uint64_t>(v) * kNegInverse;
    // The low halves cancel; their carry is 1 unless both are zero.
    const Uint128 product = Uint128{m} * kP;
    const auto low = static_cast<std::uint64_t>(v);
    const std::uint64_t carry = (low | (0 - low)) >> 63;
    const std::uint64_t high =
        static_cast<std::uint64_t>(v >> 64) + static_cast<std::uint64_t>(product >> 64) + carry;
    return high - (kP & NotBelow(high));
  }
};

// The field of the protocol: p = 2^61 - 1, where reduction is two shifts.
inline constexpr std::uint64_t kMersenne61 = (std::uint64_t{1} << 61) - 1;
template <>
struct PrimeField<kMersenne61> {
  using Element = std::uint64_t;
  static constexpr std::uint64_t kPrime = kMersenne61;
  static constexpr Element kOne = 1;
  static constexpr std::array<std::uint64_t, 1> kInverseExponent = {kPrime - 2};

  static constexpr bool IsElement(std::uint64_t v) noexcept { return v < kPrime; }
  static constexpr std::uint64_t NotBelow(std::uint64_t v) noexcept {
    return ((v - kPrime) >> 63) - 1;
  }
  static constexpr std::uint64_t Add(std::uint64_t a, std::uint64_t b) noexcept {
    const std::uint64_t s = a + b;
    return s - (kPrime & NotBelow(s));
  }
  static constexpr std::uint64_t Sub(std::uint64_t a, std::uint64_t b) noexcept {
    const std::uint64_t s = a + kPrime - b;
    return s - (kPrime & NotBelow(s));
  }
  static constexpr std::uint64_t Mul(std::uint64_t a, std::uint64_t b) noexcept {
    const Uint128 product = Uint128{a} * b;
    return Add(static_cast<std::uint64_t>(product) & kPrime,
               static_cast<std::uint64_t>(product >> 61));
  }
  // Unreduced values stay below 2^62: y x < 2^123 folds to less than 3 * 2^61, that to at most
  // 2^61 + 1, and c is at most 2^61 - 2.
  static constexpr std::uint64_t MulAdd(std::uint64_t y, std::uint64_t x,
                                        std::uint64_t c) noexcept {
    const Uint128 product = Uint128{y} * x;
    return Fold((static_cast<std::uint64_t>(product) & kPrime) +
                static_cast<std::uint64_t>(product >> 61)) +
           c;
  }
  static constexpr std::uint64_t Reduce(std::uint64_t v) noexcept {
    const std::uint64_t folded = Fold(v);
    return folded - (kPrime & NotBelow(folded));
  }

 private:
  static constexpr std::uint64_t Fold(std::uint64_t v) noexcept { return (v & kPrime) + (v >> 61); }
};
using ShareField = PrimeField<kMersenne61>;

// a^-1 as a^(p-2); 0 for 0. The exponent is public, so its bits may be branched on.
template <class Field>
constexpr typename Field::Element Inverse(typename Field::Element a) noexcept {
  typename Field::Element result = Field::kOne;
  typename Field::Element power = a;
  for (const std::uint64_t word : Field::kInverseExponent) {
    for (int bit = 0; bit < 64; ++bit) {
      if ((word >> bit & 1) != 0) result = Field::Mul(result, power);
      power = Field::Mul(power, power);
    }
  }
  return result;
}

}  // namespace demur::secagg
