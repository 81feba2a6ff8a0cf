#pragma once

#include "demur/authority/authority.h"
#include "demur/base/ids.h"
#include "demur/base/result.h"
#include "demur/secagg/cohort.h"
#include "identity_store.h"

// The enrolled population as the tree of an epoch. Private to the part. Both read only; the caller
// brackets them.
namespace demur::authority {

// The next epoch's statement but for beacon and time. kFailedPrecondition: nobody is enrolled.
Result<secagg::PopulationStatement> MeasurePopulation(IdentityStore& store);

// Errors of Authority::ProveInclusion.
Result<InclusionProof> ProveMember(IdentityStore& store,
                                   const secagg::PopulationStatement& statement,
                                   DeviceNumber device);

}  // namespace demur::authority
