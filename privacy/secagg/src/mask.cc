#include "demur/secagg/mask.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "demur/base/check.h"
#include "demur/crypto/aes_ctr.h"

namespace demur::secagg {
namespace {

static_assert(std::endian::native == std::endian::little, "mask words are read in place");
constexpr std::size_t kChunkWords = 2048;  // 8 KiB, and as much key stream: the first-level cache
constexpr std::size_t kWordsPerBlock = crypto::kCtrBlockLen / sizeof(std::uint32_t);
// Terms whose ciphers stand ready at once: enough that walking the vector costs nothing beside
// them, few enough that their key schedules stay in cache too.
constexpr std::size_t kBatch = 16;
constexpr std::size_t kStep = 16;  // words added at a time: a constant, so that they are a vector

// values[i] += words[i], or -=. The two do not overlap.
template <MaskSign kSign>
void Accumulate(const std::uint32_t* __restrict words, std::uint32_t* __restrict values,
                std::size_t count) noexcept {
  const auto with = [](std::uint32_t value, std::uint32_t word) {
    return kSign == MaskSign::kAdd ? value + word : value - word;
  };
  std::size_t i = 0;
  for (; i + kStep <= count; i += kStep) {
    for (std::size_t j = 0; j < kStep; ++j) values[i + j] = with(values[i + j], words[i + j]);
  }
  for (; i < count; ++i) values[i] = with(values[i], words[i]);
}

}  // namespace

Status ApplyMask(const SecretArray<32>& key, MaskSign sign, std::span<std::uint32_t> values) {
  const MaskTerm term{.key = &key, .sign = sign};
  return ApplyMasks({&term, 1}, values);
}

Status ApplyMasks(std::span<const MaskTerm> terms, std::span<std::uint32_t> values,
                  std::size_t first_coordinate) {
  DEMUR_CHECK(first_coordinate % kWordsPerBlock == 0, "masks start at a whole block");
  std::vector<crypto::AesCtr> streams;
  std::array<std::uint32_t, kChunkWords> words{};
  Status status;
  for (; !terms.empty() && status.has_value();
       terms = terms.subspan(std::min(kBatch, terms.size()))) {
    const auto batch = terms.first(std::min(kBatch, terms.size()));
    streams.clear();
    for (const MaskTerm& term : batch) streams.emplace_back(*term.key);
    for (std::size_t first = 0; first < values.size() && status.has_value(); first += kChunkWords) {
      const auto chunk = values.subspan(first, std::min(kChunkWords, values.size() - first));
      const auto stream_bytes = std::as_writable_bytes(std::span(words)).first(chunk.size_bytes());
      for (std::size_t i = 0; i < batch.size() && status.has_value(); ++i) {
        status = streams[i].Keystream((first_coordinate + first) / kWordsPerBlock, stream_bytes);
        if (batch[i].sign == MaskSign::kAdd) {
          Accumulate<MaskSign::kAdd>(words.data(), chunk.data(), chunk.size());
        } else {
          Accumulate<MaskSign::kSubtract>(words.data(), chunk.data(), chunk.size());
        }
      }
    }
  }
  Wipe(std::as_writable_bytes(std::span(words)));
  return status;
}

}  // namespace demur::secagg
