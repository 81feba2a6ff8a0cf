#include "demur/storage/database.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "connection.h"

namespace demur::storage {
namespace internal {
namespace {

// Result codes by what the caller can do about them.
ErrorCode CodeOf(int code) {
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
      return ErrorCode::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return ErrorCode::kDataLoss;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return ErrorCode::kResourceExhausted;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return ErrorCode::kPermissionDenied;
    case SQLITE_CONSTRAINT:
      return ErrorCode::kFailedPrecondition;
    default:
      return ErrorCode::kInternal;
  }
}

}  // namespace

Error MakeError(sqlite3* connection, int code, const char* what) {
  std::string message = std::string("sqlite: ") + what + ": " + sqlite3_errstr(code);
  // errmsg says which table or constraint; it never holds a bound value.
  if (connection != nullptr && (sqlite3_errcode(connection) & 0xFF) == (code & 0xFF)) {
    message += std::string(" (") + sqlite3_errmsg(connection) + ")";
  }
  if ((code & 0xFF) == SQLITE_BUSY) {
    message += "; another process, or another part of this one, uses it";
  }
  return Error(CodeOf(code), std::move(message));
}

}  // namespace internal

namespace {

using internal::Connection;
using internal::MakeError;

// SQLite would make the file readable for everybody; its log and index take the file's mode over.
Status CreateOwnerOnly(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    const int number = errno;
    return Error(ErrorCode::kUnavailable,
                 path + ": create: " + std::generic_category().message(number));
  }
  ::close(fd);
  return {};
}

// The first column of the first row of `sql`, as a number or text.
Result<std::int64_t> QueryInteger(Database& db, std::string_view sql) {
  DEMUR_TRY(Statement statement, db.Prepare(sql));
  DEMUR_TRY(const bool row, statement.Step());
  if (!row) return Error(ErrorCode::kInternal, "a pragma gave no row");
  return statement.Integer(0);
}

Result<std::string> QueryText(Database& db, std::string_view sql) {
  DEMUR_TRY(Statement statement, db.Prepare(sql));
  DEMUR_TRY(const bool row, statement.Step());
  if (!row) return Error(ErrorCode::kInternal, "a pragma gave no row");
  return std::string(statement.Text(0));
}

// The settings that durability and erasure rest on are read back: SQLite ignores what it does not
// understand.
Status Configure(Database& db, const Options& options, bool in_memory) {
  // Before the first access to the log, or it has no effect on it.
  if (options.exclusive) DEMUR_RETURN_IF_ERROR(db.Execute("PRAGMA locking_mode=EXCLUSIVE"));
  DEMUR_TRY(const std::string mode, QueryText(db, "PRAGMA journal_mode=WAL"));
  if (!in_memory && mode != "wal") {
    return Error(ErrorCode::kUnavailable, "sqlite: no write-ahead log on this file system");
  }
  DEMUR_RETURN_IF_ERROR(db.Execute("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"));
  // temp_store=MEMORY: a sort that spills must not leave rows in a temporary file.
  DEMUR_RETURN_IF_ERROR(db.Execute("PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"));
  DEMUR_TRY(const std::int64_t erase,
            QueryInteger(db, options.secure_delete ? "PRAGMA secure_delete=ON"
                                                   : "PRAGMA secure_delete=OFF"));
  if ((erase == 1) != options.secure_delete) {
    return Error(ErrorCode::kInternal, "sqlite: secure_delete was not accepted");
  }
  DEMUR_TRY(const std::int64_t synchronous, QueryInteger(db, "PRAGMA synchronous"));
  if (synchronous != 2) return Error(ErrorCode::kInternal, "sqlite: not synchronous=FULL");
  return {};
}

}  // namespace

Database::Database(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::Open(const std::string& path, const Options& options) {
  const bool in_memory = path == ":memory:";
  if (!in_memory) {
    std::error_code ec;
    if (!std::filesystem::exists(path, ec)) {
      if (!options.create) return Error(ErrorCode::kNotFound, path + ": no such file");
      DEMUR_RETURN_IF_ERROR(CreateOwnerOnly(path));
    }
  }
  auto connection = std::make_shared<Connection>();
  const int code =
      sqlite3_open_v2(path.c_str(), &connection->handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) {
    return MakeError(connection->handle, code, "open").WithContext(path);
  }
  sqlite3_extended_result_codes(connection->handle, 1);
  sqlite3_busy_timeout(connection->handle, options.busy_timeout_ms);
  // Debian builds SQLite with run-time loading of extensions; nothing here needs it.
  sqlite3_db_config(connection->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  Database db(std::move(connection));
  if (auto status = Configure(db, options, in_memory); !status) {
    return std::move(status).error().WithContext(path);
  }
  return db;
}

Status Database::Execute(std::string_view sql) {
  const std::string text(sql);
  const int code = sqlite3_exec(connection_->handle, text.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return MakeError(connection_->handle, code, "execute");
  return {};
}

Result<Transaction> Database::Begin() {
  if (connection_->in_transaction) {
    return Error(ErrorCode::kFailedPrecondition, "sqlite: already in a transaction");
  }
  DEMUR_RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  connection_->in_transaction = true;
  return Transaction(connection_);
}

Status Database::Migrate(std::span<const std::string_view> steps) {
  DEMUR_TRY(std::int64_t version, QueryInteger(*this, "PRAGMA user_version"));
  const auto known = static_cast<std::int64_t>(steps.size());
  if (version < 0 || version > known) {
    return Error(ErrorCode::kFailedPrecondition,
                 "sqlite: file has schema version " + std::to_string(version) +
                     ", this program knows " + std::to_string(known));
  }
  for (; version < known; ++version) {
    DEMUR_TRY(Transaction transaction, Begin());
    DEMUR_RETURN_IF_ERROR(Execute(steps[static_cast<std::size_t>(version)]));
    DEMUR_RETURN_IF_ERROR(Execute("PRAGMA user_version=" + std::to_string(version + 1)));
    DEMUR_RETURN_IF_ERROR(transaction.Commit());
  }
  return {};
}

Status Database::Checkpoint() {
  const int code = sqlite3_wal_checkpoint_v2(connection_->handle, nullptr,
                                             SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  if (code != SQLITE_OK) return MakeError(connection_->handle, code, "checkpoint");
  return {};
}

Status Database::Vacuum() { return Execute("VACUUM"); }

Status Database::CheckIntegrity() {
  DEMUR_TRY(const std::string answer, QueryText(*this, "PRAGMA integrity_check(1)"));
  if (answer != "ok") return Error(ErrorCode::kDataLoss, "sqlite: integrity check: " + answer);
  return {};
}

std::int64_t Database::last_insert_rowid() const {
  return sqlite3_last_insert_rowid(connection_->handle);
}
std::int64_t Database::changes() const { return sqlite3_changes(connection_->handle); }

Transaction::Transaction(std::shared_ptr<Connection> connection)
    : connection_(std::move(connection)) {}
Transaction::Transaction(Transaction&&) noexcept = default;

Transaction::~Transaction() {
  if (!connection_) return;
  // Where SQLite rolled back by itself (disk full) this fails, which is the state wanted.
  sqlite3_exec(connection_->handle, "ROLLBACK", nullptr, nullptr, nullptr);
  connection_->in_transaction = false;
}

Status Transaction::Commit() {
  if (!connection_) return Error(ErrorCode::kFailedPrecondition, "sqlite: transaction is over");
  const int code = sqlite3_exec(connection_->handle, "COMMIT", nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return MakeError(connection_->handle, code, "commit");
  connection_->in_transaction = false;
  connection_.reset();
  return {};
}

}  // namespace demur::storage
