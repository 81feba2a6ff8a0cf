#include "demur/base/config_writer.h"

#include <array>
#include <charconv>

namespace demur {
namespace {

// A basic string of TOML; bytes above ASCII go through as they are (UTF-8).
std::string Quoted(std::string_view value) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      out += "\\u00";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 0xF];
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

ConfigWriter& ConfigWriter::Section(std::string_view name, std::string_view comment) {
  if (!text_.empty()) text_ += "\n";
  if (!comment.empty()) Remark(comment);
  text_.append("[").append(name).append("]\n");
  return *this;
}

ConfigWriter& ConfigWriter::Remark(std::string_view comment) {
  text_.append("# ").append(comment).append("\n");
  return *this;
}

ConfigWriter& ConfigWriter::Line(std::string_view key, std::string_view value,
                                 std::string_view comment) {
  text_.append(key).append(" = ").append(value);
  if (!comment.empty()) text_.append("  # ").append(comment);
  text_ += "\n";
  return *this;
}

ConfigWriter& ConfigWriter::Text(std::string_view key, std::string_view value,
                                 std::string_view comment) {
  return Line(key, Quoted(value), comment);
}

ConfigWriter& ConfigWriter::Flag(std::string_view key, bool value, std::string_view comment) {
  return Line(key, value ? "true" : "false", comment);
}

ConfigWriter& ConfigWriter::Number(std::string_view key, std::int64_t value,
                                   std::string_view comment) {
  return Line(key, std::to_string(value), comment);
}

ConfigWriter& ConfigWriter::Real(std::string_view key, double value, std::string_view comment) {
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  std::string text(buffer.data(), end);
  // TOML tells integers from floats by the point, the exponent, or the n of inf and nan.
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return Line(key, text, comment);
}

ConfigWriter& ConfigWriter::List(std::string_view key, const std::vector<std::string>& values,
                                 std::string_view comment) {
  std::string list;
  for (const std::string& value : values) list += (list.empty() ? "" : ", ") + Quoted(value);
  return Line(key, "[" + list + "]", comment);
}

ConfigWriter& ConfigWriter::List(std::string_view key, std::span<const std::uint32_t> values,
                                 std::string_view comment) {
  std::string list;
  for (const std::uint32_t value : values) {
    list += (list.empty() ? "" : ", ") + std::to_string(value);
  }
  return Line(key, "[" + list + "]", comment);
}

}  // namespace demur
