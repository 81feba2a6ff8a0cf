#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "demur/secagg/cohort.h"

// Whatever opens is the one encoding of what it says.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const demur::ByteView bytes = std::as_bytes(std::span(data, size));
  // The key of corpus file "statement": seed of 32 zero bytes.
  static const auto kKey = demur::crypto::Ed25519FromSeed(demur::SecretArray<32>());
  const auto statement = demur::secagg::OpenStatement(bytes, kKey->public_key);
  if (!statement) return 0;
  const auto again = demur::secagg::SignStatement(*kKey, *statement);
  if (!again || !std::equal(again->begin(), again->end(), bytes.begin(), bytes.end())) {
    __builtin_trap();
  }
  return 0;
}
