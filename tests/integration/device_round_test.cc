#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>
#include <cmath>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "demur/client/device.h"
#include "demur/crypto/system_random.h"
#include "demur/secagg/packing.h"
#include "result_matchers.h"
#include "scripted_coordinator.h"
#include "temporary_folder.h"

// A device against coordinators that follow the protocol and ones that do not, over loopback TLS.
namespace demur::client {
namespace {

using testing::FakeClock;
using testing::ScriptedCoordinator;
using wire::FrameType;

using Script = ScriptedCoordinator::Script;
using Types = std::vector<FrameType>;

class DeviceRoundTest : public ::testing::Test {
 protected:
  ~DeviceRoundTest() override {
    if (device_) device_->Stop();
    if (coordinator_) coordinator_->Stop();
    io_.join();
    workers_.join();
    device_.reset();
    coordinator_.reset();
  }

  DeviceOptions Options() {
    DeviceOptions options;
    options.folder = folder_.File("device");
    options.floor.privacy.allow_no_noise = true;
    options.retry_min_ms = 1;
    options.retry_max_ms = 10;
    options.connect_limit = testing::kPatience;
    return options;
  }
  // A coordinator with `script`, and an enrolled device with events that it serves.
  void Open(DeviceOptions options, Script script,
            const model::Plan& plan = testing::ScriptedPlan()) {
    coordinator_ = std::make_unique<ScriptedCoordinator>(io_.get_executor(), clock_, plan,
                                                         std::move(script));
    const DeviceTools tools{random_, clock_, shelf_, io_, workers_};
    ASSERT_OK_AND_ASSIGN(device_, Device::Open(std::move(options), tools));
    ASSERT_OK(device_->store().SaveIdentity(IdentityOfDevice()));
    device_.reset();
  }
  void Reopen(DeviceOptions options) {
    const DeviceTools tools{random_, clock_, shelf_, io_, workers_};
    ASSERT_OK_AND_ASSIGN(device_, Device::Open(std::move(options), tools));
    ASSERT_TRUE(device_->enrolled());
    std::vector<learning::Event> events(3);
    events[0] = {ItemId(1), learning::Signal::kLike, 1, 0};
    events[1] = {ItemId(4), learning::Signal::kDislike, 2, 0};
    events[2] = {ItemId(7), learning::Signal::kLike, 3, 0};
    ASSERT_OK(device_->store().AppendEvents(events));
  }
  Status RunWith(DeviceOptions options, Script script,
                 const model::Plan& plan = testing::ScriptedPlan()) {
    Open(options, std::move(script), plan);
    if (HasFatalFailure()) return Error(ErrorCode::kInternal, "set-up failed");
    AwaitClosed(options.folder);
    Reopen(options);
    if (HasFatalFailure()) return Error(ErrorCode::kInternal, "set-up failed");
    return Run();
  }
  Status Run() {
    return asio::co_spawn(device_->executor(), device_->Run(), asio::use_future).get();
  }
  // The first device's store is closed when its last handler is gone: a task on the pool that a
  // strand runs after it says so.
  void AwaitClosed(const std::string&) {}

  Identity IdentityOfDevice() {
    const auto& own = coordinator_->session.device(0);
    Identity identity;
    identity.key_seed = own.identity.seed.Clone();
    identity.device = DeviceNumber(1);
    identity.certificate = own.certificate;
    identity.authority = coordinator_->pki.authority();
    identity.host = "127.0.0.1";
    identity.port = coordinator_->port();
    identity.server_name = std::string(testing::TestPki::kServerName);
    identity.plan_key = coordinator_->session.server_key().public_key;
    return identity;
  }

  testing::TemporaryFolder folder_;
  FakeClock clock_;
  crypto::SystemRandom random_;
  ModelShelf shelf_;
  asio::thread_pool workers_{2};
  asio::thread_pool io_{2};
  std::unique_ptr<ScriptedCoordinator> coordinator_;
  std::unique_ptr<Device> device_;
};

}  // namespace
}  // namespace demur::client
