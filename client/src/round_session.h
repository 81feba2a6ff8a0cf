#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/client/drill.h"
#include "demur/client/event_store.h"
#include "demur/model/tables.h"
#include "demur/secagg/client.h"
#include "demur/wire/frame.h"

// One secure aggregation session of a device, from M1 on: drives secagg::Step and does what its
// effects say in the order in which they stand. No socket and no coroutine inside: the caller
// brings messages, sends the frames it gets back, and may run Compute on a thread of its own, since
// only Settle touches the store. Not thread-safe: calls follow one another.
namespace demur::client {

// What must be durable before a frame leaves. Each call returns after it is.
class RoundJournal {
 public:
  virtual ~RoundJournal() = default;
  virtual Status SaveTask(const TaskRecord& record) = 0;
  virtual Status SaveMasked(const TaskRecord& record, const model::PrivateState& state) = 0;
};

// A round that this device agreed to and has trained for.
struct PreparedRound {
  std::shared_ptr<const secagg::ClientConfig> config;
  TaskRecord charged;                // Admission::charged
  std::vector<std::uint32_t> input;  // the encoded update, dense
  model::PrivateState next;          // what SaveMasked stores
  Departure departure = Departure::kNone;
};

struct OutFrame {
  wire::FrameType type = wire::FrameType::kAdvertise;
  std::shared_ptr<const Bytes> body;
};

enum class SessionEnd : std::uint8_t {
  kCommitted,  // the round counts
  kAbandoned,  // it does not
  kExcluded,   // not with this device
  kLeft,       // scripted departure
  kStopped,    // this side gave up
  kFailed,     // the coordinator broke the protocol, or our library or disk failed
};
std::string_view ToString(SessionEnd end) noexcept;

class RoundSession {
 public:
  explicit RoundSession(PreparedRound round);
  RoundSession(const RoundSession&) = delete;
  RoundSession& operator=(const RoundSession&) = delete;
  ~RoundSession();  // the input is wiped; the step wipes its secrets

  // Steps the protocol and remembers what has to happen; answers a request for the input itself.
  // Long (key agreements, masks over the whole vector) and free of side effects: for a worker.
  void Compute(secagg::ClientEvent event);
  // Makes durable what Compute asked for, in order, and gives the frames that may then leave. After
  // an error nothing may be sent and the session is over.
  // kAborted: the protocol was broken (says how). Otherwise the journal's error.
  Result<std::vector<OutFrame>> Settle(RoundJournal& journal);

  // Set once the session is over. Frames of the last Settle are still to be sent.
  const std::optional<SessionEnd>& end() const noexcept { return end_; }
  bool joined() const noexcept { return joined_; }  // M1 was given out
  // The first session of a sparse round.
  bool counts_rows() const noexcept;
  // The last error of Settle was the journal's, not the coordinator's doing.
  bool journal_failed() const noexcept { return journal_failed_; }
  const secagg::Announcement& announcement() const noexcept;
  // What the coordinator may take from now to the next message, by the plan; 0: no limit.
  std::uint64_t WaitMs() const noexcept;
  std::string_view state_name() const noexcept { return secagg::NameOf(state_); }

 private:
  void Take(secagg::ClientTransition transition);
  void Depart();
  Status Perform(secagg::ClientEffect& effect, RoundJournal& journal, std::vector<OutFrame>* out);
  Status Durable(Status saved);

  PreparedRound round_;
  secagg::ClientState state_;
  std::vector<secagg::ClientEffect> pending_;
  std::optional<SessionEnd> end_;
  bool leave_ = false;  // the pending effects end in a Leave
  bool joined_ = false;
  bool journal_failed_ = false;
};

}  // namespace demur::client
