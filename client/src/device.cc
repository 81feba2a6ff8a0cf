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
#include <exception>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "connection.h"
#include "demur/base/log.h"
#include "demur/client/enrol.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/keys.h"
#include "demur/net/spawn.h"
#include "demur/net/tls_context.h"
#include "device_core.h"

namespace demur::client {
namespace {

constexpr std::uint32_t kEnrolTries = 4;
constexpr std::int64_t kRenewalMs = 30LL * 24 * 3600 * 1000;  // before the certificate's end

// A promise to somebody on another thread. Kept also when the pools end before its turn comes.
template <class T>
class Answer {
 public:
  Answer() = default;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() {
    if (!given_) promise_.set_value(Error(ErrorCode::kAborted, "device: its threads have ended"));
  }
  std::future<T> future() { return promise_.get_future(); }
  void Give(T value) {
    given_ = true;
    promise_.set_value(std::move(value));
  }

 private:
  std::promise<T> promise_;
  bool given_ = false;
};

// Runs `work` on the strand of `core`; at once when this is the strand.
template <class Work>
std::future<Status> OnStrand(const std::shared_ptr<DeviceCore>& core, Work work) {
  auto answer = std::make_shared<Answer<Status>>();
  auto future = answer->future();
  asio::dispatch(core->strand,
                 [core, answer, work = std::move(work)] { answer->Give(work(*core)); });
  return future;
}

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
  // Now, and not when the owner wants to see a list.
  DEMUR_TRY(const auto checked,
            learning::Suppression::Create({}, options.signals, 0, options.suppression));
  static_cast<void>(checked);
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
  if (core->running || core->enrolling) {
    co_return Error(ErrorCode::kFailedPrecondition, "device: runs or enrols already");
  }
  DEMUR_CO_RETURN_IF_ERROR(core->store->Check());
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

// The key to be certified: a new one, or that of an identity whose certificate comes to its end.
Result<SecretArray<32>> SeedToEnrol(const DeviceCore& core, const wire::Token& token) {
  if (!core.identity) {
    StreamId id;
    id.client = core.options.enrol_stream;
    id.purpose = Purpose::kKeys;
    DEMUR_TRY(const auto stream, core.tools.random.Stream(id));
    return crypto::RandomKey(*stream);
  }
  const std::int64_t now = core.tools.clock.UnixMillis();
  if (CheckIdentity(*core.identity, now) && core.expires_unix_ms - now > kRenewalMs) {
    return Error(ErrorCode::kFailedPrecondition, "device: enrolled already");
  }
  if (crypto::Sha256(core.identity->authority) != token.authority_sha256) {
    return Error(ErrorCode::kPermissionDenied,
                 "device: the token is of another authority than the one this device is enrolled "
                 "at; only purge leads there, under a new key");
  }
  return core.identity->key_seed.Clone();
}

Status StoreIdentity(DeviceCore& core, Identity identity) {
  const bool renewed = core.identity.has_value();
  if (renewed && core.identity->device != identity.device) {
    return Error(ErrorCode::kFailedPrecondition,
                 "device: the authority gave this key another number (was its database lost?)");
  }
  DEMUR_RETURN_IF_ERROR(core.store->SaveIdentity(identity));
  core.Remember(std::move(identity));
  log::Info(renewed ? "device_renewed" : "device_enrolled",
            {{"device", core.number.load()}, {"folder", core.options.folder}});
  return {};
}

// True while it lives: a purge in between would leave the identity behind.
class Enrolling {
 public:
  explicit Enrolling(std::shared_ptr<DeviceCore> core) : core_(std::move(core)) {
    core_->enrolling = true;
  }
  Enrolling(const Enrolling&) = delete;
  Enrolling& operator=(const Enrolling&) = delete;
  ~Enrolling() { core_->enrolling = false; }

 private:
  std::shared_ptr<DeviceCore> core_;
};

asio::awaitable<Status> EnrolDevice(std::shared_ptr<DeviceCore> core, wire::Token token) {
  if (core->running || core->enrolling) {
    co_return Error(ErrorCode::kFailedPrecondition, "device: runs or enrols already");
  }
  DEMUR_CO_RETURN_IF_ERROR(core->store->Check());
  DEMUR_CO_TRY(const SecretArray<32> seed, SeedToEnrol(*core, token));
  const Enrolling enrolling(core);
  for (std::uint32_t tries = 0;; ++tries) {
    auto identity = co_await RequestIdentity(token.Clone(), seed.Clone(), core->tools.clock,
                                             core->options.connect_limit);
    if (identity) co_return StoreIdentity(*core, std::move(*identity));
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

asio::awaitable<Result<Ranker>> RankOnWorker(OwnData own, NewestModel newest,
                                             learning::SuppressionOptions suppression,
                                             std::int64_t now_unix_ms, RandomSource& random) {
  co_return RankOwn(own, *newest.plan, *newest.model, suppression, now_unix_ms, random);
}

asio::awaitable<Result<Ranker>> RankDevice(std::shared_ptr<DeviceCore> core) {
  if (!core->newest.model) {
    co_return Error(ErrorCode::kNotFound,
                    "device: no model yet; it comes with the first round that this device takes "
                    "part in");
  }
  DEMUR_CO_TRY(OwnData own, core->ReadOwn(core->newest.plan->task));
  // Named: GCC 12 frees a temporary aggregate inside a co_await expression twice.
  auto work = RankOnWorker(std::move(own), core->newest, core->options.suppression,
                           core->tools.clock.UnixMillis(), core->tools.random);
  co_return co_await asio::co_spawn(asio::make_strand(core->tools.workers), std::move(work),
                                    asio::use_awaitable);
}

// Hands a ranker over once it is made.
struct GiveRanker {
  std::shared_ptr<Answer<Result<Ranker>>> answer;

  void operator()(std::exception_ptr failure, Result<Ranker> ranker) const {
    if (failure) {
      net::LogUnexpected("device ranking")(failure);
      ranker = Error(ErrorCode::kInternal, "device: ranking ended by an exception (see the log)");
    }
    answer->Give(std::move(ranker));
  }
};

Status PurgeDevice(DeviceCore& core) {
  if (core.running || core.enrolling) {
    return Error(ErrorCode::kFailedPrecondition,
                 "device: it runs or enrols; Stop it, wait for Run to return, then purge");
  }
  DEMUR_RETURN_IF_ERROR(core.store->Purge());
  core.Forget();
  return {};
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
std::int64_t Device::expires_unix_ms() const { return core_->expires_unix_ms; }
const EventStore& Device::store() const { return *core_->store; }

std::future<Status> Device::Record(std::vector<learning::Event> events) {
  return OnStrand(core_, [events = std::move(events)](DeviceCore& core) {
    return core.store->AppendEvents(events);
  });
}

std::future<Status> Device::Record(const learning::Event& event) {
  return Record(std::vector<learning::Event>{event});
}

std::future<Result<Ranker>> Device::MakeRanker() {
  auto answer = std::make_shared<Answer<Result<Ranker>>>();
  auto future = answer->future();
  asio::dispatch(core_->strand, [core = core_, answer] {
    asio::co_spawn(core->strand, RankDevice(core), GiveRanker{answer});
  });
  return future;
}

std::future<Status> Device::Purge() { return OnStrand(core_, PurgeDevice); }

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
