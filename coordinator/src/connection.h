#pragma once

#include <asio/any_io_executor.hpp>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "demur/base/ids.h"
#include "demur/net/frame_stream.h"
#include "demur/net/outbox.h"
#include "demur/secagg/server.h"

// What the engine and a device's session know of each other. Private to the coordinator.
namespace demur::coordinator {

// One admitted device. Shared by its session, which reads and writes, and the engine, which only
// compares it and posts to its strand.
struct Connection {
  Connection(asio::any_io_executor on, std::unique_ptr<net::FrameStream> frames)
      : strand(std::move(on)), stream(std::move(frames)), outbox(strand, {}) {}

  const asio::any_io_executor strand;
  DeviceNumber device;
  secagg::MemberId identity{};
  std::int64_t not_after = 0;                // of its certificate, Unix seconds
  std::unique_ptr<net::FrameStream> stream;  // on the strand
  net::Outbox outbox;                        // on the strand
  std::atomic<std::uint32_t> queued{0};      // frames on their way to the engine
  bool reading = true;                       // on the strand: the session still reads
};
using ConnectionPtr = std::shared_ptr<Connection>;

// Lets sessions in and waits for them to leave: a session refers to the engine, and a connection
// may finish its handshake at the moment the server goes. Thread-safe.
class Gate {
 public:
  // A session that is inside. Leaves when destroyed.
  class Pass {
   public:
    explicit Pass(std::shared_ptr<Gate> gate) : gate_(std::move(gate)) {}
    Pass(Pass&&) noexcept = default;
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (gate_) gate_->Leave();
    }

   private:
    std::shared_ptr<Gate> gate_;
  };

  // False: the gate is closed.
  static std::pair<bool, Pass> Enter(const std::shared_ptr<Gate>& gate) {
    const std::lock_guard lock(gate->mutex_);
    if (gate->closed_) return {false, Pass(nullptr)};
    ++gate->inside_;
    return {true, Pass(gate)};
  }
  void CloseAndWait() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    empty_.wait(lock, [this] { return inside_ == 0; });
  }

 private:
  void Leave() {
    const std::lock_guard lock(mutex_);
    if (--inside_ == 0) empty_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable empty_;
  std::size_t inside_ = 0;
  bool closed_ = false;
};

}  // namespace demur::coordinator
