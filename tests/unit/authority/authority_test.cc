#include "demur/authority/authority.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "demur/base/file.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/system_random.h"
#include "demur/secagg/cohort.h"
#include "fake_clock.h"
#include "result_matchers.h"
#include "temporary_folder.h"

namespace demur::authority {
namespace {

constexpr std::int64_t kStartSeconds = testing::FakeClock::kStart / 1000;

crypto::Ed25519KeyPair KeyOf(std::uint8_t number) {
  SecretArray<32> seed;
  seed.mutable_view()[0] = std::byte{number};
  seed.mutable_view()[1] = std::byte{0xd0};
  return crypto::Ed25519FromSeed(seed).value();
}

wire::Enrol RequestOf(const crypto::Ed25519KeyPair& key, const wire::Token& token) {
  wire::Enrol request;
  request.secret = token.secret.Clone();
  request.public_key = key.public_key;
  const SecretBytes input = wire::EnrolSigningInput(request.secret, request.public_key);
  request.signature = crypto::Sign(key, input.view()).value();
  return request;
}

class AuthorityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(Authority::Init(path_, "test authority", clock_, random_));
    authority_ = Open();
    ASSERT_NE(authority_, nullptr);
  }
  std::unique_ptr<Authority> Open() {
    auto authority = Authority::Open(path_, clock_, random_);
    EXPECT_OK(authority);
    return authority ? std::move(*authority) : nullptr;
  }
  crypto::CertifyRequest CoordinatorRequest() const {
    const auto text =
        crypto::MakeCertifyRequest("coordinator.test", coordinator_tls_, coordinator_plan_);
    return crypto::ParseCertifyRequest(text.value()).value();
  }
  void CertifyCoordinator() {
    ASSERT_OK(authority_->Certify(CoordinatorRequest(), {"127.0.0.1", 7002}));
  }
  wire::Token MakeToken(std::uint32_t devices, std::int64_t lifetime_s = 3600) {
    const auto text = authority_->MakeToken({devices, lifetime_s, {"127.0.0.1", 7001}});
    EXPECT_OK(text);
    return wire::ParseToken(AsText(text->view())).value();
  }
  std::int64_t Now() const { return clock_.UnixMillis() / 1000; }

  testing::TemporaryFolder folder_;
  const std::string path_ = folder_.File("authority");
  testing::FakeClock clock_;
  crypto::SystemRandom random_;
  const crypto::Ed25519KeyPair coordinator_tls_ = KeyOf(200);
  const crypto::Ed25519KeyPair coordinator_plan_ = KeyOf(201);
  std::unique_ptr<Authority> authority_;
};

TEST_F(AuthorityTest, InitMakesAnAuthorityThatOpens) {
  ASSERT_OK_AND_ASSIGN(const Bytes file, crypto::ReadCertificateFile(path_ + "/ca.pem"));
  EXPECT_EQ(file, authority_->certificate());
  EXPECT_EQ(authority_->certificate_sha256(), crypto::Sha256(file));
  ASSERT_OK_AND_ASSIGN(
      const auto parsed,
      crypto::VerifyCertificate(file, file, Now(), crypto::CertificateKind::kAuthority));
  EXPECT_EQ(parsed.name, "test authority");
  for (const char* secret : {"/authority.key", "/authority.db"}) {
    const auto mode = std::filesystem::status(path_ + secret).permissions();
    EXPECT_EQ(mode & std::filesystem::perms(077), std::filesystem::perms::none) << secret;
  }
}
TEST_F(AuthorityTest, InitNeverOverwrites) {
  ASSERT_OK_AND_ASSIGN(const Bytes key, ReadFile(path_ + "/authority.key", 1000));
  EXPECT_ERROR(Authority::Init(path_, "another", clock_, random_), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(ReadFile(path_ + "/authority.key", 1000).value(), key);
  // Nor when only the database is left, which knows the devices.
  std::filesystem::remove(path_ + "/authority.key");
  EXPECT_ERROR(Authority::Init(path_, "another", clock_, random_), ErrorCode::kFailedPrecondition);
  EXPECT_FALSE(std::filesystem::exists(path_ + "/authority.key"));
}
TEST_F(AuthorityTest, InitWithABadNameLeavesNothing) {
  const std::string other = folder_.File("other");
  EXPECT_ERROR(Authority::Init(other, "", clock_, random_), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(other));
}
TEST_F(AuthorityTest, OpeningWhatIsNotThereOrDoesNotFitIsAnError) {
  EXPECT_ERROR(Authority::Open(folder_.File("none"), clock_, random_), ErrorCode::kNotFound);
  const std::string other = folder_.File("other");
  ASSERT_OK(Authority::Init(other, "other", clock_, random_));
  std::filesystem::copy_file(other + "/ca.pem", path_ + "/ca.pem",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_ERROR(Authority::Open(path_, clock_, random_), ErrorCode::kDataLoss);
  std::filesystem::remove(other + "/authority.db");
  EXPECT_ERROR(Authority::Open(other, clock_, random_), ErrorCode::kNotFound);
}
TEST_F(AuthorityTest, AnExpiredAuthorityDoesNotOpen) {
  clock_.Advance(std::chrono::hours(24 * (kAuthorityDays + 1)));
  EXPECT_ERROR(Authority::Open(path_, clock_, random_), ErrorCode::kDataLoss);
}

TEST_F(AuthorityTest, TheCoordinatorGetsAServerCertificateOfItsKeyAndNames) {
  ASSERT_OK_AND_ASSIGN(const Bytes der,
                       authority_->Certify(CoordinatorRequest(), {"127.0.0.1", 7002}));
  ASSERT_OK_AND_ASSIGN(const auto parsed,
                       crypto::VerifyCertificate(der, authority_->certificate(), Now(),
                                                 crypto::CertificateKind::kServer));
  EXPECT_EQ(parsed.public_key, coordinator_tls_.public_key);
  EXPECT_EQ(parsed.names.dns_names, (std::vector<std::string>{"coordinator.test"}));
  EXPECT_EQ(parsed.names.ip_addresses, (std::vector<std::string>{"127.0.0.1"}));
  ASSERT_OK_AND_ASSIGN(const Bytes named,
                       authority_->Certify(CoordinatorRequest(), {"host.example", 7002}));
  EXPECT_EQ(crypto::ParseCertificate(named)->names.dns_names,
            (std::vector<std::string>{"coordinator.test", "host.example"}));
  EXPECT_ERROR(authority_->Certify(CoordinatorRequest(), {"127.0.0.1", 0}),
               ErrorCode::kInvalidArgument);
}
TEST_F(AuthorityTest, TheEnrolmentListenerGetsItsName) {
  ASSERT_OK_AND_ASSIGN(const auto identity, authority_->EnrolmentIdentity());
  ASSERT_OK_AND_ASSIGN(const auto parsed,
                       crypto::VerifyCertificate(identity.certificate, authority_->certificate(),
                                                 Now(), crypto::CertificateKind::kServer));
  EXPECT_EQ(parsed.names.dns_names,
            (std::vector<std::string>{std::string(wire::kEnrolServerName)}));
  EXPECT_EQ(crypto::PrivateKeyFromDer(identity.private_key.view())->public_key, parsed.public_key);
}

TEST_F(AuthorityTest, ATokenSaysAllThatADeviceNeeds) {
  CertifyCoordinator();
  const wire::Token token = MakeToken(1, 600);
  EXPECT_EQ(token.authority, (wire::Endpoint{"127.0.0.1", 7001}));
  EXPECT_EQ(token.authority_sha256, authority_->certificate_sha256());
  EXPECT_EQ(token.coordinator, (wire::Endpoint{"127.0.0.1", 7002}));
  EXPECT_EQ(token.coordinator_name, "coordinator.test");
  EXPECT_EQ(token.plan_key, coordinator_plan_.public_key);
  EXPECT_EQ(token.expires, kStartSeconds + 600);
  EXPECT_FALSE(ConstantTimeEqual(token.secret.view(), MakeToken(1).secret.view()));
}
TEST_F(AuthorityTest, BadTokenRequestsAreRefused) {
  EXPECT_ERROR(authority_->MakeToken({1, 60, {"127.0.0.1", 1}}), ErrorCode::kFailedPrecondition);
  CertifyCoordinator();
  EXPECT_ERROR(authority_->MakeToken({0, 60, {"127.0.0.1", 1}}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(authority_->MakeToken({kMaxTokenDevices + 1, 60, {"127.0.0.1", 1}}),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(authority_->MakeToken({1, 0, {"127.0.0.1", 1}}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(authority_->MakeToken({1, kMaxTokenSeconds + 1, {"127.0.0.1", 1}}),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(authority_->MakeToken({1, 60, {"127.0.0.1", 0}}), ErrorCode::kInvalidArgument);
  EXPECT_OK(authority_->MakeToken({kMaxTokenDevices, kMaxTokenSeconds, {"127.0.0.1", 1}}));
}
TEST_F(AuthorityTest, TheSecretOfATokenIsNotStored) {
  CertifyCoordinator();
  const wire::Token token = MakeToken(1);
  authority_.reset();  // the log is moved into the file
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    ASSERT_OK_AND_ASSIGN(const Bytes bytes, ReadFile(entry.path().string(), 1U << 24));
    const auto secret = token.secret.view();
    EXPECT_EQ(std::search(bytes.begin(), bytes.end(), secret.begin(), secret.end()), bytes.end())
        << entry.path();
  }
}

TEST_F(AuthorityTest, DevicesAreNumberedInOrderOfEnrolment) {
  CertifyCoordinator();
  const wire::Token token = MakeToken(3);
  for (std::uint8_t i = 0; i < 3; ++i) {
    const auto key = KeyOf(i);
    ASSERT_OK_AND_ASSIGN(const auto reply, authority_->Enrol(RequestOf(key, token)));
    EXPECT_EQ(reply.device, DeviceNumber(kFirstDevice.value + i));
    ASSERT_OK_AND_ASSIGN(const auto parsed,
                         crypto::VerifyCertificate(reply.certificate_der, authority_->certificate(),
                                                   Now(), crypto::CertificateKind::kDevice));
    EXPECT_EQ(parsed.device, reply.device);
    EXPECT_EQ(parsed.public_key, key.public_key);
  }
  ASSERT_OK_AND_ASSIGN(const Counts counts, authority_->Count());
  EXPECT_EQ(counts.devices, 3U);
  EXPECT_EQ(counts.revoked, 0U);
}
TEST_F(AuthorityTest, ATokenHasExactlyItsUses) {
  CertifyCoordinator();
  const wire::Token token = MakeToken(2);
  ASSERT_OK(authority_->Enrol(RequestOf(KeyOf(1), token)));
  ASSERT_OK(authority_->Enrol(RequestOf(KeyOf(2), token)));
  EXPECT_ERROR(authority_->Enrol(RequestOf(KeyOf(3), token)), ErrorCode::kResourceExhausted);
  // Another token is not touched by that.
  EXPECT_OK(authority_->Enrol(RequestOf(KeyOf(3), MakeToken(1))));
}
TEST_F(AuthorityTest, EnrollingAgainGivesTheSameNumberAndCostsNoUse) {
  CertifyCoordinator();
  const wire::Token token = MakeToken(2);
  ASSERT_OK_AND_ASSIGN(const auto first, authority_->Enrol(RequestOf(KeyOf(1), token)));
  clock_.Advance(std::chrono::minutes(10));
  ASSERT_OK_AND_ASSIGN(const auto again, authority_->Enrol(RequestOf(KeyOf(1), token)));
  EXPECT_EQ(again.device, first.device);
  EXPECT_EQ(crypto::ParseCertificate(again.certificate_der)->validity.not_after,
            crypto::ParseCertificate(first.certificate_der)->validity.not_after + 600);
  ASSERT_OK(authority_->Enrol(RequestOf(KeyOf(2), token)));
  // Also when all uses are taken: the reply may have been lost.
  ASSERT_OK_AND_ASSIGN(const auto third, authority_->Enrol(RequestOf(KeyOf(1), token)));
  EXPECT_EQ(third.device, first.device);
  EXPECT_EQ(authority_->Count()->devices, 2U);
}
TEST_F(AuthorityTest, AnUnknownSecretIsRefused) {
  CertifyCoordinator();
  wire::Token token = MakeToken(1);
  token.secret.mutable_view()[31] ^= std::byte{1};
  EXPECT_ERROR(authority_->Enrol(RequestOf(KeyOf(1), token)), ErrorCode::kPermissionDenied);
  // Not even for a device that is enrolled.
  token.secret.mutable_view()[31] ^= std::byte{1};
  ASSERT_OK(authority_->Enrol(RequestOf(KeyOf(1), token)));
  token.secret.mutable_view()[0] ^= std::byte{1};
  EXPECT_ERROR(authority_->Enrol(RequestOf(KeyOf(1), token)), ErrorCode::kPermissionDenied);
  EXPECT_EQ(authority_->Count()->devices, 1U);
}
TEST_F(AuthorityTest, AnExpiredTokenIsRefused) {
  CertifyCoordinator();
  const wire::Token token = MakeToken(5, 60);
  clock_.Advance(std::chrono::seconds(60));
  EXPECT_OK(authority_->Enrol(RequestOf(KeyOf(1), token)));
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_ERROR(authority_->Enrol(RequestOf(KeyOf(2), token)), ErrorCode::kDeadlineExceeded);
  EXPECT_ERROR(authority_->Enrol(RequestOf(KeyOf(1), token)), ErrorCode::kDeadlineExceeded);
}
TEST_F(AuthorityTest, WhoDoesNotHoldTheKeyIsRefused) {
  CertifyCoordinator();
  const wire::Token token = MakeToken(2);
  wire::Enrol stolen = RequestOf(KeyOf(1), token);
  stolen.public_key = KeyOf(2).public_key;
  EXPECT_ERROR(authority_->Enrol(stolen), ErrorCode::kPermissionDenied);
  wire::Enrol unsigned_request = RequestOf(KeyOf(1), token);
  unsigned_request.signature.fill(std::byte{0});
  EXPECT_ERROR(authority_->Enrol(unsigned_request), ErrorCode::kPermissionDenied);
  // A signature made for another token does not carry over.
  wire::Enrol replayed = RequestOf(KeyOf(1), MakeToken(1));
  replayed.secret = token.secret.Clone();
  EXPECT_ERROR(authority_->Enrol(replayed), ErrorCode::kPermissionDenied);
  EXPECT_EQ(authority_->Count()->devices, 0U);
}
TEST_F(AuthorityTest, NoCertificateOutlivesTheAuthority) {
  CertifyCoordinator();
  clock_.Advance(std::chrono::hours(24 * (kAuthorityDays - 10)));
  ASSERT_OK_AND_ASSIGN(const auto reply, authority_->Enrol(RequestOf(KeyOf(1), MakeToken(1))));
  EXPECT_EQ(crypto::ParseCertificate(reply.certificate_der)->validity.not_after,
            crypto::ParseCertificate(authority_->certificate())->validity.not_after);
}

TEST_F(AuthorityTest, ARevokedDeviceIsListedAndCannotEnrolAgain) {
  CertifyCoordinator();
  const wire::Token token = MakeToken(3);
  ASSERT_OK(authority_->Enrol(RequestOf(KeyOf(1), token)));
  ASSERT_OK_AND_ASSIGN(const auto bad, authority_->Enrol(RequestOf(KeyOf(2), token)));
  ASSERT_OK(authority_->Revoke(bad.device));
  EXPECT_ERROR(authority_->Enrol(RequestOf(KeyOf(2), token)), ErrorCode::kPermissionDenied);
  EXPECT_OK(authority_->Enrol(RequestOf(KeyOf(1), token)));

  const auto key = crypto::ParseCertificate(authority_->certificate())->public_key;
  ASSERT_OK_AND_ASSIGN(const std::string file, ReadTextFile(path_ + "/revoked.json", 1U << 20));
  ASSERT_OK_AND_ASSIGN(const auto list, crypto::ParseRevocationList(file, key));
  EXPECT_EQ(list.devices, (std::vector<DeviceNumber>{bad.device}));
  EXPECT_EQ(list.sequence, 1U);
  ASSERT_OK_AND_ASSIGN(const std::string text, authority_->SignedRevocationList());
  EXPECT_EQ(crypto::ParseRevocationList(text, key)->devices, list.devices);
  EXPECT_EQ(authority_->Count()->revoked, 1U);
}
TEST_F(AuthorityTest, RevokingTwiceChangesNothingAndAnUnknownDeviceIsAnError) {
  CertifyCoordinator();
  ASSERT_OK_AND_ASSIGN(const auto reply, authority_->Enrol(RequestOf(KeyOf(1), MakeToken(1))));
  ASSERT_OK(authority_->Revoke(reply.device));
  ASSERT_OK(authority_->Revoke(reply.device));
  EXPECT_EQ(authority_->Count()->revoked, 1U);
  EXPECT_ERROR(authority_->Revoke(DeviceNumber(2)), ErrorCode::kNotFound);
  EXPECT_ERROR(authority_->Revoke(DeviceNumber(0)), ErrorCode::kNotFound);
  EXPECT_ERROR(authority_->Revoke(DeviceNumber(~std::uint64_t{0})), ErrorCode::kNotFound);
}
TEST_F(AuthorityTest, ARevocationThatCannotBePublishedIsNotRecorded) {
  CertifyCoordinator();
  ASSERT_OK_AND_ASSIGN(const auto reply, authority_->Enrol(RequestOf(KeyOf(1), MakeToken(1))));
  std::filesystem::remove(path_ + "/revoked.json");
  std::filesystem::create_directories(path_ + "/revoked.json/in the way");
  EXPECT_ERROR(authority_->Revoke(reply.device), ErrorCode::kUnavailable);
  EXPECT_EQ(authority_->Count()->revoked, 0U);
}

TEST_F(AuthorityTest, EverythingSurvivesReopening) {
  CertifyCoordinator();
  const wire::Token token = MakeToken(3);
  ASSERT_OK_AND_ASSIGN(const auto one, authority_->Enrol(RequestOf(KeyOf(1), token)));
  ASSERT_OK_AND_ASSIGN(const auto two, authority_->Enrol(RequestOf(KeyOf(2), token)));
  ASSERT_OK(authority_->Revoke(two.device));
  authority_ = Open();
  EXPECT_EQ(authority_->Enrol(RequestOf(KeyOf(1), token))->device, one.device);
  EXPECT_ERROR(authority_->Enrol(RequestOf(KeyOf(2), token)), ErrorCode::kPermissionDenied);
  EXPECT_EQ(authority_->Enrol(RequestOf(KeyOf(3), token))->device, DeviceNumber(3));
  EXPECT_ERROR(authority_->Enrol(RequestOf(KeyOf(4), token)), ErrorCode::kResourceExhausted);
  EXPECT_EQ(MakeToken(1).plan_key, coordinator_plan_.public_key);
}
// `demur-ca token` runs beside `demur-ca serve`.
TEST_F(AuthorityTest, TwoAuthoritiesOverOneFolderAgree) {
  CertifyCoordinator();
  const auto beside = Open();
  const wire::Token token = MakeToken(2);
  EXPECT_EQ(beside->Enrol(RequestOf(KeyOf(1), token))->device, DeviceNumber(1));
  EXPECT_EQ(authority_->Enrol(RequestOf(KeyOf(2), token))->device, DeviceNumber(2));
  EXPECT_ERROR(beside->Enrol(RequestOf(KeyOf(3), token)), ErrorCode::kResourceExhausted);
}
TEST_F(AuthorityTest, ManyAtOnceGetOneNumberEachAndNoMoreThanTheTokenAllows) {
  CertifyCoordinator();
  const wire::Token token = MakeToken(8);
  const auto beside = Open();
  std::vector<std::uint64_t> numbers(12);
  std::vector<std::thread> threads;
  for (std::uint8_t i = 0; i < 12; ++i) {
    Authority* authority = i % 2 == 0 ? authority_.get() : beside.get();
    threads.emplace_back([&numbers, &token, authority, i] {
      const auto reply = authority->Enrol(RequestOf(KeyOf(i), token));
      if (reply) numbers[i] = reply->device.value;
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::uint64_t> given(numbers.begin(), numbers.end());
  given.erase(0);
  EXPECT_EQ(given, (std::set<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(std::count(numbers.begin(), numbers.end(), 0U), 4);
}

// --- Epochs -------------------------------------------------------------------------------------

TEST_F(AuthorityTest, AnEpochIsClosedOverEverybodyEnrolled) {
  EXPECT_ERROR(authority_->CloseEpoch(), ErrorCode::kFailedPrecondition) << "nobody is enrolled";
  CertifyCoordinator();
  const wire::Token token = MakeToken(5);
  for (std::uint8_t i = 1; i <= 4; ++i) ASSERT_OK(authority_->Enrol(RequestOf(KeyOf(i), token)));
  ASSERT_OK(authority_->Revoke(DeviceNumber(2)));
  ASSERT_OK_AND_ASSIGN(const auto closed, authority_->CloseEpoch());
  EXPECT_EQ(closed.epoch, 1U);
  EXPECT_EQ(closed.enrolled, 4U);
  EXPECT_EQ(closed.active, 3U);
  EXPECT_EQ(closed.revocations, 1U);
  EXPECT_EQ(closed.unix_ms, clock_.UnixMillis());
  const Hash256 leaves[] = {secagg::PopulationLeaf(KeyOf(1).public_key), Hash256{},
                            secagg::PopulationLeaf(KeyOf(3).public_key),
                            secagg::PopulationLeaf(KeyOf(4).public_key)};
  EXPECT_EQ(closed.root, secagg::PopulationRoot(leaves));

  ASSERT_OK_AND_ASSIGN(const Bytes file, ReadFile(path_ + "/population.statement", 1000));
  const auto ca = crypto::ParseCertificate(authority_->certificate());
  EXPECT_EQ(secagg::OpenStatement(file, ca->public_key).value(), closed);
}

TEST_F(AuthorityTest, EveryEpochHasItsOwnNumberAndBeaconAlsoAfterARestart) {
  CertifyCoordinator();
  ASSERT_OK(authority_->Enrol(RequestOf(KeyOf(1), MakeToken(1))));
  ASSERT_OK_AND_ASSIGN(const auto first, authority_->CloseEpoch());
  authority_ = Open();
  ASSERT_OK_AND_ASSIGN(const auto second, authority_->CloseEpoch());
  EXPECT_EQ(second.epoch, 2U);
  EXPECT_NE(second.beacon, first.beacon);
  EXPECT_NE(first.beacon, Hash256{});
}

TEST_F(AuthorityTest, APathLeadsToTheRootOfTheNewestEpoch) {
  EXPECT_ERROR(authority_->ProveInclusion(DeviceNumber(1)), ErrorCode::kFailedPrecondition);
  CertifyCoordinator();
  const wire::Token token = MakeToken(9);
  for (std::uint8_t i = 1; i <= 5; ++i) ASSERT_OK(authority_->Enrol(RequestOf(KeyOf(i), token)));
  ASSERT_OK(authority_->Revoke(DeviceNumber(2)));
  ASSERT_OK(authority_->CloseEpoch());
  ASSERT_OK(authority_->Enrol(RequestOf(KeyOf(6), token)));
  for (const std::uint64_t number : {1U, 3U, 4U, 5U}) {
    ASSERT_OK_AND_ASSIGN(const auto proof, authority_->ProveInclusion(DeviceNumber(number)));
    EXPECT_EQ(proof.identity_key, KeyOf(static_cast<std::uint8_t>(number)).public_key);
    EXPECT_TRUE(secagg::VerifyInclusion(proof.statement, DeviceNumber(number), proof.identity_key,
                                        proof.path));
  }
  EXPECT_ERROR(authority_->ProveInclusion(DeviceNumber(0)), ErrorCode::kNotFound);
  EXPECT_ERROR(authority_->ProveInclusion(DeviceNumber(2)), ErrorCode::kNotFound) << "revoked";
  EXPECT_ERROR(authority_->ProveInclusion(DeviceNumber(6)), ErrorCode::kNotFound) << "later";
  ASSERT_OK(authority_->Revoke(DeviceNumber(3)));
  EXPECT_ERROR(authority_->ProveInclusion(DeviceNumber(4)), ErrorCode::kFailedPrecondition);
}

}  // namespace
}  // namespace demur::authority
