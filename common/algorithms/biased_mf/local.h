#pragma once

#include <memory>

#include "demur/base/result.h"
#include "demur/learning/local_step.h"
#include "demur/model/plan.h"

namespace demur::biased_mf {

// Weighted logistic loss by SGD over the owner's labelled items and, where the plan wants them,
// sampled unobserved ones. Private state: x_u, then b_u.
Result<std::unique_ptr<learning::LocalStep>> MakeLocal(const model::TrainingPlan& plan);

}  // namespace demur::biased_mf
