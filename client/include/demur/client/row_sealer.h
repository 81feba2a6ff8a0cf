#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/client/key_provider.h"
#include "demur/crypto/aead.h"

// The cryptography of a device's store: one row, the set of all rows, the counter beside the key.
// No disk, no randomness. Safe from several threads when const.
namespace demur::client {

enum class StoreTable : std::uint8_t {  // never renumber: sealed into every row
  kHead = 1,
  kEvent = 2,
  kState = 3,
  kTask = 4,
  kIdentity = 5,
};
inline constexpr std::size_t kNumStoreTables = 5;
inline constexpr std::uint32_t kStoreSchema = 1;  // layout of the plaintexts; sealed into every row

class RowSealer {
 public:
  // Keys are HKDF-SHA256(root, salt = store id, "demur/store-key/1"): 32 bytes for rows, 32 for
  // the set hash and the counter. kInternal: the library failed.
  static Result<RowSealer> Create(const StoreKey& key);

  // AES-256-GCM; table, rowid, schema version and store id are authenticated, so a row opens in
  // its own place only. A nonce is drawn fresh for every write.
  Result<Bytes> Seal(StoreTable table, std::int64_t rowid, const crypto::AeadNonce& nonce,
                     ByteView plaintext) const;
  // kDataLoss: not sealed for this place, or changed.
  Result<SecretBytes> Open(StoreTable table, std::int64_t rowid, ByteView nonce,
                           ByteView sealed) const;

  // Adds a row to the set hash, or takes it out: HMAC over table, rowid, nonce and tag, joined by
  // exclusive or. Rowids make the rows distinct and nobody without the key sees a term, which is
  // what this construction needs. kDataLoss: `sealed` is shorter than a tag.
  Status Toggle(StoreTable table, std::int64_t rowid, ByteView nonce, ByteView sealed,
                Hash256* set) const;

  // Proves that the owner of the key wrote this count.
  Hash256 CounterTag(std::uint64_t generation) const;

 private:
  RowSealer() = default;
  Bytes Aad(StoreTable table, std::int64_t rowid) const;

  SecretArray<32> row_key_;
  SecretArray<32> set_key_;
  std::array<std::byte, 16> store_{};
};

}  // namespace demur::client
