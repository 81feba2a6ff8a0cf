#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "demur/base/result.h"

// JSON values as plain data. Objects keep the order in which keys were added. Value types.
namespace demur {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  Json() = default;                                           // null
  Json(std::nullptr_t) {}                                     // NOLINT(google-explicit-constructor)
  Json(bool value) : value_(value) {}                         // NOLINT(google-explicit-constructor)
  Json(std::int64_t value) : value_(value) {}                 // NOLINT(google-explicit-constructor)
  Json(int value) : value_(std::int64_t{value}) {}            // NOLINT(google-explicit-constructor)
  Json(std::uint32_t value) : value_(std::int64_t{value}) {}  // NOLINT(google-explicit-constructor)
  Json(std::uint64_t value) : value_(value) {}                // NOLINT(google-explicit-constructor)
  Json(double value) : value_(value) {}                       // NOLINT(google-explicit-constructor)
  Json(std::string value) : value_(std::move(value)) {}       // NOLINT(google-explicit-constructor)
  Json(std::string_view value)                                // NOLINT(google-explicit-constructor)
      : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}  // NOLINT(google-explicit-constructor)
  Json(Array value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Json(Object value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)

  // Sets a key of an object (null becomes one). Replaces an existing key in place.
  Json& Set(std::string_view key, Json value);
  // Appends to an array (null becomes one).
  Json& Append(Json value);

  bool is_null() const noexcept { return std::holds_alternative<std::monostate>(value_); }
  // Borrowed; nullptr when it is not an object or has no such key.
  const Json* Find(std::string_view key) const;
  const Array* array() const { return std::get_if<Array>(&value_); }
  const Object* object() const { return std::get_if<Object>(&value_); }
  const std::string* text() const { return std::get_if<std::string>(&value_); }
  const bool* boolean() const { return std::get_if<bool>(&value_); }
  // Any number, as a double. kInvalidArgument: not a number.
  Result<double> Number() const;
  // kInvalidArgument: not an integer, or out of range.
  Result<std::int64_t> Integer() const;

  // Doubles are written so that they read back equal; NaN and infinities become null.
  // indent < 0: one line.
  std::string Dump(int indent = -1) const;
  // kInvalidArgument with line and column.
  static Result<Json> Parse(std::string_view text);

 private:
  friend struct JsonWriter;
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array,
               Object>
      value_;
};

}  // namespace demur
