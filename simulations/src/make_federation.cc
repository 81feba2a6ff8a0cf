#include "demur/simulations/federation.h"

namespace demur::sim {

Result<std::unique_ptr<Federation>> MakeFederation(Mode mode, coordinator::PreparedTask task,
                                                   const FederationSetup& setup,
                                                   const std::string& folder) {
  if (mode == Mode::kWire) return MakeWireFederation(std::move(task), setup, folder);
  return MakeFastFederation(std::move(task), setup.people, setup.random, setup.workers,
                            setup.options);
}

}  // namespace demur::sim
