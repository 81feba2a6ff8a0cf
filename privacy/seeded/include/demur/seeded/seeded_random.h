#pragma once

#include <cstdint>
#include <memory>

#include "demur/base/random.h"

// Randomness that repeats: for simulations and tests only. Nothing that a device, a coordinator or
// an authority runs may link this part; tests/layering looks into their binaries.
namespace demur::seeded {

// Every stream is AES-256-CTR (IV 0) under the key
//   SHA-256("demur/seeded/1", seed, task, round, attempt, client, purpose, form)
// with integers big-endian in their own width and form 0 for Stream, 1 for Blocks. The same
// (seed, StreamId, form) therefore gives the same bytes on every machine, in any order and from
// any thread; any other gives unrelated ones. Thread-safe.
class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(std::uint64_t seed) noexcept : seed_(seed) {}

  Result<std::unique_ptr<RandomStream>> Stream(const StreamId& id) override;
  Result<std::unique_ptr<RandomBlocks>> Blocks(const StreamId& id) override;

 private:
  std::uint64_t seed_;
};

}  // namespace demur::seeded
