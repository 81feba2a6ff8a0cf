#pragma once

#include <cstdint>
#include <span>

#include "demur/base/result.h"
#include "demur/model/plan.h"
#include "demur/model/tables.h"
#include "demur/model/update.h"

// Step 5 of a round, and the integer arithmetic that both sides check before it. Stateless; safe
// from several threads.
namespace demur::dp {

// clip_norm * scale is at most this: then a rounded value fits 32 bits, and the squares of a whole
// update fit 64, whatever the rounding does to 2^26 coordinates.
inline constexpr double kMaxScaledNorm = 0x1p31 - 0x1p15;

// floor(sqrt(l2_sq_max)): no coordinate of a checked update is larger in magnitude.
std::uint64_t LargestCoordinate(const model::EncodingPlan& encoding);

// True sums of `roster_max` updates stay inside (-2^(bits-1), 2^(bits-1)):
// roster_max * (LargestCoordinate + R) < 2^(bits-1), R the end of the noise table. Also that clip
// and scale fit 31 bits and the noise is at most a standard deviation of 4,000. Used by the device
// before it takes part and by the server before it announces.
// kInvalidArgument names what does not hold.
Status CheckEncoding(const model::EncodingPlan& encoding, std::uint32_t roster_max);
// The same for a whole plan, with the round's other session, after Plan::Validate().
Status CheckEncoding(const model::Plan& plan);

// The mean change: reduce modulo 2^bits to the centred range, refuse what no set of `contributors`
// honest encodings gives, divide by scale, normaliser (never the cohort) and block weight.
// `contributors`: how many updates were added, 1 to roster_max.
// kAborted: the sum is infeasible (some device ignored its bounds): abandon the round.
// kInvalidArgument: sum.size() != layout.dim(), contributors == 0, or a plan out of range.
Result<model::MeanUpdate> Decode(std::span<const std::uint32_t> sum, std::uint32_t contributors,
                                 const model::Layout& layout, const model::TrainingPlan& training,
                                 const model::EncodingPlan& encoding);

}  // namespace demur::dp
