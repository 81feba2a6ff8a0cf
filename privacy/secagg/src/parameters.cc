#include "demur/secagg/parameters.h"

#include <algorithm>
#include <string>

#include "scaled.h"

namespace demur::secagg {
namespace {

using internal::Scaled;

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
