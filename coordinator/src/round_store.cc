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
  id INTEGER PRIMARY KEY,
  attempt INTEGER NOT NULL,
  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
  reason TEXT NOT NULL,
  cohort INTEGER NOT NULL,
  roster INTEGER NOT NULL,
  survivors INTEGER NOT NULL,
  survivors_hash BLOB NOT NULL CHECK (length(survivors_hash) = 32),
  sum_hash BLOB NOT NULL CHECK (length(sum_hash) = 32),
  model_version INTEGER NOT NULL,
  started_unix_ms INTEGER NOT NULL,
  ended_unix_ms INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_open_round ON rounds (state < 3) WHERE state < 3;
CREATE TABLE ledger (seq INTEGER PRIMARY KEY, entry BLOB NOT NULL) STRICT;
CREATE TABLE devices (
  number INTEGER PRIMARY KEY,
  participations INTEGER NOT NULL,
  last_round INTEGER NOT NULL
) STRICT;
)sql";
constexpr std::array<std::string_view, 1> kMigrations = {kTables};

constexpr std::string_view kRoundColumns =
    "id, attempt, state, reason, cohort, roster, survivors, survivors_hash, sum_hash, "
    "model_version, started_unix_ms, ended_unix_ms";

std::int64_t Signed(std::uint64_t value) { return static_cast<std::int64_t>(value); }
std::uint64_t Unsigned(std::int64_t value) { return static_cast<std::uint64_t>(value); }

Error Damaged(const std::string& what) {
  return Error(ErrorCode::kDataLoss, "coordinator store: " + what);
}

Error WrongTime(const std::string& what) {
  return Error(ErrorCode::kFailedPrecondition, "coordinator store: " + what);
}

Result<Hash256> HashOf(ByteView blob, const char* what) {
  Hash256 out{};
  if (blob.size() != out.size()) return Damaged(std::string(what) + ": a hash of wrong length");
  std::copy(blob.begin(), blob.end(), out.begin());
  return out;
}

Result<RoundRow> ReadRound(const storage::Statement& row) {
  RoundRow out;
  out.id = RoundId::FromPacked(Unsigned(row.Integer(0)));
  out.attempt = static_cast<std::uint32_t>(row.Integer(1));
  out.state = static_cast<RoundState>(row.Integer(2));
  out.reason = row.Text(3);
  out.cohort = static_cast<std::uint32_t>(row.Integer(4));
  out.roster = static_cast<std::uint32_t>(row.Integer(5));
  out.survivors = static_cast<std::uint32_t>(row.Integer(6));
  DEMUR_TRY(out.survivors_hash, HashOf(row.Blob(7), "round"));
  DEMUR_TRY(out.sum_hash, HashOf(row.Blob(8), "round"));
  out.model_version = Unsigned(row.Integer(9));
  out.started_unix_ms = row.Integer(10);
  out.ended_unix_ms = row.Integer(11);
  return out;
}

Status PutMeta(storage::Database& database, std::string_view key, ByteView value) {
  DEMUR_TRY(auto put, database.Prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)"));
  put.Bind(1, key).Bind(2, value);
  return put.Run();
}

Result<Bytes> GetMeta(storage::Database& database, std::string_view key) {
  DEMUR_TRY(auto get, database.Prepare("SELECT value FROM meta WHERE key = ?"));
  get.Bind(1, key);
  DEMUR_TRY(const bool found, get.Step());
  if (!found) return Damaged("no '" + std::string(key) + "'");
  return ToBytes(get.Blob(0));
}

Result<std::uint32_t> GetEpoch(storage::Database& database) {
  DEMUR_TRY(const Bytes bytes, GetMeta(database, "epoch"));
  ByteReader reader(bytes);
  const auto epoch = reader.U32();
  if (!epoch || !reader.Finish()) return Damaged("epoch is not four bytes");
  return *epoch;
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

std::string FilePath(const std::string& dir) {
  return dir + "/" + std::string(RoundStore::kFileName);
}

Result<storage::Database> OpenDatabase(const std::string& dir, bool create) {
  storage::Options options;
  options.create = create;
  options.secure_delete = false;  // nothing here is a device's
  Result<storage::Database> database = storage::Database::Open(FilePath(dir), options);
  if (!database && database.error().code() == ErrorCode::kNotFound) {
    return Error(ErrorCode::kNotFound, FilePath(dir) + ": run `demur-coordinator init` first");
  }
  return database;
}

Result<ModelRow> LoadModel(storage::Database& database) {
  DEMUR_TRY(auto newest,
            database.Prepare("SELECT version, hash, blob, (SELECT count(*) FROM models) "
                             "FROM models ORDER BY version DESC LIMIT 1"));
  DEMUR_TRY(const bool found, newest.Step());
  if (!found) return Damaged("no model");
  ModelRow out;
  out.version = Unsigned(newest.Integer(0));
  DEMUR_TRY(out.hash, HashOf(newest.Blob(1), "model"));
  out.blob = ToBytes(newest.Blob(2));
  if (Unsigned(newest.Integer(3)) != out.version + 1) return Damaged("a model version is missing");
  if (crypto::Sha256(out.blob) != out.hash) {
    return Damaged("model version " + std::to_string(out.version) + " does not match its hash");
  }
  return out;
}

Result<Bytes> LoadServerState(storage::Database& database, std::uint64_t version) {
  DEMUR_TRY(auto row, database.Prepare("SELECT model_version, bytes, hash FROM server_state"));
  DEMUR_TRY(const bool found, row.Step());
  if (!found) return Damaged("no server state");
  if (Unsigned(row.Integer(0)) != version) {
    return Damaged("server state and model are of different versions");
  }
  Bytes bytes = ToBytes(row.Blob(1));
  DEMUR_TRY(const Hash256 hash, HashOf(row.Blob(2), "server state"));
  if (crypto::Sha256(bytes) != hash) return Damaged("server state does not match its hash");
  return bytes;
}

Result<std::vector<LedgerRow>> LoadLedger(storage::Database& database) {
  std::vector<LedgerRow> out;
  DEMUR_TRY(auto rows, database.Prepare("SELECT seq, entry FROM ledger ORDER BY seq"));
  while (true) {
    DEMUR_TRY(const bool more, rows.Step());
    if (!more) return out;
    const std::uint64_t seq = out.size() + 1;
    if (Unsigned(rows.Integer(0)) != seq) {
      return Damaged("ledger entry " + std::to_string(seq) + " is missing");
    }
    out.push_back({seq, ToBytes(rows.Blob(1))});
  }
}

Status LoadRounds(storage::Database& database, Snapshot* out) {
  DEMUR_TRY(auto rows,
            database.Prepare("SELECT " + std::string(kRoundColumns) + " FROM rounds ORDER BY id"));
  while (true) {
    DEMUR_TRY(const bool more, rows.Step());
    if (!more) break;
    DEMUR_TRY(const RoundRow round, ReadRound(rows));
    out->last_counter = std::max(out->last_counter, round.id.counter);
    if (round.id.epoch > out->epoch) return Damaged("a round of an epoch to come");
    if (round.state == RoundState::kCommitted) {
      ++out->committed;
    } else if (round.state == RoundState::kAbandoned) {
      ++out->abandoned;
    } else if (out->open_round) {
      return Damaged("two open rounds");
    } else {
      out->open_round = round;
    }
  }
  if (out->committed != out->model.version) {
    return Damaged(std::to_string(out->committed) + " committed rounds, but model version " +
                   std::to_string(out->model.version));
  }
  return {};
}

Status LoadDevices(storage::Database& database, std::vector<DeviceRow>* out) {
  DEMUR_TRY(auto rows,
            database.Prepare("SELECT number, participations, last_round FROM devices ORDER BY "
                             "number"));
  while (true) {
    DEMUR_TRY(const bool more, rows.Step());
    if (!more) return {};
    out->push_back({DeviceNumber(Unsigned(rows.Integer(0))),
                    static_cast<std::uint32_t>(rows.Integer(1)),
                    RoundId::FromPacked(Unsigned(rows.Integer(2)))});
  }
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

RoundStore::RoundStore(std::unique_ptr<Lock> lock, storage::Database database)
    : lock_(std::move(lock)), database_(std::move(database)) {}
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
    DEMUR_RETURN_IF_ERROR(database.Migrate(kMigrations));
  }
  return RoundStore(std::move(lock), std::move(database));
}

Result<RoundStore> RoundStore::Create(const std::string& dir, const TaskId& task,
                                      const ModelRow& first_model, ByteView server_state) {
  DEMUR_TRY(std::unique_ptr<Lock> lock, Lock::Take(dir));
  DEMUR_TRY(storage::Database database, OpenDatabase(dir, true));
  DEMUR_RETURN_IF_ERROR(database.Migrate(kMigrations));
  DEMUR_TRY(storage::Transaction transaction, database.Begin());
  // Tables without a task are what an interrupted Create leaves; it may be run again.
  if (GetMeta(database, "task")) return WrongTime(FilePath(dir) + " holds a task already");
  DEMUR_RETURN_IF_ERROR(PutMeta(database, "task", task.bytes));
  DEMUR_RETURN_IF_ERROR(PutMeta(database, "epoch", ByteWriter().U32(kFirstEpoch).bytes()));
  DEMUR_RETURN_IF_ERROR(PutModel(database, first_model, std::nullopt));
  DEMUR_RETURN_IF_ERROR(PutServerState(database, first_model.version, server_state));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  return RoundStore(std::move(lock), std::move(database));
}

Result<Snapshot> RoundStore::Load() {
  DEMUR_RETURN_IF_ERROR(database_.CheckIntegrity());
  Snapshot out;
  DEMUR_TRY(const Bytes task, GetMeta(database_, "task"));
  if (task.size() != out.task.bytes.size()) return Damaged("task id of wrong length");
  std::copy(task.begin(), task.end(), out.task.bytes.begin());
  DEMUR_TRY(out.epoch, GetEpoch(database_));
  DEMUR_TRY(out.model, LoadModel(database_));
  DEMUR_TRY(out.server_state, LoadServerState(database_, out.model.version));
  DEMUR_TRY(out.ledger, LoadLedger(database_));
  DEMUR_RETURN_IF_ERROR(LoadRounds(database_, &out));
  DEMUR_RETURN_IF_ERROR(LoadDevices(database_, &out.devices));
  return out;
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
  DEMUR_TRY(auto check, database_.Prepare("SELECT (SELECT count(*) FROM rounds WHERE id >= ?1), "
                                          "(SELECT count(*) FROM rounds WHERE state < 3), "
                                          "(SELECT max(version) FROM models)"));
  check.Bind(1, Signed(round.id.Packed()));
  DEMUR_RETURN_IF_ERROR(check.Step());
  if (check.Integer(0) != 0) return WrongTime("round ids must grow");
  if (check.Integer(1) != 0) return WrongTime("a round is open");
  if (Unsigned(check.Integer(2)) != round.model_version) {
    return WrongTime("the round must start from the newest model");
  }
  check.Reset();
  DEMUR_TRY(auto put,
            database_.Prepare("INSERT INTO rounds VALUES (?, ?, 1, '', ?, 0, 0, zeroblob(32), "
                              "zeroblob(32), ?, ?, 0)"));
  put.Bind(1, Signed(round.id.Packed()))
      .Bind(2, std::int64_t{round.attempt})
      .Bind(3, std::int64_t{round.cohort})
      .Bind(4, Signed(round.model_version))
      .Bind(5, round.started_unix_ms);
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
  DEMUR_TRY(auto put, database_.Prepare("UPDATE rounds SET state = 2, roster = ?, survivors = ?, "
                                        "survivors_hash = ? WHERE id = ?"));
  const Hash256 hash = HashDevices(survivors);
  put.Bind(1, std::int64_t{roster})
      .Bind(2, static_cast<std::int64_t>(survivors.size()))
      .Bind(3, ByteView(hash))
      .Bind(4, Signed(round.Packed()));
  DEMUR_RETURN_IF_ERROR(put.Run());
  DEMUR_TRY(auto count,
            database_.Prepare("INSERT INTO devices VALUES (?1, 1, ?2) ON CONFLICT (number) DO "
                              "UPDATE SET participations = participations + 1, last_round = ?2"));
  for (const DeviceNumber device : survivors) {
    count.Bind(1, Signed(device.value)).Bind(2, Signed(round.Packed()));
    DEMUR_RETURN_IF_ERROR(count.Run());
  }
  DEMUR_RETURN_IF_ERROR(AppendLedger(ledger));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  FaultPoint("coordinator.after_survivors");
  return {};
}

Status RoundStore::Commit(const RoundRow& round, const ModelRow& model, ByteView server_state,
                          const std::vector<LedgerRow>& ledger) {
  FaultPoint("coordinator.before_commit");
  DEMUR_TRY(storage::Transaction transaction, database_.Begin());
  DEMUR_TRY(const RoundRow open, OpenRound(round.id));
  if (open.state != RoundState::kUnmasking) return WrongTime("the survivor set is not fixed");
  if (model.version != open.model_version + 1) return WrongTime("not the next model version");
  DEMUR_RETURN_IF_ERROR(PutModel(database_, model, round.id));
  FaultPoint("coordinator.commit_model_written");
  DEMUR_RETURN_IF_ERROR(PutServerState(database_, model.version, server_state));
  DEMUR_TRY(auto put,
            database_.Prepare("UPDATE rounds SET state = 3, sum_hash = ?, ended_unix_ms = ? "
                              "WHERE id = ?"));
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
                              "WHERE id = ?"));
  put.Bind(1, reason).Bind(2, ended_unix_ms).Bind(3, Signed(open.id.Packed()));
  DEMUR_RETURN_IF_ERROR(put.Run());
  DEMUR_RETURN_IF_ERROR(AppendLedger(ledger));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  FaultPoint("coordinator.after_abandon");
  return {};
}

Result<std::uint32_t> RoundStore::BumpEpoch() {
  DEMUR_TRY(storage::Transaction transaction, database_.Begin());
  DEMUR_TRY(auto open, database_.Prepare("SELECT count(*) FROM rounds WHERE state < 3"));
  DEMUR_RETURN_IF_ERROR(open.Step());
  if (open.Integer(0) != 0) return WrongTime("a round is open");
  open.Reset();
  DEMUR_TRY(const std::uint32_t epoch, GetEpoch(database_));
  // Ids are stored as signed 64-bit integers.
  if (epoch >= 0x7FFFFFFFU) return WrongTime("epochs are used up");
  DEMUR_RETURN_IF_ERROR(PutMeta(database_, "epoch", ByteWriter().U32(epoch + 1).bytes()));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  return epoch + 1;
}

Result<std::vector<RoundRow>> RoundStore::Rounds(std::uint32_t limit) {
  std::vector<RoundRow> out;
  DEMUR_TRY(auto rows, database_.Prepare("SELECT " + std::string(kRoundColumns) +
                                         " FROM rounds ORDER BY id DESC LIMIT ?"));
  rows.Bind(1, std::int64_t{limit});
  while (true) {
    DEMUR_TRY(const bool more, rows.Step());
    if (!more) return out;
    DEMUR_TRY(RoundRow round, ReadRound(rows));
    out.push_back(std::move(round));
  }
}

Result<ModelRow> RoundStore::Model(std::uint64_t version) {
  DEMUR_TRY(auto find, database_.Prepare("SELECT hash, blob FROM models WHERE version = ?"));
  find.Bind(1, Signed(version));
  DEMUR_TRY(const bool found, find.Step());
  if (!found || find.IsNull(1)) {
    return Error(ErrorCode::kNotFound, "no blob of model version " + std::to_string(version));
  }
  ModelRow out;
  out.version = version;
  DEMUR_TRY(out.hash, HashOf(find.Blob(0), "model"));
  out.blob = ToBytes(find.Blob(1));
  return out;
}

}  // namespace demur::coordinator
