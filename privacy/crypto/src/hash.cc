#include "demur/crypto/hash.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "demur/base/check.h"
#include "openssl.h"

namespace demur::crypto {

using internal::In;
using internal::MdContext;
using internal::Out;

// OpenSSL cleanses the state in EVP_MD_CTX_free.
struct Sha256Hasher::Context {
  MdContext md{EVP_MD_CTX_new()};

  Context() {
    DEMUR_CHECK(md != nullptr, "memory for a digest");
    Start();
  }
  void Start() {
    DEMUR_CHECK(EVP_DigestInit_ex2(md.get(), internal::Sha256Algorithm(), nullptr) == 1,
                "SHA-256 starts");
  }
  void Update(ByteView bytes) {
    DEMUR_CHECK(EVP_DigestUpdate(md.get(), bytes.data(), bytes.size()) == 1, "SHA-256 goes on");
  }
  Hash256 Finish() {
    Hash256 digest{};
    DEMUR_CHECK(EVP_DigestFinal_ex(md.get(), Out(digest.data()), nullptr) == 1, "SHA-256 ends");
    return digest;
  }
};

Sha256Hasher::Sha256Hasher() : context_(std::make_unique<Context>()) {}
Sha256Hasher::Sha256Hasher(Sha256Hasher&&) noexcept = default;
Sha256Hasher& Sha256Hasher::operator=(Sha256Hasher&&) noexcept = default;
Sha256Hasher::~Sha256Hasher() = default;

Sha256Hasher& Sha256Hasher::Update(ByteView bytes) {
  context_->Update(bytes);
  return *this;
}
Hash256 Sha256Hasher::Finish() {
  const Hash256 digest = context_->Finish();
  context_->Start();
  return digest;
}

Hash256 Sha256(ByteView bytes) {
  Sha256Hasher hasher;
  return hasher.Update(bytes).Finish();
}

namespace {

// HMAC with the padded key kept, so that HKDF's several tags share it. EVP_MAC would look the
// digest up again for every key; two plain digests do the same work for half the time.
class Hmac {
 public:
  explicit Hmac(ByteView key) {
    const std::span<std::byte, kSha256BlockLen> padded = key_.mutable_view();
    if (key.size() > kSha256BlockLen) {
      Hash256 digest = hasher_.Update(key).Finish();
      std::copy(digest.begin(), digest.end(), padded.begin());
      Wipe(digest);
    } else {
      std::copy(key.begin(), key.end(), padded.begin());
    }
    Start();
  }
  Hmac& Update(ByteView bytes) {
    hasher_.Update(bytes);
    return *this;
  }
  Hash256 Finish() {
    Hash256 inner = hasher_.Finish();
    AbsorbKey(std::byte{0x5c});
    hasher_.Update(inner);
    Wipe(inner);
    const Hash256 tag = hasher_.Finish();
    Start();
    return tag;
  }

 private:
  void Start() { AbsorbKey(std::byte{0x36}); }
  void AbsorbKey(std::byte pad) {
    SecretArray<kSha256BlockLen> block;
    for (std::size_t i = 0; i < kSha256BlockLen; ++i) {
      block.mutable_view()[i] = key_.view()[i] ^ pad;
    }
    hasher_.Update(block.view());
  }

  Sha256Hasher hasher_;
  SecretArray<kSha256BlockLen> key_;
};

// Extract, then expand. `out` is at most kHkdfMaxLen long, so the counter fits its byte.
void Hkdf(ByteView ikm, ByteView salt, ByteView info, std::span<std::byte> out) {
  // An empty salt means 32 zero bytes; HMAC pads its key with zeros, so both are one key.
  Hash256 pseudo_random_key = Hmac(salt).Update(ikm).Finish();
  Hmac expand(pseudo_random_key);
  Wipe(pseudo_random_key);
  Hash256 block{};
  std::size_t done = 0;
  for (unsigned counter = 1; done < out.size(); ++counter) {
    if (counter > 1) expand.Update(block);
    const std::byte last{static_cast<unsigned char>(counter)};
    block = expand.Update(info).Update({&last, 1}).Finish();
    const std::size_t take = std::min(out.size() - done, block.size());
    std::memcpy(out.data() + done, block.data(), take);
    done += take;
  }
  Wipe(block);
}

}  // namespace

Hash256 HmacSha256(ByteView key, ByteView message) { return Hmac(key).Update(message).Finish(); }

Result<SecretBytes> HkdfSha256(ByteView ikm, ByteView salt, ByteView info, std::size_t len) {
  if (len == 0 || len > kHkdfMaxLen) {
    return Error(ErrorCode::kInvalidArgument, "derived key length out of range");
  }
  SecretBytes out(len);
  Hkdf(ikm, salt, info, out.mutable_view());
  return out;
}

SecretArray<32> HkdfKey(ByteView ikm, ByteView salt, ByteView info) {
  SecretArray<32> out;
  Hkdf(ikm, salt, info, out.mutable_view());
  return out;
}

}  // namespace demur::crypto
