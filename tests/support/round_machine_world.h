#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "demur/coordinator/round_machine.h"
#include "secagg_session.h"

// Everything a round machine needs from outside, without sockets, timers or disk: a cohort whose
// answers were recorded from real sessions, the draw, and the model that follows. Recordings are a
// function of the seed, so their frames fit every machine that is given MakeDrawn of the same
// round. For tests only.
namespace demur::testing {

namespace machine = coordinator::machine;

// One session of a round from the devices' side.
struct RecordedRound {
  std::unique_ptr<SecAggSession> session;
  std::vector<SecAggSession::Frame> answers;  // to the coordinator, in order; kLeave included
  std::map<std::pair<std::uint32_t, wire::FrameType>, Bytes> by_device;
};

class RoundMachineWorld {
 public:
  static constexpr std::int64_t kNow = 1'900'000'000'000;
  using Departures = std::map<std::uint32_t, wire::FrameType>;  // device: what it does not send
  using Kind = model::SessionKind;

  explicit RoundMachineWorld(std::uint32_t devices) : devices_(devices) {
    config.cohort = devices;
    config.roster_min = 20;
    config.participations_max = 10;
    config.rounds_max = 10;
    config.pause_ms = 1'000;
    policy.task = Plan(1).task;
    policy.budget.participations_max = 10;
    policy.budget.rounds_max = 10;
  }

  // What MakeCore starts from; may be changed before.
  coordinator::MachineConfig config;
  dp::Ledger::Policy policy{};

  std::uint32_t devices() const { return devices_; }
  static DeviceNumber Number(std::uint32_t device) { return DeviceNumber(100 + device); }
  secagg::MemberId Identity(std::uint32_t device) {
    return Round(1).session->device(device).identity.public_key;
  }
  model::Plan Plan(std::uint32_t counter) const {
    return SessionPlan(OptionsOf(counter, Kind::kWhole));
  }

  // The recording of a session of round {1, counter}, made when it is first asked for.
  // `departures` count then.
  RecordedRound& Round(std::uint32_t counter, const Departures& departures = {},
                       Kind kind = Kind::kWhole) {
    RecordedRound& round = rounds_[{counter, kind}];
    if (round.session) return round;
    round.session = std::make_unique<SecAggSession>(OptionsOf(counter, kind));
    for (const auto& [device, type] : departures) round.session->Depart(device, type);
    round.session->SetTap([&round](SecAggSession::Frame& frame) {
      if (!frame.to_server) return true;
      round.answers.push_back(frame);
      round.by_device[{frame.device, frame.type}] = frame.bytes;
      return true;
    });
    round.session->Start();
    round.session->Settle();
    return round;
  }

  machine::Core MakeCore() const {
    machine::Core core{config, {}, dp::Ledger::Create(policy).value()};
    core.epoch = 1;
    return core;
  }

  // --- Events

  machine::event::Connected Connected(std::uint32_t device) {
    return {Number(device), Identity(device)};
  }
  machine::event::Message Message(std::uint32_t counter, std::uint32_t device,
                                  wire::FrameType type) {
    return {Number(device), type, Round(counter).by_device.at({device, type})};
  }
  // The recorded answer as an event: a message, or that the device left.
  static machine::Event Answer(std::uint32_t counter, const SecAggSession::Frame& frame,
                               std::uint32_t attempt = 0) {
    if (frame.type == wire::FrameType::kLeave) {
      return machine::event::Left{Number(frame.device), {1, counter}, attempt};
    }
    return machine::event::Message{Number(frame.device), frame.type, frame.bytes};
  }
  // The whole cohort, for a session of round {1, counter}.
  machine::event::Drawn Drawn(std::uint32_t counter, Kind kind = Kind::kWhole) {
    RecordedRound& round = Round(counter, {}, kind);
    std::vector<secagg::MemberId> invited;
    std::vector<DeviceNumber> cohort;
    for (std::uint32_t i = 0; i < devices_; ++i) {
      invited.push_back(Identity(i));
      cohort.push_back(Number(i));
    }
    Hash256 nonce{};
    round.session->Fill(secagg::kNoIndex, 1, nonce);
    const model::Plan& plan = round.session->plan();
    auto server = secagg::ServerConfig::Create(plan, round.session->server_key().Clone(),
                                               std::move(invited), nonce, round.session->Check());
    dp::RoundIntent intent;
    intent.key = {plan.round, plan.attempt};
    intent.manifest = server->announcement().params_hash;
    intent.devices_left = 1'000'000;
    intent.roster_min = plan.secagg.roster_min;
    return {plan.round, std::move(cohort), intent, std::move(*server)};
  }
  // What a session that counted rows found.
  static machine::event::RowsFound RowsFound(std::uint32_t counter) {
    machine::event::RowsFound out;
    out.id = {1, counter};
    out.rows = {1, 4};
    out.rows_hash[0] = std::byte{2};
    out.sum_hash[0] = std::byte{3};
    return out;
  }
  // The next model; its bytes are free to choose.
  static machine::event::Computed Computed(const machine::State& state, std::uint32_t counter,
                                           Bytes blob = Bytes(12)) {
    machine::event::Computed out;
    out.id = {1, counter};
    out.model.version = state.core.model_version + 1;
    out.model.hash = crypto::Sha256(blob);
    out.model.blob = std::move(blob);
    out.server_state = ToBytes(AsBytes("optimiser"));
    out.sum_hash[0] = std::byte{1};
    return out;
  }

 private:
  SessionOptions OptionsOf(std::uint32_t counter, Kind kind) const {
    SessionOptions options;
    options.devices = devices_;
    options.round = counter;
    options.kind = kind;
    return options;
  }

  std::uint32_t devices_;
  std::map<std::pair<std::uint32_t, Kind>, RecordedRound> rounds_;
};

// The name of a state in tables: pauses and a stop that waits are told apart.
inline std::string StateName(const machine::State& state) {
  if (const auto* gathering = std::get_if<machine::state::Gathering>(&state.phase)) {
    return gathering->paused ? "paused" : "gathering";
  }
  const auto* committing = std::get_if<machine::state::Committing>(&state.phase);
  return std::string(machine::NameOf(state)) +
         (committing != nullptr && committing->stopping ? ", stopping" : "");
}

inline std::string EffectName(const machine::Effect& effect) {
  namespace e = machine::effect;
  struct Name {
    std::string operator()(const e::Draw&) const { return "draw"; }
    std::string operator()(const e::PersistReserve&) const { return "reserve"; }
    std::string operator()(const e::PersistSurvivors&) const { return "survivors"; }
    std::string operator()(const e::PersistRows&) const { return "rows"; }
    std::string operator()(const e::PersistCommit&) const { return "commit"; }
    std::string operator()(const e::PersistAbandon& x) const { return "abandon: " + x.reason; }
    std::string operator()(const e::Send& x) const {
      return "M" + std::to_string(static_cast<int>(x.type) - 10);
    }
    std::string operator()(const e::StartTimer& x) const {
      return "timer " + std::string(ToString(x.phase));
    }
    std::string operator()(const e::StartGrace&) const { return "grace"; }
    std::string operator()(const e::StartPause& x) const {
      return "pause " + std::to_string(x.duration_ms);
    }
    std::string operator()(const e::Aggregate&) const { return "aggregate"; }
    std::string operator()(const e::Fault& x) const {
      return "fault: " + std::string(ToString(x.fault));
    }
    std::string operator()(const e::RoundEnded& x) const {
      return x.report.committed ? "committed" : "abandoned";
    }
    std::string operator()(const e::Finished& x) const {
      return "finished: " + std::string(ToString(x.reason));
    }
  };
  return std::visit(Name{}, effect);
}

// A transition in one line: what happens, in order, an arrow and the next state; or "refused".
inline std::string Describe(const machine::Transition& t) {
  if (t.refused) return t.effects.empty() ? "refused" : "refused with effects";
  std::string out;
  for (std::size_t i = 0; i < t.effects.size();) {
    const std::string name = EffectName(t.effects[i]);
    std::size_t times = 0;
    for (; i < t.effects.size() && EffectName(t.effects[i]) == name; ++i) ++times;
    out += (out.empty() ? "" : ", ") + name + (times > 1 ? " x" + std::to_string(times) : "");
  }
  return out + (out.empty() ? "-> " : " -> ") + StateName(t.next);
}

}  // namespace demur::testing
