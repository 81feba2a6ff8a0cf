#pragma once

#include <chrono>
#include <cstdint>

// The one door to time. Programs get SystemClock; tests and simulations get a clock they set.
namespace demur {

class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds since 1970-01-01 UTC. May jump; only for what a person reads and for expiry.
  virtual std::int64_t UnixMillis() const = 0;
  // Never goes back; for durations.
  virtual std::chrono::nanoseconds Monotonic() const = 0;
};

// Thread-safe.
class SystemClock final : public Clock {
 public:
  std::int64_t UnixMillis() const override;
  std::chrono::nanoseconds Monotonic() const override;
};

// CPU time of the calling thread: what figures about cost are made of.
std::chrono::nanoseconds ThreadCpuTime();

}  // namespace demur
