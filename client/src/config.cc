#include "demur/client/config.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <utility>
#include <vector>

#include "demur/base/config_writer.h"

namespace demur::client {
namespace {

constexpr std::int64_t kMillisMax = 86'400'000;
constexpr std::array kPrivacy = {"noise", "none"};
constexpr std::array kCohort = {"server-chosen", "authority"};

std::string Resolve(const std::string& folder, const std::string& path) {
  if (path.empty()) return path;
  return (std::filesystem::path(folder) / path).lexically_normal().string();
}

void ReadPaths(Config& config, HostConfig* out) {
  Config::Table devices = config.Section("devices");
  devices.Require("folder").Read("folder", &out->folder).Read("first", &out->first, 1, 1'000'000);
  if (devices.Has("folder") && out->folder.empty()) {
    devices.Reject("folder", "must not be empty");
  }
  config.Section("enrol").Read("token_file", &out->token_file);
  config.Section("data")
      .Read("events", &out->events_folder)
      .Read("held_out", &out->held_out, 0, 0.9);
  out->folder = Resolve(config.folder(), out->folder);
  out->token_file = Resolve(config.folder(), out->token_file);
  out->events_folder = Resolve(config.folder(), out->events_folder);
}

void ReadFloor(Config::Table section, Floor* floor) {
  dp::DeviceFloor& privacy = floor->privacy;
  std::string kind = privacy.allow_no_noise ? kPrivacy[1] : kPrivacy[0];
  std::string cohort = kCohort[floor->require_drawn_cohort ? 1 : 0];
  std::vector<std::string> algorithms;
  section.Read("privacy", &kind)
      .Read("epsilon_round_max", &privacy.epsilon_round_max, 1e-6, 1e3)
      .Read("epsilon_task_max", &privacy.epsilon_task_max, 1e-6, 1e3)
      .Read("epsilon_total_max", &privacy.epsilon_total_max, 1e-6, 1e6)
      .Read("delta_max", &privacy.delta_max, 1e-15, 1e-2)
      .Read("participations_max", &privacy.participations_max, 1, 1'000'000)
      .Read("roster_min", &privacy.roster_min, 20, 1'000'000)
      .Read("survivors_min", &privacy.survivors_min, 2, 1'000'000)
      .Read("corrupt_permille_min", &privacy.corrupt_permille_min, 0, 1000)
      .Read("noise_corrupt_permille_min", &floor->noise_corrupt_permille_min, 0, 1000)
      .Read("dropout_permille_max", &privacy.dropout_permille_max, 0, 1000)
      .Read("corrupt_permille_max", &floor->corrupt_permille_max, 0, 1000)
      .Read("sigma_min", &floor->sigma_min, 20, 128)
      .Read("eta_min", &floor->eta_min, 10, 128)
      .Read("allow_semi_honest", &floor->allow_semi_honest)
      .Read("cohort", &cohort)
      .Read("population_corrupt_permille", &floor->population_corrupt_permille, 0, 500)
      .Read("dim_max", &floor->dim_max, 1, std::int64_t{model::kMaxCoordinates})
      .Read("roster_max", &floor->roster_max, 20, 1'000'000)
      .Read("value_max", &floor->value_max, 1e-3, 1e9)
      .Read("timeout_min_ms", &floor->timeout_min_ms, 1, kMillisMax)
      .Read("timeout_max_ms", &floor->timeout_max_ms, 1, kMillisMax)
      .Read("allow_no_deadline", &floor->allow_no_deadline)
      .Read("algorithms", &algorithms);
  if (section.Has("algorithms")) floor->algorithms = algorithms;
  if (kind != kPrivacy[0] && kind != kPrivacy[1]) {
    section.Reject("privacy", "must be \"noise\" or \"none\" (no differential privacy)");
  }
  privacy.allow_no_noise = kind == kPrivacy[1];
  if (cohort != kCohort[0] && cohort != kCohort[1]) {
    section.Reject("cohort", "must be \"authority\" or \"server-chosen\" (both are accepted)");
  }
  floor->require_drawn_cohort = cohort == kCohort[1];
  if (const Status status = floor->Validate(); !status) {
    section.Reject("privacy", status.error().message());
  }
}

void ReadDrill(Config::Table section, DrillPlan* drill) {
  double leave = 0;
  std::string stage = "mixed";
  section.Read("leave", &leave, 0, 1).Read("stage", &stage);
  drill->leave_permille = static_cast<std::uint32_t>(std::lround(leave * 1000));
  const auto parsed = ParseDrillStage(stage);
  if (!parsed) {
    section.Reject("stage", parsed.error().message());
  } else {
    drill->stage = *parsed;
  }
}

Result<HostConfig> ReadHostConfig(Config config) {
  HostConfig out;
  ReadPaths(config, &out);
  ReadFloor(config.Section("floor"), &out.floor);
  ReadDrill(config.Section("drill"), &out.drill);
  Config::Table connection = config.Section("connection");
  connection.Read("retry_min_ms", &out.retry_min_ms, 1, kMillisMax)
      .Read("retry_max_ms", &out.retry_max_ms, 1, kMillisMax)
      .Read("connect_limit_ms", &out.connect_limit_ms, 1, kMillisMax);
  if (out.retry_max_ms < out.retry_min_ms) {
    connection.Reject("retry_max_ms", "must not be below retry_min_ms");
  }
  out.signals.Read(config);
  DEMUR_RETURN_IF_ERROR(config.Finish());
  return out;
}

// --- Writing ------------------------------------------------------------------------------------

void WriteFloor(const Floor& floor, ConfigWriter* out) {
  const dp::DeviceFloor& privacy = floor.privacy;
  out->Section("floor", "What the owner agrees to; no plan lowers it (docs/threat-model.md).");
  out->Text("privacy", kPrivacy[privacy.allow_no_noise ? 1 : 0],
            "\"none\": also rounds without noise: secure aggregation only, no DP");
  out->Real("epsilon_round_max", privacy.epsilon_round_max, "one round alone");
  out->Real("epsilon_task_max", privacy.epsilon_task_max, "one task over its life");
  out->Real("epsilon_total_max", privacy.epsilon_total_max, "all tasks together");
  out->Real("delta_max", privacy.delta_max);
  out->Number("participations_max", privacy.participations_max, "rounds of a task");
  out->Number("roster_min", privacy.roster_min, "devices in a sum, at least");
  out->Number("survivors_min", privacy.survivors_min, "of them, left at the end");
  out->Number("corrupt_permille_min", privacy.corrupt_permille_min,
              "a plan must reckon with so many corrupt members");
  out->Number("noise_corrupt_permille_min", floor.noise_corrupt_permille_min,
              "a plan with noise: these add none");
  out->Number("corrupt_permille_max", floor.corrupt_permille_max);
  out->Number("dropout_permille_max", privacy.dropout_permille_max);
  out->Number("sigma_min", floor.sigma_min, "bits of statistical security");
  out->Number("eta_min", floor.eta_min, "bits of robustness against dropouts");
  out->Flag("allow_semi_honest", floor.allow_semi_honest, "plans that trust the coordinator");
  out->Text("cohort", kCohort[floor.require_drawn_cohort ? 1 : 0],
            "\"authority\": only cohorts that the authority's beacon draws");
  out->Number("population_corrupt_permille", floor.population_corrupt_permille,
              "of everybody enrolled: what a drawn cohort is bounded from");
  out->Number("dim_max", floor.dim_max, "coordinates: work, memory, upload");
  out->Number("roster_max", floor.roster_max);
  out->Real("value_max", floor.value_max, "largest model value that a plan may allow");
  out->Number("timeout_min_ms", floor.timeout_min_ms, "every deadline of a plan lies between");
  out->Number("timeout_max_ms", floor.timeout_max_ms, "these two");
  out->Flag("allow_no_deadline", floor.allow_no_deadline, "for runs that compare bytes");
  out->List("algorithms", floor.algorithms);
}

std::string_view NameOf(learning::Label label) {
  switch (label) {
    case learning::Label::kPositive:
      return "positive";
    case learning::Label::kNegative:
      return "negative";
    case learning::Label::kNone:
      return "none";
  }
  return "none";
}

void WriteSignals(const learning::SignalTable& signals, ConfigWriter* out) {
  for (std::size_t number = 1; number <= learning::kNumSignals; ++number) {
    const auto signal = static_cast<learning::Signal>(number);
    const learning::SignalRule& rule = signals.rule(signal);
    out->Section(
        "signals." + std::string(learning::ToString(signal)),
        number == 1 ? "What acts mean: label and weight in training, what they push down." : "");
    out->Text("label", NameOf(rule.label));
    out->Real("weight", rule.weight);
    out->Real("kappa", rule.kappa);
    out->Real("half_life_hours", rule.half_life_hours);
    out->Flag("spreads", rule.spreads);
    out->Flag("hard_filter", rule.hard_filter);
  }
}

}  // namespace

std::string HostConfig::DeviceName(std::uint32_t index) const {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "device-%04llu",
                static_cast<unsigned long long>(first) + index);
  return name.data();
}

std::string HostConfig::DeviceFolder(std::uint32_t index) const {
  return folder + "/" + DeviceName(index);
}

std::string HostConfig::EventFile(std::uint32_t index) const {
  return events_folder + "/" + DeviceName(index) + ".csv";
}

DeviceOptions HostConfig::OptionsOf(std::uint32_t index) const {
  DeviceOptions options;
  options.folder = DeviceFolder(index);
  options.floor = floor;
  options.drill = drill;
  options.signals = signals;
  options.held_out = held_out;
  options.retry_min_ms = retry_min_ms;
  options.retry_max_ms = retry_max_ms;
  options.connect_limit = net::Limit(connect_limit_ms);
  options.enrol_stream = std::uint64_t{first} + index;
  return options;
}

Result<HostConfig> LoadHostConfig(const std::string& path) {
  DEMUR_TRY(Config config, Config::Load(path));
  return ReadHostConfig(std::move(config));
}

Result<HostConfig> ParseHostConfig(std::string_view text, const std::string& source) {
  DEMUR_TRY(Config config, Config::Parse(text, source));
  return ReadHostConfig(std::move(config));
}

std::string FormatHostConfig(const HostConfig& config) {
  ConfigWriter out;
  out.Section("devices", "Paths are relative to this file.");
  out.Text("folder", config.folder, "holds device-0001, ..: store and key of each; required");
  out.Number("first", config.first, "index of this process's first folder, 1: device-0001");
  out.Section("enrol", "");
  out.Text("token_file", config.token_file, "from `demur-ca token`; empty: all are enrolled");
  out.Section("data", "");
  out.Text("events", config.events_folder,
           "folder with device-0001.csv, ..: read once, when a store is empty; \"\": none");
  out.Real("held_out", config.held_out, "share of own items that only the owner's metrics see");
  WriteFloor(config.floor, &out);
  out.Section("drill", "Trials only: a share of the devices leaves each round half-way.");
  out.Real("leave", config.drill.leave_permille / 1000.0);
  const DrillStage stage = config.drill.stage;
  out.Text("stage", stage == DrillStage::kBeforeMasking  ? "before"
                    : stage == DrillStage::kAfterMasking ? "after"
                                                         : "mixed");
  out.Section("connection", "");
  out.Number("retry_min_ms", config.retry_min_ms, "first pause before connecting again; doubles");
  out.Number("retry_max_ms", config.retry_max_ms);
  out.Number("connect_limit_ms", config.connect_limit_ms);
  WriteSignals(config.signals, &out);
  return out.Take();
}

}  // namespace demur::client
