#pragma once

#include <asio/steady_timer.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "demur/client/device.h"
#include "demur/client/key_provider.h"
#include "own_data.h"
#include "round_session.h"

// What the coroutines of one device share. They hold it by shared_ptr, so it outlives the Device
// that made it while one of them still unwinds. Everything but the counters lives on the strand.
namespace demur::client {

// The newest plan that was agreed to, and its model.
struct NewestModel {
  std::shared_ptr<const model::Plan> plan;
  ModelPtr model;
};

// A round that was agreed to and has no session yet: its model is on the way, or it is trained for.
struct Preparing {
  Hash256 announce_hash{};
  Admission admission;
};

class DeviceCore final : public RoundJournal {
 public:
  DeviceCore(DeviceOptions device_options, const DeviceTools& device_tools);
  Status OpenStore();

  Status SaveTask(const TaskRecord& record) override { return store->SaveTask(record); }
  Status SaveMasked(const TaskRecord& record, const model::PrivateState& state) override {
    return store->SaveMasked(record, state);
  }

  Result<OwnData> ReadOwn(const TaskId& task) const;
  void Remember(Identity own);
  // After a purge: who this device was, and what was made of its owner's events.
  void Forget();

  // The session goes on across connections. Each of these logs and counts; a session that is not
  // over is stopped and its secrets are wiped.
  void OpenSession(std::shared_ptr<RoundSession> opened);
  void NoteProgress();  // after every step: counts, and how long to wait from here
  void EndSession(std::string_view why);
  // How long the coordinator may still take; nullopt: no limit. Zero or less: too long already.
  std::optional<net::Limit> SessionPatience() const;

  void CountRefusal(const Error& error);
  template <class Change>
  void Count(Change change) {
    const std::lock_guard lock(counts_mutex);
    change(counts);
  }

  const DeviceOptions options;
  const DeviceTools tools;
  const asio::any_io_executor strand;
  const std::shared_ptr<KeyProvider> keys;
  std::optional<EventStore> store;
  std::optional<Identity> identity;
  std::atomic<std::uint64_t> number{0};          // of the identity; 0: none
  std::atomic<std::int64_t> expires_unix_ms{0};  // its certificate; 0: none
  asio::steady_timer stop_timer;                 // never expires: cancelled by Stop
  bool stopped = false;
  bool running = false;
  bool enrolling = false;
  std::optional<Preparing> preparing;
  std::shared_ptr<RoundSession> session;
  NewestModel newest;

  mutable std::mutex counts_mutex;
  DeviceCounts counts;

 private:
  std::chrono::nanoseconds wait_since_{0};
  std::uint64_t wait_ms_ = 0;  // from wait_since_ on; 0: no limit
  bool counted_ = false;       // rounds_joined has it
};

}  // namespace demur::client
