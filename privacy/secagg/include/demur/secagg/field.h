#pragma once

#include <cstdint>

// Prime fields of up to 62 bits for secret sharing. Elements are reduced 64-bit integers. No
// operation branches on a value or looks one up.
namespace demur::secagg {

__extension__ using Uint128 = unsigned __int128;  // GCC and Clang

// Integers mod kP for an odd prime below 2^62. Multiplication is by Montgomery's reduction, so no
// division whose time depends on the operands is used.
template <std::uint64_t kP>
struct PrimeField {
  static_assert(kP > 2 && kP % 2 == 1 && kP < (std::uint64_t{1} << 62));
  static constexpr std::uint64_t kPrime = kP;

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
  static constexpr std::uint64_t kPrime = kMersenne61;

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
};
using ShareField = PrimeField<kMersenne61>;

// a^-1 as a^(p-2); 0 for 0. The exponent is public, so its bits may be branched on.
template <class Field>
constexpr std::uint64_t Inverse(std::uint64_t a) noexcept {
  std::uint64_t result = 1;
  std::uint64_t power = a;
  for (std::uint64_t e = Field::kPrime - 2; e != 0; e >>= 1) {
    if ((e & 1) != 0) result = Field::Mul(result, power);
    power = Field::Mul(power, power);
  }
  return result;
}

}  // namespace demur::secagg
