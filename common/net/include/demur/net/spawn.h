#pragma once

#include <exception>

#include "demur/base/result.h"

// What to pass to asio::co_spawn where nobody waits for the coroutine:
//   asio::co_spawn(asio::make_strand(pool), Session(...), net::LogUnexpected("session"));
// asio::detached would swallow exceptions in silence. Value type.
namespace demur::net {

class LogUnexpected {
 public:
  // `where` must be a literal.
  explicit LogUnexpected(const char* where) noexcept : where_(where) {}

  // Logs an exception as an error. One that only says that the coroutine was cancelled is expected.
  void operator()(std::exception_ptr failure) const noexcept;
  // Also logs a returned error, as a warning.
  template <class T>
  void operator()(std::exception_ptr failure, Result<T> result) const noexcept {
    if (failure) return (*this)(failure);
    if (!result.has_value()) LogError(result.error());
  }

 private:
  void LogError(const Error& error) const noexcept;
  const char* where_;
};

}  // namespace demur::net
