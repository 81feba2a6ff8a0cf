#pragma once

#include <span>

#include "demur/base/random.h"
#include "demur/base/result.h"

// First values of factors. Stateless.
namespace demur::learning {

// Fills `out` with independent values of mean 0 and standard deviation `scale`: sums of four
// uniform 32-bit words, so within +-3.5 scale. Not for noise (privacy/dp has that).
// kInternal: the stream failed.
Status FillGaussianLike(RandomStream& stream, float scale, std::span<float> out);

}  // namespace demur::learning
