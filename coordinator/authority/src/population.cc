#include "population.h"

#include <algorithm>
#include <string>
#include <utility>

namespace demur::authority {
namespace {

std::vector<Hash256> LeavesOf(const std::vector<MemberRow>& members) {
  std::vector<Hash256> leaves;
  leaves.reserve(members.size());
  for (const MemberRow& member : members) {
    leaves.push_back(member.revoked ? Hash256{} : secagg::PopulationLeaf(member.key));
  }
  return leaves;
}

}  // namespace

Result<secagg::PopulationStatement> MeasurePopulation(IdentityStore& store) {
  DEMUR_TRY(const Counts counts, store.Count());
  if (counts.devices == 0) {
    return Error(ErrorCode::kFailedPrecondition, "nobody is enrolled: there is no population yet");
  }
  DEMUR_TRY(const auto last, store.LastEpoch());
  DEMUR_TRY(const std::vector<MemberRow> members, store.Members(counts.devices));
  secagg::PopulationStatement out;
  out.epoch = last ? last->epoch + 1 : 1;
  out.enrolled = counts.devices;
  out.active = counts.devices - counts.revoked;
  out.revocations = counts.revoked;
  out.root = secagg::PopulationRoot(LeavesOf(members));
  return out;
}

Result<InclusionProof> ProveMember(IdentityStore& store,
                                   const secagg::PopulationStatement& statement,
                                   DeviceNumber device) {
  DEMUR_TRY(const std::vector<MemberRow> members, store.Members(statement.enrolled));
  if (device.value == 0 || device.value > members.size()) {
    return Error(ErrorCode::kNotFound, "device " + std::to_string(device.value) +
                                           " is not in the population of epoch " +
                                           std::to_string(statement.epoch));
  }
  const MemberRow& member = members[device.value - 1];
  const std::vector<Hash256> leaves = LeavesOf(members);
  if (secagg::PopulationRoot(leaves) != statement.root) {
    return Error(ErrorCode::kFailedPrecondition, "devices were revoked since epoch " +
                                                     std::to_string(statement.epoch) +
                                                     " was closed: close another one first");
  }
  if (member.revoked) {
    return Error(ErrorCode::kNotFound,
                 "device " + std::to_string(device.value) + " was revoked before the epoch closed");
  }
  return InclusionProof{statement, member.key, secagg::InclusionPath(leaves, device.value - 1)};
}

}  // namespace demur::authority
