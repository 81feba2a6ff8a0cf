#pragma once

#include <memory>

#include "demur/base/result.h"
#include "demur/learning/local_step.h"
#include "demur/model/plan.h"

namespace demur::item_statistics {

// Counts what the owner's train events say about each item: a vector of zeros and ones that the
// privacy layer clips, so that one person weighs little. No private state. Everybody counts in
// every round they take part in; shares of a total are then unbiased, totals are per
// participation.
Result<std::unique_ptr<learning::LocalStep>> MakeLocal(const model::TrainingPlan& plan);

}  // namespace demur::item_statistics
