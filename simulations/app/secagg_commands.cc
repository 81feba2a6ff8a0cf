#include "secagg_commands.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

#include "demur/simulations/secagg_session.h"

namespace demur::sim {
namespace {

constexpr int kExitFault = 70;

Error Bad(const std::string& what) { return Error(ErrorCode::kInvalidArgument, what); }

int Fail(const Error& error) {
  std::fprintf(stderr, "demur-sim: %s\n", error.message().c_str());
  const bool input =
      error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kUnimplemented;
  return input ? kExitBadInput : kExitFault;
}

// Plans count in thousandths.
Result<std::uint32_t> Permille(const char* flag, double fraction, double max) {
  const double permille = std::round(fraction * 1000);
  if (!(fraction >= 0 && fraction <= max) || std::abs(fraction * 1000 - permille) > 1e-6) {
    return Bad(std::string(flag) + ": 0 to " + (max < 1 ? "0.5" : "1") +
               ", at most three decimals");
  }
  return static_cast<std::uint32_t>(permille);
}

Result<model::SecAggProfile> ProfileOf(const std::string& name) {
  for (const auto profile : {model::SecAggProfile::kSemiHonest, model::SecAggProfile::kMalicious}) {
    if (name == model::ToString(profile)) return profile;
  }
  return Bad("--profile: semi-honest or malicious");
}

Result<LeaveAt> LeaveAtOf(const std::string& name) {
  if (name == "any") return LeaveAt::kAny;
  if (name == "m3") return LeaveAt::kShares;
  if (name == "m5") return LeaveAt::kMasked;
  if (name == "m9") return LeaveAt::kUnmask;
  return Bad("--leave-at: any, m3, m5 or m9");
}

// A line for a person.
std::string Line(const SecAggOptions& options, const SecAggFigures& f) {
  std::array<char, 256> text{};
  std::snprintf(
      text.data(), text.size(),
      "seed %llu: %s; client %.1f ms, %llu bytes up, %llu down; coordinator ingest %.3f s, "
      "unmask %.3f s, peak %.1f MB",
      static_cast<unsigned long long>(options.seed),
      !f.ok                     ? f.abort.c_str()
      : f.exact.value_or(false) ? "sum exact"
                                : "SUM WRONG",
      f.client_cpu_ms.median, static_cast<unsigned long long>(f.client_upload_bytes),
      static_cast<unsigned long long>(f.client_download_bytes), f.server_ingest_s,
      f.server_unmask_s, static_cast<double>(f.server_peak_bytes) / 1e6);
  return text.data();
}

// An abandoned session is as it should be only where more left than the plan allows for.
bool AsItShouldBe(const SecAggOptions& options, const SecAggFigures& figures) {
  if (figures.ok) return figures.exact.value_or(false);
  return options.leave_permille.value_or(0) > options.dropout_permille && !figures.abort.empty();
}

}  // namespace

SecAggCommands::SecAggCommands(CLI::App& app) {
  session_ = app.add_subcommand("secagg", "Runs and measures secure aggregation sessions");
  Declare(*session_);
  session_->add_option("--dim", arguments_.dim, "Coordinates of the vector")->required();
  session_->add_option("--bits", arguments_.bits, "Bits of a coordinate, 8 to 32")->required();
  session_->add_option("--seed", arguments_.seed, "Of keys, inputs and departures")
      ->capture_default_str();
  session_->add_option("--repeat", arguments_.repeat, "Sessions, with seeds from --seed on")
      ->capture_default_str();
  session_->add_option("--leave", arguments_.leave,
                       "Share that really leaves (default: --dropout, which the plan allows for)");
  session_
      ->add_option("--leave-at", arguments_.leave_at, "In place of which message: any, m3, m5, m9")
      ->capture_default_str();
  parameters_ = app.add_subcommand("secagg-params", "Prints neighbours, threshold and committee");
  Declare(*parameters_);
}

void SecAggCommands::Declare(CLI::App& command) {
  command.add_option("--clients", arguments_.clients, "Members of the roster, 20 or more")
      ->required();
  command.add_option("--dropout", arguments_.dropout, "Share that may drop out, 0 to 0.5")
      ->required();
  command.add_option("--corrupt", arguments_.corrupt, "Share that may be corrupt, 0 to 0.5")
      ->required();
  command.add_option("--profile", arguments_.profile, "semi-honest or malicious")->required();
  command.add_flag("--json", arguments_.json, "A JSON object a line");
}

std::optional<int> SecAggCommands::Run() const {
  if (session_->parsed()) return RunSessions();
  if (parameters_->parsed()) return PrintParameters();
  return std::nullopt;
}

int SecAggCommands::RunSessions() const {
  SecAggOptions options;
  options.clients = arguments_.clients;
  options.dim = arguments_.dim;
  options.bits = arguments_.bits;
  const auto read = [&]() -> Status {
    DEMUR_TRY(options.dropout_permille, Permille("--dropout", arguments_.dropout, 0.5));
    DEMUR_TRY(options.corrupt_permille, Permille("--corrupt", arguments_.corrupt, 0.5));
    DEMUR_TRY(options.profile, ProfileOf(arguments_.profile));
    DEMUR_TRY(options.leave_at, LeaveAtOf(arguments_.leave_at));
    if (arguments_.leave) {
      DEMUR_TRY(options.leave_permille, Permille("--leave", *arguments_.leave, 1));
    }
    if (arguments_.repeat == 0) return Bad("--repeat: 1 or more");
    return {};
  };
  if (const Status status = read(); !status) return Fail(status.error());
  int exit_code = 0;
  for (std::uint32_t i = 0; i < arguments_.repeat; ++i) {
    options.seed = arguments_.seed + i;
    const auto figures = RunSecAggSession(options);
    if (!figures) return Fail(figures.error());
    const std::string line =
        arguments_.json ? ToJson(options, *figures).Dump() : Line(options, *figures);
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
    if (!AsItShouldBe(options, *figures)) exit_code = 1;
  }
  return exit_code;
}

int SecAggCommands::PrintParameters() const {
  const auto find = [&]() -> Result<SecAggParameters> {
    DEMUR_TRY(const auto dropout, Permille("--dropout", arguments_.dropout, 0.5));
    DEMUR_TRY(const auto corrupt, Permille("--corrupt", arguments_.corrupt, 0.5));
    DEMUR_TRY(const auto profile, ProfileOf(arguments_.profile));
    return FindSecAggParameters(arguments_.clients, corrupt, dropout, profile);
  };
  const auto parameters = find();
  if (!parameters) return Fail(parameters.error());
  std::printf("%s\n", ToJson(*parameters).Dump(arguments_.json ? -1 : 2).c_str());
  return 0;
}

}  // namespace demur::sim
