#pragma once

#include <cstdint>
#include <string>

#include "demur/base/result.h"
#include "demur/simulations/scenario.h"

// A scenario's people as files for real programs: the same events, task and floor for
// `demur-coordinator` and `demur-client` that a simulation of the scenario uses.
namespace demur::sim {

struct Exported {
  std::uint32_t devices = 0;
  std::uint64_t events = 0;
};

// Writes into `folder`, which is made if need be:
//   events/device-0001.csv, ..  every event of each person (client/event_file.h), test events too:
//                               a device holds out its own
//   task.toml                   for `demur-coordinator init`
//   client.toml                 for `demur-client run`: floor, drill and signals of the scenario;
//                               stores go to folder/devices, the token comes from folder/token
// `seed` makes the population. Errors of LoadData; kInvalidArgument: the task cannot be prepared;
// kUnavailable: the system refused to write.
Result<Exported> ExportDevices(const Scenario& scenario, const std::string& data_folder,
                               std::uint64_t seed, const std::string& folder);

}  // namespace demur::sim
