#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "../support/round_machine_world.h"

// Any sequence of events, in any order, from devices that send real frames, frames of another round
// and broken ones. Whatever comes: nothing leaves before what it rests on is durable, no round is
// settled twice or left open, and the coordinator never stops over an error of its own.
namespace demur::coordinator::machine {
namespace {

using testing::RoundMachineWorld;
using wire::FrameType;

constexpr std::uint32_t kDevices = 20;
constexpr std::uint32_t kRecordedRounds = 2;
constexpr FrameType kAnswers[] = {FrameType::kAdvertise, FrameType::kShares, FrameType::kMasked,
                                  FrameType::kUnmask};

// What a shell that does as it is told has on its disk.
class Disk {
 public:
  void operator()(const effect::PersistReserve& e) {
    Append(e.ledger);
    const dp::RoundKey key{e.round.id, e.round.attempt};
    DEMUR_CHECK(!open_ && key > last_, "one session at a time, and ids that grow");
    last_ = key;
    open_ = true;
    fixed_ = false;
  }
  void operator()(const effect::PersistSurvivors& e) {
    Append(e.ledger);
    DEMUR_CHECK(open_ && !fixed_ && e.id == last_.round, "one survivor set a session");
    DEMUR_CHECK(std::is_sorted(e.survivors.begin(), e.survivors.end()), "ascending");
    fixed_ = true;
  }
  void operator()(const effect::PersistRows& e) { Close(e.round, e.ledger); }
  void operator()(const effect::PersistCommit& e) { Close(e.round, e.ledger); }
  void operator()(const effect::PersistAbandon& e) {
    Append(e.ledger);
    DEMUR_CHECK(open_ && e.id == last_.round, "only an open round is abandoned");
    open_ = false;
  }
  void operator()(const effect::Send& e) const {
    DEMUR_CHECK(e.type != FrameType::kAnnounce || open_, "announced before it was charged");
    DEMUR_CHECK(e.type != FrameType::kConfirmRequest || fixed_, "shares asked for too early");
  }
  void operator()(const effect::Aggregate&) const { DEMUR_CHECK(open_ && fixed_, "a sum"); }
  void operator()(const effect::Finished& e) const {
    DEMUR_CHECK(e.reason != StopReason::kInternal, "no event is an error of ours");
  }
  template <class Other>
  void operator()(const Other&) const {}

  bool open() const { return open_; }

 private:
  void Append(const std::vector<LedgerRow>& rows) {
    for (const LedgerRow& row : rows) DEMUR_CHECK(row.seq == ++entries_, "no gap in the ledger");
  }
  void Close(const RoundRow& round, const std::vector<LedgerRow>& ledger) {
    Append(ledger);
    const dp::RoundKey key{round.id, round.attempt};
    DEMUR_CHECK(open_ && fixed_ && key == last_, "only an opened session is committed");
    open_ = false;
  }
  dp::RoundKey last_;
  std::uint64_t entries_ = 0;
  bool open_ = false;
  bool fixed_ = false;
};

class Fuzzed {
 public:
  Fuzzed() {
    MachineConfig config = World().config;
    config.reconnect_ms = 1'000;
    config.participations_max = 1;
    Core core = World().MakeCore();
    core.config = config;
    Take(Start(std::move(core)));
  }

  void Give(Event event) {
    const std::string before = testing::StateName(state_);
    const std::uint64_t entries = state_.core.ledger.num_entries();
    Transition t = Step(std::move(state_), std::move(event), RoundMachineWorld::kNow);
    if (t.refused) {
      DEMUR_CHECK(t.effects.empty() && testing::StateName(t.next) == before &&
                      t.next.core.ledger.num_entries() == entries,
                  "a refused event changes nothing");
    }
    Take(std::move(t));
  }
  State& state() { return state_; }
  static RoundMachineWorld& World() {
    static RoundMachineWorld& world = *new RoundMachineWorld(kDevices);
    return world;
  }

 private:
  void Take(Transition t) {
    state_ = std::move(t.next);
    for (const Effect& effect : t.effects) std::visit(disk_, effect);
    const bool open = std::holds_alternative<state::Running>(state_.phase) ||
                      std::holds_alternative<state::Committing>(state_.phase);
    DEMUR_CHECK(open == disk_.open(), "disk and state agree on whether a round is open");
    DEMUR_CHECK(state_.core.ledger.Unsettled().size() == (open ? 1U : 0U),
                "and so does the ledger");
  }

  State state_{World().MakeCore(), state::Gathering{}};
  Disk disk_;
};

// Reads numbers off the input; 0 when it is used up.
class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : rest_(bytes) {}
  bool empty() const { return rest_.empty(); }
  std::uint8_t Next() {
    if (rest_.empty()) return 0;
    const std::uint8_t out = rest_.front();
    rest_ = rest_.subspan(1);
    return out;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

// Two numbers more than there are devices, for strangers.
DeviceNumber DeviceOf(Input& in) { return RoundMachineWorld::Number(in.Next() % (kDevices + 2)); }
RoundId RoundOf(Input& in) { return {1, 1U + in.Next() % kRecordedRounds}; }

event::Message MakeMessage(Input& in) {
  const DeviceNumber from = DeviceOf(in);
  const std::uint32_t author = in.Next() % kDevices;
  const FrameType type = kAnswers[in.Next() % std::size(kAnswers)];
  event::Message message = Fuzzed::World().Message(1U + in.Next() % kRecordedRounds, author, type);
  message.device = from;
  const std::uint8_t damage = in.Next();
  if (damage > 200) message.frame.resize(message.frame.size() * (damage - 200U) / 60);
  if (damage > 100 && damage <= 200) {
    message.frame[message.frame.size() * (damage - 101U) / 100] ^= std::byte{1};
  }
  if (damage % 8 == 7) message.type = FrameType::kRoster;
  return message;
}

event::Drawn MakeDrawn(Input& in) {
  RoundId id = RoundOf(in);
  const std::uint8_t change = in.Next();
  event::Drawn drawn = Fuzzed::World().Drawn(id.counter);
  if (change % 8 == 1) drawn.cohort.pop_back();
  if (change % 8 == 2) drawn.cohort[0] = DeviceNumber(1);
  if (change % 8 == 3) drawn.intent.devices_left = 0;
  return drawn;
}

void GiveOne(Fuzzed& machine, Input& in) {
  RoundMachineWorld& world = Fuzzed::World();
  switch (in.Next() % 13) {
    case 0: {
      event::Connected connected{DeviceOf(in), world.Identity(in.Next() % kDevices)};
      return machine.Give(connected);
    }
    case 1:
      return machine.Give(event::Disconnected{DeviceOf(in)});
    case 2:
      return machine.Give(MakeMessage(in));
    case 3: {
      const DeviceNumber device = DeviceOf(in);
      const RoundId round = RoundOf(in);
      return machine.Give(
          event::Left{device, round, in.Next() % 2U,
                      in.Next() % 2U == 0 ? wire::LeaveScope::kRound : wire::LeaveScope::kTask});
    }
    case 4: {
      const RoundId round = RoundOf(in);
      return machine.Give(event::Deadline{round, static_cast<secagg::Phase>(1 + in.Next() % 5)});
    }
    case 5: {
      const RoundId round = RoundOf(in);
      return machine.Give(event::GraceOver{round, DeviceOf(in), in.Next() % 3U});
    }
    case 6:
      return machine.Give(event::PauseOver{});
    case 7:
      return machine.Give(MakeDrawn(in));
    case 8: {
      event::Computed computed = RoundMachineWorld::Computed(machine.state(), RoundOf(in).counter);
      if (in.Next() % 4 == 3) ++computed.model.version;
      return machine.Give(std::move(computed));
    }
    case 9:
      return machine.Give(event::Failed{RoundOf(in), "infeasible"});
    case 10:
      return machine.Give(event::Stop{});
    case 11:  // everybody connects
      for (std::uint32_t i = 0; i < kDevices; ++i) machine.Give(world.Connected(i));
      return;
    default: {  // everybody from some number on answers a phase
      const FrameType type = kAnswers[in.Next() % std::size(kAnswers)];
      const std::uint32_t counter = RoundOf(in).counter;
      for (std::uint32_t i = in.Next() % kDevices; i < kDevices; ++i) {
        machine.Give(world.Message(counter, i, type));
      }
      return;
    }
  }
}

}  // namespace
}  // namespace demur::coordinator::machine

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMaxLen = 512;  // a round is about 20 bytes
  demur::coordinator::machine::Fuzzed machine;
  demur::coordinator::machine::Input in(std::span(data, std::min(size, kMaxLen)));
  while (!in.empty()) demur::coordinator::machine::GiveOne(machine, in);
  return 0;
}
