#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>

#include "demur/base/config_writer.h"
#include "demur/coordinator/task.h"
#include "demur/learning_server/registry.h"

// Reading, checking and writing of the task sections.
namespace demur::coordinator {
namespace {

constexpr std::int64_t kRoundsMax = 1'000'000;
constexpr std::int64_t kCohortMax = 1'000'000;
constexpr std::int64_t kItemsMax = std::int64_t{1} << 26;
constexpr std::int64_t kFactorsMax = 1'024;
constexpr std::int64_t kMillisMax = std::int64_t{7} * 24 * 3600 * 1000;
constexpr double kHyperMax = 1e12;
constexpr std::string_view kOptimiser = "server_optimiser";
constexpr double kEpsilonStrong = 10;  // above it only with weak_privacy, in so many words

Error Bad(const std::string& what) { return Error(ErrorCode::kInvalidArgument, "task: " + what); }

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

// Of algorithms and of their numbers: what a plan carries, and what TOML reads back unquoted.
bool IsWord(const std::string& text) {
  return !text.empty() && text.size() <= 32 && std::all_of(text.begin(), text.end(), [](char c) {
    return IsNameCharacter(c) && c != '-' && c != '.';
  });
}

bool InRange(double value, double min, double max) {
  return std::isfinite(value) && value >= min && value <= max;
}

// A fraction that both sides can write as the same integer.
bool IsPermille(double fraction) {
  return std::abs(fraction * 1000 - std::round(fraction * 1000)) < 1e-9;
}

Status ValidateTask(const TaskConfig& task) {
  if (task.name.empty() || task.name.size() > 64 ||
      !std::all_of(task.name.begin(), task.name.end(), IsNameCharacter)) {
    return Bad("task.name: 1 to 64 of a-z 0-9 - _ .");
  }
  if (task.rounds < 1 || task.rounds > kRoundsMax) return Bad("task.rounds: 1 to 1000000");
  if (task.cohort > kCohortMax) return Bad("task.cohort: at most 1000000");
  if (task.cohort < task.secagg.roster_min) {
    return Bad("task.cohort must be at least task.secagg.roster_min");
  }
  return {};
}

Status ValidateModel(const TaskConfig::Model& model) {
  if (!IsWord(model.algorithm)) return Bad("task.model.algorithm: 1 to 32 of a-z 0-9 _");
  if (model.items < 1 || model.items > kItemsMax) {
    return Bad("task.model.items: 1 to 67108864 (it has no default)");
  }
  if (model.factors < 1 || model.factors > kFactorsMax) {
    return Bad("task.model.factors: 1 to 1024");
  }
  return {};
}

Status ValidateTraining(const TaskConfig& task) {
  const TaskConfig::Training& training = task.training;
  if (!InRange(training.normaliser, 0, 1e9)) return Bad("task.training.normaliser: 0 to 1e9");
  if (!InRange(training.clip_norm, 1e-9, 1e9)) return Bad("task.training.clip_norm: 1e-9 to 1e9");
  if (!InRange(training.value_max, 1e-9, 1e9)) return Bad("task.training.value_max: 1e-9 to 1e9");
  constexpr std::array<std::string_view, 4> kSlices = {"all", "rows", "counts", "bandit"};
  if (std::find(kSlices.begin(), kSlices.end(), training.slice) == kSlices.end()) {
    return Bad("task.training.slice: \"all\", \"rows\", \"counts\" or \"bandit\"");
  }
  if ((training.slice == "rows") == training.rows.empty()) {
    return Bad("task.training.rows: listed exactly when slice = \"rows\"");
  }
  for (std::size_t i = 0; i < training.rows.size(); ++i) {
    if (training.rows[i] >= task.model.items) {
      return Bad("task.training.rows: an item number is not below task.model.items");
    }
    if (i > 0 && training.rows[i - 1] >= training.rows[i]) {
      return Bad("task.training.rows: must ascend without duplicates");
    }
  }
  for (std::size_t i = 0; i < training.hyper.size(); ++i) {
    if (!IsWord(training.hyper[i].name) || !std::isfinite(training.hyper[i].value)) {
      return Bad("task.training.hyper: names of 1 to 32 of a-z 0-9 _, and finite numbers");
    }
    if (i > 0 && training.hyper[i - 1].name >= training.hyper[i].name) {
      return Bad("task.training.hyper: names must ascend");
    }
  }
  if (!InRange(training.weight, 1e-6, 1e6)) return Bad("task.training.weight: 1e-6 to 1e6");
  if (training.bits_max < 8 || training.bits_max > 32)
    return Bad("task.training.bits_max: 8 to 32");
  return {};
}

Status ValidateSparse(const TaskConfig& task) {
  const TaskConfig::Sparse& sparse = task.sparse;
  if (task.training.slice == "bandit" && sparse.rows_cap == 0) {
    return Bad("task.sparse.rows_cap: needed with slice = \"bandit\"");
  }
  if (!InRange(sparse.count_min, 0, 1e9)) return Bad("task.sparse.count_min: 0 to 1e9");
  if (sparse.count_rows_max < 1 || sparse.count_rows_max > kItemsMax) {
    return Bad("task.sparse.count_rows_max: 1 to 67108864");
  }
  if (!InRange(sparse.count_share, 0.001, 0.999)) {
    return Bad("task.sparse.count_share: 0.001 to 0.999");
  }
  if (!InRange(sparse.keep, 0, 1)) return Bad("task.sparse.keep: 0 to 1");
  return {};
}

Status ValidatePrivacy(const TaskConfig& task) {
  const TaskConfig::Privacy& privacy = task.privacy;
  if (privacy.participations > task.rounds) {
    return Bad("task.privacy.participations: at most task.rounds");
  }
  if (!privacy.noise) return {};
  if (!InRange(privacy.epsilon, 1e-3, 1e3)) return Bad("task.privacy.epsilon: 0.001 to 1000");
  if (privacy.epsilon > kEpsilonStrong && !privacy.weak_privacy) {
    return Bad("task.privacy.epsilon: above 10 only with weak_privacy = true");
  }
  if (!InRange(privacy.delta, 1e-15, 1e-2)) return Bad("task.privacy.delta: 1e-15 to 0.01");
  if (privacy.population == 0) {
    return Bad("task.privacy.population: needed with noise, to judge delta by");
  }
  if (privacy.delta >= 0.1 / static_cast<double>(privacy.population)) {
    return Bad("task.privacy.delta: must be below 0.1 / population");
  }
  return {};
}

Status ValidateSecAgg(const TaskConfig& task) {
  const TaskConfig::SecAgg& secagg = task.secagg;
  if (secagg.profile != "malicious" && secagg.profile != "semi-honest") {
    return Bad("task.secagg.profile: \"malicious\" or \"semi-honest\"");
  }
  if (secagg.roster_min < 20) return Bad("task.secagg.roster_min: at least 20");
  if (secagg.roster_max != 0 && secagg.roster_max < secagg.roster_min) {
    return Bad("task.secagg.roster_max: 0 or at least roster_min");
  }
  if (secagg.roster_max > kCohortMax) return Bad("task.secagg.roster_max: at most 1000000");
  const double gamma = secagg.gamma.value_or(0);
  if (!InRange(gamma, 0, 0.5) || !IsPermille(gamma)) {
    return Bad("task.secagg.gamma: 0 to 0.5 in thousandths");
  }
  if (!InRange(secagg.delta, 0, 0.5) || !IsPermille(secagg.delta)) {
    return Bad("task.secagg.delta: 0 to 0.5 in thousandths");
  }
  // Otherwise dropouts that the plan allows would leave nobody honest to add noise.
  if (secagg.delta + gamma > 0.9) return Bad("task.secagg: gamma + delta must be at most 0.9");
  if (secagg.sigma != 0 && (secagg.sigma < 20 || secagg.sigma > 128)) {
    return Bad("task.secagg.sigma: 0, or 20 to 128");
  }
  if (secagg.eta < 10 || secagg.eta > 128) return Bad("task.secagg.eta: 10 to 128");
  return {};
}

Status ValidateEligibility(const TaskConfig& task) {
  if (!InRange(task.eligibility.rate, 0, 1)) return Bad("task.eligibility.rate: 0 to 1");
  return {};
}

void ReadHyper(Config::Table table, std::vector<model::HyperParameter>* out) {
  for (const std::string& key : table.Keys()) {
    double value = 0;
    table.Read(key, &value, -kHyperMax, kHyperMax);
    out->push_back({key, value});
  }
}

// A name in place of a number: what a person can remember.
void ReadOptimiser(Config::Table table, std::vector<model::HyperParameter>* out) {
  std::string name;
  table.Read("optimiser", &name);
  if (name.empty()) return;
  const Result<double> number = learning_server::ServerOptimiserNumber(name);
  if (!number) return table.Reject("optimiser", number.error().message());
  for (const model::HyperParameter& hyper : *out) {
    if (hyper.name == kOptimiser) {
      return table.Reject("optimiser", "task.training.hyper.server_optimiser says it already");
    }
  }
  out->push_back({std::string(kOptimiser), *number});
}

void ReadTraining(Config& config, TaskConfig::Training* out) {
  Config::Table table = config.Section("task.training");
  std::vector<std::int64_t> rows;
  table.Read("normaliser", &out->normaliser, 0, 1e9)
      .Read("clip_norm", &out->clip_norm, 1e-9, 1e9)
      .Read("value_max", &out->value_max, 1e-9, 1e9)
      .Read("slice", &out->slice)
      .Read("rows", &rows, 0, kItemsMax - 1)
      .Read("weight", &out->weight, 1e-6, 1e6)
      .Read("rows_max", &out->rows_max, 0, kItemsMax)
      .Read("bits_max", &out->bits_max, 8, 32);
  for (const std::int64_t row : rows) out->rows.push_back(static_cast<std::uint32_t>(row));
  ReadHyper(config.Section("task.training.hyper"), &out->hyper);
  ReadOptimiser(table, &out->hyper);
  std::sort(out->hyper.begin(), out->hyper.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
}

void ReadSparse(Config::Table table, TaskConfig::Sparse* out) {
  table.Read("rows_cap", &out->rows_cap, 0, kItemsMax)
      .Read("count_min", &out->count_min, 0, 1e9)
      .Read("count_rows_max", &out->count_rows_max, 1, kItemsMax)
      .Read("count_share", &out->count_share, 0.001, 0.999)
      .Read("keep", &out->keep, 0, 1);
}

void ReadSecAgg(Config::Table table, TaskConfig::SecAgg* out) {
  table.Read("profile", &out->profile)
      .Read("roster_min", &out->roster_min, 20, kCohortMax)
      .Read("roster_max", &out->roster_max, 0, kCohortMax)
      .Read("delta", &out->delta, 0, 0.5)
      .Read("sigma", &out->sigma, 0, 128)
      .Read("eta", &out->eta, 10, 128);
  double gamma = -1;
  table.Read("gamma", &gamma, 0, 0.5);
  if (gamma >= 0) out->gamma = gamma;
}

void WriteTask(const TaskConfig& task, ConfigWriter* out) {
  out->Section("task").Text("name", task.name);
  if (task.id) {
    out->Text("id", ToHex(*task.id));
  } else {
    out->Remark("id = \"32 hexadecimal digits\"  # absent: drawn by `init`");
  }
  out->Number("rounds", task.rounds, "over the life of the task")
      .Number("cohort", task.cohort, "devices invited to a round")
      .Number("connected_min", task.connected_min, "wait for so many; 0: cohort");
  out->Section("task.model")
      .Text("algorithm", task.model.algorithm)
      .Number("items", task.model.items, "rows of the item tables; required")
      .Number("factors", task.model.factors);
}

void WriteTraining(const TaskConfig::Training& training, ConfigWriter* out) {
  out->Section("task.training")
      .Real("normaliser", training.normaliser, "the sum is divided by it; 0: cohort")
      .Real("clip_norm", training.clip_norm, "L2, model units")
      .Real("value_max", training.value_max, "largest |model value|")
      .Text("slice", training.slice, "\"all\", \"rows\", \"counts\" or \"bandit\"");
  if (!training.rows.empty()) out->List("rows", training.rows);
  out->Real("weight", training.weight, "of the item table inside the clip")
      .Number("rows_max", training.rows_max, "one update touches; 0: the slice")
      .Number("bits_max", training.bits_max, "largest modulus 2^bits");
  if (!training.hyper.empty()) out->Section("task.training.hyper");
  for (const model::HyperParameter& hyper : training.hyper) out->Real(hyper.name, hyper.value);
}

void WriteSparse(const TaskConfig::Sparse& sparse, ConfigWriter* out) {
  out->Section("task.sparse", "For slice = \"counts\" or \"bandit\".")
      .Number("rows_cap", sparse.rows_cap, "rows of a round, at most; 0: all (counts only)")
      .Real("count_min", sparse.count_min, "participants; 0: twice the noise's deviation")
      .Number("count_rows_max", sparse.count_rows_max, "rows that one device counts for")
      .Real("count_share", sparse.count_share, "of the privacy budget, for the counts")
      .Real("keep", sparse.keep, "of its past that the bandit keeps a round");
}

void WritePrivacy(const TaskConfig::Privacy& privacy, ConfigWriter* out) {
  out->Section("task.privacy")
      .Flag("noise", privacy.noise, "false: secure aggregation only, no DP")
      .Real("epsilon", privacy.epsilon, "per user, life of the task")
      .Real("delta", privacy.delta, "below 0.1 / population")
      .Number("participations", privacy.participations, "per device; 0: rounds")
      .Flag("weak_privacy", privacy.weak_privacy, "allows epsilon above 10")
      .Number("population", static_cast<std::int64_t>(privacy.population),
              "enrolled people; needed with noise");
}

void WriteSecAgg(const TaskConfig::SecAgg& secagg, ConfigWriter* out) {
  out->Section("task.secagg")
      .Text("profile", secagg.profile, "or semi-honest: a coordinator that follows the protocol")
      .Number("roster_min", secagg.roster_min, "fewer abandon the round")
      .Number("roster_max", secagg.roster_max, "0: cohort");
  if (secagg.gamma) {
    out->Real("gamma", *secagg.gamma, "corrupt devices");
  } else {
    out->Remark("gamma = 0.05  # corrupt devices; absent: 0.05, with noise 0.10");
  }
  out->Real("delta", secagg.delta, "devices that leave after the roster froze")
      .Number("sigma", secagg.sigma, "statistical security, bits; 0: 80, semi-honest 40")
      .Number("eta", secagg.eta, "robustness, bits");
}

void WriteEligibility(const TaskConfig::Eligibility& eligibility, ConfigWriter* out) {
  out->Section("task.eligibility")
      .Real("rate", eligibility.rate,
            "share of the enrolled that the authority's beacon draws; 0: the coordinator draws");
}

void WriteTimeouts(const TaskConfig::Timeouts& timeouts, ConfigWriter* out) {
  out->Section("task.timeouts", "Milliseconds; 0: none.")
      .Number("training_ms", timeouts.training_ms)
      .Number("advertise_ms", timeouts.advertise_ms)
      .Number("share_ms", timeouts.share_ms)
      .Number("mask_ms", timeouts.mask_ms)
      .Number("confirm_ms", timeouts.confirm_ms)
      .Number("unmask_ms", timeouts.unmask_ms)
      .Number("retry_ms", timeouts.retry_ms, "of those turned away; after a failure")
      .Number("reconnect_ms", timeouts.reconnect_ms, "for a connection lost in a round");
}

}  // namespace

Status TaskConfig::Validate() const {
  DEMUR_RETURN_IF_ERROR(ValidateTask(*this));
  DEMUR_RETURN_IF_ERROR(ValidateModel(model));
  DEMUR_RETURN_IF_ERROR(ValidateTraining(*this));
  DEMUR_RETURN_IF_ERROR(ValidateSparse(*this));
  DEMUR_RETURN_IF_ERROR(ValidatePrivacy(*this));
  DEMUR_RETURN_IF_ERROR(ValidateSecAgg(*this));
  return ValidateEligibility(*this);
}

Result<TaskConfig> ReadTask(Config& config) {
  TaskConfig task;
  std::string id;
  config.Section("task")
      .Read("name", &task.name)
      .Read("id", &id)
      .Read("rounds", &task.rounds, 1, kRoundsMax)
      .Read("cohort", &task.cohort, 20, kCohortMax)
      .Read("connected_min", &task.connected_min, 0, kCohortMax);
  if (!id.empty()) {
    const auto bytes = FromHexExactly<16>(id);
    if (bytes) {
      task.id = TaskId{*bytes};
    } else {
      config.Section("task").Reject("id", "must be 32 hexadecimal digits");
    }
  }
  config.Section("task.model")
      .Read("algorithm", &task.model.algorithm)
      .Read("items", &task.model.items, 1, kItemsMax)
      .Read("factors", &task.model.factors, 1, kFactorsMax);
  ReadTraining(config, &task.training);
  ReadSparse(config.Section("task.sparse"), &task.sparse);
  config.Section("task.privacy")
      .Read("noise", &task.privacy.noise)
      .Read("epsilon", &task.privacy.epsilon, 1e-3, 1e3)
      .Read("delta", &task.privacy.delta, 1e-15, 1e-2)
      .Read("participations", &task.privacy.participations, 0, kRoundsMax)
      .Read("weak_privacy", &task.privacy.weak_privacy)
      .Read("population", &task.privacy.population, 0, std::int64_t{1} << 40);
  ReadSecAgg(config.Section("task.secagg"), &task.secagg);
  config.Section("task.eligibility").Read("rate", &task.eligibility.rate, 0, 1);
  config.Section("task.timeouts")
      .Read("training_ms", &task.timeouts.training_ms, 0, kMillisMax)
      .Read("advertise_ms", &task.timeouts.advertise_ms, 0, kMillisMax)
      .Read("share_ms", &task.timeouts.share_ms, 0, kMillisMax)
      .Read("mask_ms", &task.timeouts.mask_ms, 0, kMillisMax)
      .Read("confirm_ms", &task.timeouts.confirm_ms, 0, kMillisMax)
      .Read("unmask_ms", &task.timeouts.unmask_ms, 0, kMillisMax)
      .Read("retry_ms", &task.timeouts.retry_ms, 0, kMillisMax)
      .Read("reconnect_ms", &task.timeouts.reconnect_ms, 0, kMillisMax);
  DEMUR_RETURN_IF_ERROR(task.Validate());
  return task;
}

Result<TaskConfig> LoadTask(const std::string& path) {
  DEMUR_TRY(Config config, Config::Load(path));
  Result<TaskConfig> task = ReadTask(config);
  // The complaint with file and line comes first: a wrong type also leaves a default behind.
  DEMUR_RETURN_IF_ERROR(config.Finish());
  if (!task) return std::move(task).error().WithContext(path);
  return task;
}

std::string FormatTask(const TaskConfig& task) {
  ConfigWriter out;
  WriteTask(task, &out);
  WriteTraining(task.training, &out);
  WriteSparse(task.sparse, &out);
  WritePrivacy(task.privacy, &out);
  WriteSecAgg(task.secagg, &out);
  WriteEligibility(task.eligibility, &out);
  WriteTimeouts(task.timeouts, &out);
  return out.Take();
}

}  // namespace demur::coordinator
