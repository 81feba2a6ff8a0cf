#include "demur/dp/accountant.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "demur/dp/decoder.h"
#include "demur/dp/skellam.h"

namespace demur::dp {
namespace {

__extension__ using Uint128 = unsigned __int128;

constexpr double kStrongEpsilonMax = 10;

constexpr std::array<std::uint32_t, kNumOrders> MakeOrders() {
  std::array<std::uint32_t, kNumOrders> orders{};
  std::size_t i = 0;
  for (std::uint32_t a = 2; a <= 64; ++a) orders[i++] = a;
  for (const std::uint32_t a :
       {72U, 80U, 96U, 112U, 128U, 160U, 192U, 224U, 256U, 320U, 384U, 448U, 512U}) {
    orders[i++] = a;
  }
  return orders;
}
constexpr std::array<std::uint32_t, kNumOrders> kOrders = MakeOrders();
static_assert(kOrders.back() == 512);

Error Bad(const std::string& what) { return Error(ErrorCode::kInvalidArgument, what); }

bool Positive(double value) { return std::isfinite(value) && value > 0; }

// ceil(numerator * 2^40 / denominator). numerator below 2^88, so that nothing overflows.
Uint128 UnitsUp(Uint128 numerator, Uint128 denominator) {
  return ((numerator << kEpsilonFractionBits) + denominator - 1) / denominator;
}

// x moved up by more than the few roundings that made it from terms of size `magnitude`.
double Outward(double x, double magnitude) { return x + 16 * 0x1p-52 * magnitude; }

// What proposition 12 adds to rdp(a): log(1 - 1/a) - log(delta a) / (a - 1), rounded up.
double ConversionOffset(double a, double log_delta) {
  const double first = std::log1p(-1 / a);
  const double second = (log_delta + std::log(a)) / (a - 1);
  return Outward(first - second, std::fabs(first) + std::fabs(log_delta) + std::log(a));
}

}  // namespace

std::span<const std::uint32_t, kNumOrders> Orders() noexcept { return kOrders; }

Status RdpCurve::Add(const RdpCurve& other, std::uint64_t count) {
  RdpCurve sum;
  for (std::size_t i = 0; i < kNumOrders; ++i) {
    const Uint128 value = Uint128{units[i]} + Uint128{other.units[i]} * count;
    if (value > kCurveUnitsMax)
      return Error(ErrorCode::kResourceExhausted, "privacy curve overflows");
    sum.units[i] = static_cast<std::uint64_t>(value);
  }
  *this = sum;
  return {};
}

std::uint32_t HonestSurvivors(const model::SecAggPlan& secagg) noexcept {
  const std::uint64_t gone = std::uint64_t{secagg.dropout_permille} + secagg.corrupt_permille;
  if (gone >= 1000) return 0;
  return static_cast<std::uint32_t>((1000 - gone) * secagg.roster_min / 1000);
}

namespace {

Result<std::optional<SkellamCharge>> ChargeOf(const model::Plan& plan,
                                              const model::EncodingPlan& encoding) {
  if (!plan.privacy.noise) return std::optional<SkellamCharge>();
  if (encoding.noise_variance == 0 || encoding.noise_variance > kMaxNoiseVariance) {
    return Bad("noise_variance is out of range");
  }
  if (encoding.l2_sq_max == 0 || encoding.l1_max == 0) return Bad("l2_sq_max and l1_max: above 0");
  const std::uint32_t honest = HonestSurvivors(plan.secagg);
  if (honest == 0) return Bad("dropout and corrupt fractions leave no honest survivor");
  return std::optional<SkellamCharge>(SkellamCharge{encoding.l2_sq_max,
                                                    std::min(encoding.l1_max, encoding.l2_sq_max),
                                                    encoding.noise_variance * honest});
}

}  // namespace

Result<std::optional<SkellamCharge>> ChargeOf(const model::Plan& plan) {
  return ChargeOf(plan, plan.encoding);
}

Result<std::optional<SkellamCharge>> OtherChargeOf(const model::Plan& plan) {
  if (!plan.session.sparse()) return std::optional<SkellamCharge>();
  return ChargeOf(plan, plan.session.other);
}

Result<RdpCurve> RoundCurveOf(const model::Plan& plan) {
  RdpCurve round;
  DEMUR_TRY(const auto own, ChargeOf(plan));
  DEMUR_TRY(const auto other, OtherChargeOf(plan));
  for (const auto& charge : {own, other}) {
    if (!charge) continue;
    DEMUR_TRY(const RdpCurve curve, CurveOf(*charge));
    DEMUR_RETURN_IF_ERROR(round.Add(curve));
  }
  return round;
}

Result<RdpCurve> CurveOf(const SkellamCharge& charge) {
  // Bounds that keep every product below in 128 bits; real plans are far inside.
  if (charge.mu == 0) return Bad("a charge without noise has no bound");
  if (charge.l2_sq >> 62 != 0 || charge.l1 >> 62 != 0 || charge.mu >> 48 != 0) {
    return Bad("sensitivity or noise variance is out of range");
  }
  RdpCurve curve;
  const Uint128 mu = charge.mu;
  for (std::size_t i = 0; i < kNumOrders; ++i) {
    const std::uint64_t a = kOrders[i];
    const Uint128 gaussian = UnitsUp(Uint128{a} * charge.l2_sq, 2 * mu);
    const Uint128 second =
        UnitsUp(Uint128{2 * a - 1} * charge.l2_sq + Uint128{6} * charge.l1, 4 * mu * mu);
    const Uint128 third = UnitsUp(Uint128{3} * charge.l1, 2 * mu);
    const Uint128 total = gaussian + std::min(second, third);
    if (total > kCurveUnitsMax) return Bad("the round has practically no privacy");
    curve.units[i] = static_cast<std::uint64_t>(total);
  }
  return curve;
}

double SkellamRdp(double order, double l2_sq, double l1, double variance, double scale) {
  const double s2 = scale * scale;
  const double mu = variance * s2;
  const double d2 = l2_sq * s2;
  const double d1 = l1 * scale;
  return order * d2 / (2 * mu) +
         std::min(((2 * order - 1) * d2 + 6 * d1) / (4 * mu * mu), 3 * d1 / (2 * mu));
}

Status TaskBudget::Validate() const {
  if (!Positive(epsilon)) return Bad("epsilon must be > 0");
  if (epsilon > kStrongEpsilonMax && !weak_privacy) {
    return Bad("epsilon above 10 needs weak_privacy = true");
  }
  // Beyond this exp(epsilon) means nothing, and units of 2^-40 would overflow.
  if (epsilon > 200) return Bad("epsilon above 200 is not privacy");
  if (!Positive(delta)) return Bad("delta must be > 0");
  if (population == 0 || roster_max == 0 || dim == 0) {
    return Bad("population, roster_max and dim must be > 0");
  }
  if (!(delta < 0.1 / static_cast<double>(population))) return Bad("delta must be below 0.1 / N");
  if (roster_max > population) return Bad("roster_max is above the population");
  if (rounds_max == 0 || participations_max == 0 || participations_max > rounds_max) {
    return Bad("participations_max: 1 to rounds_max");
  }
  return {};
}

TaskBudget BudgetOf(const model::Plan& plan, std::uint32_t dim, std::uint64_t population) {
  TaskBudget budget;
  budget.epsilon = plan.privacy.epsilon;
  budget.delta = plan.privacy.delta;
  budget.population = population;
  budget.participations_max = plan.privacy.participations_max;
  budget.rounds_max = plan.privacy.rounds_max;
  budget.roster_max = plan.secagg.roster_max;
  budget.dim = dim + plan.session.other_dim;
  budget.weak_privacy = plan.privacy.weak_privacy;
  return budget;
}

double SamplerDelta(const TaskBudget& budget, double epsilon) {
  const double table = static_cast<double>(budget.roster_max) * budget.rounds_max * budget.dim *
                       (1 + std::exp(epsilon)) * kTableDistanceMax;
  const double retries = budget.participations_max * std::exp(-64.0);
  return (table + retries) * (1 + 0x1p-40);
}

Result<DpConversion> DpConversion::Create(double delta) {
  if (!(delta > 0 && delta < 1)) return Bad("delta: between 0 and 1");
  DpConversion conversion;
  conversion.delta_ = delta;
  const double log_delta = std::log(delta);
  for (std::size_t i = 0; i < kNumOrders; ++i) {
    const double offset = ConversionOffset(kOrders[i], log_delta);
    conversion.offset_[i] =
        static_cast<std::int64_t>(std::ceil(std::ldexp(offset, kEpsilonFractionBits)));
  }
  return conversion;
}

std::uint64_t DpConversion::EpsilonUnits(const RdpCurve& total) const noexcept {
  std::int64_t best = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = 0; i < kNumOrders; ++i) {
    // Curves stay at or below 2^62 and offsets below 2^51, so the sum fits.
    best = std::min(best, static_cast<std::int64_t>(total.units[i]) + offset_[i]);
  }
  return best > 0 ? static_cast<std::uint64_t>(best) : 0;
}

std::uint32_t DpConversion::BestOrder(const RdpCurve& total) const noexcept {
  std::size_t best = 0;
  for (std::size_t i = 1; i < kNumOrders; ++i) {
    if (static_cast<std::int64_t>(total.units[i]) + offset_[i] <
        static_cast<std::int64_t>(total.units[best]) + offset_[best]) {
      best = i;
    }
  }
  return kOrders[best];
}

double DeltaAt(const RdpCurve& total, double epsilon) {
  double best = 0;  // log delta; delta is at most 1
  for (std::size_t i = 0; i < kNumOrders; ++i) {
    const double a = kOrders[i];
    const double rdp = static_cast<double>(total.units[i]) * kEpsilonUnit;
    const double log_delta = (a - 1) * (rdp - epsilon + std::log1p(-1 / a)) - std::log(a);
    best = std::min(best, Outward(log_delta, a * (rdp + std::fabs(epsilon) + 1)));
  }
  return std::min(1.0, std::exp(best) * (1 + 0x1p-50));
}

Result<EpsilonReport> EpsilonOf(const SkellamCharge& charge, std::uint32_t participations,
                                const TaskBudget& budget) {
  DEMUR_RETURN_IF_ERROR(budget.Validate());
  if (participations == 0 || participations > budget.participations_max) {
    return Bad("participations: 1 to participations_max");
  }
  DEMUR_TRY(const RdpCurve curve, CurveOf(charge));
  RdpCurve total;
  DEMUR_RETURN_IF_ERROR(total.Add(curve, participations));
  return ReportOf(total, charge, participations, budget);
}

Result<EpsilonReport> ReportOf(const RdpCurve& total, const SkellamCharge& charge,
                               std::uint32_t participations, const TaskBudget& budget) {
  // The sampler's share of delta grows with epsilon, which grows as delta shrinks: take epsilon at
  // delta / 2 for the share, and refuse when the share is more than the other half.
  DEMUR_TRY(const DpConversion cautious, DpConversion::Create(budget.delta / 2));
  const double worst = static_cast<double>(cautious.EpsilonUnits(total)) * kEpsilonUnit;
  EpsilonReport report;
  report.delta = budget.delta;
  report.participations = participations;
  report.weak_privacy = budget.weak_privacy;
  report.sampler_delta = SamplerDelta(budget, worst);
  if (!(report.sampler_delta <= budget.delta / 2)) {
    return Error(ErrorCode::kResourceExhausted, "the sampler's error does not fit delta");
  }
  DEMUR_TRY(const DpConversion conversion,
            DpConversion::Create(budget.delta - report.sampler_delta));
  report.order = conversion.BestOrder(total);
  report.upper = static_cast<double>(conversion.EpsilonUnits(total)) * kEpsilonUnit;
  if (report.upper > kStrongEpsilonMax && !budget.weak_privacy) {
    return Error(ErrorCode::kResourceExhausted, "epsilon above 10 needs weak_privacy = true");
  }
  report.lower = EpsilonLowerBound(charge, participations, budget.delta + report.sampler_delta);
  if (!(report.lower <= report.upper)) {
    return Error(ErrorCode::kInternal, "epsilon: lower bound above upper bound");
  }
  return report;
}

}  // namespace demur::dp
