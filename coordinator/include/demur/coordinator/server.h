#pragma once

#include <asio/any_io_executor.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "demur/base/bytes.h"
#include "demur/base/clock.h"
#include "demur/base/ids.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/coordinator/deployment.h"
#include "demur/coordinator/round_machine.h"
#include "demur/coordinator/status.h"
#include "demur/model/tables.h"
#include "demur/net/deadline.h"
#include "demur/wire/endpoint.h"
#include "demur/wire/frame.h"

// The coordinator as a server: the round machine (round_machine.h) with a store under it, TLS in
// front of it and a page beside it. A session header. One thread of its own runs the machine and
// writes the store; connections live on the executor it is given. What a device sends can end that
// device's connection and nothing else; a store that fails ends the server.
namespace demur::coordinator {

// A round that has ended, committed and durable or abandoned.
struct RoundOutcome {
  RoundReport report;
  double update_norm = 0;           // L2 of the mean update, model units; 0 when not committed
  const model::SharedModel& model;  // the newest committed one; valid during the call
};

struct ServerOptions {
  wire::Endpoint listen{"127.0.0.1", 0};  // numeric address; port 0: the system picks one
  std::optional<wire::Endpoint> admin;    // plain HTTP without authentication: loopback only
  std::size_t max_connections = 10'000;   // one more is closed at once
  std::uint32_t stop_after = 0;           // MachineConfig::stop_after
  net::Limit hello_limit{10'000};         // from the handshake to the whole Hello
  net::Limit send_limit{30'000};          // for one frame to a device
  net::Limit goodbye_limit{3'000};        // for devices to close once the server has finished
  // Every secure-aggregation frame of an admitted device before it is handled, on the server's own
  // thread: for auditors, who want to see all that a coordinator sees. Empty: not called.
  std::function<void(DeviceNumber, wire::FrameType, ByteView)> on_frame;
  // Called on the server's own thread; no further round is drawn before it returns, so that a
  // simulation can look at the federation between two rounds.
  std::function<void(const RoundOutcome&)> on_round = [](const RoundOutcome&) {};
};

// Thread rule: the public functions are safe from any thread but the server's own.
class Server {
 public:
  // Opens and recovers the store (recovery.h), binds, starts. `clock`, `random` and what runs
  // `executor` must outlive the server, and `executor` must go on running until it is destroyed.
  // kNotFound, kDataLoss, kFailedPrecondition, kUnavailable (another process serves this folder, or
  // a port is taken), kInvalidArgument: Deployment, RoundStore, Recover, Listener::Open.
  static Result<std::unique_ptr<Server>> Start(Deployment deployment, const Clock& clock,
                                               RandomSource& random, asio::any_io_executor executor,
                                               ServerOptions options);
  // Stops as in Stop() and waits.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const noexcept;
  // 0: there is none.
  std::uint16_t admin_port() const noexcept;

  // No further round; an open one is abandoned unless its sum is known already.
  void Stop();
  // Waits until the machine has stopped and every device has been told or cut off. Why it stopped;
  // or the error of the store, after which nothing was sent that was not durable.
  Result<StopReason> Wait();

  StatusView status() const;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace demur::coordinator
