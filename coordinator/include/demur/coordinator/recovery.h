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
// kFailedPrecondition: the store is of another task, or task.toml was changed since.
Result<Recovered> Recover(RoundStore& store, const PreparedTask& task, const MachineConfig& config,
                          std::int64_t now_unix_ms);

// Before the first start from a restored backup: an open round of the copy is abandoned and stays
// charged (what became of it after the copy was made is not known), and the epoch moves on
// (RoundStore::BumpEpoch). Returns the new epoch. Rounds that were committed after the copy are
// lost, and so are their charges; what devices have spent of their own limits is kept by them.
// `above`: as there. Errors as of Recover.
Result<std::uint32_t> AdoptBackup(RoundStore& store, const PreparedTask& task,
                                  std::int64_t now_unix_ms, std::uint32_t above = 0);

// kFailedPrecondition: the store is of another task, or task.toml was changed since `init`.
Status CheckTask(const TaskKey& stored, const PreparedTask& task);

// The ledger that a snapshot's entries give. kDataLoss: they do not hold together, or tell another
// story of a round than the store's records.
Result<dp::Ledger> ReplayLedger(const Snapshot& snapshot, const PreparedTask& task);

}  // namespace demur::coordinator
