#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/thread_pool.hpp>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "demur/base/clock.h"
#include "demur/base/ids.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/client/drill.h"
#include "demur/client/event_store.h"
#include "demur/client/model_shelf.h"
#include "demur/client/policy.h"
#include "demur/learning/signals.h"
#include "demur/model/tables.h"
#include "demur/net/deadline.h"
#include "demur/wire/token.h"

// One device: its store, its identity, its connection, and the rounds it takes part in
// (docs/protocol.md). The coordinator is taken to be hostile: whatever it sends ends at most the
// session and the connection. A session header.
//
// Thread rule: the coroutines and store() belong to the device's strand, executor(); Stop, counts
// and enrolled may be called from any thread. Training and encoding run on the workers; the store
// is written on the strand, since what is written must be durable before anything later is sent
// and nobody else waits on the strand.
namespace demur::client {

struct DeviceOptions {
  std::string folder;                // store and key of this device; made if need be
  Floor floor;                       // what the owner agrees to
  DrillPlan drill;                   // scripted departures for trials
  learning::SignalTable signals;     // labels and weights of own events
  double held_out = 0;               // share of own items kept out of training for Measure; [0, 1)
  std::uint32_t retry_min_ms = 500;  // back-off of reconnects: doubles from here,
  std::uint32_t retry_max_ms = 30'000;  // to here; > 0
  net::Limit connect_limit{10'000};     // also for every frame of greeting and enrolment
  // Names the stream that this device's enrolment key is drawn from. Matters only to a source that
  // repeats: devices that share one must differ here.
  std::uint64_t enrol_stream = kNoClient;
};

// What the devices of one process share. All borrowed for life. `workers` must be joined, and `io`
// too, before anything here goes.
struct DeviceTools {
  RandomSource& random;
  const Clock& clock;
  ModelShelf& shelf;
  asio::thread_pool& io;       // connections: each device lives on a strand of it
  asio::thread_pool& workers;  // training, encoding and masking
};

struct DeviceCounts {
  std::uint64_t rounds_joined = 0;     // M1 was sent
  std::uint64_t rounds_committed = 0;  // the coordinator said so
  std::uint64_t rounds_lost = 0;       // joined, and ended in any other way, scripted leaves too
  std::uint64_t plans_refused = 0;     // by this device: floor, model, or a plan that is unsound
  std::uint64_t left_on_purpose = 0;   // scripted departures
  std::uint64_t connections = 0;       // greeted by the coordinator
  std::string last_refusal;            // why the last plan was refused; empty: none was
};

// Of one owner's held-out events, with the private state fitted to the model. NaN where nothing
// can be said: no model yet, nothing held out, or one class only.
struct OwnMetrics {
  std::uint64_t events_held_out = 0;  // with an opinion: like or rejection
  std::uint64_t positives = 0;        // of these
  double auc = std::numeric_limits<double>::quiet_NaN();
  double log_loss = std::numeric_limits<double>::quiet_NaN();
  std::uint64_t model_version = 0;  // of the newest plan taken up
};

class DeviceCore;  // src/device_core.h

class Device {
 public:
  // Opens the store. kInvalidArgument: an option out of range. Others as EventStore::Open.
  static Result<std::unique_ptr<Device>> Open(DeviceOptions options, const DeviceTools& tools);
  // Stops; what still runs keeps what it needs until it has unwound.
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // Spawn every coroutine of this device here.
  const asio::any_io_executor& executor() const;
  bool enrolled() const;
  DeviceNumber number() const;  // 0: not enrolled
  EventStore& store();          // on the strand, or before Run

  // Draws a key, has it certified by the token's authority and stores what came back. A reply that
  // got lost is asked for again, a few times, with the same key.
  // kFailedPrecondition: enrolled already. Others as RequestIdentity (enrol.h).
  asio::awaitable<Status> Enrol(wire::Token token);

  // Connects, takes part in rounds and reconnects by itself, until Stop (success) or until the
  // coordinator refuses for good: a Refusal without retry is success when its code is kAborted
  // ("task complete"), else that error. One at a time.
  // kNotFound: not enrolled. kFailedPrecondition: runs already, or the certificate has expired.
  asio::awaitable<Status> Run();
  // Run returns soon, a second Run at once. A session that is open is wiped: for the round this
  // device is a dropout.
  void Stop();

  // What the owner's rankings need. Empty: this device took part in no round of `task`.
  asio::awaitable<Result<model::PrivateState>> State(TaskId task);
  // With the newest model that was trained on and own held-out events; nothing is sent.
  asio::awaitable<Result<OwnMetrics>> Measure();
  DeviceCounts counts() const;

 private:
  explicit Device(std::shared_ptr<DeviceCore> core);
  std::shared_ptr<DeviceCore> core_;
};

}  // namespace demur::client
