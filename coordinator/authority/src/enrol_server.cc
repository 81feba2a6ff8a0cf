#include "demur/authority/enrol_server.h"

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

#include "demur/base/log.h"
#include "demur/net/frame_stream.h"
#include "demur/net/listener.h"
#include "demur/net/tls_context.h"
#include "demur/wire/control.h"

namespace demur::authority {
namespace {

constexpr std::uint32_t kRetryAfterMs = 1000;

// What sessions share. They keep it alive, so the worker outlives whoever waits for it.
struct Shared {
  Shared(Authority& authority_to_serve, net::Limit request_limit)
      : authority(authority_to_serve), limit(request_limit) {}

  Authority& authority;
  net::Limit limit;
  // Enrolling waits for the disk, which must not hold up the threads that move bytes; the
  // authority takes one at a time anyway.
  asio::thread_pool worker{1};
};

asio::awaitable<Result<wire::EnrolReply>> EnrolOnWorker(Authority& authority, wire::Enrol request) {
  co_return authority.Enrol(request);
}

// What a caller is told. Its own mistakes in our words; ours without detail.
wire::Refusal RefusalFor(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kDeadlineExceeded:
    case ErrorCode::kResourceExhausted:
      return {error.code(), wire::PrintableText(error.message(), wire::kMaxRefusalTextLen), 0};
    default:
      return {ErrorCode::kUnavailable, "the authority cannot answer now", kRetryAfterMs};
  }
}

asio::awaitable<Result<wire::EnrolReply>> Answer(std::shared_ptr<Shared> shared, Bytes body) {
  auto request = wire::DecodeEnrol(body);
  Wipe(body);  // it held the secret
  if (!request) co_return std::move(request).error();
  co_return co_await asio::co_spawn(
      shared->worker, EnrolOnWorker(shared->authority, std::move(*request)), asio::use_awaitable);
}

asio::awaitable<void> Session(std::shared_ptr<Shared> shared,
                              std::unique_ptr<net::FrameStream> stream) {
  net::FrameLimits limits;
  limits.max_body_len = wire::kMaxControlBodyLen;
  limits.idle = shared->limit;
  limits.frame = shared->limit;
  auto frame = co_await stream->ReadFrameOf(wire::FrameType::kEnrol, limits);
  if (!frame) {
    log::Info("enrol_no_request", {{"error", frame.error()}});
    co_return;
  }
  const auto reply = co_await Answer(shared, std::move(frame->body));
  Status sent;
  if (reply) {
    log::Info("enrolled", {{"device", reply->device}});
    const Bytes body = wire::Encode(*reply);
    sent = co_await stream->WriteFrame(wire::FrameType::kEnrolReply, body, shared->limit);
  } else {
    log::Warning("enrol_refused", {{"error", reply.error()}});
    const Bytes body = wire::Encode(RefusalFor(reply.error()));
    sent = co_await stream->WriteFrame(wire::FrameType::kRefusal, body, shared->limit);
  }
  if (!sent) {
    log::Info("enrol_reply_not_taken", {{"error", sent.error()}});
    co_return;
  }
  co_await stream->Finish(shared->limit);
}

}  // namespace

struct EnrolServer::Impl {
  std::unique_ptr<net::Listener> listener;
};

EnrolServer::EnrolServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EnrolServer::~EnrolServer() = default;

Result<std::unique_ptr<EnrolServer>> EnrolServer::Start(Authority& authority, const Clock& clock,
                                                        asio::any_io_executor executor,
                                                        const EnrolServerOptions& options) {
  DEMUR_TRY(auto identity, authority.EnrolmentIdentity());
  DEMUR_TRY(net::TlsContext context,
            net::TlsContext::EnrolmentServer(
                {std::move(identity.certificate), std::move(identity.private_key)},
                authority.certificate(), clock));
  auto shared = std::make_shared<Shared>(authority, options.request_limit);
  net::ListenerOptions listen;
  listen.host = options.listen.host;
  listen.port = options.listen.port;
  listen.max_connections = options.max_connections;
  const auto handler = [shared](std::unique_ptr<net::FrameStream> stream) {
    return Session(shared, std::move(stream));
  };
  auto impl = std::make_unique<Impl>();
  DEMUR_TRY(impl->listener,
            net::Listener::Open(std::move(executor), listen,
                                net::TlsHandler(context, handler, options.request_limit)));
  return std::unique_ptr<EnrolServer>(new EnrolServer(std::move(impl)));
}

std::uint16_t EnrolServer::port() const noexcept { return impl_->listener->port(); }
void EnrolServer::Stop(net::Limit grace) { impl_->listener->Stop(grace); }

}  // namespace demur::authority
