#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/ids.h"
#include "demur/base/result.h"
#include "demur/crypto/operator_files.h"
#include "demur/model/plan.h"
#include "demur/storage/database.h"

// What the coordinator must not lose: model versions, rounds, the privacy ledger, optimiser state
// and participations, in one SQLite file. Each change of a round is ONE transaction, durable when
// the call returns: reserve, survivors, then commit or abandon. The store keeps bytes and checks
// that they belong together; what a ledger entry means is the ledger's to say (recovery.h).
// Belongs to one thread at a time; other processes may read while one writes.
namespace demur::coordinator {

// RoundId::epoch of a store that was never restored from a backup (RoundStore::BumpEpoch).
inline constexpr std::uint32_t kFirstEpoch = 1;
inline constexpr std::uint32_t kLastEpoch = 0x7FFFFFFF;

enum class RoundState : std::uint8_t {  // never renumber
  kReserved = 1,                        // charged, nobody asked to unmask
  kUnmasking = 2,  // the survivor set is fixed; an unmask request may have left
  kCommitted = 3,
  kAbandoned = 4,
};
std::string_view ToString(RoundState state) noexcept;

struct LedgerRow {
  std::uint64_t seq = 0;  // 1, 2, 3, ... without a gap
  Bytes entry;            // canonical bytes of one ledger entry
  friend bool operator==(const LedgerRow&, const LedgerRow&) = default;
};

// One session of a round.
struct RoundRow {
  RoundId id;
  std::uint32_t attempt = 0;
  model::SessionKind kind = model::SessionKind::kWhole;
  RoundState state = RoundState::kReserved;
  std::string reason;               // of an abandoned round
  std::uint32_t cohort = 0;         // devices invited
  std::uint32_t roster = 0;         // devices that advertised
  std::uint32_t survivors = 0;      // devices in the sum
  std::uint32_t participants = 0;   // of these, whose participation in the round it was first
  std::uint32_t rows = 0;           // found by a session that counted rows
  Hash256 survivors_hash{};         // SHA-256 of their numbers, ascending, 8 bytes each
  Hash256 sum_hash{};               // SHA-256 of the opened sum, 4 bytes a coordinate
  std::uint64_t model_version = 0;  // the version it was computed on
  std::int64_t started_unix_ms = 0;
  std::int64_t ended_unix_ms = 0;  // 0 while it is open
  friend bool operator==(const RoundRow&, const RoundRow&) = default;
};

struct ModelRow {
  std::uint64_t version = 0;  // 0 is the first model
  Hash256 hash{};             // SHA-256 of blob
  Bytes blob;                 // SharedModel::Canonical(); empty for versions that were thinned out
};

struct DeviceRow {
  DeviceNumber number;
  std::uint32_t participations = 0;  // rounds in a survivor set of which it stood
  RoundId last_round;
};

// What the store is of: the task, and the configuration that it was made with.
struct TaskKey {
  TaskId id;
  Hash256 config_sha256{};  // of FormatTask
  friend bool operator==(const TaskKey&, const TaskKey&) = default;
};

// Everything a coordinator starts from.
struct Snapshot {
  TaskKey task;
  std::uint32_t epoch = 0;
  crypto::RevocationList revoked;  // the newest that was ever in force; `issued` is not kept
  ModelRow model;                  // the newest, checked against its hash
  Bytes server_state;              // of that version
  std::vector<LedgerRow> ledger;
  std::vector<RoundRow> rounds;  // ascending
  std::optional<RoundRow> open_round;
  std::uint32_t last_counter = 0;  // largest RoundId::counter ever reserved
  std::uint32_t committed = 0;     // rounds with a model
  std::uint32_t abandoned = 0;     // sessions
  std::vector<DeviceRow> devices;  // ascending
};

class RoundStore {
 public:
  enum class Access { kWrite, kRead };
  static constexpr std::string_view kFileName = "coordinator.db";
  static constexpr std::uint64_t kBlobsKept = 4;  // newest model blobs; older rows keep their hash

  // Opens dir/coordinator.db. kNotFound: `init` was not run. kWrite takes the single-writer lock
  // (dir/lock) for the life of the object: kUnavailable when another process has it. kDataLoss: the
  // file is damaged; nothing is changed then.
  static Result<RoundStore> Open(const std::string& dir, Access access);
  // Makes the file with the first model in it. kFailedPrecondition: there is one already.
  static Result<RoundStore> Create(const std::string& dir, const TaskKey& task,
                                   const ModelRow& first_model, ByteView server_state);

  RoundStore(RoundStore&&) noexcept;
  RoundStore& operator=(RoundStore&&) noexcept;
  ~RoundStore();

  // Reads and checks everything: SQLite's own integrity, the hash of the newest model, that server
  // state and model are of one version, no gap in ledger or versions, at most one open round, that
  // participations and survivor sets add up. kDataLoss names the file, what does not fit and the
  // cure; nothing is changed.
  Result<Snapshot> Load();

  // Before the first announcement of a session. kFailedPrecondition: id and attempt are not above
  // all there are, it is of another epoch, a session is open, or it is a second one and no first
  // one of its round is committed.
  Status Reserve(const RoundRow& round, const std::vector<LedgerRow>& ledger);
  // Before the first unmask request: fixes who is in the sum, counts their participation and makes
  // the charge final.
  // `survivors` ascending. kFailedPrecondition: the round is not reserved.
  Status FixSurvivors(RoundId round, std::uint32_t roster,
                      const std::vector<DeviceNumber>& survivors,
                      const std::vector<LedgerRow>& ledger);
  // The next model, its server state, the round's record and its ledger rows. `round` carries id,
  // sum_hash and ended_unix_ms. kFailedPrecondition: the round is not unmasking, or the model is
  // not the next version.
  Status Commit(const RoundRow& round, const ModelRow& model, ByteView server_state,
                const std::vector<LedgerRow>& ledger);
  // The end of a session that counted rows: no model comes of it. `round` carries id, sum_hash,
  // rows and ended_unix_ms. kFailedPrecondition: the session is not unmasking, or trains.
  Status CommitRows(const RoundRow& round, const std::vector<LedgerRow>& ledger);
  // kFailedPrecondition: the round is not open.
  Status Abandon(RoundId round, std::string_view reason, std::int64_t ended_unix_ms,
                 const std::vector<LedgerRow>& ledger);
  // The operator's word that this directory was restored from a backup: ids of the new epoch are
  // above every id that devices may have seen, also when the same backup is restored again. Returns
  // the new epoch. kFailedPrecondition: a round is open (AdoptBackup settles it), or epochs are
  // used up. The new epoch is above `above`, for a machine whose clock ran ahead once.
  Result<std::uint32_t> BumpEpoch(std::int64_t now_unix_ms, std::uint32_t above = 0);
  // `list` is in force from now on; the same one again changes nothing. kFailedPrecondition: a
  // newer one was in force, or one with a device that this one lacks.
  Status KeepRevocations(const crypto::RevocationList& list);

  // Snapshot::revoked alone.
  Result<crypto::RevocationList> Revoked();
  // The database file, for errors.
  std::string path() const;

  // Newest first, at most `limit`.
  Result<std::vector<RoundRow>> Rounds(std::uint32_t limit);
  // kNotFound: no such version, or its blob was thinned out.
  Result<ModelRow> Model(std::uint64_t version);

 private:
  class Lock;
  RoundStore(std::string dir, std::unique_ptr<Lock> lock, storage::Database database);
  Status AppendLedger(const std::vector<LedgerRow>& ledger);
  Result<RoundRow> OpenRound(RoundId id);

  std::string dir_;
  std::unique_ptr<Lock> lock_;
  storage::Database database_;
};

// SHA-256 of ascending device numbers, 8 bytes big-endian each.
Hash256 HashDevices(const std::vector<DeviceNumber>& devices);

}  // namespace demur::coordinator
