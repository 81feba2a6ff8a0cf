#include "demur/crypto/aes_ctr.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "demur/base/check.h"
#include "openssl.h"

namespace demur::crypto {
namespace {

using internal::CipherContext;
using internal::In;
using internal::LibraryFailure;
using internal::Out;

// One call to OpenSSL handles at most this much (it counts in int).
constexpr std::size_t kChunk = std::size_t{1} << 30;

// The counter block of `index`: a 128-bit big-endian integer whose upper half is 0.
void PutCounter(std::uint64_t index, std::byte* out) {
  std::memset(out, 0, 8);
  for (std::size_t i = 0; i < 8; ++i) {
    out[8 + i] = std::byte{static_cast<unsigned char>(index >> (56 - 8 * i))};
  }
}

// What the key stream is the encryption of, read instead of clearing the output first; with the
// output it fits the first-level cache.
constexpr std::array<std::byte, 8192> kZeros{};
static_assert(kZeros.size() % kCtrBlockLen == 0);

bool EncryptZeros(EVP_CIPHER_CTX* context, std::span<std::byte> out) {
  while (!out.empty()) {
    const std::size_t len = std::min(out.size(), kZeros.size());
    int written = 0;
    if (EVP_EncryptUpdate(context, Out(out.data()), &written, In(kZeros.data()),
                          static_cast<int>(len)) != 1 ||
        static_cast<std::size_t>(written) != len) {
      return false;
    }
    out = out.subspan(len);
  }
  return true;
}

bool EncryptInPlace(EVP_CIPHER_CTX* context, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t len = std::min(bytes.size(), kChunk);
    int written = 0;
    if (EVP_EncryptUpdate(context, Out(bytes.data()), &written, In(bytes.data()),
                          static_cast<int>(len)) != 1 ||
        static_cast<std::size_t>(written) != len) {
      return false;
    }
    bytes = bytes.subspan(len);
  }
  return true;
}

}  // namespace

// Each mode is set up at its first use: most objects serve one of the two.
struct AesCtr::Impl {
  explicit Impl(const SecretArray<32>& secret) : key(secret.Clone()) {}

  SecretArray<32> key;
  CipherContext ctr;
  CipherContext ecb;
  std::uint64_t next_block = 0;  // where `ctr` stands; only when `at_block`
  bool at_block = false;

  bool Seek(std::uint64_t first_block) {
    if (at_block && next_block == first_block) return true;
    std::array<std::byte, kCtrBlockLen> iv{};
    PutCounter(first_block, iv.data());
    if (ctr != nullptr) {
      return EVP_EncryptInit_ex2(ctr.get(), nullptr, nullptr, In(iv.data()), nullptr) == 1;
    }
    ctr.reset(EVP_CIPHER_CTX_new());
    return ctr != nullptr &&
           EVP_EncryptInit_ex2(ctr.get(), internal::Aes256Ctr(), In(key.view().data()),
                               In(iv.data()), nullptr) == 1;
  }
  bool StartEcb() {
    if (ecb != nullptr) return true;
    ecb.reset(EVP_CIPHER_CTX_new());
    return ecb != nullptr &&
           EVP_EncryptInit_ex2(ecb.get(), internal::Aes256Ecb(), In(key.view().data()), nullptr,
                               nullptr) == 1 &&
           EVP_CIPHER_CTX_set_padding(ecb.get(), 0) == 1;
  }
};

AesCtr::AesCtr(const SecretArray<32>& key) : impl_(std::make_unique<Impl>(key)) {}
AesCtr::AesCtr(AesCtr&&) noexcept = default;
AesCtr& AesCtr::operator=(AesCtr&&) noexcept = default;
AesCtr::~AesCtr() = default;

Status AesCtr::Keystream(std::uint64_t first_block, std::span<std::byte> out) {
  const bool ready = impl_->Seek(first_block);
  impl_->at_block = false;
  if (!ready || !EncryptZeros(impl_->ctr.get(), out)) {
    impl_->ctr.reset();
    return LibraryFailure();
  }
  impl_->at_block = out.size() % kCtrBlockLen == 0;
  impl_->next_block = first_block + out.size() / kCtrBlockLen;
  return {};
}

Status AesCtr::Blocks(std::span<const std::uint64_t> indices, std::span<std::byte> out) {
  DEMUR_CHECK(out.size() == kCtrBlockLen * indices.size(), "room for exactly the blocks asked for");
  for (std::size_t i = 0; i < indices.size(); ++i) {
    PutCounter(indices[i], out.data() + kCtrBlockLen * i);
  }
  if (!impl_->StartEcb() || !EncryptInPlace(impl_->ecb.get(), out)) {
    impl_->ecb.reset();
    return LibraryFailure();
  }
  return {};
}

namespace {

// Small reads come out of a buffer, whole blocks go straight to the caller.
class CtrStream final : public RandomStream {
 public:
  explicit CtrStream(const SecretArray<32>& key) : ctr_(key) {}

  Status Fill(std::span<std::byte> out) override {
    Take(&out);
    const std::size_t direct = out.size() / kCtrBlockLen * kCtrBlockLen;
    if (direct >= kBufferLen) {
      DEMUR_RETURN_IF_ERROR(ctr_.Keystream(next_block_, out.first(direct)));
      next_block_ += direct / kCtrBlockLen;
      out = out.subspan(direct);
    }
    while (!out.empty()) {
      DEMUR_RETURN_IF_ERROR(ctr_.Keystream(next_block_, buffer_.mutable_view()));
      next_block_ += kBufferLen / kCtrBlockLen;
      used_ = 0;
      Take(&out);
    }
    return {};
  }

 private:
  static constexpr std::size_t kBufferLen = 256;

  void Take(std::span<std::byte>* out) {
    const std::size_t len = std::min(out->size(), kBufferLen - used_);
    if (len == 0) return;
    const std::span<std::byte> taken = std::span(buffer_.mutable_view()).subspan(used_, len);
    std::memcpy(out->data(), taken.data(), len);
    Wipe(taken);  // what was given out is not kept
    used_ += len;
    *out = out->subspan(len);
  }

  AesCtr ctr_;
  SecretArray<kBufferLen> buffer_;
  std::size_t used_ = kBufferLen;
  std::uint64_t next_block_ = 0;
};

class CtrBlocks final : public RandomBlocks {
 public:
  explicit CtrBlocks(const SecretArray<32>& key) : ctr_(key) {}
  Status Read(std::span<const std::uint64_t> indices, std::span<std::byte> out) override {
    return ctr_.Blocks(indices, out);
  }

 private:
  AesCtr ctr_;
};

}  // namespace

std::unique_ptr<RandomStream> MakeCtrStream(const SecretArray<32>& key) {
  return std::make_unique<CtrStream>(key);
}
std::unique_ptr<RandomBlocks> MakeCtrBlocks(const SecretArray<32>& key) {
  return std::make_unique<CtrBlocks>(key);
}

}  // namespace demur::crypto
