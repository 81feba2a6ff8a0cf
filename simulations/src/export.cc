#include "demur/simulations/export.h"

#include <vector>

#include "demur/base/file.h"
#include "demur/client/config.h"
#include "demur/coordinator/task.h"
#include "demur/learning/events.h"
#include "demur/simulations/dataset.h"
#include "device_floor.h"

namespace demur::sim {
namespace {

std::string EventLines(const std::vector<learning::Event>& events) {
  std::string out = "item,signal,unix_ms\n";
  for (const learning::Event& event : events) {
    out += std::to_string(event.item.value) + "," + std::string(learning::ToString(event.signal)) +
           "," + std::to_string(event.unix_ms) + "\n";
  }
  return out;
}

Status Write(const std::string& path, const std::string& text) {
  return WriteFileAtomically(path, AsBytes(text), FileMode::kPublic);
}

client::HostConfig HostOf(const Scenario& scenario, const model::Plan& plan) {
  client::HostConfig host;
  host.folder = "devices";
  host.token_file = "token";
  host.events_folder = "events";
  host.held_out = scenario.split.test;
  host.floor = FloorFor(plan);
  host.drill = scenario.drill;
  host.signals = scenario.signals;
  return host;
}

}  // namespace

Result<Exported> ExportDevices(const Scenario& scenario, const std::string& data_folder,
                               std::uint64_t seed, const std::string& folder) {
  DEMUR_TRY(const LoadedData loaded, LoadData(scenario, data_folder, seed));
  const coordinator::TaskConfig task =
      TaskFor(scenario, loaded.data, seed, scenario.task.privacy.noise);
  DEMUR_TRY(const auto prepared, coordinator::PreparedTask::Create(task));
  const client::HostConfig host = HostOf(scenario, prepared.plan_template());
  DEMUR_RETURN_IF_ERROR(MakeFolder(folder));
  DEMUR_RETURN_IF_ERROR(MakeFolder(folder + "/" + host.events_folder));
  DEMUR_RETURN_IF_ERROR(Write(folder + "/task.toml", coordinator::FormatTask(task)));
  DEMUR_RETURN_IF_ERROR(Write(folder + "/client.toml", client::FormatHostConfig(host)));
  Exported out;
  for (const std::vector<learning::Event>& events : EventsByUser(loaded.data)) {
    const std::string path =
        folder + "/" + host.events_folder + "/" + host.DeviceName(out.devices) + ".csv";
    DEMUR_RETURN_IF_ERROR(Write(path, EventLines(events)));
    ++out.devices;
    out.events += events.size();
  }
  return out;
}

}  // namespace demur::sim
