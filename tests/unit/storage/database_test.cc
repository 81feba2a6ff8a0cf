#include "demur/storage/database.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <string>
#include <utility>

#include "demur/base/file.h"
#include "result_matchers.h"
#include "temporary_folder.h"

namespace demur::storage {
namespace {

constexpr std::array<std::string_view, 1> kOne = {
    "CREATE TABLE t(id INTEGER PRIMARY KEY, value BLOB, name TEXT UNIQUE)"};
constexpr std::array<std::string_view, 2> kTwo = {kOne[0], "ALTER TABLE t ADD COLUMN extra"};

class DatabaseTest : public ::testing::Test {
 protected:
  Result<Database> Open(Options options = {}) {
    return Database::Open(folder_.File("test.sqlite"), options);
  }
  static std::int64_t Count(Database& db) {
    auto statement = db.Prepare("SELECT count(*) FROM t");
    EXPECT_OK(statement);
    EXPECT_OK(statement->Step());
    return statement->Integer(0);
  }
  static Status Insert(Database& db, std::int64_t id, std::string_view name) {
    DEMUR_TRY(auto statement, db.Prepare("INSERT INTO t(id, name) VALUES(?, ?)"));
    return statement.Bind(1, id).Bind(2, name).Run();
  }

  testing::TemporaryFolder folder_;
};

TEST_F(DatabaseTest, ANewFileIsForItsOwnerOnlyAndDurable) {
  ASSERT_OK_AND_ASSIGN(Database db, Open());
  struct stat info {};
  ASSERT_EQ(::stat(folder_.File("test.sqlite").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  for (const auto& [pragma, value] :
       {std::pair{"PRAGMA synchronous", 2}, std::pair{"PRAGMA foreign_keys", 1},
        std::pair{"PRAGMA secure_delete", 1}}) {
    ASSERT_OK_AND_ASSIGN(Statement statement, db.Prepare(pragma));
    ASSERT_OK_AND_ASSIGN(const bool row, statement.Step());
    ASSERT_TRUE(row);
    EXPECT_EQ(statement.Integer(0), value) << pragma;
  }
  ASSERT_OK_AND_ASSIGN(Statement mode, db.Prepare("PRAGMA journal_mode"));
  ASSERT_OK_AND_ASSIGN(const bool row, mode.Step());
  ASSERT_TRUE(row);
  EXPECT_EQ(mode.Text(0), "wal");
}

TEST_F(DatabaseTest, AMissingFileIsNotMadeUnlessAsked) {
  EXPECT_ERROR(Open({.create = false}), ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(folder_.File("test.sqlite")));
}

TEST_F(DatabaseTest, ValuesComeBackAsTheyWereBound) {
  ASSERT_OK_AND_ASSIGN(Database db, Open());
  ASSERT_OK(db.Migrate(kOne));
  const std::array<std::byte, 3> blob = {std::byte{0}, std::byte{7}, std::byte{255}};
  ASSERT_OK_AND_ASSIGN(Statement insert,
                       db.Prepare("INSERT INTO t(id, value, name) VALUES(?, ?, ?)"));
  ASSERT_OK(insert.Bind(1, std::int64_t{-5}).Bind(2, ByteView(blob)).Bind(3, "zero").Run());
  ASSERT_OK(insert.Bind(1, std::int64_t{6}).Bind(2, ByteView()).BindNull(3).Run());
  EXPECT_EQ(db.last_insert_rowid(), 6);
  ASSERT_OK_AND_ASSIGN(Statement read, db.Prepare("SELECT id, value, name FROM t ORDER BY id"));
  ASSERT_OK_AND_ASSIGN(bool row, read.Step());
  ASSERT_TRUE(row);
  EXPECT_EQ(read.Integer(0), -5);
  EXPECT_EQ(ToHex(read.Blob(1)), "0007ff");
  EXPECT_EQ(read.Text(2), "zero");
  ASSERT_OK_AND_ASSIGN(row, read.Step());
  ASSERT_TRUE(row);
  EXPECT_TRUE(read.Blob(1).empty());
  EXPECT_FALSE(read.IsNull(1)) << "an empty blob is not NULL";
  EXPECT_TRUE(read.IsNull(2));
  ASSERT_OK_AND_ASSIGN(row, read.Step());
  EXPECT_FALSE(row);
}

TEST_F(DatabaseTest, AWrongParameterNumberIsReported) {
  ASSERT_OK_AND_ASSIGN(Database db, Open());
  ASSERT_OK(db.Migrate(kOne));
  ASSERT_OK_AND_ASSIGN(Statement insert, db.Prepare("INSERT INTO t(id) VALUES(?)"));
  EXPECT_ERROR(insert.Bind(2, std::int64_t{1}).Run(), ErrorCode::kInternal);
  EXPECT_OK(insert.Bind(1, std::int64_t{1}).Run());
}

TEST_F(DatabaseTest, ATransactionThatIsNotCommittedLeavesNothing) {
  ASSERT_OK_AND_ASSIGN(Database db, Open());
  ASSERT_OK(db.Migrate(kOne));
  {
    ASSERT_OK_AND_ASSIGN(Transaction transaction, db.Begin());
    ASSERT_OK(Insert(db, 1, "a"));
    EXPECT_ERROR(db.Begin(), ErrorCode::kFailedPrecondition);
  }
  EXPECT_EQ(Count(db), 0);
  {
    ASSERT_OK_AND_ASSIGN(Transaction transaction, db.Begin());
    ASSERT_OK(Insert(db, 1, "a"));
    ASSERT_OK(transaction.Commit());
    EXPECT_ERROR(transaction.Commit(), ErrorCode::kFailedPrecondition);
  }
  EXPECT_EQ(Count(db), 1);
}

TEST_F(DatabaseTest, WhatWasCommittedIsThereAfterReopening) {
  {
    ASSERT_OK_AND_ASSIGN(Database db, Open());
    ASSERT_OK(db.Migrate(kOne));
    ASSERT_OK(Insert(db, 1, "a"));
  }
  ASSERT_OK_AND_ASSIGN(Database db, Open());
  ASSERT_OK(db.Migrate(kOne));
  EXPECT_EQ(Count(db), 1);
  EXPECT_OK(db.CheckIntegrity());
}

TEST_F(DatabaseTest, MigrationsRunOnceAndInOrder) {
  {
    ASSERT_OK_AND_ASSIGN(Database db, Open());
    ASSERT_OK(db.Migrate(kOne));
    ASSERT_OK(Insert(db, 1, "kept"));
  }
  ASSERT_OK_AND_ASSIGN(Database db, Open());
  ASSERT_OK(db.Migrate(kTwo));
  ASSERT_OK(db.Migrate(kTwo));
  EXPECT_EQ(Count(db), 1);
  EXPECT_OK(db.Execute("SELECT extra FROM t"));
  EXPECT_ERROR(db.Migrate(kOne), ErrorCode::kFailedPrecondition)
      << "a file of a newer program must not be touched";
}

TEST_F(DatabaseTest, AFailedMigrationLeavesTheVersionBeforeIt) {
  ASSERT_OK_AND_ASSIGN(Database db, Open());
  const std::array<std::string_view, 2> broken = {kOne[0],
                                                  "CREATE TABLE u(x); INSERT INTO missing "
                                                  "VALUES(1)"};
  EXPECT_ERROR(db.Migrate(broken), ErrorCode::kInternal);
  EXPECT_ERROR(db.Execute("SELECT * FROM u"), ErrorCode::kInternal);
  EXPECT_OK(db.Migrate(kTwo));
}

TEST_F(DatabaseTest, AConstraintIsAFailedPrecondition) {
  ASSERT_OK_AND_ASSIGN(Database db, Open());
  ASSERT_OK(db.Migrate(kOne));
  ASSERT_OK(Insert(db, 1, "same-name"));
  const Status status = Insert(db, 2, "same-name");
  EXPECT_ERROR(status, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(status.error().message().find("same-name"), std::string::npos)
      << "a bound value stands in the error";
}

TEST_F(DatabaseTest, ASecondWriterIsToldToTryAgain) {
  ASSERT_OK_AND_ASSIGN(Database first, Open());
  ASSERT_OK(first.Migrate(kOne));
  ASSERT_OK_AND_ASSIGN(Database second, Open({.busy_timeout_ms = 0}));
  ASSERT_OK_AND_ASSIGN(Transaction transaction, first.Begin());
  EXPECT_ERROR(second.Begin(), ErrorCode::kUnavailable);
  ASSERT_OK(transaction.Commit());
  EXPECT_OK(second.Begin());
}

TEST_F(DatabaseTest, AnExclusiveOwnerKeepsEverybodyElseOut) {
  ASSERT_OK_AND_ASSIGN(Database first, Open({.exclusive = true}));
  ASSERT_OK(first.Migrate(kOne));
  EXPECT_FALSE(std::filesystem::exists(folder_.File("test.sqlite-shm")));
  EXPECT_ERROR(Open({.busy_timeout_ms = 0}), ErrorCode::kUnavailable);
}

TEST_F(DatabaseTest, AFileThatIsNoDatabaseIsDataLoss) {
  const std::string text(4096, 'x');
  ASSERT_OK(WriteFileAtomically(folder_.File("test.sqlite"), AsBytes(text), FileMode::kOwnerOnly));
  EXPECT_ERROR(Open(), ErrorCode::kDataLoss);
}

TEST_F(DatabaseTest, ACheckpointEmptiesTheLog) {
  ASSERT_OK_AND_ASSIGN(Database db, Open());
  ASSERT_OK(db.Migrate(kOne));
  ASSERT_OK(Insert(db, 1, "in the log"));
  EXPECT_GT(std::filesystem::file_size(folder_.File("test.sqlite-wal")), 0U);
  ASSERT_OK(db.Checkpoint());
  EXPECT_EQ(std::filesystem::file_size(folder_.File("test.sqlite-wal")), 0U);
  EXPECT_EQ(Count(db), 1);
}

TEST_F(DatabaseTest, DeletedContentIsGoneFromTheFile) {
  ASSERT_OK_AND_ASSIGN(Database db, Open());
  ASSERT_OK(db.Migrate(kOne));
  const std::string secret = "a rather unmistakable text";
  ASSERT_OK(Insert(db, 1, secret));
  ASSERT_OK(db.Checkpoint());
  ASSERT_OK_AND_ASSIGN(const Bytes before, ReadFile(folder_.File("test.sqlite"), 1U << 20));
  ASSERT_NE(AsText(before).find(secret), std::string_view::npos);
  ASSERT_OK(db.Execute("DELETE FROM t"));
  ASSERT_OK(db.Checkpoint());
  ASSERT_OK_AND_ASSIGN(const Bytes after, ReadFile(folder_.File("test.sqlite"), 1U << 20));
  EXPECT_EQ(AsText(after).find(secret), std::string_view::npos);
}

TEST_F(DatabaseTest, WrongSqlIsABugOfOurs) {
  ASSERT_OK_AND_ASSIGN(Database db, Open());
  EXPECT_ERROR(db.Prepare("SELEKT 1"), ErrorCode::kInternal);
  EXPECT_ERROR(db.Prepare(""), ErrorCode::kInternal);
  EXPECT_ERROR(db.Execute("nonsense"), ErrorCode::kInternal);
}

TEST_F(DatabaseTest, AStatementKeepsItsConnectionAlive) {
  ASSERT_OK_AND_ASSIGN(Statement statement, [this]() -> Result<Statement> {
    DEMUR_TRY(Database db, Open());
    return db.Prepare("SELECT 42");
  }());
  ASSERT_OK_AND_ASSIGN(const bool row, statement.Step());
  ASSERT_TRUE(row);
  EXPECT_EQ(statement.Integer(0), 42);
}

}  // namespace
}  // namespace demur::storage
