#include "demur/client/row_sealer.h"

#include <algorithm>
#include <utility>

#include "demur/crypto/hash.h"
#include "demur/crypto/labels.h"

namespace demur::client {
namespace {

Error Damaged() { return Error(ErrorCode::kDataLoss, "device store: a row does not authenticate"); }

}  // namespace

Result<RowSealer> RowSealer::Create(const StoreKey& key) {
  DEMUR_TRY(const SecretBytes both,
            crypto::HkdfSha256(key.root.view(), key.store, AsBytes(crypto::label::kStoreKey), 64));
  RowSealer out;
  std::copy_n(both.view().begin(), 32, out.row_key_.mutable_view().begin());
  std::copy_n(both.view().begin() + 32, 32, out.set_key_.mutable_view().begin());
  out.store_ = key.store;
  return out;
}

Bytes RowSealer::Aad(StoreTable table, std::int64_t rowid) const {
  ByteWriter aad;
  aad.Text(crypto::label::kStoreRow);
  aad.U8(static_cast<std::uint8_t>(table));
  aad.U64(static_cast<std::uint64_t>(rowid));
  aad.U32(kStoreSchema);
  aad.Raw(store_);
  return std::move(aad).bytes();
}

Result<Bytes> RowSealer::Seal(StoreTable table, std::int64_t rowid, const crypto::AeadNonce& nonce,
                              ByteView plaintext) const {
  return crypto::Seal(row_key_, nonce, Aad(table, rowid), plaintext);
}

Result<SecretBytes> RowSealer::Open(StoreTable table, std::int64_t rowid, ByteView nonce,
                                    ByteView sealed) const {
  crypto::AeadNonce fixed{};
  if (nonce.size() != fixed.size()) return Damaged();
  std::copy(nonce.begin(), nonce.end(), fixed.begin());
  auto plain = crypto::Open(row_key_, fixed, Aad(table, rowid), sealed);
  if (!plain) return Damaged();
  return plain;
}

Status RowSealer::Toggle(StoreTable table, std::int64_t rowid, ByteView nonce, ByteView sealed,
                         Hash256* set) const {
  if (sealed.size() < crypto::kAeadTagLen) return Damaged();
  ByteWriter row;
  row.Text("row").U8(static_cast<std::uint8_t>(table)).U64(static_cast<std::uint64_t>(rowid));
  row.Sized(nonce).Raw(sealed.last(crypto::kAeadTagLen));
  const Hash256 term = crypto::HmacSha256(set_key_.view(), row.bytes());
  for (std::size_t i = 0; i < term.size(); ++i) (*set)[i] ^= term[i];
  return {};
}

Hash256 RowSealer::CounterTag(std::uint64_t generation) const {
  ByteWriter counter;
  counter.Text("counter").U64(generation);
  return crypto::HmacSha256(set_key_.view(), counter.bytes());
}

}  // namespace demur::client
