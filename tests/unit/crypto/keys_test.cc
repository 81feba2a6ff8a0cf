#include "demur/crypto/keys.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "crypto_test_util.h"
#include "result_matchers.h"

namespace demur::crypto {
namespace {

using testing::FilledKey;
using testing::Hex;
using testing::HexArray;
using testing::HexKey;

// RFC 7748, section 5.2, first vector.
TEST(X25519Test, MatchesRfc7748) {
  ASSERT_OK_AND_ASSIGN(
      const SecretArray<32> shared,
      X25519(HexKey("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
             HexArray<32>("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")));
  EXPECT_EQ(ToHex(shared.view()),
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
}
// RFC 7748, section 5.2, one iteration: the base point under itself as scalar.
TEST(X25519Test, ThePublicKeyIsTheScalarTimesTheBasePoint) {
  PublicKey base{};
  base[0] = std::byte{9};
  SecretArray<32> nine;
  nine.mutable_view()[0] = std::byte{9};
  ASSERT_OK_AND_ASSIGN(const X25519KeyPair pair, X25519FromSeed(nine));
  EXPECT_EQ(ToHex(pair.public_key),
            "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
  ASSERT_OK_AND_ASSIGN(const SecretArray<32> shared, X25519(nine, base));
  EXPECT_TRUE(ConstantTimeEqual(shared.view(), pair.public_key));
  EXPECT_TRUE(ConstantTimeEqual(pair.private_key.view(), nine.view()));
}
TEST(X25519Test, BothSidesAgree) {
  ASSERT_OK_AND_ASSIGN(const X25519KeyPair a, X25519FromSeed(FilledKey(0x11)));
  ASSERT_OK_AND_ASSIGN(const X25519KeyPair b, X25519FromSeed(FilledKey(0x22)));
  ASSERT_OK_AND_ASSIGN(const SecretArray<32> ab, X25519(a.private_key, b.public_key));
  ASSERT_OK_AND_ASSIGN(const SecretArray<32> ba, X25519(b.private_key, a.public_key));
  EXPECT_TRUE(ConstantTimeEqual(ab.view(), ba.view()));
  EXPECT_OK(CheckX25519PublicKey(a.public_key));
  EXPECT_OK(CheckX25519PublicKey(b.public_key));
}

// RFC 7748, section 5: three low bits and the top bit of a scalar are cleared, bit 254 is set.
TEST(X25519Test, BitsThatClampingOverwritesDoNotMatter) {
  ASSERT_OK_AND_ASSIGN(const X25519KeyPair base, X25519FromSeed(FilledKey(0x57)));
  for (std::size_t bit = 0; bit < 256; ++bit) {
    SecretArray<32> seed = FilledKey(0x57);
    seed.mutable_view()[bit / 8] ^= std::byte(1U << (bit % 8));
    ASSERT_OK_AND_ASSIGN(const X25519KeyPair other, X25519FromSeed(seed));
    const bool overwritten = bit < 3 || bit >= 254;
    EXPECT_EQ(other.public_key == base.public_key, overwritten) << bit;
  }
}
TEST(X25519Test, OneAgreementServesManyPeersAndSurvivesARefusedOne) {
  ASSERT_OK_AND_ASSIGN(X25519Agreement first, X25519Agreement::Create(FilledKey(0x21)));
  X25519Agreement agreement = std::move(first);
  for (unsigned char peer = 1; peer < 20; ++peer) {
    ASSERT_OK_AND_ASSIGN(const X25519KeyPair pair, X25519FromSeed(FilledKey(peer)));
    EXPECT_ERROR(agreement.With(PublicKey{}), ErrorCode::kInvalidArgument);
    ASSERT_OK_AND_ASSIGN(const SecretArray<32> kept, agreement.With(pair.public_key));
    ASSERT_OK_AND_ASSIGN(const SecretArray<32> fresh, X25519(FilledKey(0x21), pair.public_key));
    EXPECT_TRUE(ConstantTimeEqual(kept.view(), fresh.view())) << int{peer};
  }
}
// All 19 numbers from the prime to 2^255 - 1 are second spellings; the 17 above p + 1 of points
// that are good. Below the prime only the five of small order are refused.
TEST(X25519Test, CanonicalEndsAtThePrime) {
  for (unsigned low = 0xd8; low <= 0xff; ++low) {
    PublicKey key;
    key.fill(std::byte{0xff});
    key[0] = std::byte(low);
    key[31] = std::byte{0x7f};
    const bool good = low < 0xec;  // 0xec is -1, of order 4; 0xed the prime
    EXPECT_EQ(CheckX25519PublicKey(key).has_value(), good) << low;
    key[31] = std::byte{0xff};
    EXPECT_ERROR(CheckX25519PublicKey(key), ErrorCode::kInvalidArgument) << low;
  }
}

// Points of order 1, 2, 4 and 8, canonical: any scalar makes the all-zero secret of them.
std::vector<PublicKey> LowOrderPoints() {
  return {
      HexArray<32>("0000000000000000000000000000000000000000000000000000000000000000"),
      HexArray<32>("0100000000000000000000000000000000000000000000000000000000000000"),
      HexArray<32>("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
      HexArray<32>("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
      HexArray<32>("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
  };
}
// The same points written as p and p + 1, which is not canonical.
std::vector<PublicKey> LowOrderPointsNotCanonical() {
  return {
      HexArray<32>("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
      HexArray<32>("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
  };
}

TEST(X25519Test, AnAllZeroSecretIsRefused) {
  for (const PublicKey& point : LowOrderPoints()) {
    EXPECT_ERROR(X25519(FilledKey(0x42), point), ErrorCode::kInvalidArgument) << ToHex(point);
  }
  for (const PublicKey& point : LowOrderPointsNotCanonical()) {
    EXPECT_ERROR(X25519(FilledKey(0x42), point), ErrorCode::kInvalidArgument) << ToHex(point);
  }
}
TEST(X25519Test, ALowOrderKeyIsRefusedOnReceipt) {
  for (const PublicKey& point : LowOrderPoints()) {
    EXPECT_ERROR(CheckX25519PublicKey(point), ErrorCode::kInvalidArgument) << ToHex(point);
  }
}
TEST(X25519Test, AKeyThatIsNotCanonicalIsRefusedOnReceipt) {
  for (const PublicKey& point : LowOrderPointsNotCanonical()) {
    EXPECT_ERROR(CheckX25519PublicKey(point), ErrorCode::kInvalidArgument) << ToHex(point);
  }
  // An ordinary key with the top bit set: X25519 ignores that bit, so it would be a second name.
  ASSERT_OK_AND_ASSIGN(const X25519KeyPair pair, X25519FromSeed(FilledKey(0x11)));
  PublicKey twin = pair.public_key;
  twin[31] |= std::byte{0x80};
  EXPECT_ERROR(CheckX25519PublicKey(twin), ErrorCode::kInvalidArgument);
  ASSERT_OK_AND_ASSIGN(const SecretArray<32> one, X25519(FilledKey(0x33), pair.public_key));
  ASSERT_OK_AND_ASSIGN(const SecretArray<32> two, X25519(FilledKey(0x33), twin));
  EXPECT_TRUE(ConstantTimeEqual(one.view(), two.view()));
  // p + 18 = 2^255 - 1 is u = 18, of large order, but written badly.
  EXPECT_ERROR(CheckX25519PublicKey(HexArray<32>(
                   "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")),
               ErrorCode::kInvalidArgument);
}
TEST(X25519Test, NeighboursOfTheRefusedKeysAreAccepted) {
  PublicKey two{};
  two[0] = std::byte{2};
  EXPECT_OK(CheckX25519PublicKey(two));
  EXPECT_OK(CheckX25519PublicKey(
      HexArray<32>("ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")));
}

struct Ed25519Vector {
  const char* seed;
  const char* public_key;
  const char* message;
  const char* signature;
};
// RFC 8032, section 7.1: "TEST 1", "TEST 2", "TEST 3" and "TEST SHA(abc)".
constexpr std::array<Ed25519Vector, 4> kRfc8032 = {{
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
    {"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
     "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
     "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"},
}};

TEST(Ed25519Test, MatchesRfc8032) {
  for (const Ed25519Vector& vector : kRfc8032) {
    ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair key, Ed25519FromSeed(HexKey(vector.seed)));
    EXPECT_EQ(ToHex(key.public_key), vector.public_key);
    ASSERT_OK_AND_ASSIGN(const Signature signature, Sign(key, Hex(vector.message)));
    EXPECT_EQ(ToHex(signature), vector.signature);
    EXPECT_TRUE(Verify(key.public_key, Hex(vector.message), signature));
  }
}
TEST(Ed25519Test, EveryChangedBitIsSeen) {
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair key, Ed25519FromSeed(FilledKey(0x07)));
  const Bytes message = testing::Repeat(0x5a, 40);
  ASSERT_OK_AND_ASSIGN(const Signature good, Sign(key, message));
  for (std::size_t i = 0; i < good.size(); ++i) {
    Signature bad = good;
    bad[i] ^= std::byte{0x01};
    EXPECT_FALSE(Verify(key.public_key, message, bad)) << i;
  }
  for (std::size_t i = 0; i < message.size(); ++i) {
    Bytes changed = message;
    changed[i] ^= std::byte{0x80};
    EXPECT_FALSE(Verify(key.public_key, changed, good)) << i;
  }
  EXPECT_FALSE(Verify(key.public_key, ByteView(message).first(39), good));
  EXPECT_TRUE(Verify(key.public_key, message, good));
}
TEST(Ed25519Test, AnotherKeyDoesNotVerify) {
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair a, Ed25519FromSeed(FilledKey(0x01)));
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair b, Ed25519FromSeed(FilledKey(0x02)));
  ASSERT_OK_AND_ASSIGN(const Signature signature, Sign(a, AsBytes("m")));
  EXPECT_FALSE(Verify(b.public_key, AsBytes("m"), signature));
  PublicKey not_a_point{};
  not_a_point.fill(std::byte{0xff});
  EXPECT_FALSE(Verify(not_a_point, AsBytes("m"), signature));
}
// The eight points of small order and their other spellings, top bit (the sign) clear.
constexpr const char* kSmallOrder[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};

// With S = 0 the equation is R = -h A: under a key of order n one message in n or so is "signed" by
// the neutral element, and anybody can search for one. Such a key must verify nothing.
TEST(Ed25519Test, AKeyOfSmallOrderVerifiesNothing) {
  std::vector<Signature> candidates;
  for (const char* point : kSmallOrder) {
    for (const unsigned sign : {0U, 0x80U}) {
      Signature forged{};
      const auto r = HexArray<32>(point);
      std::copy(r.begin(), r.end(), forged.begin());
      forged[31] |= std::byte(sign);
      candidates.push_back(forged);
    }
  }
  for (const char* point : kSmallOrder) {
    for (const unsigned sign : {0U, 0x80U}) {
      PublicKey key = HexArray<32>(point);
      key[31] |= std::byte(sign);
      for (int message = 0; message < 40; ++message) {
        const std::string text = "message " + std::to_string(message);
        for (const Signature& forged : candidates) {
          EXPECT_FALSE(Verify(key, AsBytes(text), forged)) << ToHex(key) << " " << text;
        }
      }
    }
  }
}
// S and S + L are one number mod L: only the smaller is a signature (RFC 8032, section 5.1.7).
TEST(Ed25519Test, ASignatureHasOneForm) {
  const auto order =
      HexArray<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair key, Ed25519FromSeed(FilledKey(0x0a)));
  for (int message = 0; message < 20; ++message) {
    const std::string text = std::to_string(message);
    ASSERT_OK_AND_ASSIGN(Signature twin, Sign(key, AsBytes(text)));
    ASSERT_TRUE(Verify(key.public_key, AsBytes(text), twin));
    unsigned carry = 0;
    for (std::size_t i = 0; i < 32; ++i) {
      carry += std::to_integer<unsigned>(twin[32 + i]) + std::to_integer<unsigned>(order[i]);
      twin[32 + i] = std::byte(carry & 0xffU);
      carry >>= 8;
    }
    EXPECT_FALSE(Verify(key.public_key, AsBytes(text), twin)) << message;
  }
}
TEST(Ed25519Test, AMessageOfAnyLengthIsSignedWhole) {
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair key, Ed25519FromSeed(FilledKey(0x0b)));
  std::set<std::string> signatures;
  for (std::size_t len = 0; len <= 300; ++len) {
    const Bytes message = testing::Repeat(0, len);
    ASSERT_OK_AND_ASSIGN(const Signature signature, Sign(key, message));
    EXPECT_TRUE(Verify(key.public_key, message, signature)) << len;
    EXPECT_FALSE(Verify(key.public_key, testing::Repeat(0, len + 1), signature)) << len;
    signatures.insert(ToHex(signature));
  }
  EXPECT_EQ(signatures.size(), 301U);
}
TEST(Ed25519Test, ACloneSignsTheSame) {
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair key, Ed25519FromSeed(FilledKey(0x09)));
  const Ed25519KeyPair clone = key.Clone();
  ASSERT_OK_AND_ASSIGN(const Signature a, Sign(key, AsBytes("m")));
  ASSERT_OK_AND_ASSIGN(const Signature b, Sign(clone, AsBytes("m")));
  EXPECT_EQ(a, b);
}

// Gives a counted number of bytes, then fails.
class ShortStream final : public RandomStream {
 public:
  explicit ShortStream(std::size_t len) : left_(len) {}
  Status Fill(std::span<std::byte> out) override {
    if (out.size() > left_) return Error(ErrorCode::kInternal, "empty");
    left_ -= out.size();
    std::fill(out.begin(), out.end(), std::byte{0x77});
    return {};
  }

 private:
  std::size_t left_;
};

TEST(RandomKeyTest, TakesThirtyTwoBytesAndReportsAFailingStream) {
  ShortStream random(32);
  ASSERT_OK_AND_ASSIGN(const SecretArray<32> key, RandomKey(random));
  EXPECT_TRUE(ConstantTimeEqual(key.view(), FilledKey(0x77).view()));
  EXPECT_ERROR(RandomKey(random), ErrorCode::kInternal);
}

}  // namespace
}  // namespace demur::crypto
