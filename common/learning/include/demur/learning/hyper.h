#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "demur/base/result.h"
#include "demur/model/plan.h"

// Hyper-parameters of an algorithm as a table. A plan comes from a peer: what the table does not
// know or does not allow is refused before anything is computed. Stateless.
namespace demur::learning {

struct HyperSpec {
  std::string_view name;
  double fallback = 0;  // when the plan does not say
  double min = 0;
  double max = 0;
  bool integer = false;
};

// The values in the order of `specs`.
// kInvalidArgument: a name that is not in `specs`, or a value out of range, not finite, or with a
// fraction where an integer is asked for (names the parameter and its range).
Result<std::vector<double>> ReadHyper(const model::TrainingPlan& plan,
                                      std::span<const HyperSpec> specs);

}  // namespace demur::learning
