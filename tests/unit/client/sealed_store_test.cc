#include "demur/client/sealed_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "demur/base/fault.h"
#include "demur/base/file.h"
#include "demur/crypto/system_random.h"
#include "demur/storage/database.h"
#include "result_matchers.h"
#include "temporary_folder.h"

namespace demur::client {
namespace {

namespace fs = std::filesystem;

struct Crash {};

Bytes Row(const std::string& text) { return ToBytes(AsBytes(text)); }

TEST(RowSealerTest, ARowOpensInItsOwnPlaceOnly) {
  StoreKey key;
  ASSERT_OK_AND_ASSIGN(const auto sealer, RowSealer::Create(key));
  const crypto::AeadNonce nonce{};
  ASSERT_OK_AND_ASSIGN(const Bytes sealed,
                       sealer.Seal(StoreTable::kEvent, 7, nonce, Row("an event")));
  ASSERT_OK_AND_ASSIGN(const SecretBytes plain, sealer.Open(StoreTable::kEvent, 7, nonce, sealed));
  EXPECT_EQ(AsText(plain.view()), "an event");
  EXPECT_ERROR(sealer.Open(StoreTable::kEvent, 8, nonce, sealed), ErrorCode::kDataLoss);
  EXPECT_ERROR(sealer.Open(StoreTable::kState, 7, nonce, sealed), ErrorCode::kDataLoss);
  key.store[0] = std::byte{1};
  ASSERT_OK_AND_ASSIGN(const auto other, RowSealer::Create(key));
  EXPECT_ERROR(other.Open(StoreTable::kEvent, 7, nonce, sealed), ErrorCode::kDataLoss);
  EXPECT_ERROR(sealer.Open(StoreTable::kEvent, 7, nonce, {}), ErrorCode::kDataLoss);
  EXPECT_ERROR(sealer.Open(StoreTable::kEvent, 7, {}, sealed), ErrorCode::kDataLoss);
}

TEST(RowSealerTest, TheSetHashForgetsWhatIsTakenOut) {
  ASSERT_OK_AND_ASSIGN(const auto sealer, RowSealer::Create({}));
  const crypto::AeadNonce nonce{};
  const Bytes sealed(40);
  Hash256 set{};
  ASSERT_OK(sealer.Toggle(StoreTable::kEvent, 1, nonce, sealed, &set));
  EXPECT_NE(set, Hash256{});
  Hash256 other{};
  ASSERT_OK(sealer.Toggle(StoreTable::kEvent, 2, nonce, sealed, &other));
  EXPECT_NE(set, other);
  ASSERT_OK(sealer.Toggle(StoreTable::kEvent, 1, nonce, sealed, &set));
  EXPECT_EQ(set, Hash256{});
}

class SealedStoreTest : public ::testing::Test {
 protected:
  void TearDown() override { SetFaultHandler({}); }

  std::string Data() const { return folder_.File("data"); }
  std::string Keys() const { return folder_.File("keys"); }
  Result<SealedStore> Open() { return SealedStore::Open(Data(), keys_, random_); }

  // Inserts one event per text in one commit.
  static Result<std::vector<std::int64_t>> Insert(SealedStore& store,
                                                  const std::vector<std::string>& texts) {
    SealedStore::Batch batch;
    for (const auto& text : texts) batch.Insert(StoreTable::kEvent, Row(text));
    return store.Commit(std::move(batch));
  }
  static std::vector<std::string> Read(const SealedStore& store,
                                       StoreTable table = StoreTable::kEvent) {
    std::vector<std::string> out;
    EXPECT_OK(store.ForEach(table, [&out](std::int64_t, ByteView plain) -> Status {
      out.emplace_back(AsText(plain));
      return {};
    }));
    return out;
  }
  // SQL on the closed file, as an attacker who has the disk would run it.
  void Tamper(const std::string& sql) {
    ASSERT_OK_AND_ASSIGN(auto db, storage::Database::Open(SealedStorePath(Data()), {}));
    ASSERT_OK(db.Execute(sql));
    ASSERT_OK(db.Checkpoint());
  }
  void CopyData(const std::string& from, const std::string& to) {
    fs::remove_all(to);
    fs::copy(from, to, fs::copy_options::recursive);
  }
  // Every byte of every file of the store.
  std::string EveryByte() const {
    std::string all;
    for (const auto& entry : fs::directory_iterator(Data())) {
      auto bytes = ReadFile(entry.path().string(), 1U << 26);
      EXPECT_OK(bytes);
      all += AsText(*bytes);
    }
    return all;
  }
  static void CrashAt(std::string point) {
    SetFaultHandler([point = std::move(point)](std::string_view name) {
      if (name == point) throw Crash{};
    });
  }

  testing::TemporaryFolder folder_;
  FileKeyProvider keys_{folder_.File("keys")};
  crypto::SystemRandom random_;
};

TEST_F(SealedStoreTest, RowsComeBackInOrderAfterReopening) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK_AND_ASSIGN(const auto rowids, Insert(store, {"one", "two", "three"}));
    EXPECT_EQ(rowids, (std::vector<std::int64_t>{1, 2, 3}));
    SealedStore::Batch batch;
    batch.Replace(StoreTable::kEvent, 2, Row("zwei"));
    batch.Erase(StoreTable::kEvent, 1);
    batch.Insert(StoreTable::kState, Row("state"));
    ASSERT_OK(store.Commit(std::move(batch)));
  }
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  EXPECT_EQ(Read(store), (std::vector<std::string>{"zwei", "three"}));
  EXPECT_EQ(Read(store, StoreTable::kState), (std::vector<std::string>{"state"}));
  EXPECT_EQ(store.rows(StoreTable::kEvent), 2U);
  EXPECT_EQ(store.generation(), 3U);
  ASSERT_OK_AND_ASSIGN(const auto rowids, Insert(store, {"four"}));
  EXPECT_EQ(rowids, (std::vector<std::int64_t>{4})) << "a rowid is never used twice";
}

TEST_F(SealedStoreTest, NothingIsReadableOnTheDisk) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  ASSERT_OK(Insert(store, {"a rather unmistakable text"}));
  EXPECT_EQ(EveryByte().find("unmistakable"), std::string::npos);
  // The columns are what they are said to be: no index, no time, no item.
  ASSERT_OK_AND_ASSIGN(const Bytes file, ReadFile(SealedStorePath(Data()) + "-wal", 1U << 26));
  EXPECT_NE(AsText(file).find("CREATE TABLE event(id INTEGER PRIMARY KEY, nonce BLOB NOT NULL, "
                              "sealed BLOB NOT NULL)"),
            std::string_view::npos);
  EXPECT_EQ(AsText(file).find("CREATE INDEX"), std::string_view::npos);
}

TEST_F(SealedStoreTest, TheKeyFileIsForItsOwnerOnly) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  for (const char* name : {"/store.key", "/store.counter"}) {
    struct stat info {};
    ASSERT_EQ(::stat((Keys() + name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 0777U, 0600U) << name;
  }
  EXPECT_FALSE(fs::exists(Keys() + "/store.key.next"));
}

TEST_F(SealedStoreTest, OneOwnerAtATime) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  EXPECT_ERROR(Open(), ErrorCode::kUnavailable);
}

TEST_F(SealedStoreTest, AFailedCommitKeepsNothing) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  ASSERT_OK(Insert(store, {"one"}));
  SealedStore::Batch batch;
  batch.Insert(StoreTable::kEvent, Row("two"));
  batch.Erase(StoreTable::kEvent, 99);
  EXPECT_ERROR(store.Commit(std::move(batch)), ErrorCode::kNotFound);
  EXPECT_EQ(Read(store), (std::vector<std::string>{"one"}));
  ASSERT_OK(Insert(store, {"three"}));
  EXPECT_EQ(Read(store), (std::vector<std::string>{"one", "three"}));
}

TEST_F(SealedStoreTest, ChangedBytesAreDataLoss) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK(Insert(store, {"one", "two"}));
  }
  Tamper("UPDATE event SET sealed = x'00' || substr(sealed, 2) WHERE id = 1");
  // The tag is untouched, so the set hash agrees and the row itself has to be the one that fails.
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  EXPECT_ERROR(store.ForEach(StoreTable::kEvent, [](std::int64_t, ByteView) { return Status(); }),
               ErrorCode::kDataLoss);
}

TEST_F(SealedStoreTest, SwappedRowsAreDataLoss) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK(Insert(store, {"one", "two"}));
  }
  Tamper(
      "UPDATE event SET id = 9 WHERE id = 1; UPDATE event SET id = 1 WHERE id = 2;"
      "UPDATE event SET id = 2 WHERE id = 9;");
  EXPECT_ERROR(Open(), ErrorCode::kDataLoss);
}

TEST_F(SealedStoreTest, ARowOfAnotherTableIsDataLoss) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    SealedStore::Batch batch;
    batch.Insert(StoreTable::kEvent, Row("event"));
    batch.Insert(StoreTable::kState, Row("state"));
    ASSERT_OK(store.Commit(std::move(batch)));
  }
  Tamper("DELETE FROM event; INSERT INTO event SELECT * FROM state");
  EXPECT_ERROR(Open(), ErrorCode::kDataLoss);
}

TEST_F(SealedStoreTest, ARemovedRowIsDataLoss) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK(Insert(store, {"one", "two"}));
  }
  Tamper("DELETE FROM event WHERE id = 2");
  EXPECT_ERROR(Open(), ErrorCode::kDataLoss);
}

TEST_F(SealedStoreTest, ARowPutBackToAnOlderVersionIsDataLoss) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    SealedStore::Batch batch;
    batch.Insert(StoreTable::kTask, Row("participations 3"));
    ASSERT_OK(store.Commit(std::move(batch)));
  }
  Tamper("CREATE TABLE kept AS SELECT * FROM task");
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    SealedStore::Batch batch;
    batch.Replace(StoreTable::kTask, 1, Row("participations 4"));
    ASSERT_OK(store.Commit(std::move(batch)));
  }
  Tamper("DELETE FROM task; INSERT INTO task SELECT * FROM kept");
  EXPECT_ERROR(Open(), ErrorCode::kDataLoss);
}

TEST_F(SealedStoreTest, AWholeFilePutBackIsDataLoss) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK(Insert(store, {"one"}));
  }
  CopyData(Data(), folder_.File("copy"));
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK(Insert(store, {"two"}));
  }
  CopyData(folder_.File("copy"), Data());
  EXPECT_ERROR(Open(), ErrorCode::kDataLoss);
}

TEST_F(SealedStoreTest, ALostCounterKeyOrFileIsDataLoss) {
  for (const std::string& lost : std::vector<std::string>{
           Keys() + "/store.counter", Keys() + "/store.key", SealedStorePath(Data())}) {
    fs::remove_all(Data());
    fs::remove_all(Keys());
    {
      ASSERT_OK_AND_ASSIGN(auto store, Open());
      ASSERT_OK(Insert(store, {"one"}));
    }
    fs::remove(lost);
    EXPECT_ERROR(Open(), ErrorCode::kDataLoss) << lost;
  }
}

TEST_F(SealedStoreTest, ACounterOfAnotherStoreIsDataLoss) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK(Insert(store, {"one"}));
  }
  Bytes forged(80);
  ASSERT_OK(keys_.SaveCounter(forged));
  EXPECT_ERROR(Open(), ErrorCode::kDataLoss);
}

TEST_F(SealedStoreTest, ACrashAroundACommitKeepsAllOrNothing) {
  for (const auto& [point, kept] : std::map<std::string, std::size_t>{
           {"store.before_commit", 1}, {"store.after_commit", 2}, {"store.after_counter", 2}}) {
    fs::remove_all(Data());
    fs::remove_all(Keys());
    {
      ASSERT_OK_AND_ASSIGN(auto store, Open());
      ASSERT_OK(Insert(store, {"one"}));
      CrashAt(point);
      EXPECT_THROW((void)Insert(store, {"two"}), Crash);
      SetFaultHandler({});
    }
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    EXPECT_EQ(Read(store).size(), kept) << point;
    ASSERT_OK(Insert(store, {"three"}));
  }
}

TEST_F(SealedStoreTest, ACrashDuringTheFirstOpenIsRepaired) {
  CrashAt("store.created");
  EXPECT_THROW((void)Open(), Crash);
  SetFaultHandler({});
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  EXPECT_OK(Insert(store, {"one"}));
}

TEST_F(SealedStoreTest, PurgeLeavesNoByteOfARowAndAnotherKey) {
  std::vector<std::string> texts;
  for (int i = 0; i < 500; ++i) texts.push_back("row " + std::to_string(i));
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  ASSERT_OK(Insert(store, texts));
  ASSERT_OK_AND_ASSIGN(const StoreKey old_key, keys_.Load());
  // 16 bytes of each nonce and ciphertext, as they lie in the file and its log.
  std::vector<std::string> traces;
  {
    CopyData(Data(), folder_.File("copy"));
    ASSERT_OK_AND_ASSIGN(auto copy,
                         storage::Database::Open(SealedStorePath(folder_.File("copy")), {}));
    ASSERT_OK_AND_ASSIGN(auto all, copy.Prepare("SELECT nonce, sealed FROM event"));
    for (;;) {
      ASSERT_OK_AND_ASSIGN(const bool row, all.Step());
      if (!row) break;
      traces.emplace_back(AsText(all.Blob(0)));
      traces.emplace_back(AsText(all.Blob(1).first(12)));
    }
  }
  ASSERT_EQ(traces.size(), 1000U);
  const std::string before = EveryByte();
  for (const auto& trace : traces) ASSERT_NE(before.find(trace), std::string::npos);

  SealedStore::Batch keep;
  keep.Insert(StoreTable::kTask, Row("counters"));
  ASSERT_OK(store.Purge(std::move(keep)));
  const std::string after = EveryByte();
  for (const auto& trace : traces) ASSERT_EQ(after.find(trace), std::string::npos);
  EXPECT_TRUE(Read(store).empty());
  EXPECT_EQ(Read(store, StoreTable::kTask), (std::vector<std::string>{"counters"}));
  ASSERT_OK_AND_ASSIGN(const StoreKey new_key, keys_.Load());
  EXPECT_FALSE(ConstantTimeEqual(old_key.root.view(), new_key.root.view()));
  EXPECT_NE(old_key.store, new_key.store);
  ASSERT_OK(Insert(store, {"life goes on"}));
}

TEST_F(SealedStoreTest, ACrashInsideAPurgeIsFinishedOrReported) {
  for (const std::string& point :
       std::vector<std::string>{"purge.staged", "purge.rekeyed", "purge.wiped", "purge.promoted"}) {
    fs::remove_all(Data());
    fs::remove_all(Keys());
    {
      ASSERT_OK_AND_ASSIGN(auto store, Open());
      ASSERT_OK(Insert(store, {"one"}));
      SealedStore::Batch keep;
      keep.Insert(StoreTable::kTask, Row("counters"));
      CrashAt(point);
      EXPECT_THROW((void)store.Purge(std::move(keep)), Crash) << point;
      SetFaultHandler({});
    }
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    EXPECT_EQ(store.purge_pending(), point == "purge.staged") << point;
    if (store.purge_pending()) {
      EXPECT_ERROR(Insert(store, {"two"}), ErrorCode::kFailedPrecondition);
      SealedStore::Batch keep;
      keep.Insert(StoreTable::kTask, Row("counters"));
      ASSERT_OK(store.Purge(std::move(keep)));
    }
    EXPECT_TRUE(Read(store).empty()) << point;
    EXPECT_EQ(Read(store, StoreTable::kTask), (std::vector<std::string>{"counters"})) << point;
    EXPECT_FALSE(fs::exists(Keys() + "/store.key.next")) << point;
    ASSERT_OK(Insert(store, {"two"}));
  }
}

}  // namespace
}  // namespace demur::client
