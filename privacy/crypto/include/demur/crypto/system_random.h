#pragma once

#include <memory>

#include "demur/base/random.h"

// The randomness of devices, coordinators and authorities.
namespace demur::crypto {

// Every Stream and every Blocks is AES-256-CTR under its own fresh 256-bit key from OpenSSL's
// private generator (RAND_priv_bytes, seeded by the kernel). StreamId does not enter: two calls
// with one id give unrelated bytes.
//
// Forking: OpenSSL reseeds its generator in a forked child, so objects made after the fork differ
// between parent and child. An object made before a fork fails with kInternal in the child instead
// of repeating what the parent draws. Thread-safe.
class SystemRandom final : public RandomSource {
 public:
  // kInternal: the system has no randomness to give.
  Result<std::unique_ptr<RandomStream>> Stream(const StreamId& id) override;
  Result<std::unique_ptr<RandomBlocks>> Blocks(const StreamId& id) override;
};

}  // namespace demur::crypto
