#include "machine_work.h"

#include <algorithm>
#include <limits>

namespace demur::coordinator::machine {
namespace {

constexpr std::uint32_t kPausesMax = 12;  // longest pause, in units of pause_ms

LedgerRow RowOf(const dp::LedgerEntry& entry) { return {entry.seq, entry.Encode()}; }

dp::RoundKey KeyOf(const Round& round) { return {round.id, round.attempt}; }

std::uint32_t NumConnected(const Core& core) {
  return static_cast<std::uint32_t>(
      std::count_if(core.devices.begin(), core.devices.end(),
                    [](const auto& entry) { return entry.second.connected; }));
}

std::uint32_t NumWithParticipations(const Core& core) {
  const std::uint32_t max = core.config.participations_max;
  return static_cast<std::uint32_t>(
      std::count_if(core.devices.begin(), core.devices.end(), [max](const auto& entry) {
        return entry.second.connected && entry.second.participations < max;
      }));
}

bool Contains(const std::vector<DeviceNumber>& ascending, DeviceNumber device) {
  return std::binary_search(ascending.begin(), ascending.end(), device);
}

std::vector<DeviceNumber> DevicesOf(const Round& round,
                                    const std::vector<secagg::MemberId>& members) {
  std::vector<DeviceNumber> out;
  out.reserve(members.size());
  for (const secagg::MemberId& member : members) out.push_back(round.members.at(member));
  std::sort(out.begin(), out.end());
  return out;
}

// The permit of the open round: with the session, or, where one step both froze the survivor set
// and ended the round, on its way back.
const dp::RoundPermit* PermitOf(const secagg::ServerTransition& transition) {
  if (const auto* held = secagg::PermitOf(transition.next)) return held;
  for (const secagg::ServerEffect& effect : transition.effects) {
    if (const auto* e = std::get_if<secagg::server::effect::Abandoned>(&effect)) return &e->permit;
    if (const auto* e = std::get_if<secagg::server::effect::SumReady>(&effect)) return &e->permit;
  }
  return nullptr;
}

// Members of the roster, once it is frozen.
std::uint32_t RosterOf(const secagg::ServerState& session) {
  return std::visit(
      [](const auto& s) -> std::uint32_t {
        if constexpr (requires { s.frozen.roster; }) {
          return static_cast<std::uint32_t>(s.frozen.roster.size());
        } else {
          return 0;
        }
      },
      session);
}

RoundReport ReportOf(const Round& round, const Core& core) {
  RoundReport out;
  out.id = round.id;
  out.cohort = static_cast<std::uint32_t>(round.cohort.size());
  out.roster = round.roster;
  out.survivors = static_cast<std::uint32_t>(round.survivors.size());
  out.declined = round.declined;
  out.rows = round.rows;
  out.model_version = core.model_version;
  out.model_hash = core.model_hash;
  return out;
}

// Records the end of a round without a model. Charged for good once shares were asked for.
bool Abandon(Work& work, const Round& round, std::string reason, dp::RoundPermit permit) {
  dp::Ledger& ledger = work.core.ledger;
  const Result<dp::LedgerEntry> entry =
      ledger.Opened(KeyOf(round)) ? ledger.Burn(KeyOf(round)) : ledger.Release(std::move(permit));
  if (!entry) return false;
  ++work.core.abandoned;
  ++work.core.abandoned_in_a_row;
  RoundReport report = ReportOf(round, work.core);
  report.reason = reason;
  work.effects.push_back(
      effect::PersistAbandon{round.id, std::move(reason), work.now, {RowOf(*entry)}});
  work.effects.push_back(effect::RoundEnded{std::move(report)});
  return true;
}

// Turns what the session wants into what the shell does, in the same order.
class SessionEffects {
 public:
  // What stood before the step: null and 0 when there is none.
  struct Session {
    const dp::RoundPermit* permit = nullptr;  // borrowed until the effect that gives it back
    std::uint32_t roster = 0;
  };
  SessionEffects(Work& work, Round& round, const Session& session, const secagg::ServerState& next,
                 const secagg::ServerConfig& config)
      : work_(work), round_(round), session_(session), next_(next), config_(config) {}

  void operator()(secagg::server::effect::Send&& e) {
    work_.effects.push_back(effect::Send{round_.members.at(e.to), e.type, std::move(e.frame)});
  }
  void operator()(secagg::server::effect::SendOwn&& e) {
    auto frame = secagg::MakeOwnFrame(next_, config_, e.to, e.type);
    if (!frame) return;  // the session is over already
    work_.effects.push_back(effect::Send{round_.members.at(e.to), e.type, std::move(frame)});
  }
  // The charge is final from here; who is in the sum has taken part.
  void operator()(secagg::server::effect::PersistSurvivors&& e) {
    round_.survivors = DevicesOf(round_, e.survivors);
    round_.roster = session_.roster;
    for (const DeviceNumber device : round_.survivors) {
      if (!Contains(round_.counted, device)) ++work_.core.devices[device].participations;
    }
    if (session_.permit == nullptr) return Broken();
    const Result<dp::LedgerEntry> entry = work_.core.ledger.MarkOpened(*session_.permit);
    if (!entry) return Broken();
    work_.effects.push_back(
        effect::PersistSurvivors{round_.id, round_.roster, round_.survivors, {RowOf(*entry)}});
  }
  void operator()(secagg::server::effect::StartTimer&& e) {
    work_.effects.push_back(effect::StartTimer{round_.id, e.phase, e.duration_ms, round_.attempt});
  }
  void operator()(secagg::server::effect::SumReady&& e) {
    work_.effects.push_back(effect::Aggregate{round_.id, std::move(e.sum),
                                              static_cast<std::uint32_t>(e.survivors.size())});
    sum_permit_ = std::move(e.permit);
  }
  void operator()(secagg::server::effect::Abandoned&& e) {
    abandoned_ = true;
    if (!Abandon(work_, round_, std::string(ToString(e.reason)), std::move(e.permit))) Broken();
  }
  void operator()(secagg::server::effect::Evidence&& e) {
    work_.effects.push_back(effect::Fault{round_.members.at(e.member), e.fault});
  }

  // Nothing after a broken ledger may reach a device.
  void Broken() { broken_ = true; }
  bool broken() const { return broken_; }
  bool abandoned() const { return abandoned_; }
  std::optional<dp::RoundPermit>& sum_permit() { return sum_permit_; }

 private:
  Work& work_;
  Round& round_;
  Session session_;
  const secagg::ServerState& next_;
  const secagg::ServerConfig& config_;
  std::optional<dp::RoundPermit> sum_permit_;
  bool abandoned_ = false;
  bool broken_ = false;
};

struct OpenRound {
  Round round;
  secagg::ServerConfig config;
  std::uint32_t roster = 0;  // before the step; 0: not frozen
};

// Where the session's transition leads.
Phase Follow(Work& work, OpenRound open, secagg::ServerTransition transition, bool stopping) {
  work.refused = transition.refused;
  SessionEffects take(work, open.round, {PermitOf(transition), open.roster}, transition.next,
                      open.config);
  for (secagg::ServerEffect& one : transition.effects) {
    std::visit([&take](auto& e) { take(std::move(e)); }, one);
    if (take.broken()) return Halt(work, StopReason::kInternal);
  }
  if (take.abandoned()) return Pause(work, stopping);
  if (take.sum_permit()) {
    return state::Committing{std::move(open.round), std::move(open.config),
                             std::move(transition.next), std::move(*take.sum_permit()), stopping};
  }
  return state::Running{std::move(open.round), std::move(open.config), std::move(transition.next)};
}

// Tells the members how it ended. The session has nothing more to say than that.
void Close(Work& work, state::Committing&& s, wire::CloseStatus status, const Hash256& result) {
  secagg::ServerTransition closed =
      secagg::Step(std::move(s.session), secagg::server::event::Finish{status, result}, s.config);
  for (secagg::ServerEffect& one : closed.effects) {
    if (auto* send = std::get_if<secagg::server::effect::Send>(&one)) {
      work.effects.push_back(
          effect::Send{s.round.members.at(send->to), send->type, std::move(send->frame)});
    }
  }
}

RoundRow RowOf(const Round& round, std::int64_t started) {
  RoundRow row;
  row.id = round.id;
  row.attempt = round.attempt;
  row.kind = round.kind;
  row.cohort = static_cast<std::uint32_t>(round.cohort.size());
  row.model_version = round.model_version;
  row.started_unix_ms = started;
  return row;
}

}  // namespace

Phase Continue(Work& work, state::Running&& s, secagg::ServerEvent event, bool stopping) {
  OpenRound open{std::move(s.round), std::move(s.config), RosterOf(s.session)};
  secagg::ServerTransition transition =
      secagg::Step(std::move(s.session), std::move(event), open.config);
  return Follow(work, std::move(open), std::move(transition), stopping);
}

Phase Halt(Work& work, StopReason reason) {
  work.effects.push_back(effect::Finished{reason});
  return state::Stopped{reason};
}

// Asks for a cohort where there is one to be had.
Phase GatherOrDraw(Work& work) {
  const MachineConfig& config = work.core.config;
  if (NumConnected(work.core) < std::max(config.cohort, config.connected_min)) {
    return state::Gathering{};
  }
  std::vector<DeviceNumber> eligible = Eligible(work.core);
  if (eligible.size() < config.roster_min) {
    // Whoever could come is here and has taken part as often as it may: waiting would never end.
    // Who has declined may come back.
    if (config.connected_min > 0 && NumWithParticipations(work.core) < config.roster_min) {
      return Halt(work, StopReason::kParticipations);
    }
    return state::Gathering{};
  }
  const RoundId id{work.core.epoch, work.core.last_counter + 1};
  work.effects.push_back(effect::Draw{id, std::move(eligible), 0, {}});
  return state::Drawing{id, 0, {}, 0};
}

// After a round, or at the start.
Phase Next(Work& work, bool stopping) {
  const MachineConfig& config = work.core.config;
  if (work.core.committed >= config.rounds_max) return Halt(work, StopReason::kTaskComplete);
  if (config.stop_after > 0 && work.core.committed >= config.stop_after) {
    return Halt(work, StopReason::kRoundsReached);
  }
  if (stopping) return Halt(work, StopReason::kAsked);
  return GatherOrDraw(work);
}

// A failing round must not start the next one at once.
Phase Pause(Work& work, bool stopping) {
  if (stopping || work.core.config.pause_ms == 0) return Next(work, stopping);
  const std::uint64_t times = std::clamp(work.core.abandoned_in_a_row, 1U, kPausesMax);
  const std::uint64_t pause = std::min<std::uint64_t>(times * work.core.config.pause_ms,
                                                      std::numeric_limits<std::uint32_t>::max());
  work.effects.push_back(effect::StartPause{static_cast<std::uint32_t>(pause)});
  return state::Gathering{true};
}

namespace {

// The first session of a round was committed, the second one will not be.
void EndBetween(Work& work, const Round& round, std::string reason) {
  if (round.attempt == 0) return;
  RoundReport report = ReportOf(round, work.core);
  report.reason = std::move(reason);
  work.effects.push_back(effect::RoundEnded{std::move(report)});
}

// The session that was to be drawn.
Round DrawnFor(const state::Drawing& s) {
  Round round;
  round.id = s.id;
  round.attempt = s.attempt;
  round.rows = s.rows;
  return round;
}

}  // namespace

Phase NotDrawn(Work& work, const state::Drawing& s, std::string reason) {
  ++work.core.abandoned_in_a_row;
  EndBetween(work, DrawnFor(s), std::move(reason));
  return Pause(work, false);
}

Phase StopDrawing(Work& work, const state::Drawing& s) {
  EndBetween(work, DrawnFor(s), std::string(ToString(StopReason::kAsked)));
  return Halt(work, StopReason::kAsked);
}

// Nobody has seen the id: it is left out, and that is no failure.
Phase SkipId(Work& work, RoundId id) {
  work.core.last_counter = id.counter;
  return Pause(work, false);
}

void NoteConnected(Work& work, const event::Connected& e) {
  DeviceEntry& entry = work.core.devices[e.device];
  entry.identity = e.identity;
  entry.connected = true;
  entry.declined = false;
}

// False: it was not connected.
bool NoteDisconnected(Work& work, DeviceNumber device) {
  const auto it = work.core.devices.find(device);
  if (it == work.core.devices.end() || !it->second.connected) return false;
  it->second.connected = false;
  ++it->second.losses;
  return true;
}

// The member of the open round that `device` is now, if it is one. A device that was enrolled anew
// in the meantime has another key and is nobody here.
const secagg::MemberId* MemberOf(const Core& core, const Round& round, DeviceNumber device) {
  const auto it = core.devices.find(device);
  if (it == core.devices.end()) return nullptr;
  const auto member = round.members.find(it->second.identity);
  if (member == round.members.end() || member->second != device) return nullptr;
  return &member->first;
}

// A lost connection may come back; a phase without it ends when the grace does.
Phase Lost(Work& work, state::Running&& s, DeviceNumber device) {
  const secagg::MemberId* member = MemberOf(work.core, s.round, device);
  if (member == nullptr) return std::move(s);
  if (work.core.config.reconnect_ms > 0) {
    work.effects.push_back(effect::StartGrace{s.round.id, device, work.core.devices[device].losses,
                                              work.core.config.reconnect_ms, s.round.attempt});
    return std::move(s);
  }
  const secagg::MemberId left = *member;
  Phase next = Continue(work, std::move(s), secagg::server::event::Left{left});
  work.refused = false;  // that it was gone is news to us, if not to the session
  return next;
}

// The cohort as members, or nothing when it does not fit what was asked for.
std::optional<Round> MakeRound(const Core& core, const state::Drawing& s, const event::Drawn& e) {
  Round round;
  round.id = e.id;
  round.attempt = e.intent.key.attempt;
  round.kind = e.config.announcement().plan.session.kind;
  round.counted = s.counted;
  round.rows = s.rows;
  round.model_version = core.model_version;
  round.cohort = e.cohort;
  for (const DeviceNumber device : e.cohort) {
    const auto it = core.devices.find(device);
    if (it == core.devices.end()) return std::nullopt;
    round.members.emplace(it->second.identity, device);
  }
  const auto& invited = e.config.invited();
  const bool same = std::all_of(invited.begin(), invited.end(), [&round](const auto& member) {
    return round.members.contains(member);
  });
  if (!same || invited.size() != round.members.size() || invited.size() != e.cohort.size() ||
      e.intent.key.round != e.id) {
    return std::nullopt;
  }
  return round;
}

// Charges, then announces.
Phase Open(Work& work, Round round, event::Drawn&& e) {
  Result<dp::Reservation> reserved = work.core.ledger.Reserve(e.intent);
  if (!reserved) {
    const StopReason reason = reserved.error().code() == ErrorCode::kResourceExhausted
                                  ? StopReason::kBudgetSpent
                                  : StopReason::kInternal;
    EndBetween(work, round, std::string(ToString(reason)));
    return Halt(work, reason);
  }
  work.core.last_counter = round.id.counter;
  work.effects.push_back(effect::PersistReserve{RowOf(round, work.now), {RowOf(reserved->entry)}});
  const std::vector<DeviceNumber> cohort = round.cohort;
  secagg::ServerTransition started = secagg::StartServer(e.config, std::move(reserved->permit));
  Phase phase = Follow(work, {std::move(round), std::move(e.config)}, std::move(started), false);
  for (const DeviceNumber device : cohort) {
    auto* running = std::get_if<state::Running>(&phase);
    if (running == nullptr) break;
    if (!work.core.devices[device].connected) phase = Lost(work, std::move(*running), device);
  }
  return phase;
}

Phase Commit(Work& work, state::Committing&& s, event::Computed&& e) {
  const Result<dp::LedgerEntry> entry = work.core.ledger.Commit(std::move(s.permit));
  if (!entry) return Halt(work, StopReason::kInternal);
  RoundRow row = RowOf(s.round, 0);
  row.sum_hash = e.sum_hash;
  row.ended_unix_ms = work.now;
  ++work.core.committed;
  work.core.abandoned_in_a_row = 0;
  work.core.model_version = e.model.version;
  work.core.model_hash = e.model.hash;
  work.effects.push_back(effect::PersistCommit{
      std::move(row), std::move(e.model), std::move(e.server_state), {RowOf(*entry)}});
  RoundReport report = ReportOf(s.round, work.core);
  report.committed = true;
  const bool stopping = s.stopping;
  Close(work, std::move(s), wire::CloseStatus::kCommitted, work.core.model_hash);
  work.effects.push_back(effect::RoundEnded{std::move(report)});
  return Next(work, stopping);
}

namespace {

// Who may be in the second session: of the first one's cohort, and with this round's participation
// counted already or one left for it.
std::vector<DeviceNumber> EligibleAgain(const Core& core, const Round& first) {
  std::vector<DeviceNumber> out;
  for (const DeviceNumber device : first.cohort) {
    const auto it = core.devices.find(device);
    if (it == core.devices.end() || !it->second.connected || it->second.declined) continue;
    if (Contains(first.survivors, device) ||
        it->second.participations < core.config.participations_max) {
      out.push_back(device);
    }
  }
  return out;
}

}  // namespace

Phase CommitRows(Work& work, state::Committing&& s, event::RowsFound&& e) {
  const Result<dp::LedgerEntry> entry = work.core.ledger.Commit(std::move(s.permit));
  if (!entry) return Halt(work, StopReason::kInternal);
  RoundRow row = RowOf(s.round, 0);
  row.sum_hash = e.sum_hash;
  row.ended_unix_ms = work.now;
  row.survivors = static_cast<std::uint32_t>(s.round.survivors.size());  // for the log
  row.rows = static_cast<std::uint32_t>(e.rows.size());
  const bool stopping = s.stopping;
  state::Drawing next{s.round.id, s.round.attempt + 1, s.round.survivors, row.rows};
  std::vector<DeviceNumber> eligible = EligibleAgain(work.core, s.round);
  work.effects.push_back(effect::PersistRows{std::move(row), {RowOf(*entry)}});
  Close(work, std::move(s), wire::CloseStatus::kCommitted, e.rows_hash);
  if (stopping) return StopDrawing(work, next);
  if (eligible.size() < work.core.config.roster_min) {
    return NotDrawn(work, next, "too few devices are left for the second session");
  }
  work.effects.push_back(
      effect::Draw{next.id, std::move(eligible), next.attempt, std::move(e.rows)});
  return next;
}

Phase GiveUp(Work& work, state::Committing&& s, std::string reason) {
  if (!Abandon(work, s.round, std::move(reason), std::move(s.permit))) {
    return Halt(work, StopReason::kInternal);
  }
  const bool stopping = s.stopping;
  Close(work, std::move(s), wire::CloseStatus::kAbandoned, {});
  return Pause(work, stopping);
}

}  // namespace demur::coordinator::machine
