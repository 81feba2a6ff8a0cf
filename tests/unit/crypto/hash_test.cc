#include "demur/crypto/hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "crypto_test_util.h"
#include "demur/base/file.h"
#include "demur/crypto/labels.h"
#include "result_matchers.h"

namespace demur::crypto {
namespace {

using testing::Hex;
using testing::Repeat;

TEST(Sha256Test, MatchesFips180Examples) {
  EXPECT_EQ(ToHex(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(ToHex(Sha256(AsBytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
TEST(Sha256Test, HowTheMessageIsCutDoesNotMatter) {
  const Bytes message = Repeat('a', 200);
  const Hash256 whole = Sha256(message);
  for (const std::size_t cut : {0U, 1U, 55U, 63U, 64U, 65U, 128U, 199U, 200U}) {
    Sha256Hasher hasher;
    hasher.Update(ByteView(message).first(cut)).Update(ByteView(message).subspan(cut));
    EXPECT_EQ(hasher.Finish(), whole) << cut;
  }
}
TEST(Sha256Test, FinishStartsOver) {
  Sha256Hasher hasher;
  hasher.Update(AsBytes("something else")).Finish();
  EXPECT_EQ(hasher.Update(AsBytes("abc")).Finish(), Sha256(AsBytes("abc")));
  Sha256Hasher moved = std::move(hasher);
  EXPECT_EQ(moved.Finish(), Sha256({}));
}

// RFC 4231, cases 1, 2 and 6 (a key longer than a block).
TEST(HmacSha256Test, MatchesRfc4231) {
  EXPECT_EQ(ToHex(HmacSha256(Repeat(0x0b, 20), AsBytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(ToHex(HmacSha256(AsBytes("Jefe"), AsBytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(ToHex(HmacSha256(Repeat(0xaa, 131),
                             AsBytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}
TEST(HmacSha256Test, KeysAroundTheBlockLengthDiffer) {
  std::set<std::string> tags;
  for (const std::size_t len : {1U, 63U, 64U, 65U}) {
    tags.insert(ToHex(HmacSha256(Repeat(0x01, len), AsBytes("message"))));
  }
  EXPECT_EQ(tags.size(), 4U);
}

// RFC 5869, appendix A.1 and A.3 (no salt, no info).
TEST(HkdfSha256Test, MatchesRfc5869) {
  const Bytes ikm = Repeat(0x0b, 22);
  ASSERT_OK_AND_ASSIGN(const SecretBytes a1, HkdfSha256(ikm, Hex("000102030405060708090a0b0c"),
                                                        Hex("f0f1f2f3f4f5f6f7f8f9"), 42));
  EXPECT_EQ(ToHex(a1.view()),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  ASSERT_OK_AND_ASSIGN(const SecretBytes a3, HkdfSha256(ikm, {}, {}, 42));
  EXPECT_EQ(ToHex(a3.view()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}
TEST(HkdfSha256Test, TheLengthIsBounded) {
  EXPECT_ERROR(HkdfSha256(AsBytes("k"), {}, {}, 0), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(HkdfSha256(AsBytes("k"), {}, {}, kHkdfMaxLen + 1), ErrorCode::kInvalidArgument);
  ASSERT_OK_AND_ASSIGN(const SecretBytes longest, HkdfSha256(AsBytes("k"), {}, {}, kHkdfMaxLen));
  EXPECT_EQ(longest.size(), kHkdfMaxLen);
}
TEST(HkdfSha256Test, AShorterOutputIsAPrefixAndHkdfKeyIsTheFirst32Bytes) {
  ASSERT_OK_AND_ASSIGN(const SecretBytes out,
                       HkdfSha256(AsBytes("ikm"), AsBytes("salt"), AsBytes("info"), 100));
  const SecretArray<32> key = HkdfKey(AsBytes("ikm"), AsBytes("salt"), AsBytes("info"));
  EXPECT_TRUE(ConstantTimeEqual(key.view(), out.view().first(32)));
}
TEST(HkdfSha256Test, EveryInputMatters) {
  const SecretArray<32> base = HkdfKey(AsBytes("ikm"), AsBytes("salt"), AsBytes("info"));
  EXPECT_FALSE(ConstantTimeEqual(base.view(),
                                 HkdfKey(AsBytes("ikn"), AsBytes("salt"), AsBytes("info")).view()));
  EXPECT_FALSE(ConstantTimeEqual(base.view(),
                                 HkdfKey(AsBytes("ikm"), AsBytes("salu"), AsBytes("info")).view()));
  EXPECT_FALSE(ConstantTimeEqual(base.view(),
                                 HkdfKey(AsBytes("ikm"), AsBytes("salt"), AsBytes("infp")).view()));
}

// Every text of labels.h, as the source has them: a new one cannot be left out here.
std::vector<std::string> Labels() {
  const auto source = ReadTextFile(DEMUR_LABELS, 100'000);
  EXPECT_OK(source);
  std::vector<std::string> out;
  std::size_t constants = 0;
  for (std::size_t at = 0; (at = source->find("constexpr", at)) != std::string::npos;) {
    const std::size_t begin = source->find('"', at) + 1;
    const std::size_t end = source->find('"', begin);
    out.push_back(source->substr(begin, end - begin));
    at = end;
    ++constants;
  }
  EXPECT_EQ(out.size(), constants);
  return out;
}

TEST(LabelTest, NoTwoPurposesShareALabel) {
  const std::vector<std::string> all = Labels();
  EXPECT_GE(all.size(), 21U);
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), all.size());
  EXPECT_NE(std::find(all.begin(), all.end(), label::kSecAggShareHash), all.end());
}
// Operator files sign a label, a zero byte and a body: where a label ends must be plain.
TEST(LabelTest, NoneIsEmptyOrHoldsAZeroByte) {
  for (const std::string& label : Labels()) {
    EXPECT_FALSE(label.empty());
    EXPECT_TRUE(std::all_of(label.begin(), label.end(), [](char c) { return c > ' ' && c <= '~'; }))
        << label;
  }
}

}  // namespace
}  // namespace demur::crypto
