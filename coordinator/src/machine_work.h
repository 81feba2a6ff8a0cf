#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "demur/coordinator/round_machine.h"

// What the cells of the round machine are made of. Private to the coordinator.
namespace demur::coordinator::machine {

// What a step works on.
struct Work {
  Work(Core core_in, std::int64_t now_in) : core(std::move(core_in)), now(now_in) {}

  Core core;
  std::vector<Effect> effects;
  std::int64_t now = 0;
  bool refused = false;
};

template <class S>
Phase Refuse(Work& work, S&& state) {
  work.refused = true;
  return std::forward<S>(state);
}

// The end of the machine.
Phase Halt(Work& work, StopReason reason);
// Asks for a cohort where there is one to be had.
Phase GatherOrDraw(Work& work);
// After a round, or at the start.
Phase Next(Work& work, bool stopping);
// After an abandoned round, which must not start the next one at once.
Phase Pause(Work& work, bool stopping);

// After a draw that came to nothing. Of a first session nothing was announced and nothing charged:
// the id stays free. Without its second session a round is over; what the first one cost stays.
Phase NotDrawn(Work& work, const state::Drawing& s, std::string reason);
// The same because no further round is wanted.
Phase StopDrawing(Work& work, const state::Drawing& s);
Phase SkipId(Work& work, RoundId id);

void NoteConnected(Work& work, const event::Connected& e);
// False: it was not connected.
bool NoteDisconnected(Work& work, DeviceNumber device);
// The member of the open round that `device` is now, if it is one. A device that was enrolled anew
// in the meantime has another key and is nobody here.
const secagg::MemberId* MemberOf(const Core& core, const Round& round, DeviceNumber device);

// Hands one event to the session, and follows where it leads.
Phase Continue(Work& work, state::Running&& s, secagg::ServerEvent event, bool stopping = false);
// A lost connection may come back; a phase without it ends when the grace does.
Phase Lost(Work& work, state::Running&& s, DeviceNumber device);
// The cohort as members, or nothing when it does not fit what was asked for.
std::optional<Round> MakeRound(const Core& core, const state::Drawing& s, const event::Drawn& e);
// Charges, then announces.
Phase Open(Work& work, Round round, event::Drawn&& e);
// Model, round, optimiser state and ledger in one transaction; devices hear of it afterwards.
Phase Commit(Work& work, state::Committing&& s, event::Computed&& e);
// Round and ledger of the session that counted rows in one transaction; then a second session of
// whoever of the first is still here.
Phase CommitRows(Work& work, state::Committing&& s, event::RowsFound&& e);
// The sum is known, but no model comes of it: the charge stays.
Phase GiveUp(Work& work, state::Committing&& s, std::string reason);

}  // namespace demur::coordinator::machine
