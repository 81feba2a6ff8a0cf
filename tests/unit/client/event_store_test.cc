#include "demur/client/event_store.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "event_store_test_util.h"

namespace demur::client {
namespace {

// --- Events -------------------------------------------------------------------------------------

TEST_F(EventStoreTest, EventsComeBackInTheOrderOfTheirArrival) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    EXPECT_EQ(store.num_events(), 0U);
    // The clock of a phone may be set back: arrival decides, not time.
    Event late = MakeEvent(5, Signal::kDislike);
    late.unix_ms = 1;
    ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(9), late}));
    ASSERT_OK(store.AppendEvents({}));
    ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(7, Signal::kHide)}));
  }
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  EXPECT_EQ(store.num_events(), 3U);
  ASSERT_OK_AND_ASSIGN(const auto events, store.Events());
  EXPECT_EQ(Items(events), (std::vector<std::uint32_t>{9, 5, 7}));
  EXPECT_EQ(events[1].signal, Signal::kDislike);
  EXPECT_EQ(events[1].unix_ms, 1);
  EXPECT_EQ(events[2].signal, Signal::kHide);
  EXPECT_LT(events[0].order, events[1].order);
  EXPECT_LT(events[1].order, events[2].order);
}

TEST_F(EventStoreTest, TheOrderThatACallerGivesIsNotKept) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  Event event = MakeEvent(1);
  event.order = 99;
  ASSERT_OK(store.AppendEvents(std::vector{event, event}));
  ASSERT_OK_AND_ASSIGN(const auto events, store.Events());
  EXPECT_EQ(events[0].order, 1U);
  EXPECT_EQ(events[1].order, 2U);
}

// One cast gone wrong in an app must not cost it the store.
TEST_F(EventStoreTest, ASignalThatThereIsNotIsRefusedAndNothingIsKept) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    std::vector<learning::Event> events = {MakeEvent(1), MakeEvent(2)};
    for (const int number : {0, 200}) {
      events[1].signal = static_cast<learning::Signal>(number);
      EXPECT_ERROR(store.AppendEvents(events), ErrorCode::kInvalidArgument) << number;
    }
    EXPECT_EQ(store.num_events(), 0U);
    EXPECT_OK(store.Check());
  }
  EXPECT_OK(Open());
}
TEST_F(EventStoreTest, OldEventsMakeRoomForNewOnes) {
  ASSERT_OK_AND_ASSIGN(auto store, Open(3));
  ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(1), MakeEvent(2)}));
  ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(3), MakeEvent(4)}));
  ASSERT_OK_AND_ASSIGN(auto events, store.Events());
  EXPECT_EQ(Items(events), (std::vector<std::uint32_t>{2, 3, 4}));
  std::vector<Event> many;
  for (std::uint32_t i = 10; i < 20; ++i) many.push_back(MakeEvent(i));
  ASSERT_OK(store.AppendEvents(many));
  ASSERT_OK_AND_ASSIGN(events, store.Events());
  EXPECT_EQ(Items(events), (std::vector<std::uint32_t>{17, 18, 19}));
  EXPECT_EQ(store.num_events(), 3U);
}

TEST_F(EventStoreTest, ALimitThatWasLoweredHoldsFromTheNextEvent) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    std::vector<Event> many;
    for (std::uint32_t i = 0; i < 10; ++i) many.push_back(MakeEvent(i));
    ASSERT_OK(store.AppendEvents(many));
  }
  ASSERT_OK_AND_ASSIGN(auto store, Open(4));
  EXPECT_EQ(store.num_events(), 10U) << "opening erases nothing";
  ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(77)}));
  ASSERT_OK_AND_ASSIGN(const auto events, store.Events());
  EXPECT_EQ(Items(events), (std::vector<std::uint32_t>{7, 8, 9, 77}));
}

TEST_F(EventStoreTest, AStoreWithoutRoomIsRefused) {
  EXPECT_ERROR(Open(0), ErrorCode::kInvalidArgument);
}

TEST_F(EventStoreTest, AnAppendIsKeptWholeOrNotAtAll) {
  for (const auto& [point, kept] : {std::pair<const char*, std::size_t>{"store.before_commit", 1},
                                    {"store.after_commit", 3},
                                    {"store.after_counter", 3}}) {
    StartOver();
    {
      ASSERT_OK_AND_ASSIGN(auto store, Open());
      ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(1)}));
      CrashAt(point);
      EXPECT_THROW((void)store.AppendEvents(std::vector{MakeEvent(2), MakeEvent(3)}), Crash);
      SetFaultHandler({});
    }
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    EXPECT_EQ(store.num_events(), kept) << point;
    ASSERT_OK_AND_ASSIGN(const auto events, store.Events());
    EXPECT_EQ(events.size(), kept) << point;
  }
}

// --- Tasks --------------------------------------------------------------------------------------

TEST_F(EventStoreTest, RecordsOfTasksSurviveARestart) {
  TaskRecord record = Masked(Fresh(), 5, 2);
  record.confirmed_session[1] = std::byte{4};
  record.confirmed_survivors[2] = std::byte{5};
  record.terms =
      PlanTerms{true, 1.25, 1e-7, 4, 800, 560, 100, 40, model::SecAggProfile::kSemiHonest};
  record.population_epoch = 77;
  record.last_seen_attempt = 1;
  const TaskRecord other = Seen(Fresh(8), 3);
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    EXPECT_EQ(store.FindTask(record.task()), nullptr);
    EXPECT_TRUE(store.tasks().empty());
    ASSERT_OK(store.SaveMasked(record, {{0.5F, -1.5F}}));
    ASSERT_OK(store.SaveTask(other));
  }
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  ASSERT_NE(store.FindTask(record.task()), nullptr);
  EXPECT_EQ(*store.FindTask(record.task()), record);
  EXPECT_EQ(*store.FindTask(other.task()), other);
  EXPECT_EQ(store.tasks().size(), 2U);
  ASSERT_OK_AND_ASSIGN(const auto state, store.LoadState(record.task()));
  EXPECT_EQ(state.values, (std::vector<float>{0.5F, -1.5F}));
  ASSERT_OK_AND_ASSIGN(const auto none, store.LoadState(other.task()));
  EXPECT_TRUE(none.values.empty());
}

TEST_F(EventStoreTest, ARoundIsTakenUpAndAnsweredInOrder) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  TaskRecord record = Fresh();
  for (std::uint32_t round = 1; round <= 3; ++round) {
    ASSERT_OK(store.SaveTask(Seen(record, round)));
    record = Masked(record, round);
    ASSERT_OK(store.SaveMasked(record, {{static_cast<float>(round)}}));
    record.confirmed_session[0] = std::byte{static_cast<unsigned char>(round)};
    ASSERT_OK(store.SaveTask(record)) << "what was confirmed is added afterwards";
    EXPECT_EQ(*store.FindTask(record.task()), record);
    ASSERT_OK_AND_ASSIGN(const auto state, store.LoadState(record.task()));
    EXPECT_EQ(state.values[0], static_cast<float>(round));
  }
  EXPECT_EQ(store.tasks().size(), 1U);
}

TEST_F(EventStoreTest, ARoundIdNeverGoesBack) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  ASSERT_OK(store.SaveTask(Seen(Fresh(), 5)));
  EXPECT_OK(store.SaveTask(Seen(Fresh(), 5)));
  EXPECT_ERROR(store.SaveTask(Seen(Fresh(), 4)), ErrorCode::kFailedPrecondition);
  TaskRecord older_epoch = Fresh();
  older_epoch.last_seen = {0, 9};
  EXPECT_ERROR(store.SaveTask(older_epoch), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(store.SaveMasked(Masked(Fresh(), 4), {}), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(store.FindTask(MakeTask(7))->last_seen, (RoundId{1, 5}));
  EXPECT_EQ(store.FindTask(MakeTask(7))->account.participations, 0U);
}

TEST_F(EventStoreTest, ASessionOfARoundNeverGoesBack) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK(store.SaveTask(Seen(Fresh(), 5, 0)));
    ASSERT_OK(store.SaveTask(Seen(Fresh(), 5, 1)));
    EXPECT_ERROR(store.SaveTask(Seen(Fresh(), 5, 0)), ErrorCode::kFailedPrecondition);
    EXPECT_ERROR(store.SaveTask(Seen(Fresh(), 4, 1)), ErrorCode::kFailedPrecondition);
  }
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  EXPECT_EQ(store.FindTask(MakeTask(7))->last_seen_attempt, 1U);
  EXPECT_ERROR(store.SaveTask(Seen(Fresh(), 5, 0)), ErrorCode::kFailedPrecondition);
  EXPECT_OK(store.SaveTask(Seen(Fresh(), 6, 0)));
}

TEST_F(EventStoreTest, BothSessionsOfARoundAreAnsweredOnce) {
  const TaskRecord counts = Masked(Fresh(), 5, 0);
  TaskRecord rows = Masked(counts, 5, 1);
  rows.account.participations = counts.account.participations;
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK(store.SaveMasked(counts, {{1.0F}}));
    ASSERT_OK(store.SaveTask(Seen(counts, 5, 1)));
    ASSERT_OK(store.SaveMasked(rows, {{2.0F}}));
  }
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  EXPECT_EQ(*store.FindTask(rows.task()), rows);
  EXPECT_ERROR(store.SaveMasked(rows, {{3.0F}}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(store.SaveMasked(counts, {{3.0F}}), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(store.LoadState(rows.task())->values, (std::vector<float>{2.0F}));
  // The next round is another participation, whichever of its sessions is the first one here.
  TaskRecord next = Masked(rows, 6, 1);
  next.account.participations = rows.account.participations;
  EXPECT_ERROR(store.SaveMasked(next, {}), ErrorCode::kFailedPrecondition);
  EXPECT_OK(store.SaveMasked(Masked(rows, 6, 1), {}));
}

TEST_F(EventStoreTest, SaveTaskSetsNoMarkerAndChangesNoAccount) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  const TaskRecord fresh = Fresh();
  // Of a task that is new here ..
  TaskRecord marked = Seen(fresh, 1);
  marked.masked_round = {1, 1};
  EXPECT_ERROR(store.SaveTask(marked), ErrorCode::kFailedPrecondition);
  marked = Seen(fresh, 1);
  marked.masked_attempt = 1;
  EXPECT_ERROR(store.SaveTask(marked), ErrorCode::kFailedPrecondition);
  marked = Seen(fresh, 1);
  marked.account.participations = 1;
  EXPECT_ERROR(store.SaveTask(marked), ErrorCode::kFailedPrecondition);
  marked = Seen(fresh, 1);
  marked.account.spent.units[0] = 1;
  EXPECT_ERROR(store.SaveTask(marked), ErrorCode::kFailedPrecondition);
  EXPECT_TRUE(store.tasks().empty());
  // .. and of one that is known.
  const TaskRecord record = Masked(fresh, 1);
  ASSERT_OK(store.SaveMasked(record, {}));
  TaskRecord changed = record;
  changed.masked_attempt = 1;
  EXPECT_ERROR(store.SaveTask(changed), ErrorCode::kFailedPrecondition);
  changed = record;
  changed.masked_round = {};
  EXPECT_ERROR(store.SaveTask(changed), ErrorCode::kFailedPrecondition);
  changed = record;
  changed.account.participations = 0;
  EXPECT_ERROR(store.SaveTask(changed), ErrorCode::kFailedPrecondition);
  changed = record;
  changed.account.spent = {};
  EXPECT_ERROR(store.SaveTask(changed), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(*store.FindTask(record.task()), record);
}

TEST_F(EventStoreTest, AnM5BodyIsMadeOnce) {
  const TaskRecord record = Masked(Fresh(), 5, 2);
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK(store.SaveMasked(record, {{1.0F}}));
    EXPECT_ERROR(store.SaveMasked(record, {{2.0F}}), ErrorCode::kFailedPrecondition);
  }
  // A process that died after it sent must not send another one.
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  EXPECT_ERROR(store.SaveMasked(record, {{2.0F}}), ErrorCode::kFailedPrecondition);
  TaskRecord earlier = record;
  earlier.masked_attempt = 1;
  EXPECT_ERROR(store.SaveMasked(earlier, {{2.0F}}), ErrorCode::kFailedPrecondition);
  earlier = record;
  earlier.masked_round = {1, 4};
  EXPECT_ERROR(store.SaveMasked(earlier, {{2.0F}}), ErrorCode::kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const auto state, store.LoadState(record.task()));
  EXPECT_EQ(state.values, (std::vector<float>{1.0F})) << "nothing of a refused save is kept";
  // Another attempt of the round is another body; it is charged, and counted once.
  TaskRecord again = Masked(record, 5, 3);
  again.account.participations = record.account.participations;
  EXPECT_OK(store.SaveMasked(again, {{3.0F}}));
}

// Two plans of a task that were both admitted before either was answered: the second record was
// made from counters that the first has changed since.
TEST_F(EventStoreTest, ADebitIsNeverLost) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  const TaskRecord first = Masked(Fresh(), 1);
  const TaskRecord second = Masked(Fresh(), 2);
  ASSERT_OK(store.SaveMasked(first, {}));
  EXPECT_ERROR(store.SaveMasked(second, {}), ErrorCode::kFailedPrecondition);
  TaskRecord cheaper = Masked(first, 2);
  cheaper.account.spent.units[3] = first.account.spent.units[3] - 1;
  EXPECT_ERROR(store.SaveMasked(cheaper, {}), ErrorCode::kFailedPrecondition);
  EXPECT_TRUE(*store.FindTask(first.task()) == first);
  EXPECT_OK(store.SaveMasked(Masked(first, 2), {}));
}

TEST_F(EventStoreTest, MarkerDebitAndStateAreOneTransaction) {
  const TaskRecord first = Masked(Fresh(), 1);
  const TaskRecord second = Masked(first, 2);
  for (const auto& [point, through] : {std::pair<const char*, bool>{"store.before_commit", false},
                                       {"store.after_commit", true},
                                       {"store.after_counter", true}}) {
    StartOver();
    {
      ASSERT_OK_AND_ASSIGN(auto store, Open());
      ASSERT_OK(store.SaveMasked(first, {{1.0F}}));
      CrashAt(point);
      EXPECT_THROW((void)store.SaveMasked(second, {{2.0F}}), Crash);
      SetFaultHandler({});
    }
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    EXPECT_EQ(*store.FindTask(first.task()), through ? second : first) << point;
    ASSERT_OK_AND_ASSIGN(const auto state, store.LoadState(first.task()));
    EXPECT_EQ(state.values[0], through ? 2.0F : 1.0F) << point;
  }
}

TEST_F(EventStoreTest, StatesOfTasksAreApart) {
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  ASSERT_OK(store.SaveMasked(Masked(Fresh(1), 1), {{1.0F}}));
  ASSERT_OK(store.SaveMasked(Masked(Fresh(2), 1), {{2.0F, 2.5F}}));
  ASSERT_OK_AND_ASSIGN(const auto one, store.LoadState(MakeTask(1)));
  ASSERT_OK_AND_ASSIGN(const auto two, store.LoadState(MakeTask(2)));
  EXPECT_EQ(one.values, (std::vector<float>{1.0F}));
  EXPECT_EQ(two.values, (std::vector<float>{2.0F, 2.5F}));
}

// --- Identity -----------------------------------------------------------------------------------

TEST_F(EventStoreTest, ARenewedCertificateTakesTheOldOnesPlace) {
  Identity identity = MakeIdentity();
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK(store.SaveTask(Seen(Fresh(), 1)));
    ASSERT_OK(store.SaveIdentity(identity));
    identity.certificate = ToBytes(AsBytes("a later certificate"));
    identity.port = 4434;
    ASSERT_OK(store.SaveIdentity(identity));
  }
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  ASSERT_OK_AND_ASSIGN(const Identity loaded, store.LoadIdentity());
  EXPECT_EQ(loaded.certificate, identity.certificate);
  EXPECT_EQ(loaded.port, 4434);
  EXPECT_TRUE(ConstantTimeEqual(loaded.key_seed.view(), identity.key_seed.view()));
  EXPECT_EQ(store.tasks().size(), 1U);
}

TEST_F(EventStoreTest, AnIdentityIsWrittenOnce) {
  const Identity identity = MakeIdentity();
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    EXPECT_ERROR(store.LoadIdentity(), ErrorCode::kNotFound);
    ASSERT_OK(store.SaveIdentity(identity));
  }
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  Identity other = MakeIdentity();
  other.key_seed.mutable_view()[0] ^= std::byte{1};
  EXPECT_ERROR(store.SaveIdentity(other), ErrorCode::kFailedPrecondition);
  other = MakeIdentity();
  other.device = DeviceNumber(5);
  EXPECT_ERROR(store.SaveIdentity(other), ErrorCode::kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const Identity loaded, store.LoadIdentity());
  EXPECT_TRUE(ConstantTimeEqual(loaded.key_seed.view(), identity.key_seed.view()));
  EXPECT_EQ(loaded.device, identity.device);
  EXPECT_EQ(loaded.certificate, identity.certificate);
  EXPECT_EQ(loaded.authority, identity.authority);
  EXPECT_EQ(loaded.host, identity.host);
  EXPECT_EQ(loaded.port, identity.port);
  EXPECT_EQ(loaded.server_name, identity.server_name);
  EXPECT_EQ(loaded.plan_key, identity.plan_key);
  const Identity copy = loaded.Clone();
  EXPECT_TRUE(ConstantTimeEqual(copy.key_seed.view(), identity.key_seed.view()));
  EXPECT_EQ(copy.host, identity.host);
}

// --- Damage -------------------------------------------------------------------------------------

TEST_F(EventStoreTest, ARowThatOpensAndCannotBeReadIsDataLoss) {
  for (const StoreTable table : {StoreTable::kEvent, StoreTable::kState, StoreTable::kTask}) {
    StartOver();
    {
      ASSERT_OK_AND_ASSIGN(auto rows, SealedStore::Open(Data(), keys_, random_));
      SealedStore::Batch batch;
      batch.Insert(table, ToBytes(AsBytes("not what belongs here")));
      ASSERT_OK(rows.Commit(std::move(batch)));
    }
    EXPECT_ERROR(Open(), ErrorCode::kDataLoss) << static_cast<int>(table);
  }
  StartOver();
  {
    ASSERT_OK_AND_ASSIGN(auto rows, SealedStore::Open(Data(), keys_, random_));
    SealedStore::Batch batch;
    batch.Insert(StoreTable::kIdentity, ToBytes(AsBytes("nobody")));
    ASSERT_OK(rows.Commit(std::move(batch)));
  }
  ASSERT_OK_AND_ASSIGN(auto store, Open());
  EXPECT_ERROR(store.LoadIdentity(), ErrorCode::kDataLoss);
}

TEST_F(EventStoreTest, AFlippedBitIsDataLoss) {
  {
    ASSERT_OK_AND_ASSIGN(auto store, Open());
    ASSERT_OK(store.AppendEvents(std::vector{MakeEvent(1)}));
  }
  {
    ASSERT_OK_AND_ASSIGN(auto database, storage::Database::Open(SealedStorePath(Data()), {}));
    ASSERT_OK(database.Execute("UPDATE event SET sealed = x'00' || substr(sealed, 2)"));
  }
  EXPECT_ERROR(Open(), ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace demur::client
