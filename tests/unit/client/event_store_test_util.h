#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "demur/base/fault.h"
#include "demur/base/file.h"
#include "demur/client/event_store.h"
#include "demur/crypto/system_random.h"
#include "demur/storage/database.h"
#include "result_matchers.h"
#include "temporary_folder.h"

// What the tests of the event store share.
namespace demur::client {

namespace fs = std::filesystem;
using learning::Event;
using learning::Signal;

struct Crash {};

inline void CrashAt(std::string point) {
  SetFaultHandler([point = std::move(point)](std::string_view name) {
    if (name == point) throw Crash{};
  });
}

inline TaskId MakeTask(unsigned char name) {
  TaskId task;
  task.bytes.fill(std::byte{name});
  return task;
}

inline Event MakeEvent(std::uint32_t item, Signal signal = Signal::kLike) {
  return {ItemId(item), signal, 1'700'000'000'000 + item, 0};
}

inline std::vector<std::uint32_t> Items(const std::vector<Event>& events) {
  std::vector<std::uint32_t> out;
  for (const Event& event : events) out.push_back(event.item.value);
  return out;
}

// What policy.h hands out before M1 of round `counter`, ..
inline TaskRecord Seen(TaskRecord record, std::uint32_t counter, std::uint32_t attempt = 0) {
  record.last_seen = {1, counter};
  record.last_seen_attempt = attempt;
  return record;
}
// .. and before its M5.
inline TaskRecord Masked(TaskRecord record, std::uint32_t counter, std::uint32_t attempt = 0) {
  record = Seen(std::move(record), counter, attempt);
  record.masked_round = {1, counter};
  record.masked_attempt = attempt;
  record.account.last_round = {1, counter};
  ++record.account.participations;
  for (std::uint64_t& units : record.account.spent.units) units += 1'000;
  return record;
}
inline TaskRecord Fresh(unsigned char name = 7) {
  TaskRecord record;
  record.account.task = MakeTask(name);
  return record;
}

inline Identity MakeIdentity() {
  Identity identity;
  std::fill(identity.key_seed.mutable_view().begin(), identity.key_seed.mutable_view().end(),
            std::byte{0xA7});
  identity.device = DeviceNumber(0x1122334455667788);
  identity.certificate = ToBytes(AsBytes("certificate of this device"));
  identity.authority = ToBytes(AsBytes("certificate of the authority"));
  identity.host = "coordinator.example";
  identity.port = 4433;
  identity.server_name = "coordinator.test";
  identity.plan_key.fill(std::byte{0x3C});
  return identity;
}

class EventStoreTest : public ::testing::Test {
 protected:
  void TearDown() override { SetFaultHandler({}); }

  std::string Data() const { return folder_.File("data"); }
  std::string Keys() const { return folder_.File("keys"); }
  Result<EventStore> Open(std::size_t max_events = 100) {
    return EventStore::Open({Data(), max_events}, keys_, random_);
  }
  void StartOver() {
    fs::remove_all(Data());
    fs::remove_all(Keys());
  }
  // Every byte of every file below `folder`: database, log and free pages.
  static std::string EveryByte(const std::string& folder) {
    std::string all;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const auto bytes = ReadFile(entry.path().string(), 1U << 26);
      EXPECT_OK(bytes);
      if (bytes) all += AsText(*bytes);
    }
    return all;
  }
  // The start of each nonce and of each ciphertext of `table`, as it lies on the disk. Reads a
  // copy: the store may be open.
  std::vector<std::string> Traces(const std::string& table) const {
    const std::string copy = folder_.File("copy");
    fs::remove_all(copy);
    fs::copy(Data(), copy, fs::copy_options::recursive);
    std::vector<std::string> traces;
    auto database = storage::Database::Open(SealedStorePath(copy), {});
    EXPECT_OK(database);
    auto all = database->Prepare("SELECT nonce, sealed FROM " + table);
    EXPECT_OK(all);
    while (true) {
      const auto row = all->Step();
      EXPECT_OK(row);
      if (!row || !*row) return traces;
      traces.emplace_back(AsText(all->Blob(0)));
      traces.emplace_back(AsText(all->Blob(1).first(12)));
    }
  }

  testing::TemporaryFolder folder_;
  FileKeyProvider keys_{folder_.File("keys")};
  crypto::SystemRandom random_;
};

}  // namespace demur::client
