#include "demur/crypto/certificate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "crypto_test_util.h"
#include "demur/base/file.h"
#include "result_matchers.h"
#include "temporary_folder.h"

namespace demur::crypto {
namespace {

using testing::FilledKey;

constexpr std::int64_t kNow = 1750000000;
constexpr Validity kYear = {kNow - 100, kNow + 365 * 86400};

Serial SerialOf(unsigned char fill) {
  Serial serial;
  serial.fill(std::byte{fill});
  return serial;
}

// One authority with a server and a device.
class CertificateTest : public ::testing::Test {
 protected:
  const Ed25519KeyPair ca_key_ = Ed25519FromSeed(FilledKey(1)).value();
  const Ed25519KeyPair server_key_ = Ed25519FromSeed(FilledKey(2)).value();
  const Ed25519KeyPair device_key_ = Ed25519FromSeed(FilledKey(3)).value();
  const Bytes ca_ = IssueAuthority(ca_key_, "trial authority", kYear, SerialOf(1)).value();
  const Bytes server_ =
      IssueServer(ca_key_, ca_, server_key_.public_key,
                  {{"coordinator.test", "localhost"}, {"127.0.0.1", "::1"}}, kYear, SerialOf(2))
          .value();
  const Bytes device_ =
      IssueDevice(ca_key_, ca_, device_key_.public_key, DeviceNumber(42), kYear, SerialOf(3))
          .value();
};

TEST_F(CertificateTest, AnAuthoritySaysWhatItWasIssuedWith) {
  ASSERT_OK_AND_ASSIGN(const Certificate parsed, ParseCertificate(ca_));
  EXPECT_EQ(parsed.kind, CertificateKind::kAuthority);
  EXPECT_EQ(parsed.name, "trial authority");
  EXPECT_EQ(parsed.public_key, ca_key_.public_key);
  EXPECT_EQ(parsed.validity.not_before, kYear.not_before);
  EXPECT_EQ(parsed.validity.not_after, kYear.not_after);
  EXPECT_EQ(parsed.device, DeviceNumber(0));
}
TEST_F(CertificateTest, AServerSaysItsNames) {
  ASSERT_OK_AND_ASSIGN(const Certificate parsed, ParseCertificate(server_));
  EXPECT_EQ(parsed.kind, CertificateKind::kServer);
  EXPECT_EQ(parsed.name, "coordinator.test");
  EXPECT_EQ(parsed.names.dns_names, (std::vector<std::string>{"coordinator.test", "localhost"}));
  EXPECT_EQ(parsed.names.ip_addresses, (std::vector<std::string>{"127.0.0.1", "::1"}));
  EXPECT_EQ(parsed.public_key, server_key_.public_key);
}
TEST_F(CertificateTest, ADeviceSaysItsNumber) {
  ASSERT_OK_AND_ASSIGN(const Certificate parsed, ParseCertificate(device_));
  EXPECT_EQ(parsed.kind, CertificateKind::kDevice);
  EXPECT_EQ(parsed.device, DeviceNumber(42));
  EXPECT_EQ(parsed.name, "demur-device-42");
  EXPECT_EQ(parsed.public_key, device_key_.public_key);
  for (const std::uint64_t number : {std::uint64_t{0}, ~std::uint64_t{0}}) {
    ASSERT_OK_AND_ASSIGN(const Bytes der, IssueDevice(ca_key_, ca_, device_key_.public_key,
                                                      DeviceNumber(number), kYear, SerialOf(4)));
    EXPECT_EQ(ParseCertificate(der)->device, DeviceNumber(number));
  }
}
TEST_F(CertificateTest, SerialsArePositiveAndOfFixedLength) {
  for (const int value : {0x00, 0x7f, 0x80, 0xff}) {
    const auto fill = static_cast<unsigned char>(value);
    ASSERT_OK_AND_ASSIGN(const Bytes der, IssueAuthority(ca_key_, "a", kYear, SerialOf(fill)));
    ASSERT_OK_AND_ASSIGN(const Certificate parsed, ParseCertificate(der));
    EXPECT_EQ(parsed.serial[0] & std::byte{0xc0}, std::byte{0x40});
    EXPECT_EQ(parsed.serial[15], std::byte{fill});
  }
}
TEST_F(CertificateTest, IssuingTwiceGivesEqualBytes) {
  EXPECT_EQ(IssueDevice(ca_key_, ca_, device_key_.public_key, DeviceNumber(42), kYear, SerialOf(3))
                .value(),
            device_);
}

TEST_F(CertificateTest, GoodCertificatesVerify) {
  EXPECT_OK(VerifyCertificate(ca_, ca_, kNow, CertificateKind::kAuthority));
  EXPECT_OK(VerifyCertificate(server_, ca_, kNow, CertificateKind::kServer));
  ASSERT_OK_AND_ASSIGN(const Certificate device,
                       VerifyCertificate(device_, ca_, kNow, CertificateKind::kDevice));
  EXPECT_EQ(device.device, DeviceNumber(42));
}
TEST_F(CertificateTest, AVerifierSaysWhatVerifyCertificateSays) {
  ASSERT_OK_AND_ASSIGN(const CertificateVerifier verifier, CertificateVerifier::Create(ca_));
  const CertificateVerifier copy = verifier;
  for (const std::int64_t now : {kNow, kNow + 400 * 86400}) {
    for (const Bytes* der : {&ca_, &server_, &device_}) {
      for (const auto kind :
           {CertificateKind::kAuthority, CertificateKind::kServer, CertificateKind::kDevice}) {
        const auto expected = VerifyCertificate(*der, ca_, now, kind);
        const auto got = copy.Verify(*der, now, kind);
        ASSERT_EQ(got.has_value(), expected.has_value());
        if (got) {
          EXPECT_EQ(got->public_key, expected->public_key);
        } else {
          EXPECT_EQ(got.error().code(), expected.error().code());
        }
      }
    }
  }
}
TEST_F(CertificateTest, OnlyAnAuthorityMakesAVerifier) {
  EXPECT_ERROR(CertificateVerifier::Create(device_), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(CertificateVerifier::Create(server_), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(CertificateVerifier::Create({}), ErrorCode::kInvalidArgument);
}
TEST_F(CertificateTest, AnotherUsageIsRefused) {
  EXPECT_ERROR(VerifyCertificate(device_, ca_, kNow, CertificateKind::kServer),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(VerifyCertificate(server_, ca_, kNow, CertificateKind::kDevice),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(VerifyCertificate(ca_, ca_, kNow, CertificateKind::kDevice),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(VerifyCertificate(device_, ca_, kNow, CertificateKind::kAuthority),
               ErrorCode::kInvalidArgument);
  // A device is no authority, even for itself.
  EXPECT_ERROR(VerifyCertificate(device_, device_, kNow, CertificateKind::kDevice),
               ErrorCode::kInvalidArgument);
}
TEST_F(CertificateTest, OutsideItsTimeItIsRefused) {
  EXPECT_OK(VerifyCertificate(device_, ca_, kYear.not_before, CertificateKind::kDevice));
  EXPECT_OK(VerifyCertificate(device_, ca_, kYear.not_after, CertificateKind::kDevice));
  EXPECT_ERROR(VerifyCertificate(device_, ca_, kYear.not_before - 1, CertificateKind::kDevice),
               ErrorCode::kPermissionDenied);
  EXPECT_ERROR(VerifyCertificate(device_, ca_, kYear.not_after + 1, CertificateKind::kDevice),
               ErrorCode::kPermissionDenied);
}
TEST_F(CertificateTest, AnExpiredDeviceOfALivingAuthorityIsRefused) {
  ASSERT_OK_AND_ASSIGN(const Bytes short_lived,
                       IssueDevice(ca_key_, ca_, device_key_.public_key, DeviceNumber(1),
                                   {kNow - 50, kNow - 10}, SerialOf(5)));
  EXPECT_ERROR(VerifyCertificate(short_lived, ca_, kNow, CertificateKind::kDevice),
               ErrorCode::kPermissionDenied);
}
TEST_F(CertificateTest, ALivingDeviceOfAnExpiredAuthorityIsRefused) {
  ASSERT_OK_AND_ASSIGN(const Bytes old_ca, IssueAuthority(ca_key_, "trial authority",
                                                          {kNow - 50, kNow - 10}, SerialOf(1)));
  EXPECT_ERROR(VerifyCertificate(device_, old_ca, kNow, CertificateKind::kDevice),
               ErrorCode::kPermissionDenied);
}
TEST_F(CertificateTest, AnotherAuthorityIsRefused) {
  const Ed25519KeyPair other_key = Ed25519FromSeed(FilledKey(9)).value();
  // Same name, other key: only the signature tells them apart.
  ASSERT_OK_AND_ASSIGN(const Bytes other,
                       IssueAuthority(other_key, "trial authority", kYear, SerialOf(1)));
  EXPECT_ERROR(VerifyCertificate(device_, other, kNow, CertificateKind::kDevice),
               ErrorCode::kPermissionDenied);
  EXPECT_ERROR(VerifyCertificate(other, ca_, kNow, CertificateKind::kAuthority),
               ErrorCode::kPermissionDenied);
  // Same key, other name: not the issuer the certificate speaks of.
  ASSERT_OK_AND_ASSIGN(const Bytes renamed,
                       IssueAuthority(ca_key_, "another authority", kYear, SerialOf(1)));
  EXPECT_ERROR(VerifyCertificate(device_, renamed, kNow, CertificateKind::kDevice),
               ErrorCode::kPermissionDenied);
}
TEST_F(CertificateTest, ASecondAuthorityOfTheSameKeyIsNotThePinnedOne) {
  ASSERT_OK_AND_ASSIGN(const Bytes twin,
                       IssueAuthority(ca_key_, "trial authority", kYear, SerialOf(7)));
  EXPECT_ERROR(VerifyCertificate(twin, ca_, kNow, CertificateKind::kAuthority),
               ErrorCode::kPermissionDenied);
}
TEST_F(CertificateTest, NoChangedByteVerifies) {
  for (std::size_t i = 0; i < device_.size(); ++i) {
    Bytes changed = device_;
    changed[i] ^= std::byte{0x01};
    EXPECT_FALSE(VerifyCertificate(changed, ca_, kNow, CertificateKind::kDevice).has_value()) << i;
  }
}
TEST_F(CertificateTest, TruncatedLongerAndForeignBytesAreNotCertificates) {
  for (std::size_t len = 0; len < device_.size(); ++len) {
    EXPECT_ERROR(ParseCertificate(ByteView(device_).first(len)), ErrorCode::kInvalidArgument);
  }
  Bytes longer = device_;
  longer.push_back(std::byte{0});
  EXPECT_ERROR(ParseCertificate(longer), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ParseCertificate(Bytes(kCertificateMaxLen + 1)), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ParseCertificate(AsBytes("-----BEGIN CERTIFICATE-----")),
               ErrorCode::kInvalidArgument);
}
// A name that only looks like a device's: every one is refused, so no two texts are one device.
TEST_F(CertificateTest, OnlyOneSpellingOfADeviceNumberIsTaken) {
  const std::string good = "demur-device-42";
  const auto at =
      std::search(device_.begin(), device_.end(), AsBytes(good).begin(), AsBytes(good).end());
  ASSERT_NE(at, device_.end());
  for (const std::string name : {"demur-device-02", "demur-device-+2", "demur-device- 2",
                                 "demur-device-4x", "demur-devicee42"}) {
    Bytes changed = device_;
    std::copy_n(AsBytes(name).begin(), name.size(), changed.begin() + (at - device_.begin()));
    EXPECT_ERROR(ParseCertificate(changed), ErrorCode::kInvalidArgument) << name;
  }
}

TEST_F(CertificateTest, BadInputIsRefusedBeforeSigning) {
  const PublicKey& key = server_key_.public_key;
  EXPECT_ERROR(IssueAuthority(ca_key_, "", kYear, SerialOf(1)), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(IssueAuthority(ca_key_, std::string(65, 'a'), kYear, SerialOf(1)),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(IssueAuthority(ca_key_, "line\nbreak", kYear, SerialOf(1)),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(IssueAuthority(ca_key_, "a", {10, 9}, SerialOf(1)), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(IssueAuthority(ca_key_, "a", {-1, 9}, SerialOf(1)), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(IssueServer(ca_key_, ca_, key, {}, kYear, SerialOf(1)), ErrorCode::kInvalidArgument);
  for (const char* name : {"", "UPPER", "a b", "a,DNS:evil", "*.test", "caf\xc3\xa9"}) {
    EXPECT_ERROR(IssueServer(ca_key_, ca_, key, {{name}, {}}, kYear, SerialOf(1)),
                 ErrorCode::kInvalidArgument)
        << name;
  }
  for (const char* address : {"", "127.0.0", "localhost", "1.2.3.4,DNS:evil", "999.1.1.1"}) {
    EXPECT_ERROR(IssueServer(ca_key_, ca_, key, {{}, {address}}, kYear, SerialOf(1)),
                 ErrorCode::kInvalidArgument)
        << address;
  }
}
TEST_F(CertificateTest, OnlyTheAuthoritysOwnKeyIssues) {
  EXPECT_ERROR(
      IssueDevice(server_key_, ca_, device_key_.public_key, DeviceNumber(1), kYear, SerialOf(1)),
      ErrorCode::kInvalidArgument);
  EXPECT_ERROR(IssueDevice(device_key_, device_, device_key_.public_key, DeviceNumber(1), kYear,
                           SerialOf(1)),
               ErrorCode::kInvalidArgument);
}

TEST_F(CertificateTest, FilesRoundTripAndErrorsNameThePath) {
  const demur::testing::TemporaryFolder own;
  const std::string folder = own.File("certificates");
  ASSERT_OK(MakeFolder(folder));
  const std::string path = folder + "/ca.pem";
  ASSERT_OK(WriteCertificateFile(path, ca_));
  EXPECT_EQ(ReadCertificateFile(path).value(), ca_);
  ASSERT_OK(
      WriteFileAtomically(path, AsBytes(ToPem(kPemCertificate, AsBytes("no"))), FileMode::kPublic));
  const auto bad = ReadCertificateFile(path);
  EXPECT_ERROR(bad, ErrorCode::kInvalidArgument);
  EXPECT_NE(bad.error().message().find(path), std::string::npos);
  EXPECT_ERROR(ReadCertificateFile(folder + "/none"), ErrorCode::kNotFound);
}
TEST(CertificateKindTest, HasNames) {
  EXPECT_EQ(ToString(CertificateKind::kAuthority), "authority");
  EXPECT_EQ(ToString(CertificateKind::kServer), "server");
  EXPECT_EQ(ToString(CertificateKind::kDevice), "device");
}

}  // namespace
}  // namespace demur::crypto
