#pragma once

#include <cstddef>
#include <memory>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"

// SHA-256 (FIPS 180-4), HMAC-SHA256 (RFC 2104) and HKDF-SHA256 (RFC 5869).
// The free functions are safe from several threads; a hasher belongs to one. A digest cannot fail
// on any input, so a failure of the library (memory, a broken installation) stops the program.
namespace demur::crypto {

inline constexpr std::size_t kSha256Len = 32;
inline constexpr std::size_t kSha256BlockLen = 64;

// The digest of what Update was given, in order. State is wiped when the hasher goes.
class Sha256Hasher {
 public:
  Sha256Hasher();
  Sha256Hasher(Sha256Hasher&&) noexcept;
  Sha256Hasher& operator=(Sha256Hasher&&) noexcept;
  ~Sha256Hasher();

  Sha256Hasher& Update(ByteView bytes);
  // Gives the digest and starts over with an empty message.
  Hash256 Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Hash256 Sha256(ByteView bytes);

// Keys of any length, the empty one included. Compare tags with ConstantTimeEqual (base/secret.h).
Hash256 HmacSha256(ByteView key, ByteView message);

inline constexpr std::size_t kHkdfMaxLen = 255 * kSha256Len;

// `len` bytes, 1 to kHkdfMaxLen, derived from `ikm` under `salt` (may be empty) and `info`.
// kInvalidArgument: `len` out of range.
Result<SecretBytes> HkdfSha256(ByteView ikm, ByteView salt, ByteView info, std::size_t len);
// The same for a 32-byte key, which cannot be out of range.
SecretArray<32> HkdfKey(ByteView ikm, ByteView salt, ByteView info);

}  // namespace demur::crypto
