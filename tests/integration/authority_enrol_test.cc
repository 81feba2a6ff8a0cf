#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>
#include <future>
#include <set>
#include <vector>

#include "demur/authority/authority.h"
#include "demur/authority/enrol_server.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/system_random.h"
#include "enrol_client.h"
#include "fake_clock.h"
#include "numbered_key.h"
#include "result_matchers.h"
#include "temporary_folder.h"

// Enrolment over loopback TLS: the way a device takes, and what hostile callers get.
namespace demur::authority {
namespace {

using testing::Enrolled;
using testing::KeyOf;

class EnrolTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(Authority::Init(path_, "test authority", clock_, random_));
    ASSERT_OK_AND_ASSIGN(authority_, Authority::Open(path_, clock_, random_));
    ASSERT_OK_AND_ASSIGN(const std::string request,
                         crypto::MakeCertifyRequest("coordinator.test", KeyOf(200), KeyOf(201)));
    ASSERT_OK_AND_ASSIGN(const auto parsed, crypto::ParseCertifyRequest(request));
    ASSERT_OK(authority_->Certify(parsed, {"127.0.0.1", 7002}));
    ASSERT_OK_AND_ASSIGN(server_,
                         EnrolServer::Start(*authority_, clock_, pool_.get_executor(), {}));
  }
  ~EnrolTest() override {
    if (server_) server_->Stop(net::kNoLimit);
    pool_.join();
    server_.reset();
  }

  wire::Token MakeToken(std::uint32_t devices) {
    const auto text = authority_->MakeToken({devices, 3600, {"127.0.0.1", server_->port()}});
    return wire::ParseToken(AsText(text.value().view())).value();
  }
  std::future<Result<Enrolled>> Send(const wire::Token& token, wire::FrameType type, Bytes body) {
    auto context = net::TlsContext::EnrolmentClient(token.authority_sha256, clock_).value();
    return asio::co_spawn(
        asio::make_strand(pool_),
        testing::SendToAuthority(token.authority, std::move(context), type, std::move(body)),
        asio::use_future);
  }
  std::future<Result<Enrolled>> Enrol(const crypto::Ed25519KeyPair& key, const wire::Token& token) {
    return Send(token, wire::FrameType::kEnrol, ToBytes(testing::EnrolBody(key, token).view()));
  }

  testing::TemporaryFolder folder_;
  const std::string path_ = folder_.File("authority");
  testing::FakeClock clock_;
  crypto::SystemRandom random_;
  std::unique_ptr<Authority> authority_;
  asio::thread_pool pool_{2};
  std::unique_ptr<EnrolServer> server_;
};

TEST_F(EnrolTest, ADeviceGetsItsCertificateFromTheTokenAlone) {
  const wire::Token token = MakeToken(1);
  const auto key = KeyOf(1);
  ASSERT_OK_AND_ASSIGN(const Enrolled enrolled, Enrol(key, token).get());
  EXPECT_EQ(enrolled.reply.device, kFirstDevice);
  EXPECT_EQ(enrolled.authority, authority_->certificate());
  ASSERT_OK_AND_ASSIGN(
      const auto parsed,
      crypto::VerifyCertificate(enrolled.reply.certificate_der, enrolled.authority,
                                clock_.UnixMillis() / 1000, crypto::CertificateKind::kDevice));
  EXPECT_EQ(parsed.public_key, key.public_key);
  EXPECT_EQ(parsed.device, kFirstDevice);
}
TEST_F(EnrolTest, ManyDevicesShareOneToken) {
  const wire::Token token = MakeToken(20);
  std::vector<std::future<Result<Enrolled>>> running;
  for (std::uint8_t i = 0; i < 20; ++i) running.push_back(Enrol(KeyOf(i), token));
  std::set<std::uint64_t> numbers;
  for (auto& one : running) {
    ASSERT_OK_AND_ASSIGN(const Enrolled enrolled, one.get());
    numbers.insert(enrolled.reply.device.value);
  }
  EXPECT_EQ(numbers.size(), 20U);
  EXPECT_EQ(*numbers.rbegin(), 20U);
  EXPECT_ERROR(Enrol(KeyOf(30), token).get(), ErrorCode::kResourceExhausted);
}
TEST_F(EnrolTest, RefusalsSayWhatTheCallerDidWrong) {
  wire::Token token = MakeToken(5);
  wire::Token guess = token.Clone();
  guess.secret.mutable_view()[5] ^= std::byte{4};
  const auto guessed = Enrol(KeyOf(1), guess).get();
  EXPECT_ERROR(guessed, ErrorCode::kPermissionDenied);
  EXPECT_EQ(guessed.error().message(), "refused: the authority does not know this token");
  clock_.Advance(std::chrono::hours(2));
  EXPECT_ERROR(Enrol(KeyOf(1), token).get(), ErrorCode::kDeadlineExceeded);
}
TEST_F(EnrolTest, AnAuthorityThatIsNotThePinnedOneIsNotBelieved) {
  wire::Token token = MakeToken(1);
  token.authority_sha256[0] ^= std::byte{1};
  EXPECT_ERROR(Enrol(KeyOf(1), token).get(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(authority_->Count()->devices, 0U);
}
TEST_F(EnrolTest, HostileFramesCloseTheirConnectionAndNothingElse) {
  const wire::Token token = MakeToken(2);
  EXPECT_ERROR(Send(token, wire::FrameType::kEnrol, Bytes(10, std::byte{0xff})).get(),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Send(token, wire::FrameType::kEnrol, {}).get(), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(Send(token, wire::FrameType::kHello, Bytes(8)).get().has_value());
  EXPECT_FALSE(
      Send(token, wire::FrameType::kEnrol, Bytes(wire::kMaxControlBodyLen + 1)).get().has_value());
  // The reply's own type is not a request either.
  EXPECT_FALSE(Send(token, wire::FrameType::kEnrolReply, Bytes(8)).get().has_value());
  // Every prefix of a good request.
  const Bytes good = ToBytes(testing::EnrolBody(KeyOf(1), token).view());
  for (std::size_t len = 0; len < good.size(); len += 8) {
    const ByteView part = ByteView(good).first(len);
    EXPECT_FALSE(Send(token, wire::FrameType::kEnrol, ToBytes(part)).get().has_value()) << len;
  }
  EXPECT_EQ(authority_->Count()->devices, 0U);
  EXPECT_OK(Enrol(KeyOf(1), token).get());
}
TEST_F(EnrolTest, AStoppedServerTakesNobody) {
  const wire::Token token = MakeToken(1);
  server_->Stop(net::kNoLimit);
  EXPECT_ERROR(Enrol(KeyOf(1), token).get(), ErrorCode::kUnavailable);
}
TEST_F(EnrolTest, ABusyOrBadAddressIsAnError) {
  EnrolServerOptions options;
  options.listen.port = server_->port();
  EXPECT_ERROR(EnrolServer::Start(*authority_, clock_, pool_.get_executor(), options),
               ErrorCode::kUnavailable);
  options.listen = {"localhost", 0};
  EXPECT_ERROR(EnrolServer::Start(*authority_, clock_, pool_.get_executor(), options),
               ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur::authority
