#include "demur/base/json.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace demur {
namespace {

using Library = nlohmann::ordered_json;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

Json FromLibrary(const Library& in) {
  switch (in.type()) {
    case Library::value_t::boolean:
      return in.get<bool>();
    case Library::value_t::number_integer:
      return in.get<std::int64_t>();
    case Library::value_t::number_unsigned: {
      const auto value = in.get<std::uint64_t>();
      if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return static_cast<std::int64_t>(value);
      }
      return value;
    }
    case Library::value_t::number_float:
      return in.get<double>();
    case Library::value_t::string:
      return in.get<std::string>();
    case Library::value_t::array: {
      Json::Array out;
      out.reserve(in.size());
      for (const auto& element : in) out.push_back(FromLibrary(element));
      return out;
    }
    case Library::value_t::object: {
      Json::Object out;
      out.reserve(in.size());
      for (const auto& [key, value] : in.items()) out.emplace_back(key, FromLibrary(value));
      return out;
    }
    default:
      return nullptr;
  }
}

}  // namespace

Json& Json::Set(std::string_view key, Json value) {
  if (is_null()) value_ = Object{};
  auto* entries = std::get_if<Object>(&value_);
  DEMUR_CHECK(entries != nullptr, "Set() on a value that is not an object");
  for (auto& [name, old] : *entries) {
    if (name == key) {
      old = std::move(value);
      return *this;
    }
  }
  entries->emplace_back(std::string(key), std::move(value));
  return *this;
}

Json& Json::Append(Json value) {
  if (is_null()) value_ = Array{};
  auto* elements = std::get_if<Array>(&value_);
  DEMUR_CHECK(elements != nullptr, "Append() on a value that is not an array");
  elements->push_back(std::move(value));
  return *this;
}

const Json* Json::Find(std::string_view key) const {
  if (const Object* entries = object()) {
    for (const auto& [name, value] : *entries) {
      if (name == key) return &value;
    }
  }
  return nullptr;
}

Result<double> Json::Number() const {
  if (const auto* v = std::get_if<double>(&value_)) return *v;
  if (const auto* v = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*v);
  if (const auto* v = std::get_if<std::uint64_t>(&value_)) return static_cast<double>(*v);
  return Error(ErrorCode::kInvalidArgument, "not a number");
}

Result<std::int64_t> Json::Integer() const {
  if (const auto* v = std::get_if<std::int64_t>(&value_)) return *v;
  return Error(ErrorCode::kInvalidArgument, "not a 64-bit signed integer");
}

// Reaches the variant behind Json; kept out of the header so that the library stays here.
struct JsonWriter {
  static Library ToLibrary(const Json& in) {
    return std::visit(Overloaded{
                          [](std::monostate) { return Library(nullptr); },
                          [](const Json::Array& elements) {
                            Library out = Library::array();
                            for (const Json& element : elements) out.push_back(ToLibrary(element));
                            return out;
                          },
                          [](const Json::Object& entries) {
                            Library out = Library::object();
                            for (const auto& [key, entry] : entries) out[key] = ToLibrary(entry);
                            return out;
                          },
                          [](double number) {
                            return std::isfinite(number) ? Library(number) : Library(nullptr);
                          },
                          [](const auto& plain) { return Library(plain); },
                      },
                      in.value_);
  }
};

std::string Json::Dump(int indent) const {
  return JsonWriter::ToLibrary(*this).dump(indent, ' ', false, Library::error_handler_t::replace);
}

Result<Json> Json::Parse(std::string_view text) {
  try {
    return FromLibrary(Library::parse(text.begin(), text.end()));
  } catch (const Library::exception& e) {
    return Error(ErrorCode::kInvalidArgument, std::string("JSON: ") + e.what());
  }
}

}  // namespace demur
