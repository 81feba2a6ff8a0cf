#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "demur/base/result.h"

// Reads comma- or tab-separated text record by record, with errors that name file:line. Data files
// come from strangers: nothing here trusts a length, a number or a quote. Not thread-safe per
// object.
namespace demur::sim {

// Limits of one data file. A row beyond them is an error, never cut.
inline constexpr std::uint64_t kMaxDataFileLen = std::uint64_t{4} << 30;
inline constexpr std::size_t kMaxLineLen = 64 * 1024;
inline constexpr std::size_t kMaxFields = 64;
// Numeric ids above this are refused: they are mapped to rows, and a row costs memory.
inline constexpr std::int64_t kMaxNumericId = 2'000'000'000;

class DelimitedReader {
 public:
  // `text` must outlive the reader and the fields it hands out. `source` is the file's name in
  // errors. A field may be quoted as in RFC 4180 when `separator` is a comma; a quoted field may
  // not span lines.
  DelimitedReader(std::string_view text, char separator, std::string source);

  // Reads the next record that is not blank into `*fields` (views into the text, or into the
  // reader until the next call for fields with doubled quotes). False at the end of the text.
  // kInvalidArgument "source:line: ...": a NUL byte, a line or field count beyond the limits, an
  // open quote.
  Result<bool> Next(std::vector<std::string_view>* fields);

  // The line of the record last read, from 1.
  std::uint64_t line() const noexcept { return line_; }
  // kInvalidArgument "source:line: what".
  Error Bad(std::string_view what) const;

 private:
  Status SplitQuoted(std::string_view line, std::vector<std::string_view>* fields);

  std::string_view rest_;
  std::string source_;
  std::vector<std::string> unquoted_;
  std::uint64_t line_ = 0;
  char separator_;
};

// Each reads a whole field and returns kInvalidArgument with what is wrong, without the place
// (wrap it with DelimitedReader::Bad). Blanks are not skipped; a leading '+' is refused.
// An integer in [min, max].
Result<std::int64_t> ParseInteger(std::string_view field, std::int64_t min, std::int64_t max);
// A finite number: "nan" and "inf" are refused.
Result<double> ParseFinite(std::string_view field);

// Reads `path` whole; a name ending in ".gz" is inflated through zlib. kNotFound, kUnavailable;
// kInvalidArgument: longer than kMaxDataFileLen (also after inflating), not a gzip file, or cut.
Result<std::string> ReadDataFile(const std::string& path);

}  // namespace demur::sim
