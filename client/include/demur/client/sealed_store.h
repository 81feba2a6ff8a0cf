#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/client/key_provider.h"
#include "demur/client/row_sealer.h"

// Sealed rows on SQLite: what lies on the disk is {rowid, nonce, ciphertext} and nothing else, so a
// copy of the file shows how many rows each table has, their lengths and the order of insertion,
// and no item, time or task (docs/threat-model.md). Each row is AES-256-GCM with the table, the
// rowid, the schema version and the store's id as authenticated data: a row that is moved, swapped
// or taken from another store does not open.
//
// One sealed head row counts the commits and covers the set of all rows (a keyed set hash over
// rowid, nonce and tag), so a row that is removed, or put back to an older version of itself, is
// found on Open. A copy of the count lies beside the key: a whole file put back to yesterday's is
// found too. What is not found: data, key folder and counter all put back together.
//
// Not thread-safe. While a store is open nobody else can open it (exclusive lock).
namespace demur::client {

class SealedStore {
 public:
  // Opens, or makes, the store in `folder`. `keys` and `random` are borrowed for life. A purge that
  // a crash cut off after its transaction is finished here; see purge_pending() for one before.
  // kDataLoss: rows and head do not agree, the head is older than the counter beside the key, or
  //   the key is missing. Nothing of the store is changed then.
  // kUnavailable: another process has it open, or the system refused.
  static Result<SealedStore> Open(const std::string& folder, KeyProvider& keys,
                                  RandomSource& random);

  SealedStore(SealedStore&&) noexcept;
  SealedStore& operator=(SealedStore&&) noexcept;
  ~SealedStore();

  using Visitor = std::function<Status(std::int64_t rowid, ByteView plaintext)>;
  // Opens every row of `table` in the order of its rowids. An error of `visit` ends it.
  // kDataLoss: a row does not open.
  Status ForEach(StoreTable table, const Visitor& visit) const;
  std::uint64_t rows(StoreTable table) const;

  // Changes that become durable together. Nothing is written before Commit.
  class Batch {
   public:
    void Insert(StoreTable table, Bytes plaintext);
    void Replace(StoreTable table, std::int64_t rowid, Bytes plaintext);
    void Erase(StoreTable table, std::int64_t rowid);
    bool empty() const noexcept { return changes_.empty(); }

   private:
    friend class SealedStore;
    enum class Kind : std::uint8_t { kInsert, kReplace, kErase };
    struct Change {
      Kind kind;
      StoreTable table;
      std::int64_t rowid;
      SecretBytes plaintext;
    };
    std::vector<Change> changes_;
  };

  // Applies `batch`, and the head with it, in one transaction: durable on return. The result has
  // the rowid of each change, in order. After an error nothing of it is kept, or Check() fails:
  // then it may be on the disk or not, and only opening the store again tells.
  // kNotFound: a row to replace or to erase is not there. Others as in storage/database.h.
  Result<std::vector<std::int64_t>> Commit(Batch batch);

  // Replaces every row by the inserts of `keep`, sealed under a fresh key and a fresh store id,
  // wipes log and free pages, and shreds the old key. A batch with anything but inserts is a bug.
  // After an error either purge_pending() is true, or Check() fails and the next Open finishes it.
  Status Purge(Batch keep);
  // True when a purge was asked for and the program died, or the disk failed, before anything was
  // erased: the caller calls Purge again before it does anything else.
  bool purge_pending() const;

  // Success as long as this object knows what lies on the disk. kFailedPrecondition once a commit
  // has failed half-way (with its cause): nothing is read or written any more, open it again.
  Status Check() const;

  // Commits of this store so far.
  std::uint64_t generation() const;

 private:
  struct Impl;
  explicit SealedStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The file that holds the rows, for tests that tamper with it.
std::string SealedStorePath(const std::string& folder);

}  // namespace demur::client
