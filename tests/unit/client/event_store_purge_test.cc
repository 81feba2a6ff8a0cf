#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "demur/base/file.h"
#include "demur/client/event_store.h"
#include "event_store_test_util.h"

// Purge: what stays, what goes, and what a crash inside it leaves.
namespace demur::client {
namespace {

constexpr const char* kPurgePoints[] = {"purge.staged", "purge.rekeyed", "purge.wiped",
                                        "purge.promoted"};

class PurgeTest : public EventStoreTest {
 protected:
  // What a store holds of somebody, with bytes that are easy to find again.
  static constexpr std::uint32_t kItem = 0x5EEDF00D;
  void Fill(EventStore& store) {
    std::vector<Event> events;
    for (int i = 0; i < 300; ++i) events.push_back(MakeEvent(kItem, Signal::kDislike));
    ASSERT_OK(store.AppendEvents(events));
    ASSERT_OK(store.SaveMasked(record_, {std::vector<float>(64, 1234.5678F)}));
    ASSERT_OK(store.SaveTask(other_));
    ASSERT_OK(store.SaveIdentity(MakeIdentity()));
  }
  // The plaintexts that lie in the store's rows.
  static std::vector<std::string> Plaintexts() {
    ByteWriter item;
    item.U32(kItem).U8(static_cast<std::uint8_t>(Signal::kDislike));
    ByteWriter state;
    for (int i = 0; i < 4; ++i) state.U32(0x449A522BU);  // 1234.5678F
    return {std::string(AsText(item.bytes())), std::string(AsText(state.bytes())),
            "coordinator.example", "certificate of this device", std::string(32, '\xA7')};
  }
  void ExpectErased(EventStore& store) {
    EXPECT_EQ(store.num_events(), 0U);
    ASSERT_OK_AND_ASSIGN(const auto events, store.Events());
    EXPECT_TRUE(events.empty());
    ASSERT_OK_AND_ASSIGN(const auto state, store.LoadState(record_.task()));
    EXPECT_TRUE(state.values.empty());
    EXPECT_ERROR(store.LoadIdentity(), ErrorCode::kNotFound);
    ASSERT_EQ(store.tasks().size(), 2U);
    EXPECT_EQ(*store.FindTask(record_.task()), record_);
    EXPECT_EQ(*store.FindTask(other_.task()), other_);
  }

  TaskRecord record_ = Masked(Masked(Fresh(), 4), 5, 2);
  TaskRecord other_ = Seen(Fresh(8), 3);
};

TEST_F(PurgeTest, KeepsWhatTasksHaveCostAndErasesTheRest) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open(1'000));
    Fill(store);
    ASSERT_OK(store.Purge());
    ExpectErased(store);
  }
  ASSERT_OK_AND_ASSIGN(auto store, Open(1'000));
  ExpectErased(store);
  // The budget did not come back with the empty store.
  EXPECT_ERROR(store.SaveMasked(record_, {}), ErrorCode::kFailedPrecondition);
  // A new life: events, the next round, another identity.
  ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(1)}));
  ASSERT_OK(store.SaveMasked(Masked(record_, 6), {{1.0F}}));
  ASSERT_OK(store.SaveIdentity(MakeIdentity()));
}

TEST_F(PurgeTest, LeavesNoByteOfARowInDatabaseLogOrFreePages) {
  ASSERT_OK_AND_ASSIGN(auto store, Open(1'000));
  Fill(store);
  std::vector<std::string> traces;
  for (const char* table : {"event", "state", "identity", "task"}) {
    for (std::string& trace : Traces(table)) traces.push_back(std::move(trace));
  }
  ASSERT_EQ(traces.size(), 2U * (300 + 1 + 1 + 2));
  ASSERT_OK_AND_ASSIGN(const StoreKey old_key, keys_.Load());
  const std::string root(AsText(old_key.root.view()));
  const std::string before = EveryByte(Data());
  for (const std::string& trace : traces) ASSERT_NE(before.find(trace), std::string::npos);
  ASSERT_NE(EveryByte(Keys()).find(root), std::string::npos);
  for (const std::string& text : Plaintexts()) EXPECT_EQ(before.find(text), std::string::npos);

  // The first 200 events are erased by newer ones: their rows lie in free pages and in the log.
  ASSERT_OK(store.AppendEvents(std::vector(900, MakeEvent(kItem))));
  EXPECT_EQ(store.num_events(), 1'000U);
  ASSERT_OK(store.Purge());
  const std::string after = EveryByte(Data());
  for (const std::string& trace : traces) ASSERT_EQ(after.find(trace), std::string::npos);
  for (const std::string& text : Plaintexts()) EXPECT_EQ(after.find(text), std::string::npos);
  EXPECT_EQ(EveryByte(Keys()).find(root), std::string::npos) << "the old key is shredded";
}

// A second name keeps the old key's file: what was in it is overwritten, not only unlinked.
TEST_F(PurgeTest, ShredsTheOldKeyInPlace) {
  ASSERT_OK_AND_ASSIGN(auto store, Open(1'000));
  Fill(store);
  const std::string kept = folder_.File("kept");
  fs::create_hard_link(Keys() + "/store.key", kept);
  ASSERT_OK_AND_ASSIGN(const Bytes before, ReadFile(kept, 1'000));
  EXPECT_NE(before, Bytes(before.size()));
  ASSERT_OK(store.Purge());
  ASSERT_OK_AND_ASSIGN(const Bytes after, ReadFile(kept, 1'000));
  EXPECT_EQ(after, Bytes(before.size()));
}

// The scan above can fail: the same bytes, unsealed, are found.
TEST_F(PurgeTest, TheScanFindsWhatIsThere) {
  fs::create_directories(Data());
  {
    ASSERT_OK_AND_ASSIGN(auto database, storage::Database::Open(SealedStorePath(Data()), {}));
    ASSERT_OK(database.Execute("CREATE TABLE plain (bytes BLOB)"));
    ASSERT_OK_AND_ASSIGN(auto put, database.Prepare("INSERT INTO plain VALUES (?)"));
    for (const std::string& text : Plaintexts()) ASSERT_OK(put.Bind(1, AsBytes(text)).Run());
    const std::string all = EveryByte(Data());
    for (const std::string& text : Plaintexts()) EXPECT_NE(all.find(text), std::string::npos);
  }
}

TEST_F(PurgeTest, ACrashAnywhereInsideIsFinishedByTheNextOpen) {
  for (const char* point : kPurgePoints) {
    StartOver();
    std::vector<std::string> traces;
    std::string root;
    {
      ASSERT_OK_AND_ASSIGN(auto store, Open(1'000));
      Fill(store);
      traces = Traces("event");
      ASSERT_OK_AND_ASSIGN(const StoreKey key, keys_.Load());
      root = AsText(key.root.view());
      CrashAt(point);
      EXPECT_THROW((void)store.Purge(), Crash) << point;
      SetFaultHandler({});
    }
    ASSERT_OK_AND_ASSIGN(auto store, Open(1'000));
    ExpectErased(store);
    const std::string after = EveryByte(Data());
    for (const std::string& trace : traces) {
      ASSERT_EQ(after.find(trace), std::string::npos) << point;
    }
    EXPECT_EQ(EveryByte(Keys()).find(root), std::string::npos) << point;
    ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(1)})) << point;
  }
}

// A purge that is finished at Open may be cut off again.
TEST_F(PurgeTest, ACrashWhileFinishingIsFinishedToo) {
  for (const char* point : kPurgePoints) {
    StartOver();
    {
      ASSERT_OK_AND_ASSIGN(auto store, Open(1'000));
      Fill(store);
      CrashAt("purge.staged");
      EXPECT_THROW((void)store.Purge(), Crash);
    }
    CrashAt(point);
    EXPECT_THROW((void)Open(1'000), Crash) << point;
    SetFaultHandler({});
    ASSERT_OK_AND_ASSIGN(auto store, Open(1'000));
    ExpectErased(store);
  }
}

TEST_F(PurgeTest, OfAnEmptyStoreIsHarmless) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  ASSERT_OK(store.Purge());
  ASSERT_OK(store.Purge());
  EXPECT_TRUE(store.tasks().empty());
  ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(1)}));
}

}  // namespace
}  // namespace demur::client
