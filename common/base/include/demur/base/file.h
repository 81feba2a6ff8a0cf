#pragma once

#include <cstdint>
#include <string>

#include "demur/base/bytes.h"
#include "demur/base/result.h"

// Whole-file helpers. Errors name the path. Stateless; safe from several threads.
namespace demur {

// kNotFound: no such file. kInvalidArgument: longer than `max_len` (nothing is read then).
// kUnavailable: any other refusal of the system, with its text.
Result<Bytes> ReadFile(const std::string& path, std::uint64_t max_len);
Result<std::string> ReadTextFile(const std::string& path, std::uint64_t max_len);

enum class FileMode { kPublic, kOwnerOnly };  // 0644, 0600

// Writes a temporary file beside `path`, syncs it, renames it over `path` and syncs the folder:
// after a crash the path holds the old bytes or the new, never a part. kUnavailable on failure.
Status WriteFileAtomically(const std::string& path, ByteView bytes, FileMode mode);

// Makes `path` and what is missing above it, the last folder with mode 0700. kUnavailable.
Status MakeFolder(const std::string& path);

}  // namespace demur
