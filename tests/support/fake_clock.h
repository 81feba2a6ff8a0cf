#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "demur/base/clock.h"

namespace demur::testing {

// Stands still until it is moved. Thread-safe.
class FakeClock final : public Clock {
 public:
  static constexpr std::int64_t kStart = 1'900'000'000'000;  // Unix milliseconds, in 2030

  std::int64_t UnixMillis() const override { return unix_millis_; }
  std::chrono::nanoseconds Monotonic() const override {
    return std::chrono::milliseconds(unix_millis_ - kStart);
  }
  void Advance(std::chrono::milliseconds step) { unix_millis_ += step.count(); }

 private:
  std::atomic<std::int64_t> unix_millis_{kStart};
};

}  // namespace demur::testing
