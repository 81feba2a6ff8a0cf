#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <asio/co_spawn.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>
#include <csignal>
#include <cstdint>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "demur/authority/authority.h"
#include "demur/authority/enrol_server.h"
#include "demur/base/clock.h"
#include "demur/base/fault.h"
#include "demur/base/file.h"
#include "demur/base/log.h"
#include "demur/client/device.h"
#include "demur/coordinator/deployment.h"
#include "demur/coordinator/server.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/operator_files.h"
#include "demur/crypto/system_random.h"
#include "demur/seeded/seeded_random.h"
#include "demur/wire/token.h"
#include "result_matchers.h"
#include "share_oracle.h"
#include "temporary_folder.h"

// A coordinator that can be killed: a process of its own (this program again, with --coordinator),
// and devices and authority in the test's.
extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace demur::testing {

inline constexpr std::string_view kCoordinatorArgument = "--coordinator";
inline constexpr std::string_view kCrashServerName = "coordinator.test";
// Where the coordinator process finds the pipe into which it writes its port once it listens.
inline constexpr int kPortPipe = 3;

// What the coordinator process does: argv is {program, --coordinator, folder, port, stop after}.
// Every frame is appended to folder/frames before it is handled.
inline int CoordinatorMain(char** argv) {
  const std::string folder = argv[2];
  log::SetLevel(log::Level::kError);
  if (!InstallFaultHandlerFromEnvironment()) return 2;
  auto deployment = coordinator::LoadDeployment(folder);
  if (!deployment) return 2;
  const int frames = ::open((folder + "/frames").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const SystemClock clock;
  crypto::SystemRandom random;
  asio::thread_pool pool(2);
  coordinator::ServerOptions options;
  options.listen.port = static_cast<std::uint16_t>(std::stoul(argv[3]));
  options.stop_after = static_cast<std::uint32_t>(std::stoul(argv[4]));
  options.on_frame = [frames](DeviceNumber device, wire::FrameType type, ByteView frame) {
    ByteWriter record;
    record.U32(static_cast<std::uint32_t>(frame.size())).U64(device.value);
    record.U8(static_cast<std::uint8_t>(type)).Raw(frame);
    const Bytes& bytes = record.bytes();
    DEMUR_CHECK(::write(frames, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
                "cannot record");
  };
  int code = 1;
  {
    auto server = coordinator::Server::Start(std::move(*deployment), clock, random,
                                             pool.get_executor(), std::move(options));
    if (!server) {
      std::fprintf(stderr, "coordinator: %s\n", server.error().message().c_str());
      return 1;
    }
    const std::uint16_t port = (*server)->port();
    if (::write(kPortPipe, &port, sizeof port) == ssize_t{sizeof port}) {
      code = (*server)->Wait() ? 0 : 1;
    }
  }
  pool.join();
  return code;
}

class CrashTest : public ::testing::TestWithParam<std::string> {
 protected:
  static constexpr std::uint32_t kDevices = 22;
  static constexpr std::uint32_t kRounds = 3;  // to be committed

  void SetUp() override {
    log::SetLevel(log::Level::kError);
    ASSERT_OK(MakeOperatorFiles());
  }
  void TearDown() override {
    // Those that a failed assertion left behind: they would hold the folder and wait for ever.
    const std::set<pid_t> left = children_;
    for (const pid_t child : left) {
      ::kill(child, SIGKILL);
      WaitFor(child);
    }
    ClosePortPipe();
    for (const auto& device : devices_) device->Stop();
    for (auto& run : runs_) run.wait();
    devices_.clear();
    enrolment_.reset();
    workers_.join();
    io_.join();
  }

  virtual coordinator::TaskConfig Task() const {
    coordinator::TaskConfig task;
    task.name = "crash";
    task.id = TaskId{};         // with the devices' seed it decides who leaves when
    task.rounds = kRounds + 2;  // room for rounds that a crash burns
    task.cohort = kDevices;
    task.model = {.algorithm = "biased_mf", .items = 12, .factors = 2};
    task.privacy.noise = true;
    task.privacy.delta = 1e-6;
    task.privacy.population = kDevices;
    task.secagg.roster_min = 20;
    task.timeouts.retry_ms = 20;
    task.timeouts.reconnect_ms = 10'000;
    return task;
  }

  std::string TokenFile() const { return folder_.path() + "/token"; }
  std::string Folder() const { return folder_.path() + "/coordinator"; }

  Status MakeOperatorFiles() {
    const std::string authority_folder = folder_.path() + "/authority";
    DEMUR_RETURN_IF_ERROR(authority::Authority::Init(authority_folder, "test", clock_, system_));
    DEMUR_TRY(authority_, authority::Authority::Open(authority_folder, clock_, system_));
    DEMUR_RETURN_IF_ERROR(coordinator::InitDeployment(Folder(), kCrashServerName, Task(), system_));
    DEMUR_TRY(const std::string text,
              ReadTextFile(Folder() + "/server.request", crypto::kOperatorFileMaxLen));
    DEMUR_TRY(request_, crypto::ParseCertifyRequest(text));
    DEMUR_TRY(const Bytes certificate, authority_->Certify(request_, {"127.0.0.1", 1}));
    DEMUR_RETURN_IF_ERROR(crypto::WriteCertificateFile(Folder() + "/server.pem", certificate));
    return crypto::WriteCertificateFile(Folder() + "/ca.pem", authority_->certificate());
  }

  // `crash_at`: DEMUR_CRASH_AT, or empty.
  pid_t StartCoordinator(const std::string& crash_at) {
    ClosePortPipe();
    std::array<int, 2> ends{-1, -1};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    port_pipe_ = ends[0];
    const pid_t child = Spawn({"/proc/self/exe", std::string(kCoordinatorArgument), Folder(),
                               std::to_string(port_), std::to_string(kRounds)},
                              crash_at, ends[1]);
    ::close(ends[1]);
    return child;
  }
  // `port_pipe`: becomes the child's kPortPipe; -1: it has none.
  pid_t Spawn(std::vector<std::string> words, const std::string& crash_at, int port_pipe = -1) {
    std::vector<std::string> variables;
    for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
    if (!crash_at.empty()) variables.push_back("DEMUR_CRASH_AT=" + crash_at);
    posix_spawn_file_actions_t actions;
    EXPECT_EQ(::posix_spawn_file_actions_init(&actions), 0);
    if (port_pipe >= 0) {
      EXPECT_EQ(::posix_spawn_file_actions_adddup2(&actions, port_pipe, kPortPipe), 0);
    }
    pid_t child = 0;
    const int failed = ::posix_spawn(&child, words[0].c_str(), &actions, nullptr,
                                     Pointers(words).data(), Pointers(variables).data());
    ::posix_spawn_file_actions_destroy(&actions);
    EXPECT_EQ(failed, 0);
    if (failed == 0) children_.insert(child);
    return child;
  }
  static std::vector<char*> Pointers(std::vector<std::string>& words) {
    std::vector<char*> out;
    for (std::string& word : words) out.push_back(word.data());
    out.push_back(nullptr);
    return out;
  }
  // The child's status once it has ended.
  int WaitFor(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    children_.erase(child);
    return status;
  }
  // Blocks until the coordinator that was started last listens; an error when it ends before, or
  // when a minute has passed.
  Status LearnPort() {
    constexpr int kLimitMs = 60'000;
    pollfd readable{port_pipe_, POLLIN, 0};
    if (::poll(&readable, 1, kLimitMs) != 1) {
      return Error(ErrorCode::kDeadlineExceeded, "the coordinator does not listen");
    }
    if (::read(port_pipe_, &port_, sizeof port_) != ssize_t{sizeof port_}) {
      return Error(ErrorCode::kUnavailable, "the coordinator ended before it listened");
    }
    return {};
  }
  void ClosePortPipe() {
    if (port_pipe_ >= 0) ::close(port_pipe_);
    port_pipe_ = -1;
  }

  // `in_process` of the kDevices run here; the token file is for the others.
  Status EnrolDevices(std::uint32_t in_process = kDevices) {
    DEMUR_TRY(const Bytes certificate, authority_->Certify(request_, {"127.0.0.1", port_}));
    DEMUR_TRY(enrolment_,
              authority::EnrolServer::Start(*authority_, clock_, io_.get_executor(), {}));
    authority::TokenRequest wanted;
    wanted.devices = 2 * kDevices;  // one that died before it stored its identity asks again
    wanted.lifetime_s = 3600;
    wanted.enrolment_address = {"127.0.0.1", enrolment_->port()};
    DEMUR_TRY(const SecretBytes text, authority_->MakeToken(wanted));
    DEMUR_TRY(const wire::Token token, wire::ParseToken(AsText(text.view())));
    for (std::uint32_t index = 0; index < in_process; ++index) {
      DEMUR_RETURN_IF_ERROR(EnrolDevice(index, token));
    }
    return WriteFileAtomically(TokenFile(), text.view(), FileMode::kOwnerOnly);
  }
  Status EnrolDevice(std::uint32_t index, const wire::Token& token) {
    client::DeviceOptions options;
    options.folder = folder_.path() + "/device-" + std::to_string(index);
    options.retry_min_ms = 10;
    options.retry_max_ms = 100;
    // One in twenty leaves in the middle of a round, so that both kinds of seed get opened.
    options.drill = {.leave_permille = 50, .stage = client::DrillStage::kMixed};
    options.enrol_stream = index;
    DEMUR_TRY(auto device, client::Device::Open(std::move(options), tools_));
    const learning::Event event{ItemId(index % 12), learning::Signal::kLike, 1, 1};
    DEMUR_RETURN_IF_ERROR(device->Record(event).get());
    DEMUR_RETURN_IF_ERROR(
        asio::co_spawn(device->executor(), device->Enrol(token.Clone()), asio::use_future).get());
    devices_.push_back(std::move(device));
    return {};
  }
  void RunDevices() {
    for (const auto& device : devices_) {
      runs_.push_back(asio::co_spawn(device->executor(), device->Run(), asio::use_future));
    }
  }

  TemporaryFolder folder_;
  SystemClock clock_;
  crypto::SystemRandom system_;
  // Repeats, so that the same devices leave in every run.
  seeded::SeededRandom random_{11};
  client::ModelShelf shelf_;
  asio::thread_pool io_{2};
  asio::thread_pool workers_{2};
  client::DeviceTools tools_{random_, clock_, shelf_, io_, workers_};
  std::unique_ptr<authority::Authority> authority_;
  std::unique_ptr<authority::EnrolServer> enrolment_;
  crypto::CertifyRequest request_;
  std::vector<std::unique_ptr<client::Device>> devices_;
  std::vector<std::future<Status>> runs_;
  std::uint16_t port_ = 0;
  int port_pipe_ = -1;        // the end that is read here
  std::set<pid_t> children_;  // that have not been waited for
};

}  // namespace demur::testing
