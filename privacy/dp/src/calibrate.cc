#include "demur/dp/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "demur/dp/decoder.h"
#include "demur/dp/skellam.h"

namespace demur::dp {
namespace {

constexpr double kInflationMax = 0.05;
// Below this a finer scale buys nothing, and a table of standard deviation 1,000 stays in the
// second-level cache.
constexpr double kInflationWanted = 0.001;
constexpr std::array<std::uint64_t, 2> kVarianceCaps = {1'000'000, kMaxNoiseVariance};
constexpr double kQuietScaledNorm = 0x1p20;  // scale * C without noise
// exp(-1/2): sqrt(2 ln(1 / beta)) = 1.
const double kBeta = std::exp(-0.5);

Error Bad(const std::string& what) {
  return Error(ErrorCode::kInvalidArgument, "calibration: " + what);
}
Error NoFit(const std::string& what) {
  return Error(ErrorCode::kFailedPrecondition, "calibration: " + what);
}

TaskBudget BudgetOf(const CalibrationRequest& request, std::uint32_t dim) {
  TaskBudget budget;
  budget.epsilon = request.epsilon;
  budget.delta = request.delta;
  budget.population = request.population;
  budget.participations_max = request.participations_max;
  budget.rounds_max = request.rounds_max;
  budget.roster_max = request.roster_max;
  budget.dim = dim + request.other_dim;
  budget.weak_privacy = request.weak_privacy;
  return budget;
}

Status CheckRequest(const CalibrationRequest& request, const TaskBudget& budget) {
  if (!(std::isfinite(request.clip_norm) && request.clip_norm > 0)) {
    return Bad("clip_norm must be > 0");
  }
  if (request.rows_max == 0) return Bad("rows_max must be > 0");
  if (request.roster_min == 0 || request.roster_max < request.roster_min) {
    return Bad("roster: 1 <= roster_min <= roster_max");
  }
  if (request.bits_max < 8 || request.bits_max > 32) return Bad("bits_max: 8 to 32");
  if (std::uint64_t{request.dropout_permille} + request.corrupt_permille >= 1000) {
    return Bad("dropout and corrupt fractions leave nobody");
  }
  if (!request.noise) return {};
  return budget.Validate();
}

// One candidate scale with all that follows from it.
struct Candidate {
  model::EncodingPlan encoding;
  double inflation = 0;
};

class Planner {
 public:
  // `touched`: coordinates that one update can change; `times`: rounds that must fit the budget.
  Planner(const CalibrationRequest& request, std::uint64_t touched, std::uint64_t times)
      : request_(request), touched_(static_cast<double>(touched)), times_(times) {}

  // Until this is called the encoding has no noise.
  Status UseNoise(const TaskBudget& budget, std::uint32_t honest) {
    honest_ = honest;
    // The sampler's share is taken at the budget's epsilon: what is admitted costs at most that.
    const double delta = budget.delta - SamplerDelta(budget, budget.epsilon);
    if (!(delta >= budget.delta / 2)) return NoFit("the sampler's error does not fit delta");
    DEMUR_TRY(conversion_, DpConversion::Create(delta));
    allowed_ = static_cast<std::uint64_t>(std::floor(std::ldexp(budget.epsilon, 40)));
    return {};
  }

  // Rounding bounds at `scale`.
  Candidate Bounds(std::uint64_t scale) const {
    Candidate candidate;
    model::EncodingPlan& encoding = candidate.encoding;
    encoding.clip_norm = request_.clip_norm;
    encoding.scale = static_cast<std::uint32_t>(scale);
    encoding.rows_max = request_.rows_max;
    const double norm = static_cast<double>(scale) * request_.clip_norm;
    const double l2 = RoundedL2Bound(norm, touched_, kBeta);
    encoding.l2_sq_max = static_cast<std::uint64_t>(std::ceil(l2 * l2));
    const double l1 = RoundedL1Bound(l2, touched_);
    encoding.l1_max = static_cast<std::uint64_t>(std::ceil(l1));
    candidate.inflation = l2 / norm - 1;
    return candidate;
  }

  bool KeepsEpsilon(const model::EncodingPlan& encoding, std::uint64_t variance) const {
    const SkellamCharge charge{encoding.l2_sq_max, std::min(encoding.l1_max, encoding.l2_sq_max),
                               variance * honest_};
    const auto curve = CurveOf(charge);
    if (!curve) return false;
    RdpCurve round = request_.other;
    RdpCurve total;
    if (!round.Add(*curve) || !total.Add(round, times_)) return false;
    return conversion_->EpsilonUnits(total) <= allowed_;
  }

  // Least variance up to `cap` that keeps epsilon; 0 when none does.
  std::uint64_t LeastVariance(const model::EncodingPlan& encoding, std::uint64_t cap) const {
    if (!KeepsEpsilon(encoding, cap)) return 0;
    std::uint64_t low = 0;  // does not keep it
    std::uint64_t high = cap;
    while (high - low > 1) {
      const std::uint64_t middle = low + (high - low) / 2;
      (KeepsEpsilon(encoding, middle) ? high : low) = middle;
    }
    return high;
  }

  // Fewest bits for `encoding` with the noise end `noise_end`; more than 32 when none is enough.
  std::uint32_t FewestBits(const model::EncodingPlan& encoding, std::uint64_t noise_end) const {
    const double sum = static_cast<double>(request_.roster_max) *
                       static_cast<double>(LargestCoordinate(encoding) + noise_end);
    std::uint32_t bits = 8;
    while (bits <= 32 && !(sum < std::ldexp(1.0, static_cast<int>(bits) - 1))) ++bits;
    return bits;
  }

  // 14 standard deviations and 64 units bound the end of every table (2^-127 is 13.3 of them for
  // a wide one); the final bits are computed from the table itself.
  bool Fits(std::uint64_t scale, std::uint64_t cap) const {
    if (static_cast<double>(scale) * request_.clip_norm > kMaxScaledNorm) return false;
    const Candidate candidate = Bounds(scale);
    std::uint64_t noise_end = 0;
    if (conversion_) {
      const std::uint64_t variance = LeastVariance(candidate.encoding, cap);
      if (variance == 0) return false;
      noise_end = static_cast<std::uint64_t>(14 * std::sqrt(static_cast<double>(variance))) + 64;
    }
    return FewestBits(candidate.encoding, noise_end) <= request_.bits_max;
  }

  // Largest scale up to `limit` that fits; 0 when 1 does not.
  std::uint64_t LargestScale(std::uint64_t limit, std::uint64_t cap) const {
    if (!Fits(1, cap)) return 0;
    std::uint64_t low = 1;  // fits
    std::uint64_t high = limit + 1;
    while (high - low > 1) {
      const std::uint64_t middle = low + (high - low) / 2;
      (Fits(middle, cap) ? low : high) = middle;
    }
    return low;
  }

 private:
  const CalibrationRequest& request_;
  double touched_;
  std::uint64_t times_;
  std::uint32_t honest_ = 0;
  std::optional<DpConversion> conversion_;  // with noise
  std::uint64_t allowed_ = 0;
};

Result<Candidate> Settle(const Planner& planner, std::uint64_t scale, std::uint64_t cap,
                         bool noise) {
  Candidate candidate = planner.Bounds(scale);
  if (candidate.inflation > kInflationMax) {
    return NoFit(
        "rounding would inflate the L2 norm by more than 5 %: fewer rows, a larger "
        "cohort or more bits are needed");
  }
  std::uint64_t noise_end = 0;
  if (noise) {
    candidate.encoding.noise_variance = planner.LeastVariance(candidate.encoding, cap);
    DEMUR_TRY(const auto table, AliasTable::ForVariance(candidate.encoding.noise_variance));
    noise_end = table->max_magnitude();
  }
  candidate.encoding.bits = planner.FewestBits(candidate.encoding, noise_end);
  return candidate;
}

Result<Candidate> WithNoise(const Planner& planner) {
  constexpr std::uint64_t kScaleMax = ~std::uint32_t{0};
  for (const std::uint64_t cap : kVarianceCaps) {
    const bool last = cap == kVarianceCaps.back();
    const std::uint64_t scale = planner.LargestScale(kScaleMax, cap);
    if (scale == 0) {
      if (!last) continue;
      return NoFit("no scale keeps epsilon with a noise standard deviation of 4,000 and bits_max");
    }
    if (!last && planner.Bounds(scale).inflation > kInflationWanted) continue;
    return Settle(planner, scale, cap, true);
  }
  return NoFit("no scale fits");  // not reached: the last cap returns
}

Result<Candidate> WithoutNoise(const Planner& planner, double clip_norm) {
  const double wanted = std::floor(kQuietScaledNorm / clip_norm);
  const auto limit = static_cast<std::uint64_t>(std::clamp(wanted, 1.0, 0x1p32 - 1));
  const std::uint64_t scale = planner.LargestScale(limit, 0);
  if (scale == 0) return NoFit("clip_norm is too large for bits_max and this cohort");
  return Settle(planner, scale, 0, false);
}

}  // namespace

std::uint64_t TouchedCoordinates(const model::Layout& layout, std::uint32_t rows_max) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> tables;  // columns, rows
  for (std::uint32_t t = 0; t < layout.num_tables(); ++t) {
    tables.emplace_back(layout.table(t).cols, layout.Rows(t).size());
  }
  std::sort(tables.rbegin(), tables.rend());  // widest rows first
  std::uint64_t touched = 0;
  std::uint64_t left = rows_max;
  for (const auto& [cols, rows] : tables) {
    const std::uint64_t taken = std::min(rows, left);
    touched += taken * cols;
    left -= taken;
  }
  return touched;
}

double RoundedL2Bound(double scaled_norm, double touched, double beta) {
  const double always = scaled_norm + std::sqrt(touched);
  if (beta == 0) return always;
  const double usually =
      std::sqrt(scaled_norm * scaled_norm + touched / 4 +
                std::sqrt(2 * std::log(1 / beta)) * (scaled_norm + std::sqrt(touched) / 2));
  return std::min(always, usually);
}

double RoundedL1Bound(double l2, double touched) { return l2 * std::min(std::sqrt(touched), l2); }

namespace {

// Survivors the noise is sized for.
Result<std::uint32_t> HonestOf(const CalibrationRequest& request) {
  model::SecAggPlan secagg;
  secagg.roster_min = request.roster_min;
  secagg.dropout_permille = request.dropout_permille;
  secagg.corrupt_permille = request.corrupt_permille;
  const std::uint32_t honest = HonestSurvivors(secagg);
  if (honest == 0) return Bad("dropout and corrupt fractions leave nobody");
  return honest;
}

// What follows from the integers that were found.
Result<Calibration> Describe(const Candidate& found, std::uint32_t honest,
                             const CalibrationRequest& request, const TaskBudget& budget) {
  Calibration calibration;
  calibration.encoding = found.encoding;
  calibration.l2_inflation = found.inflation;
  DEMUR_RETURN_IF_ERROR(CheckEncoding(found.encoding, request.roster_max));
  if (!request.noise) return calibration;
  calibration.honest = honest;
  const SkellamCharge charge{found.encoding.l2_sq_max,
                             std::min(found.encoding.l1_max, found.encoding.l2_sq_max),
                             found.encoding.noise_variance * honest};
  RdpCurve round = request.other;
  DEMUR_TRY(const RdpCurve own, CurveOf(charge));
  DEMUR_RETURN_IF_ERROR(round.Add(own));
  RdpCurve total;
  DEMUR_RETURN_IF_ERROR(total.Add(round, request.participations_max));
  DEMUR_TRY(calibration.epsilon, ReportOf(total, charge, request.participations_max, budget));
  const double deviation = std::sqrt(static_cast<double>(charge.mu));
  calibration.sum_noise_stddev = deviation / found.encoding.scale;
  calibration.noise_multiplier = calibration.sum_noise_stddev / found.encoding.clip_norm;
  return calibration;
}

}  // namespace

Result<Calibration> Calibrate(const CalibrationRequest& request, const model::Layout& layout) {
  const TaskBudget budget = BudgetOf(request, layout.dim());
  DEMUR_RETURN_IF_ERROR(CheckRequest(request, budget));
  Planner planner(request, TouchedCoordinates(layout, request.rows_max),
                  request.participations_max);
  if (!request.noise) {
    DEMUR_TRY(const Candidate quiet, WithoutNoise(planner, request.clip_norm));
    return Describe(quiet, 0, request, budget);
  }
  DEMUR_TRY(const std::uint32_t honest, HonestOf(request));
  DEMUR_RETURN_IF_ERROR(planner.UseNoise(budget, honest));
  DEMUR_TRY(const Candidate found, WithNoise(planner));
  return Describe(found, honest, request, budget);
}

Result<Calibration> CalibrateCounts(const CalibrationRequest& request, double share,
                                    std::uint32_t dim) {
  CalibrationRequest counts = request;
  counts.clip_norm = std::sqrt(static_cast<double>(request.rows_max));
  const TaskBudget budget = BudgetOf(counts, dim);
  DEMUR_RETURN_IF_ERROR(CheckRequest(counts, budget));
  if (!(share > 0 && share < 1)) return Bad("the share of the counts: between 0 and 1");
  Candidate found;
  found.encoding.clip_norm = counts.clip_norm;
  found.encoding.scale = 1;
  found.encoding.l2_sq_max = request.rows_max;
  found.encoding.l1_max = request.rows_max;
  found.encoding.rows_max = request.rows_max;
  std::uint32_t honest = 0;
  std::uint64_t noise_end = 0;
  const double times = std::ceil(request.participations_max / share);
  Planner planner(counts, request.rows_max, static_cast<std::uint64_t>(std::min(times, 1e9)));
  if (request.noise) {
    DEMUR_TRY(honest, HonestOf(request));
    DEMUR_RETURN_IF_ERROR(planner.UseNoise(budget, honest));
    found.encoding.noise_variance = planner.LeastVariance(found.encoding, kMaxNoiseVariance);
    if (found.encoding.noise_variance == 0) {
      return NoFit(
          "no noise keeps the row counts inside their share of epsilon: fewer rows a "
          "device, a larger share or a larger cohort are needed");
    }
    DEMUR_TRY(const auto table, AliasTable::ForVariance(found.encoding.noise_variance));
    noise_end = table->max_magnitude();
  }
  found.encoding.bits = planner.FewestBits(found.encoding, noise_end);
  if (found.encoding.bits > request.bits_max) {
    return NoFit("the row counts of this cohort need more bits than bits_max");
  }
  return Describe(found, honest, counts, budget);
}

}  // namespace demur::dp
