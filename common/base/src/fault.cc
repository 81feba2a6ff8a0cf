#include "demur/base/fault.h"

#include <signal.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace demur {
namespace {

// The flag keeps the usual path to one load; the mutex only guards the handler's life.
struct FaultState {
  std::atomic<bool> armed{false};
  std::mutex mutex;
  std::shared_ptr<const FaultHandler> handler;
};

FaultState& State() {
  static FaultState state;
  return state;
}

}  // namespace

void FaultPoint(std::string_view name) {
  FaultState& state = State();
  if (!state.armed.load(std::memory_order_relaxed)) [[likely]] {
    return;
  }
  std::shared_ptr<const FaultHandler> handler;
  {
    const std::lock_guard lock(state.mutex);
    handler = state.handler;
  }
  if (handler) (*handler)(name);
}

void SetFaultHandler(FaultHandler handler) {
  FaultState& state = State();
  const std::lock_guard lock(state.mutex);
  const bool armed = static_cast<bool>(handler);
  state.handler = armed ? std::make_shared<const FaultHandler>(std::move(handler)) : nullptr;
  state.armed.store(armed, std::memory_order_relaxed);
}

Status InstallFaultHandlerFromEnvironment() {
  const char* value = std::getenv("DEMUR_CRASH_AT");
  if (value == nullptr) return {};
  std::string name = value;
  int count = 1;
  if (const auto colon = name.rfind(':'); colon != std::string::npos) {
    const char* first = name.data() + colon + 1;
    const char* last = name.data() + name.size();
    const auto [end, error] = std::from_chars(first, last, count);
    if (error != std::errc() || end != last || count < 1) {
      return Error(ErrorCode::kInvalidArgument, "DEMUR_CRASH_AT: count is not a positive number");
    }
    name.resize(colon);
  }
  if (name.empty()) return Error(ErrorCode::kInvalidArgument, "DEMUR_CRASH_AT: no name");
  auto left = std::make_shared<std::atomic<int>>(count);
  SetFaultHandler([name = std::move(name), left](std::string_view point) {
    if (point == name && left->fetch_sub(1) == 1) ::raise(SIGKILL);
  });
  return {};
}

}  // namespace demur
