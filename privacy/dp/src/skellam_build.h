#pragma once

#include <cstdint>
#include <vector>

// The weights of an alias table: probabilities of |X|, X ~ Skellam(w), as integers that sum to
// exactly 2^126. Stateless.
namespace demur::dp::internal {

__extension__ using Uint128 = unsigned __int128;

struct SkellamWeights {
  std::vector<Uint128> weights;  // of magnitude 0, 1, ..., R; the last one is not 0
  double distance = 0;           // upper bound on the total variation to the true distribution
};

// 1 <= variance <= kMaxNoiseVariance (checked by the caller).
SkellamWeights ComputeSkellamWeights(std::uint64_t variance);

}  // namespace demur::dp::internal
