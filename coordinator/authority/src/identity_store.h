#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "demur/authority/authority.h"
#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/storage/database.h"

// The authority's tables. Private to the part. One thread at a time; the caller brackets what
// belongs together with Begin and Commit.
namespace demur::authority {

struct CoordinatorRow {
  std::string name;
  wire::Endpoint address;
  wire::PublicKey plan_key{};
};

struct TokenRow {
  std::int64_t rowid = 0;
  std::int64_t expires = 0;   // Unix seconds
  std::uint32_t devices = 0;  // uses allowed
  std::uint32_t used = 0;
};

// What the population's tree is made of.
struct MemberRow {
  wire::PublicKey key{};
  bool revoked = false;
};

// An epoch that was closed.
struct EpochRow {
  std::uint64_t epoch = 0;
  Bytes statement;  // as signed
};

struct DeviceRow {
  DeviceNumber number;
  bool revoked = false;
};

class IdentityStore {
 public:
  // `create` false: kNotFound when the file is missing.
  static Result<IdentityStore> Open(const std::string& path, bool create);

  Result<storage::Transaction> Begin() { return database_.Begin(); }

  Status SetCoordinator(const CoordinatorRow& row);
  Result<std::optional<CoordinatorRow>> Coordinator();

  // `id`: a hash of the secret; the secret itself is never stored.
  Status AddToken(const Hash256& id, std::uint32_t devices, std::int64_t expires);
  // Compares with every stored id in full, so that the time says nothing about how near a guess is.
  Result<std::optional<TokenRow>> FindToken(const Hash256& id);
  Status CountUse(const TokenRow& token);
  // Forgets tokens that expired before `before`.
  Status DropTokens(std::int64_t before);

  Result<std::optional<DeviceRow>> FindDevice(const wire::PublicKey& key);
  // The next number in order.
  Result<DeviceNumber> AddDevice(const wire::PublicKey& key, std::int64_t now);
  // False: it was revoked before. kNotFound: no such device.
  Result<bool> Revoke(DeviceNumber device, std::int64_t now);
  Result<std::vector<DeviceNumber>> Revoked();
  Result<Counts> Count();

  // Devices 1 to `most`, in the order of their numbers.
  Result<std::vector<MemberRow>> Members(std::uint64_t most);
  Status AddEpoch(const EpochRow& row);
  // The newest one.
  Result<std::optional<EpochRow>> LastEpoch();

 private:
  explicit IdentityStore(storage::Database database) : database_(std::move(database)) {}
  storage::Database database_;
};

}  // namespace demur::authority
