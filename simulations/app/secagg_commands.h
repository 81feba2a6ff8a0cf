#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

// `demur-sim secagg` and `demur-sim secagg-params`.
namespace demur::sim {

inline constexpr int kExitBadInput = 2;  // a flag is to blame, and the message names it

// Declares the two commands on construction and runs the one that was given. Keep it where it is
// while the command line is read: CLI11 writes into it.
class SecAggCommands {
 public:
  explicit SecAggCommands(CLI::App& app);
  SecAggCommands(const SecAggCommands&) = delete;
  SecAggCommands& operator=(const SecAggCommands&) = delete;

  // The exit code of the command that was given; nullopt: neither was.
  // 0: as it should be. 1: a sum that is wrong, or none although no more left than the plan allows
  // for. kExitBadInput. 70: a fault of the program.
  std::optional<int> Run() const;

 private:
  struct Arguments {
    std::uint32_t clients = 0;
    std::uint32_t dim = 0;
    std::uint32_t bits = 0;
    double dropout = 0;
    double corrupt = 0;
    std::string profile;
    std::uint64_t seed = 1;
    std::uint32_t repeat = 1;
    std::optional<double> leave;
    std::string leave_at = "m5";
    bool json = false;
  };
  void Declare(CLI::App& command);
  int RunSessions() const;
  int PrintParameters() const;

  Arguments arguments_;
  CLI::App* session_;
  CLI::App* parameters_;
};

}  // namespace demur::sim
