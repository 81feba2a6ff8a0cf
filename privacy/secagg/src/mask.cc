#include "demur/secagg/mask.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>

#include "demur/crypto/aes_ctr.h"

namespace demur::secagg {
namespace {

static_assert(std::endian::native == std::endian::little, "mask words are read in place");
constexpr std::size_t kChunkWords = 2048;  // 8 KiB: stays in the first-level cache
constexpr std::size_t kBlocksPerChunk = kChunkWords * sizeof(std::uint32_t) / crypto::kCtrBlockLen;

}  // namespace

Status ApplyMask(const SecretArray<32>& key, MaskSign sign, std::span<std::uint32_t> values) {
  crypto::AesCtr stream(key);
  std::array<std::uint32_t, kChunkWords> words{};
  const std::uint32_t flip = sign == MaskSign::kSubtract ? ~std::uint32_t{0} : 0;  // -x = ~x + 1
  const std::uint32_t carry = sign == MaskSign::kSubtract ? 1 : 0;
  Status status;
  for (std::size_t first = 0, block = 0; first < values.size() && status.has_value();
       first += kChunkWords, block += kBlocksPerChunk) {
    const auto chunk = values.subspan(first, std::min(kChunkWords, values.size() - first));
    status =
        stream.Keystream(block, std::as_writable_bytes(std::span(words)).first(chunk.size_bytes()));
    for (std::size_t i = 0; i < chunk.size(); ++i) chunk[i] += (words[i] ^ flip) + carry;
  }
  Wipe(std::as_writable_bytes(std::span(words)));
  return status;
}

}  // namespace demur::secagg
