#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "demur/base/config.h"
#include "demur/base/ids.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/dp/calibrate.h"
#include "demur/dp/ledger.h"
#include "demur/learning/row_selection.h"
#include "demur/learning/server_step.h"
#include "demur/model/plan.h"
#include "demur/model/tables.h"

// A training task as an operator writes it, and the plans that follow from it. The same sections
// stand in the coordinator's task file and in a simulator's scenario, so that both make the same
// plans from the same text. Value types; safe from several threads when const.
namespace demur::coordinator {

// [task]
struct TaskConfig {
  std::string name = "task";   // what people call it; 1 to 64 of a-z 0-9 - _ .
  std::optional<TaskId> id;    // 32 hex digits; absent: drawn by `init`, or by the simulator's seed
  std::uint32_t rounds = 10;   // T: rounds over the life of the task; 1 to 1,000,000
  std::uint32_t cohort = 100;  // devices invited to a round; roster_min to 1,000,000
  // A round starts once this many devices (at least `cohort`) are connected, eligible or not, and
  // secagg.roster_min of them are eligible. 0: `cohort`. Runs that compare bytes set it to the
  // number of enrolled devices, so that the cohort is drawn over all of them and never by order of
  // arrival.
  std::uint32_t connected_min = 0;

  // [task.model]
  struct Model {
    std::string algorithm = "biased_mf";  // a name of the learning registries
    std::uint32_t items = 0;              // rows of the item tables; required, 1 to 2^26
    std::uint32_t factors = 16;           // d, for algorithms that have factors; 1 to 1,024
    friend bool operator==(const Model&, const Model&) = default;
  } model;

  // [task.training]
  struct Training {
    // [task.training.hyper]: name = number. The algorithm refuses names it does not know.
    // Ascending by name. `optimiser = "sgd"`, "adam" or "adagrad" under [task.training] is another
    // way to write the number `server_optimiser`.
    std::vector<model::HyperParameter> hyper;
    double normaliser = 0;   // the sum is divided by this; 0: `cohort`
    double clip_norm = 1.0;  // L2 clip of one device's weighted update, model units; > 0
    double value_max = 100;  // no |model value| beyond it; > 0
    // Which rows of the tables that have one an item a round moves: "all"; "rows": those listed
    // under `rows`, ascending; "counts" and "bandit": chosen round by round ([task.sparse]).
    std::string slice = "all";
    std::vector<std::uint32_t> rows;
    double weight = 1.0;          // model::TableSpec::weight of the item table; 1e-6 to 1e6
    std::uint32_t rows_max = 0;   // rows that one update may touch; 0: every row of the slice
    std::uint32_t bits_max = 32;  // largest modulus 2^bits that calibration may take; 8 to 32
    friend bool operator==(const Training&, const Training&) = default;
  } training;

  // [task.sparse], for slice = "counts" (a first session counts of how many participants each row
  // would change, noised, and a second one trains the rows with enough) and slice = "bandit" (the
  // coordinator draws rows by what earlier rounds moved).
  struct Sparse {
    std::uint32_t rows_cap = 0;  // rows of one round, at most; 0: every row (counts only)
    // Participants, noise included, that make a row count. 0: twice the standard deviation of the
    // counts' noise, and at least 1.
    double count_min = 0;
    std::uint32_t count_rows_max = 64;  // rows that one device counts for; of more it draws so many
    double count_share = 0.1;           // of the privacy budget, for the counts
    double keep = 0.95;                 // share of its past that the bandit keeps a round
    friend bool operator==(const Sparse&, const Sparse&) = default;
  } sparse;

  // [task.privacy]
  struct Privacy {
    bool noise = false;   // false: secure aggregation only, no DP
    double epsilon = 6;   // budget per user for the life of the task; above 10 needs weak_privacy
    double delta = 1e-7;  // refused at or above 0.1 / population
    std::uint32_t participations = 0;  // k: charged rounds per device; 0: `rounds`
    bool weak_privacy = false;
    std::uint64_t population = 0;  // enrolled people, public; required with noise
    friend bool operator==(const Privacy&, const Privacy&) = default;
  } privacy;

  // [task.secagg]
  struct SecAgg {
    std::string profile = "malicious";  // or "semi-honest"
    std::uint32_t roster_min = 20;      // fewer advertisements abandon the round; at least 20
    std::uint32_t roster_max = 0;       // 0: `cohort`
    // Fractions in whole thousandths.
    std::optional<double> gamma;  // corrupt devices; absent: 0.05, with noise 0.10
    double delta = 0.30;          // that leave after the roster froze
    std::uint32_t sigma = 0;  // statistical security, bits; 0: 80, semi-honest 40; else 20 to 128
    std::uint32_t eta = 20;   // robustness, bits; 10 to 128
    friend bool operator==(const SecAgg&, const SecAgg&) = default;
  } secagg;

  // [task.eligibility]
  struct Eligibility {
    // Share of the enrolled population that a round's draw makes eligible, 0 to 1. Above 0 the
    // authority's beacon draws the cohort (demur-ca close-epoch): every eligible device that is
    // connected is invited, up to secagg.roster_max, and `cohort` only says for how many
    // connections a round waits. 0: the coordinator draws `cohort` of those connected.
    double rate = 0;
    // In units of 2^-32; above 0 where `rate` is, and below 2^32 at 1.
    std::uint32_t RateUnits() const noexcept;
    friend bool operator==(const Eligibility&, const Eligibility&) = default;
  } eligibility;

  // [task.timeouts], milliseconds; 0: no deadline (only where a test compares bytes).
  struct Timeouts {
    std::uint32_t training_ms = 120'000;
    std::uint32_t advertise_ms = 60'000;
    std::uint32_t share_ms = 30'000;
    std::uint32_t mask_ms = 60'000;
    std::uint32_t confirm_ms = 15'000;
    std::uint32_t unmask_ms = 30'000;
    // What a device that is turned away (full, restarting) is told to wait, and the pause after an
    // abandoned round, times how many there were in a row (at most 12).
    std::uint32_t retry_ms = 5'000;
    // A connection that is lost in a round may come back for so long; then its device has left.
    // 0: it has left at once.
    std::uint32_t reconnect_ms = 3'000;
    friend bool operator==(const Timeouts&, const Timeouts&) = default;
  } timeouts;

  // Rules between fields. kInvalidArgument names the field as section.key.
  Status Validate() const;
  friend bool operator==(const TaskConfig&, const TaskConfig&) = default;
};

// Reads the task sections of `config` and checks them. Leaves Finish(), which finds unknown keys,
// to the caller, who may read sections of its own first. kInvalidArgument: see Validate(); errors
// of type and range come out of Finish() with file:line.
Result<TaskConfig> ReadTask(Config& config);
// ReadTask and Finish of one file that holds a task and nothing else.
Result<TaskConfig> LoadTask(const std::string& path);
// The task in the same TOML, every default written out: what `init` stores, and what
// `print-task-defaults` shows. ReadTask of it gives an equal task.
std::string FormatTask(const TaskConfig& task);
// SHA-256 of that text: two tasks with one hash are the same in every key.
Hash256 HashTask(const TaskConfig& task);

// Everything about a task that does not change between rounds, worked out once: schema, slice,
// encoding integers (calibration searches for the least noise that fits the budget).
class PreparedTask {
 public:
  // kInvalidArgument: an invalid config, no task id or an unknown hyper-parameter. kNotFound: an
  // unknown algorithm (names the known ones). kFailedPrecondition: no encoding meets the budget.
  static Result<PreparedTask> Create(TaskConfig config);

  const TaskConfig& config() const noexcept { return config_; }
  const TaskId& id() const noexcept { return *config_.id; }
  const model::Schema& schema() const noexcept { return template_.training.schema; }
  // Of the largest slice that a round may have.
  const model::Layout& layout() const noexcept { return layout_; }
  // The plan of the session that trains, with zero in the fields that change between rounds. Where
  // rows are chosen round by round, the slice is any of the largest size.
  const model::Plan& plan_template() const noexcept { return template_; }
  // The same of the session before it that counts rows; nothing unless slice = "counts".
  const std::optional<model::Plan>& counts_template() const noexcept { return counts_; }
  // Rows are chosen round by round: slice is "counts" or "bandit".
  bool chooses_rows() const noexcept { return rule_.cap > 0; }
  // What calibration found: scale, noise, and the epsilon of the whole task.
  const dp::Calibration& calibration() const noexcept { return calibration_; }
  // The same of the counts alone; zeros without them.
  const dp::Calibration& counts_calibration() const noexcept { return counts_calibration_; }
  // What the ledger of this task may spend.
  dp::Ledger::Policy ledger_policy() const;
  // The server's half of the algorithm; borrowed from this object.
  const learning::ServerStep& server_step() const noexcept { return *server_step_; }

  // The rows of a round's only session, ascending; empty unless slice = "bandit". A function of
  // what was committed, and of the kRows stream of the round.
  Result<std::vector<std::uint32_t>> DrawRows(const learning::ServerState& state,
                                              RandomSource& random, RoundId round) const;
  // The rows that a counting session found. kFailedPrecondition: none.
  Result<std::vector<std::uint32_t>> FindRows(const model::MeanUpdate& counts) const;
  // Step 6 of a round: the next model and what the server remembers, of the session that trained
  // `layout`. Errors as learning::ServerStep::Run.
  Status Apply(const model::MeanUpdate& mean, const model::Layout& layout,
               model::SharedModel* shared, learning::ServerState* state) const;

 private:
  PreparedTask() = default;
  // Before a round, as the bandit does; otherwise a counting session finds them.
  bool draws_rows() const noexcept { return chooses_rows() && !counts_; }
  Status PrepareCounts(const dp::CalibrationRequest& request);

  TaskConfig config_;
  model::Plan template_;
  std::optional<model::Plan> counts_;
  model::Layout layout_;
  dp::Calibration calibration_;
  dp::Calibration counts_calibration_;
  learning::RowRule rule_;  // cap 0: rows are not chosen
  std::shared_ptr<const learning::ServerStep> server_step_;
};

// The model that a round trains on.
struct ModelName {
  Hash256 hash{};
  std::uint64_t version = 0;
};
// The plan of one session, server-chosen. The first of a round counts rows where the task says so.
// `rows` of the session that trains, ascending, at most layout() has: where the task chooses them,
// and not elsewhere (checked). `expires_unix_ms`: devices refuse it from then on.
model::Plan MakePlan(const PreparedTask& task, const dp::RoundKey& key, const ModelName& model,
                     std::int64_t expires_unix_ms, const std::vector<std::uint32_t>& rows = {});
// What ServerStep::InitialModel is called with.
StreamId InitialModelStream(const TaskId& task) noexcept;
// What SelectCohort draws from.
StreamId CohortStream(const TaskId& task, RoundId round) noexcept;
// Sum of the plan's deadlines, or a day when it has none.
std::int64_t PlanLifetimeMillis(const model::TimeoutPlan& timeouts) noexcept;

// Draws `target` of `eligible` (ascending, no duplicates) without replacement; all of them when
// there are no more. Ascending. A function of the two sets and the stream alone, never of the
// order in which devices came. kInternal: the stream failed.
Result<std::vector<DeviceNumber>> SelectCohort(const std::vector<DeviceNumber>& eligible,
                                               std::uint32_t target, RandomStream& stream);

}  // namespace demur::coordinator
