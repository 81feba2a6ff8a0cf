#pragma once

#include <asio/awaitable.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "demur/base/result.h"
#include "demur/net/frame_stream.h"
#include "demur/net/tls_context.h"
#include "demur/wire/control.h"
#include "device_core.h"

// One connection of a device to its coordinator: greeting, rounds, end. A session header; lives on
// the device's strand. The session of a round stands in the core and outlives the connection.
namespace demur::client {

// How a connection came to its end.
struct Ending {
  Status status;               // success: closed in good order
  bool admitted = false;       // the coordinator greeted
  bool broken = false;         // it sent what it must not, or we cannot go on: back off
  bool final = false;          // refused for good, or the store of this device has failed
  std::uint64_t retry_ms = 0;  // asked for; 0: as we like
};

// Connects and stays until the connection ends.
asio::awaitable<Ending> ServeConnection(std::shared_ptr<DeviceCore> core, net::TlsContext context);

class Connection {
 public:
  // Both borrowed for life.
  Connection(DeviceCore& core, net::FrameStream& stream) : core_(core), stream_(stream) {}
  asio::awaitable<Ending> Serve();

 private:
  asio::awaitable<Status> Greet();
  asio::awaitable<Status> Resume(std::optional<wire::RunningRound> running);
  asio::awaitable<Status> Rounds();
  asio::awaitable<Result<net::Frame>> Next();
  asio::awaitable<Status> Handle(net::Frame frame);
  asio::awaitable<Status> OnAnnounce(Bytes frame);
  asio::awaitable<Status> TakeUp(secagg::Announcement announcement);
  Result<Admission> Admit(const secagg::Announcement& announcement);
  asio::awaitable<Status> Begin(secagg::Announcement announcement, Admission admission,
                                ModelPtr model);
  asio::awaitable<Status> Refuse(model::Plan plan, Error why,
                                 wire::LeaveScope scope = wire::LeaveScope::kRound);
  asio::awaitable<Status> TakeLeave(model::Plan plan,
                                    wire::LeaveScope scope = wire::LeaveScope::kRound);
  asio::awaitable<Result<net::Frame>> FetchModel(const model::Plan& plan);
  asio::awaitable<Status> Advance(secagg::ClientEvent event);
  Result<net::Frame> Refused(const net::Frame& frame);
  void EndOf(const wire::Refusal& refusal, Ending* ending) const;
  Error Broken(Error error);
  Error StoreFailed(Error error);

  DeviceCore& core_;
  net::FrameStream& stream_;
  std::optional<wire::Refusal> refusal_;
  std::deque<net::Frame> waiting_;  // came while something else was awaited
  std::uint32_t unasked_ = 0;       // messages of sessions that this process does not have
  bool admitted_ = false;
  bool broken_ = false;
};

}  // namespace demur::client
