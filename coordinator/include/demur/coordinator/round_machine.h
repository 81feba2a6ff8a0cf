#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/ids.h"
#include "demur/base/result.h"
#include "demur/coordinator/round_store.h"
#include "demur/coordinator/task.h"
#include "demur/dp/ledger.h"
#include "demur/secagg/server.h"
#include "demur/wire/control.h"
#include "demur/wire/frame.h"

// The life of a task as a pure step (docs/protocol.md, "Rounds"): who may take part, when a round
// starts, what must be durable before what is sent, how a round ends. Secure aggregation's own
// server (privacy/secagg) runs inside as a sub-state. No socket, clock, randomness, disk or log:
// time and what was drawn come in with events, and what has to happen goes out as effects, in
// order. A Persist effect must be durable before any later effect runs; when it cannot be made so,
// the shell stops, drops the state and starts again from the store.
// Not thread-safe per state; Step itself has no state.
namespace demur::coordinator {

// What never changes while a machine runs.
struct MachineConfig {
  std::uint32_t cohort = 0;              // devices invited to a round
  std::uint32_t connected_min = 0;       // TaskConfig::connected_min
  std::uint32_t roster_min = 0;          // fewer eligible devices start no round
  std::uint32_t participations_max = 0;  // k: a device beyond it is not invited
  std::uint32_t rounds_max = 0;          // T: committed rounds after which the task is complete
  std::uint32_t stop_after = 0;          // stop after so many committed rounds; 0: rounds_max
  std::uint32_t pause_ms = 0;            // after an abandoned round, times how many in a row
  std::uint32_t reconnect_ms = 0;  // how long a lost connection in a round may come back; 0: not

  static MachineConfig From(const TaskConfig& task);
};

// A device that is or was connected, or that took part once. The identity key is what secure
// aggregation knows it by.
struct DeviceEntry {
  secagg::MemberId identity{};
  bool connected = false;
  bool declined = false;     // it left the task (LeaveScope::kTask); until it connects anew
  std::uint32_t losses = 0;  // connections it has lost
  std::uint32_t participations = 0;
};

// What a round did, for logs, pages and callers.
struct RoundReport {
  RoundId id;
  bool committed = false;
  std::string reason;  // when not committed
  std::uint32_t cohort = 0;
  std::uint32_t roster = 0;     // members when the survivor set was fixed; 0: it never was
  std::uint32_t survivors = 0;  // devices in the sum
  std::uint32_t declined = 0;   // of the cohort: left before the roster was frozen
  std::uint32_t rows = 0;       // that a first session found; 0: there was none, or it found none
  std::uint64_t model_version = 0;
  Hash256 model_hash{};
};

// Ends a run of the machine.
enum class StopReason : std::uint8_t {
  kTaskComplete = 1,    // rounds_max rounds are committed
  kRoundsReached = 2,   // stop_after
  kBudgetSpent = 3,     // the ledger refuses another round
  kParticipations = 4,  // everybody enrolled is here and too few may take part again
  kAsked = 5,           // event::Stop
  kInternal = 6,        // ledger and machine disagree: a bug of ours; start again from the store
};
std::string_view ToString(StopReason reason) noexcept;

namespace machine {

// One open session of a round.
struct Round {
  RoundId id;
  std::uint32_t attempt = 0;
  model::SessionKind kind = model::SessionKind::kWhole;
  std::uint64_t model_version = 0;   // trained on
  std::vector<DeviceNumber> cohort;  // ascending
  std::map<secagg::MemberId, DeviceNumber> members;
  std::uint32_t roster = 0;
  std::uint32_t declined = 0;
  std::vector<DeviceNumber> survivors;  // ascending; empty until fixed
  // Of the second session of a round: survivors of the first, whose participation is counted
  // already (ascending), and how many rows it found.
  std::vector<DeviceNumber> counted;
  std::uint32_t rows = 0;
};

namespace state {
// Waits for devices. `paused`: after an abandoned round, until event::PauseOver.
struct Gathering {
  bool paused = false;
};
// The shell draws the cohort and signs the plan.
struct Drawing {
  RoundId id;
  std::uint32_t attempt = 0;
  std::vector<DeviceNumber> counted;  // as Round's
  std::uint32_t rows = 0;
};
// Announced, and everything up to the sum.
struct Running {
  Round round;
  secagg::ServerConfig config;
  secagg::ServerState session;
};
// The sum is with the shell, which computes the next model.
struct Committing {
  Round round;
  secagg::ServerConfig config;
  secagg::ServerState session;
  dp::RoundPermit permit;
  bool stopping = false;  // Stop came; the round at hand is still finished
};
struct Stopped {
  StopReason reason = StopReason::kAsked;
};
}  // namespace state

using Phase = std::variant<state::Gathering, state::Drawing, state::Running, state::Committing,
                           state::Stopped>;

namespace event {
// An authenticated device said hello. A second connection of a device replaces its first.
struct Connected {
  DeviceNumber device;
  secagg::MemberId identity{};
};
struct Disconnected {
  DeviceNumber device;
};
// One of M1, M3, M5, M7, M9.
struct Message {
  DeviceNumber device;
  wire::FrameType type = wire::FrameType::kAdvertise;
  Bytes frame;
};
struct Left {
  DeviceNumber device;
  RoundId round;
  std::uint32_t attempt = 0;
  wire::LeaveScope scope = wire::LeaveScope::kRound;
};
// A timer of effect::StartTimer.
struct Deadline {
  RoundId round;
  secagg::Phase phase = secagg::Phase::kTraining;
  std::uint32_t attempt = 0;
};
// A timer of effect::StartGrace. A device that came back and was lost again has a grace of its own.
struct GraceOver {
  RoundId round;
  DeviceNumber device;
  std::uint32_t loss = 0;  // DeviceEntry::losses when it began
  std::uint32_t attempt = 0;
};
struct PauseOver {};
// The answer to effect::Draw. One that does not fit the devices as they are by now (one of them
// came back with another identity) counts as Failed.
struct Drawn {
  RoundId id;
  std::vector<DeviceNumber> cohort;  // ascending, out of Draw::eligible
  dp::RoundIntent intent;            // what the plan charges
  secagg::ServerConfig config;       // made from the plan and the identities of the cohort
};
// The answer to effect::Aggregate.
struct Computed {
  RoundId id;
  ModelRow model;  // the next version
  Bytes server_state;
  Hash256 sum_hash{};
};
// The answer to effect::Aggregate in a session that counted rows: those with enough.
struct RowsFound {
  RoundId id;
  std::vector<std::uint32_t> rows;  // ascending, not empty
  Hash256 rows_hash{};              // SHA-256 of them, 4 bytes each
  Hash256 sum_hash{};
};
// The same when there is no model, or when a Draw came to nothing: why.
struct Failed {
  RoundId id;
  std::string reason;
  // A Draw that a new id may answer otherwise: the authority's beacon makes others eligible.
  bool next_id = false;
};
// No further round. An open one is abandoned, unless its sum is already known.
struct Stop {};
}  // namespace event

using Event = std::variant<event::Connected, event::Disconnected, event::Message, event::Left,
                           event::Deadline, event::GraceOver, event::PauseOver, event::Drawn,
                           event::Computed, event::RowsFound, event::Failed, event::Stop>;

namespace effect {
struct Draw {
  RoundId id;
  std::vector<DeviceNumber> eligible;  // ascending; in a second session all of them are invited
  std::uint32_t attempt = 0;
  std::vector<std::uint32_t> rows;  // of the slice of a second session, ascending
};
// RoundStore::Reserve, FixSurvivors, Commit, CommitRows, Abandon.
struct PersistReserve {
  RoundRow round;
  std::vector<LedgerRow> ledger;
};
struct PersistSurvivors {
  RoundId id;
  std::uint32_t roster = 0;
  std::vector<DeviceNumber> survivors;
  std::vector<LedgerRow> ledger;
};
struct PersistRows {
  RoundRow round;
  std::vector<LedgerRow> ledger;
};
struct PersistCommit {
  RoundRow round;
  ModelRow model;
  Bytes server_state;
  std::vector<LedgerRow> ledger;
};
struct PersistAbandon {
  RoundId id;
  std::string reason;
  std::int64_t ended_unix_ms = 0;
  std::vector<LedgerRow> ledger;
};
struct Send {
  DeviceNumber to;
  wire::FrameType type = wire::FrameType::kAnnounce;
  std::shared_ptr<const Bytes> frame;
};
struct StartTimer {
  RoundId round;
  secagg::Phase phase = secagg::Phase::kTraining;
  std::uint32_t duration_ms = 0;
  std::uint32_t attempt = 0;
};
struct StartGrace {
  RoundId round;
  DeviceNumber device;
  std::uint32_t loss = 0;
  std::uint32_t duration_ms = 0;
  std::uint32_t attempt = 0;
};
struct StartPause {
  std::uint32_t duration_ms = 0;
};
// Decode, server step, hash: event::Computed, RowsFound or Failed.
struct Aggregate {
  RoundId id;
  std::vector<std::uint32_t> sum;
  std::uint32_t survivors = 0;
};
// A device broke the protocol of the open round.
struct Fault {
  DeviceNumber device;
  secagg::Fault fault = secagg::Fault::kMalformed;
};
struct RoundEnded {
  RoundReport report;
};
struct Finished {
  StopReason reason = StopReason::kAsked;
};
}  // namespace effect

using Effect =
    std::variant<effect::Draw, effect::PersistReserve, effect::PersistSurvivors,
                 effect::PersistRows, effect::PersistCommit, effect::PersistAbandon, effect::Send,
                 effect::StartTimer, effect::StartGrace, effect::StartPause, effect::Aggregate,
                 effect::Fault, effect::RoundEnded, effect::Finished>;

// What lives across rounds.
struct Core {
  MachineConfig config;
  std::map<DeviceNumber, DeviceEntry> devices;
  dp::Ledger ledger;
  std::uint32_t epoch = 0;
  std::uint32_t last_counter = 0;
  std::uint32_t committed = 0;
  std::uint32_t abandoned = 0;
  std::uint32_t abandoned_in_a_row = 0;
  std::uint64_t model_version = 0;
  Hash256 model_hash{};
};

struct State {
  Core core;
  Phase phase;
};

struct Transition {
  State next;
  std::vector<Effect> effects;  // in order
  bool refused = false;         // the event has no place here; `next` is the old state
};

// Gathering, or Stopped where the task is complete already. A snapshot with an open round must have
// been settled first (recovery.h).
Transition Start(Core core);

// `now_unix_ms` only goes into records.
Transition Step(State state, Event event, std::int64_t now_unix_ms);

// "gathering", "training", "masking", "committing", "stopped", ...; for pages and logs.
std::string_view NameOf(const State& state) noexcept;
// Members of the open round that the current phase still waits for.
std::uint32_t PendingMembers(const State& state) noexcept;
// Devices that could be invited now, ascending: connected, not declined, with participations left.
std::vector<DeviceNumber> Eligible(const Core& core);

}  // namespace machine
}  // namespace demur::coordinator
