#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "demur/base/fault.h"
#include "demur/base/log.h"
#include "demur/client/config.h"
#include "demur/client/event_store.h"
#include "demur/client/key_provider.h"
#include "demur/crypto/system_random.h"
#include "host.h"

// demur-client: hosts devices. Every verb says what it did; an error goes to standard error with
// exit code 1.
namespace demur::client {
namespace {

struct Arguments {
  std::string config;
  std::string log_level = "info";
  HostOptions host;
  std::uint32_t device = 0;  // purge: index of one folder; 0: none was named
  bool all = false;          // purge
  std::uint32_t first = 0;   // run: 0 = the config's
};

Status RunRun(const Arguments& arguments) {
  DEMUR_TRY(HostConfig config, LoadHostConfig(arguments.config));
  DEMUR_RETURN_IF_ERROR(RaiseDescriptorLimitFor(arguments.host.devices));
  if (arguments.first != 0) config.first = arguments.first;
  Host host(std::move(config), arguments.host);
  DEMUR_RETURN_IF_ERROR(host.Prepare());
  Status status = host.Run();
  const Result<HostMetrics> metrics = host.Measure();
  // What stopped the devices comes before what it kept from being measured.
  if (!metrics) return status ? Status(metrics.error()) : status;
  std::printf("%s\n", Format(*metrics).c_str());
  if (!metrics->last_refusal.empty()) {
    std::printf("last refused plan: %s\n", metrics->last_refusal.c_str());
  }
  return status;
}

// Names of the device folders, ascending.
Result<std::vector<std::string>> DeviceNames(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code ec;
  std::filesystem::directory_iterator it(folder, ec);
  if (ec) return Error(ErrorCode::kNotFound, folder + ": " + ec.message());
  for (const auto& entry : it) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory(ec) && name.starts_with("device-")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Status PurgeOne(const std::string& folder, crypto::SystemRandom& random) {
  std::error_code ec;
  if (!std::filesystem::is_directory(folder, ec)) {
    return Error(ErrorCode::kNotFound, folder + ": no such device");
  }
  FileKeyProvider keys(folder);
  EventStoreOptions options;
  options.folder = folder;
  DEMUR_TRY(EventStore store, EventStore::Open(std::move(options), keys, random));
  return store.Purge();
}

Status RunPurge(const Arguments& arguments) {
  // Nothing brings back what is erased: no device is erased because an option was left out.
  if (arguments.all == (arguments.device != 0)) {
    return Error(ErrorCode::kInvalidArgument,
                 "purge: say --device N to erase device-N, or --all to erase every device");
  }
  DEMUR_TRY(HostConfig config, LoadHostConfig(arguments.config));
  std::vector<std::string> names;
  if (arguments.device != 0) {
    config.first = arguments.device;
    names.push_back(config.DeviceName(0));
  } else {
    DEMUR_TRY(names, DeviceNames(config.folder));
  }
  crypto::SystemRandom random;
  for (const std::string& name : names) {
    if (Status purged = PurgeOne(config.folder + "/" + name, random); !purged) {
      return std::move(purged).error().WithContext(name);
    }
    std::printf("%s purged\n", name.c_str());
  }
  std::printf(
      "%zu device%s purged: events, models' private state and identity are gone; what "
      "tasks have cost is kept\n",
      names.size(), names.size() == 1 ? "" : "s");
  return {};
}

Status PrintDevice(const std::string& folder, const std::string& name,
                   crypto::SystemRandom& random) {
  FileKeyProvider keys(folder);
  EventStoreOptions options;
  options.folder = folder;
  DEMUR_TRY(const EventStore store, EventStore::Open(std::move(options), keys, random));
  const auto identity = store.LoadIdentity();
  if (!identity && identity.error().code() != ErrorCode::kNotFound) return identity.error();
  const std::string number = identity ? std::to_string(identity->device.value) : "none";
  std::printf("%s device_number=%s events=%llu\n", name.c_str(), number.c_str(),
              static_cast<unsigned long long>(store.num_events()));
  for (const TaskRecord& record : store.tasks()) {
    std::printf("  task %s participations=%u last_round=%u.%u\n", ToHex(record.task()).c_str(),
                record.account.participations, record.last_seen.epoch, record.last_seen.counter);
  }
  return {};
}

Status RunStatus(const Arguments& arguments) {
  DEMUR_TRY(const HostConfig config, LoadHostConfig(arguments.config));
  DEMUR_TRY(const auto names, DeviceNames(config.folder));
  crypto::SystemRandom random;
  for (const std::string& name : names) {
    if (Status printed = PrintDevice(config.folder + "/" + name, name, random); !printed) {
      return std::move(printed).error().WithContext(name);
    }
  }
  std::printf("%zu device%s\n", names.size(), names.size() == 1 ? "" : "s");
  return {};
}

Status RunPrintDefaults() {
  HostConfig config;
  config.folder = "devices";
  std::printf("%s", FormatHostConfig(config).c_str());
  return {};
}

void DefineCommon(CLI::App* verb, Arguments* arguments) {
  verb->add_option("--config", arguments->config, "TOML file; see print-defaults")->required();
  verb->add_option("--log-level", arguments->log_level, "debug, info, warning, error or off");
}

void DefineVerbs(CLI::App* app, Arguments* arguments) {
  app->require_subcommand(1);
  CLI::App* run = app->add_subcommand("run", "take part until SIGTERM or the task is complete");
  DefineCommon(run, arguments);
  run->add_option("--devices", arguments->host.devices, "devices hosted by this process")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  run->add_option("--first", arguments->first,
                  "index of the first folder, 7: device-0007; absent: the config's")
      ->check(CLI::Range(1, 1'000'000));
  run->add_option("--rounds", arguments->host.rounds, "stop after so many committed rounds");
  run->add_option("--metrics-every", arguments->host.metrics_every_s,
                  "seconds between lines of metrics; 0: at the end only")
      ->check(CLI::Range(0.0, 86400.0));
  run->add_option("--io-threads", arguments->host.io_threads, "threads that move bytes")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  run->add_option("--workers", arguments->host.workers, "threads that train; 0: one a core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();

  CLI::App* purge = app->add_subcommand("purge", "erase what devices hold about their owners");
  DefineCommon(purge, arguments);
  purge
      ->add_option("--device", arguments->device,
                   "index of one folder, 7: device-0007 (not the number that the authority gave)")
      ->check(CLI::Range(1, 1'000'000));
  purge->add_flag("--all", arguments->all, "every device of the config's folder");

  CLI::App* status = app->add_subcommand("status", "what lies in the devices' stores");
  DefineCommon(status, arguments);

  app->add_subcommand("print-defaults", "write the documented config file to standard output");
}

Status Run(const CLI::App& app, const Arguments& arguments) {
  DEMUR_TRY(const log::Level level, log::ParseLevel(arguments.log_level));
  log::SetLevel(level);
  DEMUR_RETURN_IF_ERROR(InstallFaultHandlerFromEnvironment());
  if (app.got_subcommand("run")) return RunRun(arguments);
  if (app.got_subcommand("purge")) return RunPurge(arguments);
  if (app.got_subcommand("status")) return RunStatus(arguments);
  return RunPrintDefaults();
}

int Main(int argc, char** argv) {
  CLI::App app("Devices of a demur federation");
  Arguments arguments;
  DefineVerbs(&app, &arguments);
  CLI11_PARSE(app, argc, argv);
  const Status status = Run(app, arguments);
  if (status) return 0;
  std::fprintf(stderr, "demur-client: %s: %s\n",
               std::string(ToString(status.error().code())).c_str(),
               status.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace demur::client

int main(int argc, char** argv) {
  try {
    return demur::client::Main(argc, argv);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "demur-client: internal: %s\n", failure.what());
    return 1;
  }
}
