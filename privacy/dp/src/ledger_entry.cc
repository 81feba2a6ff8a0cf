#include <algorithm>

#include "demur/crypto/hash.h"
#include "demur/dp/ledger.h"

// Canonical bytes of ledger entries: what is hashed, stored and parsed.
namespace demur::dp {
namespace {

constexpr std::uint8_t kEntryVersion = 1;
constexpr std::string_view kEntryLabel = "demur ledger entry v1";

void WriteBody(const LedgerEntry& entry, ByteWriter* writer) {
  writer->U8(kEntryVersion)
      .U64(entry.seq)
      .U8(static_cast<std::uint8_t>(entry.kind))
      .Raw(entry.task.bytes)
      .U64(entry.key.round.Packed())
      .U32(entry.key.attempt)
      .Raw(entry.manifest)
      .U8(entry.charge ? 1 : 0);
  if (entry.charge) {
    writer->U64(entry.charge->l2_sq).U64(entry.charge->l1).U64(entry.charge->mu);
    writer->U16(kNumOrders);
    for (const std::uint64_t value : entry.curve.units) writer->U64(value);
  }
  writer->Raw(entry.previous);
}

template <std::size_t N>
Status ReadArray(ByteReader* reader, std::array<std::byte, N>* out) {
  DEMUR_TRY(const ByteView bytes, reader->Raw(N));
  std::copy(bytes.begin(), bytes.end(), out->begin());
  return {};
}

Error Broken(const char* what) { return Error(ErrorCode::kDataLoss, what); }

Status ReadCharge(ByteReader* reader, LedgerEntry* entry) {
  DEMUR_TRY(const std::uint8_t present, reader->U8());
  if (present > 1) return Broken("ledger entry: charge flag");
  if (present == 0) return {};
  SkellamCharge charge;
  DEMUR_TRY(charge.l2_sq, reader->U64());
  DEMUR_TRY(charge.l1, reader->U64());
  DEMUR_TRY(charge.mu, reader->U64());
  entry->charge = charge;
  DEMUR_TRY(const std::uint16_t orders, reader->U16());
  if (orders != kNumOrders) return Broken("ledger entry: number of orders");
  for (std::uint64_t& value : entry->curve.units) {
    DEMUR_TRY(value, reader->U64());
    if (value > kCurveUnitsMax) return Broken("ledger entry: curve");
  }
  return {};
}

}  // namespace

Bytes LedgerEntry::Encode() const {
  ByteWriter writer;
  WriteBody(*this, &writer);
  writer.Raw(hash);
  return std::move(writer).bytes();
}

Hash256 LedgerEntry::ComputeHash() const {
  ByteWriter writer;
  writer.Text(kEntryLabel);
  WriteBody(*this, &writer);
  return crypto::Sha256(writer.bytes());
}

Result<LedgerEntry> LedgerEntry::Parse(ByteView bytes) {
  ByteReader reader(bytes);
  LedgerEntry entry;
  DEMUR_TRY(const std::uint8_t version, reader.U8());
  if (version != kEntryVersion) return Broken("ledger entry: unknown version");
  DEMUR_TRY(entry.seq, reader.U64());
  DEMUR_TRY(const std::uint8_t kind, reader.U8());
  if (kind < static_cast<std::uint8_t>(EntryKind::kReserve) ||
      kind > static_cast<std::uint8_t>(EntryKind::kRelease)) {
    return Broken("ledger entry: unknown kind");
  }
  entry.kind = static_cast<EntryKind>(kind);
  DEMUR_RETURN_IF_ERROR(ReadArray(&reader, &entry.task.bytes));
  DEMUR_TRY(const std::uint64_t round, reader.U64());
  entry.key.round = RoundId::FromPacked(round);
  DEMUR_TRY(entry.key.attempt, reader.U32());
  DEMUR_RETURN_IF_ERROR(ReadArray(&reader, &entry.manifest));
  DEMUR_RETURN_IF_ERROR(ReadCharge(&reader, &entry));
  DEMUR_RETURN_IF_ERROR(ReadArray(&reader, &entry.previous));
  DEMUR_RETURN_IF_ERROR(ReadArray(&reader, &entry.hash));
  DEMUR_RETURN_IF_ERROR(reader.Finish());
  return entry;
}

}  // namespace demur::dp
