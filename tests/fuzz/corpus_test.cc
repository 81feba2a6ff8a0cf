#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "demur/base/file.h"
#include "result_matchers.h"

// Runs a fuzz target over its corpus, and over every truncation of each file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace demur {
namespace {

TEST(Corpus, EveryFileAndEveryTruncationIsHandled) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(DEMUR_CORPUS)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  ASSERT_FALSE(files.empty()) << DEMUR_CORPUS;
  for (const auto& file : files) {
    SCOPED_TRACE(file.string());
    ASSERT_OK_AND_ASSIGN(const Bytes bytes, ReadFile(file.string(), 1U << 24));
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    LLVMFuzzerTestOneInput(data, bytes.size());
    const std::size_t step = std::max<std::size_t>(1, bytes.size() / 64);
    for (std::size_t len = 0; len < bytes.size(); len += step) LLVMFuzzerTestOneInput(data, len);
  }
}

}  // namespace
}  // namespace demur
