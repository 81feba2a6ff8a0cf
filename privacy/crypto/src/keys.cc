#include "demur/crypto/keys.h"

#include <algorithm>
#include <array>

#include "openssl.h"

namespace demur::crypto {
namespace {

using internal::ForgetErrors;
using internal::In;
using internal::Key;
using internal::KeyContext;
using internal::LibraryFailure;
using internal::Out;

Result<PublicKey> RawPublicKey(const EVP_PKEY* key) {
  PublicKey raw{};
  std::size_t len = raw.size();
  if (EVP_PKEY_get_raw_public_key(key, Out(raw.data()), &len) != 1 || len != raw.size()) {
    return LibraryFailure();
  }
  return raw;
}

constexpr PublicKey FromWords(std::uint64_t low, std::uint64_t b, std::uint64_t c,
                              std::uint64_t high) {
  const std::array<std::uint64_t, 4> words = {low, b, c, high};
  PublicKey key{};
  for (std::size_t i = 0; i < key.size(); ++i) {
    key[i] = std::byte{static_cast<unsigned char>(words[i / 8] >> (8 * (i % 8)))};
  }
  return key;
}

// The canonical u-coordinates of order 1, 2, 4 and 8 on Curve25519 and its twist: 0, 1, the two of
// order 8, and -1. (Every other encoding of them is refused as non-canonical.)
constexpr std::array<PublicKey, 5> kLowOrder = {
    FromWords(0, 0, 0, 0),
    FromWords(1, 0, 0, 0),
    FromWords(0xaeb8413b7c7aebe0U, 0x6ac49ff1fae35616U, 0xfdb1329ceb8d09daU, 0x00b8495f16056286U),
    FromWords(0x248c50a3bc959c5fU, 0x5bef839c55b1d0b1U, 0x868e1c58c45c4404U, 0x57119fd0dd4e22d8U),
    FromWords(0xffffffffffffffecU, 0xffffffffffffffffU, 0xffffffffffffffffU, 0x7fffffffffffffffU),
};
constexpr PublicKey kFieldPrime =
    FromWords(0xffffffffffffffedU, 0xffffffffffffffffU, 0xffffffffffffffffU, 0x7fffffffffffffffU);

// The same for Ed25519: y of the points of order 1, 2, 4 and 8, and the two that have a second
// spelling (p and p + 1). The top bit is the sign of x and does not count.
constexpr std::array<PublicKey, 7> kSmallOrder = {
    FromWords(0, 0, 0, 0),
    FromWords(1, 0, 0, 0),
    FromWords(0xb027b2c28f95e826U, 0xf098eff289f4c345U, 0x3933c6d305acdfd5U, 0x05fc536d880238b1U),
    FromWords(0x4fd84d3d706a17c7U, 0x0f67100d760b3cbaU, 0xc6cc392cfa53202aU, 0x7a03ac9277fdc74eU),
    FromWords(0xffffffffffffffecU, 0xffffffffffffffffU, 0xffffffffffffffffU, 0x7fffffffffffffffU),
    kFieldPrime,
    FromWords(0xffffffffffffffeeU, 0xffffffffffffffffU, 0xffffffffffffffffU, 0x7fffffffffffffffU),
};

bool HasSmallOrder(PublicKey key) {
  key.back() &= std::byte{0x7f};
  return std::find(kSmallOrder.begin(), kSmallOrder.end(), key) != kSmallOrder.end();
}

// Public keys are not secret: an ordinary comparison from the high byte down will do.
bool IsCanonical(const PublicKey& key) {
  return std::lexicographical_compare(key.rbegin(), key.rend(), kFieldPrime.rbegin(),
                                      kFieldPrime.rend());
}

}  // namespace

Result<SecretArray<32>> RandomKey(RandomStream& random) {
  SecretArray<32> key;
  DEMUR_RETURN_IF_ERROR(random.Fill(key.mutable_view()));
  return key;
}

Result<X25519KeyPair> X25519FromSeed(const SecretArray<32>& seed) {
  const Key key = internal::PrivateFromRaw(EVP_PKEY_X25519, seed.view());
  if (key == nullptr) return LibraryFailure();
  DEMUR_TRY(const PublicKey public_key, RawPublicKey(key.get()));
  return X25519KeyPair{seed.Clone(), public_key};
}

Status CheckX25519PublicKey(const PublicKey& key) {
  if (!IsCanonical(key) || std::find(kLowOrder.begin(), kLowOrder.end(), key) != kLowOrder.end()) {
    return Error(ErrorCode::kInvalidArgument, "bad public key");
  }
  return {};
}

struct X25519Agreement::Impl {
  Key own;
  KeyContext context;
};

X25519Agreement::X25519Agreement(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
X25519Agreement::X25519Agreement(X25519Agreement&&) noexcept = default;
X25519Agreement& X25519Agreement::operator=(X25519Agreement&&) noexcept = default;
X25519Agreement::~X25519Agreement() = default;

Result<X25519Agreement> X25519Agreement::Create(const SecretArray<32>& private_key) {
  auto impl = std::make_unique<Impl>();
  impl->own = internal::PrivateFromRaw(EVP_PKEY_X25519, private_key.view());
  if (impl->own == nullptr) return LibraryFailure();
  impl->context.reset(EVP_PKEY_CTX_new(impl->own.get(), nullptr));
  if (impl->context == nullptr || EVP_PKEY_derive_init(impl->context.get()) != 1) {
    return LibraryFailure();
  }
  return X25519Agreement(std::move(impl));
}

Result<SecretArray<32>> X25519Agreement::With(const PublicKey& public_key) {
  EVP_PKEY_CTX* const context = impl_->context.get();
  const Key peer = internal::PublicFromRaw(EVP_PKEY_X25519, public_key);
  // The plain form of set_peer would check the point by another multiplication; X25519 needs none.
  if (peer == nullptr || EVP_PKEY_derive_set_peer_ex(context, peer.get(), 0) != 1) {
    return LibraryFailure();
  }
  SecretArray<32> secret;
  std::size_t len = secret.kLen;
  const int derived = EVP_PKEY_derive(context, Out(secret.mutable_view().data()), &len);
  // OpenSSL already reports failure for a zero result; a later version might not.
  const std::array<std::byte, 32> zero{};
  if (derived != 1 || len != secret.kLen || ConstantTimeEqual(secret.view(), zero)) {
    ForgetErrors();
    return Error(ErrorCode::kInvalidArgument, "bad public key");
  }
  return secret;
}

Result<SecretArray<32>> X25519(const SecretArray<32>& private_key, const PublicKey& public_key) {
  DEMUR_TRY(auto agreement, X25519Agreement::Create(private_key));
  return agreement.With(public_key);
}

Result<Ed25519KeyPair> Ed25519FromSeed(const SecretArray<32>& seed) {
  const Key key = internal::PrivateFromRaw(EVP_PKEY_ED25519, seed.view());
  if (key == nullptr) return LibraryFailure();
  DEMUR_TRY(const PublicKey public_key, RawPublicKey(key.get()));
  return Ed25519KeyPair{seed.Clone(), public_key};
}

Result<Signature> Sign(const Ed25519KeyPair& key, ByteView message) {
  const Key own = internal::PrivateFromRaw(EVP_PKEY_ED25519, key.seed.view());
  const internal::MdContext context(EVP_MD_CTX_new());
  Signature signature{};
  std::size_t len = signature.size();
  if (own == nullptr || context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, own.get()) != 1 ||
      EVP_DigestSign(context.get(), Out(signature.data()), &len, In(message.data()),
                     message.size()) != 1 ||
      len != signature.size()) {
    return LibraryFailure();
  }
  return signature;
}

bool Verify(const PublicKey& key, ByteView message, const Signature& signature) {
  // OpenSSL takes these, as RFC 8032 allows, and anybody can sign for them.
  if (HasSmallOrder(key)) return false;
  const Key peer = internal::PublicFromRaw(EVP_PKEY_ED25519, key);
  const internal::MdContext context(EVP_MD_CTX_new());
  const bool good =
      peer != nullptr && context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, peer.get()) == 1 &&
      EVP_DigestVerify(context.get(), In(signature.data()), signature.size(), In(message.data()),
                       message.size()) == 1;
  if (!good) ForgetErrors();
  return good;
}

}  // namespace demur::crypto
