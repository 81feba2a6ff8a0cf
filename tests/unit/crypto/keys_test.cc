#include "demur/crypto/keys.h"

#include <gtest/gtest.h>

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
// RFC 8032, section 7.1, tests 1 and 2.
constexpr std::array<Ed25519Vector, 2> kRfc8032 = {{
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d8c387b2eaeb4302aeeb00d291612bb0c00"},
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
