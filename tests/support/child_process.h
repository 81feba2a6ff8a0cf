#pragma once

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

// A program of ours as an operator runs it. For tests only.
namespace demur::testing {

struct Outcome {
  int exit_code = -1;
  std::string text;  // standard output and error together
};

// A running child whose output comes through a pipe.
class Child {
 public:
  Child(const std::string& program, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) return;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    if (::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ) != 0)
      pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    output_ = ends[0];
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    if (output_ >= 0) ::close(output_);
  }

  // Blocks until the output holds `text` or ends.
  bool WaitFor(const std::string& text) {
    while (text_.find(text) == std::string::npos) {
      if (!ReadMore()) return false;
    }
    return true;
  }
  void Signal(int number) const { ::kill(pid_, number); }
  // What it has said so far.
  const std::string& text() const { return text_; }
  // Blocks until it has ended; exit_code -1: killed.
  Outcome Finish() {
    while (ReadMore()) {
    }
    int status = -1;
    if (pid_ > 0) ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text_};
  }

 private:
  bool ReadMore() {
    std::array<char, 512> chunk{};
    const ssize_t len = ::read(output_, chunk.data(), chunk.size());
    if (len > 0) text_.append(chunk.data(), static_cast<std::size_t>(len));
    return len > 0;
  }
  pid_t pid_ = -1;
  int output_ = -1;
  std::string text_;
};

inline Outcome RunToEnd(const std::string& program, std::vector<std::string> arguments) {
  return Child(program, std::move(arguments)).Finish();
}

}  // namespace demur::testing
