#include <cstddef>
#include <cstdint>
#include <string_view>

#include "demur/base/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto config = demur::Config::Parse({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!config) return 0;
  std::int64_t port = 1;
  std::string host;
  config->Section("server").Read("port", &port, 1, 65535).Read("host", &host);
  (void)config->Finish();
  return 0;
}
