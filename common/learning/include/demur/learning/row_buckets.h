#pragma once

#include <algorithm>
#include <cstdint>

// How a catalogue is folded for counting (algorithm row_counts). Public and the same for all.
namespace demur::learning {

inline constexpr std::uint32_t kMaxBuckets = 1U << 18;

constexpr std::uint32_t NumBuckets(std::uint32_t items) noexcept {
  return std::min(items, kMaxBuckets);
}

// The bucket of `row` in a catalogue of `items` rows. One row a bucket up to kMaxBuckets; beyond,
// rows are spread by multiplication (Fibonacci hashing, Knuth, TAOCP 3, 6.4), so that neighbours
// in the catalogue, which are often alike, do not share one.
constexpr std::uint32_t RowBucket(std::uint32_t row, std::uint32_t items) noexcept {
  if (items <= kMaxBuckets) return row;
  return (row * 2654435769U) >> 14;  // the top 18 bits
}

}  // namespace demur::learning
