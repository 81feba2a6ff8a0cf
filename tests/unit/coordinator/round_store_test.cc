#include "demur/coordinator/round_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "demur/base/fault.h"
#include "demur/crypto/hash.h"
#include "result_matchers.h"

namespace demur::coordinator {
namespace {

using Access = RoundStore::Access;

ModelRow MakeModel(std::uint64_t version) {
  ModelRow model;
  model.version = version;
  model.blob = ToBytes(AsBytes("model number " + std::to_string(version)));
  model.hash = crypto::Sha256(model.blob);
  return model;
}

Bytes State(std::uint64_t version) { return ToBytes(AsBytes("state " + std::to_string(version))); }

RoundRow MakeRound(std::uint32_t counter, std::uint64_t version) {
  RoundRow round;
  round.id = {1, counter};
  round.cohort = 40;
  round.model_version = version;
  round.started_unix_ms = 1000 * std::int64_t{counter};
  return round;
}

LedgerRow Entry(std::uint64_t seq) {
  return {seq, ToBytes(AsBytes("entry " + std::to_string(seq)))};
}

const std::vector<DeviceNumber> kSurvivors = {DeviceNumber(3), DeviceNumber(8), DeviceNumber(9)};

class RoundStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = ::testing::TempDir() + "round_store_" +
           ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    task_.bytes[0] = std::byte{7};
  }
  void TearDown() override {
    SetFaultHandler({});
    std::filesystem::remove_all(dir_);
  }

  Status Create() {
    DEMUR_TRY(RoundStore store, RoundStore::Create(dir_, task_, MakeModel(0), State(0)));
    (void)store;
    return {};
  }
  // Runs one whole round on the newest model.
  Status CommitOne(RoundStore& store, std::uint32_t counter, std::uint64_t version) {
    const RoundRow round = MakeRound(counter, version);
    DEMUR_RETURN_IF_ERROR(store.Reserve(round, {Entry(3 * version + 1)}));
    DEMUR_RETURN_IF_ERROR(store.FixSurvivors(round.id, 35, kSurvivors, {Entry(3 * version + 2)}));
    return store.Commit(round, MakeModel(version + 1), State(version + 1),
                        {Entry(3 * version + 3)});
  }
  // SQL behind the store's back, as damage would do it.
  Status Tamper(const std::string& sql) {
    DEMUR_TRY(storage::Database database,
              storage::Database::Open(dir_ + "/" + std::string(RoundStore::kFileName), {}));
    return database.Execute(sql);
  }
  void ExpectDamaged(const std::string& sql, const std::string& named) {
    ASSERT_OK(Tamper(sql));
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    const auto snapshot = store.Load();
    ASSERT_FALSE(snapshot.has_value()) << sql;
    EXPECT_EQ(snapshot.error().code(), ErrorCode::kDataLoss);
    EXPECT_NE(snapshot.error().message().find(named), std::string::npos)
        << snapshot.error().message();
  }

  std::string dir_;
  TaskId task_;
};

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
  EXPECT_EQ(start.task, task_);
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
  EXPECT_ERROR(store.BumpEpoch(), ErrorCode::kFailedPrecondition);
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
  ASSERT_OK_AND_ASSIGN(const std::uint32_t epoch, store.BumpEpoch());
  EXPECT_EQ(epoch, 2U);
  EXPECT_ERROR(store.Reserve(MakeRound(2, 1), {Entry(4)}), ErrorCode::kFailedPrecondition);
  RoundRow round = MakeRound(2, 1);
  round.id.epoch = 2;
  EXPECT_OK(store.Reserve(round, {Entry(4)}));
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

TEST_F(RoundStoreTest, DamageIsNamedAndNothingIsChanged) {
  ASSERT_OK(Create());
  {
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    ASSERT_OK(CommitOne(store, 1, 0));
    ASSERT_OK(CommitOne(store, 2, 1));
  }
  ExpectDamaged("UPDATE models SET blob = x'00' WHERE version = 2", "does not match its hash");
}
TEST_F(RoundStoreTest, AMissingVersionIsDamage) {
  ASSERT_OK(Create());
  {
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    ASSERT_OK(CommitOne(store, 1, 0));
    ASSERT_OK(CommitOne(store, 2, 1));
  }
  ExpectDamaged("DELETE FROM models WHERE version = 1", "a model version is missing");
}
TEST_F(RoundStoreTest, AnOlderServerStateIsDamage) {
  ASSERT_OK(Create());
  {
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    ASSERT_OK(CommitOne(store, 1, 0));
  }
  ExpectDamaged("UPDATE server_state SET model_version = 0", "different versions");
}
TEST_F(RoundStoreTest, AFlippedServerStateIsDamage) {
  ASSERT_OK(Create());
  ExpectDamaged("UPDATE server_state SET bytes = x'0102'", "server state does not match");
}
TEST_F(RoundStoreTest, AMissingLedgerRowIsDamage) {
  ASSERT_OK(Create());
  {
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    ASSERT_OK(CommitOne(store, 1, 0));
  }
  ExpectDamaged("DELETE FROM ledger WHERE seq = 1", "ledger entry 1 is missing");
}
TEST_F(RoundStoreTest, ALostRoundIsDamage) {
  ASSERT_OK(Create());
  {
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    ASSERT_OK(CommitOne(store, 1, 0));
  }
  ExpectDamaged("DELETE FROM rounds", "0 committed rounds, but model version 1");
}
TEST_F(RoundStoreTest, AFileThatIsNoDatabaseIsDamage) {
  std::ofstream(dir_ + "/" + std::string(RoundStore::kFileName)) << std::string(8192, 'x');
  EXPECT_ERROR(RoundStore::Open(dir_, Access::kWrite), ErrorCode::kDataLoss);
  EXPECT_EQ(std::filesystem::file_size(dir_ + "/" + std::string(RoundStore::kFileName)), 8192U);
}

// The four writes of a commit stand or fall together: a crash inside leaves the round unmasking.
TEST_F(RoundStoreTest, ACrashInsideCommitLeavesNothingOfIt) {
  struct Crash {};
  for (const char* point : {"coordinator.commit_model_written", "coordinator.commit_round_written",
                            "coordinator.commit_ledger_written"}) {
    SetUp();
    ASSERT_OK(Create());
    {
      ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
      ASSERT_OK(store.Reserve(MakeRound(1, 0), {Entry(1)}));
      ASSERT_OK(store.FixSurvivors({1, 1}, 35, kSurvivors, {Entry(2)}));
      SetFaultHandler([point](std::string_view name) {
        if (name == point) throw Crash{};
      });
      EXPECT_THROW(
          (void)store.Commit(MakeRound(1, 0), MakeModel(1), State(1), {Entry(3)}).has_value(),
          Crash);
      SetFaultHandler({});
    }
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
    EXPECT_EQ(now.model.version, 0U) << point;
    EXPECT_EQ(now.server_state, State(0)) << point;
    EXPECT_EQ(now.ledger.size(), 2U) << point;
    ASSERT_TRUE(now.open_round.has_value()) << point;
    EXPECT_EQ(now.open_round->state, RoundState::kUnmasking) << point;
  }
}

}  // namespace
}  // namespace demur::coordinator
