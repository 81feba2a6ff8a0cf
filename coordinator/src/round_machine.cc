#include "demur/coordinator/round_machine.h"

#include <algorithm>
#include <utility>

#include "machine_work.h"

namespace demur::coordinator {

MachineConfig MachineConfig::From(const TaskConfig& task) {
  MachineConfig out;
  out.cohort = task.cohort;
  out.connected_min = task.connected_min;
  out.roster_min = task.secagg.roster_min;
  out.participations_max =
      task.privacy.participations == 0 ? task.rounds : task.privacy.participations;
  out.rounds_max = task.rounds;
  out.pause_ms = task.timeouts.retry_ms;
  out.reconnect_ms = task.timeouts.reconnect_ms;
  return out;
}

std::string_view ToString(StopReason reason) noexcept {
  switch (reason) {
    case StopReason::kTaskComplete:
      return "task complete";
    case StopReason::kRoundsReached:
      return "rounds reached";
    case StopReason::kBudgetSpent:
      return "the ledger allows no further round";
    case StopReason::kParticipations:
      return "too few devices with participations left";
    case StopReason::kAsked:
      return "asked to stop";
    case StopReason::kInternal:
      return "internal error";
  }
  return "unknown";
}

namespace machine {
namespace {

bool BeforeRoster(const secagg::ServerState& session) {
  return std::holds_alternative<secagg::server::state::Announced>(session) ||
         std::holds_alternative<secagg::server::state::Advertising>(session);
}

// --- One overload a cell of the table in docs/protocol.md ---------------------------------------

Phase On(Work& work, state::Gathering&& s, event::Connected&& e) {
  NoteConnected(work, e);
  return s.paused ? Phase(std::move(s)) : GatherOrDraw(work);
}
Phase On(Work& work, state::Gathering&& s, event::Disconnected&& e) {
  if (!NoteDisconnected(work, e.device)) return Refuse(work, std::move(s));
  return s;
}
Phase On(Work& work, state::Gathering&& s, event::Message&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Gathering&& s, event::Left&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Gathering&& s, event::Deadline&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Gathering&& s, event::GraceOver&&) {
  return Refuse(work, std::move(s));
}
Phase On(Work& work, state::Gathering&& s, event::PauseOver&&) {
  if (!s.paused) return Refuse(work, std::move(s));
  return GatherOrDraw(work);
}
Phase On(Work& work, state::Gathering&& s, event::Drawn&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Gathering&& s, event::Computed&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Gathering&& s, event::RowsFound&&) {
  return Refuse(work, std::move(s));
}
Phase On(Work& work, state::Gathering&& s, event::Failed&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Gathering&&, event::Stop&&) { return Halt(work, StopReason::kAsked); }

Phase On(Work& work, state::Drawing&& s, event::Connected&& e) {
  NoteConnected(work, e);
  return s;
}
Phase On(Work& work, state::Drawing&& s, event::Disconnected&& e) {
  if (!NoteDisconnected(work, e.device)) return Refuse(work, std::move(s));
  return s;
}
Phase On(Work& work, state::Drawing&& s, event::Message&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Drawing&& s, event::Left&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Drawing&& s, event::Deadline&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Drawing&& s, event::GraceOver&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Drawing&& s, event::PauseOver&&) { return Refuse(work, std::move(s)); }
// A device may have come back under another key while the cohort was drawn; to wait for an answer
// that came already would be to wait for ever.
Phase On(Work& work, state::Drawing&& s, event::Drawn&& e) {
  if (e.id != s.id || e.intent.key.attempt != s.attempt) return Refuse(work, std::move(s));
  std::optional<Round> round = MakeRound(work.core, s, e);
  if (!round) return NotDrawn(work, s, "a device came back with another identity");
  return Open(work, std::move(*round), std::move(e));
}
Phase On(Work& work, state::Drawing&& s, event::Computed&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Drawing&& s, event::RowsFound&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Drawing&& s, event::Failed&& e) {
  if (e.id != s.id) return Refuse(work, std::move(s));
  return e.next_id && s.attempt == 0 ? SkipId(work, s.id) : NotDrawn(work, s, std::move(e.reason));
}
Phase On(Work& work, state::Drawing&& s, event::Stop&&) { return StopDrawing(work, s); }

Phase On(Work& work, state::Running&& s, event::Connected&& e) {
  NoteConnected(work, e);
  return std::move(s);
}
Phase On(Work& work, state::Running&& s, event::Disconnected&& e) {
  if (!NoteDisconnected(work, e.device)) return Refuse(work, std::move(s));
  return Lost(work, std::move(s), e.device);
}
Phase On(Work& work, state::Running&& s, event::Message&& e) {
  const secagg::MemberId* member = MemberOf(work.core, s.round, e.device);
  if (member == nullptr) return Refuse(work, std::move(s));
  const secagg::MemberId from = *member;
  return Continue(work, std::move(s),
                  secagg::server::event::Message{from, e.type, std::move(e.frame)});
}
Phase On(Work& work, state::Running&& s, event::Left&& e) {
  const secagg::MemberId* member = MemberOf(work.core, s.round, e.device);
  if (member == nullptr || e.round != s.round.id || e.attempt != s.round.attempt) {
    return Refuse(work, std::move(s));
  }
  const secagg::MemberId left = *member;
  if (e.scope == wire::LeaveScope::kTask) work.core.devices[e.device].declined = true;
  // Before its roster is frozen a round loses an invitation, later a member.
  if (BeforeRoster(s.session)) ++s.round.declined;
  return Continue(work, std::move(s), secagg::server::event::Left{left});
}
Phase On(Work& work, state::Running&& s, event::Deadline&& e) {
  if (e.round != s.round.id || e.attempt != s.round.attempt) return Refuse(work, std::move(s));
  return Continue(work, std::move(s), secagg::server::event::Deadline{e.phase});
}
Phase On(Work& work, state::Running&& s, event::GraceOver&& e) {
  const secagg::MemberId* member = MemberOf(work.core, s.round, e.device);
  if (member == nullptr || e.round != s.round.id || e.attempt != s.round.attempt) {
    return Refuse(work, std::move(s));
  }
  const DeviceEntry& entry = work.core.devices[e.device];
  if (entry.connected || entry.losses != e.loss) return Refuse(work, std::move(s));
  const secagg::MemberId left = *member;
  return Continue(work, std::move(s), secagg::server::event::Left{left});
}
Phase On(Work& work, state::Running&& s, event::PauseOver&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Running&& s, event::Drawn&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Running&& s, event::Computed&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Running&& s, event::RowsFound&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Running&& s, event::Failed&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Running&& s, event::Stop&&) {
  return Continue(work, std::move(s), secagg::server::event::Stop{}, true);
}

Phase On(Work& work, state::Committing&& s, event::Connected&& e) {
  NoteConnected(work, e);
  return std::move(s);
}
Phase On(Work& work, state::Committing&& s, event::Disconnected&& e) {
  if (!NoteDisconnected(work, e.device)) return Refuse(work, std::move(s));
  return std::move(s);
}
Phase On(Work& work, state::Committing&& s, event::Message&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Committing&& s, event::Left&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Committing&& s, event::Deadline&&) {
  return Refuse(work, std::move(s));
}
Phase On(Work& work, state::Committing&& s, event::GraceOver&&) {
  return Refuse(work, std::move(s));
}
Phase On(Work& work, state::Committing&& s, event::PauseOver&&) {
  return Refuse(work, std::move(s));
}
Phase On(Work& work, state::Committing&& s, event::Drawn&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Committing&& s, event::Computed&& e) {
  if (e.id != s.round.id || s.round.kind == model::SessionKind::kRowCounts ||
      e.model.version != work.core.model_version + 1) {
    return Refuse(work, std::move(s));
  }
  return Commit(work, std::move(s), std::move(e));
}
Phase On(Work& work, state::Committing&& s, event::RowsFound&& e) {
  if (e.id != s.round.id || s.round.kind != model::SessionKind::kRowCounts || e.rows.empty()) {
    return Refuse(work, std::move(s));
  }
  return CommitRows(work, std::move(s), std::move(e));
}
Phase On(Work& work, state::Committing&& s, event::Failed&& e) {
  if (e.id != s.round.id) return Refuse(work, std::move(s));
  return GiveUp(work, std::move(s), std::move(e.reason));
}
Phase On(Work&, state::Committing&& s, event::Stop&&) {
  s.stopping = true;
  return std::move(s);
}

Phase On(Work& work, state::Stopped&& s, event::Connected&& e) {
  NoteConnected(work, e);
  return s;
}
Phase On(Work& work, state::Stopped&& s, event::Disconnected&& e) {
  if (!NoteDisconnected(work, e.device)) return Refuse(work, std::move(s));
  return s;
}
Phase On(Work& work, state::Stopped&& s, event::Message&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Stopped&& s, event::Left&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Stopped&& s, event::Deadline&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Stopped&& s, event::GraceOver&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Stopped&& s, event::PauseOver&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Stopped&& s, event::Drawn&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Stopped&& s, event::Computed&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Stopped&& s, event::RowsFound&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Stopped&& s, event::Failed&&) { return Refuse(work, std::move(s)); }
Phase On(Work& work, state::Stopped&& s, event::Stop&&) { return Refuse(work, std::move(s)); }

}  // namespace

Transition Start(Core core) {
  Work work(std::move(core), 0);
  Phase phase = Next(work, false);
  return {{std::move(work.core), std::move(phase)}, std::move(work.effects), false};
}

Transition Step(State state, Event event, std::int64_t now_unix_ms) {
  Work work(std::move(state.core), now_unix_ms);
  Phase phase =
      std::visit([&work]<class S, class E>(
                     S&& s, E&& e) { return On(work, std::forward<S>(s), std::forward<E>(e)); },
                 std::move(state.phase), std::move(event));
  return {{std::move(work.core), std::move(phase)}, std::move(work.effects), work.refused};
}

std::string_view NameOf(const State& state) noexcept {
  if (std::holds_alternative<state::Gathering>(state.phase)) return "gathering";
  if (std::holds_alternative<state::Drawing>(state.phase)) return "drawing";
  if (const auto* running = std::get_if<state::Running>(&state.phase)) {
    return secagg::NameOf(running->session);
  }
  if (std::holds_alternative<state::Committing>(state.phase)) return "committing";
  return "stopped";
}

std::uint32_t PendingMembers(const State& state) noexcept {
  const auto* running = std::get_if<state::Running>(&state.phase);
  return running == nullptr ? 0 : secagg::PendingMembers(running->session);
}

std::vector<DeviceNumber> Eligible(const Core& core) {
  std::vector<DeviceNumber> out;
  for (const auto& [number, entry] : core.devices) {
    if (entry.connected && !entry.declined &&
        entry.participations < core.config.participations_max) {
      out.push_back(number);
    }
  }
  return out;
}

}  // namespace machine
}  // namespace demur::coordinator
