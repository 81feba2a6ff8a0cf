#include <gtest/gtest.h>

#include "demur/crypto/hash.h"
#include "demur/dp/ledger.h"
#include "result_matchers.h"

namespace demur::dp {
namespace {

LedgerEntry Entry(bool charged) {
  LedgerEntry entry;
  entry.seq = 0x0102030405060708;
  entry.kind = EntryKind::kReserve;
  entry.task.bytes.fill(std::byte{0xAA});
  entry.key = {RoundId{3, 9}, 2};
  entry.manifest.fill(std::byte{0xBB});
  if (charged) {
    entry.charge = SkellamCharge{1000, 900, 5000};
    entry.curve = CurveOf(*entry.charge).value();
  }
  entry.previous.fill(std::byte{0xCC});
  entry.hash = entry.ComputeHash();
  return entry;
}

TEST(LedgerEntryTest, ComesBackAsItWas) {
  for (const bool charged : {false, true}) {
    const LedgerEntry entry = Entry(charged);
    const Bytes bytes = entry.Encode();
    EXPECT_LE(bytes.size(), kMaxEntryBytes);
    ASSERT_OK_AND_ASSIGN(const LedgerEntry parsed, LedgerEntry::Parse(bytes));
    EXPECT_EQ(parsed, entry);
    EXPECT_EQ(parsed.Encode(), bytes);
  }
}

// The layout is on disk: version, sequence number, kind, task, round, attempt, ...
TEST(LedgerEntryTest, TheBytesAreTheDocumentedOnes) {
  const Bytes bytes = Entry(false).Encode();
  ASSERT_EQ(bytes.size(), 1U + 8 + 1 + 16 + 8 + 4 + 32 + 1 + 32 + 32);
  EXPECT_EQ(ToHex(ByteView(bytes).first(10)), "01010203040506070801");
  EXPECT_EQ(ToHex(ByteView(bytes).subspan(26, 12)), "000000030000000900000002");
  EXPECT_EQ(bytes[70], std::byte{0});  // no charge
  Bytes hashed = ToBytes(AsBytes("demur ledger entry v1"));
  hashed.insert(hashed.end(), bytes.begin(), bytes.end() - 32);
  EXPECT_EQ(Entry(false).hash, crypto::Sha256(hashed));
}

TEST(LedgerEntryTest, EveryFieldIsUnderTheHash) {
  const Hash256 hash = Entry(true).ComputeHash();
  const auto changed = [&](auto change) {
    LedgerEntry entry = Entry(true);
    change(entry);
    return entry.ComputeHash() != hash;
  };
  EXPECT_TRUE(changed([](auto& e) { ++e.seq; }));
  EXPECT_TRUE(changed([](auto& e) { e.kind = EntryKind::kBurn; }));
  EXPECT_TRUE(changed([](auto& e) { e.task.bytes[15] = {}; }));
  EXPECT_TRUE(changed([](auto& e) { ++e.key.round.counter; }));
  EXPECT_TRUE(changed([](auto& e) { ++e.key.attempt; }));
  EXPECT_TRUE(changed([](auto& e) { e.manifest[0] = {}; }));
  EXPECT_TRUE(changed([](auto& e) { ++e.charge->mu; }));
  EXPECT_TRUE(changed([](auto& e) { --e.curve.units[kNumOrders - 1]; }));
  EXPECT_TRUE(changed([](auto& e) { e.charge.reset(); }));
  EXPECT_TRUE(changed([](auto& e) { e.previous[31] = {}; }));
}

TEST(LedgerEntryTest, MalformedBytesAreDataLoss) {
  for (const bool charged : {false, true}) {
    const Bytes bytes = Entry(charged).Encode();
    for (std::size_t len = 0; len < bytes.size(); ++len) {
      EXPECT_ERROR(LedgerEntry::Parse(ByteView(bytes).first(len)), ErrorCode::kDataLoss);
    }
    Bytes longer = bytes;
    longer.push_back(std::byte{0});
    EXPECT_ERROR(LedgerEntry::Parse(longer), ErrorCode::kDataLoss);
  }
  const auto broken = [](std::size_t at, unsigned value) {
    Bytes bytes = Entry(true).Encode();
    bytes[at] = std::byte{static_cast<unsigned char>(value)};
    return demur::testing::HasError(LedgerEntry::Parse(bytes), ErrorCode::kDataLoss);
  };
  EXPECT_TRUE(broken(0, 2));               // version
  EXPECT_TRUE(broken(9, 0));               // kind
  EXPECT_TRUE(broken(9, 6));               // kind
  EXPECT_TRUE(broken(70, 2));              // charge flag
  EXPECT_TRUE(broken(71 + 24 + 1, 75));    // number of orders
  EXPECT_TRUE(broken(71 + 24 + 2, 0x7F));  // a curve beyond 2^62
}

}  // namespace
}  // namespace demur::dp
