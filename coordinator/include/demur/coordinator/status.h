#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "demur/base/json.h"
#include "demur/coordinator/round_store.h"
#include "demur/coordinator/task.h"
#include "demur/dp/ledger.h"
#include "demur/secagg/cohort.h"

// What an operator may see of a running coordinator, and the three forms it is shown in. Holds no
// device number and nothing that a device sent. Pure functions over a value type.
namespace demur::coordinator {

// Never an epsilon alone: what it is an epsilon of stands beside it.
struct BudgetView {
  double epsilon_spent = 0;  // upper bound over committed, burnt and reserved rounds
  double epsilon_budget = 0;
  double delta = 0;
  std::uint32_t participations_max = 0;  // k of the bound: rounds one device may take part in
  std::uint32_t rounds_charged = 0;
  bool weak_privacy = false;
  // RoundStore::BumpEpoch was run: charges after the copy are not known, so that all of the budget
  // counts as spent.
  bool restored = false;
  // unit, adjacency and mechanism: dp::EpsilonReport
};

struct StatusView {
  std::string server_name;
  std::string task_name;
  std::string task_id;  // hex
  std::string algorithm;
  std::string secagg_profile;
  std::string cohort_rule;  // secagg::DescribeCohort: who chooses the members
  std::string phase;        // "gathering", "masking", ...
  std::uint32_t epoch = 0;
  std::uint64_t round = 0;  // RoundId::counter of the open or next round
  std::uint32_t rounds_max = 0;
  std::uint32_t rounds_committed = 0;
  std::uint32_t rounds_abandoned = 0;
  std::uint64_t model_version = 0;
  std::string model_sha256;
  std::uint32_t devices_connected = 0;
  std::uint32_t devices_eligible = 0;
  std::uint32_t cohort = 0;    // of the open round
  std::uint32_t answered = 0;  // in the current phase
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t connections_total = 0;
  std::uint64_t connections_refused = 0;
  std::uint64_t faults_total = 0;          // messages that closed a connection or made a dropout
  std::uint64_t declined_total = 0;        // invitations that devices turned down before M1
  std::uint64_t revocations = 0;           // sequence of the revocation list in force
  std::uint64_t revocations_refused = 0;   // times that revoked.json could not be believed
  std::int64_t certificate_not_after = 0;  // Unix seconds; 0: not known
  double uptime_seconds = 0;
  std::optional<BudgetView> budget;  // absent: secure aggregation only, no DP
  std::vector<RoundRow> rounds;      // newest first
};

// What `ledger` says of a task with noise; nothing without. kResourceExhausted: the sum of the
// charges overflows.
Result<std::optional<BudgetView>> ViewBudget(const dp::Ledger& ledger, const PreparedTask& task,
                                             std::uint32_t epoch);
// What is on disk, without what only a running server knows (connections, phase of an open round).
// Errors of RoundStore::Load and CheckTask; kDataLoss also for a ledger that does not replay.
// `population`: the newest statement, nullable.
Result<StatusView> StoredStatus(RoundStore& store, const PreparedTask& task,
                                const secagg::PopulationStatement* population = nullptr);
// "secure aggregation only, no DP", or the budget in one sentence with everything it depends on.
std::string DescribePrivacy(const std::optional<BudgetView>& budget);
// {"task": .., "rounds": [..], ..}: `status --json`.
Json ToJson(const StatusView& status);
// One object a round: `rounds --json`.
Json ToJson(const RoundRow& round);
// Prometheus text exposition 0.0.4.
std::string RenderMetrics(const StatusView& status);
// One self-contained page: no script, nothing fetched.
std::string RenderPage(const StatusView& status);

}  // namespace demur::coordinator
