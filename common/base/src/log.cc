#include "demur/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>

namespace demur::log {
namespace {

std::atomic<Level> g_level{Level::kInfo};

spdlog::logger& Sink() {
  static spdlog::logger& logger = *[] {
    auto* made = new spdlog::logger("demur", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    return made;  // lives as long as the process: lines may come from exit handlers
  }();
  return logger;
}

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
    case Level::kOff:
      break;
  }
  return spdlog::level::off;
}

}  // namespace

void SetLevel(Level level) { g_level.store(level); }
Level GetLevel() { return g_level.load(); }

Result<Level> ParseLevel(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Level>, 5> kNames = {{
      {"debug", Level::kDebug},
      {"info", Level::kInfo},
      {"warning", Level::kWarning},
      {"error", Level::kError},
      {"off", Level::kOff},
  }};
  for (const auto& [name, level] : kNames) {
    if (text == name) return level;
  }
  return Error(ErrorCode::kInvalidArgument,
               "log level '" + std::string(text) + "': use debug, info, warning, error or off");
}

Field::Field(std::string_view key, RoundId value)
    : key_(key), value_(std::to_string(value.epoch) + "." + std::to_string(value.counter)) {}
Field::Field(std::string_view key, const TaskId& value) : key_(key), value_(ToHex(value)) {}
Field::Field(std::string_view key, const Error& error)
    : key_(key), value_(Quote(std::string(ToString(error.code())) + ": " + error.message())) {}

// One line stays one line: control characters cannot forge a second one.
std::string Field::Quote(std::string_view value) {
  const bool plain = !value.empty() && value.find_first_of(" \"=\\") == std::string_view::npos;
  std::string out = plain ? "" : "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out.append({'\\', c});
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out.push_back('?');
    } else {
      out.push_back(c);
    }
  }
  if (!plain) out.push_back('"');
  return out;
}

void Write(Level level, std::string_view event, std::initializer_list<Field> fields) {
  if (level < GetLevel() || level == Level::kOff) return;
  std::string line(event);
  for (const Field& field : fields) {
    line.append(" ").append(field.key()).append("=").append(field.value());
  }
  Sink().log(ToSpdlog(level), "{}", line);
}

}  // namespace demur::log
