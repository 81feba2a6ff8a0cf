#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "demur/base/file.h"
#include "demur/base/json.h"
#include "demur/base/log.h"
#include "demur/simulations/export.h"
#include "demur/simulations/report.h"
#include "demur/simulations/run.h"
#include "demur/simulations/scenario.h"
#include "secagg_commands.h"

// demur-sim: runs scenarios, exports their people for real devices, prints closing tables, measures
// secure aggregation.
namespace demur::sim {
namespace {

constexpr std::uint64_t kMaxReportLen = 64U << 20;

struct RunArguments {
  std::string scenario;
  std::vector<std::string> overrides;
  std::string data = "data";
  std::string out;
  unsigned threads = 0;
};

// A bar on a terminal, a line a step elsewhere (rounds only at every tenth of the run).
class Progress {
 public:
  explicit Progress(std::string name)
      : name_(std::move(name)), bar_(::isatty(STDERR_FILENO) == 1) {}

  void Show(const std::string& what, double done) {
    const int percent = static_cast<int>(std::floor(done * 100));
    if (bar_) {
      constexpr int kWidth = 30;
      const int filled = percent * kWidth / 100;
      std::fprintf(stderr, "\r\033[K%s [%s%s] %3d %%  %s", name_.c_str(),
                   std::string(static_cast<std::size_t>(filled), '#').c_str(),
                   std::string(static_cast<std::size_t>(kWidth - filled), '.').c_str(), percent,
                   what.c_str());
      if (percent >= 100) std::fputc('\n', stderr);
    } else if (percent / 10 != last_tenth_) {
      last_tenth_ = percent / 10;
      std::fprintf(stderr, "%s %3d %%  %s\n", name_.c_str(), percent, what.c_str());
    }
    std::fflush(stderr);
  }

 private:
  std::string name_;
  bool bar_;
  int last_tenth_ = -1;
};

Status Run(const RunArguments& arguments) {
  DEMUR_TRY(const Scenario scenario, LoadScenario(arguments.scenario, arguments.overrides));
  DEMUR_RETURN_IF_ERROR(MakeFolder(arguments.out));
  Progress progress(scenario.name);
  RunOptions options;
  options.data_folder = arguments.data;
  options.threads = arguments.threads;
  options.work_folder = arguments.out + "/devices";
  options.progress = [&](const std::string& what, double done) { progress.Show(what, done); };
  DEMUR_TRY(const Report report, RunScenario(scenario, options));
  DEMUR_RETURN_IF_ERROR(WriteReport(report, arguments.out));
  DEMUR_TRY(const std::string table, ClosingTable({ReportJson(report)}));
  std::printf("%s\nreport: %s/report.html\n", table.c_str(), arguments.out.c_str());
  return {};
}

Status Table(const std::vector<std::string>& files) {
  std::vector<Json> reports;
  for (const std::string& file : files) {
    DEMUR_TRY(const std::string text, ReadTextFile(file, kMaxReportLen));
    auto json = Json::Parse(text);
    if (!json) return std::move(json).error().WithContext(file);
    reports.push_back(*std::move(json));
  }
  DEMUR_TRY(const std::string table, ClosingTable(reports));
  std::printf("%s", table.c_str());
  return {};
}

Status Export(const RunArguments& arguments) {
  DEMUR_TRY(const Scenario scenario, LoadScenario(arguments.scenario, arguments.overrides));
  DEMUR_TRY(const Exported exported,
            ExportDevices(scenario, arguments.data, scenario.seeds.front(), arguments.out));
  std::printf("%u devices with %llu events, task.toml and client.toml: %s\n", exported.devices,
              static_cast<unsigned long long>(exported.events), arguments.out.c_str());
  return {};
}

int Finish(const Status& status) {
  if (status) return 0;
  std::fprintf(stderr, "demur-sim: %s\n", status.error().message().c_str());
  return 1;
}

int Main(int argc, char** argv) {
  CLI::App app{"demur-sim: federations in one process, from a scenario file to a report"};
  app.require_subcommand(1);
  std::string level = "warning";
  app.add_option("--log-level", level, "debug, info, warning, error or off")->capture_default_str();

  RunArguments run;
  CLI::App* run_command = app.add_subcommand("run", "Runs a scenario and writes its report");
  run_command->add_option("scenario", run.scenario, "Scenario file (TOML)")->required();
  run_command->add_option("--set", run.overrides, "Overrides a key: section.key=value");
  run_command->add_option("--data", run.data, "Folder with the data sets")->capture_default_str();
  run_command->add_option("--out", run.out, "Folder for report.json, metrics.csv, report.html")
      ->required();
  run_command->add_option("--threads", run.threads, "0: the scenario's, else one per processor");

  CLI::App* export_command =
      app.add_subcommand("export", "Writes a scenario's people, task and floor for real programs");
  export_command->add_option("scenario", run.scenario, "Scenario file (TOML)")->required();
  export_command->add_option("--set", run.overrides, "Overrides a key: section.key=value");
  export_command->add_option("--data", run.data, "Folder with the data sets")
      ->capture_default_str();
  export_command->add_option("--out", run.out, "Folder for the files")->required();

  std::vector<std::string> files;
  CLI::App* table_command = app.add_subcommand("table", "Prints the closing table of reports");
  table_command->add_option("report", files, "report.json files")->required();

  const SecAggCommands secagg(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : kExitBadInput;
  }
  const auto parsed = log::ParseLevel(level);
  if (!parsed) return Finish(parsed.error());
  log::SetLevel(*parsed);
  if (const auto exit_code = secagg.Run()) return *exit_code;
  if (run_command->parsed()) return Finish(Run(run));
  if (export_command->parsed()) return Finish(Export(run));
  return Finish(Table(files));
}

}  // namespace
}  // namespace demur::sim

int main(int argc, char** argv) {
  try {
    return demur::sim::Main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "demur-sim: %s\n", e.what());
    return 70;
  }
}
