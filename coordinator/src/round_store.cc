#include "demur/coordinator/round_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "demur/base/fault.h"
#include "demur/coordinator/task.h"
#include "demur/crypto/hash.h"
#include "round_store_rows.h"

namespace demur::coordinator {

namespace {

constexpr std::string_view kTables = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE models (
  version INTEGER PRIMARY KEY,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  blob BLOB,
  round INTEGER UNIQUE
) STRICT;
CREATE TABLE server_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  model_version INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TABLE rounds (
  id INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),
  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
  reason TEXT NOT NULL,
  cohort INTEGER NOT NULL,
  roster INTEGER NOT NULL,
  survivors INTEGER NOT NULL,
  participants INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  survivors_hash BLOB NOT NULL CHECK (length(survivors_hash) = 32),
  sum_hash BLOB NOT NULL CHECK (length(sum_hash) = 32),
  model_version INTEGER NOT NULL,
  started_unix_ms INTEGER NOT NULL,
  ended_unix_ms INTEGER NOT NULL,
  PRIMARY KEY (id, attempt)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_open_round ON rounds (state < 3) WHERE state < 3;
CREATE TABLE ledger (seq INTEGER PRIMARY KEY, entry BLOB NOT NULL) STRICT;
CREATE TABLE devices (
  number INTEGER PRIMARY KEY,
  participations INTEGER NOT NULL,
  last_round INTEGER NOT NULL
) STRICT;
)sql";
// Epochs after the first are seconds since 2020, so that they fit until 2088.
constexpr std::int64_t kEpochsSince = 1'577'836'800;
constexpr std::array<std::string_view, 1> kMigrations = {kTables};

Error WrongTime(const std::string& what) {
  return Error(ErrorCode::kFailedPrecondition, "coordinator store: " + what);
}

Status PutMeta(storage::Database& database, std::string_view key, ByteView value) {
  DEMUR_TRY(auto put, database.Prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)"));
  put.Bind(1, key).Bind(2, value);
  return put.Run();
}

Status PutModel(storage::Database& database, const ModelRow& model, std::optional<RoundId> round) {
  DEMUR_TRY(auto put, database.Prepare("INSERT INTO models VALUES (?, ?, ?, ?)"));
  put.Bind(1, Signed(model.version)).Bind(2, ByteView(model.hash)).Bind(3, ByteView(model.blob));
  if (round) {
    put.Bind(4, Signed(round->Packed()));
  } else {
    put.BindNull(4);
  }
  return put.Run();
}

Status PutServerState(storage::Database& database, std::uint64_t version, ByteView state) {
  DEMUR_TRY(auto put, database.Prepare("INSERT OR REPLACE INTO server_state VALUES (1, ?, ?, ?)"));
  const Hash256 hash = crypto::Sha256(state);
  put.Bind(1, Signed(version)).Bind(2, state).Bind(3, ByteView(hash));
  return put.Run();
}

Result<storage::Database> OpenDatabase(const std::string& dir, bool create) {
  storage::Options options;
  options.create = create;
  options.secure_delete = false;  // nothing here is a device's
  Result<storage::Database> database = storage::Database::Open(FilePath(dir), options);
  if (!database && database.error().code() == ErrorCode::kNotFound) {
    return Error(ErrorCode::kNotFound, FilePath(dir) + ": run `demur-coordinator init` first");
  }
  if (!database) return WithCure(std::move(database).error());
  return database;
}

}  // namespace

std::string_view ToString(RoundState state) noexcept {
  switch (state) {
    case RoundState::kReserved:
      return "reserved";
    case RoundState::kUnmasking:
      return "unmasking";
    case RoundState::kCommitted:
      return "committed";
    case RoundState::kAbandoned:
      return "abandoned";
  }
  return "unknown";
}

Hash256 HashDevices(const std::vector<DeviceNumber>& devices) {
  ByteWriter writer;
  for (const DeviceNumber device : devices) writer.U64(device.value);
  return crypto::Sha256(writer.bytes());
}

// An advisory lock that the system drops with the process, also after a kill.
class RoundStore::Lock {
 public:
  static Result<std::unique_ptr<Lock>> Take(const std::string& dir) {
    const std::string path = dir + "/lock";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
      const int number = errno;
      return Error(number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
                   path + ": " + std::generic_category().message(number));
    }
    auto lock = std::unique_ptr<Lock>(new Lock(fd));
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      return Error(ErrorCode::kUnavailable, dir + ": another coordinator is using it");
    }
    return lock;
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() { ::close(fd_); }

 private:
  explicit Lock(int fd) noexcept : fd_(fd) {}
  int fd_;
};

RoundStore::RoundStore(std::string dir, std::unique_ptr<Lock> lock, storage::Database database)
    : dir_(std::move(dir)), lock_(std::move(lock)), database_(std::move(database)) {}
RoundStore::RoundStore(RoundStore&&) noexcept = default;
RoundStore& RoundStore::operator=(RoundStore&&) noexcept = default;
RoundStore::~RoundStore() = default;

Result<RoundStore> RoundStore::Open(const std::string& dir, Access access) {
  std::unique_ptr<Lock> lock;
  if (access == Access::kWrite) {
    DEMUR_TRY(lock, Lock::Take(dir));
  }
  DEMUR_TRY(storage::Database database, OpenDatabase(dir, false));
  if (access == Access::kWrite) {
    Status migrated = database.Migrate(kMigrations);
    if (!migrated) return WithCure(std::move(migrated).error().WithContext(FilePath(dir)));
  }
  return RoundStore(dir, std::move(lock), std::move(database));
}

Result<RoundStore> RoundStore::Create(const std::string& dir, const TaskKey& task,
                                      const ModelRow& first_model, ByteView server_state) {
  DEMUR_TRY(std::unique_ptr<Lock> lock, Lock::Take(dir));
  DEMUR_TRY(storage::Database database, OpenDatabase(dir, true));
  DEMUR_RETURN_IF_ERROR(database.Migrate(kMigrations));
  DEMUR_TRY(storage::Transaction transaction, database.Begin());
  // Tables without a task are what an interrupted Create leaves; it may be run again.
  if (GetMeta(database, kMetaTask)) return WrongTime(FilePath(dir) + " holds a task already");
  DEMUR_RETURN_IF_ERROR(PutMeta(database, kMetaTask, task.id.bytes));
  DEMUR_RETURN_IF_ERROR(PutMeta(database, kMetaTaskConfig, task.config_sha256));
  DEMUR_RETURN_IF_ERROR(PutMeta(database, kMetaEpoch, ByteWriter().U32(kFirstEpoch).bytes()));
  DEMUR_RETURN_IF_ERROR(PutMeta(database, kMetaRevocations, ByteWriter().U64(0).bytes()));
  DEMUR_RETURN_IF_ERROR(PutModel(database, first_model, std::nullopt));
  DEMUR_RETURN_IF_ERROR(PutServerState(database, first_model.version, server_state));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  return RoundStore(dir, std::move(lock), std::move(database));
}

Status RoundStore::AppendLedger(const std::vector<LedgerRow>& ledger) {
  DEMUR_TRY(auto put, database_.Prepare("INSERT INTO ledger SELECT ?1, ?2 "
                                        "WHERE ?1 = (SELECT count(*) + 1 FROM ledger)"));
  for (const LedgerRow& row : ledger) {
    put.Bind(1, Signed(row.seq)).Bind(2, ByteView(row.entry));
    DEMUR_RETURN_IF_ERROR(put.Run());
    if (database_.changes() != 1) return WrongTime("ledger entry out of sequence");
  }
  return {};
}

Result<RoundRow> RoundStore::OpenRound(RoundId id) {
  DEMUR_TRY(auto find, database_.Prepare("SELECT " + std::string(kRoundColumns) +
                                         " FROM rounds WHERE id = ? AND state < 3"));
  find.Bind(1, Signed(id.Packed()));
  DEMUR_TRY(const bool found, find.Step());
  if (!found) return WrongTime("the round is not open");
  return ReadRound(find);
}

Status RoundStore::Reserve(const RoundRow& round, const std::vector<LedgerRow>& ledger) {
  FaultPoint("coordinator.before_reserve");
  DEMUR_TRY(storage::Transaction transaction, database_.Begin());
  DEMUR_TRY(const std::uint32_t epoch, GetEpoch(database_));
  if (round.id.epoch != epoch) return WrongTime("the round is of another epoch");
  DEMUR_TRY(auto check,
            database_.Prepare("SELECT (SELECT count(*) FROM rounds WHERE (id, attempt) >= (?1, "
                              "?2)), (SELECT count(*) FROM rounds WHERE state < 3), "
                              "(SELECT max(version) FROM models), (SELECT count(*) FROM rounds "
                              "WHERE id = ?1 AND kind = 2 AND state = 3)"));
  check.Bind(1, Signed(round.id.Packed())).Bind(2, std::int64_t{round.attempt});
  DEMUR_RETURN_IF_ERROR(check.Step());
  if (check.Integer(0) != 0) return WrongTime("round ids must grow");
  if (check.Integer(1) != 0) return WrongTime("a round is open");
  if (check.Integer(3) != std::int64_t{round.attempt}) {
    return WrongTime("a second session follows a first one that was committed");
  }
  if (Unsigned(check.Integer(2)) != round.model_version) {
    return WrongTime("the round must start from the newest model");
  }
  check.Reset();
  DEMUR_TRY(auto put, database_.Prepare("INSERT INTO rounds VALUES (?, ?, ?, 1, '', ?, 0, 0, 0, 0, "
                                        "zeroblob(32), zeroblob(32), ?, ?, 0)"));
  put.Bind(1, Signed(round.id.Packed()))
      .Bind(2, std::int64_t{round.attempt})
      .Bind(3, static_cast<std::int64_t>(round.kind))
      .Bind(4, std::int64_t{round.cohort})
      .Bind(5, Signed(round.model_version))
      .Bind(6, round.started_unix_ms);
  DEMUR_RETURN_IF_ERROR(put.Run());
  DEMUR_RETURN_IF_ERROR(AppendLedger(ledger));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  FaultPoint("coordinator.after_reserve");
  return {};
}

Status RoundStore::FixSurvivors(RoundId round, std::uint32_t roster,
                                const std::vector<DeviceNumber>& survivors,
                                const std::vector<LedgerRow>& ledger) {
  FaultPoint("coordinator.before_survivors");
  DEMUR_TRY(storage::Transaction transaction, database_.Begin());
  DEMUR_TRY(const RoundRow open, OpenRound(round));
  // A second set for one round is what would let somebody ask for both seeds of a device.
  if (open.state != RoundState::kReserved) return WrongTime("the survivor set is fixed already");
  // Two sessions of one round are one participation.
  DEMUR_TRY(auto count,
            database_.Prepare("INSERT INTO devices VALUES (?1, 1, ?2) ON CONFLICT (number) DO "
                              "UPDATE SET participations = participations + 1, last_round = ?2 "
                              "WHERE last_round <> ?2"));
  std::int64_t participants = 0;
  for (const DeviceNumber device : survivors) {
    count.Bind(1, Signed(device.value)).Bind(2, Signed(round.Packed()));
    DEMUR_RETURN_IF_ERROR(count.Run());
    participants += database_.changes();
  }
  DEMUR_TRY(auto put, database_.Prepare("UPDATE rounds SET state = 2, roster = ?, survivors = ?, "
                                        "participants = ?, survivors_hash = ? "
                                        "WHERE id = ? AND state < 3"));
  const Hash256 hash = HashDevices(survivors);
  put.Bind(1, std::int64_t{roster})
      .Bind(2, static_cast<std::int64_t>(survivors.size()))
      .Bind(3, participants)
      .Bind(4, ByteView(hash))
      .Bind(5, Signed(round.Packed()));
  DEMUR_RETURN_IF_ERROR(put.Run());
  DEMUR_RETURN_IF_ERROR(AppendLedger(ledger));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  FaultPoint("coordinator.after_survivors");
  return {};
}

Status RoundStore::CommitRows(const RoundRow& round, const std::vector<LedgerRow>& ledger) {
  FaultPoint("coordinator.before_rows");
  DEMUR_TRY(storage::Transaction transaction, database_.Begin());
  DEMUR_TRY(const RoundRow open, OpenRound(round.id));
  if (open.state != RoundState::kUnmasking) return WrongTime("the survivor set is not fixed");
  if (open.kind != model::SessionKind::kRowCounts) return WrongTime("the session counts no rows");
  DEMUR_TRY(auto put, database_.Prepare("UPDATE rounds SET state = 3, rows = ?, sum_hash = ?, "
                                        "ended_unix_ms = ? WHERE id = ? AND state < 3"));
  put.Bind(1, std::int64_t{round.rows})
      .Bind(2, ByteView(round.sum_hash))
      .Bind(3, round.ended_unix_ms)
      .Bind(4, Signed(round.id.Packed()));
  DEMUR_RETURN_IF_ERROR(put.Run());
  DEMUR_RETURN_IF_ERROR(AppendLedger(ledger));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  FaultPoint("coordinator.after_rows");
  return {};
}

Status RoundStore::Commit(const RoundRow& round, const ModelRow& model, ByteView server_state,
                          const std::vector<LedgerRow>& ledger) {
  FaultPoint("coordinator.before_commit");
  DEMUR_TRY(storage::Transaction transaction, database_.Begin());
  DEMUR_TRY(const RoundRow open, OpenRound(round.id));
  if (open.state != RoundState::kUnmasking) return WrongTime("the survivor set is not fixed");
  if (open.kind == model::SessionKind::kRowCounts) return WrongTime("the session trains nothing");
  if (model.version != open.model_version + 1) return WrongTime("not the next model version");
  DEMUR_RETURN_IF_ERROR(PutModel(database_, model, round.id));
  FaultPoint("coordinator.commit_model_written");
  DEMUR_RETURN_IF_ERROR(PutServerState(database_, model.version, server_state));
  DEMUR_TRY(auto put,
            database_.Prepare("UPDATE rounds SET state = 3, sum_hash = ?, ended_unix_ms = ? "
                              "WHERE id = ? AND state < 3"));
  put.Bind(1, ByteView(round.sum_hash))
      .Bind(2, round.ended_unix_ms)
      .Bind(3, Signed(round.id.Packed()));
  DEMUR_RETURN_IF_ERROR(put.Run());
  FaultPoint("coordinator.commit_round_written");
  DEMUR_RETURN_IF_ERROR(AppendLedger(ledger));
  if (model.version >= kBlobsKept) {
    DEMUR_TRY(auto thin, database_.Prepare("UPDATE models SET blob = NULL WHERE version = ?"));
    thin.Bind(1, Signed(model.version - kBlobsKept));
    DEMUR_RETURN_IF_ERROR(thin.Run());
  }
  FaultPoint("coordinator.commit_ledger_written");
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  FaultPoint("coordinator.after_commit");
  return {};
}

Status RoundStore::Abandon(RoundId round, std::string_view reason, std::int64_t ended_unix_ms,
                           const std::vector<LedgerRow>& ledger) {
  FaultPoint("coordinator.before_abandon");
  DEMUR_TRY(storage::Transaction transaction, database_.Begin());
  DEMUR_TRY(const RoundRow open, OpenRound(round));
  DEMUR_TRY(auto put,
            database_.Prepare("UPDATE rounds SET state = 4, reason = ?, ended_unix_ms = ? "
                              "WHERE id = ? AND state < 3"));
  put.Bind(1, reason).Bind(2, ended_unix_ms).Bind(3, Signed(open.id.Packed()));
  DEMUR_RETURN_IF_ERROR(put.Run());
  DEMUR_RETURN_IF_ERROR(AppendLedger(ledger));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  FaultPoint("coordinator.after_abandon");
  return {};
}

Result<std::uint32_t> RoundStore::BumpEpoch(std::int64_t now_unix_ms, std::uint32_t above) {
  DEMUR_TRY(storage::Transaction transaction, database_.Begin());
  DEMUR_TRY(auto open, database_.Prepare("SELECT count(*) FROM rounds WHERE state < 3"));
  DEMUR_RETURN_IF_ERROR(open.Step());
  if (open.Integer(0) != 0) return WrongTime("a round is open");
  open.Reset();
  DEMUR_TRY(const std::uint32_t epoch, GetEpoch(database_));
  // Ids are stored as signed 64-bit integers.
  const std::uint32_t last = std::max(epoch, above);
  if (last >= kLastEpoch) return WrongTime("epochs are used up");
  // One copy may be restored more than once, and says the same epoch each time: the second of its
  // restore does not.
  const std::int64_t second = now_unix_ms / 1000 - kEpochsSince;
  const auto at_least = static_cast<std::uint32_t>(std::clamp<std::int64_t>(second, 0, kLastEpoch));
  const std::uint32_t next = std::max(last + 1, at_least);
  DEMUR_RETURN_IF_ERROR(PutMeta(database_, kMetaEpoch, ByteWriter().U32(next).bytes()));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  return next;
}

Status RoundStore::KeepRevocations(const crypto::RevocationList& list) {
  DEMUR_TRY(storage::Transaction transaction, database_.Begin());
  DEMUR_TRY(const crypto::RevocationList kept, GetRevocations(database_));
  const bool all = std::includes(list.devices.begin(), list.devices.end(), kept.devices.begin(),
                                 kept.devices.end());
  if (list.sequence < kept.sequence || !all) return WrongTime("an older revocation list");
  if (list.sequence == kept.sequence) return {};
  ByteWriter writer;
  writer.U64(list.sequence);
  for (const DeviceNumber device : list.devices) writer.U64(device.value);
  DEMUR_RETURN_IF_ERROR(PutMeta(database_, kMetaRevocations, writer.bytes()));
  return transaction.Commit();
}

}  // namespace demur::coordinator
