#pragma once

#include <array>
#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "connection.h"
#include "demur/base/clock.h"
#include "demur/base/random.h"
#include "demur/coordinator/deployment.h"
#include "demur/coordinator/recovery.h"
#include "demur/coordinator/round_machine.h"
#include "demur/coordinator/round_store.h"
#include "demur/coordinator/server.h"
#include "demur/coordinator/task.h"
#include "demur/crypto/operator_files.h"
#include "demur/wire/control.h"

// What stands under the round machine: one thread that runs it, makes its effects happen in order
// and keeps the store. Private to the coordinator.
namespace demur::coordinator {

// The newest model as devices download it.
struct ModelOffer {
  Hash256 hash{};
  std::shared_ptr<const Bytes> body;  // an encoded wire::ModelBlob
};

// What the engine is given for life.
struct EngineParts {
  Deployment deployment;
  PreparedTask task;
  RoundStore store;
  Recovered recovered;
  crypto::RevocationList revoked;          // in force from the start
  std::optional<Population> population;    // the same; none without task.eligibility.rate
  std::int64_t certificate_not_after = 0;  // Unix seconds
  const Clock& clock;
  RandomSource& random;
  std::function<void(DeviceNumber, wire::FrameType, ByteView)> on_frame;
  std::function<void(const RoundOutcome&)> on_round;
};

class Engine {
 public:
  explicit Engine(EngineParts parts);
  // Sessions must have left (Gate).
  ~Engine();

  // --- From any thread ---------------------------------------------------------------------------
  void Start();
  void Attach(ConnectionPtr connection);
  void Detach(ConnectionPtr connection);
  void Deliver(ConnectionPtr connection, wire::FrameType type, Bytes frame);
  void Left(ConnectionPtr connection, const wire::Leave& leave);
  void Stop();
  // Until the machine has stopped, or the store has failed.
  Result<StopReason> Wait();

  const Deployment& deployment() const noexcept { return parts_.deployment; }
  const PreparedTask& task() const noexcept { return parts_.task; }
  bool Revoked(DeviceNumber device) const;
  std::shared_ptr<const ModelOffer> model() const;
  StatusView status() const;
  void CountRefused() { ++connections_refused_; }
  void CountBytes(std::uint64_t received, std::uint64_t sent) {
    bytes_received_ += received;
    bytes_sent_ += sent;
  }

 private:
  void Handle(machine::Event event);
  void Follow(machine::Transition transition);
  void Fail(const Error& error);
  void Finish(StopReason reason);
  void Goodbye(const ConnectionPtr& connection) const;

  // One overload an effect; an error is the store's, and ends the engine.
  Status Do(machine::effect::Draw&& e);
  Status Do(machine::effect::PersistReserve&& e);
  Status Do(machine::effect::PersistSurvivors&& e);
  Status Do(machine::effect::PersistRows&& e);
  Status Do(machine::effect::PersistCommit&& e);
  Status Do(machine::effect::PersistAbandon&& e);
  Status Do(machine::effect::Send&& e);
  Status Do(machine::effect::StartTimer&& e);
  Status Do(machine::effect::StartGrace&& e);
  Status Do(machine::effect::StartPause&& e);
  Status Do(machine::effect::Aggregate&& e);
  Status Do(machine::effect::Fault&& e);
  Status Do(machine::effect::RoundEnded&& e);
  Status Do(machine::effect::Finished&& e);

  Result<machine::event::Drawn> DrawRound(const machine::effect::Draw& e);
  Result<machine::Event> Compute(const machine::effect::Aggregate& e);
  Result<ModelRow> Train(const model::MeanUpdate& mean, const model::Layout& layout);
  std::uint64_t DevicesLeft() const;
  Result<std::vector<DeviceNumber>> Select(const model::Plan& plan,
                                           const std::vector<DeviceNumber>& eligible) const;
  Status ReloadRevocations();
  void ReloadPopulation();
  bool Expired(DeviceNumber device) const;
  void CloseExpired();
  void WarnOfBound() const;
  std::string CohortRule() const;
  void CancelTimers();
  void StartTimerFor(std::uint32_t duration_ms, machine::Event event);
  void Publish();
  void PublishModel(std::shared_ptr<const Bytes> blob);
  void PublishRounds();
  void Welcome(const ConnectionPtr& connection);
  bool Current(const ConnectionPtr& connection) const;

  // Used on thread_ only.
  EngineParts parts_;
  std::optional<machine::State> state_;
  std::map<DeviceNumber, ConnectionPtr> connections_;
  model::SharedModel next_model_;  // computed, not yet committed
  learning::ServerState next_state_;
  double update_norm_ = 0;
  std::uint32_t round_devices_ = 0;  // cohort of the open round
  bool done_ = false;

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  std::condition_variable finished_changed_;
  std::optional<Result<StopReason>> finished_;
  StatusView status_;
  std::shared_ptr<const ModelOffer> offer_;
  crypto::RevocationList revoked_;

  std::atomic<std::uint64_t> bytes_received_{0};
  std::atomic<std::uint64_t> bytes_sent_{0};
  std::atomic<std::uint64_t> connections_total_{0};
  std::atomic<std::uint64_t> connections_refused_{0};
  std::uint64_t faults_ = 0;
  std::uint64_t declined_ = 0;
  std::chrono::nanoseconds started_{};

  asio::thread_pool thread_{1};
  // Cancelled and dropped with the round; destroyed before the pool they wait on.
  std::vector<std::shared_ptr<asio::steady_timer>> timers_;
};

}  // namespace demur::coordinator
