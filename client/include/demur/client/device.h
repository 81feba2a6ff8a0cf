#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/thread_pool.hpp>
#include <cstdint>
#include <future>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "demur/base/clock.h"
#include "demur/base/ids.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/client/drill.h"
#include "demur/client/event_store.h"
#include "demur/client/key_provider.h"
#include "demur/client/model_shelf.h"
#include "demur/client/policy.h"
#include "demur/client/ranker.h"
#include "demur/learning/events.h"
#include "demur/learning/signals.h"
#include "demur/learning/suppression.h"
#include "demur/model/tables.h"
#include "demur/net/deadline.h"
#include "demur/wire/token.h"

// One device: its store, its identity, its connection, and the rounds it takes part in
// (docs/protocol.md). The coordinator is taken to be hostile: whatever it sends ends at most the
// session and the connection. A session header.
//
// Thread rule: the coroutines and store() belong to the device's strand, executor(). Everything
// else may be called from any thread, a user interface's too: what gives a future returns at once,
// does its work in the order of the calls, and keeps its promise also when the future is dropped.
// Never wait for such a future on a thread of `io` or `workers`, or once they are joined: what is
// asked for then is answered when the pools are destroyed. Training, ranking and encoding run
// on the workers; the store is written on the strand, since what is written must be durable before
// anything later is sent and nobody else waits on the strand.
namespace demur::client {

struct DeviceOptions {
  std::string folder;  // store of this device, and its key; made if need be
  // Where the key of the store lives, such as a phone's keystore. Null: a file in `folder`. Called
  // by Open and then on the strand only; one provider serves one device.
  std::shared_ptr<KeyProvider> keys;
  Floor floor;                               // what the owner agrees to
  DrillPlan drill;                           // scripted departures for trials
  learning::SignalTable signals;             // labels and weights of own events
  learning::SuppressionOptions suppression;  // how far a rejection pushes down what resembles it
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
  // Of a sparse round's two sessions only the one that trains is counted here and below.
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
  std::uint64_t model_version = 0;  // of the newest plan agreed to
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
  DeviceNumber number() const;           // given by the authority; 0: not enrolled
  std::int64_t expires_unix_ms() const;  // of the certificate; 0: not enrolled
  const EventStore& store() const;       // on the strand, or while nothing is under way

  // Makes `events` durable, all or none, in the order given. The next MakeRanker hides what they
  // reject, the next round trains on them.
  // kAborted: the device's threads ended first. Others as EventStore::AppendEvents.
  std::future<Status> Record(std::vector<learning::Event> events);
  std::future<Status> Record(const learning::Event& event);

  // What the owner is shown now: the newest model that this device agreed to train on, the private
  // state fitted to it, and every event recorded before this call. Make a new one after a Record,
  // Purge or round; an old one goes on as it was. Nothing is sent.
  // kNotFound: no model has come yet since Open. kAborted: the device's threads ended first.
  // Others as EventStore::Events and Ranker::Create.
  std::future<Result<Ranker>> MakeRanker();

  // Erases events, private states and identity (EventStore::Purge); what tasks have cost is kept,
  // and the next Enrol starts under a new key and number.
  // kFailedPrecondition: Run or Enrol is under way: Stop, wait for Run to return, and ask again.
  std::future<Status> Purge();

  // Draws a key, has it certified by the token's authority and stores what came back. A reply that
  // got lost is asked for again, a few times, with the same key. A device whose certificate has
  // expired, or will within 30 days, has it renewed: same key, number and counters, and the
  // coordinator that the token names.
  // kFailedPrecondition: enrolled already and not near the end; Run or Enrol is under way; or the
  // authority gives this key another number. kPermissionDenied: also a token of another authority
  // than the one this device is enrolled at. Others as RequestIdentity (enrol.h).
  asio::awaitable<Status> Enrol(wire::Token token);

  // Connects, takes part in rounds and reconnects by itself, until Stop (success) or until the
  // coordinator refuses for good: a Refusal without retry whose code is kAborted ("task complete",
  // success), kPermissionDenied, kNotFound, kUnimplemented or kInvalidArgument (that error). With
  // any other code the device comes back later. One at a time.
  // kNotFound: not enrolled. kFailedPrecondition: runs or enrols already, the certificate has
  // expired, or a write to the store has failed half-way: let go of the device and Open it again.
  asio::awaitable<Status> Run();
  // Run returns soon, a second Run at once. A session that is open is wiped: for the round this
  // device is a dropout.
  void Stop();

  // What the owner's rankings need. Empty: this device took part in no round of `task`.
  asio::awaitable<Result<model::PrivateState>> State(TaskId task);
  // With the newest model that was agreed to and own held-out events; nothing is sent.
  asio::awaitable<Result<OwnMetrics>> Measure();
  DeviceCounts counts() const;

 private:
  explicit Device(std::shared_ptr<DeviceCore> core);
  std::shared_ptr<DeviceCore> core_;
};

}  // namespace demur::client
