#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/coordinator/round_store.h"
#include "demur/crypto/operator_files.h"
#include "demur/storage/database.h"

// What writing (round_store.cc) and reading (round_store_load.cc) of the coordinator's store share.
// Private to the coordinator.
namespace demur::coordinator {

// Keys of the table `meta`.
inline constexpr std::string_view kMetaTask = "task";
inline constexpr std::string_view kMetaTaskConfig = "task_config_sha256";
inline constexpr std::string_view kMetaEpoch = "epoch";
inline constexpr std::string_view kMetaRevocations = "revocations";

// Columns of the table `rounds` in the order that ReadRound takes them.
inline constexpr std::string_view kRoundColumns =
    "id, attempt, kind, state, reason, cohort, roster, survivors, participants, rows, "
    "survivors_hash, sum_hash, model_version, started_unix_ms, ended_unix_ms";

inline std::int64_t Signed(std::uint64_t value) { return static_cast<std::int64_t>(value); }
inline std::uint64_t Unsigned(std::int64_t value) { return static_cast<std::uint64_t>(value); }

inline std::string FilePath(const std::string& dir) {
  return dir + "/" + std::string(RoundStore::kFileName);
}

Error Damaged(const std::string& what);
// What an operator does about a damaged file; other errors stay as they are.
Error WithCure(Error error);
// The same, and the file before it, unless the error names it already.
Error WithPlaceAndCure(Error error, const std::string& path);
Result<RoundRow> ReadRound(const storage::Statement& row);
// kDataLoss: no such key.
Result<Bytes> GetMeta(storage::Database& database, std::string_view key);
Result<std::uint32_t> GetEpoch(storage::Database& database);
Result<crypto::RevocationList> GetRevocations(storage::Database& database);

}  // namespace demur::coordinator
