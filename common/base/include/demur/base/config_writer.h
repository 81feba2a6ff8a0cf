#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Writes the TOML that config.h reads: what `print-defaults` shows, every key with a comment. What
// is written reads back equal. Not thread-safe. Usage:
//   ConfigWriter out;
//   out.Section("server").Number("port", options.port, "0: any").Text("host", options.host);
//   std::string text = out.Take();
namespace demur {

class ConfigWriter {
 public:
  // `name`: "a.b" for [a.b]. A `comment` stands in a line of its own above. Comments and names are
  // ours: one line, not escaped.
  ConfigWriter& Section(std::string_view name, std::string_view comment = "");
  // A line that only a person reads, such as a key that is absent.
  ConfigWriter& Remark(std::string_view comment);

  ConfigWriter& Text(std::string_view key, std::string_view value, std::string_view comment = "");
  ConfigWriter& Flag(std::string_view key, bool value, std::string_view comment = "");
  ConfigWriter& Number(std::string_view key, std::int64_t value, std::string_view comment = "");
  // The shortest text that reads back as the same number.
  ConfigWriter& Real(std::string_view key, double value, std::string_view comment = "");
  ConfigWriter& List(std::string_view key, const std::vector<std::string>& values,
                     std::string_view comment = "");
  ConfigWriter& List(std::string_view key, std::span<const std::uint32_t> values,
                     std::string_view comment = "");

  std::string Take() { return std::move(text_); }

 private:
  ConfigWriter& Line(std::string_view key, std::string_view value, std::string_view comment);

  std::string text_;
};

}  // namespace demur
