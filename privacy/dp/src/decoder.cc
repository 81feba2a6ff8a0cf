#include "demur/dp/decoder.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "demur/dp/skellam.h"

namespace demur::dp {
namespace {

__extension__ using Uint128 = unsigned __int128;

Error Bad(const std::string& what) { return Error(ErrorCode::kInvalidArgument, what); }
Error Infeasible() {
  return Error(ErrorCode::kAborted, "the sum is not one that honest devices can give");
}

// 0 without noise. Errors as AliasTable::ForVariance.
Result<std::uint32_t> NoiseEnd(const model::EncodingPlan& encoding) {
  if (encoding.noise_variance == 0) return std::uint32_t{0};
  DEMUR_TRY(const auto table, AliasTable::ForVariance(encoding.noise_variance));
  return table->max_magnitude();
}

// What is left of a sum's low `bits` bits, read as a two's complement number.
std::int64_t Centred(std::uint32_t word, std::uint32_t bits) {
  const std::uint64_t modulus = std::uint64_t{1} << bits;
  const std::uint64_t low = word & (modulus - 1);
  const auto value = static_cast<std::int64_t>(low);
  return low >= modulus / 2 ? value - static_cast<std::int64_t>(modulus) : value;
}

// Norm of the noise of `contributors` devices over `dim` coordinates, passed with probability
// about e^-72: for Gaussian noise of variance v, P(|Z|^2 >= v (d + 2 sqrt(72 d) + 144)) <= e^-72;
// the rest is room for Skellam's slightly heavier tail.
double NoiseNormLimit(double variance, double dim) {
  if (variance == 0) return 0;
  return std::sqrt(variance * (dim + 12 * std::sqrt(dim * (2 + 1 / variance)) + 400));
}

// What the sum shows, gathered in one pass.
struct SumFacts {
  std::uint64_t largest = 0;  // magnitude
  double square = 0;
  Uint128 l1 = 0;
  std::uint64_t rows = 0;  // with a value that is not zero
};

SumFacts Look(std::span<const std::uint32_t> sum, const model::Layout& layout, std::uint32_t bits) {
  SumFacts facts;
  std::size_t at = 0;
  for (std::uint32_t t = 0; t < layout.num_tables(); ++t) {
    const std::uint32_t cols = layout.table(t).cols;
    for (std::size_t r = 0; r < layout.Rows(t).size(); ++r) {
      std::uint64_t any = 0;
      for (std::uint32_t c = 0; c < cols; ++c, ++at) {
        const std::int64_t value = Centred(sum[at], bits);
        const auto magnitude = static_cast<std::uint64_t>(value < 0 ? -value : value);
        facts.largest = std::max(facts.largest, magnitude);
        facts.square += static_cast<double>(value) * static_cast<double>(value);
        facts.l1 += magnitude;
        any |= magnitude;
      }
      facts.rows += any != 0 ? 1 : 0;
    }
  }
  return facts;
}

bool Feasible(const SumFacts& facts, std::uint64_t contributors, std::uint32_t noise_end,
              std::uint32_t dim, const model::EncodingPlan& encoding) {
  if (facts.largest > contributors * (LargestCoordinate(encoding) + noise_end)) return false;
  const double n = static_cast<double>(contributors);
  const double signal = n * std::sqrt(static_cast<double>(encoding.l2_sq_max));
  const double noise =
      NoiseNormLimit(n * static_cast<double>(encoding.noise_variance), static_cast<double>(dim));
  // 1e-9: room for the roundings of the sum of squares.
  if (std::sqrt(facts.square) > (signal + noise) * (1 + 1e-9)) return false;
  if (encoding.noise_variance > 0) return true;
  return facts.l1 <= Uint128{contributors} * encoding.l1_max &&
         facts.rows <= contributors * encoding.rows_max;
}

}  // namespace

std::uint64_t LargestCoordinate(const model::EncodingPlan& encoding) {
  const std::uint64_t square = encoding.l2_sq_max;
  auto root = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(square)));
  // sqrt of a rounded double may be off by one either way.
  while (Uint128{root} * root > square) --root;
  while (Uint128{root + 1} * (root + 1) <= square) ++root;
  return root;
}

Status CheckEncoding(const model::EncodingPlan& encoding, std::uint32_t roster_max) {
  if (encoding.bits < 8 || encoding.bits > 32) return Bad("encoding: bits must be 8 to 32");
  if (roster_max == 0) return Bad("encoding: roster_max must be > 0");
  if (encoding.scale == 0 || encoding.l2_sq_max == 0 || encoding.l1_max == 0 ||
      encoding.rows_max == 0) {
    return Bad("encoding: scale, l2_sq_max, l1_max and rows_max must be > 0");
  }
  const double clipped = encoding.clip_norm * encoding.scale;
  if (!(clipped > 0 && clipped <= kMaxScaledNorm)) {
    return Bad("encoding: clip_norm * scale must be above 0 and fit 31 bits");
  }
  DEMUR_TRY(const std::uint32_t noise_end, NoiseEnd(encoding));
  const Uint128 largest_sum = Uint128{LargestCoordinate(encoding) + noise_end} * roster_max;
  if (largest_sum >= Uint128{1} << (encoding.bits - 1)) {
    return Bad("encoding: a sum of roster_max updates could wrap modulo 2^bits");
  }
  return {};
}

Status CheckEncoding(const model::Plan& plan) {
  DEMUR_RETURN_IF_ERROR(CheckEncoding(plan.encoding, plan.secagg.roster_max));
  if (!plan.session.sparse()) return {};
  return CheckEncoding(plan.session.other, plan.secagg.roster_max);
}

Result<model::MeanUpdate> Decode(std::span<const std::uint32_t> sum, std::uint32_t contributors,
                                 const model::Layout& layout, const model::TrainingPlan& training,
                                 const model::EncodingPlan& encoding) {
  if (sum.size() != layout.dim()) return Bad("decode: the sum does not fit the layout");
  if (contributors == 0) return Bad("decode: nobody contributed");
  if (!(std::isfinite(training.normaliser) && training.normaliser > 0)) {
    return Bad("decode: normaliser must be > 0");
  }
  DEMUR_RETURN_IF_ERROR(CheckEncoding(encoding, contributors));
  DEMUR_TRY(const std::uint32_t noise_end, NoiseEnd(encoding));
  if (!Feasible(Look(sum, layout, encoding.bits), contributors, noise_end, layout.dim(),
                encoding)) {
    return Infeasible();
  }
  model::MeanUpdate mean;
  mean.values.resize(sum.size());
  for (std::uint32_t t = 0; t < layout.num_tables(); ++t) {
    const double divisor =
        double{1} * encoding.scale * training.normaliser * layout.table(t).weight;
    const std::size_t first = layout.TableOffset(t);
    const std::size_t count = layout.Rows(t).size() * layout.table(t).cols;
    for (std::size_t i = first; i < first + count; ++i) {
      mean.values[i] = static_cast<double>(Centred(sum[i], encoding.bits)) / divisor;
    }
  }
  return mean;
}

}  // namespace demur::dp
