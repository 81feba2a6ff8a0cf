#include "connection.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/strand.hpp>
#include <asio/use_awaitable.hpp>
#include <string>
#include <utility>

#include "demur/base/log.h"
#include "demur/net/connect.h"

namespace demur::client {
namespace {

using wire::FrameType;

constexpr net::Limit kBulkLimit{120'000};       // one frame, whatever its length, in either way
constexpr net::Limit kSilenceLimit{1'800'000};  // then the connection is taken for dead
constexpr std::uint32_t kMaxUnasked = 64;       // messages
constexpr std::uint64_t kMaxRetryMs = 3'600'000;

// Does a refusal that names no time to return say that returning is of no use? All other codes are
// passing: a coordinator that was full or slow must not lose its devices for good.
bool IsFinal(ErrorCode code) {
  return code == ErrorCode::kAborted ||           // the task has come to its end
         code == ErrorCode::kPermissionDenied ||  // shut out by the authority
         code == ErrorCode::kNotFound ||          // no such task here
         code == ErrorCode::kUnimplemented ||     // another version of the protocol
         code == ErrorCode::kInvalidArgument;     // what we say is not understood
}

asio::awaitable<void> ComputeOnWorker(std::shared_ptr<RoundSession> session,
                                      secagg::ClientEvent event) {
  session->Compute(std::move(event));
  co_return;
}

// The longest frame that may come now: what Handle takes.
std::uint32_t LongestFrame(const RoundSession* session) {
  std::uint32_t longest = wire::MaxSecAggFrameLen(FrameType::kAnnounce, {});
  if (session == nullptr) return longest;
  const wire::SecAggLimits limits = session->announcement().limits();
  for (const FrameType type : {FrameType::kRoster, FrameType::kInbox, FrameType::kConfirmRequest,
                               FrameType::kUnmaskRequest, FrameType::kClose}) {
    longest = std::max(longest, wire::MaxSecAggFrameLen(type, limits));
  }
  return longest;
}

}  // namespace

asio::awaitable<Ending> ServeConnection(std::shared_ptr<DeviceCore> core, net::TlsContext context) {
  net::ConnectOptions options;
  options.host = core->identity->host;
  options.port = core->identity->port;
  options.server_name = core->identity->server_name;
  options.limit = core->options.connect_limit;
  auto stream = co_await net::Connect(std::move(options), std::move(context));
  if (!stream) {
    Ending ending;
    ending.status = std::move(stream).error();
    co_return ending;
  }
  Connection connection(*core, **stream);
  co_return co_await connection.Serve();
}

asio::awaitable<Ending> Connection::Serve() {
  Ending ending;
  ending.status = co_await Greet();
  if (ending.status) ending.status = co_await Rounds();
  ending.admitted = admitted_;
  ending.broken = broken_;
  if (refusal_) EndOf(*refusal_, &ending);
  // What it remembers may not be what lies on the disk: no round can be answered for any more.
  if (Status usable = core_.store->Check(); !usable) {
    ending.final = true;
    ending.status = std::move(usable).error().WithContext(core_.options.folder);
  }
  if (!broken_) co_await stream_.Finish(core_.options.connect_limit);
  stream_.Close();
  co_return ending;
}

void Connection::EndOf(const wire::Refusal& refusal, Ending* ending) const {
  ending->retry_ms = std::min<std::uint64_t>(refusal.retry_after_ms, kMaxRetryMs);
  if (ending->retry_ms != 0) return;
  ending->final = IsFinal(refusal.code);
  ending->broken = ending->broken || !ending->final;  // no time was named: back off
  // "The task is complete" is how a run is meant to end.
  if (refusal.code == ErrorCode::kAborted) ending->status = {};
}

// Neither the coordinator's fault nor a plan's: what this device must remember it cannot.
Error Connection::StoreFailed(Error error) {
  broken_ = true;
  log::Failure(
      "device_store_failed",
      {{"device", core_.number.load()}, {"folder", core_.options.folder}, {"error", error}});
  return std::move(error).WithContext(core_.options.folder);
}

Error Connection::Broken(Error error) {
  broken_ = true;
  log::Warning("coordinator_fault", {{"device", core_.number.load()}, {"error", error}});
  return error;
}

Result<net::Frame> Connection::Refused(const net::Frame& frame) {
  auto refusal = wire::DecodeRefusal(frame.body);
  if (!refusal) return Broken(std::move(refusal).error());
  refusal_ = std::move(*refusal);
  return wire::ToError(*refusal_);
}

asio::awaitable<Status> Connection::Greet() {
  const net::Limit limit = core_.options.connect_limit;
  wire::Hello hello;
  hello.client_version = "demur-client";
  const Bytes body = wire::Encode(hello);
  DEMUR_CO_RETURN_IF_ERROR(co_await stream_.WriteFrame(FrameType::kHello, body, limit));
  DEMUR_CO_TRY(const net::Frame frame,
               co_await stream_.ReadFrame({wire::kMaxControlBodyLen, limit, limit}));
  if (frame.type == FrameType::kRefusal) co_return Refused(frame).error();
  if (frame.type != FrameType::kWelcome) {
    co_return Broken(Error(ErrorCode::kInvalidArgument, "no welcome after hello"));
  }
  auto welcome = wire::DecodeWelcome(frame.body);
  if (!welcome) co_return Broken(std::move(welcome).error());
  admitted_ = true;
  core_.Count([](DeviceCounts& c) { ++c.connections; });
  co_return co_await Resume(welcome->running);
}

// Goes on with the round that the coordinator still counts this device in, or takes leave of it:
// without the session's secrets there is nothing to say, and the others should not wait.
asio::awaitable<Status> Connection::Resume(std::optional<wire::RunningRound> running) {
  if (core_.session) {
    const model::Plan& plan = core_.session->announcement().plan;
    if (running == wire::RunningRound{plan.task, plan.round, plan.attempt}) {
      // Whatever the last answer was, it goes out again: it may have been lost with the connection.
      secagg::ClientEvent event = secagg::client::event::Reconnected{};
      co_return co_await Advance(std::move(event));
    }
    core_.EndSession("the coordinator has gone on to another round");
  }
  if (!running) co_return Status();
  const Bytes body = wire::Encode(wire::Leave{running->task, running->round, running->attempt});
  co_return co_await stream_.WriteFrame(FrameType::kLeave, body, core_.options.connect_limit);
}

asio::awaitable<Result<net::Frame>> Connection::Next() {
  if (!waiting_.empty()) {
    net::Frame frame = std::move(waiting_.front());
    waiting_.pop_front();
    co_return frame;
  }
  net::FrameLimits limits{LongestFrame(core_.session.get()), kSilenceLimit, kBulkLimit};
  if (core_.session) {
    // A limit of zero would be none.
    const net::Limit patience = core_.SessionPatience().value_or(kSilenceLimit);
    limits.idle = std::max(patience, net::Limit{1});
  }
  co_return co_await stream_.ReadFrame(limits);
}

asio::awaitable<Status> Connection::Rounds() {
  for (;;) {
    auto frame = co_await Next();
    if (!frame) {
      if (frame.error().code() == ErrorCode::kDeadlineExceeded) {
        core_.EndSession("the coordinator is past its own deadline");
      }
      // A frame that no header of ours would announce is a fault; a lost connection is not.
      if (frame.error().code() == ErrorCode::kInvalidArgument) {
        core_.EndSession("the coordinator broke the protocol");
        co_return Broken(std::move(frame).error());
      }
      co_return std::move(frame).error();
    }
    DEMUR_CO_RETURN_IF_ERROR(co_await Handle(std::move(*frame)));
  }
}

asio::awaitable<Status> Connection::Handle(net::Frame frame) {
  switch (frame.type) {
    case FrameType::kAnnounce:
      co_return co_await OnAnnounce(std::move(frame.body));
    case FrameType::kRefusal:
      co_return Refused(frame).error();
    case FrameType::kRoster:
    case FrameType::kInbox:
    case FrameType::kConfirmRequest:
    case FrameType::kUnmaskRequest:
    case FrameType::kClose:
      if (core_.session) {
        // Named: GCC 12 frees a temporary inside a co_await expression twice.
        secagg::ClientEvent event =
            secagg::client::event::Message{frame.type, std::move(frame.body)};
        co_return co_await Advance(std::move(event));
      }
      // Of a round that was refused or left, or that a process before this one was in: its secrets
      // are gone, and with them every answer.
      if (++unasked_ <= kMaxUnasked) co_return Status();
      break;
    default:
      break;
  }
  core_.EndSession("the coordinator broke the protocol");
  co_return Broken(Error(ErrorCode::kInvalidArgument,
                         "frame " + std::string(ToString(frame.type)) + " was not due"));
}

asio::awaitable<Status> Connection::Advance(secagg::ClientEvent event) {
  const std::shared_ptr<RoundSession> session = core_.session;
  co_await asio::co_spawn(asio::make_strand(core_.tools.workers),
                          ComputeOnWorker(session, std::move(event)), asio::use_awaitable);
  auto frames = session->Settle(core_);
  core_.NoteProgress();
  if (!frames) {
    const Error error = std::move(frames).error();
    const bool ours = session->journal_failed();
    core_.EndSession(error.message());
    co_return ours ? StoreFailed(error) : Broken(error);
  }
  if (session->end()) core_.EndSession("");
  for (const OutFrame& frame : *frames) {
    DEMUR_CO_RETURN_IF_ERROR(co_await stream_.WriteFrame(frame.type, *frame.body, kBulkLimit));
  }
  co_return Status();
}

}  // namespace demur::client
