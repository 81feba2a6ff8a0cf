#include "demur/client/device.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/dispatch.hpp>
#include <asio/experimental/deferred.hpp>
#include <asio/experimental/parallel_group.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <asio/use_awaitable.hpp>
#include <cmath>
#include <string>
#include <utility>

#include "connection.h"
#include "demur/base/log.h"
#include "demur/client/enrol.h"
#include "demur/crypto/keys.h"
#include "demur/net/spawn.h"
#include "demur/net/tls_context.h"
#include "device_core.h"

namespace demur::client {
namespace {

constexpr std::uint32_t kEnrolTries = 4;

Error BadOption(const char* what) { return Error(ErrorCode::kInvalidArgument, what); }

Status CheckOptions(const DeviceOptions& options) {
  DEMUR_RETURN_IF_ERROR(options.floor.Validate());
  if (options.folder.empty()) return BadOption("device: no folder");
  if (!(options.held_out >= 0 && options.held_out < 1)) {
    return BadOption("device: held_out must be at least 0 and below 1");
  }
  if (options.drill.leave_permille > 1000) return BadOption("device: drill above 1000 permille");
  if (options.retry_min_ms == 0 || options.retry_max_ms < options.retry_min_ms) {
    return BadOption("device: retry_min_ms must be above 0 and not above retry_max_ms");
  }
  return {};
}

// Doubles with every failure. Devices that lost the same coordinator in the same moment come back
// spread over half of the time, by their numbers; after a good connection at once.
net::Limit RetryDelay(const DeviceOptions& options, std::uint64_t device, std::uint32_t failures) {
  std::uint64_t delay = options.retry_min_ms;
  for (std::uint32_t i = 0; i < failures && delay < options.retry_max_ms; ++i) delay *= 2;
  delay = std::min<std::uint64_t>(delay, options.retry_max_ms);
  if (failures == 0) return net::Limit(static_cast<std::int64_t>(delay));
  const std::uint64_t spread = (device * 0x9E3779B97F4A7C15ULL + failures) >> 32;
  delay -= spread % (delay / 2 + 1);
  return net::Limit(static_cast<std::int64_t>(std::max<std::uint64_t>(delay, 1)));
}

Result<net::TlsContext> ContextOf(const DeviceCore& core) {
  const Identity& identity = *core.identity;
  DEMUR_TRY(const crypto::Ed25519KeyPair key, crypto::Ed25519FromSeed(identity.key_seed));
  return net::TlsContext::Mutual(net::Role::kClient,
                                 {identity.certificate, crypto::PrivateKeyToDer(key)},
                                 identity.authority, core.tools.clock);
}

void LogEnding(const DeviceCore& core, const Ending& ending, std::uint32_t failures) {
  if (ending.status) return;
  // The first time is news; a coordinator that stays away is not, for each of many devices.
  const log::Level level = failures <= 1 ? log::Level::kInfo : log::Level::kDebug;
  log::Write(level, "connection_lost",
             {{"device", core.number.load()}, {"error", ending.status.error()}});
}

asio::awaitable<Status> RunUntilRefused(std::shared_ptr<DeviceCore> core, net::TlsContext context) {
  std::uint32_t failures = 0;
  for (;;) {
    DEMUR_CO_RETURN_IF_ERROR(CheckIdentity(*core->identity, core->tools.clock.UnixMillis()));
    const Ending ending = co_await ServeConnection(core, context);
    if (ending.final) co_return ending.status;
    failures = ending.admitted && !ending.broken ? 0 : failures + 1;
    LogEnding(*core, ending, failures);
    if (core->SessionPatience().value_or(net::Limit{1}) <= net::kNoLimit) {
      core->EndSession("the connection did not come back in time");
    }
    net::Limit delay = RetryDelay(core->options, core->number, failures);
    delay = std::max(delay, net::Limit(static_cast<std::int64_t>(ending.retry_ms)));
    DEMUR_CO_RETURN_IF_ERROR(co_await net::Pause(delay));
  }
}

asio::awaitable<Status> RunDevice(std::shared_ptr<DeviceCore> core) {
  if (!core->identity) co_return Error(ErrorCode::kNotFound, "device: not enrolled");
  if (core->running) co_return Error(ErrorCode::kFailedPrecondition, "device: runs already");
  if (core->stopped) co_return Status();
  DEMUR_CO_TRY(net::TlsContext context, ContextOf(*core));
  core->running = true;
  auto [order, failure, status, timer_error] =
      co_await asio::experimental::make_parallel_group(
          asio::co_spawn(core->strand, RunUntilRefused(core, std::move(context)),
                         asio::experimental::deferred),
          core->stop_timer.async_wait(asio::experimental::deferred))
          .async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
  static_cast<void>(timer_error);
  core->running = false;
  core->EndSession("the device stopped");
  if (order[0] != 0) co_return Status();
  if (failure) {
    net::LogUnexpected("device")(failure);
    co_return Error(ErrorCode::kInternal, "device: stopped by an exception (see the log)");
  }
  co_return std::move(status);
}

asio::awaitable<Status> EnrolDevice(std::shared_ptr<DeviceCore> core, wire::Token token) {
  if (core->identity) co_return Error(ErrorCode::kFailedPrecondition, "device: enrolled already");
  StreamId id;
  id.client = core->options.enrol_stream;
  id.purpose = Purpose::kKeys;
  DEMUR_CO_TRY(const auto stream, core->tools.random.Stream(id));
  DEMUR_CO_TRY(const SecretArray<32> seed, crypto::RandomKey(*stream));
  for (std::uint32_t tries = 0;; ++tries) {
    auto identity = co_await RequestIdentity(token.Clone(), seed.Clone(), core->tools.clock,
                                             core->options.connect_limit);
    if (identity) {
      DEMUR_CO_RETURN_IF_ERROR(core->store->SaveIdentity(*identity));
      core->Remember(std::move(*identity));
      log::Info("device_enrolled", {{"device", core->number.load()}});
      co_return Status();
    }
    if (identity.error().code() != ErrorCode::kUnavailable || tries + 1 == kEnrolTries) {
      co_return std::move(identity).error();
    }
    DEMUR_CO_RETURN_IF_ERROR(
        co_await net::Pause(RetryDelay(core->options, core->options.enrol_stream, tries)));
  }
}

asio::awaitable<Result<model::PrivateState>> LoadState(std::shared_ptr<DeviceCore> core,
                                                       TaskId task) {
  co_return core->store->LoadState(task);
}

asio::awaitable<Result<OwnMetrics>> MeasureOnWorker(OwnData own, NewestModel newest,
                                                    RandomSource& random) {
  co_return MeasureOwn(own, *newest.plan, *newest.model, random);
}

asio::awaitable<Result<OwnMetrics>> MeasureDevice(std::shared_ptr<DeviceCore> core) {
  if (!core->newest.model) co_return OwnMetrics{};
  DEMUR_CO_TRY(OwnData own, core->ReadOwn(core->newest.plan->task));
  co_return co_await asio::co_spawn(
      asio::make_strand(core->tools.workers),
      MeasureOnWorker(std::move(own), core->newest, core->tools.random), asio::use_awaitable);
}

}  // namespace

Device::Device(std::shared_ptr<DeviceCore> core) : core_(std::move(core)) {}
Device::~Device() { Stop(); }

Result<std::unique_ptr<Device>> Device::Open(DeviceOptions options, const DeviceTools& tools) {
  DEMUR_RETURN_IF_ERROR(CheckOptions(options));
  auto core = std::make_shared<DeviceCore>(std::move(options), tools);
  DEMUR_RETURN_IF_ERROR(core->OpenStore());
  return std::unique_ptr<Device>(new Device(std::move(core)));
}

const asio::any_io_executor& Device::executor() const { return core_->strand; }
bool Device::enrolled() const { return core_->number != 0; }
DeviceNumber Device::number() const { return DeviceNumber(core_->number); }
EventStore& Device::store() { return *core_->store; }

asio::awaitable<Status> Device::Enrol(wire::Token token) {
  return EnrolDevice(core_, std::move(token));
}

asio::awaitable<Status> Device::Run() { return RunDevice(core_); }

void Device::Stop() {
  asio::post(core_->strand, [core = core_] {
    core->stopped = true;
    core->stop_timer.cancel();
  });
}

asio::awaitable<Result<model::PrivateState>> Device::State(TaskId task) {
  return LoadState(core_, task);
}

asio::awaitable<Result<OwnMetrics>> Device::Measure() { return MeasureDevice(core_); }

DeviceCounts Device::counts() const {
  const std::lock_guard lock(core_->counts_mutex);
  return core_->counts;
}

}  // namespace demur::client
