#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "demur/base/json.h"
#include "demur/base/result.h"

// What a run found, as report.json (fixed keys), metrics.csv (one row a round) and report.html (one
// file that needs nothing else). Value types; the writers are stateless.
namespace demur::sim {

// Places in Scores. The names are keys of report.json.
enum Metric : std::size_t {
  kAuc,
  kGaucImpr,
  kGaucPos,
  kLogLoss,
  kHitRate,
  kNdcg,
  kDislikeShare,
  kNegRecall,
  kSignedGauc,
  kNumMetrics
};
inline constexpr std::array<std::string_view, kNumMetrics> kMetricNames = {
    "auc",     "gauc_impr",        "gauc_pos",      "logloss",    "hr@10",
    "ndcg@10", "dislike_share@10", "neg_recall@10", "signed_gauc"};

// One number per metric; NaN where the model has none (popularity gives no probability, so it has
// no log-loss). Written as null.
using Scores = std::array<double, kNumMetrics>;
inline constexpr Scores NoScores() noexcept {
  Scores none{};
  for (double& value : none) value = std::numeric_limits<double>::quiet_NaN();
  return none;
}

// The models of a report, in the order of its tables.
inline constexpr std::array<std::string_view, 9> kModelNames = {
    "random",    "popularity",   "like_rate", "bias_only", "local_only",
    "federated", "federated_dp", "central",   "oracle"};
// For people: "like rate", "federated + DP".
std::string_view ModelTitle(std::string_view name) noexcept;

struct ModelResult {
  std::string name;  // one of kModelNames
  Scores mean = NoScores();
  Scores low = NoScores();  // 95 % interval
  Scores high = NoScores();
};

// One committed or abandoned round of one training.
struct RoundRow {
  std::uint64_t seed = 0;
  std::string model;  // "federated" or "federated_dp"
  std::uint32_t round = 0;
  bool committed = false;
  std::uint32_t cohort = 0;          // of the session that trained, as are the numbers below
  std::uint32_t rows = 0;            // trained: all tables together
  std::uint32_t before_masking = 0;  // left before their update was masked
  std::uint32_t after_masking = 0;
  std::uint32_t untrained = 0;  // sent the zero update
  double update_norm = 0;       // L2 of the mean update, model units
  double wall_ms = 0;
  double auc = std::numeric_limits<double>::quiet_NaN();  // validation; NaN: not measured
};

// Stands in the report only together with everything that gives it a meaning.
struct EpsilonReport {
  double upper = 0;                                         // the accountant's bound
  double lower = std::numeric_limits<double>::quiet_NaN();  // an audit's bound; NaN: none was run
  double delta = 0;
  std::string unit;           // whose data: "enrolled identity"
  std::string adjacency;      // "add or remove all events of one identity"
  std::string mechanism;      // "distributed Skellam noise, ..."
  std::string participation;  // "at most 4 charged rounds of 40"
  std::string trusted_parties;
  bool weak_privacy = false;
};

struct Report {
  static constexpr int kSchema = 1;

  std::string scenario;
  std::vector<std::uint64_t> seeds;
  std::string git;  // version of the program
  struct {
    std::string name;
    std::uint64_t users = 0;
    std::uint64_t items = 0;
    std::uint64_t events = 0;
    std::uint64_t negatives = 0;
  } dataset;
  std::string mode;   // "fast" or "wire"
  std::string noise;  // "per_device", "aggregate", "none"
  std::string secagg_profile;
  std::string identity_authority;
  std::string cohort;  // who chooses the members of a round: secagg::DescribeCohort
  std::uint64_t rounds_committed = 0;
  std::uint64_t rounds_abandoned = 0;
  std::uint64_t clients_per_round = 0;
  std::optional<EpsilonReport> epsilon;   // nullopt: secure aggregation only, no DP
  std::uint64_t bytes_up_per_client = 0;  // one round
  std::uint64_t bytes_down_per_client = 0;
  double wall_seconds = 0;
  double cpu_us_noise_off = std::numeric_limits<double>::quiet_NaN();
  double cpu_us_noise_on = std::numeric_limits<double>::quiet_NaN();
  std::string model_sha256;
  std::vector<ModelResult> models;

  // For report.html and metrics.csv only.
  std::vector<RoundRow> rounds;
  std::vector<std::string> notes;  // how the numbers were made: samples, intervals, tuning
  std::string title;               // headline; absent: the scenario's name
  std::string about;               // a sentence or two from the scenario
};

// The object whose keys users and scripts rely on: adding one bumps kSchema.
Json ReportJson(const Report& report);
// Header and one row a round.
std::string MetricsCsv(const Report& report);
std::string ReportHtml(const Report& report);
// Writes the three into `folder`, which is made. kUnavailable.
Status WriteReport(const Report& report, const std::string& folder);

// The closing table of one or several report.json, for a terminal. With colour where `colour`.
// kInvalidArgument: not a report.
Result<std::string> ClosingTable(const std::vector<Json>& reports);

// "secure aggregation only, no DP", or epsilon with unit, adjacency, delta, mechanism,
// participation and who is trusted: the only two ways in which privacy is ever described.
std::string PrivacyLine(const std::optional<EpsilonReport>& epsilon);

}  // namespace demur::sim
