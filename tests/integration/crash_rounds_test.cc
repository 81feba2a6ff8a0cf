#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "crash_checks.h"
#include "crash_points.h"

// Kills the coordinator at every named point of a round and lets it come back: no committed round
// may be lost, none may count twice, and all that its incarnations received may never open both
// seeds of a device.
namespace demur::testing {
namespace {

class CoordinatorCrashTest : public CrashedRoundsTest {
 protected:
  void RunStory();
};

// "point:count", several separated by a blank: each incarnation dies at its own.
std::vector<std::string> CrashesOf(const std::string& parameter) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  while (begin < parameter.size()) {
    const std::size_t end = std::min(parameter.find(' ', begin), parameter.size());
    out.push_back(parameter.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

// Rounds that are committed when the first crash comes. It comes in the second round (EveryPoint),
// so there is one; behind the commit of the second there are two.
std::size_t CommitsBefore(const std::string& crash) {
  return crash.starts_with("coordinator.after_commit") ? 2 : 1;
}

// Rounds of two sessions: the rows that a first one found are worth nothing after a crash, what it
// cost and who took part stays.
class SparseCrashTest : public CoordinatorCrashTest {
 protected:
  coordinator::TaskConfig Task() const override {
    coordinator::TaskConfig task = CrashTest::Task();
    task.training.slice = "counts";
    task.sparse.rows_cap = 8;
    task.sparse.count_min = 1;
    task.sparse.count_rows_max = 4;
    return task;
  }
};

TEST_P(CoordinatorCrashTest, LosesNoRoundCountsNoneTwiceAndOpensNobody) { RunStory(); }
TEST_P(SparseCrashTest, LosesNoRoundCountsNoneTwiceAndOpensNobody) { RunStory(); }

void CoordinatorCrashTest::RunStory() {
  Story before;
  bool enrolled = false;
  for (const std::string& crash : CrashesOf(GetParam())) {
    const pid_t child = StartCoordinator(crash);
    if (!enrolled) {
      ASSERT_OK(LearnPort());
      ASSERT_OK(EnrolDevices());
      RunDevices();
      enrolled = true;
    }
    const int status = WaitFor(child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << crash << " was never passed; status " << status;
    ASSERT_OK_AND_ASSIGN(before, ReadStory());
    ExpectNothingHeardThatIsNotDurable(before);
  }
  const int status = WaitFor(StartCoordinator(""));
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  ExpectDevicesDone();
  ASSERT_OK_AND_ASSIGN(const Story after, ReadStory());
  ExpectKept(before, after, CommitsBefore(CrashesOf(GetParam()).front()));
  ExpectCountedOnce(after);
  ExpectNoDeviceOpened();
}

// Points that every round passes once are hit in the second round; points that every member passes,
// at the first, a middle and a late member of it.
std::vector<std::string> EveryPoint() {
  std::vector<std::string> out;
  for (const std::string_view point : kRoundPoints) out.push_back(std::string(point) + ":2");
  for (const std::string_view point : kMemberPoints) {
    for (const std::uint32_t count : {23U, 31U, 38U}) {
      out.push_back(std::string(point) + ":" + std::to_string(count));
    }
  }
  // The restart itself is killed while it settles the round that the first crash left open.
  for (const std::string_view first :
       {"coordinator.after_reserve:2", "coordinator.after_survivors:2"}) {
    for (const std::string_view second : kRestartPoints) {
      out.push_back(std::string(first) + " " + std::string(second) + ":1");
    }
  }
  return out;
}

// Both sessions of the second round: reserve and survivors are passed twice a round, and so are the
// members' points.
std::vector<std::string> EverySparsePoint() {
  std::vector<std::string> out;
  for (const std::string_view point : kRowsPoints) out.push_back(std::string(point) + ":2");
  for (const char* point : {"after_reserve:3", "before_survivors:3", "after_survivors:3",
                            "before_reserve:4", "after_reserve:4", "after_survivors:4"}) {
    out.push_back(std::string("coordinator.") + point);
  }
  for (const char* point : {"received_masked:50", "send_close:50", "send_announce:70",
                            "received_advertise:75", "received_unmask:75"}) {
    out.push_back(std::string("coordinator.") + point);
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(EveryPoint, SparseCrashTest, ::testing::ValuesIn(EverySparsePoint()),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(EveryPoint, CoordinatorCrashTest, ::testing::ValuesIn(EveryPoint()),
                         NameOf);

}  // namespace
}  // namespace demur::testing
