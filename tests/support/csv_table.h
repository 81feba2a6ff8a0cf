#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "demur/base/file.h"
#include "result_matchers.h"

// Reads the CSV tables of outside test vectors: a header line, fields that may be quoted. For tests
// only; a missing column or file fails the test.
namespace demur::testing {

class CsvTable {
 public:
  using Row = std::map<std::string, std::string>;

  static CsvTable Read(const std::string& path) {
    CsvTable table;
    const auto bytes = ReadFile(path, 1U << 24);
    EXPECT_OK(bytes);
    if (!bytes) return table;
    std::vector<std::string> header;
    std::string_view rest = AsText(*bytes);
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      const std::vector<std::string> fields = Fields(rest.substr(0, end));
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
      if (header.empty()) {
        header = fields;
        continue;
      }
      EXPECT_EQ(fields.size(), header.size()) << path;
      Row row;
      for (std::size_t i = 0; i < fields.size() && i < header.size(); ++i) {
        row[header[i]] = fields[i];
      }
      table.rows_.push_back(std::move(row));
    }
    EXPECT_FALSE(table.rows_.empty()) << path;
    return table;
  }

  const std::vector<Row>& rows() const { return rows_; }

  // The number in `column`; the test fails where there is none.
  static double Number(const Row& row, const std::string& column) {
    const std::string& text = Text(row, column);
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    EXPECT_TRUE(!text.empty() && *end == '\0') << column << " '" << text << "'";
    return value;
  }
  static const std::string& Text(const Row& row, const std::string& column) {
    static const std::string kNone;
    const auto it = row.find(column);
    EXPECT_NE(it, row.end()) << column;
    return it == row.end() ? kNone : it->second;
  }

 private:
  static std::vector<std::string> Fields(std::string_view line) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (const char c : line) {
      if (c == '"') {
        quoted = !quoted;
      } else if (c == ',' && !quoted) {
        fields.emplace_back();
      } else {
        fields.back().push_back(c);
      }
    }
    return fields;
  }
  std::vector<Row> rows_;
};

}  // namespace demur::testing
