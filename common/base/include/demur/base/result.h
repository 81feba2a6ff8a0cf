#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "demur/base/check.h"

// Errors as values. A function that can fail for a reason its caller can act on returns Result<T>;
// a bug of ours aborts (check.h). Stateless; safe from several threads.
namespace demur {

// What a caller can do about a failure. The numbers are written to disk and to the wire and are
// part of the C ABI: never renumber.
enum class ErrorCode : std::uint8_t {
  kInvalidArgument = 1,     // fix the input
  kFailedPrecondition = 2,  // right call, wrong time
  kNotFound = 3,            // name something that exists
  kDataLoss = 4,            // corrupt, or failed authentication: restore or re-enrol
  kPermissionDenied = 5,    // ask for the right
  kUnavailable = 6,         // try again
  kDeadlineExceeded = 7,    // too late: try again with more time
  kResourceExhausted = 8,   // back off
  kAborted = 9,             // the protocol stopped: start over
  kUnimplemented = 10,      // fall back
  kInternal = 11,           // report a bug
};

std::string_view ToString(ErrorCode code) noexcept;

// A failure: code, text for a person, and the line of our code that made it. Never holds a secret,
// an item id, a rating or a gradient.
class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message, const char* file = __builtin_FILE(),
        int line = __builtin_LINE())
      : message_(std::move(message)), file_(file), line_(line), code_(code) {}

  ErrorCode code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  const char* file() const noexcept { return file_; }
  int line() const noexcept { return line_; }

  // Puts `context` and a colon before the message: "ratings.csv:7: not a number".
  Error WithContext(std::string_view context) &&;

 private:
  std::string message_;
  const char* file_;
  int line_;
  ErrorCode code_;
};

// A value or an Error. Reading the side that is not there is a bug and aborts.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  // asio::co_spawn (1.22) needs a default-constructible result; nobody reads this one.
  Result() : Result(Error(ErrorCode::kInternal, "no result")) {}
  Result(T value)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& value() & {
    DEMUR_CHECK(has_value(), "value() of a failed Result");
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    DEMUR_CHECK(has_value(), "value() of a failed Result");
    return *std::get_if<0>(&state_);
  }
  T&& value() && { return std::move(value()); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(value()); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    DEMUR_CHECK(!has_value(), "error() of a successful Result");
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    DEMUR_CHECK(!has_value(), "error() of a successful Result");
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  const Error& error() const& {
    DEMUR_CHECK(error_.has_value(), "error() of a successful Status");
    return *error_;
  }
  Error&& error() && {
    DEMUR_CHECK(error_.has_value(), "error() of a successful Status");
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace demur

#define DEMUR_CONCAT_INNER_(a, b) a##b
#define DEMUR_CONCAT_(a, b) DEMUR_CONCAT_INNER_(a, b)
#define DEMUR_TRY_(result, leave, lhs, ...)                 \
  auto result = (__VA_ARGS__);                              \
  if (!result.has_value()) leave std::move(result).error(); \
  lhs = std::move(result).value()

// DEMUR_TRY(auto x, MakeX()): x is the value, or the enclosing function returns the error.
#define DEMUR_TRY(lhs, ...) \
  DEMUR_TRY_(DEMUR_CONCAT_(demur_result_, __LINE__), return, lhs, __VA_ARGS__)
// The same inside a coroutine.
#define DEMUR_CO_TRY(lhs, ...) \
  DEMUR_TRY_(DEMUR_CONCAT_(demur_result_, __LINE__), co_return, lhs, __VA_ARGS__)
#define DEMUR_RETURN_IF_ERROR(...)                                    \
  do {                                                                \
    if (auto demur_status = (__VA_ARGS__); !demur_status.has_value()) \
      return std::move(demur_status).error();                         \
  } while (false)
#define DEMUR_CO_RETURN_IF_ERROR(...)                                 \
  do {                                                                \
    if (auto demur_status = (__VA_ARGS__); !demur_status.has_value()) \
      co_return std::move(demur_status).error();                      \
  } while (false)
