#include <algorithm>

#include "demur/coordinator/task.h"

namespace demur::coordinator {

Result<std::vector<DeviceNumber>> SelectCohort(const std::vector<DeviceNumber>& eligible,
                                               std::uint32_t target, RandomStream& stream) {
  std::vector<DeviceNumber> pool = eligible;
  if (pool.size() <= target) return pool;
  // The first `target` places of a Fisher-Yates shuffle.
  for (std::uint32_t i = 0; i < target; ++i) {
    DEMUR_TRY(const std::uint32_t step,
              UniformBelow(stream, static_cast<std::uint32_t>(pool.size() - i)));
    std::swap(pool[i], pool[i + step]);
  }
  pool.resize(target);
  std::sort(pool.begin(), pool.end());
  return pool;
}

}  // namespace demur::coordinator
