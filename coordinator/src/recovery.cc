#include "demur/coordinator/recovery.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "round_store_rows.h"

namespace demur::coordinator {
namespace {

Error Broken(const std::string& what) { return Error(ErrorCode::kDataLoss, what); }

bool Fits(const RoundRow& round, dp::LedgerStanding standing) {
  switch (round.state) {
    case RoundState::kReserved:
      return standing == dp::LedgerStanding::kReserved;
    case RoundState::kUnmasking:
      return standing == dp::LedgerStanding::kOpened;
    case RoundState::kCommitted:
      return standing == dp::LedgerStanding::kCommitted;
    case RoundState::kAbandoned:
      // What was opened is burnt; what was not may be either (AdoptBackup burns).
      return standing == dp::LedgerStanding::kBurnt ||
             (round.survivors == 0 && standing == dp::LedgerStanding::kReleased);
  }
  return false;
}

std::string NameOf(RoundId id) {
  return "round " + std::to_string(id.epoch) + "." + std::to_string(id.counter);
}

// Store and ledger are written in one transaction; when they tell different stories, neither is to
// be believed. A chain that lost its last entries is still a chain: only the rounds tell.
Status CheckAgreement(const Snapshot& snapshot, const dp::Ledger& ledger) {
  std::map<dp::RoundKey, dp::LedgerStanding> standings = ledger.Standings();
  for (const RoundRow& round : snapshot.rounds) {
    const auto found = standings.find({round.id, round.attempt});
    if (found == standings.end() || !Fits(round, found->second)) {
      return Broken(NameOf(round.id) + " is " + std::string(ToString(round.state)) +
                    " in the store and " +
                    std::string(found == standings.end() ? "absent" : ToString(found->second)) +
                    " in the ledger");
    }
    standings.erase(found);
  }
  if (standings.empty()) return {};
  return Broken(NameOf(standings.begin()->first.round) +
                " is in the ledger and absent in the store");
}

// `charged`: the charge stays also where it could be released.
Status Settle(RoundStore& store, const RoundRow& open, std::string_view reason, bool charged,
              std::int64_t now, dp::Ledger* ledger) {
  const dp::RoundKey key{open.id, open.attempt};
  Result<dp::LedgerEntry> entry = Error(ErrorCode::kInternal, "not settled");
  if (charged || ledger->Opened(key)) {
    entry = ledger->Burn(key);
  } else {
    DEMUR_TRY(dp::RoundPermit permit, ledger->Resume(key));
    entry = ledger->Release(std::move(permit));
  }
  if (!entry) return std::move(entry).error();
  return store.Abandon(open.id, reason, now, {{entry->seq, entry->Encode()}});
}

}  // namespace

Status CheckTask(const TaskKey& stored, const PreparedTask& task) {
  if (stored.id != task.id()) {
    return Error(ErrorCode::kFailedPrecondition, "the store is of another task than task.toml");
  }
  if (stored.config_sha256 != HashTask(task.config())) {
    return Error(ErrorCode::kFailedPrecondition,
                 "task.toml was changed after `demur-coordinator init`, and a task never changes: "
                 "put back what it was, or make a new coordinator with it");
  }
  return {};
}

Result<dp::Ledger> ReplayLedger(const Snapshot& snapshot, const PreparedTask& task) {
  std::vector<dp::LedgerEntry> entries;
  for (const LedgerRow& row : snapshot.ledger) {
    DEMUR_TRY(dp::LedgerEntry entry, dp::LedgerEntry::Parse(row.entry));
    if (entry.seq != row.seq) return Broken("a ledger entry under another number");
    entries.push_back(std::move(entry));
  }
  Result<dp::Ledger> ledger = dp::Ledger::FromEntries(task.ledger_policy(), entries);
  if (!ledger) return std::move(ledger).error().WithContext("privacy ledger");
  DEMUR_RETURN_IF_ERROR(CheckAgreement(snapshot, *ledger));
  return ledger;
}

namespace {

Result<Recovered> RecoverFrom(RoundStore& store, const PreparedTask& task,
                              const MachineConfig& config, std::int64_t now_unix_ms) {
  DEMUR_TRY(Snapshot snapshot, store.Load());
  DEMUR_RETURN_IF_ERROR(CheckTask(snapshot.task, task));
  DEMUR_TRY(dp::Ledger ledger, ReplayLedger(snapshot, task));
  Result<model::SharedModel> model = model::SharedModel::FromCanonical(
      task.schema(), snapshot.model.blob, task.config().training.value_max);
  if (!model) return Broken("the model does not fit the task: " + model.error().message());
  DEMUR_TRY(learning::ServerState server_state,
            learning::ServerState::Parse(task.schema(), snapshot.server_state));
  if (snapshot.open_round) {
    DEMUR_RETURN_IF_ERROR(
        Settle(store, *snapshot.open_round, "coordinator restarted", false, now_unix_ms, &ledger));
    ++snapshot.abandoned;
  }

  machine::Core core{config, {}, std::move(ledger)};
  for (const DeviceRow& row : snapshot.devices) {
    core.devices[row.number].participations = row.participations;
  }
  core.epoch = snapshot.epoch;
  core.last_counter = snapshot.last_counter;
  core.committed = snapshot.committed;
  core.abandoned = snapshot.abandoned;
  core.model_version = snapshot.model.version;
  core.model_hash = snapshot.model.hash;
  return Recovered{std::move(core), std::move(*model), std::move(server_state),
                   std::make_shared<const Bytes>(std::move(snapshot.model.blob))};
}

}  // namespace

Result<Recovered> Recover(RoundStore& store, const PreparedTask& task, const MachineConfig& config,
                          std::int64_t now_unix_ms) {
  Result<Recovered> recovered = RecoverFrom(store, task, config, now_unix_ms);
  if (!recovered) return WithPlaceAndCure(std::move(recovered).error(), store.path());
  return recovered;
}

Result<std::uint32_t> AdoptBackup(RoundStore& store, const PreparedTask& task,
                                  std::int64_t now_unix_ms, std::uint32_t above) {
  DEMUR_TRY(const Snapshot snapshot, store.Load());
  DEMUR_RETURN_IF_ERROR(CheckTask(snapshot.task, task));
  Result<dp::Ledger> ledger = ReplayLedger(snapshot, task);
  if (!ledger) return WithPlaceAndCure(std::move(ledger).error(), store.path());
  if (snapshot.open_round) {
    DEMUR_RETURN_IF_ERROR(
        Settle(store, *snapshot.open_round, "restored from a backup", true, now_unix_ms, &*ledger));
  }
  return store.BumpEpoch(now_unix_ms, above);
}

}  // namespace demur::coordinator
