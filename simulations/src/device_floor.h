#pragma once

#include "demur/client/policy.h"
#include "demur/model/plan.h"

namespace demur::sim {

// A floor that agrees to exactly the task of `plan`: what the owner of a simulated device wants is
// what the scenario says. Private to the simulator.
client::Floor FloorFor(const model::Plan& plan);

}  // namespace demur::sim
