#include "demur/simulations/scenario.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "demur/crypto/hash.h"
#include "demur/seeded/seeded_random.h"
#include "demur/simulations/report.h"

namespace demur::sim {
namespace {

void ReadScenarioSection(Config& config, Scenario* out) {
  Config::Table section = config.Section("scenario");
  std::vector<std::int64_t> seeds;
  std::string mode(ToString(out->mode));
  std::string noise(ToString(out->noise));
  section.Require("name")
      .Read("name", &out->name)
      .Read("title", &out->title)
      .Read("about", &out->about)
      .Read("seeds", &seeds, 0, std::numeric_limits<std::int64_t>::max())
      .Read("mode", &mode)
      .Read("threads", &out->threads, 0, 256)
      .Read("noise", &noise);
  if (section.Has("seeds")) {
    out->seeds.assign(seeds.begin(), seeds.end());
    if (out->seeds.empty()) section.Reject("seeds", "must name at least one seed");
  }
  if (mode != "fast" && mode != "wire") section.Reject("mode", "must be \"fast\" or \"wire\"");
  if (noise != "per_device" && noise != "aggregate") {
    section.Reject("noise", "must be \"per_device\" or \"aggregate\"");
  }
  out->mode = mode == "wire" ? Mode::kWire : Mode::kFast;
  out->noise = noise == "aggregate" ? NoiseMode::kAggregate : NoiseMode::kPerDevice;
  if (out->mode == Mode::kWire && out->noise == NoiseMode::kAggregate) {
    section.Reject("noise", "devices draw their own noise in wire mode: use \"per_device\"");
  }
}

void ReadSplit(Config::Table section, learning::SplitOptions* out) {
  std::string kind(learning::ToString(out->kind));
  section.Read("kind", &kind)
      .Read("test", &out->test, 0, 0.99)
      .Read("validation", &out->validation, 0, 0.99)
      .Read("cut_unix_ms", &out->cut_unix_ms, 0, std::numeric_limits<std::int64_t>::max());
  const auto parsed = learning::ParseSplitKind(kind);
  if (!parsed) {
    section.Reject("kind", parsed.error().message());
  } else {
    out->kind = *parsed;
  }
}

void ReadDropout(Config::Table section, client::DrillPlan* out) {
  double leave = 0;
  std::string stage = "mixed";
  section.Read("leave", &leave, 0, 1).Read("stage", &stage);
  out->leave_permille = static_cast<std::uint32_t>(std::lround(leave * 1000));
  const auto parsed = client::ParseDrillStage(stage);
  if (!parsed) {
    section.Reject("stage", parsed.error().message());
  } else {
    out->stage = *parsed;
  }
}

void ReadGrid(Config::Table section, TuningGrid* out) {
  section.Read("learning_rate", &out->learning_rate, 1e-6, 10)
      .Read("l2", &out->l2, 0, 10)
      .Read("epochs", &out->epochs, 1, 10'000)
      .Read("patience", &out->patience, 1, 10'000);
  if (out->Trials() == 0) section.Reject("learning_rate", "and l2 must name at least one value");
  if (out->Trials() > 64) section.Reject("learning_rate", "with l2: more than 64 trials");
}

void ReadBaselines(Config& config, Scenario* out) {
  Config::Table section = config.Section("baselines");
  section.Read("models", &out->baselines);
  for (const std::string& name : out->baselines) {
    const bool known = std::find(kModelNames.begin(), kModelNames.end(), name) != kModelNames.end();
    if (!known || name.starts_with("federated")) {
      section.Reject("models", "unknown baseline '" + name + "'");
    }
  }
  if (out->data.source != "synthetic" &&
      std::find(out->baselines.begin(), out->baselines.end(), "oracle") != out->baselines.end()) {
    section.Reject("models", "the oracle needs synthetic data");
  }
  ReadGrid(config.Section("baselines.bias_only"), &out->bias_only);
  ReadGrid(config.Section("baselines.local_only"), &out->local_only);
  ReadGrid(config.Section("baselines.central"), &out->central);
}

// The coordinator's reader asks for the size of the catalogue, which the data will say.
Status FillPlaceholders(Config& config) {
  if (!config.Section("task.model").Has("items")) {
    DEMUR_RETURN_IF_ERROR(config.Override("task.model.items=1"));
  }
  // The smallest population that the rules between fields allow: TaskFor puts the real one in.
  if (!config.Section("task.privacy").Has("population")) {
    std::int64_t cohort = coordinator::TaskConfig{}.cohort;
    config.Section("task").Read("cohort", &cohort, 1, 1'000'000);
    DEMUR_RETURN_IF_ERROR(config.Override("task.privacy.population=" + std::to_string(cohort)));
  }
  return {};
}

Result<Scenario> ReadScenario(Config config, const std::vector<std::string>& overrides) {
  for (const std::string& assignment : overrides) {
    DEMUR_RETURN_IF_ERROR(config.Override(assignment));
  }
  DEMUR_RETURN_IF_ERROR(FillPlaceholders(config));
  Scenario out;
  ReadScenarioSection(config, &out);
  DEMUR_TRY(out.data, ReadData(config));
  ReadPopulation(config.Section("data.synthetic"), &out.synthetic);
  out.signals.Read(config);
  ReadSplit(config.Section("split"), &out.split);
  ReadDropout(config.Section("dropout"), &out.drill);
  Config::Table eval = config.Section("eval");
  eval.Read("every", &out.every, 0, 1'000'000)
      .Read("curve_users", &out.curve_users, 0, 1'000'000'000)
      .Read("ranking_users", &out.ranking_users, 0, 1'000'000'000);
  ReadBaselines(config, &out);
  config.Section("task.privacy").Read("also_without_noise", &out.also_without_noise);
  DEMUR_TRY(out.task, coordinator::ReadTask(config));
  DEMUR_RETURN_IF_ERROR(config.Finish());
  return out;
}

}  // namespace

std::string_view ToString(Mode mode) noexcept { return mode == Mode::kWire ? "wire" : "fast"; }

std::string_view ToString(NoiseMode noise) noexcept {
  return noise == NoiseMode::kAggregate ? "aggregate" : "per_device";
}

Result<Scenario> LoadScenario(const std::string& path, const std::vector<std::string>& overrides) {
  DEMUR_TRY(Config config, Config::Load(path));
  return ReadScenario(std::move(config), overrides);
}

Result<Scenario> ParseScenario(std::string_view text, const std::string& source,
                               const std::vector<std::string>& overrides) {
  DEMUR_TRY(Config config, Config::Parse(text, source));
  return ReadScenario(std::move(config), overrides);
}

Result<LoadedData> LoadData(const Scenario& scenario, const std::string& data_folder,
                            std::uint64_t seed) {
  LoadedData out;
  if (scenario.data.source == "synthetic") {
    seeded::SeededRandom random(seed);
    DEMUR_TRY(Population population, MakePopulation(scenario.synthetic, random));
    out.data = std::move(population.data);
    out.truth = std::move(population.truth);
    return out;
  }
  DEMUR_TRY(out.data, LoadDataset(scenario.data, data_folder));
  return out;
}

coordinator::TaskConfig TaskFor(const Scenario& scenario, const Dataset& data, std::uint64_t seed,
                                bool noise) {
  coordinator::TaskConfig task = scenario.task;
  task.model.items = data.items;
  task.privacy.population = data.users;
  task.privacy.noise = noise;
  if (!task.id) {
    ByteWriter name;
    name.Text("demur/sim/task").U64(seed).U8(noise ? 1 : 0).Text(scenario.name);
    const Hash256 hash = crypto::Sha256(name.bytes());
    TaskId id;
    std::copy_n(hash.begin(), id.bytes.size(), id.bytes.begin());
    task.id = id;
  }
  return task;
}

}  // namespace demur::sim
