#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>
#include <memory>
#include <utility>

#include "demur/authority/authority.h"
#include "demur/authority/enrol_server.h"
#include "demur/client/device.h"
#include "demur/client/enrol.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/operator_files.h"
#include "demur/crypto/system_random.h"
#include "fake_clock.h"
#include "result_matchers.h"
#include "temporary_folder.h"

// A device and its authority over loopback TLS.
namespace demur::client {
namespace {

constexpr net::Limit kPatience{30'000};  // not meant to pass

crypto::Ed25519KeyPair KeyOf(std::uint8_t number) {
  SecretArray<32> seed;
  seed.mutable_view()[0] = std::byte{number};
  return crypto::Ed25519FromSeed(seed).value();
}

class EnrolDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string path = folder_.File("authority");
    ASSERT_OK(authority::Authority::Init(path, "test authority", clock_, random_));
    ASSERT_OK_AND_ASSIGN(authority_, authority::Authority::Open(path, clock_, random_));
    ASSERT_OK_AND_ASSIGN(const std::string request,
                         crypto::MakeCertifyRequest("coordinator.test", KeyOf(200), KeyOf(201)));
    ASSERT_OK_AND_ASSIGN(const auto parsed, crypto::ParseCertifyRequest(request));
    ASSERT_OK(authority_->Certify(parsed, {"127.0.0.1", 7002}));
    ASSERT_OK_AND_ASSIGN(
        server_, authority::EnrolServer::Start(*authority_, clock_, io_.get_executor(), {}));
  }
  ~EnrolDeviceTest() override {
    if (server_) server_->Stop(net::kNoLimit);
    io_.join();
    workers_.join();
    device_.reset();
    server_.reset();
  }
  wire::Token MakeToken(std::uint32_t devices = 1) {
    const auto text = authority_->MakeToken({devices, 3600, {"127.0.0.1", server_->port()}});
    return wire::ParseToken(AsText(text.value().view())).value();
  }
  void Open(const std::string& name) {
    DeviceOptions options;
    options.folder = folder_.File(name);
    options.retry_min_ms = 1;
    options.retry_max_ms = 2;
    options.connect_limit = kPatience;
    const DeviceTools tools{random_, clock_, shelf_, io_, workers_};
    ASSERT_OK_AND_ASSIGN(device_, Device::Open(options, tools));
  }
  Status Enrol(const wire::Token& token) {
    return asio::co_spawn(device_->executor(), device_->Enrol(token.Clone()), asio::use_future)
        .get();
  }

  testing::TemporaryFolder folder_;
  testing::FakeClock clock_;
  crypto::SystemRandom random_;
  ModelShelf shelf_;
  asio::thread_pool workers_{1};
  asio::thread_pool io_{2};
  std::unique_ptr<authority::Authority> authority_;
  std::unique_ptr<authority::EnrolServer> server_;
  std::unique_ptr<Device> device_;
};

TEST_F(EnrolDeviceTest, StoresWhatTheAuthorityCertified) {
  Open("device");
  EXPECT_FALSE(device_->enrolled());
  const wire::Token token = MakeToken();
  ASSERT_OK(Enrol(token));
  EXPECT_TRUE(device_->enrolled());
  EXPECT_EQ(device_->number(), authority::kFirstDevice);
  ASSERT_OK_AND_ASSIGN(const Identity identity, device_->store().LoadIdentity());
  EXPECT_EQ(identity.authority, authority_->certificate());
  EXPECT_EQ(identity.host, "127.0.0.1");
  EXPECT_EQ(identity.port, 7002);
  EXPECT_EQ(identity.server_name, "coordinator.test");
  EXPECT_EQ(identity.plan_key, KeyOf(201).public_key);
  EXPECT_OK(CheckIdentity(identity, clock_.UnixMillis()));
  EXPECT_ERROR(CheckIdentity(identity, clock_.UnixMillis() + 400 * 86'400'000LL),
               ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(Enrol(token), ErrorCode::kFailedPrecondition);
}

TEST_F(EnrolDeviceTest, WrongTokensAreRefusedAndNothingIsStored) {
  Open("device");
  wire::Token unknown = MakeToken();
  unknown.secret.mutable_view()[0] ^= std::byte{1};
  EXPECT_ERROR(Enrol(unknown), ErrorCode::kPermissionDenied);

  // Another authority answers than the one that the token pins.
  wire::Token pinned = MakeToken();
  pinned.authority_sha256[0] ^= std::byte{1};
  EXPECT_ERROR(Enrol(pinned), ErrorCode::kPermissionDenied);

  const wire::Token expired = MakeToken();
  clock_.Advance(std::chrono::hours(2));
  EXPECT_ERROR(Enrol(expired), ErrorCode::kDeadlineExceeded);

  EXPECT_FALSE(device_->enrolled());
  EXPECT_ERROR(device_->store().LoadIdentity(), ErrorCode::kNotFound);
  ASSERT_OK(Enrol(MakeToken()));
}

TEST_F(EnrolDeviceTest, TokenForOneDeviceEnrolsOne) {
  const wire::Token token = MakeToken();
  Open("first");
  ASSERT_OK(Enrol(token));
  Open("second");
  EXPECT_ERROR(Enrol(token), ErrorCode::kResourceExhausted);
}

TEST_F(EnrolDeviceTest, NobodyAtTheAddress) {
  wire::Token token = MakeToken();
  server_->Stop(net::kNoLimit);
  Open("device");
  const Status status = Enrol(token);
  EXPECT_ERROR(status, ErrorCode::kUnavailable);
}

TEST_F(EnrolDeviceTest, RunWithoutAnIdentityIsRefused) {
  Open("device");
  EXPECT_ERROR(asio::co_spawn(device_->executor(), device_->Run(), asio::use_future).get(),
               ErrorCode::kNotFound);
}

}  // namespace
}  // namespace demur::client
