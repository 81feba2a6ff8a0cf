#pragma once

#include <cstdint>

#include "demur/base/result.h"
#include "demur/coordinator/round_machine.h"
#include "demur/coordinator/round_store.h"
#include "demur/coordinator/task.h"
#include "demur/learning/server_step.h"
#include "demur/model/tables.h"

// What a coordinator does before it serves: everything is read and checked, the ledger is replayed,
// and a round that a crash left open is settled. Nothing is guessed and nothing is repaired: what
// does not fit is kDataLoss and leaves the store as it was.
namespace demur::coordinator {

struct Recovered {
  machine::Core core;
  model::SharedModel model;
  learning::ServerState server_state;
  std::shared_ptr<const Bytes> model_blob;  // canonical bytes of `model`
};

// An open round is abandoned: its charge is released while no unmask request can have left, and
// burnt from then on. Session secrets died with the process, so it cannot go on.
// kDataLoss: SQLite, a hash, the ledger's chain, or rounds and ledger that disagree.
// kFailedPrecondition: the store is of another task.
Result<Recovered> Recover(RoundStore& store, const PreparedTask& task, const MachineConfig& config,
                          std::int64_t now_unix_ms);

// The ledger that a snapshot's entries give. kDataLoss: they do not hold together.
Result<dp::Ledger> ReplayLedger(const Snapshot& snapshot, const PreparedTask& task);

}  // namespace demur::coordinator
