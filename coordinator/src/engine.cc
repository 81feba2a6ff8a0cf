#include "engine.h"

#include <asio/post.hpp>
#include <chrono>
#include <utility>

#include "demur/base/fault.h"
#include "demur/base/log.h"

namespace demur::coordinator {

Engine::Engine(EngineParts parts) : parts_(std::move(parts)) {
  started_ = parts_.clock.Monotonic();
  const TaskConfig& config = parts_.task.config();
  status_.server_name = parts_.deployment.server_name;
  status_.task_name = config.name;
  status_.task_id = ToHex(parts_.task.id());
  status_.algorithm = config.model.algorithm;
  status_.secagg_profile = config.secagg.profile;
  status_.rounds_max = config.rounds;
  status_.certificate_not_after = parts_.certificate_not_after;
  revoked_ = std::move(parts_.revoked);
  status_.revocations = revoked_.sequence;
  status_.cohort_rule = CohortRule();
  if (parts_.population) WarnOfBound();
  PublishModel(parts_.recovered.model_blob);
  state_ = machine::State{std::move(parts_.recovered.core), machine::state::Gathering{}};
  Publish();
}

Engine::~Engine() {
  thread_.stop();
  thread_.join();
}

// --- From any thread
// ------------------------------------------------------------------------------

void Engine::Start() {
  asio::post(thread_, [this] {
    PublishRounds();
    Follow(machine::Start(std::move(state_->core)));
  });
}

void Engine::Attach(ConnectionPtr connection) {
  ++connections_total_;
  asio::post(thread_, [this, connection = std::move(connection)] {
    if (done_) return Goodbye(connection);
    ConnectionPtr& place = connections_[connection->device];
    if (place) {
      log::Info("device_connection_replaced", {{"device", connection->device}});
      asio::post(place->strand, [old = place] { old->stream->Close(); });
    }
    place = connection;
    Welcome(connection);
    Handle(machine::event::Connected{connection->device, connection->identity});
  });
}

void Engine::Detach(ConnectionPtr connection) {
  asio::post(thread_, [this, connection = std::move(connection)] {
    if (!Current(connection)) return;
    connections_.erase(connection->device);
    Handle(machine::event::Disconnected{connection->device});
  });
}

void Engine::Deliver(ConnectionPtr connection, wire::FrameType type, Bytes frame) {
  asio::post(thread_,
             [this, connection = std::move(connection), type, frame = std::move(frame)]() mutable {
               --connection->queued;
               if (!Current(connection)) return;
               if (parts_.on_frame) parts_.on_frame(connection->device, type, frame);
               FaultPoint("coordinator.received_" + std::string(ToString(type)));
               Handle(machine::event::Message{connection->device, type, std::move(frame)});
             });
}

void Engine::Left(ConnectionPtr connection, const wire::Leave& leave) {
  asio::post(thread_, [this, connection = std::move(connection), leave] {
    --connection->queued;
    if (!Current(connection) || leave.task != parts_.task.id()) return;
    Handle(machine::event::Left{connection->device, leave.round, leave.attempt, leave.scope});
  });
}

void Engine::Stop() {
  asio::post(thread_, [this] {
    if (!done_) Handle(machine::event::Stop{});
  });
}

Result<StopReason> Engine::Wait() {
  std::unique_lock lock(mutex_);
  finished_changed_.wait(lock, [this] { return finished_.has_value(); });
  return *finished_;
}

bool Engine::Revoked(DeviceNumber device) const {
  const std::lock_guard lock(mutex_);
  return revoked_.Contains(device);
}

std::shared_ptr<const ModelOffer> Engine::model() const {
  const std::lock_guard lock(mutex_);
  return offer_;
}

StatusView Engine::status() const {
  StatusView out;
  {
    const std::lock_guard lock(mutex_);
    out = status_;
  }
  out.bytes_received = bytes_received_;
  out.bytes_sent = bytes_sent_;
  out.connections_total = connections_total_;
  out.connections_refused = connections_refused_;
  out.uptime_seconds = std::chrono::duration<double>(parts_.clock.Monotonic() - started_).count();
  return out;
}

// --- On the engine's thread
// -----------------------------------------------------------------------

bool Engine::Current(const ConnectionPtr& connection) const {
  const auto it = connections_.find(connection->device);
  return !done_ && it != connections_.end() && it->second == connection;
}

void Engine::Handle(machine::Event event) {
  if (done_) return;
  machine::State state = std::move(*state_);
  Follow(machine::Step(std::move(state), std::move(event), parts_.clock.UnixMillis()));
}

// Effects in order: each is done before the next begins. After a store that failed nothing may
// reach a device any more.
void Engine::Follow(machine::Transition transition) {
  state_ = std::move(transition.next);
  if (transition.refused) log::Debug("event_refused", {{"phase", machine::NameOf(*state_)}});
  for (machine::Effect& effect : transition.effects) {
    Status done = std::visit([this](auto& one) { return Do(std::move(one)); }, effect);
    if (!done) return Fail(done.error());
  }
  Publish();
}

void Engine::Fail(const Error& error) {
  Error named = Error(error).WithContext(parts_.store.path());
  log::Failure("coordinator_store_failed", {{"error", named}});
  done_ = true;
  for (auto& timer : timers_) timer->cancel();
  for (auto& [device, connection] : connections_) {
    asio::post(connection->strand, [connection = connection] { connection->stream->Close(); });
  }
  connections_.clear();
  const std::lock_guard lock(mutex_);
  finished_ = Result<StopReason>(std::move(named));
  status_.phase = "failed";
  finished_changed_.notify_all();
}

void Engine::Finish(StopReason reason) {
  log::Info("coordinator_stopped", {{"reason", ToString(reason)}});
  done_ = true;
  for (auto& timer : timers_) timer->cancel();
  Publish();
  const std::lock_guard lock(mutex_);
  finished_ = Result<StopReason>(reason);
  finished_changed_.notify_all();
}

void Engine::Welcome(const ConnectionPtr& connection) {
  wire::Welcome welcome;
  welcome.server_name = wire::PrintableText(parts_.deployment.server_name, wire::kMaxServerNameLen);
  const auto* running = std::get_if<machine::state::Running>(&state_->phase);
  if (running != nullptr && secagg::IsActive(running->session, connection->identity)) {
    welcome.running = {parts_.task.id(), running->round.id, running->round.attempt};
  }
  auto body = std::make_shared<const Bytes>(wire::Encode(welcome));
  asio::post(connection->strand, [connection, body = std::move(body)] {
    (void)connection->outbox.Push(wire::FrameType::kWelcome, body);
  });
}

// What a device is told when there will be no further round: for good, or until a restart.
void Engine::Goodbye(const ConnectionPtr& connection) const {
  const auto* stopped = std::get_if<machine::state::Stopped>(&state_->phase);
  wire::Refusal refusal{ErrorCode::kUnavailable, "restarting",
                        parts_.task.config().timeouts.retry_ms};
  if (stopped != nullptr && stopped->reason != StopReason::kAsked &&
      stopped->reason != StopReason::kInternal) {
    refusal = {ErrorCode::kAborted, std::string(ToString(stopped->reason)), 0};
  }
  auto body = std::make_shared<const Bytes>(wire::Encode(refusal));
  asio::post(connection->strand, [to = connection, body = std::move(body)] {
    (void)to->outbox.Push(wire::FrameType::kRefusal, body);
    to->outbox.Close();
  });
}

void Engine::CancelTimers() {
  for (auto& timer : timers_) timer->cancel();
  timers_.clear();
}

// A timer stays until its own handler has run: dropping one that has expired, but whose handler
// still waits for this thread, would cancel it and lose a deadline.
void Engine::StartTimerFor(std::uint32_t duration_ms, machine::Event event) {
  auto timer =
      std::make_shared<asio::steady_timer>(thread_, std::chrono::milliseconds(duration_ms));
  timers_.push_back(timer);
  auto shared = std::make_shared<machine::Event>(std::move(event));
  timer->async_wait([this, shared, key = timer.get()](const asio::error_code& cancelled) {
    if (cancelled) return;
    std::erase_if(timers_, [key](const auto& one) { return one.get() == key; });
    Handle(std::move(*shared));
  });
}

}  // namespace demur::coordinator
