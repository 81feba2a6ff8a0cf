#include "identity_store.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "demur/base/secret.h"

namespace demur::authority {
namespace {

constexpr std::array<std::string_view, 2> kSchema = {R"sql(
  CREATE TABLE coordinator (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    plan_key BLOB NOT NULL CHECK (length(plan_key) = 32)
  ) STRICT;
  CREATE TABLE token (
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 32),
    expires INTEGER NOT NULL,
    devices INTEGER NOT NULL CHECK (devices > 0),
    used INTEGER NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND devices)
  ) STRICT;
  CREATE TABLE device (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 32),
    enrolled INTEGER NOT NULL,
    revoked INTEGER
  ) STRICT;
)sql",
                                                     R"sql(
  CREATE TABLE epoch (
    epoch INTEGER PRIMARY KEY CHECK (epoch > 0),
    statement BLOB NOT NULL
  ) STRICT;
)sql"};

template <std::size_t N>
Result<std::array<std::byte, N>> FixedBlob(const storage::Statement& row, int column) {
  const ByteView blob = row.Blob(column);
  if (blob.size() != N) return Error(ErrorCode::kDataLoss, "authority database is damaged");
  std::array<std::byte, N> out{};
  std::copy(blob.begin(), blob.end(), out.begin());
  return out;
}

}  // namespace

Result<IdentityStore> IdentityStore::Open(const std::string& path, bool create) {
  storage::Options options;
  options.create = create;
  DEMUR_TRY(storage::Database database, storage::Database::Open(path, options));
  DEMUR_RETURN_IF_ERROR(database.Migrate(kSchema));
  return IdentityStore(std::move(database));
}

Status IdentityStore::SetCoordinator(const CoordinatorRow& row) {
  DEMUR_TRY(auto put, database_.Prepare("INSERT OR REPLACE INTO coordinator VALUES (1,?,?,?,?)"));
  put.Bind(1, row.name).Bind(2, row.address.host).Bind(3, std::int64_t{row.address.port});
  return put.Bind(4, ByteView(row.plan_key)).Run();
}

Result<std::optional<CoordinatorRow>> IdentityStore::Coordinator() {
  DEMUR_TRY(auto get, database_.Prepare("SELECT name, host, port, plan_key FROM coordinator"));
  DEMUR_TRY(const bool found, get.Step());
  if (!found) return std::optional<CoordinatorRow>();
  CoordinatorRow row;
  row.name = get.Text(0);
  row.address = {std::string(get.Text(1)), static_cast<std::uint16_t>(get.Integer(2))};
  DEMUR_TRY(row.plan_key, FixedBlob<32>(get, 3));
  return std::optional<CoordinatorRow>(std::move(row));
}

Status IdentityStore::AddToken(const Hash256& id, std::uint32_t devices, std::int64_t expires) {
  DEMUR_TRY(auto put, database_.Prepare("INSERT INTO token (id, expires, devices) VALUES (?,?,?)"));
  return put.Bind(1, ByteView(id)).Bind(2, expires).Bind(3, std::int64_t{devices}).Run();
}

Result<std::optional<TokenRow>> IdentityStore::FindToken(const Hash256& id) {
  DEMUR_TRY(auto all, database_.Prepare("SELECT rowid, id, expires, devices, used FROM token"));
  std::optional<TokenRow> found;
  for (;;) {
    DEMUR_TRY(const bool more, all.Step());
    if (!more) return found;
    if (!ConstantTimeEqual(all.Blob(1), id)) continue;
    found = TokenRow{all.Integer(0), all.Integer(2), static_cast<std::uint32_t>(all.Integer(3)),
                     static_cast<std::uint32_t>(all.Integer(4))};
  }
}

Status IdentityStore::CountUse(const TokenRow& token) {
  DEMUR_TRY(auto count, database_.Prepare("UPDATE token SET used = used + 1 WHERE rowid = ?"));
  return count.Bind(1, token.rowid).Run();
}

Status IdentityStore::DropTokens(std::int64_t before) {
  DEMUR_TRY(auto drop, database_.Prepare("DELETE FROM token WHERE expires < ?"));
  return drop.Bind(1, before).Run();
}

Result<std::optional<DeviceRow>> IdentityStore::FindDevice(const wire::PublicKey& key) {
  DEMUR_TRY(auto get, database_.Prepare("SELECT number, revoked FROM device WHERE public_key = ?"));
  get.Bind(1, ByteView(key));
  DEMUR_TRY(const bool found, get.Step());
  if (!found) return std::optional<DeviceRow>();
  return std::optional(
      DeviceRow{DeviceNumber(static_cast<std::uint64_t>(get.Integer(0))), !get.IsNull(1)});
}

Result<DeviceNumber> IdentityStore::AddDevice(const wire::PublicKey& key, std::int64_t now) {
  // Rows are never deleted, so the largest number is also the last one given.
  DEMUR_TRY(auto put, database_.Prepare("INSERT INTO device (number, public_key, enrolled) "
                                        "SELECT coalesce(max(number) + 1, ?), ?, ? FROM device"));
  put.Bind(1, static_cast<std::int64_t>(kFirstDevice.value)).Bind(2, ByteView(key)).Bind(3, now);
  DEMUR_RETURN_IF_ERROR(put.Run());
  return DeviceNumber(static_cast<std::uint64_t>(database_.last_insert_rowid()));
}

Result<bool> IdentityStore::Revoke(DeviceNumber device, std::int64_t now) {
  const auto number = static_cast<std::int64_t>(device.value);
  DEMUR_TRY(auto get, database_.Prepare("SELECT revoked FROM device WHERE number = ?"));
  get.Bind(1, number);
  DEMUR_TRY(const bool found, get.Step());
  if (!found) {
    return Error(ErrorCode::kNotFound, "no device " + std::to_string(device.value));
  }
  if (!get.IsNull(0)) return false;
  get.Reset();
  DEMUR_TRY(auto put, database_.Prepare("UPDATE device SET revoked = ? WHERE number = ?"));
  DEMUR_RETURN_IF_ERROR(put.Bind(1, now).Bind(2, number).Run());
  return true;
}

Result<std::vector<DeviceNumber>> IdentityStore::Revoked() {
  DEMUR_TRY(auto get, database_.Prepare(
                          "SELECT number FROM device WHERE revoked IS NOT NULL ORDER BY number"));
  std::vector<DeviceNumber> out;
  for (;;) {
    DEMUR_TRY(const bool more, get.Step());
    if (!more) return out;
    out.emplace_back(static_cast<std::uint64_t>(get.Integer(0)));
  }
}

Result<Counts> IdentityStore::Count() {
  DEMUR_TRY(auto get, database_.Prepare("SELECT count(*), count(revoked) FROM device"));
  DEMUR_TRY(const bool row, get.Step());
  DEMUR_CHECK(row, "an aggregate has one row");
  return Counts{static_cast<std::uint64_t>(get.Integer(0)),
                static_cast<std::uint64_t>(get.Integer(1))};
}

Result<std::vector<MemberRow>> IdentityStore::Members(std::uint64_t most) {
  DEMUR_TRY(auto get, database_.Prepare("SELECT number, public_key, revoked FROM device "
                                        "WHERE number <= ? ORDER BY number"));
  get.Bind(1, static_cast<std::int64_t>(most));
  std::vector<MemberRow> out;
  for (;;) {
    DEMUR_TRY(const bool more, get.Step());
    if (!more) return out;
    // A number is a place in the tree: one that is missing would move all after it.
    if (static_cast<std::uint64_t>(get.Integer(0)) != out.size() + 1) {
      return Error(ErrorCode::kDataLoss, "authority database is damaged: a device is missing");
    }
    MemberRow row;
    DEMUR_TRY(row.key, FixedBlob<32>(get, 1));
    row.revoked = !get.IsNull(2);
    out.push_back(row);
  }
}

Status IdentityStore::AddEpoch(const EpochRow& row) {
  DEMUR_TRY(auto put, database_.Prepare("INSERT INTO epoch VALUES (?,?)"));
  return put.Bind(1, static_cast<std::int64_t>(row.epoch)).Bind(2, ByteView(row.statement)).Run();
}

Result<std::optional<EpochRow>> IdentityStore::LastEpoch() {
  DEMUR_TRY(auto get,
            database_.Prepare("SELECT epoch, statement FROM epoch ORDER BY epoch DESC LIMIT 1"));
  DEMUR_TRY(const bool found, get.Step());
  if (!found) return std::optional<EpochRow>();
  return std::optional(EpochRow{static_cast<std::uint64_t>(get.Integer(0)), ToBytes(get.Blob(1))});
}

}  // namespace demur::authority
