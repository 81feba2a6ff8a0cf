#pragma once

#include <cstdint>
#include <optional>

#include "demur/base/result.h"
#include "demur/model/plan.h"

// How many neighbours a member has and how many shares open a secret: functions of the roster size
// and the plan alone, so that both sides compute them and neither sends them (docs/protocol.md,
// "Neighbours and threshold"). Only IEEE additions, multiplications and divisions are used, never
// libm, so that the numbers are equal on every machine. Stateless; safe from several threads.
namespace demur::secagg {

inline constexpr std::uint32_t kRosterFloor = 20;  // smaller rosters are refused

// What the bounds are computed from. Fractions in thousandths.
struct Assumptions {
  std::uint32_t corrupt_permille = 0;  // gamma
  std::uint32_t dropout_permille = 0;  // delta
  std::uint32_t sigma = 0;             // failure of privacy: at most 2^-sigma
  std::uint32_t eta = 0;               // failure of the round: at most 2^-eta
};

struct Parameters {
  std::uint32_t neighbours = 0;     // k, self excluded; even, below n - 1
  std::uint32_t threshold = 0;      // t: shares that open a secret; fewer tell nothing
  std::uint32_t survivors_min = 0;  // fewer members in U2 or U3 end the session

  friend bool operator==(const Parameters&, const Parameters&) = default;
};

// The published rule for a ring graph and a semi-honest server: the least even k < n - 1 for which
//   1. the ring is cut by corrupt and dropped members with probability below 2^-(sigma+1),
//   2. t - 1 or fewer of any member's neighbours are corrupt, except with 2^-(sigma+1),
//   3. t or more of them survive, except with 2^-eta,
// and t = max(t1 + 1, 2). nullopt: no such k, or gamma + delta > 0.9. Where the rule has no answer
// a complete graph would not help: there gamma n + delta n >= n - 3, and what may be left of such a
// roster is fewer than the majority that opens a secret.
struct RingParameters {
  std::uint32_t neighbours = 0;
  std::uint32_t threshold = 0;

  friend bool operator==(const RingParameters&, const RingParameters&) = default;
};
std::optional<RingParameters> FindRingParameters(std::uint32_t n, const Assumptions& assume);

// For a roster of `n` under `plan`.
// kUnimplemented: the malicious profile. kInvalidArgument: n below kRosterFloor or outside the
// plan's roster; the rule has no answer; or survivors_min members would be too few to open a
// secret.
Result<Parameters> ComputeParameters(std::uint32_t n, const model::SecAggPlan& plan);

}  // namespace demur::secagg
