#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "crash_checks.h"

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
  pid_t StartDevice(const std::string& crash_at) const {
    return Spawn(
        {DEMUR_CLIENT, "run", "--config", ConfigFile(), "--devices", "1", "--log-level", "error"},
        crash_at);
  }
};

TEST_P(DeviceCrashTest, IsADropoutOfTheRoundAndComesBack) {
  const pid_t coordinator = StartCoordinator("");
  ASSERT_OK(LearnPort(coordinator));
  ASSERT_OK(EnrolDevices(kDevices - 1));
  ASSERT_OK(WriteConfig());
  RunDevices();
  const int killed = WaitFor(StartDevice(GetParam()));
  ASSERT_TRUE(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL)
      << GetParam() << " was never passed; status " << killed;
  const int device = WaitFor(StartDevice(""));
  EXPECT_TRUE(WIFEXITED(device) && WEXITSTATUS(device) == 0) << "status " << device;
  const int status = WaitFor(coordinator);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  ExpectDevicesDone();
  ASSERT_OK_AND_ASSIGN(const Story story, ReadStory());
  ExpectCountedOnce(story);
  ExpectNoDeviceOpened();
}

// The store commits when it is made, at enrolment, and twice or so a round.
std::vector<std::string> EveryDevicePoint() {
  std::vector<std::string> out = {"store.created:1"};
  for (const std::string_view point :
       {"client.admitted", "client.before_m1", "client.before_masked_saved",
        "client.after_masked_saved", "client.before_m9"}) {
    out.push_back(std::string(point) + ":1");
    out.push_back(std::string(point) + ":2");
  }
  for (const std::string_view point :
       {"store.before_commit", "store.after_commit", "store.after_counter"}) {
    for (int count = 1; count <= 6; ++count) {
      out.push_back(std::string(point) + ":" + std::to_string(count));
    }
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(EveryPoint, DeviceCrashTest, ::testing::ValuesIn(EveryDevicePoint()),
                         NameOf);

}  // namespace
}  // namespace demur::testing
