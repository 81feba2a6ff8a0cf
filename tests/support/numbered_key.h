#pragma once

#include <cstdint>

#include "demur/crypto/keys.h"

namespace demur::testing {

// An identity of its own for each number: test secrets only. Link privacy/crypto.
inline crypto::Ed25519KeyPair KeyOf(std::uint8_t number) {
  SecretArray<32> seed;
  seed.mutable_view()[0] = std::byte{number};
  return crypto::Ed25519FromSeed(seed).value();
}

}  // namespace demur::testing
