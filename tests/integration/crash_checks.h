#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "crash_fixture.h"
#include "demur/coordinator/recovery.h"
#include "demur/coordinator/round_store.h"
#include "demur/coordinator/task.h"
#include "demur/dp/ledger.h"
#include "share_oracle.h"

namespace demur::testing {

using coordinator::RoundRow;
using coordinator::RoundState;
using coordinator::RoundStore;

struct Story {
  coordinator::Snapshot snapshot;
  std::vector<RoundRow> rounds;  // oldest first
  // Rounds with a model.
  std::vector<RoundRow> Committed() const {
    std::vector<RoundRow> out;
    std::copy_if(rounds.begin(), rounds.end(), std::back_inserter(out), [](const RoundRow& r) {
      return r.state == RoundState::kCommitted && r.kind != model::SessionKind::kRowCounts;
    });
    return out;
  }
};

// What must hold whatever died.
class CrashedRoundsTest : public CrashTest {
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
    std::vector<wire::SecAggLimits> sessions = {
        {plan.secagg.roster_max, task.layout().dim(), plan.encoding.bits}};
    if (plan.session.sparse()) {
      sessions.push_back({plan.secagg.roster_max, plan.session.other_dim, plan.session.other.bits});
    }
    ShareOracle oracle(std::move(sessions));
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

  // `at_least`: rounds that were committed before the crash; without any there is nothing to keep.
  static void ExpectKept(const Story& before, const Story& after, std::size_t at_least) {
    const std::vector<RoundRow> old = before.Committed();
    const std::vector<RoundRow> now = after.Committed();
    EXPECT_GE(old.size(), at_least) << "the crash came too early to lose a round";
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
    // A device is in the sums of two sessions of a sparse round, and has taken part once.
    std::uint64_t in_sums = 0;
    std::set<RoundId> charged;
    for (const RoundRow& round : story.rounds) {
      in_sums += round.participants;
      if (round.survivors > 0) charged.insert(round.id);
      const bool second = round.kind == model::SessionKind::kRows;
      EXPECT_TRUE(second || round.participants == round.survivors);
    }
    std::uint64_t participations = 0;
    for (const auto& device : story.snapshot.devices) participations += device.participations;
    EXPECT_EQ(participations, in_sums);
    ASSERT_OK_AND_ASSIGN(const auto deployment, coordinator::LoadDeployment(Folder()));
    ASSERT_OK_AND_ASSIGN(const auto task, coordinator::PreparedTask::Create(deployment.task));
    ASSERT_OK_AND_ASSIGN(const dp::Ledger ledger, coordinator::ReplayLedger(story.snapshot, task));
    EXPECT_EQ(ledger.rounds_charged(), charged.size());
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

// A name that gtest takes.
inline std::string NameOf(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

}  // namespace demur::testing
