#include "demur/coordinator/recovery.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "demur/base/fault.h"
#include "demur/coordinator/status.h"
#include "demur/crypto/hash.h"
#include "demur/seeded/seeded_random.h"
#include "demur/storage/database.h"
#include "result_matchers.h"
#include "round_machine_world.h"
#include "temporary_folder.h"

// A coordinator that dies and starts again: real store, real ledger, real rounds, no network.
namespace demur::coordinator {
namespace {

using testing::RoundMachineWorld;

constexpr std::size_t kDevices = 20;
constexpr std::int64_t kNow = RoundMachineWorld::kNow;

struct Crash {};

RoundMachineWorld& World() {
  static RoundMachineWorld& world = *new RoundMachineWorld(kDevices);
  return world;
}

TaskConfig MakeTask() {
  TaskConfig task;
  task.id = World().Plan(1).task;
  task.rounds = 10;
  task.cohort = kDevices;
  task.model.algorithm = "item_statistics";
  task.model.items = 4;
  return task;
}

// What is on the disk, row by row.
struct OnDisk {
  std::vector<std::string> rounds;
  std::vector<Bytes> ledger;
  std::int64_t devices = 0;
  friend bool operator==(const OnDisk&, const OnDisk&) = default;
};

class RecoveryTest : public ::testing::Test {
 protected:
  RecoveryTest() : task_(PreparedTask::Create(MakeTask()).value()) {}
  void SetUp() override { StartOver(); }
  void TearDown() override { SetFaultHandler({}); }

  // An empty store with the first model.
  void StartOver() {
    store_.reset();
    folder_.emplace();
    auto store = RoundStore::Create(folder_->path(), {task_.id(), HashTask(task_.config())},
                                    Model(0), State());
    ASSERT_OK(store);
  }
  static Bytes State() { return learning::ServerState().Serialise(); }
  ModelRow Model(std::uint64_t version) const {
    model::SharedModel model(task_.schema());
    model.Row(0, 0)[0] = static_cast<float>(version);
    ModelRow row;
    row.version = version;
    row.blob = model.Canonical();
    row.hash = crypto::Sha256(row.blob);
    return row;
  }

  Result<Recovered> Recover() { return RecoverAs(task_); }
  Result<Recovered> RecoverAs(const PreparedTask& task) {
    store_.reset();
    DEMUR_TRY(RoundStore store, RoundStore::Open(folder_->path(), RoundStore::Access::kWrite));
    store_.emplace(std::move(store));
    return coordinator::Recover(*store_, task, MachineConfig::From(task.config()), kNow);
  }
  // A coordinator that has started.
  void Boot() {
    auto recovered = Recover();
    ASSERT_OK(recovered);
    Take(machine::Start(std::move(recovered->core)));
  }
  // Effects that a store sees; a store that refuses ends the test.
  void Take(machine::Transition t) {
    state_.emplace(std::move(t.next));
    for (machine::Effect& effect : t.effects) {
      if (auto* one = std::get_if<machine::effect::PersistReserve>(&effect)) {
        ASSERT_OK(store_->Reserve(one->round, one->ledger));
      } else if (auto* two = std::get_if<machine::effect::PersistSurvivors>(&effect)) {
        ASSERT_OK(store_->FixSurvivors(two->id, two->roster, two->survivors, two->ledger));
      } else if (auto* three = std::get_if<machine::effect::PersistCommit>(&effect)) {
        ASSERT_OK(store_->Commit(three->round, three->model, three->server_state, three->ledger));
      } else if (auto* rows = std::get_if<machine::effect::PersistRows>(&effect)) {
        ASSERT_OK(store_->CommitRows(rows->round, rows->ledger));
      } else if (auto* four = std::get_if<machine::effect::PersistAbandon>(&effect)) {
        ASSERT_OK(store_->Abandon(four->id, four->reason, four->ended_unix_ms, four->ledger));
      }
    }
  }
  void Give(machine::Event event) {
    machine::State state = std::move(*state_);
    Take(machine::Step(std::move(state), std::move(event), kNow));
  }
  void ConnectAll() {
    for (std::uint32_t i = 0; i < kDevices; ++i) Give(World().Connected(i));
  }
  void GiveComputed(std::uint32_t counter) {
    auto computed = RoundMachineWorld::Computed(*state_, counter);
    computed.model = Model(state_->core.model_version + 1);
    computed.server_state = State();
    Give(std::move(computed));
  }
  // The events of round `counter`, from the draw to the model: so many of them.
  void RunRound(std::uint32_t counter, std::size_t events = ~std::size_t{0}) {
    const auto& answers = World().Round(counter).answers;
    if (events > 0) Give(World().Drawn(counter));
    for (std::size_t i = 0; i < answers.size() && i + 1 < events; ++i) {
      Give(RoundMachineWorld::Answer(counter, answers[i]));
    }
    if (events > answers.size() + 1) GiveComputed(counter);
  }
  static std::size_t EventsOfARound() { return World().Round(1).answers.size() + 2; }

  void Tamper(const std::string& sql) {
    store_.reset();
    ASSERT_OK_AND_ASSIGN(auto database, storage::Database::Open(Path(), {}));
    ASSERT_OK(database.Execute(sql));
  }
  std::string Path() const { return folder_->path() + "/" + std::string(RoundStore::kFileName); }
  OnDisk Read() {
    store_.reset();
    OnDisk out;
    auto database = storage::Database::Open(Path(), {});
    EXPECT_OK(database);
    auto rounds = database->Prepare("SELECT id || ' ' || state || ' ' || reason FROM rounds");
    EXPECT_OK(rounds);
    while (*rounds->Step()) out.rounds.emplace_back(rounds->Text(0));
    auto ledger = database->Prepare("SELECT entry FROM ledger ORDER BY seq");
    EXPECT_OK(ledger);
    while (*ledger->Step()) out.ledger.push_back(ToBytes(ledger->Blob(0)));
    auto devices = database->Prepare("SELECT coalesce(sum(participations), 0) FROM devices");
    EXPECT_OK(devices);
    EXPECT_TRUE(*devices->Step());
    out.devices = devices->Integer(0);
    return out;
  }
  void ExpectDataLoss(const std::string& named) {
    const OnDisk before = Read();
    const auto recovered = Recover();
    ASSERT_TRUE(testing::HasError(recovered, ErrorCode::kDataLoss)) << named;
    EXPECT_NE(recovered.error().message().find(named), std::string::npos)
        << recovered.error().message();
    EXPECT_TRUE(Read() == before) << "nothing is repaired";
  }
  static dp::EntryKind LastKind(const OnDisk& disk) {
    auto entry = dp::LedgerEntry::Parse(disk.ledger.back());
    EXPECT_OK(entry);
    return entry->kind;
  }

  PreparedTask task_;
  std::optional<testing::TemporaryFolder> folder_;
  std::optional<RoundStore> store_;
  std::optional<machine::State> state_;
};

TEST_F(RecoveryTest, AFreshStoreStartsFromTheFirstModel) {
  ASSERT_OK_AND_ASSIGN(const Recovered recovered, Recover());
  EXPECT_EQ(recovered.core.epoch, 1U);
  EXPECT_EQ(recovered.core.last_counter, 0U);
  EXPECT_EQ(recovered.core.model_version, 0U);
  EXPECT_EQ(recovered.core.model_hash, Model(0).hash);
  EXPECT_EQ(*recovered.model_blob, Model(0).blob);
  EXPECT_EQ(recovered.model.Canonical(), Model(0).blob);
  EXPECT_EQ(recovered.server_state, learning::ServerState());
  EXPECT_EQ(recovered.core.config.participations_max, 10U);
}

TEST_F(RecoveryTest, CommittedRoundsAreAllThere) {
  Boot();
  ConnectAll();
  RunRound(1);
  RunRound(2);
  ASSERT_OK_AND_ASSIGN(const Recovered recovered, Recover());
  EXPECT_EQ(recovered.core.committed, 2U);
  EXPECT_EQ(recovered.core.abandoned, 0U);
  EXPECT_EQ(recovered.core.last_counter, 2U);
  EXPECT_EQ(recovered.core.model_hash, Model(2).hash);
  EXPECT_EQ(*recovered.model_blob, Model(2).blob);
  EXPECT_EQ(recovered.core.ledger, state_->core.ledger) << "equal to the last bit";
  ASSERT_EQ(recovered.core.devices.size(), kDevices);
  for (const auto& [number, entry] : recovered.core.devices) {
    EXPECT_EQ(entry.participations, 2U);
    EXPECT_FALSE(entry.connected);
  }
}

// Killed in every phase of a round, and around each event that something is made durable for.
TEST_F(RecoveryTest, AKillAfterAnyEventLosesNoCommitAndCountsNothingTwice) {
  const std::size_t answers = World().Round(1).answers.size();
  const std::size_t freeze = answers - kDevices;  // the last M5
  for (const std::size_t events :
       {std::size_t{0}, std::size_t{1}, std::size_t{2}, kDevices + 5, 2 * kDevices + 5, freeze,
        freeze + 1, freeze + 2, answers, answers + 1, EventsOfARound()}) {
    StartOver();
    Boot();
    ConnectAll();
    RunRound(1, events);
    const bool reserved = events > 0;
    const bool opened = events > freeze;
    const bool committed = events == EventsOfARound();
    const bool open = reserved && !committed;
    {
      ASSERT_OK_AND_ASSIGN(const Recovered recovered, Recover());
      EXPECT_EQ(recovered.core.committed, committed ? 1U : 0U) << events;
      EXPECT_EQ(recovered.core.abandoned, open ? 1U : 0U) << events;
      EXPECT_EQ(recovered.core.model_hash, Model(committed ? 1 : 0).hash);
      EXPECT_EQ(recovered.core.last_counter, reserved ? 1U : 0U) << "ids are not used again";
      EXPECT_TRUE(recovered.core.ledger.Unsettled().empty());
      EXPECT_EQ(recovered.core.ledger.rounds_charged(), opened ? 1U : 0U) << events;
      for (const auto& [number, entry] : recovered.core.devices) {
        EXPECT_EQ(entry.participations, opened ? 1U : 0U);
      }
    }
    const OnDisk disk = Read();
    if (open) {
      EXPECT_EQ(LastKind(disk), opened ? dp::EntryKind::kBurn : dp::EntryKind::kRelease) << events;
      EXPECT_NE(disk.rounds.at(0).find("coordinator restarted"), std::string::npos);
    }
    // A second start finds nothing more to do.
    ASSERT_OK(Recover());
    EXPECT_TRUE(Read() == disk) << events;
    // Life goes on with the next id.
    Boot();
    ConnectAll();
    RunRound(reserved ? 2 : 1);
    EXPECT_EQ(state_->core.committed, committed ? 2U : 1U) << events;
  }
}

// Killed inside and around every transaction.
TEST_F(RecoveryTest, AKillAtAnyPointOfTheStoreIsSettled) {
  struct Point {
    const char* name;
    std::uint32_t committed, abandoned, charged;
  };
  for (const Point& point :
       {Point{"coordinator.before_reserve", 0, 0, 0}, Point{"coordinator.after_reserve", 0, 1, 0},
        Point{"coordinator.before_survivors", 0, 1, 0},
        Point{"coordinator.after_survivors", 0, 1, 1}, Point{"coordinator.before_commit", 0, 1, 1},
        Point{"coordinator.commit_model_written", 0, 1, 1},
        Point{"coordinator.commit_round_written", 0, 1, 1},
        Point{"coordinator.commit_ledger_written", 0, 1, 1},
        Point{"coordinator.after_commit", 1, 0, 1}}) {
    StartOver();
    Boot();
    ConnectAll();
    SetFaultHandler([&point](std::string_view name) {
      if (name == point.name) throw Crash{};
    });
    EXPECT_THROW(RunRound(1), Crash) << point.name;
    SetFaultHandler({});
    ASSERT_OK_AND_ASSIGN(const Recovered recovered, Recover());
    EXPECT_EQ(recovered.core.committed, point.committed) << point.name;
    EXPECT_EQ(recovered.core.abandoned, point.abandoned) << point.name;
    EXPECT_EQ(recovered.core.ledger.rounds_charged(), point.charged) << point.name;
    EXPECT_EQ(recovered.core.model_hash, Model(point.committed).hash) << point.name;
    EXPECT_TRUE(recovered.core.ledger.Unsettled().empty()) << point.name;
  }
}

// Also while an abandoned round is written, by the machine or by recovery itself.
TEST_F(RecoveryTest, AKillWhileSettlingIsSettledByTheNextStart) {
  for (const char* point : {"coordinator.before_abandon", "coordinator.after_abandon"}) {
    for (const std::size_t events : {std::size_t{3}, EventsOfARound() - 1}) {
      StartOver();
      Boot();
      ConnectAll();
      RunRound(1, events);
      SetFaultHandler([point](std::string_view name) {
        if (name == point) throw Crash{};
      });
      EXPECT_THROW((void)Recover(), Crash) << point;
      SetFaultHandler({});
      ASSERT_OK_AND_ASSIGN(const Recovered recovered, Recover());
      EXPECT_EQ(recovered.core.abandoned, 1U) << point;
      EXPECT_EQ(Read().ledger.size(), events == 3 ? 2U : 3U) << "settled once: " << point;
    }
  }
}

TEST_F(RecoveryTest, AnOpenedRoundIsBurnt) {
  Boot();
  ConnectAll();
  RunRound(1, EventsOfARound() - 1);  // the sum is known, the model is not
  ASSERT_OK_AND_ASSIGN(const Recovered recovered, Recover());
  EXPECT_EQ(recovered.core.ledger.rounds_charged(), 1U);
  EXPECT_EQ(LastKind(Read()), dp::EntryKind::kBurn);
}

TEST_F(RecoveryTest, WhoHasNoParticipationsLeftIsNotInvitedAfterARestart) {
  TaskConfig config = MakeTask();
  config.privacy.participations = 1;
  task_ = PreparedTask::Create(config).value();
  StartOver();
  Boot();
  ConnectAll();
  RunRound(1);
  Boot();
  ConnectAll();
  EXPECT_TRUE(machine::Eligible(state_->core).empty());
  EXPECT_EQ(testing::StateName(*state_), "gathering");
}

// --- Stores that are not to be believed ---------------------------------------------------------

TEST_F(RecoveryTest, AnotherTasksStoreIsNotTouched) {
  TaskConfig other = MakeTask();
  other.id->bytes[0] = std::byte{1};
  ASSERT_OK_AND_ASSIGN(const PreparedTask task, PreparedTask::Create(other));
  EXPECT_ERROR(RecoverAs(task), ErrorCode::kFailedPrecondition);
}

// Not a damaged ledger, which is what a changed budget would look like next.
TEST_F(RecoveryTest, ATaskFileThatWasChangedSinceIsNamed) {
  Boot();
  ConnectAll();
  RunRound(1);
  TaskConfig richer = MakeTask();
  richer.rounds = 11;
  TaskConfig patient = MakeTask();
  patient.timeouts.retry_ms += 1;
  for (const TaskConfig& changed : {richer, patient}) {
    ASSERT_OK_AND_ASSIGN(const PreparedTask task, PreparedTask::Create(changed));
    const auto recovered = RecoverAs(task);
    ASSERT_TRUE(testing::HasError(recovered, ErrorCode::kFailedPrecondition));
    EXPECT_NE(recovered.error().message().find("task.toml was changed"), std::string::npos);
    EXPECT_ERROR(AdoptBackup(*store_, task, kNow), ErrorCode::kFailedPrecondition);
  }
  EXPECT_OK(Recover());
}

// --- Backups ------------------------------------------------------------------------------------

// What became of the copy's open round is not known: its sum may have been opened since.
TEST_F(RecoveryTest, TheOpenRoundOfABackupStaysCharged) {
  for (const std::size_t events : {std::size_t{3}, EventsOfARound() - 1}) {
    StartOver();
    Boot();
    ConnectAll();
    RunRound(1, events);
    ASSERT_OK_AND_ASSIGN(const std::uint32_t epoch, AdoptBackup(*store_, task_, kNow));
    EXPECT_GT(epoch, kFirstEpoch);
    ASSERT_OK_AND_ASSIGN(const Recovered recovered, Recover());
    EXPECT_EQ(recovered.core.epoch, epoch);
    EXPECT_EQ(recovered.core.abandoned, 1U);
    EXPECT_EQ(recovered.core.ledger.rounds_charged(), 1U) << events;
    const OnDisk disk = Read();
    EXPECT_EQ(LastKind(disk), dp::EntryKind::kBurn);
    EXPECT_NE(disk.rounds.at(0).find("restored from a backup"), std::string::npos);
  }
}
TEST_F(RecoveryTest, ADamagedBackupIsNotAdopted) {
  Boot();
  ConnectAll();
  RunRound(1, 3);
  Tamper("UPDATE rounds SET state = 2");
  ASSERT_OK_AND_ASSIGN(RoundStore store,
                       RoundStore::Open(folder_->path(), RoundStore::Access::kWrite));
  EXPECT_ERROR(AdoptBackup(store, task_, kNow), ErrorCode::kDataLoss);
}

TEST_F(RecoveryTest, StoreAndLedgerMustTellTheSameStory) {
  struct Case {
    std::size_t events;
    const char* sql;
    const char* named;
  };
  const std::size_t all = EventsOfARound();
  const std::size_t unmasking = all - 2;
  for (const Case& one :
       {Case{all,
             "INSERT INTO rounds VALUES ((1 << 32) + 2, 0, 1, 1, '', 20, 0, 0, 0, 0, "
             "zeroblob(32), zeroblob(32), 1, 5, 0)",
             "round 1.2 is reserved in the store and absent in the ledger"},
        Case{3, "UPDATE rounds SET state = 4",
             "round 1.1 is abandoned in the store and reserved in the ledger"},
        Case{3, "DELETE FROM rounds", "round 1.1 is in the ledger and absent in the store"},
        Case{3, "UPDATE rounds SET id = id + 1",
             "round 1.2 is reserved in the store and absent in the ledger"},
        Case{3, "UPDATE rounds SET attempt = 1", "absent in the ledger"},
        Case{3, "UPDATE rounds SET state = 2",
             "round 1.1 is unmasking in the store and reserved in the ledger"},
        Case{unmasking, "UPDATE rounds SET state = 1",
             "round 1.1 is reserved in the store and opened in the ledger"},
        Case{unmasking, "UPDATE rounds SET state = 4",
             "round 1.1 is abandoned in the store and opened in the ledger"},
        Case{all, "DELETE FROM ledger WHERE seq = 3",
             "round 1.1 is committed in the store and opened in the ledger"}}) {
    StartOver();
    Boot();
    ConnectAll();
    RunRound(1, one.events);
    Tamper(one.sql);
    ExpectDataLoss(one.named);
  }
}

// What is left is a chain without a fault, and would say that less was spent.
TEST_F(RecoveryTest, ALedgerThatLostItsLastRoundsIsDataLoss) {
  Boot();
  ConnectAll();
  RunRound(1);
  RunRound(2);
  Tamper("DELETE FROM ledger WHERE seq > 3");
  ExpectDataLoss("round 1.2 is committed in the store and absent in the ledger");
  ASSERT_OK_AND_ASSIGN(RoundStore store,
                       RoundStore::Open(folder_->path(), RoundStore::Access::kRead));
  EXPECT_ERROR(StoredStatus(store, task_), ErrorCode::kDataLoss) << "nor is it shown";
}
// A round whose shares were asked for was charged for good, whatever the ledger says.
TEST_F(RecoveryTest, AnOpenedRoundThatWasGivenBackIsDataLoss) {
  Boot();
  ConnectAll();
  RunRound(1, 3);
  ASSERT_OK(Recover());  // released
  Tamper("UPDATE rounds SET survivors = 20, participants = 20");
  Tamper(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) "
      "INSERT INTO devices SELECT i, 1, 0 FROM n");
  ExpectDataLoss("round 1.1 is abandoned in the store and released in the ledger");
}

TEST_F(RecoveryTest, ALedgerWhoseChainIsBrokenIsDataLoss) {
  for (const auto& [sql, named] :
       {std::pair{"DELETE FROM ledger WHERE seq = 2", "ledger entry 2 is missing"},
        std::pair{"UPDATE ledger SET entry = (SELECT entry FROM ledger WHERE seq = 1) "
                  "WHERE seq = 2",
                  "under another number"},
        std::pair{"UPDATE ledger SET entry = CAST(substr(entry, 1, length(entry) - 1) || "
                  "x'5A' AS BLOB) WHERE seq = 1",
                  "privacy ledger"},
        std::pair{"UPDATE ledger SET entry = x'00' WHERE seq = 1", ""},
        std::pair{"DELETE FROM ledger WHERE seq = 1; UPDATE ledger SET seq = seq - 1",
                  "under another number"}}) {
    StartOver();
    Boot();
    ConnectAll();
    RunRound(1);
    Tamper(sql);
    ExpectDataLoss(named);
  }
}

TEST_F(RecoveryTest, AModelThatDoesNotFitTheTaskIsDataLoss) {
  const auto replace = [this](const Bytes& blob) {
    StartOver();
    Tamper("UPDATE models SET blob = x'" + ToHex(blob) + "', hash = x'" +
           ToHex(crypto::Sha256(blob)) + "'");
  };
  replace(Bytes(4));
  ExpectDataLoss("the model does not fit the task");
  Bytes infinite = Model(0).blob;
  infinite[2] = std::byte{0x80};  // little-endian 0x7F800000
  infinite[3] = std::byte{0x7F};
  replace(infinite);
  ExpectDataLoss("the model does not fit the task");
  replace(Model(3).blob);
  EXPECT_OK(Recover()) << "another model of the task's shape under its own hash";
}

TEST_F(RecoveryTest, AServerStateThatCannotBeReadIsDataLoss) {
  const Bytes junk = ToBytes(AsBytes("junk"));
  Tamper("UPDATE server_state SET bytes = x'" + ToHex(junk) + "', hash = x'" +
         ToHex(crypto::Sha256(junk)) + "'");
  ExpectDataLoss("");
}

}  // namespace
}  // namespace demur::coordinator
