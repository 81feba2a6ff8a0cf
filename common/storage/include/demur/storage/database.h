#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "demur/base/bytes.h"
#include "demur/base/result.h"

// SQLite with owners and errors as values. A commit is on the disk when Commit() returns
// (write-ahead log, synchronous=FULL). One connection and what was made from it belong to one
// thread at a time; several connections to one file may live in several threads or processes.
//
// Every function may fail with: kUnavailable (another connection holds the lock longer than
// `busy_timeout_ms`, or the system refused I/O), kDataLoss (the file is not a database, or is
// damaged), kResourceExhausted (disk full or no memory), kFailedPrecondition (a constraint),
// kInternal (SQL that SQLite does not take: a bug of ours). Messages hold SQLite's text, never a
// bound value.
namespace demur::storage {

class Statement;
class Transaction;

struct Options {
  bool create = true;          // make a missing file (mode 0600); false: kNotFound
  bool secure_delete = true;   // overwrite deleted content with zeros
  int busy_timeout_ms = 5000;  // how long a lock is waited for; 0 = not at all
  // No other connection, of this process or another, can use the file while this one is open; it
  // also saves the shared-memory file. For stores with exactly one owner.
  bool exclusive = false;
};

namespace internal {
struct Connection;
struct Prepared;
}  // namespace internal

// One connection. Move-only.
class Database {
 public:
  // Opens `path` (":memory:" for a database that lives as long as the object) and sets the pragmas.
  // kNotFound: no such file and not `create`.
  static Result<Database> Open(const std::string& path, const Options& options);

  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  // Runs one or more statements without parameters or results.
  Status Execute(std::string_view sql);
  // Compiles one statement. Keep it where it is used often.
  Result<Statement> Prepare(std::string_view sql);
  // BEGIN IMMEDIATE: the write lock is taken now, so that Commit cannot meet another writer.
  // kFailedPrecondition: this connection is already in one.
  Result<Transaction> Begin();
  // Applies the steps that this file has not seen: step i takes user_version from i to i + 1, each
  // in a transaction of its own. Steps are only ever appended.
  // kFailedPrecondition: the file was written by a program with more steps.
  Status Migrate(std::span<const std::string_view> steps);
  // Moves the log into the file and cuts the log to zero bytes, so that no deleted content is left
  // in it. kUnavailable: a reader is in the way.
  Status Checkpoint();
  // Rewrites the file without its free pages. Not inside a transaction.
  Status Vacuum();
  // Reads the whole file. kDataLoss: SQLite finds it damaged.
  Status CheckIntegrity();

  // The rowid of the last INSERT on this connection.
  std::int64_t last_insert_rowid() const;
  // Rows that the last INSERT, UPDATE or DELETE touched.
  std::int64_t changes() const;

 private:
  friend class Statement;
  friend class Transaction;
  explicit Database(std::shared_ptr<internal::Connection> connection);
  std::shared_ptr<internal::Connection> connection_;
};

// A compiled statement. Parameters are numbered from 1, columns from 0. It keeps its connection
// alive. Move-only. Usage:
//   DEMUR_TRY(auto find, db.Prepare("SELECT value FROM t WHERE id = ?"));
//   find.Bind(1, id);
//   DEMUR_TRY(const bool found, find.Step());
class Statement {
 public:
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) noexcept;
  ~Statement();

  // Each copies its value. A wrong number is remembered and reported by the next Step.
  Statement& Bind(int index, std::int64_t value);
  Statement& Bind(int index, ByteView value);
  Statement& Bind(int index, std::string_view value);
  Statement& Bind(int index, const char* value) { return Bind(index, std::string_view(value)); }
  Statement& BindNull(int index);

  // True: a row is there to be read. False: done, and the statement is reset for its next use with
  // its parameters cleared.
  Result<bool> Step();
  // Steps to the end, reading nothing.
  Status Run();
  // Back to the start with no parameters: where a caller stops reading early.
  void Reset();

  // Values of the current row. Views live until the next Step, Reset or the end of the statement.
  // A NULL reads as 0, 0.0 or empty.
  std::int64_t Integer(int column) const;
  double Real(int column) const;
  ByteView Blob(int column) const;
  std::string_view Text(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Database;
  explicit Statement(std::unique_ptr<internal::Prepared> prepared);
  std::unique_ptr<internal::Prepared> prepared_;
};

// Rolls back unless committed. Move-only; at most one at a time on a connection.
class Transaction {
 public:
  Transaction(Transaction&&) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  // Durable when it returns success. After a failure nothing of the transaction is kept.
  // kFailedPrecondition: committed or rolled back before.
  Status Commit();

 private:
  friend class Database;
  explicit Transaction(std::shared_ptr<internal::Connection> connection);
  std::shared_ptr<internal::Connection> connection_;
};

}  // namespace demur::storage
