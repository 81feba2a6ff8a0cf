#pragma once

#include <sqlite3.h>

#include <memory>

#include "demur/base/result.h"

// What database.cc and statement.cc share. Private to this part.
namespace demur::storage::internal {

struct Connection {
  sqlite3* handle = nullptr;
  bool in_transaction = false;

  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { sqlite3_close_v2(handle); }
};

struct Prepared {
  std::shared_ptr<Connection> connection;
  sqlite3_stmt* handle = nullptr;
  int bind_error = SQLITE_OK;

  Prepared() = default;
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;
  ~Prepared() { sqlite3_finalize(handle); }
};

// The error for the result code `code` of a call on `connection`.
Error MakeError(sqlite3* connection, int code, const char* what);

}  // namespace demur::storage::internal
