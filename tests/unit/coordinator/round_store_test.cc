#include "demur/coordinator/round_store.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "round_store_test_util.h"

namespace demur::coordinator {
namespace {

TEST_F(RoundStoreTest, OpenWithoutInitSaysWhatToDo) {
  const auto store = RoundStore::Open(dir_, Access::kRead);
  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code(), ErrorCode::kNotFound);
  EXPECT_NE(store.error().message().find("init"), std::string::npos);
}
TEST_F(RoundStoreTest, StartsWithTheFirstModel) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  ASSERT_OK_AND_ASSIGN(const Snapshot start, store.Load());
  EXPECT_EQ(start.task, (TaskKey{task_, Hash256{}}));
  EXPECT_EQ(start.epoch, 1U);
  EXPECT_EQ(start.model.version, 0U);
  EXPECT_EQ(start.model.hash, MakeModel(0).hash);
  EXPECT_EQ(start.server_state, State(0));
  EXPECT_TRUE(start.ledger.empty());
  EXPECT_FALSE(start.open_round.has_value());
}
TEST_F(RoundStoreTest, InitDoesNotOverwrite) {
  ASSERT_OK(Create());
  EXPECT_ERROR(Create(), ErrorCode::kFailedPrecondition);
}
TEST_F(RoundStoreTest, KeepsACommittedRound) {
  ASSERT_OK(Create());
  {
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    ASSERT_OK(CommitOne(store, 1, 0));
    ASSERT_OK(CommitOne(store, 2, 1));
  }
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
  EXPECT_EQ(now.model.version, 2U);
  EXPECT_EQ(now.model.blob, MakeModel(2).blob);
  EXPECT_EQ(now.server_state, State(2));
  EXPECT_EQ(now.ledger,
            (std::vector<LedgerRow>{Entry(1), Entry(2), Entry(3), Entry(4), Entry(5), Entry(6)}));
  EXPECT_EQ(now.committed, 2U);
  EXPECT_EQ(now.last_counter, 2U);
  ASSERT_EQ(now.devices.size(), 3U);
  EXPECT_EQ(now.devices[1].number, DeviceNumber(8));
  EXPECT_EQ(now.devices[1].participations, 2U);
  EXPECT_EQ(now.devices[1].last_round, (RoundId{1, 2}));
  ASSERT_OK_AND_ASSIGN(const auto rounds, store.Rounds(10));
  ASSERT_EQ(rounds.size(), 2U);
  EXPECT_EQ(rounds[0].id, (RoundId{1, 2}));
  EXPECT_EQ(rounds[0].state, RoundState::kCommitted);
  EXPECT_EQ(rounds[0].roster, 35U);
  EXPECT_EQ(rounds[0].survivors, 3U);
  EXPECT_EQ(rounds[0].survivors_hash, HashDevices(kSurvivors));
}
TEST_F(RoundStoreTest, RoundIdsOnlyGrow) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  ASSERT_OK(CommitOne(store, 5, 0));
  EXPECT_ERROR(store.Reserve(MakeRound(5, 1), {Entry(4)}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(store.Reserve(MakeRound(4, 1), {Entry(4)}), ErrorCode::kFailedPrecondition);
  EXPECT_OK(store.Reserve(MakeRound(6, 1), {Entry(4)}));
}
TEST_F(RoundStoreTest, OneRoundIsOpenAtATime) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  ASSERT_OK(store.Reserve(MakeRound(1, 0), {Entry(1)}));
  EXPECT_ERROR(store.Reserve(MakeRound(2, 0), {Entry(2)}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(store.BumpEpoch(0), ErrorCode::kFailedPrecondition);
}
TEST_F(RoundStoreTest, ASurvivorSetIsFixedOnce) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  ASSERT_OK(store.Reserve(MakeRound(1, 0), {Entry(1)}));
  ASSERT_OK(store.FixSurvivors({1, 1}, 35, kSurvivors, {Entry(2)}));
  EXPECT_ERROR(store.FixSurvivors({1, 1}, 35, {DeviceNumber(3)}, {Entry(3)}),
               ErrorCode::kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
  ASSERT_TRUE(now.open_round.has_value());
  EXPECT_EQ(now.open_round->state, RoundState::kUnmasking);
  EXPECT_EQ(now.open_round->survivors_hash, HashDevices(kSurvivors));
  EXPECT_EQ(now.devices[0].participations, 1U);
}
TEST_F(RoundStoreTest, NothingCommitsBeforeTheSurvivorSetIsFixed) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  const RoundRow round = MakeRound(1, 0);
  EXPECT_ERROR(store.Commit(round, MakeModel(1), State(1), {}), ErrorCode::kFailedPrecondition);
  ASSERT_OK(store.Reserve(round, {Entry(1)}));
  EXPECT_ERROR(store.Commit(round, MakeModel(1), State(1), {Entry(2)}),
               ErrorCode::kFailedPrecondition);
}
TEST_F(RoundStoreTest, OnlyTheNextModelCommits) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  const RoundRow round = MakeRound(1, 0);
  ASSERT_OK(store.Reserve(round, {Entry(1)}));
  ASSERT_OK(store.FixSurvivors(round.id, 35, kSurvivors, {Entry(2)}));
  EXPECT_ERROR(store.Commit(round, MakeModel(2), State(2), {Entry(3)}),
               ErrorCode::kFailedPrecondition);
  EXPECT_OK(store.Commit(round, MakeModel(1), State(1), {Entry(3)}));
  EXPECT_ERROR(store.Commit(round, MakeModel(1), State(1), {Entry(4)}),
               ErrorCode::kFailedPrecondition);
}
TEST_F(RoundStoreTest, AnAbandonedRoundChangesNoModel) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  ASSERT_OK(store.Reserve(MakeRound(1, 0), {Entry(1)}));
  ASSERT_OK(store.Abandon({1, 1}, "too few devices", 5, {Entry(2)}));
  EXPECT_ERROR(store.Abandon({1, 1}, "again", 6, {Entry(3)}), ErrorCode::kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
  EXPECT_EQ(now.model.version, 0U);
  EXPECT_EQ(now.abandoned, 1U);
  EXPECT_EQ(now.ledger.size(), 2U);
  ASSERT_OK_AND_ASSIGN(const auto rounds, store.Rounds(1));
  EXPECT_EQ(rounds[0].reason, "too few devices");
}
TEST_F(RoundStoreTest, LedgerEntriesHaveNoGapAndNoSecondWriter) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  EXPECT_ERROR(store.Reserve(MakeRound(1, 0), {Entry(2)}), ErrorCode::kFailedPrecondition);
  ASSERT_OK(store.Reserve(MakeRound(1, 0), {Entry(1)}));
  // A commit whose ledger row does not fit leaves no model behind.
  ASSERT_OK(store.FixSurvivors({1, 1}, 35, kSurvivors, {Entry(2)}));
  EXPECT_ERROR(store.Commit(MakeRound(1, 0), MakeModel(1), State(1), {Entry(1)}),
               ErrorCode::kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
  EXPECT_EQ(now.model.version, 0U);
  EXPECT_EQ(now.open_round->state, RoundState::kUnmasking);
}
TEST_F(RoundStoreTest, ASecondWriterIsRefusedAndAReaderIsNot) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore writer, RoundStore::Open(dir_, Access::kWrite));
  EXPECT_ERROR(RoundStore::Open(dir_, Access::kWrite), ErrorCode::kUnavailable);
  ASSERT_OK_AND_ASSIGN(RoundStore reader, RoundStore::Open(dir_, Access::kRead));
  ASSERT_OK(writer.Reserve(MakeRound(1, 0), {Entry(1)}));
  ASSERT_OK_AND_ASSIGN(const auto rounds, reader.Rounds(1));
  EXPECT_EQ(rounds.size(), 1U);
}
TEST_F(RoundStoreTest, ARestoredBackupGetsIdsThatWereNeverUsed) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  ASSERT_OK(CommitOne(store, 1, 0));
  ASSERT_OK_AND_ASSIGN(const std::uint32_t epoch, store.BumpEpoch(0));
  EXPECT_EQ(epoch, 2U) << "above the last one whatever the clock says";
  EXPECT_ERROR(store.Reserve(MakeRound(2, 1), {Entry(4)}), ErrorCode::kFailedPrecondition);
  RoundRow round = MakeRound(2, 1);
  round.id.epoch = 2;
  EXPECT_OK(store.Reserve(round, {Entry(4)}));
}
// Each copy says epoch 1, and devices have seen what the first restore made of it.
TEST_F(RoundStoreTest, ABackupThatIsRestoredTwiceGetsTwoEpochs) {
  const auto restore = [this](std::int64_t now_unix_ms) -> Result<std::uint32_t> {
    SetUp();
    DEMUR_RETURN_IF_ERROR(Create());
    DEMUR_TRY(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    return store.BumpEpoch(now_unix_ms);
  };
  constexpr std::int64_t kSince2020 = 1'577'836'800;
  ASSERT_OK_AND_ASSIGN(const std::uint32_t first, restore((kSince2020 + 200'000'000) * 1000));
  ASSERT_OK_AND_ASSIGN(const std::uint32_t second, restore((kSince2020 + 200'000'001) * 1000));
  EXPECT_EQ(first, 200'000'000U);
  EXPECT_GT(second, first);
}
// A clock that ran ahead once leaves devices beyond what a right one gives.
TEST_F(RoundStoreTest, TheOperatorCanNameAnEpochToBeAbove) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  EXPECT_EQ(store.BumpEpoch(0, 700).value(), 701U);
  EXPECT_EQ(store.BumpEpoch(0, 5).value(), 702U) << "never back";
  EXPECT_ERROR(store.BumpEpoch(0, kLastEpoch), ErrorCode::kFailedPrecondition);
}
TEST_F(RoundStoreTest, RevocationsOnlyGrow) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  EXPECT_EQ(store.Load()->revoked.sequence, 0U);
  const std::vector<DeviceNumber> two = {DeviceNumber(3), DeviceNumber(9)};
  ASSERT_OK(store.KeepRevocations({2, 5, two}));
  ASSERT_OK(store.KeepRevocations({2, 6, two}));
  EXPECT_ERROR(store.KeepRevocations({1, 7, {DeviceNumber(3)}}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(store.KeepRevocations({2, 7, {DeviceNumber(3), DeviceNumber(8)}}),
               ErrorCode::kFailedPrecondition)
      << "an authority that was restored counts to two again";
  EXPECT_ERROR(store.KeepRevocations({3, 7, {DeviceNumber(3), DeviceNumber(7), DeviceNumber(8)}}),
               ErrorCode::kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
  EXPECT_EQ(now.revoked.sequence, 2U);
  EXPECT_EQ(now.revoked.devices, two);
}
TEST_F(RoundStoreTest, OldBlobsAreThinnedOutAndTheirHashesStay) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  for (std::uint32_t i = 0; i < 6; ++i) ASSERT_OK(CommitOne(store, i + 1, i));
  EXPECT_ERROR(store.Model(2), ErrorCode::kNotFound);
  ASSERT_OK_AND_ASSIGN(const ModelRow kept, store.Model(3));
  EXPECT_EQ(kept.blob, MakeModel(3).blob);
  EXPECT_OK(store.Load());
}

// --- Order --------------------------------------------------------------------------------------

TEST_F(RoundStoreTest, ARoundStartsFromTheNewestModel) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  ASSERT_OK(CommitOne(store, 1, 0));
  EXPECT_ERROR(store.Reserve(MakeRound(2, 0), {Entry(4)}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(store.Reserve(MakeRound(2, 2), {Entry(4)}), ErrorCode::kFailedPrecondition);
  EXPECT_OK(store.Reserve(MakeRound(2, 1), {Entry(4)}));
}
TEST_F(RoundStoreTest, ARoundIsOfTheEpochInForce) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  for (const std::uint32_t epoch : {0U, 2U}) {
    RoundRow round = MakeRound(1, 0);
    round.id.epoch = epoch;
    EXPECT_ERROR(store.Reserve(round, {Entry(1)}), ErrorCode::kFailedPrecondition) << epoch;
  }
}
TEST_F(RoundStoreTest, OnlyAReservedRoundGetsASurvivorSet) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  const auto fix = [&store](std::uint32_t counter, std::uint64_t seq) {
    return store.FixSurvivors({1, counter}, 35, kSurvivors, {Entry(seq)});
  };
  EXPECT_ERROR(fix(1, 1), ErrorCode::kFailedPrecondition) << "never reserved";
  ASSERT_OK(store.Reserve(MakeRound(1, 0), {Entry(1)}));
  EXPECT_ERROR(fix(2, 2), ErrorCode::kFailedPrecondition) << "another one";
  ASSERT_OK(store.Abandon({1, 1}, "too few devices", 5, {Entry(2)}));
  EXPECT_ERROR(fix(1, 3), ErrorCode::kFailedPrecondition) << "abandoned";
  ASSERT_OK(store.Reserve(MakeRound(2, 0), {Entry(3)}));
  ASSERT_OK(fix(2, 4));
  ASSERT_OK(store.Commit(MakeRound(2, 0), MakeModel(1), State(1), {Entry(5)}));
  EXPECT_ERROR(fix(2, 6), ErrorCode::kFailedPrecondition) << "committed";
  ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
  for (const DeviceRow& device : now.devices) EXPECT_EQ(device.participations, 1U);
}
TEST_F(RoundStoreTest, OnlyAnOpenRoundIsAbandoned) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  EXPECT_ERROR(store.Abandon({1, 1}, "never", 5, {Entry(1)}), ErrorCode::kFailedPrecondition);
  ASSERT_OK(CommitOne(store, 1, 0));
  EXPECT_ERROR(store.Abandon({1, 1}, "too late", 5, {Entry(4)}), ErrorCode::kFailedPrecondition);
  ASSERT_OK(store.Reserve(MakeRound(2, 1), {Entry(4)}));
  ASSERT_OK(store.FixSurvivors({1, 2}, 35, kSurvivors, {Entry(5)}));
  ASSERT_OK(store.Abandon({1, 2}, "infeasible", 6, {Entry(6)}));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
  EXPECT_EQ(now.committed, 1U);
  EXPECT_EQ(now.abandoned, 1U);
  EXPECT_EQ(now.devices[0].participations, 2U) << "the survivor set was fixed: they took part";
}
TEST_F(RoundStoreTest, EveryChangeKeepsTheLedgersSequence) {
  ASSERT_OK(Create());
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  const RoundRow round = MakeRound(1, 0);
  for (const std::uint64_t wrong : {0U, 2U}) {
    EXPECT_ERROR(store.Reserve(round, {Entry(wrong)}), ErrorCode::kFailedPrecondition);
  }
  ASSERT_OK(store.Reserve(round, {Entry(1)}));
  for (const std::uint64_t wrong : {1U, 3U}) {
    EXPECT_ERROR(store.FixSurvivors(round.id, 35, kSurvivors, {Entry(wrong)}),
                 ErrorCode::kFailedPrecondition);
    EXPECT_ERROR(store.Abandon(round.id, "why", 5, {Entry(wrong)}), ErrorCode::kFailedPrecondition);
  }
  ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
  EXPECT_EQ(now.open_round->state, RoundState::kReserved) << "a refused change leaves nothing";
  EXPECT_TRUE(now.devices.empty());
  EXPECT_EQ(now.ledger.size(), 1U);
}
TEST_F(RoundStoreTest, EpochsAreUsedUpBeforeTheyWrap) {
  ASSERT_OK(Create());
  ASSERT_OK(Tamper("UPDATE meta SET value = x'7FFFFFFE' WHERE key = 'epoch'"));
  ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
  ASSERT_OK_AND_ASSIGN(const std::uint32_t last, store.BumpEpoch(0));
  EXPECT_EQ(last, 0x7FFFFFFFU);
  EXPECT_ERROR(store.BumpEpoch(0), ErrorCode::kFailedPrecondition);
  RoundRow round = MakeRound(1, 0);
  round.id.epoch = last;
  EXPECT_OK(store.Reserve(round, {Entry(1)}));
  ASSERT_OK_AND_ASSIGN(const auto rounds, store.Rounds(1));
  EXPECT_EQ(rounds[0].id, round.id);
}
TEST_F(RoundStoreTest, TheLockGoesWithItsHolder) {
  ASSERT_OK(Create());
  {
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    RoundStore moved = std::move(store);
    EXPECT_ERROR(RoundStore::Open(dir_, Access::kWrite), ErrorCode::kUnavailable);
    EXPECT_ERROR(Create(), ErrorCode::kUnavailable) << "init beside a running coordinator";
  }
  EXPECT_OK(RoundStore::Open(dir_, Access::kWrite));
}

}  // namespace
}  // namespace demur::coordinator
