#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "round_store_test_util.h"

// Rounds of two sessions on the disk.
namespace demur::coordinator {
namespace {

using model::SessionKind;

const std::vector<DeviceNumber> kOthers = {DeviceNumber(3), DeviceNumber(8), DeviceNumber(11)};

class RoundStoreSparseTest : public RoundStoreTest {
 protected:
  void SetUp() override {
    RoundStoreTest::SetUp();
    ASSERT_OK(Create());
    ledger_ = 0;
  }
  RoundStore Open() { return RoundStore::Open(dir_, Access::kWrite).value(); }
  std::vector<LedgerRow> Next() { return {Entry(++ledger_)}; }

  static RoundRow Session(std::uint32_t counter, std::uint32_t attempt, std::uint64_t version = 0) {
    RoundRow round = MakeRound(counter, version);
    round.attempt = attempt;
    round.kind = attempt == 0 ? SessionKind::kRowCounts : SessionKind::kRows;
    return round;
  }
  static RoundRow Found(std::uint32_t counter) {
    RoundRow round = Session(counter, 0);
    round.rows = 5;
    round.sum_hash[0] = std::byte{6};
    round.ended_unix_ms = 77;
    return round;
  }
  // A first session, up to its survivor set.
  Status Count(RoundStore& store, std::uint32_t counter) {
    DEMUR_RETURN_IF_ERROR(store.Reserve(Session(counter, 0), Next()));
    return store.FixSurvivors({1, counter}, 35, kSurvivors, Next());
  }
  Status CountAndFind(RoundStore& store, std::uint32_t counter) {
    DEMUR_RETURN_IF_ERROR(Count(store, counter));
    return store.CommitRows(Found(counter), Next());
  }
  Status Train(RoundStore& store, std::uint32_t counter) {
    DEMUR_RETURN_IF_ERROR(store.Reserve(Session(counter, 1), Next()));
    return store.FixSurvivors({1, counter}, 34, kOthers, Next());
  }

  std::uint64_t ledger_ = 0;
};

TEST_F(RoundStoreSparseTest, KeepsBothSessionsOfARound) {
  {
    RoundStore store = Open();
    ASSERT_OK(CountAndFind(store, 1));
    ASSERT_OK(Train(store, 1));
    RoundRow end = Session(1, 1);
    end.sum_hash[0] = std::byte{9};
    end.ended_unix_ms = 99;
    ASSERT_OK(store.Commit(end, MakeModel(1), State(1), Next()));
  }
  RoundStore store = Open();
  ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
  EXPECT_EQ(now.committed, 1U) << "rounds with a model";
  EXPECT_EQ(now.abandoned, 0U);
  EXPECT_EQ(now.last_counter, 1U);
  EXPECT_FALSE(now.open_round.has_value());
  ASSERT_EQ(now.rounds.size(), 2U);
  const RoundRow& counts = now.rounds[0];
  EXPECT_EQ(counts.attempt, 0U);
  EXPECT_EQ(counts.kind, SessionKind::kRowCounts);
  EXPECT_EQ(counts.state, RoundState::kCommitted);
  EXPECT_EQ(counts.roster, 35U);
  EXPECT_EQ(counts.survivors, 3U);
  EXPECT_EQ(counts.participants, 3U);
  EXPECT_EQ(counts.rows, 5U);
  EXPECT_EQ(counts.survivors_hash, HashDevices(kSurvivors));
  EXPECT_EQ(counts.sum_hash[0], std::byte{6});
  EXPECT_EQ(counts.ended_unix_ms, 77);
  const RoundRow& rows = now.rounds[1];
  EXPECT_EQ(rows.attempt, 1U);
  EXPECT_EQ(rows.kind, SessionKind::kRows);
  EXPECT_EQ(rows.roster, 34U);
  EXPECT_EQ(rows.survivors, 3U);
  EXPECT_EQ(rows.participants, 1U) << "two of the three were in the first session";
  EXPECT_EQ(rows.survivors_hash, HashDevices(kOthers));
  EXPECT_EQ(rows.sum_hash[0], std::byte{9});
  ASSERT_OK_AND_ASSIGN(const auto newest, store.Rounds(1));
  ASSERT_EQ(newest.size(), 1U);
  EXPECT_EQ(newest[0].attempt, 1U);
}

TEST_F(RoundStoreSparseTest, ADeviceTakesPartInARoundOnce) {
  RoundStore store = Open();
  ASSERT_OK(CountAndFind(store, 1));
  ASSERT_OK(Train(store, 1));
  ASSERT_OK(store.Commit(Session(1, 1), MakeModel(1), State(1), Next()));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
  ASSERT_EQ(now.devices.size(), 4U);
  for (const DeviceRow& device : now.devices) {
    EXPECT_EQ(device.participations, 1U) << device.number.value;
    EXPECT_EQ(device.last_round, (RoundId{1, 1}));
  }
  // And in the next one once more.
  ASSERT_OK(store.Reserve(Session(2, 0, 1), Next()));
  ASSERT_OK(store.FixSurvivors({1, 2}, 35, kSurvivors, Next()));
  ASSERT_OK_AND_ASSIGN(const Snapshot later, store.Load());
  EXPECT_EQ(later.devices[0].participations, 2U);
  EXPECT_EQ(later.devices[3].participations, 1U);
}

TEST_F(RoundStoreSparseTest, ASecondSessionFollowsAFirstThatFoundRows) {
  const auto refused = [this](RoundStore& store, const RoundRow& session) {
    return testing::HasError(store.Reserve(session, {Entry(ledger_ + 1)}),
                             ErrorCode::kFailedPrecondition);
  };
  RoundStore store = Open();
  EXPECT_TRUE(refused(store, Session(1, 1))) << "no first one";
  ASSERT_OK(Count(store, 1));
  EXPECT_TRUE(refused(store, Session(1, 1))) << "the first one is open";
  ASSERT_OK(store.Abandon({1, 1}, "no row", 5, Next()));
  EXPECT_TRUE(refused(store, Session(1, 1))) << "the first one found nothing";

  ASSERT_OK(CountAndFind(store, 2));
  EXPECT_TRUE(refused(store, Session(2, 0))) << "the first one again";
  EXPECT_TRUE(refused(store, Session(2, 2))) << "there is no third one";
  EXPECT_TRUE(refused(store, Session(3, 1))) << "the first one is another round's";
  ASSERT_OK(Train(store, 2));
  ASSERT_OK(store.Abandon({1, 2}, "stopped", 6, Next()));
  EXPECT_TRUE(refused(store, Session(2, 1))) << "a second one once";

  ASSERT_OK(CountAndFind(store, 3));
  ASSERT_OK(store.Reserve(Session(4, 0), Next()));
  ASSERT_OK(store.Abandon({1, 4}, "stopped", 6, Next()));
  EXPECT_TRUE(refused(store, Session(3, 1))) << "another round has begun";

  ASSERT_OK(CountAndFind(store, 5));
  ASSERT_OK(store.BumpEpoch(0));
  EXPECT_TRUE(refused(store, Session(5, 1))) << "of an older epoch";
}

TEST_F(RoundStoreSparseTest, AWholeRoundHasNoSecondSession) {
  RoundStore store = Open();
  ASSERT_OK(CommitOne(store, 1, 0));
  EXPECT_ERROR(store.Reserve(Session(1, 1, 1), {Entry(4)}), ErrorCode::kFailedPrecondition);
}

TEST_F(RoundStoreSparseTest, OnlyOpenedCountsFindRows) {
  RoundStore store = Open();
  const auto refused = [&](const RoundRow& round) {
    return testing::HasError(store.CommitRows(round, {Entry(ledger_ + 1)}),
                             ErrorCode::kFailedPrecondition);
  };
  EXPECT_TRUE(refused(Found(1))) << "nothing is open";
  ASSERT_OK(store.Reserve(Session(1, 0), Next()));
  EXPECT_TRUE(refused(Found(1))) << "the survivor set is not fixed";
  ASSERT_OK(store.FixSurvivors({1, 1}, 35, kSurvivors, Next()));
  EXPECT_TRUE(refused(Found(2))) << "another round";
  EXPECT_ERROR(store.CommitRows(Found(1), {Entry(ledger_)}), ErrorCode::kFailedPrecondition)
      << "a gap in the ledger";
  EXPECT_EQ(store.Load()->open_round->state, RoundState::kUnmasking);
  ASSERT_OK(store.CommitRows(Found(1), Next()));
  EXPECT_TRUE(refused(Found(1))) << "once";
  ASSERT_OK(Train(store, 1));
  EXPECT_TRUE(refused(Found(1))) << "the session trains";
}

TEST_F(RoundStoreSparseTest, CountsMakeNoModel) {
  RoundStore store = Open();
  ASSERT_OK(Count(store, 1));
  EXPECT_ERROR(store.Commit(Session(1, 0), MakeModel(1), State(1), {Entry(ledger_ + 1)}),
               ErrorCode::kFailedPrecondition);
  EXPECT_EQ(store.Load()->model.version, 0U);
}

TEST_F(RoundStoreSparseTest, AnAbandonedSecondSessionLeavesTheFirstAsItWas) {
  RoundStore store = Open();
  ASSERT_OK(CountAndFind(store, 1));
  const RoundRow before = store.Load()->rounds.at(0);
  ASSERT_OK(store.Reserve(Session(1, 1), Next()));
  EXPECT_EQ(store.Load()->open_round->attempt, 1U);
  EXPECT_EQ(store.Load()->rounds.at(0), before);
  ASSERT_OK(store.FixSurvivors({1, 1}, 34, kOthers, Next()));
  EXPECT_EQ(store.Load()->rounds.at(0), before);
  ASSERT_OK(store.Abandon({1, 1}, "stopped", 5, Next()));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
  EXPECT_EQ(now.rounds.at(0), before);
  EXPECT_EQ(now.rounds.at(1).reason, "stopped");
  EXPECT_EQ(now.committed, 0U);
  EXPECT_EQ(now.abandoned, 1U);
  EXPECT_EQ(now.model.version, 0U);
}

TEST_F(RoundStoreSparseTest, AModelLeavesTheFirstSessionAsItWas) {
  RoundStore store = Open();
  ASSERT_OK(CountAndFind(store, 1));
  const RoundRow before = store.Load()->rounds.at(0);
  ASSERT_OK(Train(store, 1));
  ASSERT_OK(store.Commit(Session(1, 1), MakeModel(1), State(1), Next()));
  EXPECT_EQ(store.Load()->rounds.at(0), before);
}

// A coordinator that dies between the two starts again with nothing open.
TEST_F(RoundStoreSparseTest, BetweenTheSessionsNothingIsOpen) {
  {
    RoundStore store = Open();
    ASSERT_OK(CountAndFind(store, 1));
  }
  RoundStore store = Open();
  ASSERT_OK_AND_ASSIGN(const Snapshot now, store.Load());
  EXPECT_FALSE(now.open_round.has_value());
  EXPECT_EQ(now.last_counter, 1U);
  EXPECT_EQ(now.committed, 0U);
  EXPECT_EQ(now.devices.size(), 3U);
  EXPECT_OK(store.BumpEpoch(0));
}

TEST_F(RoundStoreSparseTest, ParticipantsThatDoNotAddUpAreDamage) {
  for (const auto& [sql, named] :
       {std::pair{"UPDATE rounds SET participants = 4 WHERE attempt = 0",
                  "more participants than survivors"},
        std::pair{"UPDATE rounds SET participants = 2 WHERE attempt = 1",
                  "4 participations, but 5 participants"},
        std::pair{"UPDATE rounds SET participants = 0 WHERE attempt = 1",
                  "4 participations, but 3 participants"},
        std::pair{"UPDATE rounds SET kind = 1 WHERE attempt = 0", "2 committed rounds"},
        std::pair{"UPDATE rounds SET kind = 2 WHERE attempt = 1", "0 committed rounds"}}) {
    SetUp();
    {
      RoundStore store = Open();
      ASSERT_OK(CountAndFind(store, 1));
      ASSERT_OK(Train(store, 1));
      ASSERT_OK(store.Commit(Session(1, 1), MakeModel(1), State(1), Next()));
    }
    ExpectDamaged(sql, named);
  }
}

}  // namespace
}  // namespace demur::coordinator
