#include <cstddef>
#include <cstdint>
#include <string_view>

#include "demur/wire/endpoint.h"
#include "demur/wire/token.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto endpoint = demur::wire::ParseEndpoint(text)) {
    if (demur::wire::Format(*endpoint) != text) __builtin_trap();
  }
  const auto token = demur::wire::ParseToken(text);
  if (!token) return 0;
  // One token has one text.
  const auto again = demur::wire::FormatToken(*token);
  if (!again || text.find(demur::AsText(again->view())) == std::string_view::npos) {
    __builtin_trap();
  }
  return 0;
}
