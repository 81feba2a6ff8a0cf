#pragma once

#include <cstdint>

#include "demur/base/result.h"
#include "demur/dp/accountant.h"
#include "demur/model/plan.h"
#include "demur/model/tables.h"

// From what an operator asks for (epsilon, clip, cohort) to the integers that a plan carries.
// Stateless; safe from several threads.
namespace demur::dp {

struct CalibrationRequest {
  bool noise = false;
  double epsilon = 0;  // with noise: budget per identity for the life of the task
  double delta = 0;
  std::uint64_t population = 0;
  std::uint32_t participations_max = 0;
  std::uint32_t rounds_max = 0;
  bool weak_privacy = false;

  double clip_norm = 0;        // C, weighted model units
  std::uint32_t rows_max = 0;  // rows of the slice that one update may touch
  std::uint32_t roster_min = 0;
  std::uint32_t roster_max = 0;
  std::uint32_t dropout_permille = 0;
  std::uint32_t corrupt_permille = 0;
  std::uint32_t bits_max = 32;  // largest modulus the operator pays for

  // What the round's other session costs and how many coordinates it has; zeros: there is none.
  RdpCurve other;
  std::uint32_t other_dim = 0;
};

struct Calibration {
  model::EncodingPlan encoding;
  double l2_inflation = 0;      // l2 bound after rounding / (scale * C) - 1; at most 0.05
  std::uint32_t honest = 0;     // survivors the noise is sized for; 0 without noise
  double noise_multiplier = 0;  // z: honest noise standard deviation / (scale * C)
  double sum_noise_stddev = 0;  // of one coordinate of the honest sum, weighted model units
  EpsilonReport epsilon;        // zeros without noise
};

// The largest scale whose noise fits the table (standard deviation 1,000, or 4,000 where rounding
// would otherwise inflate the norm by more than 0.1 %) and bits_max, then the least noise variance
// that keeps epsilon, then the fewest bits that cannot wrap. Without noise: scale * C up to 2^20.
// kInvalidArgument: the request is out of range, epsilon above 10 without weak_privacy, delta
// >= 0.1 / N, k > T. kFailedPrecondition: no encoding fits (says whether bits, noise or the 5 %
// bound on L2 inflation stands in the way).
Result<Calibration> Calibrate(const CalibrationRequest& request, const model::Layout& layout);

// The integers of a session that counts rows: an update is `rows_max` ones at most, so scale 1
// rounds nothing and the clip is sqrt(rows_max) (request.clip_norm is not looked at). The noise is
// such that the counts alone would cost `share` of the budget: participations_max / share of them
// keep epsilon. `epsilon` of the result says what they cost alone. dim: rows counted.
// kInvalidArgument: as Calibrate, or share outside (0, 1). kFailedPrecondition: no noise is enough,
// or the counts need more than bits_max.
Result<Calibration> CalibrateCounts(const CalibrationRequest& request, double share,
                                    std::uint32_t dim);

// Most coordinates that `rows_max` rows of the slice can have.
std::uint64_t TouchedCoordinates(const model::Layout& layout, std::uint32_t rows_max);

// L2 norm after stochastic rounding of a vector of norm `scaled_norm` (integer units) with
// `touched` coordinates, as a bound that one rounding keeps with probability 1 - beta at least:
// min(c + sqrt t, sqrt(c^2 + t/4 + sqrt(2 ln(1/beta)) (c + sqrt(t)/2))). beta = 0: the first term.
double RoundedL2Bound(double scaled_norm, double touched, double beta);
// l2 * min(sqrt(touched), l2).
double RoundedL1Bound(double l2, double touched);

}  // namespace demur::dp
