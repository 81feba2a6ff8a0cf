#include <cstddef>
#include <cstdint>
#include <string_view>

#include "demur/net/http.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto request = demur::net::ParseHttpHead({reinterpret_cast<const char*>(data), size});
  if (!request) {
    (void)demur::net::FormatHttp(demur::net::HttpReplyFor(request.error()));
    return 0;
  }
  if (!request->has_value()) return 0;
  const std::string& path = (**request).path;
  if (path.empty() || path.front() != '/' || path.find('?') != std::string::npos) __builtin_trap();
  return 0;
}
