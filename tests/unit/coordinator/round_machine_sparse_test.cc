#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "round_machine_test_util.h"

// Rounds of two sessions: one that counts rows, and one that trains those that it found.
namespace demur::coordinator::machine {
namespace {

using model::SessionKind;

constexpr std::uint32_t kMany = 22;  // two more than a roster needs
constexpr std::uint32_t kLate = 3;   // leaves the first session before it is in the sum

// Round 1 in two sessions; kLate is in the sum of the second one only.
RoundMachineWorld& Sparse() {
  static RoundMachineWorld& world = *[] {
    auto* made = new RoundMachineWorld(kMany);
    made->Round(1, {{kLate, FrameType::kMasked}}, SessionKind::kRowCounts);
    return made;
  }();
  return world;
}

DeviceNumber Number(std::uint32_t device) { return RoundMachineWorld::Number(device); }

std::vector<DeviceNumber> Everybody() {
  std::vector<DeviceNumber> out;
  for (std::uint32_t i = 0; i < kMany; ++i) out.push_back(Number(i));
  return out;
}

std::vector<DeviceNumber> Without(std::uint32_t device) {
  std::vector<DeviceNumber> out = Everybody();
  out.erase(out.begin() + device);
  return out;
}

class SparseMachine : public Machine {
 public:
  explicit SparseMachine(const MachineConfig& config = Sparse().config)
      : Machine(config, Sparse().policy) {
    ConnectAll(Sparse());
  }
  void Count() {
    RunTo(1, Sparse(), SessionKind::kRowCounts);
    ASSERT_EQ(name(), "committing");
  }
  void CountAndFind() {
    Count();
    ASSERT_EQ(Give(RoundMachineWorld::RowsFound(1)), "rows, M10 x21, draw -> drawing");
  }
  std::uint32_t participations(std::uint32_t device) {
    return core().devices.at(Number(device)).participations;
  }
  RoundReport report() const { return AllOf<effect::RoundEnded>().at(0).report; }
};

TEST(RoundMachineSparseTest, RowsThatWereFoundAreTrainedInASecondSession) {
  SparseMachine machine;
  EXPECT_EQ(machine.AllOf<effect::Draw>().at(0).attempt, 0U);
  EXPECT_TRUE(machine.AllOf<effect::Draw>().at(0).rows.empty());
  machine.CountAndFind();
  EXPECT_EQ(machine.AllOf<effect::PersistReserve>().at(0).round.kind, SessionKind::kRowCounts);
  const auto found = machine.AllOf<effect::PersistRows>().at(0);
  EXPECT_EQ(found.round.id, (RoundId{1, 1}));
  EXPECT_EQ(found.round.attempt, 0U);
  EXPECT_EQ(found.round.rows, 2U);
  EXPECT_EQ(found.round.sum_hash[0], std::byte{3});
  EXPECT_EQ(found.round.ended_unix_ms, kNow);
  EXPECT_EQ(EntryOf(found.ledger).kind, dp::EntryKind::kCommit);
  EXPECT_TRUE(machine.core().ledger.Unsettled().empty());
  EXPECT_EQ(machine.core().committed, 0U);
  EXPECT_EQ(machine.core().model_version, 0U);
  EXPECT_TRUE(machine.AllOf<effect::RoundEnded>().empty()) << "the round goes on";
  const auto draw = machine.AllOf<effect::Draw>().at(1);
  EXPECT_EQ(draw.id, (RoundId{1, 1}));
  EXPECT_EQ(draw.attempt, 1U);
  EXPECT_EQ(draw.rows, (std::vector<std::uint32_t>{1, 4}));
  EXPECT_EQ(draw.eligible, Everybody());
  // Devices hear the hash of what was found.
  const auto body = wire::DecodeSignedBody(*machine.AllOf<effect::Send>().back().frame, 1U << 20);
  ASSERT_OK(body);
  ASSERT_OK_AND_ASSIGN(const wire::Close close, wire::DecodeClose(body->body));
  EXPECT_EQ(close.status, wire::CloseStatus::kCommitted);
  EXPECT_EQ(close.result_hash[0], std::byte{2});

  machine.RunTo(1, Sparse(), SessionKind::kRows);
  ASSERT_EQ(machine.name(), "committing");
  const auto second = machine.AllOf<effect::PersistReserve>().at(1).round;
  EXPECT_EQ(second.id, (RoundId{1, 1}));
  EXPECT_EQ(second.attempt, 1U);
  EXPECT_EQ(second.kind, SessionKind::kRows);
  EXPECT_EQ(machine.Give(RoundMachineWorld::Computed(machine.state(), 1)),
            "commit, M10 x22, committed, draw -> drawing");
  EXPECT_EQ(machine.AllOf<effect::PersistCommit>().at(0).round.attempt, 1U);
  EXPECT_EQ(machine.core().committed, 1U);
  EXPECT_EQ(machine.core().ledger.rounds_charged(), 1U);
  EXPECT_TRUE(machine.report().committed);
  EXPECT_EQ(machine.report().rows, 2U);
  EXPECT_EQ(machine.report().survivors, kMany);
  const auto next = machine.AllOf<effect::Draw>().at(2);
  EXPECT_EQ(next.id, (RoundId{1, 2}));
  EXPECT_EQ(next.attempt, 0U);
}

TEST(RoundMachineSparseTest, RowsAreDurableBeforeAnybodyHearsOfThem) {
  SparseMachine machine;
  machine.CountAndFind();
  EXPECT_LT(machine.PlaceOf("rows"), machine.PlaceOf("M10"));
  EXPECT_LT(machine.PlaceOf("aggregate"), machine.PlaceOf("rows"));
}

TEST(RoundMachineSparseTest, BothSessionsAreOneParticipation) {
  SparseMachine machine;
  machine.CountAndFind();
  for (std::uint32_t i = 0; i < kMany; ++i) {
    EXPECT_EQ(machine.participations(i), i == kLate ? 0U : 1U) << i;
  }
  machine.RunTo(1, Sparse(), SessionKind::kRows);
  ASSERT_EQ(machine.AllOf<effect::PersistSurvivors>().at(1).survivors, Everybody());
  for (std::uint32_t i = 0; i < kMany; ++i) EXPECT_EQ(machine.participations(i), 1U) << i;
}

// With its last participation a device may be in both sessions, and in the second one alone.
TEST(RoundMachineSparseTest, ACountedParticipationIsEnoughForTheSecondSession) {
  MachineConfig config = Sparse().config;
  config.participations_max = 1;
  SparseMachine machine(config);
  machine.CountAndFind();
  EXPECT_EQ(machine.AllOf<effect::Draw>().at(1).eligible, Everybody());
  EXPECT_EQ(Eligible(machine.core()), (std::vector<DeviceNumber>{Number(kLate)}));
  machine.RunTo(1, Sparse(), SessionKind::kRows);
  machine.Give(RoundMachineWorld::Computed(machine.state(), 1));
  for (std::uint32_t i = 0; i < kMany; ++i) EXPECT_EQ(machine.participations(i), 1U) << i;
  EXPECT_EQ(machine.name(), "gathering") << "nobody has one left";
}

TEST(RoundMachineSparseTest, WhoHasNoParticipationForItIsNotInTheSecondSession) {
  MachineConfig config = Sparse().config;
  config.participations_max = 1;
  SparseMachine machine(config);
  machine.Count();
  machine.core().devices.at(Number(kLate)).participations = 1;
  machine.Give(RoundMachineWorld::RowsFound(1));
  EXPECT_EQ(machine.AllOf<effect::Draw>().at(1).eligible, Without(kLate));
}

TEST(RoundMachineSparseTest, WhoHasGoneIsNotInTheSecondSession) {
  SparseMachine lost;
  lost.Count();
  lost.Give(event::Disconnected{Number(7)});
  lost.Give(RoundMachineWorld::RowsFound(1));
  EXPECT_EQ(lost.AllOf<effect::Draw>().at(1).eligible, Without(7));
  SparseMachine declined;
  declined.Count();
  declined.core().devices.at(Number(8)).declined = true;
  declined.Give(RoundMachineWorld::RowsFound(1));
  EXPECT_EQ(declined.AllOf<effect::Draw>().at(1).eligible, Without(8));
  // Nor is who was not in the first one's cohort.
  SparseMachine stranger;
  stranger.Count();
  stranger.Give(event::Connected{DeviceNumber(1), {}});
  stranger.Give(RoundMachineWorld::RowsFound(1));
  EXPECT_EQ(stranger.AllOf<effect::Draw>().at(1).eligible, Everybody());
}

// --- No second session --------------------------------------------------------------------------

// What is left of a round whose second session does not come: the first one, and a report.
void ExpectEndedBetween(SparseMachine& machine, const std::string& reason) {
  const RoundReport report = machine.report();
  EXPECT_FALSE(report.committed);
  EXPECT_EQ(report.id, (RoundId{1, 1}));
  EXPECT_EQ(report.reason, reason);
  EXPECT_EQ(report.rows, 2U);
  EXPECT_EQ(machine.AllOf<effect::PersistReserve>().size(), 1U);
  EXPECT_TRUE(machine.AllOf<effect::PersistAbandon>().empty());
  EXPECT_EQ(machine.core().ledger.rounds_charged(), 1U) << "what was counted stays charged";
  EXPECT_EQ(machine.participations(0), 1U);
  EXPECT_EQ(machine.core().committed, 0U);
}

TEST(RoundMachineSparseTest, TooFewThatAreLeftEndTheRound) {
  SparseMachine machine;
  machine.Count();
  for (std::uint32_t i = 10; i < 13; ++i) machine.Give(event::Disconnected{Number(i)});
  EXPECT_EQ(machine.Give(RoundMachineWorld::RowsFound(1)),
            "rows, M10 x21, abandoned, pause 1000 -> paused");
  ExpectEndedBetween(machine, "too few devices are left for the second session");
  // Two of them are not too few.
  SparseMachine enough;
  enough.Count();
  for (std::uint32_t i = 10; i < 12; ++i) enough.Give(event::Disconnected{Number(i)});
  EXPECT_EQ(enough.Give(RoundMachineWorld::RowsFound(1)), "rows, M10 x21, draw -> drawing");
}

TEST(RoundMachineSparseTest, AStopBetweenTheSessionsEndsTheRound) {
  SparseMachine early;
  early.Count();
  early.Give(event::Stop{});
  EXPECT_EQ(early.Give(RoundMachineWorld::RowsFound(1)),
            "rows, M10 x21, abandoned, finished: asked to stop -> stopped");
  ExpectEndedBetween(early, "asked to stop");
  SparseMachine drawing;
  drawing.CountAndFind();
  EXPECT_EQ(drawing.Give(event::Stop{}), "abandoned, finished: asked to stop -> stopped");
  ExpectEndedBetween(drawing, "asked to stop");
  // Before the first session there is no round to speak of.
  SparseMachine none;
  EXPECT_EQ(none.Give(event::Stop{}), "finished: asked to stop -> stopped");
}

TEST(RoundMachineSparseTest, ASecondDrawThatFailsEndsTheRound) {
  for (const bool next_id : {false, true}) {
    SparseMachine machine;
    machine.CountAndFind();
    EXPECT_EQ(machine.Give(event::Failed{{1, 1}, "no cohort", next_id}),
              "abandoned, pause 1000 -> paused");
    ExpectEndedBetween(machine, "no cohort");
    EXPECT_EQ(machine.core().abandoned_in_a_row, 1U);
    machine.Give(event::PauseOver{});
    EXPECT_EQ(machine.AllOf<effect::Draw>().back().id, (RoundId{1, 2}));
    EXPECT_EQ(machine.AllOf<effect::Draw>().back().attempt, 0U);
  }
}

TEST(RoundMachineSparseTest, ACohortThatNoLongerFitsEndsTheRound) {
  SparseMachine machine;
  machine.CountAndFind();
  machine.Give(event::Connected{Number(5), {std::byte{9}}});
  EXPECT_EQ(machine.Give(Sparse().Drawn(1, SessionKind::kRows)), "abandoned, pause 1000 -> paused");
  ExpectEndedBetween(machine, "a device came back with another identity");
}

TEST(RoundMachineSparseTest, ALedgerThatAllowsNoSecondSessionEndsTheRound) {
  SparseMachine machine;
  machine.CountAndFind();
  event::Drawn drawn = Sparse().Drawn(1, SessionKind::kRows);
  drawn.intent.devices_left = drawn.intent.roster_min - 1;
  EXPECT_EQ(machine.Give(std::move(drawn)),
            "abandoned, finished: the ledger allows no further round -> stopped");
  ExpectEndedBetween(machine, "the ledger allows no further round");
}

TEST(RoundMachineSparseTest, WithoutARowTheCountsAreBurnt) {
  SparseMachine machine;
  machine.Count();
  EXPECT_EQ(machine.Give(event::Failed{{1, 1}, "no row"}),
            "abandon: no row, abandoned, M10 x21, pause 1000 -> paused");
  EXPECT_EQ(EntryOf(machine.AllOf<effect::PersistAbandon>().at(0).ledger).kind,
            dp::EntryKind::kBurn);
  EXPECT_EQ(machine.report().rows, 0U);
  EXPECT_EQ(machine.core().ledger.rounds_charged(), 1U);
  EXPECT_EQ(machine.participations(0), 1U);
  machine.Give(event::PauseOver{});
  EXPECT_EQ(machine.AllOf<effect::Draw>().back().id, (RoundId{1, 2}));
  EXPECT_EQ(machine.AllOf<effect::Draw>().back().attempt, 0U);
}

// The second session is given back as long as nobody was asked to unmask, the first one never.
TEST(RoundMachineSparseTest, AStopInTheSecondSessionKeepsTheFirst) {
  SparseMachine machine;
  machine.CountAndFind();
  machine.Give(Sparse().Drawn(1, SessionKind::kRows));
  EXPECT_EQ(machine.Give(event::Stop{}),
            "abandon: stopped, abandoned, M10 x22, finished: asked to stop -> stopped");
  const auto entry = EntryOf(machine.AllOf<effect::PersistAbandon>().at(0).ledger);
  EXPECT_EQ(entry.kind, dp::EntryKind::kRelease);
  EXPECT_EQ(entry.key, (dp::RoundKey{{1, 1}, 1}));
  EXPECT_EQ(machine.report().rows, 2U);
  EXPECT_EQ(machine.core().ledger.rounds_charged(), 1U);
  EXPECT_TRUE(machine.core().ledger.Unsettled().empty());
}

// --- What belongs to the other session ----------------------------------------------------------

TEST(RoundMachineSparseTest, TheSecondSessionHasTimersOfItsOwn) {
  MachineConfig config = Sparse().config;
  config.reconnect_ms = 500;
  SparseMachine machine(config);
  machine.CountAndFind();
  EXPECT_EQ(machine.AllOf<effect::StartTimer>().back().attempt, 0U);
  machine.Give(Sparse().Drawn(1, SessionKind::kRows));
  ASSERT_EQ(machine.name(), "announced");
  EXPECT_EQ(machine.AllOf<effect::StartTimer>().back().attempt, 1U);
  EXPECT_EQ(machine.Give(event::Deadline{{1, 1}, secagg::Phase::kTraining, 0}), "refused");

  const std::uint32_t loss = machine.core().devices.at(Number(6)).losses + 1;
  EXPECT_EQ(machine.Give(event::Disconnected{Number(6)}), "grace -> announced");
  EXPECT_EQ(machine.AllOf<effect::StartGrace>().back().attempt, 1U);
  EXPECT_EQ(machine.Give(event::GraceOver{{1, 1}, Number(6), loss, 0}), "refused");
  EXPECT_NE(machine.Give(event::GraceOver{{1, 1}, Number(6), loss, 1}), "refused");
  EXPECT_EQ(machine.Give(event::Left{Number(7), {1, 1}, 0}), "refused");
  EXPECT_NE(machine.Give(event::Left{Number(7), {1, 1}, 1}), "refused");
}

TEST(RoundMachineSparseTest, ADrawOfTheOtherSessionIsRefused) {
  SparseMachine first;
  EXPECT_EQ(first.Give(Sparse().Drawn(1, SessionKind::kRows)), "refused");
  EXPECT_EQ(first.name(), "drawing");
  SparseMachine second;
  second.CountAndFind();
  EXPECT_EQ(second.Give(Sparse().Drawn(1, SessionKind::kRowCounts)), "refused");
  EXPECT_EQ(second.name(), "drawing");
}

TEST(RoundMachineSparseTest, ASessionThatCountsMakesNoModel) {
  SparseMachine machine;
  machine.Count();
  EXPECT_EQ(machine.Give(RoundMachineWorld::Computed(machine.state(), 1)), "refused");
  event::RowsFound found = RoundMachineWorld::RowsFound(1);
  found.rows.clear();
  EXPECT_EQ(machine.Give(std::move(found)), "refused");
  EXPECT_EQ(machine.Give(RoundMachineWorld::RowsFound(2)), "refused");
  EXPECT_EQ(machine.name(), "committing");
}

TEST(RoundMachineSparseTest, ASessionThatTrainsFindsNoRows) {
  SparseMachine machine;
  machine.CountAndFind();
  machine.RunTo(1, Sparse(), SessionKind::kRows);
  EXPECT_EQ(machine.Give(RoundMachineWorld::RowsFound(1)), "refused");
  EXPECT_EQ(machine.name(), "committing");
  Machine whole;
  whole.ConnectAll();
  whole.RunTo(1);
  EXPECT_EQ(whole.Give(RoundMachineWorld::RowsFound(1)), "refused");
  EXPECT_EQ(whole.name(), "committing");
}

}  // namespace
}  // namespace demur::coordinator::machine
