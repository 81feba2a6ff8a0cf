#include <asio/co_spawn.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "demur/base/clock.h"
#include "demur/base/file.h"
#include "demur/client/device.h"
#include "demur/client/key_provider.h"
#include "demur/client/model_shelf.h"
#include "demur/client/ranker.h"
#include "demur/crypto/system_random.h"
#include "demur/wire/token.h"

// The smallest whole application: one device that remembers what its owner liked and rejected,
// ranks, and with a token of an authority takes part in a federation until its task is complete.
// usage: consumer FOLDER [TOKEN_FILE]
namespace {

using demur::client::Device;
using demur::learning::Signal;

constexpr std::uint64_t kTokenFileMaxLen = 4096;

// What the devices of a process share. The threads end before the rest goes.
class App {
 public:
  App() = default;
  App(const App&) = delete;
  App& operator=(const App&) = delete;
  ~App() {
    io_.join();
    workers_.join();
  }
  demur::client::DeviceTools tools() { return {random_, clock_, shelf_, io_, workers_}; }
  std::int64_t now() const { return clock_.UnixMillis(); }

 private:
  demur::crypto::SystemRandom random_;
  demur::SystemClock clock_;
  demur::client::ModelShelf shelf_;
  asio::thread_pool workers_{1};
  asio::thread_pool io_{1};
};

demur::Result<std::unique_ptr<Device>> OpenDevice(App& app, const std::string& folder) {
  demur::client::DeviceOptions options;
  options.folder = folder + "/device";
  // A phone gives its keystore here.
  options.keys = std::make_shared<demur::client::FileKeyProvider>(folder + "/keys");
  return Device::Open(std::move(options), app.tools());
}

demur::Status Remember(Device& device, std::int64_t now) {
  DEMUR_RETURN_IF_ERROR(device.Record({demur::ItemId(7), Signal::kLike, now, 0}).get());
  DEMUR_RETURN_IF_ERROR(device.Record({demur::ItemId(9), Signal::kHide, now, 0}).get());
  std::printf("recorded 2 events\n");
  return {};
}

// The best five of the catalogue. What was hidden a moment ago is not among them.
demur::Status Show(Device& device) {
  const auto ranker = device.MakeRanker().get();
  if (!ranker && ranker.error().code() == demur::ErrorCode::kNotFound) {
    std::printf("nothing to rank with: %s\n", ranker.error().message().c_str());
    return {};
  }
  if (!ranker) return ranker.error();
  DEMUR_TRY(const auto best, ranker->Rank(5));
  for (const demur::client::Ranked& item : best) {
    if (item.item == demur::ItemId(9)) {
      return demur::Error(demur::ErrorCode::kInternal, "a hidden item was shown");
    }
    std::printf("item %u score %.3f\n", item.item.value, static_cast<double>(item.score));
  }
  return {};
}

demur::Status TakePart(Device& device, const std::string& token_file, std::int64_t now) {
  constexpr std::int64_t kMonthMs = 30LL * 24 * 3600 * 1000;
  if (device.expires_unix_ms() <= now + kMonthMs) {  // not enrolled, or soon to be renewed
    DEMUR_TRY(const demur::SecretBytes text, [&]() -> demur::Result<demur::SecretBytes> {
      DEMUR_TRY(demur::Bytes bytes, demur::ReadFile(token_file, kTokenFileMaxLen));
      return demur::SecretBytes(std::move(bytes));
    }());
    DEMUR_TRY(demur::wire::Token token, demur::wire::ParseToken(demur::AsText(text.view())));
    DEMUR_RETURN_IF_ERROR(
        asio::co_spawn(device.executor(), device.Enrol(std::move(token)), asio::use_future).get());
  }
  DEMUR_RETURN_IF_ERROR(asio::co_spawn(device.executor(), device.Run(), asio::use_future).get());
  std::printf("%llu rounds committed\n",
              static_cast<unsigned long long>(device.counts().rounds_committed));
  return {};
}

demur::Status Use(const std::string& folder, const std::string& token_file) {
  App app;
  DEMUR_TRY(const auto device, OpenDevice(app, folder));
  DEMUR_RETURN_IF_ERROR(Remember(*device, app.now()));
  DEMUR_RETURN_IF_ERROR(Show(*device));
  if (token_file.empty()) return {};
  DEMUR_RETURN_IF_ERROR(TakePart(*device, token_file, app.now()));
  return Show(*device);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) return 2;
  const demur::Status status = Use(argv[1], argc == 3 ? argv[2] : "");
  if (status) return 0;
  std::fprintf(stderr, "consumer: %s\n", status.error().message().c_str());
  return 1;
}
