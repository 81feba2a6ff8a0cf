#include "demur/net/outbox.h"

#include <utility>

#include "await.h"

namespace demur::net {

Outbox::Outbox(asio::any_io_executor executor, OutboxLimits limits)
    : wake_(executor), limits_(limits) {
  wake_.expires_at(asio::steady_timer::time_point::max());
}

Status Outbox::Push(wire::FrameType type, std::shared_ptr<const Bytes> body) {
  if (closed_) return Error(ErrorCode::kFailedPrecondition, "outbox: closed");
  if (queue_.size() >= limits_.max_frames || body->size() > limits_.max_bytes - queued_bytes_) {
    return Error(ErrorCode::kResourceExhausted, "outbox: full");
  }
  queued_bytes_ += body->size();
  queue_.push_back({type, std::move(body)});
  wake_.cancel();
  return {};
}

Status Outbox::Push(wire::FrameType type, Bytes body) {
  return Push(type, std::make_shared<const Bytes>(std::move(body)));
}

asio::awaitable<Status> Outbox::Run(FrameStream& stream, Limit limit) {
  for (;;) {
    while (!queue_.empty()) {
      const Entry entry = std::move(queue_.front());
      queue_.pop_front();
      auto sent = co_await stream.WriteFrame(entry.type, *entry.body, limit);
      queued_bytes_ -= entry.body->size();
      if (!sent) co_return std::move(sent).error();
    }
    if (closed_) co_return Status();
    // Woken by Push or Close, or cancelled from outside: then the next wait throws and unwinds us.
    (void)co_await wake_.async_wait(kAwait);
  }
}

void Outbox::Close() {
  closed_ = true;
  wake_.cancel();
}

}  // namespace demur::net
