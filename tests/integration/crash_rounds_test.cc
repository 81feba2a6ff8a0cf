#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "crash_fixture.h"
#include "demur/coordinator/recovery.h"
#include "demur/coordinator/round_store.h"

// Kills the coordinator at every named point of a round and lets it come back: no committed round
// may be lost, none may count twice, and all that its incarnations received may never open both
// seeds of a device.
namespace demur::testing {
namespace {

using coordinator::RoundRow;
using coordinator::RoundState;
using coordinator::RoundStore;

struct Story {
  coordinator::Snapshot snapshot;
  std::vector<RoundRow> rounds;  // oldest first
  std::vector<RoundRow> Committed() const {
    std::vector<RoundRow> out;
    std::copy_if(rounds.begin(), rounds.end(), std::back_inserter(out),
                 [](const RoundRow& r) { return r.state == RoundState::kCommitted; });
    return out;
  }
};

class CoordinatorCrashTest : public CrashTest {
 protected:
  Result<Story> ReadStory() const {
    DEMUR_TRY(RoundStore store, RoundStore::Open(Folder(), RoundStore::Access::kRead));
    Story story;
    DEMUR_TRY(story.snapshot, store.Load());
    DEMUR_TRY(story.rounds, store.Rounds(100));
    std::reverse(story.rounds.begin(), story.rounds.end());
    return story;
  }

  Result<ShareOracle::Verdict> AskOracle() const {
    DEMUR_TRY(const auto deployment, coordinator::LoadDeployment(Folder()));
    DEMUR_TRY(const auto task, coordinator::PreparedTask::Create(deployment.task));
    const model::Plan& plan = task.plan_template();
    ShareOracle oracle({plan.secagg.roster_max, task.layout().dim(), plan.encoding.bits});
    DEMUR_TRY(const Bytes record, ReadFile(Folder() + "/frames", std::uint64_t{1} << 30));
    ByteReader reader(record);
    while (true) {
      const auto len = reader.U32();
      const auto device = reader.U64();
      const auto type = reader.U8();
      if (!len || !device || !type) break;
      const auto frame = reader.Raw(*len);
      if (!frame) break;  // the crash cut it
      oracle.Take(DeviceNumber(*device), static_cast<wire::FrameType>(*type), *frame);
    }
    return oracle.Judge();
  }

  // Everybody's commits, as the devices heard of them, are durable.
  void ExpectNothingHeardThatIsNotDurable(const Story& story) const {
    for (const auto& device : devices_) {
      EXPECT_LE(device->counts().rounds_committed, story.snapshot.committed);
    }
  }

  static void ExpectKept(const Story& before, const Story& after) {
    const std::vector<RoundRow> old = before.Committed();
    const std::vector<RoundRow> now = after.Committed();
    ASSERT_LE(old.size(), now.size());
    for (std::size_t i = 0; i < old.size(); ++i)
      EXPECT_EQ(old[i], now[i]) << "committed round " << i;
  }

  void ExpectCountedOnce(const Story& story) const {
    const std::vector<RoundRow> committed = story.Committed();
    ASSERT_EQ(committed.size(), kRounds);
    EXPECT_EQ(story.snapshot.model.version, kRounds);
    for (std::size_t i = 0; i < committed.size(); ++i) {
      EXPECT_EQ(committed[i].model_version, i) << "two rounds trained on one model";
    }
    std::uint64_t in_sums = 0;
    std::uint64_t charged = 0;
    for (const RoundRow& round : story.rounds) {
      in_sums += round.survivors;
      charged += round.survivors > 0 ? 1 : 0;
    }
    std::uint64_t participations = 0;
    for (const auto& device : story.snapshot.devices) participations += device.participations;
    EXPECT_EQ(participations, in_sums);
    ASSERT_OK_AND_ASSIGN(const auto deployment, coordinator::LoadDeployment(Folder()));
    ASSERT_OK_AND_ASSIGN(const auto task, coordinator::PreparedTask::Create(deployment.task));
    ASSERT_OK_AND_ASSIGN(const dp::Ledger ledger, coordinator::ReplayLedger(story.snapshot, task));
    EXPECT_EQ(ledger.rounds_charged(), charged);
    EXPECT_TRUE(ledger.Unsettled().empty());
  }

  void ExpectNoDeviceOpened() const {
    ASSERT_OK_AND_ASSIGN(const ShareOracle::Verdict verdict, AskOracle());
    EXPECT_EQ(verdict.both, 0U) << "a device's vector can be unmasked";
    EXPECT_EQ(verdict.second_bodies, 0U);
    // The oracle is not blind: it opens what a committed round had to open.
    EXPECT_GE(verdict.self_seeds, kRounds * 16U);
    EXPECT_GE(verdict.masked_bodies, kRounds * 16U);
  }

  // Devices end by themselves: the task is complete and they were told.
  void ExpectDevicesDone() {
    for (auto& run : runs_) EXPECT_OK(run.get());
    runs_.clear();
  }
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

TEST_P(CoordinatorCrashTest, LosesNoRoundCountsNoneTwiceAndOpensNobody) {
  Story before;
  bool enrolled = false;
  for (const std::string& crash : CrashesOf(GetParam())) {
    const pid_t child = StartCoordinator(crash);
    if (!enrolled) {
      ASSERT_OK(LearnPort(child));
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
  ExpectKept(before, after);
  ExpectCountedOnce(after);
  ExpectNoDeviceOpened();
}

// Points that every round passes once are hit in the second round; points that every member passes,
// at the first, a middle and a late member of it.
std::vector<std::string> EveryPoint() {
  std::vector<std::string> out;
  for (const std::string_view point :
       {"before_reserve", "after_reserve", "before_survivors", "after_survivors", "before_commit",
        "commit_model_written", "commit_round_written", "commit_ledger_written", "after_commit"}) {
    out.push_back("coordinator." + std::string(point) + ":2");
  }
  for (const std::string_view point :
       {"send_announce", "received_advertise", "send_roster", "received_shares", "send_inbox",
        "received_masked", "send_confirm_request", "received_unmask", "send_close"}) {
    for (const std::uint32_t count : {23U, 31U, 38U}) {
      out.push_back("coordinator." + std::string(point) + ":" + std::to_string(count));
    }
  }
  // The restart itself is killed while it settles the round that the first crash left open.
  for (const std::string_view first : {"after_reserve:2", "after_survivors:2"}) {
    for (const std::string_view second : {"before_abandon:1", "after_abandon:1"}) {
      out.push_back("coordinator." + std::string(first) + " coordinator." + std::string(second));
    }
  }
  return out;
}

std::string NameOf(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(EveryPoint, CoordinatorCrashTest, ::testing::ValuesIn(EveryPoint()),
                         NameOf);

}  // namespace
}  // namespace demur::testing

int main(int argc, char** argv) {
  if (argc == 5 && std::string_view(argv[1]) == demur::testing::kCoordinatorArgument) {
    return demur::testing::CoordinatorMain(argv);
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
