#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "result_matchers.h"
#include "round_machine_world.h"

// The round machine's transition table (docs/protocol.md), one test a cell. A cohort of 24, of whom
// devices 0 and 1 have not answered the phase yet; where the machine gathers or pauses, device 23
// is not there yet. Messages are device 0's. Lost connections do not come back here.
namespace demur::coordinator::machine {
namespace {

using testing::Describe;
using testing::RoundMachineWorld;
using testing::StateName;
using wire::FrameType;

constexpr std::uint32_t kDevices = 24;

constexpr const char* kStates[] = {"gathering", "paused",  "drawing",   "announced",  "advertising",
                                   "sharing",   "masking", "unmasking", "committing", "stopped"};
constexpr const char* kRefused = "refused";
constexpr const char* kTaken = "-> =";  // "=" stands for the state's own name
constexpr const char* kStopped = "finished: asked to stop -> stopped";
constexpr const char* kAbandoned =
    "abandon: stopped, abandoned, M10 x24, finished: asked to stop -> stopped";
constexpr const char* kBroken = "fault: malformed message, M10 -> =";

struct Row {
  const char* event;
  const char* cells[10];  // by kStates
};

constexpr Row kTable[] = {
    {"connected again",
     {kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kTaken}},
    {"connected last",
     {"draw -> drawing", kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kTaken}},
    {"disconnected",
     {kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kTaken}},
    {"disconnected stranger",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"message",
     {kRefused, kRefused, kRefused, kTaken, kTaken, kTaken, kTaken, kTaken, kRefused, kRefused}},
    {"broken message",
     {kRefused, kRefused, kRefused, kBroken, kBroken, kBroken, kBroken, kBroken, kRefused,
      kRefused}},
    {"message of a stranger",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"left",
     {kRefused, kRefused, kRefused, kTaken, kTaken, kTaken, kTaken, kTaken, kRefused, kRefused}},
    {"left another round",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"left another attempt",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"stranger left",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"deadline",
     {kRefused, kRefused, kRefused, "timer advertise -> advertising",
      "M10 x2, timer share, M2 x22 -> sharing", "M10 x2, timer mask, M4 x22 -> masking",
      "M10 x2, survivors, timer unmask, M6 x22 -> unmasking", "aggregate -> committing", kRefused,
      kRefused}},
    {"deadline of another phase",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"deadline of another round",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"deadline of another attempt",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"grace over",
     {kRefused, kRefused, kRefused, kTaken, kTaken, kTaken, kTaken, kTaken, kRefused, kRefused}},
    {"grace over and back",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"grace of another round over",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"grace of another attempt over",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"pause over",
     {kRefused, "-> gathering", kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused, kRefused}},
    {"drawn",
     {kRefused, kRefused, "reserve, timer training, M0 x24 -> announced", kRefused, kRefused,
      kRefused, kRefused, kRefused, kRefused, kRefused}},
    {"drawn another round",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"computed",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      "commit, M10 x24, committed, draw -> drawing", kRefused}},
    {"computed another round",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"computed another version",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"rows found",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"failed",
     {kRefused, kRefused, "pause 1000 -> paused", kRefused, kRefused, kRefused, kRefused, kRefused,
      "abandon: infeasible, abandoned, M10 x24, pause 1000 -> paused", kRefused}},
    {"failed another round",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
      kRefused}},
    {"stop",
     {kStopped, kStopped, kStopped, kAbandoned, kAbandoned, kAbandoned, kAbandoned, kAbandoned,
      "-> committing, stopping", kRefused}},
};

RoundMachineWorld& World() {
  static RoundMachineWorld& world = *new RoundMachineWorld(kDevices);
  return world;
}

State After(State state, Event event) {
  return Step(std::move(state), std::move(event), RoundMachineWorld::kNow).next;
}

// A fresh machine in the named state.
State MachineIn(std::string_view name) {
  State state = Start(World().MakeCore()).next;
  const auto give = [&state](Event event) { state = After(std::move(state), std::move(event)); };
  for (std::uint32_t i = 0; i + 1 < kDevices; ++i) give(World().Connected(i));
  if (name == "gathering") return state;
  give(World().Connected(kDevices - 1));
  if (name == "drawing") return state;
  if (name == "stopped") {
    give(event::Stop{});
    return state;
  }
  if (name == "paused") {
    give(event::Disconnected{RoundMachineWorld::Number(kDevices - 1)});
    give(event::Failed{{1, 1}, "nobody"});
    return state;
  }
  give(World().Drawn(1));
  const auto answers = [&give](FrameType type, std::uint32_t from) {
    for (std::uint32_t i = from; i < kDevices; ++i) give(World().Message(1, i, type));
  };
  if (name == "advertising") give(event::Deadline{{1, 1}, secagg::Phase::kTraining});
  const std::pair<std::string_view, FrameType> phases[] = {{"announced", FrameType::kAdvertise},
                                                           {"advertising", FrameType::kAdvertise},
                                                           {"sharing", FrameType::kShares},
                                                           {"masking", FrameType::kMasked},
                                                           {"unmasking", FrameType::kUnmask}};
  for (const auto& [phase, type] : phases) {
    if ((phase == "advertising") != (name == "advertising") && type == FrameType::kAdvertise) {
      continue;
    }
    answers(type, phase == name ? 2 : 0);
    if (phase == name) return state;
  }
  return state;
}

std::pair<secagg::Phase, FrameType> PhaseOf(std::string_view state) {
  if (state == "advertising") return {secagg::Phase::kAdvertise, FrameType::kAdvertise};
  if (state == "sharing") return {secagg::Phase::kShare, FrameType::kShares};
  if (state == "masking") return {secagg::Phase::kMask, FrameType::kMasked};
  if (state == "unmasking") return {secagg::Phase::kUnmask, FrameType::kUnmask};
  return {secagg::Phase::kTraining, FrameType::kAdvertise};
}

// Events of connections. `state` may be changed first, where an event needs a past.
std::optional<Event> MakeConnectionEvent(std::string_view name, State* state) {
  const DeviceNumber device = RoundMachineWorld::Number(0);
  const DeviceNumber stranger(7);
  if (name == "connected again") return World().Connected(0);
  if (name == "connected last") return World().Connected(kDevices - 1);
  if (name == "disconnected") return event::Disconnected{device};
  if (name == "disconnected stranger") return event::Disconnected{stranger};
  if (name == "left") return event::Left{device, {1, 1}, 0};
  if (name == "left another round") return event::Left{device, {1, 2}, 0};
  if (name == "left another attempt") return event::Left{device, {1, 1}, 1};
  if (name == "stranger left") return event::Left{stranger, {1, 1}, 0};
  if (name == "grace over and back") return event::GraceOver{{1, 1}, device, 0};
  state->core.devices.at(device).connected = false;
  if (name == "grace over") return event::GraceOver{{1, 1}, device, 0};
  if (name == "grace of another round over") return event::GraceOver{{1, 2}, device, 0};
  if (name == "grace of another attempt over") return event::GraceOver{{1, 1}, device, 0, 1};
  state->core.devices.at(device).connected = true;
  return std::nullopt;
}

Event MakeEvent(std::string_view name, State* state) {
  if (auto connection = MakeConnectionEvent(name, state)) return std::move(*connection);
  const auto [phase, type] = PhaseOf(StateName(*state));
  event::Message message = World().Message(1, 0, type);
  if (name == "message") return message;
  if (name == "broken message") {
    message.frame.resize(message.frame.size() - 8);
    return message;
  }
  if (name == "message of a stranger") {
    message.device = DeviceNumber(7);
    return message;
  }
  if (name == "deadline") return event::Deadline{{1, 1}, phase};
  if (name == "deadline of another round") return event::Deadline{{1, 2}, phase};
  if (name == "deadline of another attempt") return event::Deadline{{1, 1}, phase, 1};
  if (name == "rows found") return event::RowsFound{{1, 1}, {1, 2}, {}, {}};
  if (name == "deadline of another phase") {
    return event::Deadline{
        {1, 1}, phase == secagg::Phase::kMask ? secagg::Phase::kShare : secagg::Phase::kMask};
  }
  if (name == "pause over") return event::PauseOver{};
  if (name == "drawn") return World().Drawn(1);
  if (name == "drawn another round") return World().Drawn(2);
  if (name == "computed") return RoundMachineWorld::Computed(*state, 1);
  if (name == "computed another round") return RoundMachineWorld::Computed(*state, 2);
  if (name == "computed another version") {
    event::Computed computed = RoundMachineWorld::Computed(*state, 1);
    ++computed.model.version;
    return computed;
  }
  if (name == "failed") return event::Failed{{1, 1}, "infeasible"};
  if (name == "failed another round") return event::Failed{{1, 2}, "infeasible"};
  EXPECT_EQ(name, "stop");
  return event::Stop{};
}

class MachineCell : public ::testing::TestWithParam<std::tuple<std::size_t, std::size_t>> {};

TEST_P(MachineCell, DoesWhatTheTableSays) {
  const Row& row = kTable[std::get<0>(GetParam())];
  const std::string name = kStates[std::get<1>(GetParam())];
  State state = MachineIn(name);
  ASSERT_EQ(StateName(state), name);
  Event event = MakeEvent(row.event, &state);
  const std::uint64_t entries = state.core.ledger.num_entries();
  const Transition t = Step(std::move(state), std::move(event), RoundMachineWorld::kNow);
  std::string expected = row.cells[std::get<1>(GetParam())];
  if (expected.ends_with("=")) expected.replace(expected.size() - 1, 1, name);
  EXPECT_EQ(Describe(t), expected);
  if (t.refused) {
    EXPECT_EQ(StateName(t.next), name);
    EXPECT_EQ(t.next.core.ledger.num_entries(), entries);
  }
}

std::string CellName(const ::testing::TestParamInfo<std::tuple<std::size_t, std::size_t>>& cell) {
  std::string name =
      std::string(kStates[std::get<1>(cell.param)]) + "_" + kTable[std::get<0>(cell.param)].event;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Table, MachineCell,
                         ::testing::Combine(::testing::Range<std::size_t>(0, std::size(kTable)),
                                            ::testing::Range<std::size_t>(0, std::size(kStates))),
                         CellName);

}  // namespace
}  // namespace demur::coordinator::machine
