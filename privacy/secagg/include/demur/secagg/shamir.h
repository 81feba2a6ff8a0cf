#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/secagg/field.h"

// Shamir's secret sharing (docs/protocol.md, "Shares"). The polynomial part is a template over the
// field; the protocol shares 32-byte secrets as five limbs over 2^61 - 1. Stateless; safe from
// several threads.
namespace demur::secagg {

inline constexpr std::size_t kSecretLimbs = 5;
inline constexpr std::size_t kSecretShareLen = 8 * kSecretLimbs;

// Value at `x` of coefficients[0] + coefficients[1] x + ...
template <class Field>
constexpr std::uint64_t Evaluate(std::span<const std::uint64_t> coefficients,
                                 std::uint64_t x) noexcept {
  std::uint64_t y = 0;
  for (std::size_t i = coefficients.size(); i-- > 0;) {
    y = Field::Add(Field::Mul(y, x), coefficients[i]);
  }
  return y;
}

// w[i] with f(0) = sum w[i] f(xs[i]) for every polynomial f of degree below xs.size().
// kInvalidArgument: an x that is 0, not below the prime, or there twice.
template <class Field>
Result<std::vector<std::uint64_t>> LagrangeAtZero(std::span<const std::uint64_t> xs) {
  const Error bad(ErrorCode::kInvalidArgument, "share points must be distinct and not zero");
  if (std::any_of(xs.begin(), xs.end(), [](auto x) { return x == 0 || x >= Field::kPrime; })) {
    return bad;
  }
  std::vector<std::uint64_t> weights(xs.size());
  for (std::size_t i = 0; i < xs.size(); ++i) {
    std::uint64_t numerator = 1;
    std::uint64_t denominator = 1;
    for (std::size_t j = 0; j < xs.size(); ++j) {
      if (j == i) continue;
      numerator = Field::Mul(numerator, xs[j]);
      denominator = Field::Mul(denominator, Field::Sub(xs[j], xs[i]));
    }
    if (denominator == 0) return bad;
    weights[i] = Field::Mul(numerator, Inverse<Field>(denominator));
  }
  return weights;
}

using SecretShare = SecretArray<kSecretShareLen>;

// Shares of `secret` for the points `xs` (distinct, 1 to 2^32 - 1), any `threshold` of which open
// it and fewer tell nothing. 1 <= threshold <= xs.size() (checked). Coefficients are drawn from
// `coins`, which must be uniform and secret. kInternal: the stream failed.
Result<std::vector<SecretShare>> SplitSecret(const SecretArray<32>& secret, std::uint32_t threshold,
                                             std::span<const std::uint32_t> xs,
                                             RandomStream& coins);

struct HeldShare {
  std::uint32_t x = 0;
  const SecretShare* share = nullptr;  // borrowed
};

// The secret behind `shares`, all of which are used: give exactly as many as the threshold was.
// Shares come from peers. kInvalidArgument: none, a point that is zero or twice, or a limb that is
// no element of the field. kDataLoss: they belong to no 32-byte secret. A wrong share is otherwise
// NOT noticed here: compare the secret with what its owner committed to.
Result<SecretArray<32>> OpenSecret(std::span<const HeldShare> shares);

}  // namespace demur::secagg
