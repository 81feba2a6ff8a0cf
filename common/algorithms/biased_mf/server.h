#pragma once

#include <memory>

#include "demur/base/result.h"
#include "demur/learning/server_step.h"
#include "demur/model/plan.h"

namespace demur::biased_mf {

// Reads the mean change as a descent direction and feeds it to SGD with momentum, Adam or Adagrad.
Result<std::unique_ptr<learning::ServerStep>> MakeServer(const model::TrainingPlan& plan);
// kInvalidArgument: sizes out of range.
Result<model::Schema> MakeSchema(std::uint32_t items, std::uint32_t factors, double weight);

}  // namespace demur::biased_mf
