#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "demur/coordinator/round_machine.h"
#include "demur/dp/ledger.h"
#include "result_matchers.h"
#include "round_machine_world.h"

// A round machine under test: what it wanted, in order.
namespace demur::coordinator::machine {

using testing::Describe;
using testing::EffectName;
using testing::RoundMachineWorld;
using testing::StateName;
using wire::FrameType;

constexpr std::uint32_t kDevices = 20;
constexpr std::int64_t kNow = RoundMachineWorld::kNow;

// One recording for all tests: each changes a copy of config and policy.
inline RoundMachineWorld& World() {
  static RoundMachineWorld& world = *new RoundMachineWorld(kDevices);
  return world;
}

// A machine, and everything it wanted so far.
class Machine {
 public:
  explicit Machine(const MachineConfig& config = World().config,
                   const dp::Ledger::Policy& policy = World().policy) {
    Core core = World().MakeCore();
    core.config = config;
    core.ledger = dp::Ledger::Create(policy).value();
    Take(Start(std::move(core)));
  }

  // Gives one event; what happened, in one line.
  std::string Give(Event event) { return Take(Step(std::move(state_), std::move(event), kNow)); }
  void ConnectAll(RoundMachineWorld& world = World()) {
    for (std::uint32_t i = 0; i < world.devices(); ++i) Give(world.Connected(i));
  }
  // From drawing to committing, or to wherever the recorded answers lead.
  void RunTo(std::uint32_t counter, RoundMachineWorld& world = World(),
             model::SessionKind kind = model::SessionKind::kWhole) {
    Give(world.Drawn(counter, kind));
    const auto& recorded = world.Round(counter, {}, kind);
    for (const auto& frame : recorded.answers) {
      Give(RoundMachineWorld::Answer(counter, frame, recorded.session->plan().attempt));
    }
  }
  void RunAndCommit(std::uint32_t counter) {
    RunTo(counter);
    ASSERT_EQ(name(), "committing");
    Give(RoundMachineWorld::Computed(state_, counter));
  }

  State& state() { return state_; }
  Core& core() { return state_.core; }
  std::string name() const { return StateName(state_); }
  const std::vector<Effect>& all() const { return all_; }
  const std::vector<Effect>& last() const { return last_; }
  template <class T>
  std::vector<T> AllOf() const {
    std::vector<T> out;
    for (const Effect& effect : all_) {
      if (const auto* one = std::get_if<T>(&effect)) out.push_back(*one);
    }
    return out;
  }
  // Place of the first effect so named; a large number when there is none.
  std::size_t PlaceOf(const std::string& effect) const {
    const auto it = std::find_if(all_.begin(), all_.end(),
                                 [&effect](const Effect& e) { return EffectName(e) == effect; });
    return it == all_.end() ? std::numeric_limits<std::size_t>::max()
                            : static_cast<std::size_t>(it - all_.begin());
  }

 private:
  std::string Take(Transition t) {
    const std::string text = Describe(t);
    state_ = std::move(t.next);
    last_ = std::move(t.effects);
    all_.insert(all_.end(), last_.begin(), last_.end());
    return text;
  }

  State state_{World().MakeCore(), state::Gathering{}};
  std::vector<Effect> all_;
  std::vector<Effect> last_;
};

inline dp::LedgerEntry EntryOf(const std::vector<LedgerRow>& rows) {
  EXPECT_EQ(rows.size(), 1U);
  auto entry = dp::LedgerEntry::Parse(rows.at(0).entry);
  EXPECT_OK(entry);
  EXPECT_EQ(entry->seq, rows.at(0).seq);
  return *entry;
}

}  // namespace demur::coordinator::machine
