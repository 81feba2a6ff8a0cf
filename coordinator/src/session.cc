#include "session.h"

#include <asio/co_spawn.hpp>
#include <asio/this_coro.hpp>
#include <utility>

#include "demur/base/log.h"
#include "demur/crypto/certificate.h"
#include "demur/net/spawn.h"
#include "demur/wire/control.h"

namespace demur::coordinator {
namespace {

constexpr net::Limit kFrameLimit{120'000};  // from a frame's first byte to its last
constexpr net::Limit kFinishLimit{1'000};
constexpr std::uint32_t kRetryMs = 1'000;
// A device has one answer a phase to give: more on their way to the engine is a flood, and every
// frame that waits is memory.
constexpr std::uint32_t kMaxQueued = 8;

Result<crypto::Certificate> PeerOf(const net::FrameStream& stream) {
  DEMUR_TRY(const Bytes der, stream.PeerCertificate());
  DEMUR_TRY(crypto::Certificate peer, crypto::ParseCertificate(der));
  if (peer.kind != crypto::CertificateKind::kDevice) {
    return Error(ErrorCode::kPermissionDenied, "not a device's certificate");
  }
  return peer;
}

// What is wrong with a greeting, or nothing.
Status CheckHello(const wire::Hello& hello, const TaskId& task) {
  if (hello.protocol_version != wire::kProtocolVersion) {
    return Error(ErrorCode::kUnimplemented, "this coordinator speaks protocol version " +
                                                std::to_string(wire::kProtocolVersion));
  }
  if (hello.task && *hello.task != task) {
    return Error(ErrorCode::kNotFound, "no such task here");
  }
  return {};
}

asio::awaitable<void> Refuse(net::FrameStream& stream, wire::Refusal refusal, net::Limit limit) {
  const Bytes body = wire::Encode(refusal);
  const Status sent = co_await stream.WriteFrame(wire::FrameType::kRefusal, body, limit);
  if (sent) co_await stream.Finish(kFinishLimit);
}

wire::Refusal RefusalFor(const Error& error, std::uint32_t retry_after_ms) {
  return {error.code(), wire::PrintableText(error.message(), wire::kMaxRefusalTextLen),
          retry_after_ms};
}

// How soon to come back; 0: never. Whoever was only too slow may be faster next time.
std::uint32_t RetryFor(const Error& error) {
  return error.code() == ErrorCode::kDeadlineExceeded ? kRetryMs : 0;
}

asio::awaitable<Result<crypto::Certificate>> Admit(net::FrameStream& stream, Engine& engine,
                                                   const SessionOptions& options) {
  DEMUR_CO_TRY(crypto::Certificate peer, PeerOf(stream));
  if (engine.Revoked(peer.device)) {
    log::Info("device_revoked_refused", {{"device", peer.device}});
    co_return Error(ErrorCode::kPermissionDenied, "this device was shut out by its authority");
  }
  net::FrameLimits limits;
  limits.max_body_len = wire::kMaxControlBodyLen;
  limits.idle = options.hello_limit;
  limits.frame = options.hello_limit;
  DEMUR_CO_TRY(const net::Frame frame,
               co_await stream.ReadFrameOf(wire::FrameType::kHello, limits));
  DEMUR_CO_TRY(const wire::Hello hello, wire::DecodeHello(frame.body));
  DEMUR_CO_RETURN_IF_ERROR(CheckHello(hello, options.task));
  co_return std::move(peer);
}

// Everything the engine and the session push, in order. Whoever reads too slowly is cut off.
asio::awaitable<void> WriteOutbox(ConnectionPtr connection, net::Limit send_limit) {
  const Status done = co_await connection->outbox.Run(*connection->stream, send_limit);
  if (!done) {
    connection->stream->Close();
  } else if (!connection->reading) {
    co_await connection->stream->Finish(kFinishLimit);
  }
}

Status SendModel(Engine& engine, Connection& connection, ByteView body) {
  DEMUR_TRY(const wire::FetchModel wanted, wire::DecodeFetchModel(body));
  const std::shared_ptr<const ModelOffer> offer = engine.model();
  if (wanted.task != engine.task().id() || wanted.model_hash != offer->hash) {
    return Error(ErrorCode::kNotFound, "that model is not the newest");
  }
  return connection.outbox.Push(wire::FrameType::kModelBlob, offer->body);
}

// Room for one more frame on its way to the engine.
Status Queue(Connection& connection) {
  if (connection.queued.fetch_add(1) < kMaxQueued) return {};
  return Error(ErrorCode::kInvalidArgument, "frames come faster than a round needs them");
}

// One frame of an admitted device. An error ends the connection.
Status Take(Engine& engine, const ConnectionPtr& connection, net::Frame frame) {
  switch (frame.type) {
    case wire::FrameType::kFetchModel:
      return SendModel(engine, *connection, frame.body);
    case wire::FrameType::kLeave: {
      DEMUR_TRY(const wire::Leave leave, wire::DecodeLeave(frame.body));
      DEMUR_RETURN_IF_ERROR(Queue(*connection));
      engine.Left(connection, leave);
      return {};
    }
    case wire::FrameType::kAdvertise:
    case wire::FrameType::kShares:
    case wire::FrameType::kMasked:
    case wire::FrameType::kConfirm:
    case wire::FrameType::kUnmask:
      DEMUR_RETURN_IF_ERROR(Queue(*connection));
      engine.Deliver(connection, frame.type, std::move(frame.body));
      return {};
    default:
      return Error(ErrorCode::kInvalidArgument,
                   "a device does not send " + std::string(ToString(frame.type)));
  }
}

asio::awaitable<Status> ReadFrames(Engine& engine, ConnectionPtr connection,
                                   std::uint32_t max_body_len) {
  net::FrameLimits limits;
  limits.max_body_len = max_body_len;
  limits.idle = net::kNoLimit;  // between rounds a device has nothing to say
  limits.frame = kFrameLimit;
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
  while (true) {
    auto frame = co_await connection->stream->ReadFrame(limits);
    engine.CountBytes(connection->stream->bytes_received() - received,
                      connection->stream->bytes_sent() - sent);
    received = connection->stream->bytes_received();
    sent = connection->stream->bytes_sent();
    if (!frame) co_return std::move(frame).error();
    if (Status taken = Take(engine, connection, std::move(*frame)); !taken) co_return taken;
  }
}

void LogEnd(DeviceNumber device, const Error& error) {
  // A device that goes is no news; one that sends what it must not is.
  const bool gone = error.code() == ErrorCode::kUnavailable;
  log::Write(gone ? log::Level::kDebug : log::Level::kWarning, "device_connection_ended",
             {{"device", device}, {"reason", error}});
}

}  // namespace

asio::awaitable<void> ServeDevice(std::shared_ptr<Gate> gate, Engine& engine,
                                  SessionOptions options,
                                  std::unique_ptr<net::FrameStream> stream) {
  const auto [open, pass] = Gate::Enter(gate);
  if (!open) co_return;
  const auto peer = co_await Admit(*stream, engine, options);
  if (!peer) {
    log::Info("device_refused", {{"reason", peer.error()}});
    engine.CountRefused();
    // Who has gone already cannot be told.
    if (peer.error().code() == ErrorCode::kUnavailable) co_return;
    co_await Refuse(*stream, RefusalFor(peer.error(), RetryFor(peer.error())), options.send_limit);
    co_return;
  }
  auto connection =
      std::make_shared<Connection>(co_await asio::this_coro::executor, std::move(stream));
  connection->device = peer->device;
  connection->identity = peer->public_key;
  connection->not_after = peer->validity.not_after;
  asio::co_spawn(connection->strand, WriteOutbox(connection, options.send_limit),
                 net::LogUnexpected("device outbox"));
  engine.Attach(connection);
  const Status end = co_await ReadFrames(engine, connection, options.max_body_len);
  engine.Detach(connection);
  LogEnd(connection->device, end.error());
  connection->reading = false;
  const bool theirs = end.error().code() == ErrorCode::kInvalidArgument ||
                      end.error().code() == ErrorCode::kNotFound;
  // Told why, where it can still be told; the outbox closes the stream once that is sent.
  if (theirs && connection->outbox.Push(wire::FrameType::kRefusal,
                                        wire::Encode(RefusalFor(end.error(), kRetryMs)))) {
    connection->outbox.Close();
    co_return;
  }
  connection->outbox.Close();
  connection->stream->Close();
}

}  // namespace demur::coordinator
