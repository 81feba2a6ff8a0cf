#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numbers>
#include <utility>

#include "demur/base/random.h"
#include "demur/base/result.h"

// Draws for data and splits: reads a stream in chunks, since a virtual call per number would be
// most of the time of making a population. Not for noise. Not thread-safe per object.
namespace demur::sim {

class Dice {
 public:
  explicit Dice(std::unique_ptr<RandomStream> stream) : stream_(std::move(stream)) {}

  // Uniform in [0, 1). Zero once the generator has failed; see status().
  double Unit() { return static_cast<double>(Word() >> 11) * 0x1.0p-53; }
  // Uniform in [0, bound), bound > 0, without bias.
  std::uint32_t Below(std::uint32_t bound) {
    const std::uint64_t limit = (std::uint64_t{1} << 32) / bound * bound;
    for (;;) {
      const std::uint64_t word = Word() >> 32;
      if (word < limit || !status_) return static_cast<std::uint32_t>(word % bound);
    }
  }
  double Normal() {
    const double radius = std::sqrt(-2 * std::log(1 - Unit()));
    return radius * std::cos(2 * std::numbers::pi * Unit());
  }
  // kInternal once the generator has failed: what was drawn must not be used.
  const Status& status() const noexcept { return status_; }

 private:
  std::uint64_t Word() {
    if (next_ + sizeof(std::uint64_t) > chunk_.size()) {
      if (status_) status_ = stream_->Fill(chunk_);
      if (!status_) return 0;
      next_ = 0;
    }
    std::uint64_t word = 0;
    std::memcpy(&word, chunk_.data() + next_, sizeof(word));
    next_ += sizeof(word);
    return word;
  }

  std::unique_ptr<RandomStream> stream_;
  std::array<std::byte, 1024> chunk_{};
  std::size_t next_ = 1024;
  Status status_;
};

}  // namespace demur::sim
