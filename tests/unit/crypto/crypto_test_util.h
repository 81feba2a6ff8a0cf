#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "demur/base/bytes.h"
#include "demur/base/secret.h"
#include "demur/crypto/keys.h"

// Short ways to write bytes in tests. A wrong literal stops the test program.
namespace demur::crypto::testing {

inline Bytes Hex(std::string_view text) { return FromHex(text).value(); }

template <std::size_t N>
std::array<std::byte, N> HexArray(std::string_view text) {
  return FromHexExactly<N>(text).value();
}

inline SecretArray<32> HexKey(std::string_view text) {
  SecretArray<32> key;
  const auto bytes = HexArray<32>(text);
  std::copy(bytes.begin(), bytes.end(), key.mutable_view().begin());
  return key;
}

// A key whose bytes are all `fill`.
inline SecretArray<32> FilledKey(unsigned char fill) {
  SecretArray<32> key;
  std::fill(key.mutable_view().begin(), key.mutable_view().end(), std::byte{fill});
  return key;
}

// first, first + 1, ... mod 256.
inline Bytes Counting(unsigned char first, std::size_t len) {
  Bytes out(len);
  for (std::size_t i = 0; i < len; ++i) out[i] = std::byte{static_cast<unsigned char>(first + i)};
  return out;
}

inline Bytes Repeat(unsigned char byte, std::size_t times) { return Bytes(times, std::byte{byte}); }

}  // namespace demur::crypto::testing
