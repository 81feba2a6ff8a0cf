#pragma once

#include <memory>

#include "demur/base/result.h"
#include "demur/learning/server_step.h"
#include "demur/model/plan.h"

namespace demur::item_statistics {

// Adds the decoded sum (mean times normaliser) of a round to the running counts. No state.
Result<std::unique_ptr<learning::ServerStep>> MakeServer(const model::TrainingPlan& plan);
Result<model::Schema> MakeSchema(std::uint32_t items, double weight);

}  // namespace demur::item_statistics
