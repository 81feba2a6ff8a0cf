#include "demur/coordinator/round_machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "round_machine_test_util.h"

// What the round machine does over whole rounds; round_machine_table_test.cc has the single steps.
namespace demur::coordinator::machine {
namespace {

// --- A round ------------------------------------------------------------------------------------

TEST(RoundMachineTest, WhatMustBeDurableComesBeforeWhatIsSent) {
  Machine machine;
  machine.ConnectAll();
  machine.RunAndCommit(1);
  EXPECT_LT(machine.PlaceOf("draw"), machine.PlaceOf("reserve"));
  EXPECT_LT(machine.PlaceOf("reserve"), machine.PlaceOf("M0"));
  EXPECT_LT(machine.PlaceOf("survivors"), machine.PlaceOf("M6"));
  EXPECT_LT(machine.PlaceOf("M6"), machine.PlaceOf("aggregate"));
  EXPECT_LT(machine.PlaceOf("aggregate"), machine.PlaceOf("commit"));
  EXPECT_LT(machine.PlaceOf("commit"), machine.PlaceOf("M10"));
  EXPECT_LT(machine.PlaceOf("commit"), machine.PlaceOf("committed"));
  EXPECT_LT(machine.PlaceOf("committed"), machine.all().size());
}

TEST(RoundMachineTest, ACommittedRoundIsRecordedWhole) {
  Machine machine;
  machine.ConnectAll();
  machine.RunAndCommit(1);
  const auto reserve = machine.AllOf<effect::PersistReserve>().at(0);
  EXPECT_EQ(reserve.round.id, (RoundId{1, 1}));
  EXPECT_EQ(reserve.round.cohort, kDevices);
  EXPECT_EQ(reserve.round.model_version, 0U);
  EXPECT_EQ(reserve.round.started_unix_ms, kNow);
  EXPECT_EQ(EntryOf(reserve.ledger).kind, dp::EntryKind::kReserve);
  const auto survivors = machine.AllOf<effect::PersistSurvivors>().at(0);
  EXPECT_EQ(survivors.roster, kDevices);
  EXPECT_EQ(survivors.survivors.size(), kDevices);
  EXPECT_TRUE(std::is_sorted(survivors.survivors.begin(), survivors.survivors.end()));
  EXPECT_EQ(EntryOf(survivors.ledger).kind, dp::EntryKind::kOpen);
  const auto aggregate = machine.AllOf<effect::Aggregate>().at(0);
  EXPECT_EQ(aggregate.sum, World().Round(1).session->ExpectedSum());
  EXPECT_EQ(aggregate.survivors, kDevices);
  const auto commit = machine.AllOf<effect::PersistCommit>().at(0);
  EXPECT_EQ(commit.round.id, (RoundId{1, 1}));
  EXPECT_EQ(commit.round.ended_unix_ms, kNow);
  EXPECT_EQ(commit.round.sum_hash[0], std::byte{1});
  EXPECT_EQ(commit.model.version, 1U);
  EXPECT_EQ(AsText(commit.server_state), "optimiser");
  EXPECT_EQ(EntryOf(commit.ledger).kind, dp::EntryKind::kCommit);
  EXPECT_EQ(EntryOf(commit.ledger).seq, 3U);
  const auto report = machine.AllOf<effect::RoundEnded>().at(0).report;
  EXPECT_TRUE(report.committed);
  EXPECT_EQ(report.roster, kDevices);
  EXPECT_EQ(report.survivors, kDevices);
  EXPECT_EQ(report.model_version, 1U);
  EXPECT_EQ(report.model_hash, commit.model.hash);
  EXPECT_EQ(machine.core().committed, 1U);
  EXPECT_EQ(machine.core().model_hash, commit.model.hash);
  EXPECT_EQ(machine.core().last_counter, 1U);
  EXPECT_TRUE(machine.core().ledger.Unsettled().empty());
  // Every device hears the hash of what was committed.
  const auto sends = machine.AllOf<effect::Send>();
  ASSERT_EQ(sends.back().type, FrameType::kClose);
  const auto body = wire::DecodeSignedBody(*sends.back().frame, 1U << 20);
  ASSERT_OK(body);
  ASSERT_OK_AND_ASSIGN(const wire::Close close, wire::DecodeClose(body->body));
  EXPECT_EQ(close.status, wire::CloseStatus::kCommitted);
  EXPECT_EQ(close.result_hash, commit.model.hash);
}

// A world of its own: its recording has departures.
TEST(RoundMachineTest, WhoLeavesBeforeMaskingIsNotInTheSumAndDidNotTakePart) {
  RoundMachineWorld world(kDevices);
  world.Round(1, {{3, FrameType::kMasked}, {4, FrameType::kUnmask}});
  Machine machine(world.config);
  machine.ConnectAll();
  machine.RunTo(1, world);
  ASSERT_EQ(machine.name(), "committing");
  const auto survivors = machine.AllOf<effect::PersistSurvivors>().at(0);
  EXPECT_EQ(survivors.roster, kDevices);
  EXPECT_EQ(survivors.survivors.size(), kDevices - 1);
  for (std::uint32_t i = 0; i < kDevices; ++i) {
    const bool in_sum = std::binary_search(survivors.survivors.begin(), survivors.survivors.end(),
                                           RoundMachineWorld::Number(i));
    EXPECT_EQ(in_sum, i != 3) << i;
    EXPECT_EQ(machine.core().devices.at(RoundMachineWorld::Number(i)).participations, in_sum) << i;
  }
  EXPECT_EQ(machine.AllOf<effect::Aggregate>().at(0).sum, world.Round(1).session->ExpectedSum());
}

TEST(RoundMachineTest, RoundsFollowOneAnotherUntilTheTaskIsComplete) {
  MachineConfig config = World().config;
  config.rounds_max = 3;
  Machine machine(config);
  machine.ConnectAll();
  for (std::uint32_t round = 1; round <= 3; ++round) {
    ASSERT_EQ(machine.name(), "drawing") << round;
    EXPECT_EQ(machine.AllOf<effect::Draw>().back().id, (RoundId{1, round}));
    machine.RunAndCommit(round);
  }
  EXPECT_EQ(machine.name(), "stopped");
  EXPECT_EQ(machine.AllOf<effect::Finished>().at(0).reason, StopReason::kTaskComplete);
  EXPECT_EQ(machine.core().model_version, 3U);
  // Also from the start: a complete task has no further round.
  Core done = World().MakeCore();
  done.config = config;
  done.committed = 3;
  EXPECT_EQ(Describe(Start(std::move(done))), "finished: task complete -> stopped");
}

TEST(RoundMachineTest, ARunMayBeAskedToStopAfterSoManyRounds) {
  MachineConfig config = World().config;
  config.stop_after = 1;
  Machine machine(config);
  machine.ConnectAll();
  machine.RunAndCommit(1);
  EXPECT_EQ(machine.name(), "stopped");
  EXPECT_EQ(machine.AllOf<effect::Finished>().at(0).reason, StopReason::kRoundsReached);
}

TEST(RoundMachineTest, StopWhileCommittingStillCommits) {
  Machine machine;
  machine.ConnectAll();
  machine.RunTo(1);
  EXPECT_EQ(machine.Give(event::Stop{}), "-> committing, stopping");
  EXPECT_EQ(machine.Give(RoundMachineWorld::Computed(machine.state(), 1)),
            "commit, M10 x20, committed, finished: asked to stop -> stopped");
  EXPECT_EQ(machine.core().committed, 1U);

  Machine other;
  other.ConnectAll();
  other.RunTo(1);
  other.Give(event::Stop{});
  EXPECT_EQ(other.Give(event::Failed{{1, 1}, "infeasible"}),
            "abandon: infeasible, abandoned, M10 x20, finished: asked to stop -> stopped");
}

// --- Who is invited -----------------------------------------------------------------------------

TEST(RoundMachineTest, ADeviceWithoutParticipationsIsNotInvited) {
  MachineConfig config = World().config;
  config.participations_max = 2;
  config.cohort = 22;
  Machine machine(config);
  machine.core().devices[RoundMachineWorld::Number(4)].participations = 2;
  machine.core().devices[RoundMachineWorld::Number(5)].participations = 1;
  machine.ConnectAll();
  for (std::uint64_t extra = 1; extra <= 2; ++extra) {
    machine.Give(
        event::Connected{DeviceNumber(extra), {std::byte{static_cast<unsigned char>(extra)}}});
  }
  ASSERT_EQ(machine.name(), "drawing");
  const auto eligible = machine.AllOf<effect::Draw>().at(0).eligible;
  EXPECT_EQ(eligible.size(), 21U);
  EXPECT_TRUE(std::is_sorted(eligible.begin(), eligible.end()));
  EXPECT_FALSE(std::binary_search(eligible.begin(), eligible.end(), RoundMachineWorld::Number(4)));
  EXPECT_EQ(Eligible(machine.core()), eligible);
}

TEST(RoundMachineTest, WhenEverybodyIsHereAndTooFewMayTakePartTheTaskEnds) {
  MachineConfig config = World().config;
  config.participations_max = 1;
  config.connected_min = kDevices;
  Machine machine(config);
  machine.ConnectAll();
  machine.RunAndCommit(1);
  EXPECT_EQ(machine.name(), "stopped");
  EXPECT_EQ(machine.AllOf<effect::Finished>().at(0).reason, StopReason::kParticipations);
  // Where others may still come, it waits for them.
  config.connected_min = 0;
  Machine waiting(config);
  waiting.ConnectAll();
  waiting.RunAndCommit(1);
  EXPECT_EQ(waiting.name(), "gathering");
}

TEST(RoundMachineTest, ARoundWaitsForConnectedMin) {
  MachineConfig config = World().config;
  config.connected_min = kDevices + 1;
  Machine machine(config);
  machine.ConnectAll();
  EXPECT_EQ(machine.name(), "gathering");
  // Somebody who may not take part counts as well: everybody is here.
  machine.core().devices[DeviceNumber(1)].participations = 10;
  EXPECT_EQ(machine.Give(event::Connected{DeviceNumber(1), {}}), "draw -> drawing");
  EXPECT_EQ(machine.AllOf<effect::Draw>().at(0).eligible.size(), kDevices);
}

// --- The ledger ---------------------------------------------------------------------------------

TEST(RoundMachineTest, ABudgetThatIsSpentStopsTheMachineBeforeAnybodyHearsOfTheRound) {
  dp::Ledger::Policy policy = World().policy;
  policy.budget.participations_max = 1;
  policy.budget.rounds_max = 1;
  Machine machine(World().config, policy);
  machine.ConnectAll();
  machine.RunAndCommit(1);
  EXPECT_EQ(machine.Give(World().Drawn(2)),
            "finished: the ledger allows no further round -> stopped");
  EXPECT_EQ(machine.core().last_counter, 1U);

  // The same when fewer devices than a roster have participations left.
  Machine few;
  few.ConnectAll();
  event::Drawn drawn = World().Drawn(1);
  drawn.intent.devices_left = drawn.intent.roster_min - 1;
  EXPECT_EQ(few.Give(std::move(drawn)), "finished: the ledger allows no further round -> stopped");
}

TEST(RoundMachineTest, ALedgerThatDisagreesStopsTheMachineBeforeAnythingIsSent) {
  // At the reservation: a charge where the task has no noise.
  Machine charged;
  charged.ConnectAll();
  event::Drawn drawn = World().Drawn(1);
  drawn.intent.charge = dp::SkellamCharge{1, 1, 1};
  EXPECT_EQ(charged.Give(std::move(drawn)), "finished: internal error -> stopped");

  // Before the unmask request: a ledger that does not know the round.
  Machine machine;
  machine.ConnectAll();
  machine.Give(World().Drawn(1));
  std::string last;
  for (const auto& frame : World().Round(1).answers) {
    if (frame.type == FrameType::kUnmask) break;
    machine.core().ledger = World().MakeCore().ledger;
    last = machine.Give(RoundMachineWorld::Answer(1, frame));
  }
  EXPECT_EQ(last, "finished: internal error -> stopped");
  EXPECT_TRUE(machine.AllOf<effect::PersistSurvivors>().empty());
  for (const auto& send : machine.AllOf<effect::Send>()) {
    EXPECT_NE(send.type, FrameType::kConfirmRequest);
  }

  // At the commit.
  Machine late;
  late.ConnectAll();
  late.RunTo(1);
  late.core().ledger = World().MakeCore().ledger;
  EXPECT_EQ(late.Give(RoundMachineWorld::Computed(late.state(), 1)),
            "finished: internal error -> stopped");
  EXPECT_EQ(late.core().committed, 0U);
}

// Stop after every step of a round: it is settled, everybody is told, and nothing is left open.
TEST(RoundMachineTest, StopAtEveryStepSettlesTheRound) {
  const auto& answers = World().Round(1).answers;
  std::size_t released = 0;
  std::size_t burnt = 0;
  for (std::size_t steps = 0; steps < answers.size(); ++steps) {
    Machine machine;
    machine.ConnectAll();
    machine.Give(World().Drawn(1));
    for (std::size_t i = 0; i < steps; ++i) {
      machine.Give(RoundMachineWorld::Answer(1, answers[i]));
    }
    const bool opened = machine.PlaceOf("survivors") < machine.all().size();
    ASSERT_EQ(machine.Give(event::Stop{}),
              "abandon: stopped, abandoned, M10 x20, finished: asked to stop -> stopped")
        << steps;
    const auto abandon = machine.AllOf<effect::PersistAbandon>();
    ASSERT_EQ(abandon.size(), 1U);
    EXPECT_EQ(abandon[0].id, (RoundId{1, 1}));
    EXPECT_EQ(abandon[0].ended_unix_ms, kNow);
    EXPECT_EQ(EntryOf(abandon[0].ledger).kind,
              opened ? dp::EntryKind::kBurn : dp::EntryKind::kRelease)
        << steps;
    ++(opened ? burnt : released);
    EXPECT_TRUE(machine.core().ledger.Unsettled().empty()) << steps;
    EXPECT_EQ(machine.core().abandoned, 1U);
    EXPECT_EQ(machine.core().last_counter, 1U) << "its id is not used again";
    EXPECT_EQ(machine.core().devices.at(RoundMachineWorld::Number(0)).participations, opened);
    const auto report = machine.AllOf<effect::RoundEnded>().at(0).report;
    EXPECT_FALSE(report.committed);
    EXPECT_EQ(report.survivors, opened ? kDevices : 0);
  }
  EXPECT_EQ(released, 3U * kDevices) << "M1, M3 and all M5 but the last";
  EXPECT_EQ(burnt, kDevices);
}

TEST(RoundMachineTest, ARoundThatFailsAfterItsSumStaysCharged) {
  Machine machine;
  machine.ConnectAll();
  machine.RunTo(1);
  machine.Give(event::Failed{{1, 1}, "infeasible"});
  EXPECT_EQ(EntryOf(machine.AllOf<effect::PersistAbandon>().at(0).ledger).kind,
            dp::EntryKind::kBurn);
  EXPECT_EQ(machine.core().ledger.rounds_charged(), 1U);
  EXPECT_EQ(machine.core().model_version, 0U);
  EXPECT_EQ(machine.core().devices.at(RoundMachineWorld::Number(0)).participations, 1U);
}

}  // namespace
}  // namespace demur::coordinator::machine
