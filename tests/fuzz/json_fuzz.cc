#include <cstddef>
#include <cstdint>
#include <string_view>

#include "demur/base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto json = demur::Json::Parse({reinterpret_cast<const char*>(data), size});
  if (!json) return 0;
  // What was read can be written and read again.
  if (!demur::Json::Parse(json->Dump())) __builtin_trap();
  return 0;
}
