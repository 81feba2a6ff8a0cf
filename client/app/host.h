#pragma once

#include <asio/thread_pool.hpp>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "demur/base/clock.h"
#include "demur/base/result.h"
#include "demur/client/config.h"
#include "demur/client/device.h"
#include "demur/client/model_shelf.h"
#include "demur/crypto/system_random.h"

// N devices in one process, each with its own store, key and connection. The public functions are
// for one thread; Stop is for any.
namespace demur::client {

// Over all devices of the process, from their own held-out events; sent nowhere.
struct HostMetrics {
  std::uint64_t devices = 0;
  std::uint64_t joined = 0;     // took part in a round at least once
  std::uint64_t committed = 0;  // rounds, the largest number any device saw committed
  std::uint64_t lost = 0;       // participations that did not end in a commit
  std::uint64_t left = 0;       // of these on purpose
  std::uint64_t refused = 0;    // plans
  std::string last_refusal;     // one of them
  double auc_mean = 0;          // over `auc_devices`
  std::uint64_t auc_devices = 0;
};
std::string Format(const HostMetrics& metrics);  // one line of key=value

struct HostOptions {
  std::uint32_t devices = 1;
  std::uint32_t io_threads = 2;
  std::uint32_t workers = 0;   // 0: one a core
  std::uint64_t rounds = 0;    // stop after so many committed rounds; 0: no such end
  double metrics_every_s = 0;  // print while running; 0: at the end only
};

class Host {
 public:
  Host(HostConfig config, HostOptions options);
  ~Host();  // joins all threads

  // Opens every store, reads event files into empty ones, enrols who is not and renews the
  // certificates that have expired. The first error, with the device's folder.
  Status Prepare();
  // Until SIGTERM or SIGINT, the rounds are done, or every device has ended. The error of a device
  // that ended with one.
  Status Run();
  // After Run, or while it runs.
  Result<HostMetrics> Measure();
  void Stop();

 private:
  Status OpenDevice(std::uint32_t index);
  Status OpenAll();
  Status EnrolAll();
  Status Await();
  bool RoundsDone() const;
  friend struct Finished;

  const HostConfig config_;
  const HostOptions options_;
  SystemClock clock_;
  crypto::SystemRandom random_;
  ModelShelf shelf_;
  asio::thread_pool workers_;
  asio::thread_pool io_;
  std::vector<std::unique_ptr<Device>> devices_;

  std::mutex mutex_;  // guards what stands below
  std::condition_variable ended_;
  std::uint32_t running_ = 0;
  Status first_error_;
};

// Makes room for the descriptors of `devices` devices. kResourceExhausted: the hard limit is too
// low.
Status RaiseDescriptorLimitFor(std::uint32_t devices);

}  // namespace demur::client
