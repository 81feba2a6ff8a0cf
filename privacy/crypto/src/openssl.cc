#include "openssl.h"

#include <openssl/err.h>

#include "demur/base/check.h"

namespace demur::crypto::internal {
namespace {

template <class T>
T* MustHave(T* algorithm) {
  DEMUR_CHECK(algorithm != nullptr, "OpenSSL's default provider has the algorithm");
  return algorithm;
}

}  // namespace

// Never freed: static destruction order would otherwise decide whether the last user is safe.
const EVP_MD* Sha256Algorithm() {
  static const EVP_MD* const kAlgorithm = MustHave(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  return kAlgorithm;
}
const EVP_CIPHER* Aes256Gcm() {
  static const EVP_CIPHER* const kAlgorithm =
      MustHave(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  return kAlgorithm;
}
const EVP_CIPHER* Aes256Ctr() {
  static const EVP_CIPHER* const kAlgorithm =
      MustHave(EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr));
  return kAlgorithm;
}
const EVP_CIPHER* Aes256Ecb() {
  static const EVP_CIPHER* const kAlgorithm =
      MustHave(EVP_CIPHER_fetch(nullptr, "AES-256-ECB", nullptr));
  return kAlgorithm;
}

void ForgetErrors() noexcept { ERR_clear_error(); }

Error LibraryFailure(const char* file, int line) {
  ForgetErrors();
  return Error(ErrorCode::kInternal, "cryptographic library failed", file, line);
}

Key PublicFromRaw(int type, ByteView raw) {
  return Key(EVP_PKEY_new_raw_public_key(type, nullptr, In(raw.data()), raw.size()));
}
Key PrivateFromRaw(int type, ByteView raw) {
  return Key(EVP_PKEY_new_raw_private_key(type, nullptr, In(raw.data()), raw.size()));
}

}  // namespace demur::crypto::internal
