#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "demur/base/check.h"
#include "demur/base/result.h"
#include "demur/secagg/shamir.h"

// Reed-Solomon decoding by Gao's algorithm (S. Gao, "A new algorithm for decoding Reed-Solomon
// codes", 2003), over the fields of field.h: shares of one secret are a code word, wrong shares are
// errors. For PUBLIC values only: its time follows them. Stateless; safe from several threads.
namespace demur::secagg {

// Polynomials by their coefficients, the constant one first, without zeros at the top: the zero
// polynomial is empty.
template <class Field>
using Polynomial = std::vector<typename Field::Element>;

template <class Field>
void Trim(Polynomial<Field>& f) {
  while (!f.empty() && f.back() == typename Field::Element{}) f.pop_back();
}

// Divides `f` by `g` (not zero): `f` becomes the rest, the quotient is returned.
template <class Field>
Polynomial<Field> DivideBy(const Polynomial<Field>& g, Polynomial<Field>& f) {
  Polynomial<Field> quotient;
  if (f.size() < g.size()) return quotient;
  quotient.resize(f.size() - g.size() + 1);
  const typename Field::Element inverse = Inverse<Field>(g.back());
  for (std::size_t shift = quotient.size(); shift-- > 0;) {
    const typename Field::Element factor = Field::Mul(f[shift + g.size() - 1], inverse);
    quotient[shift] = factor;
    for (std::size_t i = 0; i < g.size(); ++i) {
      f[shift + i] = Field::Sub(f[shift + i], Field::Mul(factor, g[i]));
    }
  }
  Trim<Field>(f);
  return quotient;
}

// f -= a * b.
template <class Field>
void SubtractProduct(const Polynomial<Field>& a, const Polynomial<Field>& b, Polynomial<Field>& f) {
  if (a.empty() || b.empty()) return;
  f.resize(std::max(f.size(), a.size() + b.size() - 1));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) {
      f[i + j] = Field::Sub(f[i + j], Field::Mul(a[i], b[j]));
    }
  }
  Trim<Field>(f);
}

// One set of points, any number of words over it.
template <class Field>
class ReedSolomon {
 public:
  using Element = typename Field::Element;

  struct Decoded {
    std::vector<Element> coefficients;  // `threshold` many
    std::vector<std::size_t> wrong;     // positions whose value the polynomial does not take
  };

  // kInvalidArgument: a point that is no element of the field or there twice.
  static Result<ReedSolomon> Create(std::span<const Element> xs) {
    std::vector<Element> weights = PointDistances<Field>(xs);
    if (!std::all_of(xs.begin(), xs.end(), [](const Element& x) { return Field::IsElement(x); }) ||
        !InvertAll<Field>(weights)) {
      return Error(ErrorCode::kInvalidArgument, "points of a code must be distinct");
    }
    return ReedSolomon(xs, std::move(weights));
  }

  // The polynomial of degree below `threshold` that takes all but at most (m - threshold) / 2 of
  // the m values `ys` (elements, one a point): there is at most one. None: nullopt.
  // 1 <= threshold <= m.
  std::optional<Decoded> Decode(std::span<const Element> ys, std::size_t threshold) const {
    const std::size_t m = xs_.size();
    DEMUR_CHECK(threshold >= 1 && threshold <= m && ys.size() == m, "1 <= threshold <= values");
    DEMUR_CHECK(std::all_of(ys.begin(), ys.end(), Field::IsElement), "values are elements");
    // Euclid on the product of X - x_i and the interpolant keeps rest = v y at every point. Below
    // degree (m + threshold) / 2 the rest is v f, and v has at most (m - threshold) / 2 zeros: a
    // value that f does not take lies at one of them, so more are never wrong.
    Polynomial<Field> previous = zeros_;
    Polynomial<Field> rest = Interpolate(ys);
    Polynomial<Field> previous_v;
    Polynomial<Field> v = {Field::kOne};
    while (!rest.empty() && 2 * (rest.size() - 1) >= m + threshold) {
      const Polynomial<Field> quotient = DivideBy<Field>(rest, previous);
      SubtractProduct<Field>(quotient, v, previous_v);
      std::swap(previous, rest);
      std::swap(previous_v, v);
    }
    Decoded out{.coefficients = DivideBy<Field>(v, rest), .wrong = {}};
    if (!rest.empty() || out.coefficients.size() > threshold) return std::nullopt;
    out.coefficients.resize(threshold);
    std::vector<Element> taken(m);
    EvaluateAll<Field>(out.coefficients, xs_, taken);
    for (std::size_t i = 0; i < m; ++i) {
      if (taken[i] != ys[i]) out.wrong.push_back(i);
    }
    return out;
  }

 private:
  ReedSolomon(std::span<const Element> xs, std::vector<Element> weights)
      : xs_(xs.begin(), xs.end()), weights_(std::move(weights)), zeros_{Field::kOne} {
    if (xs_.size() % 2 == 0) {  // weights_ is made of xs[j] - xs[i]: an odd number of signs
      for (Element& weight : weights_) weight = Field::Sub(Element{}, weight);
    }
    for (const Element& x : xs_) {
      zeros_.insert(zeros_.begin(), Element{});
      for (std::size_t i = 0; i + 1 < zeros_.size(); ++i) {
        zeros_[i] = Field::Sub(zeros_[i], Field::Mul(x, zeros_[i + 1]));
      }
    }
  }

  // The polynomial of degree below m that takes every value: sum of y_i w_i zeros / (X - x_i).
  Polynomial<Field> Interpolate(std::span<const Element> ys) const {
    const std::size_t m = xs_.size();
    Polynomial<Field> sum(m);
    for (std::size_t i = 0; i < m; ++i) {
      const Element factor = Field::Mul(ys[i], weights_[i]);
      Element coefficient{};
      for (std::size_t j = m; j-- > 0;) {
        coefficient = Field::Add(zeros_[j + 1], Field::Mul(coefficient, xs_[i]));
        sum[j] = Field::Add(sum[j], Field::Mul(factor, coefficient));
      }
    }
    Trim<Field>(sum);
    return sum;
  }

  std::vector<Element> xs_;
  std::vector<Element> weights_;  // 1 / product of x_i - x_j
  Polynomial<Field> zeros_;       // the product of X - x_i
};

}  // namespace demur::secagg
