#include "demur/secagg/parameters.h"

#include <algorithm>
#include <string>
#include <vector>

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

// 2^-bits / n: what is left for each member of a union over all.
Scaled PerMember(int bits, std::uint32_t n) {
  Scaled out = Scaled::PowerOfTwo(-bits);
  out /= static_cast<double>(n);
  return out;
}

// log2(v) for v > 0, to 2^-44: squares of the mantissa give the bits of the fraction.
double Log2(double v) {
  int exponent = 0;
  double mantissa = 2 * std::frexp(v, &exponent);  // 1 to 2
  double out = exponent - 1;
  for (double bit = 0.5; bit > 1e-13; bit /= 2) {
    mantissa *= mantissa;
    if (mantissa >= 2) {
      mantissa /= 2;
      out += bit;
    }
  }
  return out;
}

// At s - 1: the least degree at which, except with 2^-sigma, no set of s honest members has all its
// edges inside itself, the corrupt and a set of dropouts that the server picks: the union over such
// sets and dropouts, C(h, s) C(h - s, delta n) (gamma + delta + s/n)^(k s), is at most 2^-sigma.
// s: 1 to half of the honest that stay, since one of two parts is no larger than that. Empty: none
// stays.
std::vector<double> DegreesThatRuleOut(std::uint32_t n, const Assumptions& assume) {
  const std::uint32_t honest = n - Share(assume.corrupt_permille, n);
  const std::uint32_t dropped = Share(assume.dropout_permille, n);
  std::vector<double> out;
  if (honest <= dropped) return out;
  const double bad = (assume.corrupt_permille + assume.dropout_permille) / 1000.0;
  double sets = 0;   // log2 C(honest, s)
  double drops = 0;  // log2 C(honest - s, dropped)
  for (std::uint32_t i = 0; i < dropped; ++i) {
    drops += Log2(static_cast<double>(honest - i)) - Log2(static_cast<double>(i + 1));
  }
  for (std::uint32_t s = 1; s <= (honest - dropped) / 2; ++s) {
    sets += Log2(static_cast<double>(honest - s + 1)) - Log2(static_cast<double>(s));
    drops += Log2(static_cast<double>(honest - s + 1 - dropped)) -
             Log2(static_cast<double>(honest - s + 1));
    const double per_edge = -Log2(bad + s / static_cast<double>(n));
    const double degree = (sets + drops + assume.sigma) / (s * per_edge);
    out.push_back(per_edge > 0 ? degree : static_cast<double>(n));
  }
  return out;
}

Error Bad(const std::string& what) { return Error(ErrorCode::kInvalidArgument, "secagg: " + what); }

}  // namespace

std::optional<GraphDegree> FindRingParameters(std::uint32_t n, const Assumptions& assume) {
  if (assume.corrupt_permille + assume.dropout_permille > 900 || n < 4) return std::nullopt;
  const std::uint32_t corrupt = Share(assume.corrupt_permille, n);
  const std::uint32_t dropped = Share(assume.dropout_permille, n);
  const std::uint32_t survivors = n - dropped;  // ceil((1 - delta) n)
  const int sigma = static_cast<int>(assume.sigma);
  const Scaled cut_bound = Scaled::PowerOfTwo(-(sigma + 1));
  const Scaled corrupt_bound = PerMember(sigma + 1, n);
  const Scaled survive_bound = PerMember(static_cast<int>(assume.eta), n);
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
    if (least_alive > most_corrupt) return GraphDegree{k, std::max(most_corrupt + 1, 2U)};
  }
  return std::nullopt;
}

std::optional<GraphDegree> FindExpanderParameters(std::uint32_t n, const Assumptions& assume) {
  const std::uint32_t corrupt = Share(assume.corrupt_permille, n);
  const std::uint32_t dropped = Share(assume.dropout_permille, n);
  if (n < 4 || corrupt + dropped >= n) return std::nullopt;
  const std::vector<double> needed = DegreesThatRuleOut(n, assume);
  if (needed.empty()) return std::nullopt;
  const Scaled corrupt_bound = PerMember(static_cast<int>(assume.sigma) + 1, n);
  const Scaled survive_bound = PerMember(static_cast<int>(assume.eta), n);
  // needed[s - 1] falls as s grows, but for the last few sizes; the largest that k leaves open
  // counts.
  for (std::uint32_t k = 2; k < n - 1; k += 2) {
    std::uint32_t open = static_cast<std::uint32_t>(needed.size());
    while (open > 0 && needed[open - 1] <= static_cast<double>(k)) --open;
    if (open == needed.size()) continue;  // nothing is ruled out
    const std::uint32_t most_corrupt = UpperQuantile(Hypergeometric(n, corrupt, k), corrupt_bound);
    const std::uint32_t threshold = std::max(most_corrupt + open, 2U);
    const std::uint32_t least_alive =
        LowerQuantile(Hypergeometric(n, n - dropped, k), survive_bound);
    if (least_alive >= threshold) return GraphDegree{k, threshold};
  }
  return std::nullopt;
}

std::optional<CommitteeSize> FindCommittee(std::uint32_t n, const Assumptions& assume) {
  const std::uint32_t corrupt = Share(assume.corrupt_permille, n);
  const std::uint32_t dropped = Share(assume.dropout_permille, n);
  if (corrupt + dropped >= n) return std::nullopt;
  const Scaled corrupt_bound = Scaled::PowerOfTwo(-static_cast<int>(assume.sigma));
  const Scaled survive_bound = Scaled::PowerOfTwo(-static_cast<int>(assume.eta));
  for (std::uint32_t m = 2; m <= n; m += 2) {
    const std::uint32_t most_corrupt = UpperQuantile(Hypergeometric(n, corrupt, m), corrupt_bound);
    const std::uint32_t quorum = (m + most_corrupt) / 2 + 1;
    const std::uint32_t least_alive =
        LowerQuantile(Hypergeometric(n, n - dropped, m), survive_bound);
    if (least_alive >= quorum) return CommitteeSize{m, quorum};
  }
  return std::nullopt;
}

namespace {

Status SemiHonest(std::uint32_t n, const Assumptions& assume, Parameters* out) {
  const auto ring = FindRingParameters(n, assume);
  if (!ring) return Bad("no graph holds under the plan's corrupt and dropout fractions");
  out->graph = GraphKind::kRing;
  out->neighbours = ring->neighbours;
  out->threshold = ring->threshold;
  return {};
}

Status Malicious(std::uint32_t n, const Assumptions& assume, Parameters* out) {
  if (n <= kCompleteMax) {
    const std::uint32_t majority = (n + Share(assume.corrupt_permille, n)) / 2 + 1;
    out->graph = GraphKind::kComplete;
    out->neighbours = n - 1;
    out->threshold = majority;
    out->committee = n;
    out->quorum = majority;
    return {};
  }
  const auto expander = FindExpanderParameters(n, assume);
  const auto committee = FindCommittee(n, assume);
  if (!expander || !committee) {
    return Bad("no graph and committee hold under the plan's corrupt and dropout fractions");
  }
  out->graph = GraphKind::kExpander;
  out->neighbours = expander->neighbours;
  out->threshold = expander->threshold;
  out->committee = committee->members;
  out->quorum = committee->quorum;
  return {};
}

}  // namespace

Result<Parameters> ComputeParameters(std::uint32_t n, const model::SecAggPlan& plan) {
  if (n < kRosterFloor || n < plan.roster_min || n > plan.roster_max) {
    return Bad("a roster of " + std::to_string(n) + " is outside the plan's");
  }
  const Assumptions assume{plan.corrupt_permille, plan.dropout_permille, plan.sigma, plan.eta};
  Parameters out;
  out.survivors_min = plan.SurvivorsMin(n);
  DEMUR_RETURN_IF_ERROR(plan.profile == model::SecAggProfile::kMalicious
                            ? Malicious(n, assume, &out)
                            : SemiHonest(n, assume, &out));
  // A member opens nothing of its own, so one survivor less counts. On a complete graph everybody
  // signs and the quorum is the threshold, so this covers it as well.
  if (out.survivors_min < out.threshold + 1) {
    return Bad("the smallest survivor set allowed could not open a secret of threshold " +
               std::to_string(out.threshold));
  }
  return out;
}

std::string_view ToString(GraphKind graph) noexcept {
  switch (graph) {
    case GraphKind::kRing:
      return "published";
    case GraphKind::kComplete:
      return "complete";
    case GraphKind::kExpander:
      return "unreviewed";
  }
  return "unknown";
}

}  // namespace demur::secagg
