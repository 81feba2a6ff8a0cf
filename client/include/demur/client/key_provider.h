#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"

// Where the key of a device's store lives. A phone gives its keystore; the default is a file with
// mode 0600 beside the store. Not thread-safe per object.
namespace demur::client {

// Everything that opens one store. Without it the store's rows are noise.
struct StoreKey {
  static constexpr std::size_t kLen = 48;

  SecretArray<32> root;               // rows are sealed under keys derived from it
  std::array<std::byte, 16> store{};  // names the store in every row's authenticated data

  StoreKey Clone() const { return {root.Clone(), store}; }
};

// Holds at most two keys: the current one and, while a store is being made or purged, a staged one.
// The counter is beside the key, not beside the data, so that a copy of the data folder from last
// week does not bring last week's counter with it.
class KeyProvider {
 public:
  virtual ~KeyProvider() = default;

  // kNotFound: none yet. kDataLoss: what is there is not a key. Any other code, such as
  // kUnavailable while a keystore is locked: Open hands it on, and nothing is taken for lost.
  virtual Result<StoreKey> Load() = 0;
  virtual Result<StoreKey> LoadStaged() = 0;
  // Durable when it returns; replaces a staged key. The current key is not touched.
  virtual Status Stage(const StoreKey& key) = 0;
  // Shreds the current key; the staged one takes its place. kNotFound: nothing is staged.
  virtual Status Promote() = 0;
  // Shreds the staged key, if there is one.
  virtual Status DropStaged() = 0;

  // A short record that the store authenticates itself. Durable when Save returns; after a crash
  // Load gives the last saved or the one before. kNotFound: never saved.
  virtual Result<Bytes> LoadCounter() = 0;
  virtual Status SaveCounter(ByteView record) = 0;
};

// `folder`/store.key, store.key.next and store.counter. Shredding overwrites the file in place and
// syncs before it unlinks it; a file system that keeps old blocks (copy on write, flash wear
// levelling, snapshots) may still hold the key, which is why hosts with a keystore should give it.
class FileKeyProvider final : public KeyProvider {
 public:
  explicit FileKeyProvider(std::string folder) : folder_(std::move(folder)) {}

  Result<StoreKey> Load() override;
  Result<StoreKey> LoadStaged() override;
  Status Stage(const StoreKey& key) override;
  Status Promote() override;
  Status DropStaged() override;
  Result<Bytes> LoadCounter() override;
  Status SaveCounter(ByteView record) override;

 private:
  std::string Path(const char* name) const { return folder_ + "/" + name; }
  std::string folder_;
};

}  // namespace demur::client
