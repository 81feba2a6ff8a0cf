#include "demur/seeded/seeded_random.h"

#include <array>
#include <cstring>

#include "demur/base/secret.h"
#include "demur/crypto/aes_ctr.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/labels.h"

namespace demur::seeded {
namespace {

enum class Form : std::uint8_t { kStream = 0, kBlocks = 1 };

// Fixed room instead of ByteWriter: a stream per device and purpose makes this a hot path, and 52
// bytes are one compression of SHA-256.
class KeyText {
 public:
  KeyText() {
    std::memcpy(text_.data(), crypto::label::kSeeded.data(), crypto::label::kSeeded.size());
    used_ = crypto::label::kSeeded.size();
  }
  KeyText& Put(std::uint64_t value, std::size_t width) {
    for (std::size_t i = width; i-- > 0;) {
      text_[used_++] = std::byte{static_cast<unsigned char>(value >> (8 * i))};
    }
    return *this;
  }
  ByteView view() const noexcept { return ByteView(text_).first(used_); }

 private:
  std::array<std::byte, 64> text_{};
  std::size_t used_ = 0;
};

SecretArray<32> KeyOf(std::uint64_t seed, const StreamId& id, Form form) {
  KeyText text;
  text.Put(seed, 8).Put(id.task, 8).Put(id.round, 8).Put(id.attempt, 4).Put(id.client, 8);
  text.Put(static_cast<std::uint8_t>(id.purpose), 1).Put(static_cast<std::uint8_t>(form), 1);
  const Hash256 digest = crypto::Sha256(text.view());
  SecretArray<32> key;
  std::memcpy(key.mutable_view().data(), digest.data(), digest.size());
  return key;
}

}  // namespace

Result<std::unique_ptr<RandomStream>> SeededRandom::Stream(const StreamId& id) {
  return crypto::MakeCtrStream(KeyOf(seed_, id, Form::kStream));
}
Result<std::unique_ptr<RandomBlocks>> SeededRandom::Blocks(const StreamId& id) {
  return crypto::MakeCtrBlocks(KeyOf(seed_, id, Form::kBlocks));
}

}  // namespace demur::seeded
