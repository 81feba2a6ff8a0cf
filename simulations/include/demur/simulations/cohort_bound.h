#pragma once

#include <cstdint>
#include <string>

#include "demur/base/json.h"
#include "demur/base/result.h"

// What a cohort that the authority's beacon draws may hold, in numbers: `demur-sim cohort-bound`.
// Pure.
namespace demur::sim {

struct CohortBoundRequest {
  std::uint64_t enrolled = 0;
  double rate = 0;     // share of the enrolled that a draw makes eligible
  double corrupt = 0;  // gamma of the enrolled, whole thousandths
  std::uint32_t roster = 0;
};

// kInvalidArgument: enrolled or roster 0, rate outside (0, 1] or corrupt outside [0, 0.5].
Result<Json> CohortBoundJson(const CohortBoundRequest& request);
// The same in a sentence.
Result<std::string> CohortBoundText(const CohortBoundRequest& request);

}  // namespace demur::sim
