#include "demur/secagg/parameters.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace demur::secagg {
namespace {

// A non-negative number with an exponent of its own: probabilities here go down to 2^-4000, far
// below the smallest double. frexp and ldexp are exact, so every result is one rounding of IEEE
// operations and the same on every machine.
class Scaled {
 public:
  Scaled() = default;
  explicit Scaled(double value) : mantissa_(value) { Normalise(); }
  static Scaled PowerOfTwo(int exponent) {
    Scaled out(1.0);
    out.exponent_ += exponent;
    return out;
  }

  Scaled& operator*=(const Scaled& other) {
    mantissa_ *= other.mantissa_;
    exponent_ += other.exponent_;
    Normalise();
    return *this;
  }
  Scaled& operator/=(double divisor) {
    mantissa_ /= divisor;
    Normalise();
    return *this;
  }
  Scaled& operator*=(double factor) {
    mantissa_ *= factor;
    Normalise();
    return *this;
  }
  Scaled& operator+=(const Scaled& other) {
    if (other.mantissa_ == 0) return *this;
    if (mantissa_ == 0) return *this = other;
    const Scaled& large = exponent_ >= other.exponent_ ? *this : other;
    const Scaled& small = exponent_ >= other.exponent_ ? other : *this;
    const long gap = std::min(large.exponent_ - small.exponent_, 2000L);
    mantissa_ = large.mantissa_ + std::ldexp(small.mantissa_, -static_cast<int>(gap));
    exponent_ = large.exponent_;
    Normalise();
    return *this;
  }
  friend bool operator<(const Scaled& a, const Scaled& b) {
    if (a.mantissa_ == 0 || b.mantissa_ == 0) return a.mantissa_ < b.mantissa_;
    if (a.exponent_ != b.exponent_) return a.exponent_ < b.exponent_;
    return a.mantissa_ < b.mantissa_;
  }

 private:
  void Normalise() {
    int shift = 0;
    mantissa_ = std::frexp(mantissa_, &shift);
    exponent_ = mantissa_ == 0 ? 0 : exponent_ + shift;
  }
  double mantissa_ = 0;
  long exponent_ = 0;
};

// (a)_m / (b)_m = a (a-1) .. (a-m+1) / (b (b-1) .. (b-m+1)); zero when m > a.
Scaled FallingRatio(std::uint32_t a, std::uint32_t b, std::uint32_t m) {
  if (m > a) return {};
  Scaled out(1.0);
  for (std::uint32_t i = 0; i < m; ++i) {
    out *= static_cast<double>(a - i);
    out /= static_cast<double>(b - i);
  }
  return out;
}

// X of `k` draws without replacement out of `n`, of which `marked` count.
class Hypergeometric {
 public:
  Hypergeometric(std::uint32_t n, std::uint32_t marked, std::uint32_t k)
      : n_(n), marked_(marked), k_(k) {}

  std::uint32_t smallest() const { return k_ > n_ - marked_ ? k_ - (n_ - marked_) : 0; }
  std::uint32_t largest() const { return std::min(marked_, k_); }
  Scaled AtSmallest() const {
    return k_ > n_ - marked_ ? FallingRatio(k_, n_, n_ - marked_)
                             : FallingRatio(n_ - marked_, n_, k_);
  }
  Scaled AtLargest() const {
    return marked_ < k_ ? FallingRatio(k_, n_, marked_) : FallingRatio(marked_, n_, k_);
  }
  // P[x + 1] from P[x], and P[x - 1] from P[x].
  void Up(std::uint32_t x, Scaled* p) const {
    *p *= static_cast<double>(marked_ - x);
    *p *= static_cast<double>(k_ - x);
    *p /= static_cast<double>(x + 1);
    *p /= static_cast<double>(n_ - marked_ + x + 1 - k_);
  }
  void Down(std::uint32_t x, Scaled* p) const {
    *p *= static_cast<double>(x);
    *p *= static_cast<double>(n_ - marked_ + x - k_);
    *p /= static_cast<double>(marked_ - x + 1);
    *p /= static_cast<double>(k_ - x + 1);
  }

 private:
  std::uint32_t n_, marked_, k_;
};

// Least x with P[X > x] <= bound.
std::uint32_t UpperQuantile(const Hypergeometric& law, const Scaled& bound) {
  std::uint32_t x = law.largest();
  Scaled p = law.AtLargest();
  Scaled tail;
  while (x > law.smallest()) {
    tail += p;  // P[X > x - 1]
    if (bound < tail) break;
    law.Down(x, &p);
    --x;
  }
  return x;
}

// Greatest x with P[X < x] <= bound.
std::uint32_t LowerQuantile(const Hypergeometric& law, const Scaled& bound) {
  std::uint32_t x = law.smallest();
  Scaled p = law.AtSmallest();
  Scaled tail;
  while (x < law.largest()) {
    tail += p;  // P[X < x + 1]
    if (bound < tail) break;
    law.Up(x, &p);
    ++x;
  }
  return x;
}

std::uint32_t Share(std::uint32_t permille, std::uint32_t n) {
  return static_cast<std::uint32_t>(std::uint64_t{permille} * n / 1000);
}

Error Bad(const std::string& what) { return Error(ErrorCode::kInvalidArgument, "secagg: " + what); }

}  // namespace

std::optional<RingParameters> FindRingParameters(std::uint32_t n, const Assumptions& assume) {
  if (assume.corrupt_permille + assume.dropout_permille > 900 || n < 4) return std::nullopt;
  const std::uint32_t corrupt = Share(assume.corrupt_permille, n);
  const std::uint32_t dropped = Share(assume.dropout_permille, n);
  const std::uint32_t survivors = n - dropped;  // ceil((1 - delta) n)
  const int sigma = static_cast<int>(assume.sigma);
  const Scaled cut_bound = Scaled::PowerOfTwo(-(sigma + 1));
  Scaled corrupt_bound = cut_bound;
  corrupt_bound /= static_cast<double>(n);
  Scaled survive_bound = Scaled::PowerOfTwo(-static_cast<int>(assume.eta));
  survive_bound /= static_cast<double>(n);
  for (std::uint32_t k = 2; k < n - 1; k += 2) {
    // A ring falls apart only at two disjoint runs of k / 2 bad members: a union over pairs of
    // gaps.
    Scaled cut = FallingRatio(corrupt + dropped, n, k);
    cut *= static_cast<double>(n);
    cut *= static_cast<double>(n - k - 1);
    cut /= 2.0;
    if (!(cut < cut_bound)) continue;
    const std::uint32_t most_corrupt = UpperQuantile(Hypergeometric(n, corrupt, k), corrupt_bound);
    const std::uint32_t least_alive = LowerQuantile(Hypergeometric(n, survivors, k), survive_bound);
    if (least_alive > most_corrupt) return RingParameters{k, std::max(most_corrupt + 1, 2U)};
  }
  return std::nullopt;
}

Result<Parameters> ComputeParameters(std::uint32_t n, const model::SecAggPlan& plan) {
  if (plan.profile != model::SecAggProfile::kSemiHonest) {
    return Error(ErrorCode::kUnimplemented,
                 "secagg: profile " + std::string(model::ToString(plan.profile)));
  }
  if (n < kRosterFloor || n < plan.roster_min || n > plan.roster_max) {
    return Bad("a roster of " + std::to_string(n) + " is outside the plan's");
  }
  Parameters out;
  out.survivors_min = plan.SurvivorsMin(n);
  const auto ring =
      FindRingParameters(n, {plan.corrupt_permille, plan.dropout_permille, plan.sigma, plan.eta});
  if (!ring) return Bad("no graph holds under the plan's corrupt and dropout fractions");
  out.neighbours = ring->neighbours;
  out.threshold = ring->threshold;
  // A member opens nothing of its own, so one survivor less counts.
  if (out.survivors_min < out.threshold + 1) {
    return Bad("the smallest survivor set allowed could not open a secret of threshold " +
               std::to_string(out.threshold));
  }
  return out;
}

}  // namespace demur::secagg
