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

// Values at the points `xs` of coefficients[0] + coefficients[1] x + ..., to ys[0, xs.size()).
// Four points at a time, so that one multiplication need not wait for the one before it.
template <class Field>
constexpr void EvaluateAll(std::span<const typename Field::Element> coefficients,
                           std::span<const typename Field::Element> xs,
                           std::span<typename Field::Element> ys) noexcept {
  constexpr std::size_t kLanes = 4;
  for (std::size_t first = 0; first < xs.size(); first += kLanes) {
    const std::size_t lanes = std::min(kLanes, xs.size() - first);
    std::array<typename Field::Element, kLanes> x{};
    std::array<typename Field::Element, kLanes> y{};
    std::copy_n(xs.begin() + static_cast<std::ptrdiff_t>(first), lanes, x.begin());
    for (std::size_t i = coefficients.size(); i-- > 0;) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        y[lane] = Field::MulAdd(y[lane], x[lane], coefficients[i]);
      }
    }
    for (std::size_t lane = 0; lane < lanes; ++lane) ys[first + lane] = Field::Reduce(y[lane]);
  }
}

// Value at `x` of coefficients[0] + coefficients[1] x + ...
template <class Field>
constexpr typename Field::Element Evaluate(std::span<const typename Field::Element> coefficients,
                                           typename Field::Element x) noexcept {
  typename Field::Element y{};
  for (std::size_t i = coefficients.size(); i-- > 0;) y = Field::MulAdd(y, x, coefficients[i]);
  return Field::Reduce(y);
}

// Replaces each value by its inverse, at the price of one inversion and three products a value.
// False, and nothing is changed, when one of them is 0.
template <class Field>
[[nodiscard]] bool InvertAll(std::span<typename Field::Element> values) {
  using Element = typename Field::Element;
  std::vector<Element> before(values.size());  // the product of all values before
  Element product = Field::kOne;
  for (std::size_t i = 0; i < values.size(); ++i) {
    before[i] = product;
    product = Field::Mul(product, values[i]);
  }
  if (product == Element{}) return false;
  Element inverse = Inverse<Field>(product);
  for (std::size_t i = values.size(); i-- > 0;) {
    const Element next = Field::Mul(inverse, values[i]);
    values[i] = Field::Mul(inverse, before[i]);
    inverse = next;
  }
  return true;
}

// out[i] = the product of xs[j] - xs[i] over all j but i. Points are public.
template <class Field>
std::vector<typename Field::Element> PointDistances(std::span<const typename Field::Element> xs) {
  std::vector<typename Field::Element> out(xs.size(), Field::kOne);
  for (std::size_t j = 0; j < xs.size(); ++j) {  // j outside: the products do not wait for another
    for (std::size_t i = 0; i < xs.size(); ++i) {
      if (i != j) out[i] = Field::Mul(out[i], Field::Sub(xs[j], xs[i]));
    }
  }
  return out;
}

// w[i] with f(0) = sum w[i] f(xs[i]) for every polynomial f of degree below xs.size().
// kInvalidArgument: an x that is 0, no element of the field, or there twice.
template <class Field>
Result<std::vector<typename Field::Element>> LagrangeAtZero(
    std::span<const typename Field::Element> xs) {
  using Element = typename Field::Element;
  std::vector<Element> weights = PointDistances<Field>(xs);
  Element product = Field::kOne;
  bool sound = true;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    sound = sound && Field::IsElement(xs[i]);
    product = Field::Mul(product, xs[i]);
    weights[i] = Field::Mul(weights[i], xs[i]);
  }
  // A point that is 0 or there twice makes a product 0.
  if (!sound || !InvertAll<Field>(weights)) {
    return Error(ErrorCode::kInvalidArgument, "share points must be distinct and not zero");
  }
  for (Element& weight : weights) weight = Field::Mul(weight, product);
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

struct RobustOpening {
  SecretArray<32> secret;
  std::vector<std::uint32_t> wrong_points;  // of the shares that do not belong to it, as given
};

// The secret behind `shares` although some are wrong: Reed-Solomon decoding limb by limb over all m
// of them, m >= threshold. A share is wrong when any of its limbs is. Up to (m - threshold) / 2
// wrong shares, rounded down, are found and left out; with m == threshold none can be.
// kInvalidArgument: fewer shares than the threshold, a threshold of 0, or a point that is zero or
// there twice. kDataLoss: more are wrong than that, or they belong to no 32-byte secret.
// More wrong shares than that can also agree on another secret: compare the secret with what its
// owner committed to. Shares and secret are public here (whoever opens has been shown them), so the
// time of the decoding follows their values.
Result<RobustOpening> OpenSecretRobust(std::span<const HeldShare> shares, std::uint32_t threshold);

}  // namespace demur::secagg
