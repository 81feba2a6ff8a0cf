#include <algorithm>
#include <string>
#include <utility>

#include "demur/coordinator/round_store.h"
#include "demur/crypto/hash.h"
#include "round_store_rows.h"

// Reading the coordinator's store, and saying what in it does not fit.
namespace demur::coordinator {
namespace {

Result<Hash256> HashOf(ByteView blob, const char* what) {
  Hash256 out{};
  if (blob.size() != out.size()) return Damaged(std::string(what) + ": a hash of wrong length");
  std::copy(blob.begin(), blob.end(), out.begin());
  return out;
}

}  // namespace

Error Damaged(const std::string& what) {
  return Error(ErrorCode::kDataLoss, "coordinator store: " + what);
}

Error WithCure(Error error) {
  if (error.code() != ErrorCode::kDataLoss) return error;
  return Error(ErrorCode::kDataLoss, error.message() +
                                         "; restore the folder from a backup and run "
                                         "`demur-coordinator bump-epoch`");
}

Error WithPlaceAndCure(Error error, const std::string& path) {
  if (error.code() != ErrorCode::kDataLoss || error.message().starts_with(path)) return error;
  return WithCure(std::move(error).WithContext(path));
}

Result<RoundRow> ReadRound(const storage::Statement& row) {
  RoundRow out;
  out.id = RoundId::FromPacked(Unsigned(row.Integer(0)));
  out.attempt = static_cast<std::uint32_t>(row.Integer(1));
  out.kind = static_cast<model::SessionKind>(row.Integer(2));
  out.state = static_cast<RoundState>(row.Integer(3));
  out.reason = row.Text(4);
  out.cohort = static_cast<std::uint32_t>(row.Integer(5));
  out.roster = static_cast<std::uint32_t>(row.Integer(6));
  out.survivors = static_cast<std::uint32_t>(row.Integer(7));
  out.participants = static_cast<std::uint32_t>(row.Integer(8));
  out.rows = static_cast<std::uint32_t>(row.Integer(9));
  DEMUR_TRY(out.survivors_hash, HashOf(row.Blob(10), "round"));
  DEMUR_TRY(out.sum_hash, HashOf(row.Blob(11), "round"));
  out.model_version = Unsigned(row.Integer(12));
  out.started_unix_ms = row.Integer(13);
  out.ended_unix_ms = row.Integer(14);
  return out;
}

Result<Bytes> GetMeta(storage::Database& database, std::string_view key) {
  DEMUR_TRY(auto get, database.Prepare("SELECT value FROM meta WHERE key = ?"));
  get.Bind(1, key);
  DEMUR_TRY(const bool found, get.Step());
  if (!found) return Damaged("no '" + std::string(key) + "'");
  return ToBytes(get.Blob(0));
}

Result<std::uint32_t> GetEpoch(storage::Database& database) {
  DEMUR_TRY(const Bytes bytes, GetMeta(database, kMetaEpoch));
  ByteReader reader(bytes);
  const auto epoch = reader.U32();
  if (!epoch || !reader.Finish()) return Damaged("epoch is not four bytes");
  return *epoch;
}

// Sequence, and the numbers to the end.
Result<crypto::RevocationList> GetRevocations(storage::Database& database) {
  DEMUR_TRY(const Bytes bytes, GetMeta(database, kMetaRevocations));
  if (bytes.empty() || bytes.size() % 8 != 0) return Damaged("revocations are cut off");
  ByteReader reader(bytes);
  crypto::RevocationList out;
  out.sequence = *reader.U64();
  while (reader.remaining() > 0) out.devices.emplace_back(*reader.U64());
  return out;
}

namespace {

Result<ModelRow> LoadModel(storage::Database& database) {
  DEMUR_TRY(auto newest,
            database.Prepare("SELECT version, hash, blob, (SELECT count(*) FROM models) "
                             "FROM models ORDER BY version DESC LIMIT 1"));
  DEMUR_TRY(const bool found, newest.Step());
  if (!found) return Damaged("no model");
  ModelRow out;
  out.version = Unsigned(newest.Integer(0));
  DEMUR_TRY(out.hash, HashOf(newest.Blob(1), "model"));
  out.blob = ToBytes(newest.Blob(2));
  if (Unsigned(newest.Integer(3)) != out.version + 1) return Damaged("a model version is missing");
  if (crypto::Sha256(out.blob) != out.hash) {
    return Damaged("model version " + std::to_string(out.version) + " does not match its hash");
  }
  return out;
}

Result<Bytes> LoadServerState(storage::Database& database, std::uint64_t version) {
  DEMUR_TRY(auto row, database.Prepare("SELECT model_version, bytes, hash FROM server_state"));
  DEMUR_TRY(const bool found, row.Step());
  if (!found) return Damaged("no server state");
  if (Unsigned(row.Integer(0)) != version) {
    return Damaged("server state and model are of different versions");
  }
  Bytes bytes = ToBytes(row.Blob(1));
  DEMUR_TRY(const Hash256 hash, HashOf(row.Blob(2), "server state"));
  if (crypto::Sha256(bytes) != hash) return Damaged("server state does not match its hash");
  return bytes;
}

Result<std::vector<LedgerRow>> LoadLedger(storage::Database& database) {
  std::vector<LedgerRow> out;
  DEMUR_TRY(auto rows, database.Prepare("SELECT seq, entry FROM ledger ORDER BY seq"));
  while (true) {
    DEMUR_TRY(const bool more, rows.Step());
    if (!more) return out;
    const std::uint64_t seq = out.size() + 1;
    if (Unsigned(rows.Integer(0)) != seq) {
      return Damaged("ledger entry " + std::to_string(seq) + " is missing");
    }
    out.push_back({seq, ToBytes(rows.Blob(1))});
  }
}

// `participants`: of all sessions together.
Status LoadRounds(storage::Database& database, Snapshot* out, std::uint64_t* participants) {
  DEMUR_TRY(auto rows, database.Prepare("SELECT " + std::string(kRoundColumns) +
                                        " FROM rounds ORDER BY id, attempt"));
  while (true) {
    DEMUR_TRY(const bool more, rows.Step());
    if (!more) break;
    DEMUR_TRY(const RoundRow round, ReadRound(rows));
    *participants += round.participants;
    if (round.participants > round.survivors) return Damaged("more participants than survivors");
    out->rounds.push_back(round);
    out->last_counter = std::max(out->last_counter, round.id.counter);
    if (round.id.epoch > out->epoch) return Damaged("a round of an epoch to come");
    if (round.state == RoundState::kCommitted) {
      out->committed += round.kind == model::SessionKind::kRowCounts ? 0 : 1;
    } else if (round.state == RoundState::kAbandoned) {
      ++out->abandoned;
    } else if (out->open_round) {
      return Damaged("two open rounds");
    } else {
      out->open_round = round;
    }
  }
  if (out->committed != out->model.version) {
    return Damaged(std::to_string(out->committed) + " committed rounds, but model version " +
                   std::to_string(out->model.version));
  }
  return {};
}

Status LoadDevices(storage::Database& database, std::vector<DeviceRow>* out) {
  DEMUR_TRY(auto rows,
            database.Prepare("SELECT number, participations, last_round FROM devices ORDER BY "
                             "number"));
  while (true) {
    DEMUR_TRY(const bool more, rows.Step());
    if (!more) return {};
    out->push_back({DeviceNumber(Unsigned(rows.Integer(0))),
                    static_cast<std::uint32_t>(rows.Integer(1)),
                    RoundId::FromPacked(Unsigned(rows.Integer(2)))});
  }
}

Status LoadTaskKey(storage::Database& database, TaskKey* out) {
  DEMUR_TRY(const Bytes task, GetMeta(database, kMetaTask));
  if (task.size() != out->id.bytes.size()) return Damaged("task id of wrong length");
  std::copy(task.begin(), task.end(), out->id.bytes.begin());
  DEMUR_TRY(const Bytes config, GetMeta(database, kMetaTaskConfig));
  DEMUR_TRY(out->config_sha256, HashOf(config, "task configuration"));
  return {};
}

// A device's first place in a survivor set of a round is one participation; both are written
// together.
Status CheckParticipations(const std::vector<DeviceRow>& devices, std::uint64_t participants) {
  std::uint64_t participations = 0;
  for (const DeviceRow& device : devices) participations += device.participations;
  if (participations == participants) return {};
  return Damaged(std::to_string(participations) + " participations, but " +
                 std::to_string(participants) + " participants in all rounds");
}

Result<Snapshot> LoadAll(storage::Database& database) {
  DEMUR_RETURN_IF_ERROR(database.CheckIntegrity());
  Snapshot out;
  DEMUR_RETURN_IF_ERROR(LoadTaskKey(database, &out.task));
  DEMUR_TRY(out.epoch, GetEpoch(database));
  DEMUR_TRY(out.revoked, GetRevocations(database));
  DEMUR_TRY(out.model, LoadModel(database));
  DEMUR_TRY(out.server_state, LoadServerState(database, out.model.version));
  DEMUR_TRY(out.ledger, LoadLedger(database));
  std::uint64_t participants = 0;
  DEMUR_RETURN_IF_ERROR(LoadRounds(database, &out, &participants));
  DEMUR_RETURN_IF_ERROR(LoadDevices(database, &out.devices));
  DEMUR_RETURN_IF_ERROR(CheckParticipations(out.devices, participants));
  return out;
}

}  // namespace

Result<Snapshot> RoundStore::Load() {
  Result<Snapshot> all = LoadAll(database_);
  if (!all) return WithCure(std::move(all).error().WithContext(path()));
  return all;
}

Result<crypto::RevocationList> RoundStore::Revoked() {
  Result<crypto::RevocationList> list = GetRevocations(database_);
  if (!list) return WithCure(std::move(list).error().WithContext(path()));
  return list;
}

std::string RoundStore::path() const { return FilePath(dir_); }

Result<std::vector<RoundRow>> RoundStore::Rounds(std::uint32_t limit) {
  std::vector<RoundRow> out;
  DEMUR_TRY(auto rows, database_.Prepare("SELECT " + std::string(kRoundColumns) +
                                         " FROM rounds ORDER BY id DESC, attempt DESC LIMIT ?"));
  rows.Bind(1, std::int64_t{limit});
  while (true) {
    DEMUR_TRY(const bool more, rows.Step());
    if (!more) return out;
    DEMUR_TRY(RoundRow round, ReadRound(rows));
    out.push_back(std::move(round));
  }
}

Result<ModelRow> RoundStore::Model(std::uint64_t version) {
  DEMUR_TRY(auto find, database_.Prepare("SELECT hash, blob FROM models WHERE version = ?"));
  find.Bind(1, Signed(version));
  DEMUR_TRY(const bool found, find.Step());
  if (!found || find.IsNull(1)) {
    return Error(ErrorCode::kNotFound, "no blob of model version " + std::to_string(version));
  }
  ModelRow out;
  out.version = version;
  DEMUR_TRY(out.hash, HashOf(find.Blob(0), "model"));
  out.blob = ToBytes(find.Blob(1));
  return out;
}

}  // namespace demur::coordinator
