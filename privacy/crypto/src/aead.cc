#include "demur/crypto/aead.h"

#include "openssl.h"

namespace demur::crypto {
namespace {

using internal::CipherContext;
using internal::ForgetErrors;
using internal::In;
using internal::LibraryFailure;
using internal::Out;

constexpr std::size_t kMaxInput = std::size_t{1} << 30;  // OpenSSL counts in int

bool TooLong(ByteView aad, ByteView text) {
  return aad.size() > kMaxInput || text.size() > kMaxInput;
}

// OpenSSL takes a null input for "the tag now": an empty input must not reach it as one.
bool Absorb(EVP_CIPHER_CTX* context, ByteView aad) {
  int len = 0;
  return aad.empty() || EVP_CipherUpdate(context, nullptr, &len, In(aad.data()),
                                         static_cast<int>(aad.size())) == 1;
}

bool Transform(EVP_CIPHER_CTX* context, ByteView in, std::byte* out) {
  int len = 0;
  return in.empty() || (EVP_CipherUpdate(context, Out(out), &len, In(in.data()),
                                         static_cast<int>(in.size())) == 1 &&
                        static_cast<std::size_t>(len) == in.size());
}

CipherContext Start(const SecretArray<32>& key, const AeadNonce& nonce, bool encrypt) {
  CipherContext context(EVP_CIPHER_CTX_new());
  if (context != nullptr &&
      EVP_CipherInit_ex2(context.get(), internal::Aes256Gcm(), In(key.view().data()),
                         In(nonce.data()), encrypt ? 1 : 0, nullptr) != 1) {
    context.reset();
  }
  return context;
}

Error CannotOpen() {
  ForgetErrors();
  return Error(ErrorCode::kDataLoss, "cannot open sealed data");
}

}  // namespace

Result<Bytes> Seal(const SecretArray<32>& key, const AeadNonce& nonce, ByteView aad,
                   ByteView plaintext) {
  if (TooLong(aad, plaintext)) return Error(ErrorCode::kInvalidArgument, "too long to seal");
  const CipherContext context = Start(key, nonce, true);
  if (context == nullptr) return LibraryFailure();
  Bytes out(plaintext.size() + kAeadTagLen);
  int len = 0;
  if (!Absorb(context.get(), aad) || !Transform(context.get(), plaintext, out.data()) ||
      EVP_CipherFinal_ex(context.get(), Out(out.data() + plaintext.size()), &len) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, int{kAeadTagLen},
                          out.data() + plaintext.size()) != 1) {
    return LibraryFailure();
  }
  return out;
}

Result<SecretBytes> Open(const SecretArray<32>& key, const AeadNonce& nonce, ByteView aad,
                         ByteView sealed) {
  if (sealed.size() < kAeadTagLen || TooLong(aad, sealed)) return CannotOpen();
  const ByteView ciphertext = sealed.first(sealed.size() - kAeadTagLen);
  std::array<std::byte, kAeadTagLen> tag{};
  std::copy(sealed.end() - kAeadTagLen, sealed.end(), tag.begin());
  const CipherContext context = Start(key, nonce, false);
  if (context == nullptr) return LibraryFailure();
  SecretBytes out(ciphertext.size());  // wiped on every way out but the good one
  std::array<unsigned char, 16> nothing{};
  int len = 0;
  if (!Absorb(context.get(), aad) ||
      !Transform(context.get(), ciphertext, out.mutable_view().data()) ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, int{kAeadTagLen}, tag.data()) !=
          1 ||
      EVP_CipherFinal_ex(context.get(), nothing.data(), &len) != 1) {
    return CannotOpen();
  }
  return out;
}

}  // namespace demur::crypto
