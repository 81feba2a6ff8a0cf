#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"

// AES-256-CTR with IV 0 as a stream of 16-byte blocks: block i is AES(key, i as a big-endian
// 128-bit integer). Mask expansion and every RandomStream/RandomBlocks of demur read it.
namespace demur::crypto {

inline constexpr std::size_t kCtrBlockLen = 16;

// Not thread-safe per object. One object serves any number of calls: the key schedule is made once
// for sequential and once for scattered reads.
class AesCtr {
 public:
  explicit AesCtr(const SecretArray<32>& key);
  AesCtr(AesCtr&&) noexcept;
  AesCtr& operator=(AesCtr&&) noexcept;
  ~AesCtr();

  // Writes the stream from block `first_block` on; out may end inside a block. Going on where the
  // last call ended (at a whole block) costs no seek. kInternal: the library failed; what is in
  // `out` must not be used.
  Status Keystream(std::uint64_t first_block, std::span<std::byte> out);

  // Writes block indices[i] to out[16 i, 16 i + 16), the bytes Keystream gives there.
  // out.size() == 16 * indices.size(). kInternal as above.
  Status Blocks(std::span<const std::uint64_t> indices, std::span<std::byte> out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The two forms of base/random.h over an AesCtr under `key`: a stream reads blocks 0, 1, 2, ...;
// how the reads are cut does not change the bytes.
std::unique_ptr<RandomStream> MakeCtrStream(const SecretArray<32>& key);
std::unique_ptr<RandomBlocks> MakeCtrBlocks(const SecretArray<32>& key);

}  // namespace demur::crypto
