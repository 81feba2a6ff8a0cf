#include "demur/client/event_file.h"

#include <array>
#include <charconv>
#include <limits>

#include "demur/base/file.h"

namespace demur::client {
namespace {

constexpr std::size_t kLineMaxLen = 256;
constexpr std::string_view kHeader = "item,signal,unix_ms";

// Where an error is; keeps the parse functions short.
struct Place {
  std::string_view source;
  std::uint64_t line = 0;

  Error Bad(const std::string& what) const {
    return Error(ErrorCode::kInvalidArgument,
                 std::string(source) + ":" + std::to_string(line) + ": " + what);
  }
};

template <class T>
Result<T> ParseNumber(std::string_view text, T max, const char* field, const Place& place) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::invalid_argument || end != text.data() + text.size()) {
    return place.Bad(std::string(field) + " is not a number");
  }
  if (error != std::errc() || value < 0 || value > max) {
    return place.Bad(std::string(field) + " is out of range");
  }
  return value;
}

Result<std::array<std::string_view, 3>> SplitLine(std::string_view line, const Place& place) {
  std::array<std::string_view, 3> fields;
  std::size_t count = 1;
  for (const char c : line) count += c == ',' ? 1U : 0U;
  if (count != fields.size()) {
    return place.Bad("expected 3 fields, found " + std::to_string(count));
  }
  const std::size_t first = line.find(',');
  const std::size_t second = line.find(',', first + 1);
  fields = {line.substr(0, first), line.substr(first + 1, second - first - 1),
            line.substr(second + 1)};
  return fields;
}

Result<learning::Event> ParseLine(std::string_view line, const Place& place) {
  DEMUR_TRY(const auto fields, SplitLine(line, place));
  learning::Event event;
  // Wider than an item, so that a huge id is out of range and not "not a number".
  DEMUR_TRY(const std::int64_t item,
            ParseNumber<std::int64_t>(fields[0], std::numeric_limits<std::uint32_t>::max() - 1,
                                      "item", place));
  event.item = ItemId(static_cast<std::uint32_t>(item));
  auto signal = learning::ParseSignal(fields[1]);
  if (!signal) return place.Bad(signal.error().message());
  event.signal = *signal;
  DEMUR_TRY(event.unix_ms,
            ParseNumber<std::int64_t>(fields[2], std::numeric_limits<std::int64_t>::max(),
                                      "unix_ms", place));
  event.order = place.line;
  return event;
}

}  // namespace

Result<std::vector<learning::Event>> ParseEvents(std::string_view text,
                                                 std::string_view source_name) {
  std::vector<learning::Event> events;
  Place place{source_name, 0};
  while (!text.empty()) {
    ++place.line;
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.size() > kLineMaxLen) return place.Bad("line is too long");
    if (place.line == 1) {
      if (line != kHeader) return place.Bad("the first line must be " + std::string(kHeader));
      continue;
    }
    if (line.empty() && text.empty()) break;
    DEMUR_TRY(const learning::Event event, ParseLine(line, place));
    events.push_back(event);
  }
  if (events.empty()) {
    place.line = place.line == 0 ? 1 : place.line;
    return place.Bad("no events");
  }
  return events;
}

Result<std::vector<learning::Event>> LoadEvents(const std::string& path) {
  DEMUR_TRY(const std::string text, ReadTextFile(path, kEventFileMaxLen));
  return ParseEvents(text, path);
}

}  // namespace demur::client
