#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "demur/base/bytes.h"
#include "demur/base/result.h"

// Owners for OpenSSL objects, and algorithms looked up once. Private to privacy/crypto.
namespace demur::crypto::internal {

template <auto kFree>
struct Free {
  template <class T>
  void operator()(T* object) const noexcept {
    kFree(object);
  }
};
using MdContext = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Free<EVP_CIPHER_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;

// Looking an algorithm up costs more than using it on a short input, so each is fetched once and
// kept for the life of the process. Thread-safe.
const EVP_MD* Sha256Algorithm();
const EVP_CIPHER* Aes256Gcm();
const EVP_CIPHER* Aes256Ctr();
const EVP_CIPHER* Aes256Ecb();

inline const unsigned char* In(const std::byte* bytes) noexcept {
  return reinterpret_cast<const unsigned char*>(bytes);
}
inline unsigned char* Out(std::byte* bytes) noexcept {
  return reinterpret_cast<unsigned char*>(bytes);
}

// The one text of every failure inside the library. Also empties OpenSSL's error queue, which is
// per thread and would otherwise be read by whoever asks next (libssl does).
Error LibraryFailure(const char* file = __builtin_FILE(), int line = __builtin_LINE());
// For failures that input can cause: the same queue is emptied, the caller says the rest.
void ForgetErrors() noexcept;

Key PublicFromRaw(int type, ByteView raw);
Key PrivateFromRaw(int type, ByteView raw);

}  // namespace demur::crypto::internal
