#include "demur/crypto/aead.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <set>
#include <string>

#include "crypto_test_util.h"
#include "result_matchers.h"

namespace demur::crypto {
namespace {

using testing::FilledKey;
using testing::Hex;
using testing::HexArray;
using testing::HexKey;
using testing::Repeat;

struct GcmVector {
  const char* key;
  const char* nonce;
  const char* aad;
  const char* plaintext;
  const char* sealed;
};
// The GCM specification's test cases 13, 14 and 16.
constexpr std::array<GcmVector, 3> kGcm = {{
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
     "b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105682"
     "8838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"},
}};

TEST(AeadTest, MatchesTheGcmSpecification) {
  for (const GcmVector& vector : kGcm) {
    const SecretArray<32> key = HexKey(vector.key);
    const auto nonce = HexArray<12>(vector.nonce);
    ASSERT_OK_AND_ASSIGN(const Bytes sealed,
                         Seal(key, nonce, Hex(vector.aad), Hex(vector.plaintext)));
    EXPECT_EQ(ToHex(sealed), vector.sealed);
    ASSERT_OK_AND_ASSIGN(const SecretBytes opened, Open(key, nonce, Hex(vector.aad), sealed));
    EXPECT_EQ(ToHex(opened.view()), vector.plaintext);
  }
}

class SealedTest : public ::testing::Test {
 protected:
  const SecretArray<32> key_ = FilledKey(0x10);
  const AeadNonce nonce_ = HexArray<12>("000102030405060708090a0b");
  const Bytes aad_ = Hex("aabbcc");
  const Bytes plaintext_ = Repeat(0x61, 33);
  const Bytes sealed_ = Seal(key_, nonce_, aad_, plaintext_).value();
};

TEST_F(SealedTest, AChangedCiphertextOrTagIsRefused) {
  for (std::size_t i = 0; i < sealed_.size(); ++i) {
    Bytes changed = sealed_;
    changed[i] ^= std::byte{0x01};
    EXPECT_ERROR(Open(key_, nonce_, aad_, changed), ErrorCode::kDataLoss) << i;
  }
}
TEST_F(SealedTest, AnotherAadIsRefused) {
  EXPECT_ERROR(Open(key_, nonce_, Hex("aabbcd"), sealed_), ErrorCode::kDataLoss);
  EXPECT_ERROR(Open(key_, nonce_, Hex("aabb"), sealed_), ErrorCode::kDataLoss);
  EXPECT_ERROR(Open(key_, nonce_, {}, sealed_), ErrorCode::kDataLoss);
  EXPECT_OK(Open(key_, nonce_, aad_, sealed_));
}
TEST_F(SealedTest, AnotherKeyOrNonceIsRefused) {
  EXPECT_ERROR(Open(FilledKey(0x11), nonce_, aad_, sealed_), ErrorCode::kDataLoss);
  AeadNonce other = nonce_;
  other[11] ^= std::byte{1};
  EXPECT_ERROR(Open(key_, other, aad_, sealed_), ErrorCode::kDataLoss);
}
TEST_F(SealedTest, EveryTruncationIsRefused) {
  for (std::size_t len = 0; len < sealed_.size(); ++len) {
    EXPECT_ERROR(Open(key_, nonce_, aad_, ByteView(sealed_).first(len)), ErrorCode::kDataLoss)
        << len;
  }
  Bytes longer = sealed_;
  longer.push_back(std::byte{0});
  EXPECT_ERROR(Open(key_, nonce_, aad_, longer), ErrorCode::kDataLoss);
}
TEST_F(SealedTest, AllFailuresReadTheSame) {
  Bytes changed = sealed_;
  changed.back() ^= std::byte{1};
  const std::string text = Open(key_, nonce_, aad_, changed).error().message();
  EXPECT_EQ(Open(key_, nonce_, {}, sealed_).error().message(), text);
  EXPECT_EQ(Open(FilledKey(0), nonce_, aad_, sealed_).error().message(), text);
  EXPECT_EQ(Open(key_, nonce_, aad_, {}).error().message(), text);
}
TEST_F(SealedTest, AnEmptyPlaintextIsStillAuthenticated) {
  ASSERT_OK_AND_ASSIGN(const Bytes sealed, Seal(key_, nonce_, aad_, {}));
  EXPECT_EQ(sealed.size(), kAeadTagLen);
  ASSERT_OK_AND_ASSIGN(const SecretBytes opened, Open(key_, nonce_, aad_, sealed));
  EXPECT_TRUE(opened.empty());
  EXPECT_ERROR(Open(key_, nonce_, {}, sealed), ErrorCode::kDataLoss);
}

// 2^30 bytes and one that are there without being paid for: nothing may read them.
class ReservedMemory {
 public:
  static constexpr std::size_t kLen = (std::size_t{1} << 30) + 1;
  ReservedMemory()
      : at_(::mmap(nullptr, kLen, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  ReservedMemory(const ReservedMemory&) = delete;
  ReservedMemory& operator=(const ReservedMemory&) = delete;
  ~ReservedMemory() { ::munmap(at_, kLen); }
  ByteView view() const {
    return at_ == MAP_FAILED ? ByteView() : ByteView(static_cast<const std::byte*>(at_), kLen);
  }

 private:
  void* at_;
};

TEST_F(SealedTest, InputBeyondWhatTheLibraryCountsIsRefusedUnread) {
  const ReservedMemory memory;
  ASSERT_EQ(memory.view().size(), ReservedMemory::kLen);
  EXPECT_ERROR(Seal(key_, nonce_, memory.view(), plaintext_), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Seal(key_, nonce_, aad_, memory.view()), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Open(key_, nonce_, memory.view(), sealed_), ErrorCode::kDataLoss);
  EXPECT_ERROR(Open(key_, nonce_, aad_, memory.view()), ErrorCode::kDataLoss);
}
// Associated data and ciphertext are told apart: what moves from one to the other is noticed.
TEST_F(SealedTest, BytesDoNotMoveBetweenTheTwoInputs) {
  ByteWriter both;
  both.Raw(aad_).Raw(sealed_);
  for (std::size_t cut = 0; cut <= both.bytes().size(); ++cut) {
    const ByteView all = both.bytes();
    const auto opened = Open(key_, nonce_, all.first(cut), all.subspan(cut));
    EXPECT_EQ(opened.has_value(), cut == aad_.size()) << cut;
  }
}
TEST_F(SealedTest, EachNonceAndKeyGivesAnotherText) {
  std::set<std::string> seen;
  for (std::size_t bit = 0; bit < 96; ++bit) {
    AeadNonce nonce = nonce_;
    nonce[bit / 8] ^= std::byte(1U << (bit % 8));
    seen.insert(ToHex(Seal(key_, nonce, aad_, plaintext_).value()));
  }
  for (std::size_t bit = 0; bit < 256; ++bit) {
    SecretArray<32> key = key_.Clone();
    key.mutable_view()[bit / 8] ^= std::byte(1U << (bit % 8));
    seen.insert(ToHex(Seal(key, nonce_, aad_, plaintext_).value()));
  }
  EXPECT_EQ(seen.size(), 352U);
}

}  // namespace
}  // namespace demur::crypto
