#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "crypto_test_util.h"
#include "demur/base/file.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/keys.h"
#include "result_matchers.h"

namespace demur::crypto {
namespace {

using testing::FilledKey;

std::string FreshFolder(const std::string& name) {
  const std::string folder = ::testing::TempDir() + "/key_file_test_" + name;
  std::filesystem::remove_all(folder);
  EXPECT_OK(MakeFolder(folder));
  return folder;
}

// RFC 8410, section 10.3, describes this form; the bytes are fixed but for the seed.
TEST(PrivateKeyDerTest, IsTheFixedPrefixAndTheSeed) {
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair key, Ed25519FromSeed(FilledKey(0xab)));
  const SecretBytes der = PrivateKeyToDer(key);
  EXPECT_EQ(ToHex(der.view()), "302e020100300506032b657004220420" + ToHex(FilledKey(0xab).view()));
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair back, PrivateKeyFromDer(der.view()));
  EXPECT_EQ(back.public_key, key.public_key);
}
TEST(PrivateKeyDerTest, RefusesOtherBytes) {
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair key, Ed25519FromSeed(FilledKey(0xab)));
  const SecretBytes der = PrivateKeyToDer(key);
  for (std::size_t len = 0; len < der.size(); ++len) {
    EXPECT_ERROR(PrivateKeyFromDer(der.view().first(len)), ErrorCode::kInvalidArgument) << len;
  }
  for (std::size_t i = 0; i < 16; ++i) {
    SecretBytes changed = der.Clone();
    changed.mutable_view()[i] ^= std::byte{1};
    EXPECT_ERROR(PrivateKeyFromDer(changed.view()), ErrorCode::kInvalidArgument) << i;
  }
  Bytes longer = ToBytes(der.view());
  longer.push_back(std::byte{0});
  EXPECT_ERROR(PrivateKeyFromDer(longer), ErrorCode::kInvalidArgument);
}

TEST(KeyFileTest, RoundTripsAndOnlyTheOwnerMayReadIt) {
  const std::string path = FreshFolder("round_trip") + "/key.pem";
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair key, Ed25519FromSeed(FilledKey(0x31)));
  ASSERT_OK(WriteNewKeyFile(path, key));
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair back, ReadKeyFile(path));
  EXPECT_EQ(back.public_key, key.public_key);
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadTextFile(path, 1000));
  EXPECT_TRUE(text.starts_with("-----BEGIN PRIVATE KEY-----\n")) << text.substr(0, 30);
}
TEST(KeyFileTest, NeverOverwrites) {
  const std::string path = FreshFolder("overwrite") + "/key.pem";
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair first, Ed25519FromSeed(FilledKey(1)));
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair second, Ed25519FromSeed(FilledKey(2)));
  ASSERT_OK(WriteNewKeyFile(path, first));
  EXPECT_ERROR(WriteNewKeyFile(path, second), ErrorCode::kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const Ed25519KeyPair back, ReadKeyFile(path));
  EXPECT_EQ(back.public_key, first.public_key);
}
TEST(KeyFileTest, AnotherFileIsRefusedWithItsPathAndWithoutItsContent) {
  const std::string folder = FreshFolder("other");
  const std::string path = folder + "/key.pem";
  ASSERT_OK(WriteFileAtomically(
      path, AsBytes("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"),
      FileMode::kOwnerOnly));
  const auto result = ReadKeyFile(path);
  EXPECT_ERROR(result, ErrorCode::kInvalidArgument);
  EXPECT_NE(result.error().message().find(path), std::string::npos);
  EXPECT_EQ(result.error().message().find("secret"), std::string::npos);
  EXPECT_EQ(result.error().message().find("c2VjcmV0"), std::string::npos);
  EXPECT_ERROR(ReadKeyFile(folder + "/none.pem"), ErrorCode::kNotFound);
}

TEST(PemTest, RoundTripsEveryLength) {
  for (std::size_t len = 1; len < 150; ++len) {
    const Bytes der = testing::Repeat(static_cast<unsigned char>(len), len);
    ASSERT_OK_AND_ASSIGN(const Bytes back, FromPem("THING", ToPem("THING", der)));
    EXPECT_EQ(back, der) << len;
  }
}
TEST(PemTest, LinesAreSixtyFourCharacters) {
  EXPECT_EQ(ToPem("X", testing::Repeat(0, 49)),
            "-----BEGIN X-----\n" + std::string(64, 'A') + "\nAA==\n-----END X-----\n");
}
TEST(PemTest, TextAroundTheBlockAndCarriageReturnsAreTaken) {
  ASSERT_OK_AND_ASSIGN(const Bytes der,
                       FromPem("X", "note\r\n-----BEGIN X-----\r\nAQID\r\n-----END X-----\r\n"));
  EXPECT_EQ(ToHex(der), "010203");
}
TEST(PemTest, BadTextIsRefused) {
  for (const char* text :
       {"", "-----BEGIN X-----\nAQID\n", "-----BEGIN Y-----\nAQID\n-----END Y-----\n",
        "-----BEGIN X-----\n-----END X-----\n", "-----BEGIN X-----\nAQI\n-----END X-----\n",
        "-----BEGIN X-----\nAQ=D\n-----END X-----\n", "-----BEGIN X-----\nA===\n-----END X-----\n",
        "-----BEGIN X-----\nAQ D\n-----END X-----\n", "-----BEGIN X-----\nAQ-_\n-----END X-----\n",
        "-----BEGIN X-----\nAQID\n-----END X-----\n-----BEGIN X-----\nAQID\n-----END X-----\n"}) {
    EXPECT_ERROR(FromPem("X", text), ErrorCode::kInvalidArgument) << text;
  }
  EXPECT_ERROR(FromPem("X", ToPem("X", testing::Repeat(1, 20000))), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur::crypto
