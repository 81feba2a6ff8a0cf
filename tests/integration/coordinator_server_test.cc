#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/connect.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>
#include <asio/write.hpp>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "demur/base/file.h"
#include "demur/base/log.h"
#include "demur/coordinator/deployment.h"
#include "demur/coordinator/round_store.h"
#include "demur/coordinator/server.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/operator_files.h"
#include "demur/crypto/system_random.h"
#include "demur/net/connect.h"
#include "demur/wire/control.h"
#include "fake_clock.h"
#include "result_matchers.h"
#include "temporary_folder.h"
#include "test_pki.h"

// A coordinator's server over real sockets: what it starts with, whom it turns away, whom it cuts
// off, and what it shows.
namespace demur::coordinator {
namespace {

using net::Limit;
using testing::FakeClock;
using testing::TestPki;
using wire::FrameType;

constexpr Limit kLong{30'000};  // not meant to pass; the test would fail by it
constexpr net::FrameLimits kAnyFrame{1U << 22, kLong, kLong};
constexpr std::uint32_t kCohort = 20;
constexpr std::uint8_t kFirst = 10;  // number of the first device

using StreamPtr = std::unique_ptr<net::FrameStream>;

asio::awaitable<Result<StreamPtr>> SayHello(net::ConnectOptions to, net::TlsContext context) {
  DEMUR_CO_TRY(auto stream, co_await net::Connect(std::move(to), std::move(context)));
  const Bytes hello = wire::Encode(wire::Hello{wire::kProtocolVersion, "test", {}});
  DEMUR_CO_RETURN_IF_ERROR(co_await stream->WriteFrame(FrameType::kHello, hello, kLong));
  co_return std::move(stream);
}

asio::awaitable<Result<net::Frame>> ReadOne(net::FrameStream& stream) {
  co_return co_await stream.ReadFrame(kAnyFrame);
}

// Connects, says nothing, and reads what comes.
asio::awaitable<Result<net::Frame>> StaySilent(net::ConnectOptions to, net::TlsContext context) {
  DEMUR_CO_TRY(auto stream, co_await net::Connect(std::move(to), std::move(context)));
  co_return co_await stream->ReadFrame(kAnyFrame);
}

// So many messages of nonsense.
asio::awaitable<void> Flood(net::FrameStream& stream, std::uint32_t frames) {
  const Bytes body(64);
  for (std::uint32_t i = 0; i < frames; ++i) {
    const Status sent = co_await stream.WriteFrame(FrameType::kAdvertise, body, kLong);
    if (!sent) co_return;
  }
}

// One HTTP exchange, as text.
std::string Get(std::uint16_t port, const std::string& path) {
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  socket.connect({asio::ip::make_address("127.0.0.1"), port});
  asio::write(socket, asio::buffer("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"));
  std::string answer;
  asio::error_code closed;
  asio::read(socket, asio::dynamic_buffer(answer), closed);
  return answer;
}

class CoordinatorServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    log::SetLevel(log::Level::kOff);
    ASSERT_OK(MakeFolder(Task()));
  }
  ~CoordinatorServerTest() override {
    server_.reset();
    pool_.join();
  }

  static TaskConfig Task() {
    TaskConfig task;
    task.name = "served";
    task.cohort = kCohort;
    task.model = {.algorithm = "item_statistics", .items = 4};
    task.privacy.noise = true;
    task.privacy.delta = 1e-6;
    task.privacy.population = 1000;
    return task;
  }
  Status MakeFolder(TaskConfig task) {
    std::filesystem::remove_all(dir_);
    DEMUR_RETURN_IF_ERROR(InitDeployment(dir_, TestPki::kServerName, std::move(task), random_));
    DEMUR_TRY(const std::string text,
              ReadTextFile(dir_ + "/server.request", crypto::kOperatorFileMaxLen));
    DEMUR_TRY(const auto request, crypto::ParseCertifyRequest(text));
    const crypto::ServerNames names{{std::string(TestPki::kServerName)}, {"127.0.0.1"}};
    const std::int64_t now = clock_.UnixMillis() / 1000;
    crypto::Serial serial{};
    serial.front() = std::byte{0x41};
    DEMUR_TRY(const Bytes certificate,
              crypto::IssueServer(pki_.authority_key(), pki_.authority(), request.tls_key, names,
                                  {now - 3'600, now + 43'200}, serial));
    DEMUR_RETURN_IF_ERROR(crypto::WriteCertificateFile(dir_ + "/server.pem", certificate));
    return crypto::WriteCertificateFile(dir_ + "/ca.pem", pki_.authority());
  }
  Status Start(ServerOptions options = {}) {
    server_.reset();
    DEMUR_TRY(Deployment deployment, LoadDeployment(dir_));
    DEMUR_TRY(server_, Server::Start(std::move(deployment), clock_, random_, pool_.get_executor(),
                                     std::move(options)));
    return {};
  }
  // A list of the authority (or of `signer`) with its first devices shut out.
  Status WriteRevocations(std::uint64_t sequence, std::vector<DeviceNumber> devices = {}) {
    return WriteRevocations(pki_.authority_key(), sequence, std::move(devices));
  }
  Status WriteRevocations(const crypto::Ed25519KeyPair& signer, std::uint64_t sequence,
                          std::vector<DeviceNumber> devices) {
    crypto::RevocationList list;
    list.sequence = sequence;
    list.devices = std::move(devices);
    DEMUR_TRY(const std::string text, crypto::SignRevocationList(signer, list));
    return WriteFileAtomically(revoked_, AsBytes(text), FileMode::kPublic);
  }
  // The population of epoch `epoch`: devices 1 to `enrolled`.
  Status WritePopulation(std::uint64_t epoch, std::uint64_t enrolled) {
    return WritePopulation(pki_.authority_key(), epoch, enrolled);
  }
  Status WritePopulation(const crypto::Ed25519KeyPair& signer, std::uint64_t epoch,
                         std::uint64_t enrolled) {
    secagg::PopulationStatement statement;
    statement.epoch = epoch;
    statement.enrolled = enrolled;
    statement.unix_ms = clock_.UnixMillis();
    DEMUR_TRY(const Bytes bytes, secagg::SignStatement(signer, statement));
    return WriteFileAtomically(dir_ + "/population.statement", bytes, FileMode::kPublic);
  }
  void ExpectNoStart(const std::string& named, const ServerOptions& options = {}) {
    const Status started = Start(options);
    ASSERT_FALSE(started.has_value()) << named;
    EXPECT_NE(started.error().message().find(named), std::string::npos)
        << started.error().message();
  }

  net::ConnectOptions To() const {
    return {"127.0.0.1", server_->port(), std::string(TestPki::kServerName), kLong};
  }
  net::TlsContext As(std::uint8_t device) {
    return net::TlsContext::Mutual(net::Role::kClient, pki_.Device(device), pki_.authority(),
                                   clock_)
        .value();
  }
  // With a certificate that ends so many seconds from now.
  net::TlsContext AsUntil(std::uint8_t device, std::int64_t seconds) {
    const crypto::Ed25519KeyPair key = pki_.Key(device);
    const std::int64_t now = clock_.UnixMillis() / 1000;
    crypto::Serial serial{};
    serial.front() = std::byte{0x42};
    serial.back() = std::byte{device};
    const net::TlsIdentity identity{
        crypto::IssueDevice(pki_.authority_key(), pki_.authority(), key.public_key,
                            DeviceNumber(device), {now - 60, now + seconds}, serial)
            .value(),
        crypto::PrivateKeyToDer(key)};
    return net::TlsContext::Mutual(net::Role::kClient, identity, pki_.authority(), clock_).value();
  }
  // Everything of a stream runs on the one strand.
  template <class T>
  T Run(asio::awaitable<T> work) {
    return asio::co_spawn(strand_, std::move(work), asio::use_future).get();
  }
  Result<StreamPtr> Connect(std::uint8_t device) { return Run(SayHello(To(), As(device))); }
  Result<net::Frame> Read(net::FrameStream& stream) { return Run(ReadOne(stream)); }
  void Close(StreamPtr stream) {
    std::promise<void> done;
    asio::post(strand_, [&stream, &done] {
      stream.reset();
      done.set_value();
    });
    done.get_future().wait();
  }
  // Whoever was cut off had no place in a cohort, and the others are too few for one.
  void ExpectNoRoundWasDrawn() {
    server_.reset();
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, RoundStore::Access::kRead));
    ASSERT_OK_AND_ASSIGN(const auto rounds, store.Rounds(1));
    EXPECT_TRUE(rounds.empty());
  }
  static wire::Refusal RefusalOf(const Result<net::Frame>& frame) {
    EXPECT_OK(frame);
    if (!frame) return {};
    EXPECT_EQ(frame->type, FrameType::kRefusal);
    auto refusal = wire::DecodeRefusal(frame->body);
    EXPECT_OK(refusal);
    return refusal ? *refusal : wire::Refusal{};
  }

  FakeClock clock_;
  TestPki pki_;
  crypto::SystemRandom random_;
  testing::TemporaryFolder folder_;
  const std::string dir_ = folder_.File("coordinator");
  const std::string revoked_ = dir_ + "/revoked.json";
  asio::thread_pool pool_{2};
  asio::strand<asio::any_io_executor> strand_{pool_.get_executor()};
  std::unique_ptr<Server> server_;
};

// --- Starting -----------------------------------------------------------------------------------

TEST_F(CoordinatorServerTest, TheBudgetIsKnownAsSoonAsItHasStarted) {
  ASSERT_OK(Start());
  const StatusView status = server_->status();
  ASSERT_TRUE(status.budget.has_value()) << "a task with noise is never shown as one without";
  EXPECT_EQ(status.budget->epsilon_spent, 0);
  EXPECT_EQ(status.budget->epsilon_budget, 6);
}

TEST_F(CoordinatorServerTest, ThePageIsForTheLoopbackOnly) {
  for (const char* host : {"0.0.0.0", "::", "192.0.2.1", "localhost"}) {
    ServerOptions options;
    options.admin = wire::Endpoint{host, 0};
    ExpectNoStart("only a loopback address", options);
  }
  ServerOptions options;
  options.admin = wire::Endpoint{"127.0.0.1", 0};
  EXPECT_OK(Start(options));
}

TEST_F(CoordinatorServerTest, ACertificateThatDevicesWouldRefuseIsNotServed) {
  clock_.Advance(std::chrono::hours(13));
  ExpectNoStart("has expired; renew it with `demur-ca certify");
  clock_.Advance(-std::chrono::hours(13));
  ASSERT_OK(Start());
  server_.reset();
  ASSERT_OK(crypto::WriteCertificateFile(dir_ + "/ca.pem", TestPki(2).authority()));
  ExpectNoStart("another authority signed it");
}

// Nobody who was shut out comes back because a file was lost.
TEST_F(CoordinatorServerTest, RevocationsThatAreMissingOlderOrDamagedKeepItFromStarting) {
  ASSERT_OK(Start()) << "before the first revocation there need be no file";
  ASSERT_OK(WriteRevocations(2, {DeviceNumber(3), DeviceNumber(4)}));
  ASSERT_OK(Start());
  server_.reset();
  std::filesystem::remove(revoked_);
  ExpectNoStart("is missing, but list 2 was in force");
  ASSERT_OK(WriteRevocations(1, {DeviceNumber(3)}));
  ExpectNoStart("list 1 is older than list 2");
  ASSERT_OK(WriteRevocations(2, {DeviceNumber(3), DeviceNumber(5)}));
  ExpectNoStart("lacks device 4, which list 2 shut out for good");
  ASSERT_OK(WriteRevocations(3, {DeviceNumber(3), DeviceNumber(5), DeviceNumber(6)}));
  ExpectNoStart("was the authority restored from a backup?");
  ASSERT_OK(WriteRevocations(TestPki(2).authority_key(), 3, {}));
  ExpectNoStart("copy revoked.json from the authority's folder");
  ASSERT_OK(WriteFileAtomically(revoked_, AsBytes(std::string("{}")), FileMode::kPublic));
  ExpectNoStart("copy revoked.json from the authority's folder");
  ASSERT_OK(WriteRevocations(2, {DeviceNumber(3), DeviceNumber(4)}));
  EXPECT_OK(Start());
  EXPECT_EQ(server_->status().revocations, 2U);
}

// --- Devices ------------------------------------------------------------------------------------

TEST_F(CoordinatorServerTest, ARevokedDeviceIsTurnedAwayForGood) {
  ASSERT_OK(WriteRevocations(1, {DeviceNumber(kFirst)}));
  ASSERT_OK(Start());
  auto stream = Connect(kFirst);
  ASSERT_OK(stream);
  const wire::Refusal refusal = RefusalOf(Read(**stream));
  EXPECT_EQ(refusal.code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(refusal.retry_after_ms, 0U);
  Close(std::move(*stream));
  EXPECT_EQ(server_->status().connections_refused, 1U);
}

// The list is read before every round, and a connection from before does not count as a device.
TEST_F(CoordinatorServerTest, WhoIsRevokedWhileConnectedIsCutOffBeforeTheNextRound) {
  ASSERT_OK(Start());
  std::vector<StreamPtr> streams;
  for (std::uint8_t i = 0; i < kCohort; ++i) {
    if (i + 1 == kCohort) {
      ASSERT_OK(WriteRevocations(1, {DeviceNumber(kFirst)}));
    }
    auto stream = Connect(static_cast<std::uint8_t>(kFirst + i));
    ASSERT_OK(stream);
    const auto welcome = Read(**stream);
    ASSERT_OK(welcome);
    EXPECT_EQ(welcome->type, FrameType::kWelcome);
    streams.push_back(std::move(*stream));
  }
  EXPECT_ERROR(Read(*streams[0]), ErrorCode::kUnavailable) << "closed without an invitation";
  EXPECT_EQ(server_->status().revocations, 1U);
  for (StreamPtr& stream : streams) Close(std::move(stream));
  ExpectNoRoundWasDrawn();
}

TEST_F(CoordinatorServerTest, AListThatCannotBeBelievedLeavesTheOneBeforeInForce) {
  ASSERT_OK(WriteRevocations(1, {DeviceNumber(99)}));
  ASSERT_OK(Start());
  ASSERT_OK(WriteFileAtomically(revoked_, AsBytes(std::string("{}")), FileMode::kPublic));
  std::vector<StreamPtr> streams;
  for (std::uint8_t i = 0; i < kCohort; ++i) {
    auto stream = Connect(static_cast<std::uint8_t>(kFirst + i));
    ASSERT_OK(stream);
    ASSERT_OK(Read(**stream));
    streams.push_back(std::move(*stream));
  }
  const auto announce = Read(*streams[0]);
  ASSERT_OK(announce);
  EXPECT_EQ(announce->type, FrameType::kAnnounce) << "the round is run all the same";
  const StatusView status = server_->status();
  EXPECT_EQ(status.revocations, 1U);
  EXPECT_EQ(status.revocations_refused, 1U);
  for (StreamPtr& stream : streams) Close(std::move(stream));
}

// Nobody would accept it as a member, so that its place would be lost in every round.
TEST_F(CoordinatorServerTest, WhoseCertificateEndsWhileConnectedIsCutOffBeforeTheNextRound) {
  ASSERT_OK(Start());
  std::vector<StreamPtr> streams;
  for (std::uint32_t i = 0; i + 1 < kCohort; ++i) {
    auto stream = Run(SayHello(To(), AsUntil(static_cast<std::uint8_t>(kFirst + i), 600)));
    ASSERT_OK(stream);
    ASSERT_OK(Read(**stream));
    streams.push_back(std::move(*stream));
  }
  clock_.Advance(std::chrono::seconds(601));
  auto last = Connect(kFirst + kCohort - 1);
  ASSERT_OK(last);
  EXPECT_ERROR(Read(*streams[0]), ErrorCode::kUnavailable) << "closed without an invitation";
  for (StreamPtr& stream : streams) Close(std::move(stream));
  Close(std::move(*last));
  ExpectNoRoundWasDrawn();
}

// --- Cohorts that the authority draws -----------------------------------------------------------

TEST_F(CoordinatorServerTest, APopulationThatCannotBeBelievedKeepsItFromStarting) {
  TaskConfig task = Task();
  task.eligibility.rate = 1;
  ASSERT_OK(MakeFolder(task));
  ASSERT_OK(Start()) << "before the first epoch is closed there need be no file";
  EXPECT_EQ(server_->status().cohort_rule, "authority-drawn (rate 1, no epoch closed yet)");
  server_.reset();
  ASSERT_OK(WritePopulation(TestPki(2).authority_key(), 1, 100));
  ExpectNoStart("population.statement: population statement: the signature is not the authority's");
  ASSERT_OK(WriteFileAtomically(dir_ + "/population.statement", Bytes(20), FileMode::kPublic));
  ExpectNoStart("run `demur-ca close-epoch` and copy population.statement");
  ASSERT_OK(WritePopulation(4, 100));
  ASSERT_OK(Start());
  EXPECT_EQ(server_->status().cohort_rule, "authority-drawn (rate 1, epoch 4, 100 enrolled)");
}

TEST_F(CoordinatorServerTest, AnEpochInForceIsNotReplacedByAnOlderOneOrAnother) {
  ASSERT_OK(WritePopulation(2, 100));
  ASSERT_OK_AND_ASSIGN(const auto first, LoadPopulation(dir_, pki_.authority(), std::nullopt));
  ASSERT_TRUE(first.has_value());
  EXPECT_OK(LoadPopulation(dir_, pki_.authority(), first));
  ASSERT_OK(WritePopulation(2, 101));
  EXPECT_ERROR(LoadPopulation(dir_, pki_.authority(), first), ErrorCode::kInvalidArgument);
  ASSERT_OK(WritePopulation(1, 100));
  EXPECT_ERROR(LoadPopulation(dir_, pki_.authority(), first), ErrorCode::kFailedPrecondition);
  std::filesystem::remove(dir_ + "/population.statement");
  EXPECT_ERROR(LoadPopulation(dir_, pki_.authority(), first), ErrorCode::kFailedPrecondition);
  ASSERT_OK(WritePopulation(3, 101));
  ASSERT_OK_AND_ASSIGN(const auto next, LoadPopulation(dir_, pki_.authority(), first));
  EXPECT_EQ(next->statement.enrolled, 101U);
}

// Twenty-one are connected, the last one enrolled after the epoch was closed.
TEST_F(CoordinatorServerTest, OnlyWhoIsDrawnIsInvited) {
  TaskConfig task = Task();
  task.eligibility.rate = 1;
  task.connected_min = kCohort + 1;
  task.secagg.roster_max = kCohort + 1;
  ASSERT_OK(MakeFolder(task));
  ASSERT_OK(WritePopulation(1, kFirst + kCohort - 1));
  ASSERT_OK(Start());
  std::vector<StreamPtr> streams;
  for (std::uint32_t i = 0; i <= kCohort; ++i) {
    auto stream = Connect(static_cast<std::uint8_t>(kFirst + i));
    ASSERT_OK(stream);
    ASSERT_OK(Read(**stream));
    streams.push_back(std::move(*stream));
  }
  const auto announced = Read(*streams[0]);
  ASSERT_OK(announced);
  EXPECT_EQ(announced->type, FrameType::kAnnounce);
  for (StreamPtr& stream : streams) Close(std::move(stream));
  server_.reset();
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, RoundStore::Access::kRead));
  ASSERT_OK_AND_ASSIGN(const auto rounds, store.Rounds(1));
  ASSERT_EQ(rounds.size(), 1U);
  EXPECT_EQ(rounds[0].cohort, kCohort);
}

// It may only have been slow: a refusal without a time to come back would retire it for good.
TEST_F(CoordinatorServerTest, ADeviceThatWasTooSlowToSayHelloMayComeBack) {
  ServerOptions options;
  options.hello_limit = Limit(30);  // meant to pass
  ASSERT_OK(Start(options));
  const wire::Refusal refusal = RefusalOf(Run(StaySilent(To(), As(kFirst))));
  EXPECT_EQ(refusal.code, ErrorCode::kDeadlineExceeded);
  EXPECT_GT(refusal.retry_after_ms, 0U);
}

// Every frame that waits for the engine is memory.
TEST_F(CoordinatorServerTest, WhoSendsFasterThanARoundNeedsIsCutOff) {
  std::promise<void> handled;
  std::promise<void> go_on;
  std::shared_future<void> may_go_on = go_on.get_future().share();
  ServerOptions options;
  std::atomic<std::uint32_t> frames{0};
  options.on_frame = [&](DeviceNumber, FrameType, ByteView) {
    if (frames.fetch_add(1) == 0) handled.set_value();
    may_go_on.wait();
  };
  ASSERT_OK(Start(options));
  auto stream = Connect(kFirst);
  ASSERT_OK(stream);
  ASSERT_OK(Read(**stream));
  Run(Flood(**stream, 1));
  handled.get_future().wait();  // the engine stands still with the first one
  // Eight are kept; the ninth is the last that the server reads, so that nothing unread makes the
  // system drop its answer.
  Run(Flood(**stream, 9));
  const wire::Refusal refusal = RefusalOf(Read(**stream));
  EXPECT_EQ(refusal.code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refusal.text.find("faster than a round needs"), std::string::npos) << refusal.text;
  go_on.set_value();
  Close(std::move(*stream));
  server_.reset();
  EXPECT_LE(frames.load(), 9U);
}

// --- What it shows ------------------------------------------------------------------------------

TEST_F(CoordinatorServerTest, ThePageTheMetricsAndTheHealthAreServed) {
  ServerOptions options;
  options.admin = wire::Endpoint{"127.0.0.1", 0};
  ASSERT_OK(Start(options));
  const std::uint16_t port = server_->admin_port();
  const auto holds = [port](const std::string& path, const std::string& text) {
    const std::string answer = Get(port, path);
    EXPECT_NE(answer.find(text), std::string::npos) << path << "\n" << answer;
  };
  holds("/", "HTTP/1.1 200");
  holds("/", "epsilon &lt;= 0.000 of 6 spent");
  holds("/healthz", "\r\n\r\nok\n");
  holds("/metrics", "demur_rounds_committed_total 0\n");
  holds("/metrics", "demur_certificate_not_after_seconds 1900043200\n");
  holds("/status.json", "\"phase\": \"gathering\"");
  holds("/secrets", "HTTP/1.1 404");
}

}  // namespace
}  // namespace demur::coordinator
