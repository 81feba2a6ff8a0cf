#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/ids.h"
#include "demur/model/tables.h"

// The plan of one round: closed-schema data, never code, signed by the coordinator (M0) and
// checked by every device against its own floor. Each layer takes only the part it needs.
// Integers where devices and accountant must agree to the last bit. Value types.
namespace demur::model {

struct HyperParameter {
  std::string name;  // known to the algorithm; an unknown one is an error
  double value = 0;

  friend bool operator==(const HyperParameter&, const HyperParameter&) = default;
};

// Steps 2 and 6: what to compute.
struct TrainingPlan {
  std::string algorithm;              // "biased_mf", "item_statistics"
  std::vector<HyperParameter> hyper;  // ascending by name
  Schema schema;
  Slice slice;
  double value_max = 0;   // devices refuse a model with |v| beyond it; > 0
  double normaliser = 0;  // the sum is divided by this public number, never by the cohort; > 0

  friend bool operator==(const TrainingPlan&, const TrainingPlan&) = default;
};

// Steps 3 and 5: the row-exact encoding. The accountant uses only these integers.
struct EncodingPlan {
  double clip_norm = 0;     // L2 clip in weighted model units; > 0
  std::uint32_t scale = 0;  // integer units per 1.0; > 0
  std::uint32_t bits = 0;   // modulus 2^bits; 8 to 32
  std::uint64_t noise_variance =
      0;  // w: Skellam variance per device, integer units squared; 0 = no noise
  std::uint64_t l2_sq_max = 0;  // device refuses to send more: sum of squares, integer units
  std::uint64_t l1_max = 0;     // and: sum of magnitudes
  std::uint32_t rows_max = 0;   // and: rows that are not zero

  friend bool operator==(const EncodingPlan&, const EncodingPlan&) = default;
};

// What the round costs its participants. `noise` false: secure aggregation only, no DP.
struct PrivacyPlan {
  bool noise = false;
  double epsilon = 0;  // budget per user for the life of the task
  double delta = 0;
  std::uint32_t participations_max = 0;  // k: charged rounds per device over the task
  std::uint32_t rounds_max = 0;          // T
  bool weak_privacy = false;             // epsilon above 10 was asked for in so many words

  friend bool operator==(const PrivacyPlan&, const PrivacyPlan&) = default;
};

enum class SecAggProfile : std::uint8_t { kSemiHonest = 1, kMalicious = 2 };  // never renumber
std::string_view ToString(SecAggProfile profile) noexcept;

// Step 4. Fractions are in thousandths so that both sides compute the same integers.
struct SecAggPlan {
  SecAggProfile profile = SecAggProfile::kSemiHonest;
  std::uint32_t roster_min = 0;  // fewer advertisements abandon the round; at least 20
  std::uint32_t roster_max = 0;
  std::uint32_t corrupt_permille = 0;  // gamma
  std::uint32_t dropout_permille = 0;  // delta: after the roster froze
  std::uint32_t sigma = 0;             // statistical security, bits
  std::uint32_t eta = 0;               // robustness, bits

  // ceil((1 - delta) n)
  std::uint32_t SurvivorsMin(std::uint32_t n) const noexcept;
  friend bool operator==(const SecAggPlan&, const SecAggPlan&) = default;
};

// Deadlines per phase, milliseconds; 0 = none (only where a test compares bytes).
struct TimeoutPlan {
  std::uint32_t training_ms = 0;
  std::uint32_t advertise_ms = 0;
  std::uint32_t share_ms = 0;
  std::uint32_t mask_ms = 0;
  std::uint32_t confirm_ms = 0;
  std::uint32_t unmask_ms = 0;

  friend bool operator==(const TimeoutPlan&, const TimeoutPlan&) = default;
};

// Who may be in the round. Both zero: whom the coordinator invites. Else only members of the
// population that the authority's statement closes, and of these whom the beacon in it makes
// eligible for this task and round (secagg/cohort.h).
struct CohortPlan {
  std::uint32_t rate = 0;  // share of the population, units of 2^-32; 0: server-chosen
  Bytes statement;         // signed by the authority; empty: server-chosen

  bool server_chosen() const noexcept { return rate == 0; }
  friend bool operator==(const CohortPlan&, const CohortPlan&) = default;
};
inline constexpr std::size_t kMaxStatementLen = 256;  // bytes

// What a session is to its round (docs/protocol.md, "Sparse rounds"). Never renumber.
enum class SessionKind : std::uint8_t {
  kWhole = 1,      // the only one: the slice was fixed before the round
  kRowCounts = 2,  // the first of two: how many participants would change each row
  kRows = 3,       // the second: the change of the rows that the first one found
};
std::string_view ToString(SessionKind kind) noexcept;

// The two sessions of a sparse round cost their participants together: each plan carries the
// integers of both, so that a device can tell what the whole round costs before either of them.
struct SessionPlan {
  SessionKind kind = SessionKind::kWhole;
  EncodingPlan other;           // of the round's other session; zeros for kWhole
  std::uint32_t other_dim = 0;  // coordinates of it, at most; 0 for kWhole

  bool sparse() const noexcept { return kind != SessionKind::kWhole; }
  bool counts_rows() const noexcept { return kind == SessionKind::kRowCounts; }
  friend bool operator==(const SessionPlan&, const SessionPlan&) = default;
};
// The algorithm of kRowCounts sessions, and of no other.
inline constexpr std::string_view kRowCountsAlgorithm = "row_counts";

inline constexpr std::uint16_t kPlanVersion = 1;

struct Plan {
  std::uint16_t version = kPlanVersion;
  TaskId task;
  RoundId round;
  std::uint32_t attempt = 0;  // which session of the round: 1 for kRows, else 0
  Hash256 model_hash{};       // SHA-256 of SharedModel::Canonical()
  std::uint64_t model_version = 0;
  std::int64_t expires_unix_ms = 0;
  TrainingPlan training;
  EncodingPlan encoding;
  PrivacyPlan privacy;
  SecAggPlan secagg;
  TimeoutPlan timeouts;
  CohortPlan cohort;
  SessionPlan session;

  // Everything that can be said about a plan without a device or a model: ranges, that schema and
  // slice fit, that noise is there exactly when privacy.noise says so. That a sum cannot wrap
  // depends on the noise table and is dp::CheckEncoding's to say.
  // kInvalidArgument names the field.
  Status Validate() const;
  friend bool operator==(const Plan&, const Plan&) = default;
};

}  // namespace demur::model
