#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

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

// How members are joined.
enum class GraphKind : std::uint8_t {
  kRing = 1,      // semi-honest: a Harary graph, the published rule
  kComplete = 2,  // malicious, up to kCompleteMax members: everybody with everybody
  kExpander = 3,  // malicious, above: random Hamiltonian cycles; our own rule, unreviewed
};
// "published", "complete", "unreviewed": how far the rule behind (k, t) has been looked at.
std::string_view ToString(GraphKind graph) noexcept;

inline constexpr std::uint32_t kCompleteMax = 200;

struct Parameters {
  GraphKind graph = GraphKind::kRing;
  std::uint32_t neighbours = 0;     // k, self excluded; an expander may give a member fewer
  std::uint32_t threshold = 0;      // t: shares that open a secret; fewer tell nothing
  std::uint32_t survivors_min = 0;  // fewer members in U2 or U3 end the session
  std::uint32_t committee = 0;      // m: members that sign the survivor set; 0: semi-honest
  std::uint32_t quorum = 0;         // q: signatures without which no share is released

  friend bool operator==(const Parameters&, const Parameters&) = default;
};

struct GraphDegree {
  std::uint32_t neighbours = 0;
  std::uint32_t threshold = 0;

  friend bool operator==(const GraphDegree&, const GraphDegree&) = default;
};

// The published rule for a ring graph and a semi-honest server: the least even k < n - 1 for which
//   1. the ring is cut by corrupt and dropped members with probability below 2^-(sigma+1),
//   2. t - 1 or fewer of any member's neighbours are corrupt, except with 2^-(sigma+1),
//   3. t or more of them survive, except with 2^-eta,
// and t = max(t1 + 1, 2). nullopt: no such k, or gamma + delta > 0.9. Where the rule has no answer
// a complete graph would not help: there gamma n + delta n >= n - 3, and what may be left of such a
// roster is fewer than the majority that opens a secret.
std::optional<GraphDegree> FindRingParameters(std::uint32_t n, const Assumptions& assume);

// Our rule for a union of k / 2 random Hamiltonian cycles and a server that picks the dropouts
// after it saw the graph (docs/protocol.md, "Neighbours and threshold"; a union bound that takes
// edges as independent, not reviewed by anybody outside). With s0 the size of the largest honest
// set that the bound leaves a way to cut off, t = t1 + s0: a member of such a set has at most
// t1 corrupt and s0 - 1 honest neighbours left, fewer than t. The least even k < n - 1 that
// leaves t of any member's neighbours alive, except with 2^-eta. nullopt: there is none.
std::optional<GraphDegree> FindExpanderParameters(std::uint32_t n, const Assumptions& assume);

// The committee that signs the survivor set: the least even m <= n for which q = floor((m + a)/2)
// + 1 of its members survive except with 2^-eta, where a or fewer are corrupt except with 2^-sigma.
// Two sets with q signatures each would need more than a members that signed twice.
// nullopt: there is none.
struct CommitteeSize {
  std::uint32_t members = 0;
  std::uint32_t quorum = 0;

  friend bool operator==(const CommitteeSize&, const CommitteeSize&) = default;
};
std::optional<CommitteeSize> FindCommittee(std::uint32_t n, const Assumptions& assume);

// For a roster of `n` under `plan`. Malicious, up to kCompleteMax members: everybody is joined with
// everybody and signs, t = q = floor((n + gamma n) / 2) + 1.
// kInvalidArgument: n below kRosterFloor or outside the plan's roster; the rule has no answer; or
// survivors_min members would be too few to open a secret or to confirm their set.
Result<Parameters> ComputeParameters(std::uint32_t n, const model::SecAggPlan& plan);

}  // namespace demur::secagg
