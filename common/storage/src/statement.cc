#include <string>
#include <utility>

#include "connection.h"
#include "demur/storage/database.h"

namespace demur::storage {

using internal::MakeError;
using internal::Prepared;

Result<Statement> Database::Prepare(std::string_view sql) {
  auto prepared = std::make_unique<Prepared>();
  prepared->connection = connection_;
  const char* tail = nullptr;
  const int code = sqlite3_prepare_v2(connection_->handle, sql.data(), static_cast<int>(sql.size()),
                                      &prepared->handle, &tail);
  if (code != SQLITE_OK) return MakeError(connection_->handle, code, "prepare");
  if (prepared->handle == nullptr) return Error(ErrorCode::kInternal, "sqlite: empty statement");
  return Statement(std::move(prepared));
}

Statement::Statement(std::unique_ptr<Prepared> prepared) : prepared_(std::move(prepared)) {}
Statement::Statement(Statement&&) noexcept = default;
Statement& Statement::operator=(Statement&&) noexcept = default;
Statement::~Statement() = default;

namespace {

Statement& Remember(Prepared& prepared, int code, Statement& self) {
  if (code != SQLITE_OK && prepared.bind_error == SQLITE_OK) prepared.bind_error = code;
  return self;
}

}  // namespace

Statement& Statement::Bind(int index, std::int64_t value) {
  return Remember(*prepared_, sqlite3_bind_int64(prepared_->handle, index, value), *this);
}

Statement& Statement::Bind(int index, ByteView value) {
  // A null pointer would bind NULL; an empty blob is a value.
  const int code = value.empty() ? sqlite3_bind_zeroblob(prepared_->handle, index, 0)
                                 : sqlite3_bind_blob64(prepared_->handle, index, value.data(),
                                                       value.size(), SQLITE_TRANSIENT);
  return Remember(*prepared_, code, *this);
}

Statement& Statement::Bind(int index, std::string_view value) {
  const char* data = value.empty() ? "" : value.data();
  const int code = sqlite3_bind_text64(prepared_->handle, index, data, value.size(),
                                       SQLITE_TRANSIENT, SQLITE_UTF8);
  return Remember(*prepared_, code, *this);
}

Statement& Statement::BindNull(int index) {
  return Remember(*prepared_, sqlite3_bind_null(prepared_->handle, index), *this);
}

Result<bool> Statement::Step() {
  if (prepared_->bind_error != SQLITE_OK) {
    const int code = std::exchange(prepared_->bind_error, SQLITE_OK);
    Reset();
    return MakeError(nullptr, code, "bind");
  }
  const int code = sqlite3_step(prepared_->handle);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    Reset();
    return false;
  }
  Error error = MakeError(prepared_->connection->handle, code, "step");
  Reset();
  return error;
}

Status Statement::Run() {
  for (;;) {
    DEMUR_TRY(const bool row, Step());
    if (!row) return {};
  }
}

void Statement::Reset() {
  sqlite3_reset(prepared_->handle);
  sqlite3_clear_bindings(prepared_->handle);
}

std::int64_t Statement::Integer(int column) const {
  return sqlite3_column_int64(prepared_->handle, column);
}

double Statement::Real(int column) const {
  return sqlite3_column_double(prepared_->handle, column);
}

ByteView Statement::Blob(int column) const {
  const void* data = sqlite3_column_blob(prepared_->handle, column);
  const int len = sqlite3_column_bytes(prepared_->handle, column);
  if (data == nullptr || len <= 0) return {};
  return {static_cast<const std::byte*>(data), static_cast<std::size_t>(len)};
}

std::string_view Statement::Text(int column) const {
  const unsigned char* data = sqlite3_column_text(prepared_->handle, column);
  const int len = sqlite3_column_bytes(prepared_->handle, column);
  if (data == nullptr || len <= 0) return {};
  return {reinterpret_cast<const char*>(data), static_cast<std::size_t>(len)};
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(prepared_->handle, column) == SQLITE_NULL;
}

}  // namespace demur::storage
