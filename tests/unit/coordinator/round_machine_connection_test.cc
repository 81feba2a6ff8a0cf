#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "round_machine_test_util.h"

// Lost connections, changed identities and pauses.
namespace demur::coordinator::machine {
namespace {

constexpr const char* kAnnounce = "reserve, timer training, M0 x20";

MachineConfig Patient() {
  MachineConfig config = World().config;
  config.reconnect_ms = 3'000;
  return config;
}

// A machine whose round 1 is announced.
Machine Announced(const MachineConfig& config) {
  Machine machine(config);
  machine.ConnectAll();
  machine.Give(World().Drawn(1));
  EXPECT_EQ(machine.name(), "announced");
  return machine;
}

// --- Connections --------------------------------------------------------------------------------

TEST(RoundMachineConnectionTest, ALostDeviceHasTimeToComeBack) {
  Machine machine = Announced(Patient());
  const DeviceNumber device = RoundMachineWorld::Number(0);
  EXPECT_EQ(machine.Give(event::Disconnected{device}), "grace -> announced");
  const auto grace = machine.AllOf<effect::StartGrace>().at(0);
  EXPECT_EQ(grace.round, (RoundId{1, 1}));
  EXPECT_EQ(grace.device, device);
  EXPECT_EQ(grace.duration_ms, 3'000U);
  EXPECT_EQ(PendingMembers(machine.state()), kDevices) << "it is still waited for";
  EXPECT_EQ(machine.Give(World().Connected(0)), "-> announced");
  EXPECT_EQ(machine.Give(event::GraceOver{{1, 1}, device, grace.loss}), "refused");
  EXPECT_EQ(machine.Give(World().Message(1, 0, FrameType::kAdvertise)), "-> announced");
  EXPECT_EQ(PendingMembers(machine.state()), kDevices - 1);
}

TEST(RoundMachineConnectionTest, ADeviceThatDoesNotComeBackHasLeft) {
  Machine machine = Announced(Patient());
  const DeviceNumber device = RoundMachineWorld::Number(0);
  machine.Give(event::Disconnected{device});
  EXPECT_EQ(machine.Give(event::GraceOver{{1, 1}, device, 1}), "-> announced");
  EXPECT_EQ(PendingMembers(machine.state()), kDevices - 1);
  // It comes too late: it is heard no more in this round.
  machine.Give(World().Connected(0));
  EXPECT_EQ(machine.Give(World().Message(1, 0, FrameType::kAdvertise)), "refused");
}

// The first loss's timer still runs when the second begins; it is not the second's.
TEST(RoundMachineConnectionTest, EveryLossHasAGraceOfItsOwn) {
  Machine machine = Announced(Patient());
  const DeviceNumber device = RoundMachineWorld::Number(0);
  machine.Give(event::Disconnected{device});
  machine.Give(World().Connected(0));
  machine.Give(event::Disconnected{device});
  const auto graces = machine.AllOf<effect::StartGrace>();
  ASSERT_EQ(graces.size(), 2U);
  EXPECT_EQ(machine.Give(event::GraceOver{{1, 1}, device, graces[0].loss}), "refused");
  EXPECT_EQ(PendingMembers(machine.state()), kDevices);
  EXPECT_EQ(machine.Give(event::GraceOver{{1, 1}, device, graces[1].loss}), "-> announced");
  EXPECT_EQ(PendingMembers(machine.state()), kDevices - 1);
}

// A device whose own limits are spent would turn down every round: with too few others, no round
// would ever come to anything.
TEST(RoundMachineConnectionTest, WhoLeavesTheTaskIsNotInvitedAgainUntilItConnectsAnew) {
  Machine machine = Announced(World().config);
  const DeviceNumber device = RoundMachineWorld::Number(0);
  EXPECT_EQ(machine.Give(event::Left{device, {1, 1}, 0, wire::LeaveScope::kTask}), "-> announced");
  for (std::uint32_t i = 1; i < kDevices; ++i) {
    machine.Give(World().Message(1, i, FrameType::kAdvertise));
  }
  ASSERT_EQ(machine.name(), "paused");
  EXPECT_EQ(machine.AllOf<effect::RoundEnded>().at(0).report.declined, 1U);
  EXPECT_EQ(Eligible(machine.core()).size(), kDevices - 1);
  EXPECT_EQ(machine.Give(event::PauseOver{}), "-> gathering") << "19 are fewer than a roster";
  EXPECT_EQ(machine.Give(World().Connected(0)), "draw -> drawing");
  EXPECT_EQ(Eligible(machine.core()).size(), kDevices);
}
// A few that decline must not end the task for everybody: nobody has taken part yet.
TEST(RoundMachineConnectionTest, ATaskDoesNotEndBecauseDevicesDecline) {
  MachineConfig config = World().config;
  config.connected_min = kDevices;
  Machine machine = Announced(config);
  for (std::uint32_t i = 0; i < 5; ++i) {
    machine.Give(event::Left{RoundMachineWorld::Number(i), {1, 1}, 0, wire::LeaveScope::kTask});
  }
  for (std::uint32_t i = 5; i < kDevices; ++i) {
    machine.Give(World().Message(1, i, FrameType::kAdvertise));
  }
  ASSERT_EQ(machine.name(), "paused");
  EXPECT_EQ(machine.Give(event::PauseOver{}), "-> gathering");
}
// What Welcome tells a device that comes back.
TEST(RoundMachineConnectionTest, WhoHasLeftIsNotActiveInTheOpenRound) {
  Machine machine = Announced(World().config);
  const auto active = [&machine](std::uint32_t device) {
    return secagg::IsActive(std::get<state::Running>(machine.state().phase).session,
                            World().Identity(device));
  };
  machine.Give(event::Disconnected{RoundMachineWorld::Number(0)});
  EXPECT_FALSE(active(0));
  EXPECT_TRUE(active(1));
  EXPECT_FALSE(secagg::IsActive(std::get<state::Running>(machine.state().phase).session,
                                secagg::MemberId{std::byte{9}}))
      << "never invited";
}
// Every invitation that is turned down counts, whatever the reason: an operator sees no other trace
// of devices that refuse.
TEST(RoundMachineConnectionTest, WhoLeavesARoundIsInvitedToTheNextAndCounted) {
  Machine machine = Announced(World().config);
  machine.Give(event::Left{RoundMachineWorld::Number(0), {1, 1}, 0});
  EXPECT_EQ(Eligible(machine.core()).size(), kDevices);
  for (std::uint32_t i = 1; i < kDevices; ++i) {
    machine.Give(World().Message(1, i, FrameType::kAdvertise));
  }
  EXPECT_EQ(machine.AllOf<effect::RoundEnded>().at(0).report.declined, 1U);
}
TEST(RoundMachineConnectionTest, AMemberThatLeavesHasNotTurnedDownItsInvitation) {
  Machine machine = Announced(World().config);
  for (std::uint32_t i = 0; i < kDevices; ++i) {
    machine.Give(World().Message(1, i, FrameType::kAdvertise));
  }
  ASSERT_EQ(machine.name(), "sharing");
  machine.Give(event::Left{RoundMachineWorld::Number(0), {1, 1}, 0});
  machine.Give(event::Stop{});
  EXPECT_EQ(machine.AllOf<effect::RoundEnded>().at(0).report.declined, 0U);
}

TEST(RoundMachineConnectionTest, WithoutGraceALostDeviceHasLeftAtOnce) {
  Machine machine = Announced(World().config);
  EXPECT_EQ(machine.Give(event::Disconnected{RoundMachineWorld::Number(0)}), "-> announced");
  EXPECT_EQ(PendingMembers(machine.state()), kDevices - 1);
  EXPECT_EQ(machine.Give(event::Disconnected{RoundMachineWorld::Number(0)}), "refused");
}

// The last one that a phase waits for may be the one that is lost.
TEST(RoundMachineConnectionTest, APhaseEndsWhenTheLastOneAwaitedIsGone) {
  Machine machine = Announced(Patient());
  const DeviceNumber device = RoundMachineWorld::Number(0);
  for (std::uint32_t i = 1; i < kDevices; ++i) {
    machine.Give(World().Message(1, i, FrameType::kAdvertise));
  }
  EXPECT_EQ(PendingMembers(machine.state()), 1U);
  machine.Give(event::Disconnected{device});
  // 19 are fewer than a roster.
  EXPECT_EQ(machine.Give(event::GraceOver{{1, 1}, device, 1}),
            "abandon: roster too small, abandoned, M10 x19, pause 1000 -> paused");
}

TEST(RoundMachineConnectionTest, WhoIsNotInTheRoundMayComeAndGo) {
  Machine machine = Announced(Patient());
  const DeviceNumber other(1);
  EXPECT_EQ(machine.Give(event::Connected{other, {std::byte{1}}}), "-> announced");
  EXPECT_EQ(machine.Give(event::Left{other, {1, 1}, 0}), "refused");
  EXPECT_EQ(machine.Give(event::Disconnected{other}), "-> announced");
  EXPECT_EQ(machine.Give(event::GraceOver{{1, 1}, other, 1}), "refused");
  EXPECT_EQ(PendingMembers(machine.state()), kDevices);
}

TEST(RoundMachineConnectionTest, WhoIsLostWhileTheCohortIsDrawnIsInvitedAllTheSame) {
  Machine patient(Patient());
  patient.ConnectAll();
  patient.Give(event::Disconnected{RoundMachineWorld::Number(3)});
  EXPECT_EQ(patient.Give(World().Drawn(1)), std::string(kAnnounce) + ", grace -> announced");
  EXPECT_EQ(PendingMembers(patient.state()), kDevices);

  Machine strict;
  strict.ConnectAll();
  strict.Give(event::Disconnected{RoundMachineWorld::Number(3)});
  EXPECT_EQ(strict.Give(World().Drawn(1)), std::string(kAnnounce) + " -> announced");
  EXPECT_EQ(PendingMembers(strict.state()), kDevices - 1);
}

TEST(RoundMachineConnectionTest, ARoundThatEverybodyLeftIsAbandonedAndSettled) {
  Machine machine;
  machine.ConnectAll();
  for (std::uint32_t i = 0; i < kDevices; ++i) {
    machine.Give(event::Disconnected{RoundMachineWorld::Number(i)});
  }
  EXPECT_EQ(
      machine.Give(World().Drawn(1)),
      std::string(kAnnounce) + ", abandon: roster too small, abandoned, pause 1000 -> paused");
  EXPECT_EQ(EntryOf(machine.AllOf<effect::PersistAbandon>().at(0).ledger).kind,
            dp::EntryKind::kRelease);
  EXPECT_TRUE(machine.core().ledger.Unsettled().empty());
}

// An outage after most have sent M5: the last one awaited leaves, the survivor set freezes, and
// there is nobody to ask. That is an abandoned round and no error of ours.
TEST(RoundMachineConnectionTest, ASurvivorSetThatHasLeftIsAbandonedAndBurnt) {
  Machine machine = Announced(World().config);
  for (const FrameType type : {FrameType::kAdvertise, FrameType::kShares}) {
    for (std::uint32_t i = 0; i < kDevices; ++i) machine.Give(World().Message(1, i, type));
  }
  ASSERT_EQ(machine.name(), "masking");
  for (std::uint32_t i = 1; i < kDevices; ++i) {
    machine.Give(World().Message(1, i, FrameType::kMasked));
    machine.Give(event::Disconnected{RoundMachineWorld::Number(i)});
  }
  EXPECT_EQ(machine.Give(event::Disconnected{RoundMachineWorld::Number(0)}),
            "survivors, timer unmask, abandon: too few shares, abandoned, pause 1000 -> paused");
  const auto survivors = machine.AllOf<effect::PersistSurvivors>().at(0);
  EXPECT_EQ(survivors.roster, kDevices);
  EXPECT_EQ(survivors.survivors.size(), kDevices - 1);
  EXPECT_EQ(EntryOf(survivors.ledger).kind, dp::EntryKind::kOpen);
  EXPECT_EQ(EntryOf(machine.AllOf<effect::PersistAbandon>().at(0).ledger).kind,
            dp::EntryKind::kBurn);
  EXPECT_TRUE(machine.core().ledger.Unsettled().empty());
  EXPECT_EQ(machine.core().devices.at(RoundMachineWorld::Number(1)).participations, 1U);
}

TEST(RoundMachineConnectionTest, ADeviceWithANewKeyIsNobodyInTheOpenRound) {
  Machine machine = Announced(Patient());
  const DeviceNumber device = RoundMachineWorld::Number(0);
  machine.Give(event::Connected{device, {std::byte{9}}});
  EXPECT_EQ(machine.Give(World().Message(1, 0, FrameType::kAdvertise)), "refused");
  EXPECT_EQ(machine.Give(event::Left{device, {1, 1}, 0}), "refused");
  EXPECT_EQ(machine.Give(event::Disconnected{device}), "-> announced") << "no grace either";
}

// One device may not speak for another: the key that TLS saw decides.
TEST(RoundMachineConnectionTest, ADeviceThatTakesTheNumberOfAnotherIsNotHeardAsIt) {
  Machine machine = Announced(World().config);
  event::Connected stolen = World().Connected(1);
  stolen.device = RoundMachineWorld::Number(0);  // number 0 with the key of 1
  machine.Give(stolen);
  event::Message message = World().Message(1, 1, FrameType::kAdvertise);
  message.device = RoundMachineWorld::Number(0);
  EXPECT_EQ(machine.Give(message), "refused");
}

// --- Draws that do not fit ----------------------------------------------------------------------

TEST(RoundMachineConnectionTest, ACohortThatNoLongerFitsIsDrawnAgain) {
  const std::vector<std::pair<const char*, void (*)(Machine&, event::Drawn*)>> cases = {
      {"another identity",
       [](Machine& machine, event::Drawn*) {
         machine.Give(event::Connected{RoundMachineWorld::Number(2), {std::byte{9}}});
       }},
      {"an unknown device",
       [](Machine&, event::Drawn* drawn) { drawn->cohort.back() = DeviceNumber(9'999); }},
      {"a device twice",
       [](Machine&, event::Drawn* drawn) { drawn->cohort[1] = drawn->cohort[0]; }},
      {"one too few", [](Machine&, event::Drawn* drawn) { drawn->cohort.pop_back(); }},
      {"an intent for another round",
       [](Machine&, event::Drawn* drawn) { drawn->intent.key.round.counter = 2; }},
  };
  for (const auto& [what, change] : cases) {
    Machine machine;
    machine.ConnectAll();
    event::Drawn drawn = World().Drawn(1);
    change(machine, &drawn);
    EXPECT_EQ(machine.Give(std::move(drawn)), "pause 1000 -> paused") << what;
    EXPECT_EQ(machine.core().ledger.num_entries(), 0U) << "nothing is charged";
    machine.Give(World().Connected(2));
    EXPECT_EQ(machine.Give(event::PauseOver{}), "draw -> drawing") << what;
    EXPECT_EQ(machine.AllOf<effect::Draw>().back().id, (RoundId{1, 1})) << "the id stayed free";
    EXPECT_EQ(machine.Give(World().Drawn(1)), std::string(kAnnounce) + " -> announced") << what;
  }
}

// --- Pauses -------------------------------------------------------------------------------------

TEST(RoundMachineConnectionTest, PausesGrowWithEveryFailureInARow) {
  Machine machine;
  machine.ConnectAll();
  for (std::uint32_t failures = 1; failures <= 14; ++failures) {
    machine.Give(event::Failed{{1, 1}, "not drawn"});
    ASSERT_EQ(machine.name(), "paused");
    EXPECT_EQ(machine.AllOf<effect::StartPause>().back().duration_ms,
              1'000 * std::min(failures, 12U));
    EXPECT_EQ(machine.Give(event::PauseOver{}), "draw -> drawing");
  }
  // A round that is committed makes good again.
  machine.RunAndCommit(1);
  EXPECT_EQ(machine.Give(event::Failed{{1, 2}, "not drawn"}), "pause 1000 -> paused");
}

// A beacon that draws too few is no failure, and another id draws others.
TEST(RoundMachineConnectionTest, AnIdThatDrawsTooFewIsLeftOut) {
  Machine machine;
  machine.ConnectAll();
  for (std::uint32_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(machine.AllOf<effect::Draw>().back().id, (RoundId{1, id}));
    EXPECT_EQ(machine.Give(event::Failed{{1, id}, "too few", true}), "pause 1000 -> paused");
    EXPECT_EQ(machine.Give(event::PauseOver{}), "draw -> drawing");
  }
  EXPECT_EQ(machine.core().abandoned, 0U);
  machine.RunAndCommit(4);
  EXPECT_EQ(machine.core().committed, 1U);
}

TEST(RoundMachineConnectionTest, AbandonedRoundsCountAsFailures) {
  Machine machine;
  machine.ConnectAll();
  for (std::uint32_t round = 1; round <= 2; ++round) {
    machine.Give(World().Drawn(round));
    machine.Give(event::Deadline{{1, round}, secagg::Phase::kTraining});
    EXPECT_EQ(machine.Give(event::Deadline{{1, round}, secagg::Phase::kAdvertise}),
              "M10 x20, abandon: roster too small, abandoned, pause " +
                  std::to_string(1'000 * round) + " -> paused");
    machine.Give(event::PauseOver{});
  }
  EXPECT_EQ(machine.core().abandoned, 2U);
  EXPECT_EQ(machine.AllOf<effect::Draw>().back().id, (RoundId{1, 3})) << "ids are not used again";
}

TEST(RoundMachineConnectionTest, NobodyIsDrawnDuringAPause) {
  Machine machine;
  machine.ConnectAll();
  machine.Give(event::Failed{{1, 1}, "not drawn"});
  EXPECT_EQ(machine.Give(World().Connected(0)), "-> paused");
  EXPECT_EQ(machine.Give(event::Disconnected{RoundMachineWorld::Number(0)}), "-> paused");
  EXPECT_EQ(machine.Give(event::PauseOver{}), "-> gathering") << "one is missing by now";
  EXPECT_EQ(machine.Give(World().Connected(0)), "draw -> drawing");
}

TEST(RoundMachineConnectionTest, WithoutAPauseTheNextDrawComesAtOnce) {
  MachineConfig config = World().config;
  config.pause_ms = 0;
  Machine machine(config);
  machine.ConnectAll();
  EXPECT_EQ(machine.Give(event::Failed{{1, 1}, "not drawn"}), "draw -> drawing");
}

TEST(RoundMachineConnectionTest, TheLongestPauseDoesNotWrap) {
  MachineConfig config = World().config;
  config.pause_ms = 7 * 24 * 3'600 * 1'000;  // the most that a task may ask for
  Machine machine(config);
  machine.ConnectAll();
  std::uint32_t before = 0;
  for (int failures = 1; failures <= 12; ++failures) {
    machine.Give(event::Failed{{1, 1}, "not drawn"});
    const std::uint32_t pause = machine.AllOf<effect::StartPause>().back().duration_ms;
    EXPECT_GE(pause, before) << failures;
    before = pause;
    machine.Give(event::PauseOver{});
  }
  EXPECT_EQ(before, std::numeric_limits<std::uint32_t>::max());
}

}  // namespace
}  // namespace demur::coordinator::machine
