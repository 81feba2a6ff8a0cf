#include "demur/client/key_provider.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "demur/base/file.h"

namespace demur::client {
namespace {

constexpr const char* kCurrent = "store.key";
constexpr const char* kStaged = "store.key.next";
constexpr const char* kCounter = "store.counter";
constexpr std::size_t kCounterMaxLen = 256;

class FileHandle {
 public:
  explicit FileHandle(int fd) noexcept : fd_(fd) {}
  FileHandle(const FileHandle&) = delete;
  FileHandle& operator=(const FileHandle&) = delete;
  ~FileHandle() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

Error SystemError(const std::string& path, const char* what) {
  const int number = errno;
  return Error(number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
               path + ": " + what + ": " + std::generic_category().message(number));
}

Result<StoreKey> ReadKey(const std::string& path) {
  auto bytes = ReadFile(path, StoreKey::kLen);
  if (!bytes) {
    if (bytes.error().code() != ErrorCode::kInvalidArgument) return std::move(bytes).error();
    return Error(ErrorCode::kDataLoss, path + ": not a store key");
  }
  const SecretBytes secret(std::move(bytes).value());
  if (secret.size() != StoreKey::kLen) {
    return Error(ErrorCode::kDataLoss, path + ": not a store key");
  }
  StoreKey key;
  const auto root = secret.view().first(32);
  const auto store = secret.view().subspan(32);
  std::copy(root.begin(), root.end(), key.root.mutable_view().begin());
  std::copy(store.begin(), store.end(), key.store.begin());
  return key;
}

Status SyncFolder(const std::string& folder) {
  const FileHandle handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (handle.get() < 0 || ::fsync(handle.get()) != 0) return SystemError(folder, "sync");
  return {};
}

// Overwrites the content in place and syncs; the name stays.
Status Shred(const std::string& path) {
  const FileHandle file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT) return {};
    return SystemError(path, "open");
  }
  const std::array<std::byte, StoreKey::kLen> zeros{};
  if (::pwrite(file.get(), zeros.data(), zeros.size(), 0) != static_cast<ssize_t>(zeros.size()) ||
      ::fsync(file.get()) != 0) {
    return SystemError(path, "overwrite");
  }
  return {};
}

}  // namespace

Result<StoreKey> FileKeyProvider::Load() { return ReadKey(Path(kCurrent)); }
Result<StoreKey> FileKeyProvider::LoadStaged() { return ReadKey(Path(kStaged)); }

Status FileKeyProvider::Stage(const StoreKey& key) {
  DEMUR_RETURN_IF_ERROR(MakeFolder(folder_));
  DEMUR_RETURN_IF_ERROR(DropStaged());
  SecretBytes bytes(StoreKey::kLen);
  const auto out = bytes.mutable_view();
  std::copy(key.root.view().begin(), key.root.view().end(), out.begin());
  std::copy(key.store.begin(), key.store.end(), out.begin() + 32);
  return WriteFileAtomically(Path(kStaged), bytes.view(), FileMode::kOwnerOnly);
}

Status FileKeyProvider::Promote() {
  DEMUR_RETURN_IF_ERROR(LoadStaged().has_value()
                            ? Status()
                            : Error(ErrorCode::kNotFound, folder_ + ": no staged store key"));
  // A crash between the two leaves a current key of zeros and the staged one; a store that opens
  // with the staged key calls Promote again.
  DEMUR_RETURN_IF_ERROR(Shred(Path(kCurrent)));
  if (::rename(Path(kStaged).c_str(), Path(kCurrent).c_str()) != 0) {
    return SystemError(Path(kStaged), "rename");
  }
  return SyncFolder(folder_);
}

Status FileKeyProvider::DropStaged() {
  const std::string path = Path(kStaged);
  DEMUR_RETURN_IF_ERROR(Shred(path));
  if (::unlink(path.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return SystemError(path, "unlink");
  }
  return SyncFolder(folder_);
}

Result<Bytes> FileKeyProvider::LoadCounter() {
  return ReadFile(Path(kCounter), 2 * kCounterMaxLen);
}

Status FileKeyProvider::SaveCounter(ByteView record) {
  // In place: one sync instead of the two of a rename. The record has two slots of its own and
  // survives a torn write of one (sealed_store.cc).
  const std::string path = Path(kCounter);
  const FileHandle file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (file.get() < 0) return SystemError(path, "open");
  if (::pwrite(file.get(), record.data(), record.size(), 0) !=
          static_cast<ssize_t>(record.size()) ||
      ::fdatasync(file.get()) != 0) {
    return SystemError(path, "write");
  }
  return {};
}

}  // namespace demur::client
