#include "demur/crypto/aes_ctr.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "crypto_test_util.h"
#include "demur/crypto/aead.h"
#include "result_matchers.h"

namespace demur::crypto {
namespace {

using testing::FilledKey;
using testing::HexKey;

Bytes StreamOf(const SecretArray<32>& key, std::uint64_t first, std::size_t len) {
  AesCtr ctr(key);
  Bytes out(len, std::byte{0xee});
  EXPECT_OK(ctr.Keystream(first, out));
  return out;
}

// FIPS 197: block 0 is AES-256 of the zero block.
TEST(AesCtrTest, BlockZeroIsTheCipherOfZero) {
  EXPECT_EQ(ToHex(StreamOf(FilledKey(0), 0, 16)), "dc95c078a2408989ad48a21492842087");
}
// FIPS 197, appendix C.3, names AES-256 of 00112233...; SP 800-38A, F.5.5, starts its counter high.
// A second anchor inside the counter range: GCM with a zero key and nonce encrypts under block 2.
TEST(AesCtrTest, ALaterBlockAgreesWithGcm) {
  const AeadNonce nonce{};
  const Bytes zeros(16);
  ASSERT_OK_AND_ASSIGN(const Bytes sealed, Seal(FilledKey(0), nonce, {}, zeros));
  EXPECT_EQ(StreamOf(FilledKey(0), 2, 16), ToBytes(ByteView(sealed).first(16)));
}
TEST(AesCtrTest, SeekingGivesTheBytesOfAFullRead) {
  const SecretArray<32> key = FilledKey(0x5a);
  const Bytes whole = StreamOf(key, 0, 16 * 40);
  AesCtr ctr(key);
  for (const std::size_t first : {39U, 0U, 7U, 8U, 1U, 20U, 20U}) {
    for (const std::size_t len : {0U, 1U, 15U, 16U, 17U}) {
      if (16 * first + len > whole.size()) continue;
      Bytes part(len, std::byte{0xee});
      ASSERT_OK(ctr.Keystream(first, part));
      EXPECT_TRUE(std::equal(part.begin(), part.end(),
                             whole.begin() + static_cast<std::ptrdiff_t>(16 * first)))
          << first << " " << len;
    }
  }
}
TEST(AesCtrTest, GoingOnNeedsNoSeekAndGivesTheSame) {
  const SecretArray<32> key = FilledKey(0x21);
  const Bytes whole = StreamOf(key, 5, 160);
  AesCtr ctr(key);
  Bytes pieces(160);
  const std::span<std::byte> out(pieces);
  ASSERT_OK(ctr.Keystream(5, out.subspan(0, 32)));
  ASSERT_OK(ctr.Keystream(7, out.subspan(32, 64)));
  ASSERT_OK(ctr.Keystream(11, out.subspan(96, 64)));
  EXPECT_EQ(pieces, whole);
}
TEST(AesCtrTest, TheCounterCarriesAcrossBytes) {
  const SecretArray<32> key = FilledKey(0x77);
  for (const std::uint64_t edge :
       {std::uint64_t{255}, std::uint64_t{65535}, std::uint64_t{0xFFFFFFFF}, std::uint64_t{1} << 40,
        ~std::uint64_t{0} - 1}) {
    const Bytes both = StreamOf(key, edge, 32);
    const Bytes second = StreamOf(key, edge + 1, 16);
    EXPECT_TRUE(std::equal(second.begin(), second.end(), both.begin() + 16)) << edge;
  }
}
TEST(AesCtrTest, BlocksAreTheBlocksOfTheStream) {
  const SecretArray<32> key = FilledKey(0x0f);
  const std::vector<std::uint64_t> indices = {3,  0, 3, 1ULL << 33,        255, 256, 0xFFFFFFFF,
                                              17, 1, 2, 0xFFFFFFFFFFFFFFFF};
  AesCtr ctr(key);
  Bytes out(16 * indices.size());
  ASSERT_OK(ctr.Blocks(indices, out));
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const Bytes block = StreamOf(key, indices[i], 16);
    EXPECT_TRUE(
        std::equal(block.begin(), block.end(), out.begin() + static_cast<std::ptrdiff_t>(16 * i)))
        << indices[i];
  }
  EXPECT_OK(ctr.Blocks({}, {}));
}
TEST(AesCtrTest, ReadingBlocksDoesNotMoveTheStream) {
  const SecretArray<32> key = FilledKey(0x0f);
  const Bytes whole = StreamOf(key, 0, 64);
  AesCtr ctr(key);
  Bytes pieces(64);
  Bytes aside(16);
  const std::vector<std::uint64_t> index = {9};
  ASSERT_OK(ctr.Keystream(0, std::span(pieces).first(32)));
  ASSERT_OK(ctr.Blocks(index, aside));
  ASSERT_OK(ctr.Keystream(2, std::span(pieces).subspan(32)));
  EXPECT_EQ(pieces, whole);
}
TEST(AesCtrTest, KeysDiffer) {
  EXPECT_NE(StreamOf(FilledKey(1), 0, 16), StreamOf(FilledKey(2), 0, 16));
}

TEST(CtrStreamTest, HowReadsAreCutDoesNotMatter) {
  const SecretArray<32> key = FilledKey(0x31);
  const Bytes whole = StreamOf(key, 0, 4000);
  const std::vector<std::vector<std::size_t>> cuts = {
      {4000}, {1, 3999}, {255, 1, 3744}, {256, 256, 3488}, {10, 300, 700, 5, 2985}, {3999, 1}};
  for (const auto& lengths : cuts) {
    const auto stream = MakeCtrStream(key);
    Bytes out;
    for (const std::size_t len : lengths) {
      Bytes piece(len);
      ASSERT_OK(stream->Fill(piece));
      out.insert(out.end(), piece.begin(), piece.end());
    }
    EXPECT_EQ(out, whole) << lengths.size();
  }
  const auto stream = MakeCtrStream(key);
  Bytes bytewise(4000);
  for (std::byte& byte : bytewise) ASSERT_OK(stream->Fill({&byte, 1}));
  EXPECT_EQ(bytewise, whole);
}
TEST(CtrBlocksTest, ReadsTheSameStream) {
  const SecretArray<32> key = FilledKey(0x31);
  const auto blocks = MakeCtrBlocks(key);
  const std::vector<std::uint64_t> indices = {5, 4};
  Bytes out(32);
  ASSERT_OK(blocks->Read(indices, out));
  const Bytes five = StreamOf(key, 5, 16);
  EXPECT_TRUE(std::equal(five.begin(), five.end(), out.begin()));
}

}  // namespace
}  // namespace demur::crypto
