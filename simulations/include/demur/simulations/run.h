#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "demur/base/result.h"
#include "demur/simulations/report.h"
#include "demur/simulations/scenario.h"

// A whole scenario: data, federations with and without noise, baselines, measures, report.
namespace demur::sim {

struct RunOptions {
  std::string data_folder = "data";
  unsigned threads = 0;     // 0: the scenario's, else one per processor
  std::string work_folder;  // wire mode: stores and keys of the devices; made and left there
  // Called between steps of the run, with a line for a person and how much is done, 0 to 1.
  std::function<void(const std::string& what, double done)> progress = [](const std::string&,
                                                                          double) {};
};

// The model hash in the report is that of the first seed's `federated` model, or of `federated_dp`
// where nothing else was trained. Errors of every step, with what was being done as context.
Result<Report> RunScenario(const Scenario& scenario, const RunOptions& options);

}  // namespace demur::sim
