#include <sys/resource.h>

#include <csignal>

#include "event_store_test_util.h"
#include "failing_keys.h"

// A disk that fails in the middle of a commit: what is on it is not known, so the store is not used
// on as if it were.
namespace demur::client {
namespace {

class StoreFailureTest : public EventStoreTest {
 protected:
  Result<EventStore> OpenFailing() { return EventStore::Open({Data()}, failing_, random_); }

  testing::FailingKeys failing_{folder_.File("keys")};
};

// While it lives no file grows: what SQLite sees of a full disk, at the commit and not before it.
class FullDisk {
 public:
  FullDisk() {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit none{0, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

void ExpectUnusable(EventStore& store) {
  EXPECT_ERROR(store.Check(), ErrorCode::kFailedPrecondition);
  EXPECT_NE(store.Check().error().message().find("open it again"), std::string::npos);
  EXPECT_ERROR(store.AppendEvents(std::vector{MakeEvent(9)}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(store.SaveTask(Seen(Fresh(), 9)), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(store.SaveMasked(Masked(Fresh(), 9), {}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(store.Events(), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(store.LoadState(MakeTask(7)), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(store.Purge(), ErrorCode::kFailedPrecondition);
}

TEST_F(StoreFailureTest, ACommitThatFailsClosesTheStore) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(1)}));
    {
      const FullDisk full;
      EXPECT_FALSE(store.SaveMasked(Masked(Fresh(), 1), {{1.0F}}).has_value());
    }
    ExpectUnusable(store);
  }
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  EXPECT_OK(store.Check());
  ASSERT_OK_AND_ASSIGN(const auto events, store.Events());
  EXPECT_EQ(Items(events), std::vector<std::uint32_t>{1});
  EXPECT_EQ(store.FindTask(MakeTask(7)), nullptr);
  ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(2)}));
}

// The row is there, its counter is not. A second commit would leave a file that no Open takes.
TEST_F(StoreFailureTest, ACounterThatFailsClosesTheStore) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, OpenFailing());
    failing_.FailAfter(0);
    EXPECT_ERROR(store.SaveMasked(Masked(Fresh(), 1), {{1.0F}}), ErrorCode::kUnavailable);
    ExpectUnusable(store);
    failing_.FailAfter(1'000);
    ExpectUnusable(store);
  }
  ASSERT_OK_AND_ASSIGN(auto store, OpenFailing());
  ASSERT_NE(store.FindTask(MakeTask(7)), nullptr);
  EXPECT_EQ(store.FindTask(MakeTask(7))->account.participations, 1U) << "the debit is kept";
  ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(2)}));
}

// An app that is told "data loss" may well erase what is there.
TEST_F(StoreFailureTest, ALockedKeystoreIsNotDataLoss) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, OpenFailing());
    ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(1)}));
  }
  for (const ErrorCode code :
       {ErrorCode::kUnavailable, ErrorCode::kPermissionDenied, ErrorCode::kFailedPrecondition}) {
    failing_.Lock(Error(code, "unlock the phone first"));
    const auto locked = OpenFailing();
    ASSERT_TRUE(testing::HasError(locked, code));
    EXPECT_NE(locked.error().message().find("unlock the phone"), std::string::npos);
  }
  failing_.Lock(std::nullopt);
  ASSERT_OK_AND_ASSIGN(auto store, OpenFailing());
  EXPECT_EQ(store.num_events(), 1U);
}

TEST_F(StoreFailureTest, WhatIsRefusedBeforeTheCommitHarmsNothing) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  ASSERT_OK(store.SaveTask(Seen(Fresh(), 2)));
  EXPECT_ERROR(store.SaveTask(Seen(Fresh(), 1)), ErrorCode::kFailedPrecondition);
  EXPECT_OK(store.Check());
  ASSERT_OK(store.SaveTask(Seen(Fresh(), 3)));
}

TEST_F(StoreFailureTest, APurgeThatFailsIsFinishedByTheNextOpen) {
  for (const bool promote : {false, true}) {
    SCOPED_TRACE(promote);
    StartOver();
    {
      failing_.FailAfter(1'000);
      ASSERT_OK_AND_ASSIGN(auto store, OpenFailing());
      ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(1)}));
      ASSERT_OK(store.SaveTask(Seen(Fresh(), 1)));
      if (promote) {
        failing_.FailPromote(true);
      } else {
        failing_.FailAfter(0);
      }
      EXPECT_ERROR(store.Purge(), ErrorCode::kUnavailable);
      ExpectUnusable(store);
    }
    failing_.FailAfter(1'000);
    failing_.FailPromote(false);
    ASSERT_OK_AND_ASSIGN(auto store, OpenFailing());
    EXPECT_EQ(store.num_events(), 0U);
    EXPECT_EQ(store.tasks().size(), 1U);
    ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(2)}));
  }
}

// A key is staged, nothing is erased: what would be recorded now the next Open would erase.
TEST_F(StoreFailureTest, APurgeThatFailsEarlyHoldsEverythingUpUntilItIsDone) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(1)}));
  CrashAt("purge.staged");
  EXPECT_THROW((void)store.Purge(), Crash);
  SetFaultHandler({});
  EXPECT_ERROR(store.AppendEvents(std::vector{MakeEvent(2)}), ErrorCode::kFailedPrecondition);
  ASSERT_OK(store.Purge());
  EXPECT_EQ(store.num_events(), 0U);
  ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(3)}));
}

TEST_F(StoreFailureTest, AStoreThatIsInUseSaysSo) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  const auto second = Open();
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message().find(Data()), std::string::npos) << second.error().message();
  EXPECT_NE(second.error().message().find("another process"), std::string::npos)
      << second.error().message();
}

}  // namespace
}  // namespace demur::client
