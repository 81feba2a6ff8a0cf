#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "crash_checks.h"
#include "crash_points.h"
#include "demur/client/event_store.h"
#include "demur/client/key_provider.h"

// Kills one device, a process of its own, at every named point of enrolment and rounds, and lets it
// come back: for the round it was in it is a dropout, it never makes a second masked vector of a
// round, and it takes part again afterwards.
namespace demur::testing {
namespace {

class DeviceCrashTest : public CrashedRoundsTest {
 protected:
  coordinator::TaskConfig Task() const override {
    coordinator::TaskConfig task = CrashTest::Task();
    task.timeouts.reconnect_ms = 100;  // a device that died has left
    return task;
  }

  Status WriteConfig() const {
    const std::string text = "[devices]\nfolder = \"" + folder_.path() +
                             "/hosted\"\n[enrol]\ntoken_file = \"" + TokenFile() +
                             "\"\n[connection]\nretry_min_ms = 10\nretry_max_ms = 100\n";
    return WriteFileAtomically(ConfigFile(), AsBytes(text), FileMode::kPublic);
  }
  std::string ConfigFile() const { return folder_.path() + "/client.toml"; }
  pid_t StartDevice(const std::string& crash_at) {
    return Spawn(
        {DEMUR_CLIENT, "run", "--config", ConfigFile(), "--devices", "1", "--log-level", "error"},
        crash_at);
  }

  // Rounds that the killed device has taken part in, by its own account. Read from a copy: opening
  // a store may mend it, and that is the restarted device's work.
  Result<std::uint32_t> OwnParticipations() {
    const std::string copy = folder_.path() + "/copy";
    std::filesystem::remove_all(copy);
    std::filesystem::copy(folder_.path() + "/hosted/device-0001", copy,
                          std::filesystem::copy_options::recursive);
    client::FileKeyProvider keys(copy);
    client::EventStoreOptions options;
    options.folder = copy;
    DEMUR_TRY(const auto store, client::EventStore::Open(std::move(options), keys, system_));
    std::uint32_t out = 0;
    for (const client::TaskRecord& record : store.tasks()) out += record.account.participations;
    return out;
  }
};

TEST_P(DeviceCrashTest, IsADropoutOfTheRoundAndComesBack) {
  const pid_t coordinator = StartCoordinator("");
  ASSERT_OK(LearnPort());
  ASSERT_OK(EnrolDevices(kDevices - 1));
  ASSERT_OK(WriteConfig());
  RunDevices();
  const int killed = WaitFor(StartDevice(GetParam()));
  ASSERT_TRUE(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL)
      << GetParam() << " was never passed; status " << killed;
  ASSERT_OK_AND_ASSIGN(const std::uint32_t before, OwnParticipations());
  const int device = WaitFor(StartDevice(""));
  EXPECT_TRUE(WIFEXITED(device) && WEXITSTATUS(device) == 0) << "status " << device;
  const int status = WaitFor(coordinator);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  ExpectDevicesDone();
  ASSERT_OK_AND_ASSIGN(const std::uint32_t after, OwnParticipations());
  EXPECT_GT(after, before) << "it came back and took part in nothing";
  ASSERT_OK_AND_ASSIGN(const Story story, ReadStory());
  ExpectCountedOnce(story);
  ExpectNoDeviceOpened();
}

// The store commits when it is made, at enrolment, and twice or so a round.
std::vector<std::string> EveryDevicePoint() {
  std::vector<std::string> out;
  const auto add = [&out](std::string_view point, int most) {
    for (int count = 1; count <= most; ++count) {
      out.push_back(std::string(point) + ":" + std::to_string(count));
    }
  };
  for (const std::string_view point : kLifePoints) add(point, 1);
  for (const std::string_view point : kSessionPoints) add(point, 2);
  for (const std::string_view point : kStorePoints) add(point, 6);
  return out;
}

INSTANTIATE_TEST_SUITE_P(EveryPoint, DeviceCrashTest, ::testing::ValuesIn(EveryDevicePoint()),
                         NameOf);

}  // namespace
}  // namespace demur::testing
