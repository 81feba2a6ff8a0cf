#include "host.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/use_future.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <future>
#include <thread>
#include <utility>

#include "demur/base/file.h"
#include "demur/base/log.h"
#include "demur/base/process.h"
#include "demur/client/event_file.h"
#include "demur/net/spawn.h"

namespace demur::client {
namespace {

constexpr std::size_t kAtOnce = 32;  // devices that enrol or measure together
constexpr std::uint64_t kDescriptorsOfDevice = 6;
constexpr std::uint64_t kDescriptorsOfProcess = 64;
constexpr std::uint64_t kTokenFileMaxLen = 4096;
constexpr std::chrono::milliseconds kLook{200};

std::uint32_t WorkersOf(std::uint32_t asked) {
  return asked != 0 ? asked : std::max(1U, std::thread::hardware_concurrency());
}

Result<wire::Token> ReadToken(const std::string& path) {
  DEMUR_TRY(const SecretBytes text, [&path]() -> Result<SecretBytes> {
    DEMUR_TRY(Bytes bytes, ReadFile(path, kTokenFileMaxLen));
    return SecretBytes(std::move(bytes));
  }());
  auto token = wire::ParseToken(AsText(text.view()));
  if (!token) return std::move(token).error().WithContext(path);
  return token;
}

}  // namespace

// What happens when a device's Run is over.
struct Finished {
  Host* host;
  std::string folder;

  void operator()(std::exception_ptr failure, Status status) const {
    net::LogUnexpected("device")(failure);
    const std::lock_guard lock(host->mutex_);
    --host->running_;
    if (failure) status = Error(ErrorCode::kInternal, "stopped by an exception");
    if (!status) log::Warning("device_ended", {{"folder", folder}, {"error", status.error()}});
    if (!status && host->first_error_) {
      host->first_error_ = std::move(status).error().WithContext(folder);
    }
    host->ended_.notify_all();
  }
};

std::string Format(const HostMetrics& m) {
  std::string out =
      "metrics devices=" + std::to_string(m.devices) + " joined=" + std::to_string(m.joined) +
      " rounds_committed=" + std::to_string(m.committed) + " lost=" + std::to_string(m.lost) +
      " left=" + std::to_string(m.left) + " refused=" + std::to_string(m.refused);
  if (m.auc_devices > 0) {
    char text[64];
    std::snprintf(text, sizeof(text), " auc_mean=%.4f", m.auc_mean);
    out += text;
  }
  out += " auc_devices=" + std::to_string(m.auc_devices);
  return out;
}

Host::Host(HostConfig config, HostOptions options)
    : config_(std::move(config)),
      options_(options),
      workers_(WorkersOf(options.workers)),
      io_(std::max(1U, options.io_threads)) {}

Host::~Host() {
  Stop();
  io_.join();
  workers_.join();
}

void Host::Stop() {
  for (const auto& device : devices_) {
    if (device) device->Stop();
  }
}

Status Host::OpenDevice(std::uint32_t index) {
  const DeviceTools tools{random_, clock_, shelf_, io_, workers_};
  auto device = Device::Open(config_.OptionsOf(index), tools);
  if (!device) return std::move(device).error().WithContext(config_.DeviceFolder(index));
  if ((*device)->store().num_events() == 0 && !config_.events_folder.empty()) {
    DEMUR_TRY(auto events, LoadEvents(config_.EventFile(index)));
    if (Status saved = (*device)->Record(std::move(events)).get(); !saved) {
      return std::move(saved).error().WithContext(config_.DeviceFolder(index));
    }
  }
  devices_[index] = std::move(*device);
  return {};
}

Status Host::OpenAll() {
  devices_.resize(options_.devices);
  std::vector<std::future<Status>> opened;
  for (std::uint32_t i = 0; i < options_.devices; ++i) {
    opened.push_back(asio::post(workers_, asio::use_future([this, i] { return OpenDevice(i); })));
  }
  Status first;
  for (auto& future : opened) {
    Status status = future.get();
    if (!status && first) first = std::move(status);
  }
  return first;
}

Status Host::EnrolAll() {
  std::vector<std::uint32_t> missing;
  for (std::uint32_t i = 0; i < options_.devices; ++i) {
    if (devices_[i]->expires_unix_ms() <= clock_.UnixMillis()) missing.push_back(i);
  }
  if (missing.empty()) return {};
  if (config_.token_file.empty()) {
    const bool expired = devices_[missing[0]]->enrolled();
    return Error(ErrorCode::kFailedPrecondition,
                 config_.DeviceFolder(missing[0]) +
                     (expired ? ": the certificate has expired, and a new token renews it (key, "
                                "number and counters stay)"
                              : ": not enrolled") +
                     ": name a token of the authority in [enrol] token_file");
  }
  DEMUR_TRY(const wire::Token token, ReadToken(config_.token_file));
  for (std::size_t first = 0; first < missing.size(); first += kAtOnce) {
    const std::size_t last = std::min(missing.size(), first + kAtOnce);
    std::vector<std::future<Status>> waiting;
    for (std::size_t i = first; i < last; ++i) {
      Device& device = *devices_[missing[i]];
      waiting.push_back(
          asio::co_spawn(device.executor(), device.Enrol(token.Clone()), asio::use_future));
    }
    Status worst;
    for (std::size_t i = first; i < last; ++i) {
      Status status = waiting[i - first].get();
      if (!status && worst) {
        worst = std::move(status).error().WithContext(config_.DeviceFolder(missing[i]));
      }
    }
    DEMUR_RETURN_IF_ERROR(std::move(worst));
  }
  return {};
}

Status Host::Prepare() {
  DEMUR_RETURN_IF_ERROR(MakeFolder(config_.folder));
  DEMUR_RETURN_IF_ERROR(OpenAll());
  return EnrolAll();
}

bool Host::RoundsDone() const {
  if (options_.rounds == 0) return false;
  return std::any_of(devices_.begin(), devices_.end(), [this](const auto& device) {
    return device->counts().rounds_committed >= options_.rounds;
  });
}

// Looks up now and then: for the end of all devices, for the rounds asked for, to print.
Status Host::Await() {
  const auto every = std::chrono::duration<double>(options_.metrics_every_s);
  auto printed = clock_.Monotonic();
  std::unique_lock lock(mutex_);
  while (running_ > 0) {
    ended_.wait_for(lock, kLook);
    lock.unlock();
    if (RoundsDone()) Stop();
    if (options_.metrics_every_s > 0 && clock_.Monotonic() - printed >= every) {
      printed = clock_.Monotonic();
      DEMUR_TRY(const HostMetrics metrics, Measure());
      std::printf("%s\n", Format(metrics).c_str());
      std::fflush(stdout);
    }
    lock.lock();
  }
  return std::move(first_error_);
}

Status Host::Run() {
  asio::signal_set signals(io_, SIGINT, SIGTERM);
  signals.async_wait([this](const asio::error_code& failure, int) {
    if (!failure) Stop();
  });
  running_ = options_.devices;
  for (std::uint32_t i = 0; i < options_.devices; ++i) {
    Device& device = *devices_[i];
    asio::co_spawn(device.executor(), device.Run(), Finished{this, config_.DeviceFolder(i)});
  }
  log::Info("devices_running", {{"devices", options_.devices}});
  Status status = Await();
  if (!status) {
    Stop();
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return running_ == 0; });
  }
  signals.cancel();
  return status;
}

Result<HostMetrics> Host::Measure() {
  HostMetrics out;
  out.devices = devices_.size();
  for (const auto& device : devices_) {
    const DeviceCounts counts = device->counts();
    out.joined += counts.rounds_joined > 0 ? 1U : 0U;
    out.committed = std::max(out.committed, counts.rounds_committed);
    out.lost += counts.rounds_lost;
    out.left += counts.left_on_purpose;
    out.refused += counts.plans_refused;
    if (!counts.last_refusal.empty()) out.last_refusal = counts.last_refusal;
  }
  double sum = 0;
  for (std::size_t first = 0; first < devices_.size(); first += kAtOnce) {
    std::vector<std::future<Result<OwnMetrics>>> waiting;
    for (std::size_t i = first; i < std::min(devices_.size(), first + kAtOnce); ++i) {
      Device& device = *devices_[i];
      waiting.push_back(asio::co_spawn(device.executor(), device.Measure(), asio::use_future));
    }
    Status worst;
    for (auto& future : waiting) {
      auto metrics = future.get();
      if (!metrics) {
        worst = std::move(metrics).error();
      } else if (!std::isnan(metrics->auc)) {
        sum += metrics->auc;
        ++out.auc_devices;
      }
    }
    DEMUR_RETURN_IF_ERROR(std::move(worst));
  }
  if (out.auc_devices > 0) out.auc_mean = sum / static_cast<double>(out.auc_devices);
  return out;
}

Status RaiseDescriptorLimitFor(std::uint32_t devices) {
  return RaiseDescriptorLimit(kDescriptorsOfProcess + kDescriptorsOfDevice * devices);
}

}  // namespace demur::client
