#pragma once

#include "demur/model/plan.h"
#include "demur/simulations/secagg_session.h"

// The plan of a measured session. Private to simulations.
namespace demur::sim {

// A plan whose roster is exactly the session's clients and whose vector has `dim` coordinates. One
// table, no noise, a timer for each phase; sigma and eta are the profile's.
// kInvalidArgument names the flag.
Result<model::Plan> SecAggSessionPlan(const SecAggOptions& options);

}  // namespace demur::sim
