#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "demur/base/ids.h"
#include "demur/base/result.h"

// Structured log lines: `time level event key=value ...` on standard error. Only types with a
// Loggable conversion can be written, and item ids, keys, vectors and raw bytes have none: a line
// that would print one does not compile (tests/compile_fail). Thread-safe.
namespace demur::log {

enum class Level : std::uint8_t { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3, kOff = 4 };

// Lines below `level` are dropped. Default: kInfo.
void SetLevel(Level level);
Level GetLevel();
// kInvalidArgument: not one of debug, info, warning, error, off.
Result<Level> ParseLevel(std::string_view text);

// One key=value. The constructors are the allow list.
class Field {
 public:
  template <class T>
  requires std::integral<T> &&
      (!std::same_as<T, bool>)&&(!std::same_as<T, char>)Field(std::string_view key, T value)
      : key_(key), value_(std::to_string(value)) {}
  template <std::same_as<bool> T>
  Field(std::string_view key, T value) : key_(key), value_(value ? "true" : "false") {}
  // Literals and names from our own code or config.
  Field(std::string_view key, std::string_view value) : key_(key), value_(Quote(value)) {}
  Field(std::string_view key, const char* value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, const std::string& value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, DeviceNumber value) : Field(key, value.value) {}
  Field(std::string_view key, RoundId value);
  Field(std::string_view key, const TaskId& value);
  Field(std::string_view key, const Error& error);

  Field(std::string_view, ItemId) = delete;
  template <std::floating_point T>
  Field(std::string_view, T) = delete;  // a rating, a score, a gradient
  template <class T>
  Field(std::string_view, const std::vector<T>&) = delete;
  Field(std::string_view, ByteView) = delete;

  const std::string& key() const noexcept { return key_; }
  const std::string& value() const noexcept { return value_; }

 private:
  static std::string Quote(std::string_view value);
  std::string key_;
  std::string value_;
};

// `event`: a short name with underscores, e.g. "round_committed".
void Write(Level level, std::string_view event, std::initializer_list<Field> fields);
inline void Debug(std::string_view event, std::initializer_list<Field> fields = {}) {
  if (GetLevel() <= Level::kDebug) Write(Level::kDebug, event, fields);
}
inline void Info(std::string_view event, std::initializer_list<Field> fields = {}) {
  Write(Level::kInfo, event, fields);
}
inline void Warning(std::string_view event, std::initializer_list<Field> fields = {}) {
  Write(Level::kWarning, event, fields);
}
inline void Failure(std::string_view event, std::initializer_list<Field> fields = {}) {
  Write(Level::kError, event, fields);
}

}  // namespace demur::log
