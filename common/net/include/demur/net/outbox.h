#pragma once

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <cstddef>
#include <deque>
#include <memory>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/net/deadline.h"
#include "demur/net/frame_stream.h"

// The bounded queue in front of a connection, for a server whose frames come from elsewhere than
// the coroutine that reads: any number of callers Push, one coroutine Runs. A session header.
// Thread rule: every call on the stream's strand (from elsewhere: asio::post to it).
namespace demur::net {

struct OutboxLimits {
  std::size_t max_frames = 64;
  std::size_t max_bytes = std::size_t{1} << 28;  // bodies that wait, shared ones counted in full
};

class Outbox {
 public:
  // `executor`: the stream's strand.
  Outbox(asio::any_io_executor executor, OutboxLimits limits);

  // Queues one frame; a body that goes to many is shared, not copied.
  // kResourceExhausted: the queue is full (the peer reads too slowly: close it).
  // kFailedPrecondition: Close was called.
  Status Push(wire::FrameType type, std::shared_ptr<const Bytes> body);
  Status Push(wire::FrameType type, Bytes body);

  // Sends what was pushed, in order, each frame within `limit`, until Close and the queue is empty
  // (success), or a frame fails (its error). `stream` and this outbox must outlive the call.
  asio::awaitable<Status> Run(FrameStream& stream, Limit limit);

  // No more frames; those that wait are still sent.
  void Close();
  std::size_t size() const noexcept { return queue_.size(); }

 private:
  struct Entry {
    wire::FrameType type;
    std::shared_ptr<const Bytes> body;
  };
  asio::steady_timer wake_;  // never expires: cancelled to wake Run
  OutboxLimits limits_;
  std::deque<Entry> queue_;
  std::size_t queued_bytes_ = 0;
  bool closed_ = false;
};

}  // namespace demur::net
