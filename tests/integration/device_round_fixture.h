#pragma once

#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "demur/base/file.h"
#include "demur/client/device.h"
#include "demur/client/event_store.h"
#include "demur/client/key_provider.h"
#include "demur/crypto/system_random.h"
#include "result_matchers.h"
#include "scripted_coordinator.h"
#include "temporary_folder.h"

// A device and a scripted coordinator over loopback TLS.
namespace demur::client {

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
  // A coordinator with `script`, and the device that it serves: enrolled, with three events.
  void Open(const DeviceOptions& options, Script script,
            const model::Plan& plan = testing::ScriptedPlan()) {
    coordinator_ =
        std::make_unique<ScriptedCoordinator>(io_.get_executor(), clock_, plan, std::move(script));
    {
      ASSERT_OK(MakeFolder(options.folder));
      FileKeyProvider files(options.folder);
      KeyProvider& keys = options.keys ? *options.keys : files;
      ASSERT_OK_AND_ASSIGN(EventStore store, EventStore::Open({options.folder}, keys, random_));
      ASSERT_OK(store.SaveIdentity(IdentityOfDevice()));
      const std::vector<learning::Event> events = {{ItemId(1), learning::Signal::kLike, 1, 0},
                                                   {ItemId(4), learning::Signal::kDislike, 2, 0},
                                                   {ItemId(7), learning::Signal::kLike, 3, 0}};
      ASSERT_OK(store.AppendEvents(events));
    }
    const DeviceTools tools{random_, clock_, shelf_, io_, workers_};
    ASSERT_OK_AND_ASSIGN(device_, Device::Open(options, tools));
    ASSERT_TRUE(device_->enrolled());
  }
  Status RunWith(const DeviceOptions& options, Script script,
                 const model::Plan& plan = testing::ScriptedPlan()) {
    Open(options, std::move(script), plan);
    if (HasFatalFailure()) return Error(ErrorCode::kInternal, "set-up failed");
    return asio::co_spawn(device_->executor(), device_->Run(), asio::use_future).get();
  }
  // Of the scripted task; nothing where the device never took part.
  const TaskRecord* Record() {
    return device_->store().FindTask(coordinator_->session.plan().task);
  }

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

// --- Scripts: named coroutines, everything by value or outliving the connection

inline asio::awaitable<Status> WholeRound(ScriptedCoordinator& self, net::FrameStream& stream,
                                          std::uint32_t) {
  self.Announce();
  DEMUR_CO_RETURN_IF_ERROR(co_await self.Play(stream));
  co_return co_await ScriptedCoordinator::Complete(stream);
}

// Announces; then the device is expected to send one frame and no more.
inline asio::awaitable<Status> AnnounceAndRead(ScriptedCoordinator& self, net::FrameStream& stream,
                                               std::uint32_t) {
  self.Announce();
  DEMUR_CO_RETURN_IF_ERROR(co_await self.Flush(stream));
  DEMUR_CO_TRY(const net::Frame frame, co_await self.Read(stream));
  (void)frame;
  co_return co_await ScriptedCoordinator::Complete(stream);
}

// The same, and the frame is a Leave of that scope.
inline asio::awaitable<Status> AnnounceAndReadLeave(ScriptedCoordinator& self,
                                                    net::FrameStream& stream,
                                                    wire::LeaveScope scope) {
  self.Announce();
  DEMUR_CO_RETURN_IF_ERROR(co_await self.Flush(stream));
  DEMUR_CO_TRY(const net::Frame frame, co_await self.Read(stream));
  DEMUR_CO_TRY(const wire::Leave leave, wire::DecodeLeave(frame.body));
  const model::Plan& plan = self.session.plan();
  const wire::Leave expected{plan.task, plan.round, plan.attempt, scope};
  if (leave != expected) co_return Error(ErrorCode::kInvalidArgument, "left something else");
  co_return co_await ScriptedCoordinator::Complete(stream);
}
inline ScriptedCoordinator::Script LeavesOnly(wire::LeaveScope scope) {
  return [scope](ScriptedCoordinator& self, net::FrameStream& stream, std::uint32_t) {
    return AnnounceAndReadLeave(self, stream, scope);
  };
}

// Announces, and falls silent.
inline asio::awaitable<Status> Silence(ScriptedCoordinator& self, net::FrameStream& stream,
                                       std::uint32_t) {
  self.Announce();
  DEMUR_CO_RETURN_IF_ERROR(co_await self.Play(stream, FrameType::kAdvertise));
  co_await self.AwaitEnd(stream);
  co_return Status();
}

}  // namespace demur::client
