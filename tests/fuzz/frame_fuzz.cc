#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "demur/wire/frame.h"

// A stream of frames: header, body, header, ...
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint32_t kLimit = 4096;
  auto rest = std::as_bytes(std::span(data, size));
  while (rest.size() >= demur::wire::kFrameHeaderLen) {
    const auto bytes = rest.first<demur::wire::kFrameHeaderLen>();
    const auto header = demur::wire::ParseFrameHeader(bytes, kLimit);
    if (!header) return 0;
    if (header->body_len > kLimit) __builtin_trap();
    const auto again = demur::wire::EncodeFrameHeader(*header);
    if (!std::equal(again.begin(), again.end(), bytes.begin())) __builtin_trap();
    rest = rest.subspan(bytes.size());
    rest = rest.subspan(std::min<std::size_t>(rest.size(), header->body_len));
  }
  return 0;
}
