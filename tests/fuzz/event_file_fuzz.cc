#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "demur/base/check.h"
#include "demur/client/event_file.h"

// A file of events is read, or refused with its place; what was read can be written and read again.
namespace demur::client {
namespace {

void Run(std::string_view text) {
  const auto events = ParseEvents(text, "fuzz.csv");
  if (!events) {
    DEMUR_CHECK(events.error().code() == ErrorCode::kInvalidArgument, "one kind of error");
    DEMUR_CHECK(events.error().message().rfind("fuzz.csv:", 0) == 0, "the place comes first");
    return;
  }
  std::string again = "item,signal,unix_ms\n";
  std::uint64_t line = 1;
  for (const learning::Event& event : *events) {
    DEMUR_CHECK(event.order == ++line, "events stand in the order of their lines");
    DEMUR_CHECK(event.unix_ms >= 0, "no time before 1970");
    again += std::to_string(event.item.value) + "," + std::string(ToString(event.signal)) + "," +
             std::to_string(event.unix_ms) + "\n";
  }
  const auto back = ParseEvents(again, "again.csv");
  DEMUR_CHECK(back.has_value() && *back == *events, "written and read again");
}

}  // namespace
}  // namespace demur::client

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  demur::client::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
