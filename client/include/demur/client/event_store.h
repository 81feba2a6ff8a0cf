#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/ids.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/client/key_provider.h"
#include "demur/client/sealed_store.h"
#include "demur/dp/device_budget.h"
#include "demur/learning/events.h"
#include "demur/model/plan.h"
#include "demur/model/tables.h"

// What a device remembers about its owner, sealed on disk (sealed_store.h): the event log, the
// private half of each model, what each task has cost so far, and the device's identity. Changes
// are durable when a call returns. Not thread-safe.
namespace demur::client {

// The strongest terms under which this device has taken part in a task: a later plan of the task
// may not be weaker (policy.h).
struct PlanTerms {
  bool noise = false;
  double epsilon_round = 0;  // of one participation in all sessions of a round, recomputed from
                             // the integers; 0 without noise
  double delta = 0;
  std::uint32_t participations_max = 0;
  std::uint32_t roster_min = 0;
  std::uint32_t survivors_min = 0;  // of the smallest roster
  std::uint32_t corrupt_permille = 0;
  std::uint32_t sigma = 0;
  model::SecAggProfile profile = model::SecAggProfile::kSemiHonest;

  friend bool operator==(const PlanTerms&, const PlanTerms&) = default;
};

// What a device must not forget about a task, nothing of it about its owner's taste. Survives
// Purge, so that erasing the data does not renew the budget.
struct TaskRecord {
  dp::DeviceTaskAccount account;  // task, participations, what they cost
  // Last session taken up; rounds below it, and attempts of it that are not above, are refused.
  RoundId last_seen;
  std::uint32_t last_seen_attempt = 0;
  Hash256 last_seen_sessions{};      // what its two sessions are (SessionsHash); zeros: it has one
  RoundId masked_round;              // last one of which an M5 body was made
  std::uint32_t masked_attempt = 0;  // and the attempt
  Hash256 confirmed_session{};       // last session in which a survivor set was acted on
  Hash256 confirmed_survivors{};     // SHA-256 of that set
  std::optional<PlanTerms> terms;
  std::uint64_t population_epoch = 0;  // newest that a cohort was drawn from; 0: none was

  const TaskId& task() const noexcept { return account.task; }
  friend bool operator==(const TaskRecord&, const TaskRecord&) = default;
};

// Who this device is and whom it talks to: written by enrolment. Key and number are for life.
struct Identity {
  SecretArray<32> key_seed;  // Ed25519
  DeviceNumber device;
  Bytes certificate;  // DER, this device's
  Bytes authority;    // DER, pinned by the token's hash
  std::string host;   // of the coordinator
  std::uint16_t port = 0;
  std::string server_name;               // demanded of the coordinator's certificate
  std::array<std::byte, 32> plan_key{};  // Ed25519 key that signs plans

  Identity Clone() const;
};

struct EventStoreOptions {
  std::string folder;
  std::size_t max_events = 100'000;  // older ones are erased as new ones come; > 0
};

class EventStore {
 public:
  // `keys` and `random` are borrowed for life. Finishes a purge that a crash cut off.
  // Errors as SealedStore::Open; kDataLoss also for a row that opens and cannot be read.
  static Result<EventStore> Open(EventStoreOptions options, KeyProvider& keys,
                                 RandomSource& random);

  // All of them in one transaction, in the order given; `order` is assigned by the store.
  // kInvalidArgument: a signal that there is not; nothing is kept.
  Status AppendEvents(std::span<const learning::Event> events);
  // In the order of their arrival, which `order` repeats.
  Result<std::vector<learning::Event>> Events() const;
  std::uint64_t num_events() const { return rows_.rows(StoreTable::kEvent); }

  // Nullptr: this device never took part. Valid until the next change.
  const TaskRecord* FindTask(const TaskId& task) const;
  std::vector<TaskRecord> tasks() const;
  // Adds or replaces the record of its task. Before anything of a round leaves.
  // kFailedPrecondition: last_seen would go back, or an M5 marker or the account would change.
  Status SaveTask(const TaskRecord& record);

  // Empty: none yet.
  Result<model::PrivateState> LoadState(const TaskId& task) const;
  // Before M5 leaves, as one transaction: the marker of the round, the debit and the next private
  // state. `record` has the new counters; its marker must be above the stored one.
  // kFailedPrecondition: an M5 body of this (task, round, attempt), or of a later one, was made
  // before, or the record's account does not have everything that was spent since: nothing may be
  // sent.
  Status SaveMasked(const TaskRecord& record, const model::PrivateState& state);

  // kNotFound: not enrolled.
  Result<Identity> LoadIdentity() const;
  // Adds it, or puts it in the place of one with the same key and number (a renewed certificate).
  // kFailedPrecondition: the device is enrolled under another key or number.
  Status SaveIdentity(const Identity& identity);

  // Erases events, private states and identity, and the key they were sealed with; keeps what
  // TaskRecord holds, under a fresh key. After an error: as SealedStore::Purge.
  Status Purge();

  // As SealedStore::Check: what this object remembers is good as long as it succeeds.
  Status Check() const { return rows_.Check(); }

 private:
  EventStore(EventStoreOptions options, SealedStore rows)
      : options_(std::move(options)), rows_(std::move(rows)) {}
  Status LoadIndexes();
  Status PutTask(const TaskRecord& record, SealedStore::Batch* batch);
  std::pair<std::int64_t, TaskRecord>* Find(const TaskId& task);
  void Remember(const TaskRecord& record, std::int64_t rowid);

  EventStoreOptions options_;
  SealedStore rows_;
  std::deque<std::int64_t> events_;  // rowids, ascending
  std::vector<std::pair<std::int64_t, TaskRecord>> tasks_;
  std::vector<std::pair<std::int64_t, TaskId>> states_;
};

}  // namespace demur::client
