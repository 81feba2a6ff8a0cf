#include "demur/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace demur::internal {

void CheckFailed(const char* condition, const char* message, const char* file, int line) noexcept {
  std::fprintf(stderr, "%s:%d: check failed: %s (%s)\n", file, line, message, condition);
  std::abort();
}

}  // namespace demur::internal
