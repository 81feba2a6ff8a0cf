#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "demur/authority/authority.h"
#include "demur/authority/enrol_server.h"
#include "demur/client/device.h"
#include "demur/client/enrol.h"
#include "demur/client/event_store.h"
#include "demur/client/key_provider.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/operator_files.h"
#include "demur/crypto/system_random.h"
#include "fake_clock.h"
#include "numbered_key.h"
#include "result_matchers.h"
#include "temporary_folder.h"

// A device and its authority over loopback TLS.
namespace demur::client {
namespace {

using testing::KeyOf;

constexpr net::Limit kPatience{30'000};  // not meant to pass

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
    StartServer();
  }
  void StartServer() {
    if (server_) server_->Stop(net::kNoLimit);
    ASSERT_OK_AND_ASSIGN(
        server_, authority::EnrolServer::Start(*authority_, clock_, io_.get_executor(), {}));
  }
  Status Run() {
    return asio::co_spawn(device_->executor(), device_->Run(), asio::use_future).get();
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

// --- Renewal

constexpr std::chrono::hours kYear{366 * 24};

TEST_F(EnrolDeviceTest, AnExpiredCertificateIsRenewedForTheSameKeyAndNumber) {
  TaskRecord spent;
  {
    FileKeyProvider keys(folder_.File("device"));
    ASSERT_OK_AND_ASSIGN(EventStore store,
                         EventStore::Open({folder_.File("device")}, keys, random_));
    spent.account.task.bytes.fill(std::byte{7});
    spent.last_seen = {1, 5};
    ASSERT_OK(store.SaveTask(spent));
  }
  Open("device");
  ASSERT_OK(Enrol(MakeToken()));
  ASSERT_OK_AND_ASSIGN(const Identity before, device_->store().LoadIdentity());
  EXPECT_EQ(device_->expires_unix_ms(),
            clock_.UnixMillis() + std::chrono::milliseconds(kYear).count());

  clock_.Advance(kYear + std::chrono::hours(1));
  const Status expired = Run();
  EXPECT_ERROR(expired, ErrorCode::kFailedPrecondition);
  EXPECT_NE(expired.error().message().find("has expired"), std::string::npos);
  EXPECT_NE(expired.error().message().find("enrol again with a new token"), std::string::npos);

  StartServer();  // its own certificate has come to its end as well
  ASSERT_OK(Enrol(MakeToken()));
  ASSERT_OK_AND_ASSIGN(const Identity after, device_->store().LoadIdentity());
  EXPECT_TRUE(ConstantTimeEqual(before.key_seed.view(), after.key_seed.view()));
  EXPECT_EQ(after.device, before.device);
  EXPECT_EQ(device_->number(), before.device);
  EXPECT_NE(after.certificate, before.certificate);
  EXPECT_OK(CheckIdentity(after, clock_.UnixMillis()));
  EXPECT_EQ(device_->expires_unix_ms(),
            clock_.UnixMillis() + std::chrono::milliseconds(kYear).count());
  EXPECT_EQ(authority_->Count().value().devices, 1U);
  ASSERT_NE(device_->store().FindTask(spent.task()), nullptr);
  EXPECT_EQ(*device_->store().FindTask(spent.task()), spent);
}

TEST_F(EnrolDeviceTest, RenewalIsForTheLastThirtyDays) {
  Open("device");
  ASSERT_OK(Enrol(MakeToken()));
  clock_.Advance(kYear - std::chrono::hours(31 * 24));
  EXPECT_ERROR(Enrol(MakeToken()), ErrorCode::kFailedPrecondition);
  clock_.Advance(std::chrono::hours(2 * 24));
  EXPECT_OK(Enrol(MakeToken()));
}

TEST_F(EnrolDeviceTest, RenewalIsForTheSameAuthorityAndNotForTheRevoked) {
  Open("device");
  ASSERT_OK(Enrol(MakeToken()));
  clock_.Advance(kYear + std::chrono::hours(1));
  StartServer();
  wire::Token other = MakeToken();
  other.authority_sha256[0] ^= std::byte{1};
  const Status refused = Enrol(other);
  EXPECT_ERROR(refused, ErrorCode::kPermissionDenied);
  EXPECT_NE(refused.error().message().find("another authority"), std::string::npos);

  ASSERT_OK(authority_->Revoke(device_->number()));
  EXPECT_ERROR(Enrol(MakeToken()), ErrorCode::kPermissionDenied);
  EXPECT_TRUE(device_->enrolled());
}

// The identity would be written into a store that was erased.
TEST_F(EnrolDeviceTest, PurgeWaitsForTheEndOfAnEnrolment) {
  asio::ip::tcp::acceptor silent(io_, {asio::ip::address_v4::loopback(), 0});
  wire::Token token = MakeToken();
  token.authority.port = silent.local_endpoint().port();
  Open("device");
  auto enrolled =
      asio::co_spawn(device_->executor(), device_->Enrol(token.Clone()), asio::use_future);
  EXPECT_ERROR(device_->Purge().get(), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(Enrol(MakeToken()), ErrorCode::kFailedPrecondition);
  silent.close();
  EXPECT_FALSE(enrolled.get().has_value());
  EXPECT_OK(device_->Purge().get());
  ASSERT_OK(Enrol(MakeToken()));
}

}  // namespace
}  // namespace demur::client
