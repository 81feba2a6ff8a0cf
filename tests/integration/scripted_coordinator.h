#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <asio/awaitable.hpp>
#include <asio/thread_pool.hpp>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "demur/crypto/certificate.h"
#include "demur/crypto/hash.h"
#include "demur/model/tables.h"
#include "demur/net/frame_stream.h"
#include "demur/net/listener.h"
#include "demur/net/tls_context.h"
#include "demur/wire/control.h"
#include "fake_clock.h"
#include "secagg_session.h"
#include "test_pki.h"

// A coordinator of one device over real TLS: the protocol's server step and nineteen other devices
// live in its process (secagg_session.h), device 0 is whoever connects. Between hello and goodbye
// it does what the test's script says. For tests only.
namespace demur::testing {

inline constexpr net::Limit kPatience{30'000};  // not meant to pass; the test would fail by it
inline constexpr std::uint32_t kItems = 12;

inline model::SharedModel ScriptedModel() {
  model::Schema schema;
  schema.tables = {{"item_counts", kItems, 3, 1.0}};
  model::SharedModel model(schema);
  std::fill(model.values(0).begin(), model.values(0).end(), 0.25F);
  return model;
}

inline SessionOptions ScriptedOptions() {
  SessionOptions options;
  options.dim = kItems * 3;
  options.profile = model::SecAggProfile::kMalicious;
  options.sigma = 80;
  return options;
}

// A round of item statistics without noise.
inline model::Plan ScriptedPlan() {
  model::Plan plan = SessionPlan(ScriptedOptions());
  const model::SharedModel model = ScriptedModel();
  plan.training.schema = model.schema();
  plan.training.slice = model::Slice::Everything(model.schema());
  plan.model_hash = crypto::Sha256(model.Canonical());
  plan.expires_unix_ms = FakeClock::kStart + 3'600'000;
  // No deadline but the test's own.
  plan.timeouts = {600'000, 600'000, 600'000, 600'000, 600'000, 600'000};
  return plan;
}

class ScriptedCoordinator {
 public:
  // What to do after the greeting; the number of the connection, from 0.
  using Script = std::function<asio::awaitable<Status>(ScriptedCoordinator&, net::FrameStream&,
                                                       std::uint32_t)>;

  ScriptedCoordinator(asio::any_io_executor executor, const Clock& clock, const model::Plan& plan,
                      Script script)
      : session(ScriptedOptions(), plan), script_(std::move(script)) {
    const crypto::Validity validity{FakeClock::kStart / 1000 - 3'600,
                                    FakeClock::kStart / 1000 + 86'400};
    for (std::uint32_t i = 0; i < 20; ++i) {
      crypto::Serial serial{};
      serial.back() = std::byte(i + 1);
      session.Certify(i, crypto::IssueDevice(pki.authority_key(), pki.authority(),
                                             session.device(i).identity.public_key,
                                             DeviceNumber(i + 1), validity, serial)
                             .value());
    }
    session.SetTap([this](SecAggSession::Frame& frame) {
      if (frame.to_server || frame.device != 0) return true;
      out_.push_back({frame.type, frame.bytes});
      if (frame.type == wire::FrameType::kAnnounce) announcement_ = frame.bytes;
      return false;
    });
    auto context =
        net::TlsContext::Mutual(net::Role::kServer, pki.Server(), pki.authority(), clock).value();
    listener_ = net::Listener::Open(std::move(executor), {},
                                    net::TlsHandler(
                                        context,
                                        [this](std::unique_ptr<net::FrameStream> stream) {
                                          return Serve(this, std::move(stream));
                                        },
                                        kPatience))
                    .value();
  }
  // Waits for the scripts that run, so that nothing refers to this object afterwards.
  void Stop() {
    listener_->Stop();
    AwaitScripts();
  }

  std::uint16_t port() const { return listener_->port(); }
  std::uint32_t connections() const { return connections_; }
  // Types of the frames that the device sent after its hellos, in order.
  std::vector<wire::FrameType> received() {
    const std::lock_guard lock(mutex_);
    return received_;
  }
  // After the scripts have ended: their first error.
  Status script_status() {
    AwaitScripts();
    const std::lock_guard lock(mutex_);
    return script_status_;
  }

  // Waits for the first M1; once.
  void AwaitAdvertise() { advertised_.get_future().wait(); }

  // --- For scripts, on the connection's strand

  static asio::awaitable<Status> Send(net::FrameStream& stream, wire::FrameType type, Bytes body) {
    co_return co_await stream.WriteFrame(type, body, kPatience);
  }
  asio::awaitable<Result<net::Frame>> Read(net::FrameStream& stream) {
    auto frame = co_await stream.ReadFrame({1U << 22, kPatience, kPatience});
    if (frame) {
      const std::lock_guard lock(mutex_);
      received_.push_back(frame->type);
      if (frame->type == wire::FrameType::kAdvertise && !std::exchange(has_advertised_, true)) {
        advertised_.set_value();
      }
    }
    co_return frame;
  }
  // Sends what the session has for device 0.
  asio::awaitable<Status> Flush(net::FrameStream& stream) {
    while (!out_.empty()) {
      net::Frame frame = std::move(out_.front());
      out_.erase(out_.begin());
      DEMUR_CO_RETURN_IF_ERROR(co_await stream.WriteFrame(frame.type, frame.body, kPatience));
    }
    co_return Status();
  }
  void Announce() {
    session.Start();
    session.Settle();
  }
  // The same announcement once more, as to a device that lost its connection.
  void AnnounceAgain() { out_.push_back({wire::FrameType::kAnnounce, announcement_}); }
  // Gives a frame of device 0 to the session, and lets everybody answer.
  void Take(net::Frame frame) {
    session.queue().push_back({true, 0, frame.type, std::move(frame.body)});
    session.Settle();
    if (session.sum_ready() && !finished_) {
      finished_ = true;
      session.ServerEvent(secagg::server::event::Finish{});
      session.Settle();
    }
  }
  // Frames of the device go to the session, and back, until the round is over for the device or
  // the device sends `until`, which is then dropped. A round that is abandoned because the device
  // left it ends the device's run: told nothing, it would wait for the next one.
  asio::awaitable<Status> Play(net::FrameStream& stream,
                               std::optional<wire::FrameType> until = std::nullopt) {
    for (;;) {
      DEMUR_CO_RETURN_IF_ERROR(co_await Flush(stream));
      if (finished_) co_return Status();
      if (session.abandoned()) {
        DEMUR_CO_RETURN_IF_ERROR(co_await Complete(stream));
        co_return Error(ErrorCode::kAborted, "the round was abandoned");
      }
      DEMUR_CO_TRY(net::Frame frame, co_await Read(stream));
      if (frame.type == until) co_return Status();
      if (frame.type == wire::FrameType::kFetchModel) {
        DEMUR_CO_RETURN_IF_ERROR(co_await SendModel(stream, ScriptedModel().Canonical()));
      } else {
        Take(std::move(frame));
      }
    }
  }
  // Until the device hangs up.
  asio::awaitable<void> AwaitEnd(net::FrameStream& stream) {
    for (;;) {
      const auto frame = co_await Read(stream);
      if (!frame) co_return;
    }
  }
  asio::awaitable<Status> SendModel(net::FrameStream& stream, Bytes blob) {
    const wire::ModelBlob message{session.plan().task, session.plan().model_hash, std::move(blob)};
    co_return co_await Send(stream, wire::FrameType::kModelBlob, wire::Encode(message));
  }
  static asio::awaitable<Status> Refuse(net::FrameStream& stream, ErrorCode code,
                                        std::uint32_t retry_after_ms = 0) {
    const wire::Refusal refusal{code, "the script says so", retry_after_ms};
    co_return co_await Send(stream, wire::FrameType::kRefusal, wire::Encode(refusal));
  }
  static asio::awaitable<Status> Complete(net::FrameStream& stream) {
    co_return co_await Refuse(stream, ErrorCode::kAborted);
  }

  TestPki pki;
  SecAggSession session;

 private:
  // One script that runs, also when its coroutine is cancelled.
  class Running {
   public:
    explicit Running(ScriptedCoordinator* self) : self_(self) {
      const std::lock_guard lock(self_->mutex_);
      ++self_->running_;
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() {
      const std::lock_guard lock(self_->mutex_);
      --self_->running_;
      self_->ended_.notify_all();
    }

   private:
    ScriptedCoordinator* self_;
  };
  void AwaitScripts() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return running_ == 0; });
  }

  static asio::awaitable<Status> Greet(ScriptedCoordinator* self, net::FrameStream& stream) {
    const net::FrameLimits limits{wire::kMaxControlBodyLen, kPatience, kPatience};
    const Running running(self);
    const auto hello = co_await stream.ReadFrameOf(wire::FrameType::kHello, limits);
    if (!hello) co_return Status();
    const std::uint32_t number = self->connections_++;
    wire::Welcome welcome{"coordinator.test", 0};
    if (self->has_advertised_) {
      const model::Plan& plan = self->session.plan();
      welcome.running = {plan.task, plan.round, plan.attempt};
    }
    const Bytes body = wire::Encode(welcome);
    Status status = co_await Send(stream, wire::FrameType::kWelcome, body);
    if (status) status = co_await self->script_(*self, stream, number);
    const std::lock_guard lock(self->mutex_);
    if (!status && self->script_status_) self->script_status_ = status;
    co_return Status();
  }
  static asio::awaitable<void> Serve(ScriptedCoordinator* self,
                                     std::unique_ptr<net::FrameStream> stream) {
    const Status status = co_await Greet(self, *stream);
    if (status) co_await stream->Finish(kPatience);
  }

  Script script_;
  std::vector<net::Frame> out_;
  Bytes announcement_;
  bool finished_ = false;
  std::atomic<std::uint32_t> connections_{0};
  std::mutex mutex_;
  std::vector<wire::FrameType> received_;
  std::condition_variable ended_;
  std::uint32_t running_ = 0;
  bool has_advertised_ = false;
  std::promise<void> advertised_;
  Status script_status_;
  std::unique_ptr<net::Listener> listener_;
};

}  // namespace demur::testing
