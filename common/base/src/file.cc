#include "demur/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace demur {
namespace {

// Closes on every way out.
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
  const ErrorCode code = number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable;
  return Error(code, path + ": " + what + ": " + std::generic_category().message(number));
}

Status WriteAll(int fd, ByteView bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(path, "write");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

Result<Bytes> ReadFile(const std::string& path, std::uint64_t max_len) {
  const FileHandle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return SystemError(path, "open");
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return SystemError(path, "stat");
  if (!S_ISREG(info.st_mode)) return Error(ErrorCode::kInvalidArgument, path + ": not a file");
  if (static_cast<std::uint64_t>(info.st_size) > max_len) {
    return Error(ErrorCode::kInvalidArgument, path + ": " + std::to_string(info.st_size) +
                                                  " bytes, limit " + std::to_string(max_len));
  }
  Bytes out(static_cast<std::size_t>(info.st_size));
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::read(file.get(), out.data() + done, out.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(path, "read");
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  out.resize(done);
  return out;
}

Result<std::string> ReadTextFile(const std::string& path, std::uint64_t max_len) {
  DEMUR_TRY(const Bytes bytes, ReadFile(path, max_len));
  return std::string(AsText(bytes));
}

Status WriteFileAtomically(const std::string& path, ByteView bytes, FileMode mode) {
  const std::string temporary = path + ".new";
  const mode_t bits = mode == FileMode::kOwnerOnly ? 0600 : 0644;
  ::unlink(temporary.c_str());
  {
    const FileHandle file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, bits));
    if (file.get() < 0) return SystemError(temporary, "create");
    DEMUR_RETURN_IF_ERROR(WriteAll(file.get(), bytes, temporary));
    if (::fsync(file.get()) != 0) return SystemError(temporary, "sync");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return SystemError(path, "rename");
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const FileHandle handle(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (handle.get() < 0 || ::fsync(handle.get()) != 0) return SystemError(folder, "sync");
  return {};
}

Status MakeFolder(const std::string& path) {
  std::error_code ec;
  const bool made = std::filesystem::create_directories(path, ec);
  if (ec) return Error(ErrorCode::kUnavailable, path + ": " + ec.message());
  if (made && ::chmod(path.c_str(), 0700) != 0) return SystemError(path, "chmod");
  if (!std::filesystem::is_directory(path, ec)) {
    return Error(ErrorCode::kUnavailable, path + ": not a folder");
  }
  return {};
}

}  // namespace demur
