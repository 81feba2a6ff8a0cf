#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "demur/base/config.h"
#include "demur/base/result.h"
#include "demur/client/device.h"
#include "demur/client/drill.h"
#include "demur/client/policy.h"
#include "demur/learning/signals.h"

// The config file of `demur-client`: a process that hosts one or many devices. Every key has a
// default except [devices] folder; a key that is not known is an error. Value type; stateless
// functions.
namespace demur::client {

struct HostConfig {
  std::string folder;                   // [devices]: holds device-0001, device-0002, ..
  std::uint32_t first = 1;              // [devices]: index of this process's first folder
  std::string token_file;               // [enrol]: empty: only devices that are enrolled already
  std::string events_folder;            // [data] events: device-0001.csv, ..; empty: none are read
  double held_out = 0.2;                // [data]
  Floor floor;                          // [floor]
  DrillPlan drill;                      // [drill]
  learning::SignalTable signals;        // [signals.<name>]
  std::uint32_t retry_min_ms = 500;     // [connection]
  std::uint32_t retry_max_ms = 30'000;  // [connection]
  std::uint32_t connect_limit_ms = 10'000;  // [connection]

  // Device `index` of the process, from 0.
  std::string DeviceName(std::uint32_t index) const;  // "device-0001"
  std::string DeviceFolder(std::uint32_t index) const;
  std::string EventFile(std::uint32_t index) const;
  DeviceOptions OptionsOf(std::uint32_t index) const;
};

// Paths are relative to the file's folder. kNotFound, kInvalidArgument: with file and line.
Result<HostConfig> LoadHostConfig(const std::string& path);
Result<HostConfig> ParseHostConfig(std::string_view text, const std::string& source);

// The documented file, every key written out; what ParseHostConfig reads back equal.
std::string FormatHostConfig(const HostConfig& config);

}  // namespace demur::client
