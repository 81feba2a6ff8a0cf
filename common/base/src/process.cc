#include "demur/base/process.h"

#include <sys/resource.h>

#include <string>

namespace demur {

Status RaiseDescriptorLimit(std::uint64_t needed) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return Error(ErrorCode::kInternal, "cannot read the limit of open files");
  }
  if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) (void)::getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= needed) return {};
  return Error(ErrorCode::kResourceExhausted,
               "needs " + std::to_string(needed) + " open files, the system allows " +
                   std::to_string(limit.rlim_cur) + ": raise it (ulimit -n) or ask for less");
}

}  // namespace demur
