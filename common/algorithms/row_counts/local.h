#pragma once

#include <memory>

#include "demur/base/result.h"
#include "demur/learning/local_step.h"
#include "demur/model/plan.h"

namespace demur::row_counts {

// A one at the bucket of every item that the owner's train events give an opinion on; where there
// are more buckets than `rows_max`, of so many drawn from them. No private state, nothing to score.
Result<std::unique_ptr<learning::LocalStep>> MakeLocal(const model::TrainingPlan& plan);

}  // namespace demur::row_counts
