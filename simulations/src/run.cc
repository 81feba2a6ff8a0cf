#include "demur/simulations/run.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "demur/base/clock.h"
#include "demur/learning/metrics.h"
#include "demur/secagg/parameters.h"
#include "demur/seeded/seeded_random.h"
#include "demur/simulations/baselines.h"
#include "demur/simulations/federation.h"
#include "traffic.h"
#include "version.h"

namespace demur::sim {
namespace {

// Noise that a cost figure without a noisy plan is measured with: standard deviation 1,000.
constexpr std::uint64_t kTypicalNoiseVariance = 1'000'000;
constexpr std::uint32_t kCostClients = 1000;
constexpr std::uint32_t kCostRepeats = 5;

// All seeds of one model.
struct Outcomes {
  std::vector<Evaluation> per_seed;
  std::string tuning;  // of the last seed
};

class ScenarioRun {
 public:
  ScenarioRun(const Scenario& scenario, const RunOptions& options)
      : scenario_(scenario),
        options_(options),
        workers_(options.threads > 0 ? options.threads : scenario.threads) {}

  Result<Report> Run();

 private:
  // What belongs to one seed.
  struct SeedRun {
    std::uint64_t seed;
    const People& people;
    const Truth* truth;
    const Dataset& data;
    RandomSource& random;
  };

  Status RunSeed(std::uint64_t seed);
  Status TrainFederation(const SeedRun& run, bool noise);
  Status TrainRounds(Federation* federation, const SeedRun& run, const std::string& model);
  Status TrainBaselines(const SeedRun& run);
  Status Measure(const std::string& model, const Scorer& scorer, const People& people);
  std::uint32_t MeanRows() const;
  Status MeasureCost(const Federation& federation, const SeedRun& run);
  void DescribePrivacy(const Federation& federation, const dp::EpsilonReport& spent);
  void DescribeData(const SeedRun& run);
  void Summarise();
  void AddNotes();
  void Tell(const std::string& what);

  const Scenario& scenario_;
  const RunOptions& options_;
  Workers workers_;
  Report report_;
  std::map<std::string, Outcomes, std::less<>> outcomes_;
  double steps_ = 1;
  double steps_done_ = 0;
};

void ScenarioRun::Tell(const std::string& what) {
  options_.progress(what, std::min(1.0, steps_done_ / steps_));
}

Result<Report> ScenarioRun::Run() {
  const SystemClock clock;
  const auto begin = clock.Monotonic();
  const bool noise = scenario_.task.privacy.noise;
  const double trainings = noise && scenario_.also_without_noise ? 2 : 1;
  steps_ =
      static_cast<double>(scenario_.seeds.size()) *
      (trainings * scenario_.task.rounds + static_cast<double>(scenario_.baselines.size()) + 3);
  report_.scenario = scenario_.name;
  report_.title = scenario_.title;
  report_.about = scenario_.about;
  report_.seeds = scenario_.seeds;
  report_.git = kVersion;
  report_.mode = ToString(scenario_.mode);
  report_.noise = noise ? std::string(ToString(scenario_.noise)) : "none";
  report_.secagg_profile = scenario_.task.secagg.profile;
  report_.identity_authority =
      scenario_.mode == Mode::kWire ? "own key and store, in the simulator's process" : "simulated";
  for (const std::uint64_t seed : scenario_.seeds) DEMUR_RETURN_IF_ERROR(RunSeed(seed));
  Summarise();
  AddNotes();
  report_.wall_seconds = std::chrono::duration<double>(clock.Monotonic() - begin).count();
  steps_done_ = steps_;
  Tell("done");
  return std::move(report_);
}

Status ScenarioRun::RunSeed(std::uint64_t seed) {
  Tell("seed " + std::to_string(seed) + ": data");
  DEMUR_TRY(const LoadedData loaded, LoadData(scenario_, options_.data_folder, seed));
  seeded::SeededRandom random(seed);
  DEMUR_TRY(const People people,
            People::Create(loaded.data, scenario_.signals, scenario_.split, random, workers_));
  const SeedRun run{seed, people, loaded.truth ? &*loaded.truth : nullptr, loaded.data, random};
  DescribeData(run);
  steps_done_ += 1;
  DEMUR_RETURN_IF_ERROR(TrainBaselines(run));
  const bool noise = scenario_.task.privacy.noise;
  if (!noise || scenario_.also_without_noise) DEMUR_RETURN_IF_ERROR(TrainFederation(run, false));
  if (noise) DEMUR_RETURN_IF_ERROR(TrainFederation(run, true));
  return {};
}

void ScenarioRun::DescribeData(const SeedRun& run) {
  report_.dataset = {run.data.name, run.data.users, run.data.items, run.people.num_events(),
                     run.people.num_negatives()};
}

Status ScenarioRun::TrainBaselines(const SeedRun& run) {
  if (scenario_.baselines.empty()) return {};
  DEMUR_TRY(const auto task,
            coordinator::PreparedTask::Create(TaskFor(scenario_, run.data, run.seed, false)));
  const BaselineContext context{scenario_, run.people, task,    run.truth,
                                run.seed,  run.random, workers_};
  for (const std::string& name : scenario_.baselines) {
    Tell("seed " + std::to_string(run.seed) + ": baseline " + name);
    DEMUR_TRY(const Baseline baseline, TrainBaseline(name, context));
    DEMUR_RETURN_IF_ERROR(Measure(name, *baseline.scorer, run.people));
    outcomes_[name].tuning = baseline.tuning;
    steps_done_ += 1;
  }
  return {};
}

Status ScenarioRun::TrainFederation(const SeedRun& run, bool noise) {
  const std::string model = noise ? "federated_dp" : "federated";
  DEMUR_TRY(auto task,
            coordinator::PreparedTask::Create(TaskFor(scenario_, run.data, run.seed, noise)));
  report_.clients_per_round = std::min<std::uint64_t>(task.config().cohort, run.people.size());
  const FederationSetup setup{
      run.people, run.random, workers_, {.noise = scenario_.noise, .drill = scenario_.drill}};
  DEMUR_TRY(const auto federation,
            MakeFederation(scenario_.mode, std::move(task), setup,
                           options_.work_folder + "/" + model + "-" + std::to_string(run.seed)));
  DEMUR_RETURN_IF_ERROR(TrainRounds(federation.get(), run, model));
  Tell("seed " + std::to_string(run.seed) + ": measuring " + model);
  const auto scorer = MakeFederatedScorer(*federation, run.people, run.random);
  DEMUR_RETURN_IF_ERROR(Measure(model, *scorer, run.people));
  report_.cohort = federation->cohort_rule();
  if (report_.model_sha256.empty()) report_.model_sha256 = ModelSha256(federation->model());
  DEMUR_TRY(const auto spent, federation->Spent());
  if (spent) DescribePrivacy(*federation, *spent);
  if (run.seed == scenario_.seeds.front()) DEMUR_RETURN_IF_ERROR(MeasureCost(*federation, run));
  steps_done_ += 1;
  return {};
}

Status ScenarioRun::TrainRounds(Federation* federation, const SeedRun& run,
                                const std::string& model) {
  const auto scorer = MakeFederatedScorer(*federation, run.people, run.random);
  for (std::uint32_t round = 1; round <= scenario_.task.rounds; ++round) {
    auto row = federation->RunRound();
    if (!row) {
      return std::move(row).error().WithContext(model + ", round " + std::to_string(round));
    }
    row->seed = run.seed;
    row->model = model;
    const bool last = round == scenario_.task.rounds;
    if (scenario_.every > 0 && (last || round % scenario_.every == 0 || round == 1)) {
      DEMUR_TRY(row->auc, PooledAuc(*scorer, run.people, HeldOut::kValidation,
                                    scenario_.curve_users, workers_));
    }
    ++(row->committed ? report_.rounds_committed : report_.rounds_abandoned);
    report_.rounds.push_back(*row);
    steps_done_ += 1;
    Tell("seed " + std::to_string(run.seed) + ": " + model + ", round " + std::to_string(round));
  }
  return {};
}

Status ScenarioRun::Measure(const std::string& model, const Scorer& scorer, const People& people) {
  DEMUR_TRY(const Evaluation evaluation,
            Evaluate(scorer, people, {.ranking_users = scenario_.ranking_users}, workers_));
  outcomes_[model].per_seed.push_back(evaluation);
  return {};
}

// Rows that a round trained, of those that trained any; at least 1.
std::uint32_t ScenarioRun::MeanRows() const {
  double rows = 0;
  double rounds = 0;
  for (const RoundRow& row : report_.rounds) {
    rows += row.rows;
    rounds += row.rows > 0 ? 1 : 0;
  }
  return std::max(1U, static_cast<std::uint32_t>(rounds > 0 ? rows / rounds : 0));
}

Status ScenarioRun::MeasureCost(const Federation& federation, const SeedRun& run) {
  const model::Plan& plan = federation.task().plan_template();
  DEMUR_TRY(report_.cpu_us_noise_off,
            MeasureUpdateMicros(federation, run.people, run.random, 0, kCostClients, kCostRepeats));
  const std::uint64_t variance =
      plan.privacy.noise ? plan.encoding.noise_variance : kTypicalNoiseVariance;
  DEMUR_TRY(report_.cpu_us_noise_on, MeasureUpdateMicros(federation, run.people, run.random,
                                                         variance, kCostClients, kCostRepeats));
  DEMUR_TRY(const Traffic traffic,
            TrafficOf(federation.task(), MeanRows(),
                      static_cast<std::uint32_t>(report_.clients_per_round)));
  report_.bytes_up_per_client = traffic.up;
  report_.bytes_down_per_client = traffic.down;
  return {};
}

void ScenarioRun::DescribePrivacy(const Federation& federation, const dp::EpsilonReport& spent) {
  const model::Plan& plan = federation.task().plan_template();
  report_.epsilon = EpsilonReport{
      .upper = spent.upper,
      .lower = spent.lower,
      .delta = spent.delta,
      .unit = std::string(dp::EpsilonReport::kUnit),
      .adjacency = std::string(dp::EpsilonReport::kAdjacency),
      .mechanism = std::string(dp::EpsilonReport::kMechanism),
      .participation = "at most " + std::to_string(plan.privacy.participations_max) +
                       " charged rounds of " + std::to_string(plan.privacy.rounds_max) +
                       ", no amplification claimed",
      .trusted_parties =
          "the identity authority; a coordinator that follows the protocol; at most " +
          std::to_string(plan.secagg.corrupt_permille) +
          " of 1000 devices without noise of their own",
      .weak_privacy = spent.weak_privacy};
}

void ScenarioRun::Summarise() {
  for (const std::string_view name : kModelNames) {
    const auto found = outcomes_.find(name);
    if (found == outcomes_.end()) continue;
    const std::vector<Evaluation>& seeds = found->second.per_seed;
    ModelResult result;
    result.name = name;
    for (std::size_t metric = 0; metric < kNumMetrics; ++metric) {
      std::vector<double> values;
      values.reserve(seeds.size());
      for (const Evaluation& seed : seeds) values.push_back(seed.scores[metric]);
      if (std::any_of(values.begin(), values.end(), [](double v) { return !std::isfinite(v); })) {
        continue;
      }
      const auto interval = learning::SeedInterval(values);
      const double mean = interval ? interval->mean : values.front();
      const double half = interval ? interval->half_width : seeds.front().half_width[metric];
      result.mean[metric] = mean;
      result.low[metric] = mean - half;
      result.high[metric] = mean + half;
    }
    report_.models.push_back(std::move(result));
  }
}

void ScenarioRun::AddNotes() {
  auto& notes = report_.notes;
  notes.push_back(scenario_.seeds.size() > 1
                      ? "Intervals: 95 %, Student's t over " +
                            std::to_string(scenario_.seeds.size()) + " seeds."
                      : "Intervals: 95 %, jackknife over people; one seed.");
  notes.push_back(
      "Validation comes out of train; no refit: what is measured was trained on train alone.");
  if (scenario_.ranking_users > 0) {
    notes.push_back("Ranking metrics over a fixed sample of " +
                    std::to_string(scenario_.ranking_users) + " people.");
  }
  for (const auto& [name, outcome] : outcomes_) {
    if (!outcome.tuning.empty()) notes.push_back(name + ": " + outcome.tuning + ".");
  }
  if (!scenario_.task.privacy.noise) {
    notes.push_back(
        "CPU with noise on is measured with a noise share of standard deviation 1,000 units; this "
        "task has none.");
  }
}

}  // namespace

Result<Report> RunScenario(const Scenario& scenario, const RunOptions& options) {
  ScenarioRun run(scenario, options);
  return run.Run();
}

}  // namespace demur::sim
