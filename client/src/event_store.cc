#include "demur/client/event_store.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "demur/learning/signals.h"
#include "event_store_codec.h"

namespace demur::client {
namespace {

bool MarkerBelow(const TaskRecord& a, const TaskRecord& b) {
  return std::pair(a.masked_round, a.masked_attempt) < std::pair(b.masked_round, b.masked_attempt);
}

bool SameMarker(const TaskRecord& a, const TaskRecord& b) {
  return a.masked_round == b.masked_round && a.masked_attempt == b.masked_attempt &&
         a.account == b.account;
}

// What a device remembers of a task in which it never took part.
TaskRecord NothingOf(const TaskId& task) {
  TaskRecord record;
  record.account.task = task;
  return record;
}

// True when `now` was made from counters that have moved on since: to store it would give a debit
// back.
bool LosesDebit(const TaskRecord& before, const TaskRecord& now) {
  const std::uint32_t rounds = now.masked_round > before.masked_round ? 1 : 0;
  if (now.account.participations < before.account.participations + rounds) return true;
  return !std::equal(before.account.spent.units.begin(), before.account.spent.units.end(),
                     now.account.spent.units.begin(), std::less_equal<>());
}

bool SameHolder(const Identity& a, const Identity& b) {
  return a.device == b.device && ConstantTimeEqual(a.key_seed.view(), b.key_seed.view());
}

}  // namespace

Identity Identity::Clone() const {
  Identity out;
  out.key_seed = key_seed.Clone();
  out.device = device;
  out.certificate = certificate;
  out.authority = authority;
  out.host = host;
  out.port = port;
  out.server_name = server_name;
  out.plan_key = plan_key;
  return out;
}

Result<EventStore> EventStore::Open(EventStoreOptions options, KeyProvider& keys,
                                    RandomSource& random) {
  if (options.max_events == 0) {
    return Error(ErrorCode::kInvalidArgument, "device store: max_events must be > 0");
  }
  DEMUR_TRY(SealedStore rows, SealedStore::Open(options.folder, keys, random));
  EventStore store(std::move(options), std::move(rows));
  DEMUR_RETURN_IF_ERROR(store.LoadIndexes());
  if (store.rows_.purge_pending()) DEMUR_RETURN_IF_ERROR(store.Purge());
  return store;
}

Status EventStore::LoadIndexes() {
  events_.clear();
  tasks_.clear();
  states_.clear();
  // Reading every row also proves that every row opens and can be read.
  DEMUR_RETURN_IF_ERROR(
      rows_.ForEach(StoreTable::kEvent, [this](std::int64_t rowid, ByteView plain) -> Status {
        DEMUR_TRY(const learning::Event event, DecodeEvent(plain));
        (void)event;
        events_.push_back(rowid);
        return {};
      }));
  DEMUR_RETURN_IF_ERROR(
      rows_.ForEach(StoreTable::kTask, [this](std::int64_t rowid, ByteView plain) -> Status {
        DEMUR_TRY(TaskRecord record, DecodeTask(plain));
        tasks_.emplace_back(rowid, std::move(record));
        return {};
      }));
  return rows_.ForEach(StoreTable::kState, [this](std::int64_t rowid, ByteView plain) -> Status {
    DEMUR_TRY(const StoredState stored, DecodeState(plain));
    states_.emplace_back(rowid, stored.task);
    return {};
  });
}

Status EventStore::AppendEvents(std::span<const learning::Event> events) {
  // A signal that nobody can read again would keep the whole store from opening.
  for (const learning::Event& event : events) {
    const auto number = static_cast<std::uint8_t>(event.signal);
    if (!learning::SignalFromNumber(number)) {
      return Error(ErrorCode::kInvalidArgument,
                   "event: no signal has the number " + std::to_string(number));
    }
  }
  // What would be erased again at once is not written.
  if (events.size() > options_.max_events) events = events.last(options_.max_events);
  SealedStore::Batch batch;
  const std::size_t total = events_.size() + events.size();
  const std::size_t surplus = total > options_.max_events ? total - options_.max_events : 0;
  for (std::size_t i = 0; i < surplus; ++i) batch.Erase(StoreTable::kEvent, events_[i]);
  for (const auto& event : events) batch.Insert(StoreTable::kEvent, EncodeEvent(event));
  DEMUR_TRY(const std::vector<std::int64_t> rowids, rows_.Commit(std::move(batch)));
  events_.erase(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(surplus));
  events_.insert(events_.end(), rowids.begin() + static_cast<std::ptrdiff_t>(surplus),
                 rowids.end());
  return {};
}

Result<std::vector<learning::Event>> EventStore::Events() const {
  std::vector<learning::Event> out;
  out.reserve(events_.size());
  DEMUR_RETURN_IF_ERROR(
      rows_.ForEach(StoreTable::kEvent, [&out](std::int64_t rowid, ByteView plain) -> Status {
        DEMUR_TRY(learning::Event event, DecodeEvent(plain));
        event.order = static_cast<std::uint64_t>(rowid);
        out.push_back(event);
        return {};
      }));
  return out;
}

std::pair<std::int64_t, TaskRecord>* EventStore::Find(const TaskId& task) {
  const auto it = std::find_if(tasks_.begin(), tasks_.end(),
                               [&task](const auto& entry) { return entry.second.task() == task; });
  return it == tasks_.end() ? nullptr : &*it;
}

const TaskRecord* EventStore::FindTask(const TaskId& task) const {
  const auto* entry = const_cast<EventStore*>(this)->Find(task);
  return entry == nullptr ? nullptr : &entry->second;
}

std::vector<TaskRecord> EventStore::tasks() const {
  std::vector<TaskRecord> out;
  for (const auto& [rowid, record] : tasks_) out.push_back(record);
  return out;
}

Status EventStore::PutTask(const TaskRecord& record, SealedStore::Batch* batch) {
  const auto* entry = Find(record.task());
  if (entry == nullptr) {
    batch->Insert(StoreTable::kTask, EncodeTask(record));
    return {};
  }
  const TaskRecord& old = entry->second;
  if (std::pair(record.last_seen, record.last_seen_attempt) <
      std::pair(old.last_seen, old.last_seen_attempt)) {
    return Error(ErrorCode::kFailedPrecondition, "device store: a round id would go back");
  }
  batch->Replace(StoreTable::kTask, entry->first, EncodeTask(record));
  return {};
}

void EventStore::Remember(const TaskRecord& record, std::int64_t rowid) {
  if (auto* entry = Find(record.task())) {
    entry->second = record;
  } else {
    tasks_.emplace_back(rowid, record);
  }
}

Status EventStore::SaveTask(const TaskRecord& record) {
  const TaskRecord* old = FindTask(record.task());
  if (!SameMarker(old != nullptr ? *old : NothingOf(record.task()), record)) {
    return Error(ErrorCode::kFailedPrecondition, "device store: a marker is SaveMasked's to set");
  }
  SealedStore::Batch batch;
  DEMUR_RETURN_IF_ERROR(PutTask(record, &batch));
  DEMUR_TRY(const std::vector<std::int64_t> rowids, rows_.Commit(std::move(batch)));
  Remember(record, rowids[0]);
  return {};
}

Result<model::PrivateState> EventStore::LoadState(const TaskId& task) const {
  model::PrivateState out;
  DEMUR_RETURN_IF_ERROR(
      rows_.ForEach(StoreTable::kState, [&](std::int64_t, ByteView plain) -> Status {
        DEMUR_TRY(StoredState stored, DecodeState(plain));
        if (stored.task == task) out = std::move(stored.state);
        return {};
      }));
  return out;
}

Status EventStore::SaveMasked(const TaskRecord& record, const model::PrivateState& state) {
  const TaskRecord* stored = FindTask(record.task());
  const TaskRecord old = stored != nullptr ? *stored : NothingOf(record.task());
  if (!MarkerBelow(old, record)) {
    return Error(ErrorCode::kFailedPrecondition,
                 "device store: this round was answered before; nothing may be sent");
  }
  if (LosesDebit(old, record)) {
    return Error(ErrorCode::kFailedPrecondition,
                 "device store: the record is behind what was spent since; nothing may be sent");
  }
  SealedStore::Batch batch;
  DEMUR_RETURN_IF_ERROR(PutTask(record, &batch));
  const auto it = std::find_if(states_.begin(), states_.end(), [&record](const auto& entry) {
    return entry.second == record.task();
  });
  Bytes sealed = EncodeState(record.task(), state);
  if (it == states_.end()) {
    batch.Insert(StoreTable::kState, std::move(sealed));
  } else {
    batch.Replace(StoreTable::kState, it->first, std::move(sealed));
  }
  DEMUR_TRY(const std::vector<std::int64_t> rowids, rows_.Commit(std::move(batch)));
  Remember(record, rowids[0]);
  if (it == states_.end()) states_.emplace_back(rowids[1], record.task());
  return {};
}

Result<Identity> EventStore::LoadIdentity() const {
  std::optional<Identity> out;
  DEMUR_RETURN_IF_ERROR(
      rows_.ForEach(StoreTable::kIdentity, [&out](std::int64_t, ByteView plain) -> Status {
        DEMUR_TRY(out, DecodeIdentity(plain));
        return {};
      }));
  if (!out) return Error(ErrorCode::kNotFound, "device store: not enrolled");
  return std::move(*out);
}

Status EventStore::SaveIdentity(const Identity& identity) {
  std::optional<std::int64_t> known;
  DEMUR_RETURN_IF_ERROR(rows_.ForEach(
      StoreTable::kIdentity, [&known, &identity](std::int64_t rowid, ByteView plain) -> Status {
        DEMUR_TRY(const Identity old, DecodeIdentity(plain));
        if (!SameHolder(old, identity)) {
          return Error(ErrorCode::kFailedPrecondition,
                       "device store: enrolled already, under another key or number");
        }
        known = rowid;
        return {};
      }));
  SealedStore::Batch batch;
  if (known) {
    batch.Replace(StoreTable::kIdentity, *known, EncodeIdentity(identity));
  } else {
    batch.Insert(StoreTable::kIdentity, EncodeIdentity(identity));
  }
  DEMUR_TRY(const std::vector<std::int64_t> rowids, rows_.Commit(std::move(batch)));
  (void)rowids;
  return {};
}

Status EventStore::Purge() {
  SealedStore::Batch keep;
  for (const auto& [rowid, record] : tasks_) keep.Insert(StoreTable::kTask, EncodeTask(record));
  DEMUR_RETURN_IF_ERROR(rows_.Purge(std::move(keep)));
  return LoadIndexes();
}

}  // namespace demur::client
