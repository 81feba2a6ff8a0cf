#include <CLI/CLI.hpp>
#include <asio/signal_set.hpp>
#include <asio/thread_pool.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "demur/base/clock.h"
#include "demur/base/fault.h"
#include "demur/base/file.h"
#include "demur/base/log.h"
#include "demur/base/process.h"
#include "demur/coordinator/deployment.h"
#include "demur/coordinator/recovery.h"
#include "demur/coordinator/server.h"
#include "demur/coordinator/status.h"
#include "demur/coordinator/task.h"
#include "demur/crypto/system_random.h"

// demur-coordinator: the operator's hand on one training task. Every verb says what it did; an
// error goes to standard error with exit code 1.
namespace demur::coordinator {
namespace {

// Descriptors beside those of connections: store, listeners, standard streams.
constexpr std::uint64_t kSpareDescriptors = 64;

struct Arguments {
  std::string dir;
  std::string name;
  std::string task_file;
  std::string listen = "127.0.0.1:0";
  std::string admin;
  std::string port_file;
  std::string admin_port_file;
  std::uint32_t stop_after = 0;
  std::uint32_t max_connections = 10'000;
  std::uint32_t limit = 20;
  std::uint32_t above = 0;
  unsigned threads = 2;
  bool json = false;
  bool table = false;
  std::string log_level = "info";
};

Status RunInit(const Arguments& arguments) {
  DEMUR_TRY(TaskConfig task, LoadTask(arguments.task_file));
  // What cannot be trained is said now, not when the first device has come.
  TaskConfig with_id = task;
  if (!with_id.id) with_id.id = TaskId{};
  DEMUR_TRY(const PreparedTask prepared, PreparedTask::Create(std::move(with_id)));
  crypto::SystemRandom random;
  DEMUR_RETURN_IF_ERROR(InitDeployment(arguments.dir, arguments.name, std::move(task), random));
  std::printf(
      "coordinator made in %s: %u coordinates, %s\nnext: demur-ca certify --request %s/%s --out "
      "%s/%s, and the authority's ca.pem beside it\n",
      arguments.dir.c_str(), prepared.layout().dim(),
      prepared.plan_template().privacy.noise ? "with noise" : "secure aggregation only, no DP",
      arguments.dir.c_str(), std::string(kRequestFile).c_str(), arguments.dir.c_str(),
      std::string(kCertificateFile).c_str());
  return {};
}

Status WritePort(const std::string& path, std::uint16_t port) {
  if (path.empty()) return {};
  const std::string text = std::to_string(port) + "\n";
  return WriteFileAtomically(path, AsBytes(text), FileMode::kPublic);
}

// One line a round on standard output, for people who watch.
void PrintRound(const RoundOutcome& outcome) {
  const RoundReport& report = outcome.report;
  const std::string hash = ToHex(report.model_hash).substr(0, 12);
  std::printf("%5u  %6u  %6u  %9u  %5u  %11.4f  %s  %s\n", report.id.counter, report.cohort,
              report.roster, report.survivors, report.cohort - report.survivors,
              outcome.update_norm, hash.c_str(),
              report.committed ? "committed" : ("abandoned: " + report.reason).c_str());
  std::fflush(stdout);
}

void PrintTableHead(const StatusView& status) {
  std::printf(
      "%s\ncohort: %s\nround  cohort  roster  survivors   left  update norm  model         \n",
      DescribePrivacy(status.budget).c_str(), status.cohort_rule.c_str());
  std::fflush(stdout);
}

Result<wire::Endpoint> ReadEndpoint(const char* option, const std::string& text) {
  Result<wire::Endpoint> endpoint = wire::ParseEndpoint(text);
  if (!endpoint) return std::move(endpoint).error().WithContext(option + (" " + text));
  return endpoint;
}

// As `nohup` sets it.
bool IgnoresHangUp() {
  struct sigaction now {};
  return ::sigaction(SIGHUP, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

Status RunServe(const Arguments& arguments) {
  DEMUR_RETURN_IF_ERROR(RaiseDescriptorLimit(arguments.max_connections + kSpareDescriptors));
  DEMUR_TRY(Deployment deployment, LoadDeployment(arguments.dir));
  ServerOptions options;
  DEMUR_TRY(options.listen, ReadEndpoint("--listen", arguments.listen));
  if (!arguments.admin.empty()) {
    DEMUR_TRY(options.admin, ReadEndpoint("--admin", arguments.admin));
  }
  options.stop_after = arguments.stop_after;
  options.max_connections = arguments.max_connections;
  if (arguments.table) options.on_round = PrintRound;
  const SystemClock clock;
  crypto::SystemRandom random;
  asio::thread_pool pool(arguments.threads);
  // Before the port is known to anybody: a signal must not find the default action.
  asio::signal_set signals(pool, SIGINT, SIGTERM);
  if (!IgnoresHangUp()) signals.add(SIGHUP);
  Result<StopReason> reason = Error(ErrorCode::kInternal, "not started");
  {
    DEMUR_TRY(const auto server,
              Server::Start(std::move(deployment), clock, random, pool.get_executor(), options));
    signals.async_wait([&server](const asio::error_code& failure, int) {
      if (!failure) server->Stop();
    });
    log::Info("coordinator_open", {{"address", wire::Format({options.listen.host, server->port()})},
                                   {"admin_port", server->admin_port()}});
    if (arguments.table) PrintTableHead(server->status());
    Status written = WritePort(arguments.port_file, server->port());
    if (written) written = WritePort(arguments.admin_port_file, server->admin_port());
    if (!written) server->Stop();
    reason = server->Wait();
    signals.cancel();
    if (!written) reason = written.error();
  }
  pool.join();
  if (!reason) return std::move(reason).error();
  if (*reason == StopReason::kInternal) {
    return Error(ErrorCode::kInternal,
                 "ledger and rounds disagree, which is a bug: nothing was "
                 "committed that does not belong; start it again and report");
  }
  std::printf("stopped: %s\n", std::string(ToString(*reason)).c_str());
  return {};
}

// What the store says, whether or not a coordinator serves it now.
Result<StatusView> ReadStatus(const Arguments& arguments) {
  DEMUR_TRY(const Deployment deployment, LoadDeployment(arguments.dir));
  DEMUR_TRY(const PreparedTask task, PreparedTask::Create(deployment.task));
  DEMUR_TRY(RoundStore store, RoundStore::Open(arguments.dir, RoundStore::Access::kRead));
  std::optional<Population> population;
  if (task.config().eligibility.RateUnits() > 0) {
    DEMUR_TRY(population, LoadPopulation(deployment.dir, deployment.authority, std::nullopt));
  }
  DEMUR_TRY(StatusView view,
            StoredStatus(store, task, population ? &population->statement : nullptr));
  view.server_name = deployment.server_name;
  DEMUR_TRY(view.rounds, store.Rounds(arguments.limit));
  return view;
}

Status RunStatus(const Arguments& arguments) {
  DEMUR_TRY(const StatusView view, ReadStatus(arguments));
  if (arguments.json) {
    std::printf("%s\n", ToJson(view).Dump(2).c_str());
    return {};
  }
  std::printf(
      "task %s (%s), epoch %u%s, %s\nrounds %u committed, %u abandoned, of %u\nmodel %llu, SHA-256 "
      "%s\n%s\ncohort: %s\n",
      view.task_name.c_str(), view.task_id.c_str(), view.epoch,
      view.epoch > kFirstEpoch ? " (restored from a backup)" : "", view.phase.c_str(),
      view.rounds_committed, view.rounds_abandoned, view.rounds_max,
      static_cast<unsigned long long>(view.model_version), view.model_sha256.c_str(),
      DescribePrivacy(view.budget).c_str(), view.cohort_rule.c_str());
  return {};
}

Status RunRounds(const Arguments& arguments) {
  DEMUR_TRY(RoundStore store, RoundStore::Open(arguments.dir, RoundStore::Access::kRead));
  DEMUR_TRY(const std::vector<RoundRow> rounds, store.Rounds(arguments.limit));
  if (arguments.json) {
    Json out{Json::Array{}};
    for (const RoundRow& round : rounds) out.Append(ToJson(round));
    std::printf("%s\n", out.Dump(2).c_str());
    return {};
  }
  std::printf(
      "epoch  round  session     state       cohort  roster  survivors    rows  seconds  reason\n");
  for (const RoundRow& round : rounds) {
    const std::int64_t ms = std::max<std::int64_t>(0, round.ended_unix_ms - round.started_unix_ms);
    std::printf("%5u  %5u  %-10s  %-10s  %6u  %6u  %9u  %6u  %7.1f  %s\n", round.id.epoch,
                round.id.counter, std::string(model::ToString(round.kind)).c_str(),
                std::string(ToString(round.state)).c_str(), round.cohort, round.roster,
                round.survivors, round.rows, static_cast<double>(ms) / 1000, round.reason.c_str());
  }
  return {};
}

Status RunBumpEpoch(const Arguments& arguments) {
  DEMUR_TRY(const Deployment deployment, LoadDeployment(arguments.dir));
  DEMUR_TRY(const PreparedTask task, PreparedTask::Create(deployment.task));
  DEMUR_TRY(RoundStore store, RoundStore::Open(arguments.dir, RoundStore::Access::kWrite));
  DEMUR_TRY(const std::uint32_t epoch,
            AdoptBackup(store, task, SystemClock().UnixMillis(), arguments.above));
  std::printf("epoch is now %u: devices accept rounds of this folder again\n", epoch);
  return {};
}

void AddDir(CLI::App* verb, Arguments* arguments) {
  verb->add_option("--dir", arguments->dir, "folder of the coordinator")->required();
  verb->add_option("--log-level", arguments->log_level, "debug, info, warning, error or off")
      ->capture_default_str();
}

void DefineVerbs(CLI::App* app, Arguments* arguments) {
  app->require_subcommand(1);
  CLI::App* init = app->add_subcommand("init", "make a coordinator; never overwrites one");
  AddDir(init, arguments);
  init->add_option("--name", arguments->name, "host name that devices will demand")->required();
  init->add_option("--task", arguments->task_file, "task file (TOML)")->required();

  CLI::App* serve =
      app->add_subcommand("serve", "run rounds until the task is complete or SIGTERM");
  AddDir(serve, arguments);
  serve->add_option("--listen", arguments->listen, "numeric address:port for devices; 0 picks one")
      ->capture_default_str();
  serve->add_option("--admin", arguments->admin,
                    "address:port of the admin page, /metrics and /healthz; loopback only");
  serve->add_option("--port-file", arguments->port_file, "write the port here once it is open");
  serve->add_option("--admin-port-file", arguments->admin_port_file, "the same for --admin");
  serve->add_option("--stop-after", arguments->stop_after,
                    "stop once so many rounds are committed; 0: when the task is complete");
  serve->add_flag("--table", arguments->table, "print a line a round to standard output");
  serve->add_option("--max-connections", arguments->max_connections, "devices at once")
      ->capture_default_str()
      ->check(CLI::Range(1U, 1'000'000U));
  serve->add_option("--threads", arguments->threads, "threads for connections")
      ->capture_default_str()
      ->check(CLI::Range(1U, 64U));

  CLI::App* status = app->add_subcommand("status", "what the store says");
  AddDir(status, arguments);
  status->add_flag("--json", arguments->json, "as JSON");
  CLI::App* rounds = app->add_subcommand("rounds", "the last rounds, newest first");
  AddDir(rounds, arguments);
  rounds->add_flag("--json", arguments->json, "as JSON");
  rounds->add_option("--limit", arguments->limit, "how many")->capture_default_str();

  CLI::App* bump = app->add_subcommand(
      "bump-epoch", "after a restore from backup: makes round ids that no device has seen");
  AddDir(bump, arguments);
  bump->add_option("--above", arguments->above,
                   "at least one more than this: an epoch that devices name in their logs");
  app->add_subcommand("print-task-defaults", "a task file with every default written out");
}

Status Run(const CLI::App& app, const Arguments& arguments) {
  DEMUR_TRY(const log::Level level, log::ParseLevel(arguments.log_level));
  log::SetLevel(level);
  DEMUR_RETURN_IF_ERROR(InstallFaultHandlerFromEnvironment());
  if (app.got_subcommand("init")) return RunInit(arguments);
  if (app.got_subcommand("serve")) return RunServe(arguments);
  if (app.got_subcommand("status")) return RunStatus(arguments);
  if (app.got_subcommand("rounds")) return RunRounds(arguments);
  if (app.got_subcommand("bump-epoch")) return RunBumpEpoch(arguments);
  std::printf("%s", FormatTask(TaskConfig{}).c_str());
  return {};
}

int Main(int argc, char** argv) {
  CLI::App app("The coordinator of a demur federation");
  Arguments arguments;
  DefineVerbs(&app, &arguments);
  CLI11_PARSE(app, argc, argv);
  const Status status = Run(app, arguments);
  if (status) return 0;
  std::fprintf(stderr, "demur-coordinator: %s: %s\n",
               std::string(ToString(status.error().code())).c_str(),
               status.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace demur::coordinator

int main(int argc, char** argv) {
  try {
    return demur::coordinator::Main(argc, argv);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "demur-coordinator: internal: %s\n", failure.what());
    return 1;
  }
}
