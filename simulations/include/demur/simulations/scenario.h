#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "demur/base/config.h"
#include "demur/base/result.h"
#include "demur/client/drill.h"
#include "demur/coordinator/task.h"
#include "demur/learning/signals.h"
#include "demur/learning/split.h"
#include "demur/simulations/dataset.h"
#include "demur/simulations/population.h"

// A scenario file: what to train on, how, against which baselines, and how to measure. The task
// sections are the coordinator's own (coordinator/task.h), so that a scenario and a real server
// make the same plans from the same text. Value types.
namespace demur::sim {

enum class Mode { kFast, kWire };
enum class NoiseMode {
  kPerDevice,  // every device draws its own share, as in the wild
  // One draw per coordinate and round with the summed variance: the same distribution, much
  // faster, other bytes. Fast mode only.
  kAggregate,
};
std::string_view ToString(Mode mode) noexcept;
std::string_view ToString(NoiseMode noise) noexcept;

// Settings of one baseline: every combination is one trial, judged on validation events alone.
struct TuningGrid {
  std::vector<double> learning_rate{0.05};
  std::vector<double> l2{0.01};
  std::uint32_t epochs = 40;   // at most; the best epoch on validation is kept
  std::uint32_t patience = 3;  // epochs without a better validation AUC before stopping
  std::size_t Trials() const noexcept { return learning_rate.size() * l2.size(); }
};

struct Scenario {
  // [scenario]
  std::string name;
  std::string title;  // headline of the report
  std::string about;  // a sentence under it
  std::vector<std::uint64_t> seeds{1};
  Mode mode = Mode::kFast;
  std::uint32_t threads = 0;  // 0: one per processor
  NoiseMode noise = NoiseMode::kPerDevice;

  DataConfig data;                // [data]
  PopulationOptions synthetic;    // [data.synthetic]
  learning::SignalTable signals;  // [signals.<name>]
  learning::SplitOptions split;   // [split] kind, test, validation

  coordinator::TaskConfig task;     // [task] and below; items and population come from the data
  bool also_without_noise = false;  // task.privacy: train a twin without noise beside it
  client::DrillPlan drill;          // [dropout] leave (a share), stage

  // [eval]
  std::uint32_t every = 5;           // rounds between points of the learning curve; 0: none
  std::uint32_t curve_users = 1000;  // people in them; 0: all
  std::uint32_t ranking_users = 0;   // people in HR, NDCG, DislikeShare, NegRecall; 0: all

  // [baselines]
  std::vector<std::string> baselines{"random",    "popularity", "like_rate",
                                     "bias_only", "local_only", "central"};
  TuningGrid bias_only;   // [baselines.bias_only]
  TuningGrid local_only;  // [baselines.local_only]
  TuningGrid central;     // [baselines.central]
};

// Reads a scenario with "a.b=c" overrides. Loads no data: task.model.items and
// task.privacy.population may be absent and are then filled by FitToData.
// kNotFound, kInvalidArgument with file:line, for unknown keys as well.
Result<Scenario> LoadScenario(const std::string& path, const std::vector<std::string>& overrides);
Result<Scenario> ParseScenario(std::string_view text, const std::string& source,
                               const std::vector<std::string>& overrides);

// Makes the population or loads the file; for synthetic data also the truth.
struct LoadedData {
  Dataset data;
  std::optional<Truth> truth;
};
// Synthetic data is a function of (options, seed). Errors of MakePopulation and LoadDataset.
Result<LoadedData> LoadData(const Scenario& scenario, const std::string& data_folder,
                            std::uint64_t seed);

// The task for this data and seed: items, population, an id derived from name and seed.
// `noise` false: the same task, secure aggregation only.
coordinator::TaskConfig TaskFor(const Scenario& scenario, const Dataset& data, std::uint64_t seed,
                                bool noise);

}  // namespace demur::sim
