#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "demur/base/random.h"
#include "demur/base/result.h"

// Skellam noise from an alias table in exact integers: no rejection, no branch on a random value, a
// fixed number of random bytes per draw (a sampler whose time follows the noise gives it away).
// Tables are immutable and may be used from several threads; each thread brings its own stream.
// What a reader of cache lines could learn depends on the noise only, never on the update.
namespace demur::dp {

// Largest variance of one device: a standard deviation of 4,000 integer units.
inline constexpr std::uint64_t kMaxNoiseVariance = 16'000'000;
// Every table is measured when it is built and is at most this far, in total variation, from the
// distribution it stands for. The accountant charges this bound.
inline constexpr double kTableDistanceMax = 0x1p-110;

// Walker's table over |X|, X ~ Skellam(w) = Poisson(w/2) - Poisson(w/2). The weights of the
// magnitudes are integers that sum to exactly 2^126; the sign is one more random bit.
class AliasTable {
 public:
  static constexpr std::size_t kBytesPerDraw = 24;
  static constexpr int kWeightBits = 126;

  // An integer below 2^128, for tests that check a table to the last bit.
  struct Wide {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    friend bool operator==(const Wide&, const Wide&) = default;
  };

  // The table of variance `variance` (integer units squared). The last few tables are kept and
  // shared, so asking again is cheap; the first time costs some 10 ms. Safe from several threads.
  // kInvalidArgument: 0, or beyond kMaxNoiseVariance.
  static Result<std::shared_ptr<const AliasTable>> ForVariance(std::uint64_t variance);

  std::uint64_t variance() const noexcept { return variance_; }
  // R: no draw is larger in magnitude.
  std::uint32_t max_magnitude() const noexcept { return max_magnitude_; }
  // Upper bound on the total-variation distance to Skellam(w), measured while building.
  double total_variation() const noexcept { return total_variation_; }
  // Probability of |X| = magnitude in units of 2^-126, recomputed from the buckets.
  Wide Weight(std::uint32_t magnitude) const;

  // One draw per element of `out`, 24 bytes of `stream` each, in order.
  // kInternal: the generator failed; the content of `out` must not be used.
  Status Fill(std::span<std::int32_t> out, RandomStream& stream) const;

 private:
  // Bucket i gives magnitude i when 128 random bits are below the threshold, else `alias`. A full
  // bucket has itself as alias, so its threshold does not matter.
  struct Bucket {
    std::uint64_t threshold_high = 0;
    std::uint64_t threshold_low = 0;
    std::uint64_t alias = 0;
  };
  AliasTable() = default;
  static Result<std::shared_ptr<const AliasTable>> Build(std::uint64_t variance);

  std::vector<Bucket> buckets_;  // a power of two
  std::uint64_t variance_ = 0;
  std::uint32_t max_magnitude_ = 0;
  std::uint32_t bucket_bits_ = 0;
  double total_variation_ = 0;
};

}  // namespace demur::dp
