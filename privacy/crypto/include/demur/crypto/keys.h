#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "demur/base/bytes.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"

// X25519 (RFC 7748) and Ed25519 (RFC 8032, pure) over raw 32-byte keys.
// Stateless; safe from several threads. kInternal everywhere: the library failed (memory).
namespace demur::crypto {

using PublicKey = std::array<std::byte, 32>;
using Signature = std::array<std::byte, 64>;

// 32 fresh bytes for a key. kInternal: the random stream failed.
Result<SecretArray<32>> RandomKey(RandomStream& random);

struct X25519KeyPair {
  SecretArray<32> private_key;  // scalar before clamping
  PublicKey public_key{};
};

// Any 32 bytes are a scalar; RFC 7748's clamping happens inside.
Result<X25519KeyPair> X25519FromSeed(const SecretArray<32>& seed);

// For a key that a peer sent, before it is stored or used. kInvalidArgument: a point of low order
// (the shared secret would not depend on our scalar), or not the canonical encoding (value below
// 2^255 - 19, top bit clear), which would let one point appear as two different keys.
Status CheckX25519PublicKey(const PublicKey& key);

// The raw shared secret: feed it to HKDF, never use it as a key. kInvalidArgument: all zero, which
// happens exactly for points of low order. Non-canonical encodings are taken as RFC 7748 demands.
Result<SecretArray<32>> X25519(const SecretArray<32>& private_key, const PublicKey& public_key);

// One private key for many peers: making the library's object of a key costs about as much as an
// agreement does. The object's memory is wiped when it goes. Not thread-safe per object.
class X25519Agreement {
 public:
  // kInternal: the library failed.
  static Result<X25519Agreement> Create(const SecretArray<32>& private_key);
  X25519Agreement(X25519Agreement&&) noexcept;
  X25519Agreement& operator=(X25519Agreement&&) noexcept;
  ~X25519Agreement();

  // As X25519(private_key, public_key).
  Result<SecretArray<32>> With(const PublicKey& public_key);

 private:
  struct Impl;
  explicit X25519Agreement(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct Ed25519KeyPair {
  SecretArray<32> seed;  // the private key of RFC 8032
  PublicKey public_key{};

  Ed25519KeyPair Clone() const { return {seed.Clone(), public_key}; }
};

Result<Ed25519KeyPair> Ed25519FromSeed(const SecretArray<32>& seed);
// Deterministic: equal key and message give equal bytes.
Result<Signature> Sign(const Ed25519KeyPair& key, ByteView message);
// False for every other reason than a good signature, with no word about which. A key of small
// order verifies nothing: for such keys signatures exist that nobody's private key made, so they
// would prove neither who speaks nor that a key is held.
bool Verify(const PublicKey& key, ByteView message, const Signature& signature);

// --- Key files: PKCS#8 in PEM, readable by `openssl pkey` ----------------------------------------

// PKCS#8 DER (48 bytes), what common/net's TLS context takes.
SecretBytes PrivateKeyToDer(const Ed25519KeyPair& key);
// kInvalidArgument: not exactly an Ed25519 PKCS#8 private key.
Result<Ed25519KeyPair> PrivateKeyFromDer(ByteView der);

// Creates `path` with mode 0600. kFailedPrecondition: something is there already (a key is never
// overwritten). kUnavailable: the system refused.
Status WriteNewKeyFile(const std::string& path, const Ed25519KeyPair& key);
// kNotFound: no such file. kInvalidArgument: not an Ed25519 key, with the path.
Result<Ed25519KeyPair> ReadKeyFile(const std::string& path);

}  // namespace demur::crypto
