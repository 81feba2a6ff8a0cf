#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>

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
  if (training.slice != "all" && training.slice != "rows") {
    return Bad("task.training.slice: \"all\" or \"rows\"");
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
  if (secagg.profile == "malicious") {
    return Error(ErrorCode::kUnimplemented,
                 "task: task.secagg.profile: malicious is not built into this version");
  }
  if (secagg.profile != "semi-honest") return Bad("task.secagg.profile: \"semi-honest\"");
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
  if (secagg.sigma < 20 || secagg.sigma > 128) return Bad("task.secagg.sigma: 20 to 128");
  if (secagg.eta < 10 || secagg.eta > 128) return Bad("task.secagg.eta: 10 to 128");
  return {};
}

std::string Number(double value) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  std::string out(text, end);
  // TOML tells integers from floats by the point.
  if (out.find_first_of(".en") == std::string::npos) out += ".0";
  return out;
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
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

void ReadSecAgg(Config::Table table, TaskConfig::SecAgg* out) {
  table.Read("profile", &out->profile)
      .Read("roster_min", &out->roster_min, 20, kCohortMax)
      .Read("roster_max", &out->roster_max, 0, kCohortMax)
      .Read("delta", &out->delta, 0, 0.5)
      .Read("sigma", &out->sigma, 20, 128)
      .Read("eta", &out->eta, 10, 128);
  double gamma = -1;
  table.Read("gamma", &gamma, 0, 0.5);
  if (gamma >= 0) out->gamma = gamma;
}

}  // namespace

Status TaskConfig::Validate() const {
  DEMUR_RETURN_IF_ERROR(ValidateTask(*this));
  DEMUR_RETURN_IF_ERROR(ValidateModel(model));
  DEMUR_RETURN_IF_ERROR(ValidateTraining(*this));
  DEMUR_RETURN_IF_ERROR(ValidatePrivacy(*this));
  return ValidateSecAgg(*this);
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
  config.Section("task.privacy")
      .Read("noise", &task.privacy.noise)
      .Read("epsilon", &task.privacy.epsilon, 1e-3, 1e3)
      .Read("delta", &task.privacy.delta, 1e-15, 1e-2)
      .Read("participations", &task.privacy.participations, 0, kRoundsMax)
      .Read("weak_privacy", &task.privacy.weak_privacy)
      .Read("population", &task.privacy.population, 0, std::int64_t{1} << 40);
  ReadSecAgg(config.Section("task.secagg"), &task.secagg);
  config.Section("task.timeouts")
      .Read("training_ms", &task.timeouts.training_ms, 0, kMillisMax)
      .Read("advertise_ms", &task.timeouts.advertise_ms, 0, kMillisMax)
      .Read("share_ms", &task.timeouts.share_ms, 0, kMillisMax)
      .Read("mask_ms", &task.timeouts.mask_ms, 0, kMillisMax)
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
  std::string out;
  const auto line = [&out](std::string_view key, const std::string& value,
                           std::string_view comment) {
    out += std::string(key) + " = " + value;
    if (!comment.empty()) out += "  # " + std::string(comment);
    out += "\n";
  };
  const auto flag = [](bool value) { return std::string(value ? "true" : "false"); };
  out += "[task]\n";
  line("name", Quoted(task.name), "");
  if (task.id) {
    line("id", Quoted(ToHex(*task.id)), "");
  } else {
    out += "# id = \"32 hexadecimal digits\"  # absent: drawn by `init`\n";
  }
  line("rounds", std::to_string(task.rounds), "over the life of the task");
  line("cohort", std::to_string(task.cohort), "devices invited to a round");
  line("connected_min", std::to_string(task.connected_min), "wait for so many; 0: cohort");

  out += "\n[task.model]\n";
  line("algorithm", Quoted(task.model.algorithm), "");
  line("items", std::to_string(task.model.items), "rows of the item tables; required");
  line("factors", std::to_string(task.model.factors), "");

  out += "\n[task.training]\n";
  line("normaliser", Number(task.training.normaliser), "the sum is divided by it; 0: cohort");
  line("clip_norm", Number(task.training.clip_norm), "L2, model units");
  line("value_max", Number(task.training.value_max), "largest |model value|");
  line("slice", Quoted(task.training.slice), "\"all\" or \"rows\"");
  if (!task.training.rows.empty()) {
    std::string rows;
    for (const std::uint32_t row : task.training.rows) {
      rows += (rows.empty() ? "" : ", ") + std::to_string(row);
    }
    line("rows", "[" + rows + "]", "");
  }
  line("weight", Number(task.training.weight), "of the item table inside the clip");
  line("rows_max", std::to_string(task.training.rows_max), "one update touches; 0: the slice");
  line("bits_max", std::to_string(task.training.bits_max), "largest modulus 2^bits");
  if (!task.training.hyper.empty()) out += "\n[task.training.hyper]\n";
  for (const model::HyperParameter& hyper : task.training.hyper) {
    line(hyper.name, Number(hyper.value), "");
  }

  out += "\n[task.privacy]\n";
  line("noise", flag(task.privacy.noise), "false: secure aggregation only, no DP");
  line("epsilon", Number(task.privacy.epsilon), "per user, life of the task");
  line("delta", Number(task.privacy.delta), "below 0.1 / population");
  line("participations", std::to_string(task.privacy.participations), "per device; 0: rounds");
  line("weak_privacy", flag(task.privacy.weak_privacy), "allows epsilon above 10");
  line("population", std::to_string(task.privacy.population), "enrolled people; needed with noise");

  out += "\n[task.secagg]\n";
  line("profile", Quoted(task.secagg.profile), "");
  line("roster_min", std::to_string(task.secagg.roster_min), "fewer abandon the round");
  line("roster_max", std::to_string(task.secagg.roster_max), "0: cohort");
  if (task.secagg.gamma) {
    line("gamma", Number(*task.secagg.gamma), "corrupt devices");
  } else {
    out += "# gamma = 0.05  # corrupt devices; absent: 0.05, with noise 0.10\n";
  }
  line("delta", Number(task.secagg.delta), "devices that leave after the roster froze");
  line("sigma", std::to_string(task.secagg.sigma), "statistical security, bits");
  line("eta", std::to_string(task.secagg.eta), "robustness, bits");

  out += "\n[task.timeouts]  # milliseconds; 0: none\n";
  line("training_ms", std::to_string(task.timeouts.training_ms), "");
  line("advertise_ms", std::to_string(task.timeouts.advertise_ms), "");
  line("share_ms", std::to_string(task.timeouts.share_ms), "");
  line("mask_ms", std::to_string(task.timeouts.mask_ms), "");
  line("unmask_ms", std::to_string(task.timeouts.unmask_ms), "");
  line("retry_ms", std::to_string(task.timeouts.retry_ms), "of those turned away; after a failure");
  line("reconnect_ms", std::to_string(task.timeouts.reconnect_ms),
       "for a connection lost in a round");
  return out;
}

}  // namespace demur::coordinator
