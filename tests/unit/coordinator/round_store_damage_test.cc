#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "demur/base/file.h"
#include "round_store_test_util.h"

// Damaged stores, and crashes in the middle of a change.
namespace demur::coordinator {
namespace {

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
TEST_F(RoundStoreTest, MissingPartsAreDamage) {
  for (const auto& [sql, named] :
       {std::pair{"DELETE FROM meta WHERE key = 'task'", "no 'task'"},
        std::pair{"DELETE FROM meta WHERE key = 'epoch'", "no 'epoch'"},
        std::pair{"UPDATE meta SET value = x'0102' WHERE key = 'task'", "task id"},
        std::pair{"UPDATE meta SET value = x'01' WHERE key = 'epoch'", "epoch"},
        std::pair{"UPDATE meta SET value = x'0000000001' WHERE key = 'epoch'", "epoch"},
        std::pair{"DELETE FROM meta WHERE key = 'task_config_sha256'", "no 'task_config_sha256'"},
        std::pair{"UPDATE meta SET value = x'00' WHERE key = 'task_config_sha256'",
                  "task configuration"},
        std::pair{"DELETE FROM meta WHERE key = 'revocations'", "no 'revocations'"},
        std::pair{"UPDATE meta SET value = x'00' WHERE key = 'revocations'", "revocations"},
        std::pair{"INSERT INTO devices VALUES (3, 1, 0)", "1 participations, but 0 participants"},
        std::pair{"DELETE FROM models", "no model"},
        std::pair{"DELETE FROM server_state", "no server state"},
        std::pair{"UPDATE models SET blob = NULL", "does not match its hash"},
        std::pair{"INSERT INTO rounds VALUES ((2 << 32) + 1, 0, 1, 1, '', 1, 0, 0, 0, 0, "
                  "zeroblob(32), zeroblob(32), 0, 1, 0)",
                  "epoch to come"}}) {
    SetUp();
    ASSERT_OK(Create());
    ExpectDamaged(sql, named);
  }
}
TEST_F(RoundStoreTest, DamageNamesTheFileAndTheCure) {
  ASSERT_OK(Create());
  ExpectDamaged("DELETE FROM models", dir_ + "/coordinator.db: ");
  ExpectDamaged("DELETE FROM server_state", "restore the folder from a backup");
}
TEST_F(RoundStoreTest, ParticipationsThatWereLostAreDamage) {
  ASSERT_OK(Create());
  {
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    ASSERT_OK(CommitOne(store, 1, 0));
  }
  ExpectDamaged("DELETE FROM devices WHERE number = 8", "2 participations, but 3 participants");
}
// Bytes changed behind SQLite's back, in every part of the file: an error, never a wrong answer.
TEST_F(RoundStoreTest, FlippedBytesAreFoundOrHarmless) {
  ASSERT_OK(Create());
  {
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    for (std::uint32_t i = 0; i < 3; ++i) ASSERT_OK(CommitOne(store, i + 1, i));
  }
  ASSERT_OK(Tamper("PRAGMA wal_checkpoint(TRUNCATE)"));
  const std::string path = dir_ + "/" + std::string(RoundStore::kFileName);
  ASSERT_OK_AND_ASSIGN(const Bytes good, ReadFile(path, 1U << 24));
  std::size_t found = 0;
  for (std::size_t at = 0; at < good.size(); at += 509) {
    Bytes bad = good;
    for (std::size_t i = at; i < std::min(at + 64, bad.size()); ++i) bad[i] = ~bad[i];
    ASSERT_OK(WriteFileAtomically(path, bad, FileMode::kPublic));
    for (const char* beside : {"-wal", "-shm"}) std::filesystem::remove(path + beside);
    auto store = RoundStore::Open(dir_, Access::kWrite);
    if (!store) {
      ++found;
      continue;
    }
    const auto snapshot = store->Load();
    if (!snapshot) {
      ++found;
      continue;
    }
    // What neither SQLite nor a hash covers: free space, records of rounds and devices.
    EXPECT_EQ(snapshot->model.blob, MakeModel(3).blob) << at;
    EXPECT_EQ(snapshot->server_state, State(3)) << at;
    EXPECT_EQ(snapshot->committed, 3U) << at;
    EXPECT_EQ(snapshot->ledger.size(), 9U) << at;
  }
  EXPECT_GT(found, 5U);
}
TEST_F(RoundStoreTest, AFileThatIsNoDatabaseIsDamage) {
  std::ofstream(dir_ + "/" + std::string(RoundStore::kFileName)) << std::string(8192, 'x');
  EXPECT_ERROR(RoundStore::Open(dir_, Access::kWrite), ErrorCode::kDataLoss);
  EXPECT_EQ(std::filesystem::file_size(dir_ + "/" + std::string(RoundStore::kFileName)), 8192U);
}

// The same of the other changes: before the transaction nothing, after it everything.
TEST_F(RoundStoreTest, ACrashAroundAChangeKeepsAllOfItOrNothing) {
  struct Crash {};
  struct Point {
    const char* name;
    std::size_t entries;
    RoundState state;  // of the round; kCommitted: there is none
  };
  for (const Point& point : {Point{"coordinator.before_reserve", 0, RoundState::kCommitted},
                             Point{"coordinator.after_reserve", 1, RoundState::kReserved},
                             Point{"coordinator.before_survivors", 1, RoundState::kReserved},
                             Point{"coordinator.after_survivors", 2, RoundState::kUnmasking},
                             Point{"coordinator.before_abandon", 2, RoundState::kUnmasking},
                             Point{"coordinator.after_abandon", 3, RoundState::kAbandoned}}) {
    SetUp();
    ASSERT_OK(Create());
    {
      ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
      SetFaultHandler([&point](std::string_view name) {
        if (name == point.name) throw Crash{};
      });
      const auto run = [&store] {
        (void)store.Reserve(MakeRound(1, 0), {Entry(1)});
        (void)store.FixSurvivors({1, 1}, 35, kSurvivors, {Entry(2)});
        (void)store.Abandon({1, 1}, "infeasible", 5, {Entry(3)});
      };
      EXPECT_THROW(run(), Crash) << point.name;
      SetFaultHandler({});
    }
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
    EXPECT_EQ(now.ledger.size(), point.entries) << point.name;
    ASSERT_OK_AND_ASSIGN(const auto rounds, store.Rounds(2));
    ASSERT_EQ(rounds.size(), point.state == RoundState::kCommitted ? 0U : 1U) << point.name;
    if (!rounds.empty()) {
      EXPECT_EQ(rounds[0].state, point.state) << point.name;
    }
    EXPECT_EQ(now.devices.size(), point.entries >= 2 ? 3U : 0U) << point.name;
  }
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
