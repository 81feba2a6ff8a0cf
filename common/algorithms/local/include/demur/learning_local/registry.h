#pragma once

#include <memory>
#include <string_view>

#include "demur/base/result.h"
#include "demur/learning/local_step.h"
#include "demur/model/plan.h"

// The device's halves of all algorithms, by name. Stateless.
namespace demur::learning_local {

// kNotFound: no algorithm `name` (the message lists the known ones). kInvalidArgument: the schema
// is not the algorithm's, or a hyper-parameter is unknown or out of range.
Result<std::unique_ptr<learning::LocalStep>> MakeLocalStep(std::string_view name,
                                                           const model::TrainingPlan& plan);

}  // namespace demur::learning_local
