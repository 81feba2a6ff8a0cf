#include "demur/simulations/federation.h"

namespace demur::sim {

Result<std::unique_ptr<Federation>> MakeFederation(Mode mode, coordinator::PreparedTask task,
                                                   const Dataset& /*data*/,
                                                   const FederationSetup& setup,
                                                   const std::string& /*folder*/) {
  if (mode == Mode::kFast) {
    return MakeFastFederation(std::move(task), setup.people, setup.random, setup.workers,
                              setup.options);
  }
  return Error(ErrorCode::kUnimplemented, "wire mode is not built yet");
}

}  // namespace demur::sim
