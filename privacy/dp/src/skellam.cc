#include "demur/dp/skellam.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>

#include "demur/base/secret.h"
#include "skellam_build.h"

namespace demur::dp {
namespace {

using internal::Uint128;

static_assert(std::endian::native == std::endian::little, "random words are copied");

// A hostile plan may name any variance, so only a few tables are kept; a process that serves one
// task needs one. One lock also while building: two threads that want the same table build it once.
constexpr std::size_t kTablesKept = 8;
struct Cache {
  std::mutex mutex;
  std::deque<std::shared_ptr<const AliasTable>> tables;  // last used first
};
Cache& TheCache() {
  static Cache* const kCache = new Cache;  // never destroyed: threads may outlive main
  return *kCache;
}

constexpr std::size_t kDrawsPerBlock = 256;

}  // namespace

Result<std::shared_ptr<const AliasTable>> AliasTable::ForVariance(std::uint64_t variance) {
  if (variance == 0 || variance > kMaxNoiseVariance) {
    return Error(ErrorCode::kInvalidArgument, "noise variance " + std::to_string(variance) +
                                                  ": 1 to " + std::to_string(kMaxNoiseVariance));
  }
  Cache& cache = TheCache();
  const std::lock_guard<std::mutex> lock(cache.mutex);
  const auto it =
      std::find_if(cache.tables.begin(), cache.tables.end(),
                   [variance](const auto& table) { return table->variance() == variance; });
  std::shared_ptr<const AliasTable> table;
  if (it != cache.tables.end()) {
    table = *it;
    cache.tables.erase(it);
  } else {
    DEMUR_TRY(table, Build(variance));
  }
  cache.tables.push_front(table);
  if (cache.tables.size() > kTablesKept) cache.tables.pop_back();
  return table;
}

// Vose's construction in exact integers: every bucket holds 2^126 / buckets, partly its own
// magnitude's weight, the rest taken from one magnitude that has too much.
Result<std::shared_ptr<const AliasTable>> AliasTable::Build(std::uint64_t variance) {
  internal::SkellamWeights skellam = internal::ComputeSkellamWeights(variance);
  if (!(skellam.distance <= kTableDistanceMax)) {
    return Error(ErrorCode::kInternal, "noise table is too far from its distribution");
  }
  const std::shared_ptr<AliasTable> table(new AliasTable);
  table->variance_ = variance;
  table->total_variation_ = skellam.distance;
  table->max_magnitude_ = static_cast<std::uint32_t>(skellam.weights.size() - 1);
  const std::size_t size = std::max<std::size_t>(2, std::bit_ceil(skellam.weights.size()));
  table->bucket_bits_ = static_cast<std::uint32_t>(std::bit_width(size) - 1);
  const Uint128 capacity = Uint128{1} << (kWeightBits - static_cast<int>(table->bucket_bits_));

  std::vector<Uint128>& rest = skellam.weights;
  rest.resize(size, 0);
  std::vector<std::uint32_t> small;
  std::vector<std::uint32_t> large;
  for (std::uint32_t i = 0; i < size; ++i) (rest[i] < capacity ? small : large).push_back(i);
  table->buckets_.resize(size);
  while (!small.empty()) {
    const std::uint32_t taker = small.back();
    small.pop_back();
    const std::uint32_t giver = large.back();
    // Left-aligned to 128 bits, to be compared with 128 random bits.
    const Uint128 threshold = rest[taker] << (128 - kWeightBits + table->bucket_bits_);
    table->buckets_[taker] = {static_cast<std::uint64_t>(threshold >> 64),
                              static_cast<std::uint64_t>(threshold), giver};
    rest[giver] -= capacity - rest[taker];
    if (rest[giver] < capacity) {
      large.pop_back();
      small.push_back(giver);
    }
  }
  for (const std::uint32_t full : large) table->buckets_[full] = {0, 0, full};
  return std::shared_ptr<const AliasTable>(table);
}

AliasTable::Wide AliasTable::Weight(std::uint32_t magnitude) const {
  const Uint128 capacity = Uint128{1} << (kWeightBits - static_cast<int>(bucket_bits_));
  Uint128 weight = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    const Bucket& bucket = buckets_[i];
    const Uint128 own = (Uint128{bucket.threshold_high} << 64 | bucket.threshold_low) >>
                        (128 - kWeightBits + bucket_bits_);
    if (i == magnitude) weight += own;
    if (bucket.alias == magnitude) weight += capacity - own;
  }
  return {static_cast<std::uint64_t>(weight >> 64), static_cast<std::uint64_t>(weight)};
}

Status AliasTable::Fill(std::span<std::int32_t> out, RandomStream& stream) const {
  std::array<std::byte, kDrawsPerBlock * kBytesPerDraw> raw;
  const Bucket* const buckets = buckets_.data();
  const std::uint64_t index_mask = buckets_.size() - 1;
  Status status;
  while (!out.empty() && status.has_value()) {
    const std::size_t draws = std::min(out.size(), kDrawsPerBlock);
    status = stream.Fill(std::span(raw).first(draws * kBytesPerDraw));
    const std::byte* at = raw.data();
    for (std::size_t i = 0; i < draws; ++i, at += kBytesPerDraw) {
      // Bucket and sign, then 128 bits against the threshold.
      std::array<std::uint64_t, 3> word;
      std::memcpy(word.data(), at, kBytesPerDraw);
      const std::uint64_t index = word[0] & index_mask;
      const Bucket& bucket = buckets[index];
      const Uint128 uniform = Uint128{word[2]} << 64 | word[1];
      const Uint128 threshold = Uint128{bucket.threshold_high} << 64 | bucket.threshold_low;
      const std::uint64_t own = std::uint64_t{0} - static_cast<std::uint64_t>(uniform < threshold);
      const auto magnitude = static_cast<std::uint32_t>((index & own) | (bucket.alias & ~own));
      const std::uint32_t sign = std::uint32_t{0} - static_cast<std::uint32_t>(word[0] >> 63);
      out[i] = static_cast<std::int32_t>((magnitude ^ sign) - sign);
    }
    out = out.subspan(draws);
  }
  Wipe(raw);
  return status;
}

}  // namespace demur::dp
