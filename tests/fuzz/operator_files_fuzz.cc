#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "demur/crypto/operator_files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto request = demur::crypto::ParseCertifyRequest(text)) {
    if (request->name.empty() || request->tls_key == request->plan_key) __builtin_trap();
  }
  // The key of corpus file "revoked.json": seed of 32 zero bytes.
  static const auto kKey = demur::crypto::Ed25519FromSeed(demur::SecretArray<32>());
  if (const auto list = demur::crypto::ParseRevocationList(text, kKey->public_key)) {
    if (!std::is_sorted(list->devices.begin(), list->devices.end())) __builtin_trap();
  }
  return 0;
}
