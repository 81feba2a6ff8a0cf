#pragma once

#include <array>
#include <cstddef>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"

// AES-256-GCM (NIST SP 800-38D) with a 12-byte nonce and a 16-byte tag behind the ciphertext.
// A nonce is used once per key: the caller draws it at random (at most 2^32 a key) or counts.
// Stateless; safe from several threads.
namespace demur::crypto {

inline constexpr std::size_t kAeadKeyLen = 32;
inline constexpr std::size_t kAeadTagLen = 16;
using AeadNonce = std::array<std::byte, 12>;

// plaintext.size() + kAeadTagLen bytes. `aad` is authenticated, not sent.
// kInvalidArgument: either input above 2^30 bytes. kInternal: the library failed.
Result<Bytes> Seal(const SecretArray<32>& key, const AeadNonce& nonce, ByteView aad,
                   ByteView plaintext);

// The plaintext. kDataLoss: too short, or key, nonce, aad, ciphertext or tag are not those of a
// Seal; the message does not say which, and nothing of the plaintext is given out.
Result<SecretBytes> Open(const SecretArray<32>& key, const AeadNonce& nonce, ByteView aad,
                         ByteView sealed);

}  // namespace demur::crypto
