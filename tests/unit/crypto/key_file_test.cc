#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <utility>

#include "crypto_test_util.h"
#include "demur/base/file.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/keys.h"
#include "result_matchers.h"
#include "temporary_folder.h"

namespace demur::crypto {
namespace {

using testing::FilledKey;
namespace fs = std::filesystem;

std::string FreshFolder(const std::string& name) {
  // A folder of this process: the tests of one file run side by side.
  static const demur::testing::TemporaryFolder own;
  const std::string folder = own.File(name);
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

// Whatever the program's umask lets through, a key is its owner's.
TEST(KeyFileTest, TheModeDoesNotFollowTheUmask) {
  const std::string folder = FreshFolder("umask");
  for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{077}}) {
    const std::string path = folder + "/key-" + std::to_string(mask) + ".pem";
    const mode_t before = ::umask(mask);
    const Status written = WriteNewKeyFile(path, Ed25519FromSeed(FilledKey(5)).value());
    ::umask(before);
    ASSERT_OK(written);
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0600U) << mask;
  }
}
// Anything at the path is left alone, even what only points somewhere.
TEST(KeyFileTest, NeitherAFolderNorALinkIsWrittenThrough) {
  const std::string folder = FreshFolder("links");
  const Ed25519KeyPair key = Ed25519FromSeed(FilledKey(6)).value();
  const std::string target = folder + "/target";
  fs::create_symlink(target, folder + "/dangling");
  EXPECT_ERROR(WriteNewKeyFile(folder + "/dangling", key), ErrorCode::kFailedPrecondition);
  EXPECT_FALSE(fs::exists(target));
  ASSERT_OK(WriteFileAtomically(target, AsBytes("mine"), FileMode::kPublic));
  EXPECT_ERROR(WriteNewKeyFile(folder + "/dangling", key), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(ReadTextFile(target, 100).value(), "mine");
  EXPECT_TRUE(fs::is_symlink(folder + "/dangling"));
  fs::create_directory(folder + "/folder");
  EXPECT_ERROR(WriteNewKeyFile(folder + "/folder", key), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(ReadKeyFile(folder + "/folder"), ErrorCode::kInvalidArgument);
}
TEST(KeyFileTest, WhatTheSystemRefusesIsNotCalledAKeyThatIsThere) {
  const std::string folder = FreshFolder("refused");
  const Ed25519KeyPair key = Ed25519FromSeed(FilledKey(6)).value();
  EXPECT_ERROR(WriteNewKeyFile(folder + "/" + std::string(300, 'k'), key), ErrorCode::kUnavailable);
  fs::create_symlink("loop", folder + "/loop");
  EXPECT_ERROR(WriteNewKeyFile(folder + "/loop/key.pem", key), ErrorCode::kUnavailable);
  ASSERT_OK(WriteFileAtomically(folder + "/file", AsBytes("x"), FileMode::kPublic));
  EXPECT_ERROR(WriteNewKeyFile(folder + "/file/key.pem", key), ErrorCode::kUnavailable);
  EXPECT_FALSE(WriteNewKeyFile(folder + "/missing/key.pem", key).has_value());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 2);
}
TEST(KeyFileTest, ALinkToAKeyIsReadAndNothingElseStaysBehind) {
  const std::string folder = FreshFolder("read_link");
  const Ed25519KeyPair key = Ed25519FromSeed(FilledKey(8)).value();
  ASSERT_OK(WriteNewKeyFile(folder + "/key.pem", key));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
  fs::create_symlink(folder + "/key.pem", folder + "/link");
  EXPECT_EQ(ReadKeyFile(folder + "/link")->public_key, key.public_key);
}

struct OtherFile {
  const char* what;
  std::function<std::string(const std::string& good)> text;
};
void PrintTo(const OtherFile& file, std::ostream* out) { *out << file.what; }

std::string Pem(std::string_view kind, ByteView der) { return ToPem(kind, der); }
// The good file as `kind` would have it in its lines.
std::string Retitled(std::string text, const std::string& kind) {
  for (std::size_t at = 0; (at = text.find("PRIVATE KEY", at)) != std::string::npos;) {
    text.replace(at, 11, kind);
    at += kind.size();
  }
  return text;
}

class OtherKeyFileTest : public ::testing::TestWithParam<OtherFile> {};
TEST_P(OtherKeyFileTest, IsRefusedWithItsPath) {
  const std::string folder = FreshFolder("others");
  const std::string path = folder + "/key.pem";
  ASSERT_OK(WriteNewKeyFile(path, Ed25519FromSeed(FilledKey(0x61)).value()));
  ASSERT_OK_AND_ASSIGN(const std::string good, ReadTextFile(path, 1000));
  const std::string text = GetParam().text(good);
  ASSERT_OK(WriteFileAtomically(path, AsBytes(text), FileMode::kOwnerOnly));
  const auto read = ReadKeyFile(path);
  EXPECT_ERROR(read, ErrorCode::kInvalidArgument);
  EXPECT_NE(read.error().message().find(path), std::string::npos);
  // "aaaa...", the seed, in base 64 at any of its three offsets.
  for (const char* seed : {"YWFh", "FhYW", "hYWF"}) {
    EXPECT_EQ(read.error().message().find(seed), std::string::npos);
  }
}
// PKCS#8 (RFC 8410) of other kinds and forms of keys.
constexpr const char* kX25519Prefix = "302e020100300506032b656e04220420";
constexpr const char* kVersion1Prefix = "302e020101300506032b657004220420";
INSTANTIATE_TEST_SUITE_P(
    Each, OtherKeyFileTest,
    ::testing::Values(
        OtherFile{"empty", [](const std::string&) { return std::string(); }},
        OtherFile{"too long",
                  [](const std::string& good) { return good + std::string(16384, '\n'); }},
        OtherFile{"cut", [](const std::string& good) { return good.substr(0, good.size() - 30); }},
        OtherFile{"two keys", [](const std::string& good) { return good + good; }},
        OtherFile{"encrypted",
                  [](const std::string& good) { return Retitled(good, "ENCRYPTED PRIVATE KEY"); }},
        OtherFile{"of an older form",
                  [](const std::string& good) { return Retitled(good, "EC PRIVATE KEY"); }},
        OtherFile{"public", [](const std::string& good) { return Retitled(good, "PUBLIC KEY"); }},
        OtherFile{"a certificate",
                  [](const std::string& good) { return Retitled(good, "CERTIFICATE"); }},
        OtherFile{"with headers",
                  [](std::string good) {
                    return good.insert(good.find('\n') + 1, "Proc-Type: 4,ENCRYPTED\n\n");
                  }},
        OtherFile{"a key that agrees",
                  [](const std::string&) {
                    return Pem("PRIVATE KEY", testing::Hex(kX25519Prefix + std::string(64, '6')));
                  }},
        OtherFile{"of the next version",
                  [](const std::string&) {
                    return Pem("PRIVATE KEY", testing::Hex(kVersion1Prefix + std::string(64, '6')));
                  }},
        OtherFile{"raw", [](const std::string&) { return std::string(32, 'a'); }}));

// "readable by `openssl pkey`": OpenSSL's own reader finds the same key.
TEST(PrivateKeyDerTest, IsWhatOpenSslReads) {
  const Ed25519KeyPair key = Ed25519FromSeed(FilledKey(0x62)).value();
  const SecretBytes der = PrivateKeyToDer(key);
  const auto* at = reinterpret_cast<const unsigned char*>(der.view().data());
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> read(
      d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size())), &EVP_PKEY_free);
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(EVP_PKEY_get_id(read.get()), EVP_PKEY_ED25519);
  PublicKey raw{};
  std::size_t len = raw.size();
  ASSERT_EQ(
      EVP_PKEY_get_raw_public_key(read.get(), reinterpret_cast<unsigned char*>(raw.data()), &len),
      1);
  EXPECT_EQ(raw, key.public_key);
}

TEST(PemTest, NothingBetweenTheLinesIsTakenForBase64) {
  const std::string good = ToPem("X", testing::Counting(0, 60));
  ASSERT_OK(FromPem("X", good));
  const std::size_t body = good.find('\n') + 1;
  for (int value = 0; value < 256; ++value) {
    const char c = static_cast<char>(value);
    if (c == '\n' || c == '\r') continue;
    std::string inserted = good;  // one character more is never a whole number of fours
    EXPECT_ERROR(FromPem("X", inserted.insert(body + 5, 1, c)), ErrorCode::kInvalidArgument)
        << value;
    std::string replaced = good;
    replaced[body + 5] = c;
    const bool in_alphabet = std::isalnum(value) != 0 || c == '+' || c == '/';
    EXPECT_EQ(FromPem("X", replaced).has_value(), in_alphabet) << value;
  }
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
