#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "demur/base/result.h"
#include "demur/model/plan.h"

// What a plan's integers cost: Skellam RDP at integer orders, composition by adding integers, and
// the conversion to (epsilon, delta). Unit: one enrolled identity; adjacency: zero-out. Curves are
// integers, so every device, server and replay agrees to the last bit. A number that cannot be
// proved is refused, never printed. Stateless; safe from several threads.
namespace demur::dp {

// Orders of the curves: every integer from 2 to 64, then sparser to 512.
inline constexpr std::size_t kNumOrders = 76;
std::span<const std::uint32_t, kNumOrders> Orders() noexcept;

// RDP and epsilon are held in units of 2^-40.
inline constexpr int kEpsilonFractionBits = 40;
inline constexpr double kEpsilonUnit = 0x1p-40;
// A curve's values stay at or below this, so that conversions cannot overflow.
inline constexpr std::uint64_t kCurveUnitsMax = std::uint64_t{1} << 62;

// RDP at Orders(), in units of 2^-40, rounded up. All zero: nothing was released.
struct RdpCurve {
  std::array<std::uint64_t, kNumOrders> units{};

  friend auto operator<=>(const RdpCurve&, const RdpCurve&) = default;
  // this += count * other. kResourceExhausted: a value passes 2^62, and nothing is changed.
  Status Add(const RdpCurve& other, std::uint64_t count = 1);
};

// One release of a noised sum, in the plan's integers.
struct SkellamCharge {
  std::uint64_t l2_sq = 0;  // L2 sensitivity squared
  std::uint64_t l1 = 0;     // L1 sensitivity
  std::uint64_t mu = 0;     // variance of the honest noise in the sum

  friend auto operator<=>(const SkellamCharge&, const SkellamCharge&) = default;
};

// Honest survivors that the noise is sized for and charged with, whatever the real number:
// floor((1 - dropout - corrupt) * roster_min). 0 when the fractions leave nobody.
std::uint32_t HonestSurvivors(const model::SecAggPlan& secagg) noexcept;

// The charge of one session of this plan; nullopt when the plan has no noise. L1 is the smaller of
// l1_max and l2_sq_max (integers: |v| <= v^2).
// kInvalidArgument: no honest survivor, or the plan's integers are out of range.
Result<std::optional<SkellamCharge>> ChargeOf(const model::Plan& plan);

// The same of the round's other session; nullopt also when the round has only one.
Result<std::optional<SkellamCharge>> OtherChargeOf(const model::Plan& plan);

// Theorem 3.5 of "The Skellam Mechanism" (Agarwal, Kairouz, Liu 2021), in exact integers, rounded
// up. kInvalidArgument: mu == 0, or the curve would pass 2^62 units.
Result<RdpCurve> CurveOf(const SkellamCharge& charge);

// What a whole round of this plan costs who takes part in all its sessions; zeros without noise.
// kInvalidArgument: as ChargeOf and CurveOf.
Result<RdpCurve> RoundCurveOf(const model::Plan& plan);

// For a person only: epsilon(order) of the same theorem in floating point, with sensitivities and
// variance in real units and integer scale `scale`. Used against published tables.
double SkellamRdp(double order, double l2_sq, double l1, double variance, double scale);

// What a task promises, and what the errors of its sampler are multiplied with.
struct TaskBudget {
  double epsilon = 0;
  double delta = 0;
  std::uint64_t population = 0;          // N; delta must be below 0.1 / N
  std::uint32_t participations_max = 0;  // k: charged rounds per identity
  std::uint32_t rounds_max = 0;          // T
  std::uint32_t roster_max = 0;          // n
  std::uint32_t dim = 0;                 // d, coordinates of a round, all its sessions together
  bool weak_privacy = false;             // epsilon above 10 was asked for in so many words

  // kInvalidArgument: a number is not finite or not positive, delta >= 0.1 / N, k > T, n > N,
  // epsilon above 10 without weak_privacy.
  Status Validate() const;
  friend bool operator==(const TaskBudget&, const TaskBudget&) = default;
};
// The promise of `plan`, whose own session has `dim` coordinates, to a population of `population`.
TaskBudget BudgetOf(const model::Plan& plan, std::uint32_t dim, std::uint64_t population);

// n T d (1 + e^epsilon) TV + k e^-64: what table and retries take from delta.
double SamplerDelta(const TaskBudget& budget, double epsilon);

// RDP -> (epsilon, delta), Canonne, Kamath, Steinke 2020, proposition 12, at one delta. The
// logarithms are taken once, rounded outward and kept as integers.
class DpConversion {
 public:
  // kInvalidArgument: delta is not in (0, 1).
  static Result<DpConversion> Create(double delta);

  // Least epsilon over the orders, units of 2^-40, rounded up.
  std::uint64_t EpsilonUnits(const RdpCurve& total) const noexcept;
  // The order at which it is reached.
  std::uint32_t BestOrder(const RdpCurve& total) const noexcept;
  double delta() const noexcept { return delta_; }

 private:
  DpConversion() = default;
  std::array<std::int64_t, kNumOrders> offset_{};  // units of 2^-40, rounded up
  double delta_ = 0;
};
// The other direction for a fixed epsilon >= 0: least delta over the orders, rounded up.
double DeltaAt(const RdpCurve& total, double epsilon);

// Never to be printed without unit, adjacency, delta, mechanism and participation.
struct EpsilonReport {
  double upper = 0;  // proved: the identity's loss is at most this
  double lower = 0;  // proved: an explicit distinguisher gets this much
  double delta = 0;
  double sampler_delta = 0;  // part of delta that table and retries took
  std::uint32_t order = 0;
  std::uint32_t participations = 0;
  bool weak_privacy = false;

  static constexpr std::string_view kUnit = "enrolled identity";
  static constexpr std::string_view kAdjacency = "zero-out";
  static constexpr std::string_view kMechanism = "distributed Skellam, RDP composition";
};

// Epsilon at budget.delta of `participations` releases of `charge` (at most
// budget.participations_max).
// kInvalidArgument: the budget is invalid or participations exceed it. kResourceExhausted: the
// curve overflows, the sampler's error passes delta / 2, or epsilon passes 10 without weak_privacy.
// kInternal: lower > upper, which would be a bug of ours.
Result<EpsilonReport> EpsilonOf(const SkellamCharge& charge, std::uint32_t participations,
                                const TaskBudget& budget);

// The same for a composed curve: `total` is what the identity may have lost, `charge` one release
// that was made `participations` times (the lower bound looks at these alone).
Result<EpsilonReport> ReportOf(const RdpCurve& total, const SkellamCharge& charge,
                               std::uint32_t participations, const TaskBudget& budget);

// Greatest epsilon that the distinguisher proves at `delta` for `participations` releases: it adds
// one coordinate over the rounds, which gives Skellam(k mu), shifted by k D or not,
// D = min(floor(sqrt(l2_sq)), l1). Rounded down; 0 when it proves nothing.
double EpsilonLowerBound(const SkellamCharge& charge, std::uint32_t participations, double delta);
// P(X >= x) for X ~ Skellam(variance), relative error below 1e-10. variance > 0.
double SkellamUpperTail(double variance, std::int64_t x);

}  // namespace demur::dp
