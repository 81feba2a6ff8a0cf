#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "demur/base/result.h"
#include "demur/learning/events.h"

// Events of one person as a text file, for trials and for apps that import a history:
//   item,signal,unix_ms
//   17,like,1700000000000
// The first line is the header. Fields are plain numbers and names (learning/signals.h), no quotes.
// Stateless; safe from several threads.
namespace demur::client {

inline constexpr std::uint64_t kEventFileMaxLen = std::uint64_t{1} << 28;  // bytes

// Events in the order of their lines; `order` is the line's number. `source_name` stands in errors.
// kInvalidArgument "events.csv:7: ...": no header, another number of fields, an item or a time that
// is not a number in range, an unknown signal, a line of more than 256 bytes, no event at all.
Result<std::vector<learning::Event>> ParseEvents(std::string_view text,
                                                 std::string_view source_name);

// The same of a file. Also kNotFound, and kInvalidArgument for a file above kEventFileMaxLen.
Result<std::vector<learning::Event>> LoadEvents(const std::string& path);

}  // namespace demur::client
