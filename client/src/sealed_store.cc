#include "demur/client/sealed_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "demur/base/fault.h"
#include "demur/base/file.h"
#include "demur/crypto/aead.h"
#include "demur/storage/database.h"

namespace demur::client {
namespace {

using crypto::AeadNonce;
using storage::Statement;

constexpr std::array<std::string_view, kNumStoreTables> kTableNames = {"head", "event", "state",
                                                                       "task", "identity"};
constexpr std::array<std::string_view, 1> kMigrations = {
    "CREATE TABLE head(id INTEGER PRIMARY KEY, nonce BLOB NOT NULL, sealed BLOB NOT NULL);"
    "CREATE TABLE event(id INTEGER PRIMARY KEY, nonce BLOB NOT NULL, sealed BLOB NOT NULL);"
    "CREATE TABLE state(id INTEGER PRIMARY KEY, nonce BLOB NOT NULL, sealed BLOB NOT NULL);"
    "CREATE TABLE task(id INTEGER PRIMARY KEY, nonce BLOB NOT NULL, sealed BLOB NOT NULL);"
    "CREATE TABLE identity(id INTEGER PRIMARY KEY, nonce BLOB NOT NULL, sealed BLOB NOT NULL);"};
constexpr std::int64_t kHeadRow = 1;
constexpr std::size_t kSlotLen = 8 + 32;  // of the counter record: generation, tag

std::size_t Index(StoreTable table) { return static_cast<std::size_t>(table) - 1; }

struct Head {
  std::uint64_t generation = 0;
  std::array<std::uint64_t, kNumStoreTables> rows{};  // of kHead: unused
  std::array<std::int64_t, kNumStoreTables> next{};   // rowids never used
  Hash256 digest{};

  Bytes Encode() const {
    ByteWriter out;
    out.U64(generation);
    for (const std::uint64_t count : rows) out.U64(count);
    for (const std::int64_t rowid : next) out.U64(static_cast<std::uint64_t>(rowid));
    out.Raw(digest);
    return std::move(out).bytes();
  }

  static Result<Head> Decode(ByteView bytes) {
    ByteReader in(bytes);
    Head head;
    DEMUR_TRY(head.generation, in.U64());
    for (std::uint64_t& count : head.rows) {
      DEMUR_TRY(count, in.U64());
    }
    for (std::int64_t& rowid : head.next) {
      DEMUR_TRY(const std::uint64_t value, in.U64());
      rowid = static_cast<std::int64_t>(value);
    }
    DEMUR_TRY(const ByteView digest, in.Raw(head.digest.size()));
    std::copy(digest.begin(), digest.end(), head.digest.begin());
    DEMUR_RETURN_IF_ERROR(in.Finish());
    return head;
  }
};

Result<StoreKey> NewKey(RandomStream& random) {
  StoreKey key;
  DEMUR_RETURN_IF_ERROR(random.Fill(key.root.mutable_view()));
  DEMUR_RETURN_IF_ERROR(random.Fill(key.store));
  return key;
}

}  // namespace

std::string SealedStorePath(const std::string& folder) { return folder + "/store.sqlite"; }

struct SealedStore::Impl {
  KeyProvider* keys = nullptr;
  std::unique_ptr<RandomStream> random;  // keys and nonces
  std::optional<storage::Database> db;
  std::optional<RowSealer> sealer;
  Head head;
  bool purge_pending = false;
  std::optional<std::string> failure;  // why nothing is read or written any more
  mutable std::array<std::array<std::optional<Statement>, kNumStoreTables>, 4> statements;

  enum Query : std::size_t { kSelect = 0, kInsert = 1, kUpdate = 2, kDelete = 3 };

  Result<Statement*> Use(Query query, StoreTable table) const {
    auto& slot = statements[query][Index(table)];
    if (!slot) {
      const std::string name(kTableNames[Index(table)]);
      std::string sql;
      switch (query) {
        case kSelect:
          sql = "SELECT nonce, sealed FROM " + name + " WHERE id=?";
          break;
        case kInsert:
          sql = "INSERT INTO " + name + "(id, nonce, sealed) VALUES(?,?,?)";
          break;
        case kUpdate:
          sql = "UPDATE " + name + " SET nonce=?2, sealed=?3 WHERE id=?1";
          break;
        case kDelete:
          sql = "DELETE FROM " + name + " WHERE id=?";
          break;
      }
      DEMUR_TRY(slot, const_cast<storage::Database&>(*db).Prepare(sql));
    }
    return &*slot;
  }

  // Seals and writes one row; adds it to `next`'s digest.
  Status Put(Query query, StoreTable table, std::int64_t rowid, ByteView plaintext,
             const RowSealer& with, Head* next) {
    AeadNonce nonce{};
    DEMUR_RETURN_IF_ERROR(random->Fill(nonce));
    DEMUR_TRY(const Bytes sealed, with.Seal(table, rowid, nonce, plaintext));
    DEMUR_TRY(Statement * write, Use(query, table));
    DEMUR_RETURN_IF_ERROR(
        write->Bind(1, rowid).Bind(2, ByteView(nonce)).Bind(3, ByteView(sealed)).Run());
    if (table == StoreTable::kHead) return {};
    return with.Toggle(table, rowid, nonce, sealed, &next->digest);
  }

  // Takes a stored row out of `next`'s digest.
  Status TakeOut(StoreTable table, std::int64_t rowid, Head* next) {
    DEMUR_TRY(Statement * read, Use(kSelect, table));
    DEMUR_TRY(const bool found, read->Bind(1, rowid).Step());
    if (!found) return Error(ErrorCode::kNotFound, "device store: no such row");
    Status status = sealer->Toggle(table, rowid, read->Blob(0), read->Blob(1), &next->digest);
    read->Reset();
    return status;
  }

  Result<std::int64_t> ApplyChange(const Batch::Change& change, Head* next) {
    const std::size_t index = Index(change.table);
    switch (change.kind) {
      case Batch::Kind::kInsert: {
        const std::int64_t rowid = next->next[index]++;
        ++next->rows[index];
        DEMUR_RETURN_IF_ERROR(
            Put(kInsert, change.table, rowid, change.plaintext.view(), *sealer, next));
        return rowid;
      }
      case Batch::Kind::kReplace:
        DEMUR_RETURN_IF_ERROR(TakeOut(change.table, change.rowid, next));
        DEMUR_RETURN_IF_ERROR(
            Put(kUpdate, change.table, change.rowid, change.plaintext.view(), *sealer, next));
        return change.rowid;
      case Batch::Kind::kErase: {
        DEMUR_RETURN_IF_ERROR(TakeOut(change.table, change.rowid, next));
        DEMUR_TRY(Statement * erase, Use(kDelete, change.table));
        DEMUR_RETURN_IF_ERROR(erase->Bind(1, change.rowid).Run());
        --next->rows[index];
        return change.rowid;
      }
    }
    return Error(ErrorCode::kInternal, "device store: unknown change");
  }

  // The counter is a hint beside the key that the file's own count may not fall behind. Two slots:
  // a torn write spoils the newer one only.
  Status SaveCounter() {
    ByteWriter record;
    for (std::uint64_t slot = 0; slot < 2; ++slot) {
      const std::uint64_t g = head.generation % 2 == slot ? head.generation : head.generation - 1;
      record.U64(g).Raw(sealer->CounterTag(g));
    }
    return keys->SaveCounter(record.bytes());
  }

  // What is on the disk is not known from here on.
  Error Fail(Error error) {
    failure = error.message();
    return error;
  }

  Status WriteFirst();
  Status OpenHead();
  Result<bool> TryKey(const StoreKey& key);
  Result<bool> HasHead();
  Status CheckCounter(const RowSealer* other);
  Status CheckRows() const;
  Status Wipe();
  Status FinishPurge();
};

SealedStore::SealedStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SealedStore::SealedStore(SealedStore&&) noexcept = default;
SealedStore& SealedStore::operator=(SealedStore&&) noexcept = default;
SealedStore::~SealedStore() = default;

Result<bool> SealedStore::Impl::HasHead() {
  DEMUR_TRY(Statement * read, Use(kSelect, StoreTable::kHead));
  DEMUR_TRY(const bool found, read->Bind(1, kHeadRow).Step());
  read->Reset();
  return found;
}

// A store that was never there: the key is staged until the head is durable.
Status SealedStore::Impl::WriteFirst() {
  DEMUR_TRY(const StoreKey key, NewKey(*random));
  DEMUR_RETURN_IF_ERROR(keys->Stage(key));
  DEMUR_TRY(sealer, RowSealer::Create(key));
  head = Head{};
  head.generation = 1;
  head.next.fill(1);
  DEMUR_TRY(auto transaction, db->Begin());
  DEMUR_RETURN_IF_ERROR(Put(kInsert, StoreTable::kHead, kHeadRow, head.Encode(), *sealer, &head));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  FaultPoint("store.created");
  DEMUR_RETURN_IF_ERROR(SaveCounter());
  return keys->Promote();
}

// True: the key opens the head, and head and sealer are set.
Result<bool> SealedStore::Impl::TryKey(const StoreKey& key) {
  DEMUR_TRY(RowSealer candidate, RowSealer::Create(key));
  DEMUR_TRY(Statement * read, Use(kSelect, StoreTable::kHead));
  DEMUR_TRY(const bool found, read->Bind(1, kHeadRow).Step());
  if (!found) return Error(ErrorCode::kDataLoss, "device store: the head is gone");
  const auto plain = candidate.Open(StoreTable::kHead, kHeadRow, read->Blob(0), read->Blob(1));
  read->Reset();
  if (!plain) return false;
  DEMUR_TRY(head, Head::Decode(plain->view()));
  sealer = std::move(candidate);
  return true;
}

// The file may be one commit ahead of the counter (a crash between the two), never behind it.
Status SealedStore::Impl::CheckCounter(const RowSealer* other) {
  std::uint64_t counter = 0;
  const auto record = keys->LoadCounter();
  if (!record && record.error().code() != ErrorCode::kNotFound) return record.error();
  if (record) {
    bool authentic = false;
    ByteReader in(*record);
    while (in.remaining() >= kSlotLen) {
      DEMUR_TRY(const std::uint64_t generation, in.U64());
      DEMUR_TRY(const ByteView tag, in.Raw(32));
      const bool ours = ConstantTimeEqual(tag, sealer->CounterTag(generation)) ||
                        (other != nullptr && ConstantTimeEqual(tag, other->CounterTag(generation)));
      if (!ours) continue;
      authentic = true;
      counter = std::max(counter, generation);
    }
    if (!authentic) {
      return Error(ErrorCode::kDataLoss, "device store: the counter beside the key is damaged");
    }
  }
  if (head.generation != counter && head.generation != counter + 1) {
    return Error(ErrorCode::kDataLoss,
                 "device store: the file is not the latest one (put back from a copy?)");
  }
  return {};
}

// Every row that should be there is there, in its latest version, and no other.
Status SealedStore::Impl::CheckRows() const {
  Hash256 digest{};
  for (std::size_t i = 1; i < kNumStoreTables; ++i) {
    const auto table = static_cast<StoreTable>(i + 1);
    DEMUR_TRY(Statement all, const_cast<storage::Database&>(*db).Prepare(
                                 "SELECT id, nonce, sealed FROM " + std::string(kTableNames[i])));
    std::uint64_t count = 0;
    for (;;) {
      DEMUR_TRY(const bool row, all.Step());
      if (!row) break;
      ++count;
      DEMUR_RETURN_IF_ERROR(
          sealer->Toggle(table, all.Integer(0), all.Blob(1), all.Blob(2), &digest));
    }
    if (count != head.rows[i]) {
      return Error(ErrorCode::kDataLoss, "device store: rows are missing or were added");
    }
  }
  if (!ConstantTimeEqual(digest, head.digest)) {
    return Error(ErrorCode::kDataLoss, "device store: rows were swapped or put back");
  }
  return {};
}

Status SealedStore::Impl::Wipe() {
  DEMUR_RETURN_IF_ERROR(db->Checkpoint());
  DEMUR_RETURN_IF_ERROR(db->Vacuum());
  return db->Checkpoint();
}

// What is left once the rows are sealed under the staged key.
Status SealedStore::Impl::FinishPurge() {
  DEMUR_RETURN_IF_ERROR(Wipe());
  FaultPoint("purge.wiped");
  DEMUR_RETURN_IF_ERROR(SaveCounter());
  DEMUR_RETURN_IF_ERROR(keys->Promote());
  FaultPoint("purge.promoted");
  return {};
}

Status SealedStore::Impl::OpenHead() {
  const auto current = keys->Load();
  const auto staged = keys->LoadStaged();
  for (const auto* key : {&current, &staged}) {
    // A keystore that is locked or cannot be asked says nothing about the data.
    const bool missing = !*key && (key->error().code() == ErrorCode::kNotFound ||
                                   key->error().code() == ErrorCode::kDataLoss);
    if (!*key && !missing) return Error(key->error()).WithContext("device store: its key");
  }
  DEMUR_TRY(const bool has_head, HasHead());
  if (!has_head) {
    if (current || keys->LoadCounter().has_value()) {
      return Error(ErrorCode::kDataLoss, "device store: the data is gone, its key is not");
    }
    return WriteFirst();
  }
  if (current) {
    DEMUR_TRY(const bool opened, TryKey(*current));
    if (opened) {
      purge_pending = staged.has_value();
      DEMUR_RETURN_IF_ERROR(CheckCounter(nullptr));
      return CheckRows();
    }
  }
  if (staged) {
    DEMUR_TRY(const bool opened, TryKey(*staged));
    if (opened) {
      // The transaction of a purge, or of the first open, is through; its tail is not.
      std::optional<RowSealer> old;
      if (current) {
        DEMUR_TRY(old, RowSealer::Create(*current));
      }
      DEMUR_RETURN_IF_ERROR(CheckCounter(old ? &*old : nullptr));
      DEMUR_RETURN_IF_ERROR(CheckRows());
      return FinishPurge();
    }
  }
  return Error(ErrorCode::kDataLoss, "device store: its key is missing or another one");
}

Result<SealedStore> SealedStore::Open(const std::string& folder, KeyProvider& keys,
                                      RandomSource& random) {
  DEMUR_RETURN_IF_ERROR(MakeFolder(folder));
  auto impl = std::make_unique<Impl>();
  impl->keys = &keys;
  DEMUR_TRY(impl->random, random.Stream({.purpose = Purpose::kKeys}));
  storage::Options options;
  options.exclusive = true;
  options.busy_timeout_ms = 0;
  DEMUR_TRY(impl->db, storage::Database::Open(SealedStorePath(folder), options));
  Status status = impl->db->Migrate(kMigrations);
  if (status) status = impl->OpenHead();
  if (!status) {
    return std::move(status).error().WithContext(folder);
  }
  return SealedStore(std::move(impl));
}

Status SealedStore::Check() const {
  if (!impl_->failure) return {};
  return Error(ErrorCode::kFailedPrecondition,
               "device store: a write failed half-way, open it again (" + *impl_->failure + ")");
}

Status SealedStore::ForEach(StoreTable table, const Visitor& visit) const {
  DEMUR_RETURN_IF_ERROR(Check());
  DEMUR_TRY(Statement all,
            impl_->db->Prepare("SELECT id, nonce, sealed FROM " +
                               std::string(kTableNames[Index(table)]) + " ORDER BY id"));
  for (;;) {
    DEMUR_TRY(const bool row, all.Step());
    if (!row) return {};
    DEMUR_TRY(const SecretBytes plain,
              impl_->sealer->Open(table, all.Integer(0), all.Blob(1), all.Blob(2)));
    DEMUR_RETURN_IF_ERROR(visit(all.Integer(0), plain.view()));
  }
}

std::uint64_t SealedStore::rows(StoreTable table) const { return impl_->head.rows[Index(table)]; }
std::uint64_t SealedStore::generation() const { return impl_->head.generation; }
bool SealedStore::purge_pending() const { return impl_->purge_pending; }

void SealedStore::Batch::Insert(StoreTable table, Bytes plaintext) {
  changes_.push_back({Kind::kInsert, table, 0, SecretBytes(std::move(plaintext))});
}
void SealedStore::Batch::Replace(StoreTable table, std::int64_t rowid, Bytes plaintext) {
  changes_.push_back({Kind::kReplace, table, rowid, SecretBytes(std::move(plaintext))});
}
void SealedStore::Batch::Erase(StoreTable table, std::int64_t rowid) {
  changes_.push_back({Kind::kErase, table, rowid, SecretBytes()});
}

Result<std::vector<std::int64_t>> SealedStore::Commit(Batch batch) {
  DEMUR_RETURN_IF_ERROR(Check());
  if (impl_->purge_pending) {
    return Error(ErrorCode::kFailedPrecondition, "device store: a purge is pending");
  }
  std::vector<std::int64_t> rowids;
  rowids.reserve(batch.changes_.size());
  if (batch.empty()) return rowids;
  Head next = impl_->head;
  ++next.generation;
  DEMUR_TRY(auto transaction, impl_->db->Begin());
  for (const Batch::Change& change : batch.changes_) {
    DEMUR_TRY(const std::int64_t rowid, impl_->ApplyChange(change, &next));
    rowids.push_back(rowid);
  }
  DEMUR_RETURN_IF_ERROR(
      impl_->Put(Impl::kUpdate, StoreTable::kHead, kHeadRow, next.Encode(), *impl_->sealer, &next));
  FaultPoint("store.before_commit");
  if (Status done = transaction.Commit(); !done) return impl_->Fail(std::move(done).error());
  FaultPoint("store.after_commit");
  impl_->head = next;
  // The counter allows for one commit that it has not seen. A second one would lock the store.
  if (Status done = impl_->SaveCounter(); !done) return impl_->Fail(std::move(done).error());
  FaultPoint("store.after_counter");
  return rowids;
}

Status SealedStore::Purge(Batch keep) {
  DEMUR_RETURN_IF_ERROR(Check());
  DEMUR_TRY(const StoreKey key, NewKey(*impl_->random));
  DEMUR_TRY(RowSealer fresh, RowSealer::Create(key));
  DEMUR_RETURN_IF_ERROR(impl_->keys->Stage(key));
  // As the next Open would see it: what is written from here on would be erased there.
  impl_->purge_pending = true;
  FaultPoint("purge.staged");
  Head next;
  next.generation = impl_->head.generation + 1;
  next.next.fill(1);
  {
    DEMUR_TRY(auto transaction, impl_->db->Begin());
    for (std::size_t i = 1; i < kNumStoreTables; ++i) {
      DEMUR_RETURN_IF_ERROR(impl_->db->Execute("DELETE FROM " + std::string(kTableNames[i])));
    }
    for (const Batch::Change& change : keep.changes_) {
      DEMUR_CHECK(change.kind == Batch::Kind::kInsert, "a purge keeps inserts only");
      const std::size_t index = Index(change.table);
      ++next.rows[index];
      DEMUR_RETURN_IF_ERROR(impl_->Put(Impl::kInsert, change.table, next.next[index]++,
                                       change.plaintext.view(), fresh, &next));
    }
    DEMUR_RETURN_IF_ERROR(
        impl_->Put(Impl::kUpdate, StoreTable::kHead, kHeadRow, next.Encode(), fresh, &next));
    if (Status done = transaction.Commit(); !done) return impl_->Fail(std::move(done).error());
  }
  FaultPoint("purge.rekeyed");
  impl_->head = next;
  impl_->sealer = std::move(fresh);
  impl_->purge_pending = false;
  if (Status done = impl_->FinishPurge(); !done) return impl_->Fail(std::move(done).error());
  return {};
}

}  // namespace demur::client
