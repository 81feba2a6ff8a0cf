#include "secagg_plan.h"

#include <string>

#include "demur/model/tables.h"
#include "demur/secagg/parameters.h"

namespace demur::sim {
namespace {

constexpr std::uint32_t kClientsMax = 1'000'000;
constexpr std::uint32_t kPermilleMax = 500;
constexpr std::uint32_t kTimeoutMs = 1000;  // never waited for: a timer only says which phase ends

Error Bad(const std::string& what) { return Error(ErrorCode::kInvalidArgument, what); }

// Statistical security and robustness in bits (docs/protocol.md).
model::SecAggPlan SecAggPart(std::uint32_t clients, std::uint32_t corrupt_permille,
                             std::uint32_t dropout_permille, model::SecAggProfile profile) {
  const std::uint32_t sigma = profile == model::SecAggProfile::kMalicious ? 80 : 40;
  return {profile, clients, clients, corrupt_permille, dropout_permille, sigma, 20};
}

}  // namespace

std::uint32_t SecAggOptions::Leaving() const noexcept {
  return static_cast<std::uint32_t>(std::uint64_t{leave_permille.value_or(dropout_permille)} *
                                    clients / 1000);
}

Result<SecAggParameters> FindSecAggParameters(std::uint32_t clients, std::uint32_t corrupt_permille,
                                              std::uint32_t dropout_permille,
                                              model::SecAggProfile profile) {
  if (clients < secagg::kRosterFloor || clients > kClientsMax) {
    return Bad("--clients: " + std::to_string(secagg::kRosterFloor) + " to " +
               std::to_string(kClientsMax));
  }
  if (corrupt_permille > kPermilleMax) return Bad("--corrupt: 0 to 0.5");
  if (dropout_permille > kPermilleMax) return Bad("--dropout: 0 to 0.5");
  auto found = secagg::ComputeParameters(
      clients, SecAggPart(clients, corrupt_permille, dropout_permille, profile));
  if (!found) {
    return std::move(found).error().WithContext(
        "--clients, --corrupt and --dropout do not go together");
  }
  SecAggParameters out;
  out.neighbours = found->neighbours;
  out.threshold = found->threshold;
  if (found->committee > 0) {
    out.committee = found->committee;
    out.quorum = found->quorum;
  }
  out.label = secagg::ToString(found->graph);
  return out;
}

Result<model::Plan> SecAggSessionPlan(const SecAggOptions& options) {
  if (options.dim < 1 || options.dim > model::kMaxCoordinates) {
    return Bad("--dim: 1 to " + std::to_string(model::kMaxCoordinates));
  }
  if (options.bits < 8 || options.bits > 32) return Bad("--bits: 8 to 32");
  if (options.leave_permille.value_or(0) > 1000) return Bad("--leave: 0 to 1");
  model::Plan plan;
  plan.task.bytes.fill(std::byte{0x51});
  plan.round = {1, 1};
  plan.model_hash.fill(std::byte{0x52});
  plan.training.algorithm = "item_statistics";
  plan.training.schema.tables = {{"item", options.dim, 1, 1.0}};
  plan.training.slice = model::Slice::Everything(plan.training.schema);
  plan.training.value_max = 1;
  plan.training.normaliser = 1;
  plan.encoding = {1.0, 1, options.bits, 0, 1, 1, options.dim};
  plan.privacy.participations_max = 1;
  plan.privacy.rounds_max = 1;
  plan.secagg = SecAggPart(options.clients, options.corrupt_permille, options.dropout_permille,
                           options.profile);
  plan.timeouts = {kTimeoutMs, kTimeoutMs, kTimeoutMs, kTimeoutMs, kTimeoutMs, kTimeoutMs};
  DEMUR_RETURN_IF_ERROR(plan.Validate());
  return plan;
}

}  // namespace demur::sim
