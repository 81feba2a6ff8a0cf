#include <algorithm>
#include <map>

#include "demur/base/check.h"
#include "demur/secagg/packing.h"
#include "server_steps.h"

namespace demur::secagg::server {
namespace {

using wire::FrameType;

// A phase that begins with nobody to wait for: members may leave once their vectors are in.
ServerTransition EndOrWait(state::Confirming state, Effects effects, const ServerConfig& config) {
  if (Pending(state.core, state, 1) == 0) {
    return EndConfirming(std::move(state), std::move(effects), config);
  }
  return {std::move(state), std::move(effects), false};
}
ServerTransition EndOrWait(state::Unmasking state, Effects effects, const ServerConfig& config) {
  if (Pending(state.core, state, 1) == 0) {
    return EndUnmasking(std::move(state), std::move(effects), config);
  }
  return {std::move(state), std::move(effects), false};
}

// Active members that did not send `type` in time.
void MarkMissed(Core& core, FrameType type, Effects& effects, const ServerConfig& config) {
  for (Member& member : core.members) {
    if (member.standing != Standing::kActive || HasAccepted(member, type)) continue;
    member.standing = Standing::kMissed;
    SendExcluded(member, effects, config);
  }
}

// Two members with one key are both out: whose it is cannot be told, and who came first must not
// matter.
void ExcludeDoubles(Core& core, const std::vector<wire::Advertise>& advertised, Effects& effects,
                    const ServerConfig& config) {
  std::map<crypto::PublicKey, std::uint32_t> uses;
  for (const auto& entry : advertised) {
    ++uses[entry.channel_key];
    ++uses[entry.mask_key];
  }
  for (const auto& entry : advertised) {
    if (uses[entry.channel_key] == 1 && uses[entry.mask_key] == 1) continue;
    Member& member = *FindMember(core, entry.identity_key);
    member.standing = Standing::kExcluded;
    effects.emplace_back(effect::Evidence{member.id, Fault::kDuplicateKey});
    SendExcluded(member, effects, config);
  }
}

std::vector<wire::Advertise> Advertised(const Core& core) {
  std::vector<wire::Advertise> out;
  for (const Member& member : core.members) {
    if (member.standing != Standing::kActive) continue;
    auto advertise = wire::DecodeAdvertise(member.advertise.body);
    DEMUR_CHECK(advertise.has_value(), "an M1 was checked when it came");
    out.push_back(std::move(*advertise));
  }
  return out;
}

// The members are in order of their identity keys, and so is the roster. nullopt: the library
// failed.
std::optional<Frozen> FreezeRoster(Core& core, const std::vector<wire::Advertise>& advertised,
                                   const Parameters& parameters, const ServerConfig& config) {
  std::vector<RosterMember> roster;
  std::vector<Hash256> leaves;
  auto next = advertised.begin();
  for (std::uint32_t position = 0; position < core.members.size(); ++position) {
    Member& member = core.members[position];
    if (member.standing != Standing::kActive) continue;
    member.index = static_cast<std::uint32_t>(roster.size());
    const Hash256 rest = RosterRest(*next);
    roster.push_back({position, next->channel_key, next->mask_key, next->self_commitment, rest});
    leaves.push_back(RosterLeaf(member.id, rest));
    ++next;
  }
  MerkleTree tree(leaves);
  const auto n = static_cast<std::uint32_t>(leaves.size());
  const SessionFacts facts =
      MakeSession(config.announcement(), config.server_nonce(), tree.root(), n);
  auto graph = Graph::Create(n, parameters, GraphSeed(facts));
  if (!graph) return std::nullopt;
  std::vector<std::uint32_t> committee;
  if (parameters.committee > 0) {
    auto drawn = DrawCommittee(n, parameters, CommitteeSeed(facts));
    if (!drawn) return std::nullopt;
    committee = std::move(*drawn);
  }
  return Frozen{facts,           parameters,          std::move(*graph), std::move(roster),
                std::move(tree), std::move(committee)};
}

// Enough members, and enough neighbours of each in the set that its secrets can be opened.
bool HoldsTogether(const Frozen& frozen, const MemberSet& members, const MemberSet& helpers) {
  if (helpers.count() < frozen.parameters.survivors_min) return false;
  for (std::uint32_t i = 0; i < frozen.facts.n; ++i) {
    if (members.Contains(i) && frozen.graph.CountIn(i, helpers) < frozen.parameters.threshold) {
      return false;
    }
  }
  return true;
}

std::uint32_t CommitteeIn(const Frozen& frozen, const MemberSet& set) {
  return static_cast<std::uint32_t>(
      std::count_if(frozen.committee.begin(), frozen.committee.end(),
                    [&set](std::uint32_t member) { return set.Contains(member); }));
}

std::vector<MemberId> IdsOf(const Core& core, const Frozen& frozen, const MemberSet& set) {
  std::vector<MemberId> out;
  out.reserve(set.count());
  for (std::uint32_t i = 0; i < frozen.facts.n; ++i) {
    if (set.Contains(i)) out.push_back(core.members[frozen.roster[i].position].id);
  }
  return out;
}

void SendAll(const Core& core, FrameType type, const Frame& frame, Effects& effects) {
  for (const Member& member : core.members) {
    if (member.standing != Standing::kActive) continue;
    effects.emplace_back(effect::Send{member.id, type, frame});
  }
}

// What is left of the dealings once everybody has its ciphertexts.
std::vector<DealtHashes> KeepHashes(const std::vector<Dealing>& dealings) {
  std::vector<DealtHashes> out(dealings.size());
  for (std::size_t i = 0; i < dealings.size(); ++i) {
    for (const wire::SealedShares& item : dealings[i].items) {
      out[i].holders.push_back(item.index);
      out[i].mask.push_back(item.mask_share_hash);
      out[i].self.push_back(item.self_share_hash);
    }
  }
  return out;
}

std::uint32_t CountWaiting(const Core& core, FrameType type, std::uint32_t enough) noexcept {
  std::uint32_t waiting = 0;
  for (const Member& member : core.members) {
    if (waiting == enough) break;
    if (member.standing == Standing::kActive && !HasAccepted(member, type)) ++waiting;
  }
  return waiting;
}

}  // namespace

std::uint32_t Pending(const Core& core, const state::Announced&, std::uint32_t enough) noexcept {
  return CountWaiting(core, FrameType::kAdvertise, enough);
}
std::uint32_t Pending(const Core& core, const state::Advertising&, std::uint32_t enough) noexcept {
  return CountWaiting(core, FrameType::kAdvertise, enough);
}
// From here on whoever is not part of a set is no longer active.
std::uint32_t Pending(const Core& core, const state::Sharing&, std::uint32_t enough) noexcept {
  return CountWaiting(core, FrameType::kShares, enough);
}
std::uint32_t Pending(const Core& core, const state::Masking&, std::uint32_t enough) noexcept {
  return CountWaiting(core, FrameType::kMasked, enough);
}
// Of the committee, and nobody once the quorum has signed.
std::uint32_t Pending(const Core& core, const state::Confirming& state,
                      std::uint32_t enough) noexcept {
  if (state.confirmations.size() >= state.frozen.parameters.quorum) return 0;
  std::uint32_t waiting = 0;
  for (const std::uint32_t index : state.frozen.committee) {
    if (waiting == enough) break;
    const Member& member = core.members[state.frozen.roster[index].position];
    const bool active = member.standing == Standing::kActive;
    if (active && !HasAccepted(member, FrameType::kConfirm)) ++waiting;
  }
  return waiting;
}
std::uint32_t Pending(const Core& core, const state::Unmasking&, std::uint32_t enough) noexcept {
  return CountWaiting(core, FrameType::kUnmask, enough);
}

void StartTimer(Phase phase, Effects& effects, const ServerConfig& config) {
  const model::TimeoutPlan& timeouts = config.announcement().plan.timeouts;
  std::uint32_t duration_ms = 0;
  switch (phase) {
    case Phase::kTraining:
      duration_ms = timeouts.training_ms;
      break;
    case Phase::kAdvertise:
      duration_ms = timeouts.advertise_ms;
      break;
    case Phase::kShare:
      duration_ms = timeouts.share_ms;
      break;
    case Phase::kMask:
      duration_ms = timeouts.mask_ms;
      break;
    case Phase::kConfirm:
      duration_ms = timeouts.confirm_ms;
      break;
    case Phase::kUnmask:
      duration_ms = timeouts.unmask_ms;
      break;
  }
  if (duration_ms > 0) effects.emplace_back(effect::StartTimer{phase, duration_ms});
}

void SendExcluded(const Member& member, Effects& effects, const ServerConfig& config) {
  if (auto frame = MakeClose(config, wire::CloseStatus::kExcluded, {})) {
    effects.emplace_back(effect::Send{member.id, FrameType::kClose, std::move(frame)});
  }
}

ServerTransition Abandon(Core core, ServerAbort reason, bool shares_asked, Effects effects,
                         const ServerConfig& config) {
  effects.emplace_back(effect::Abandoned{reason, shares_asked, std::move(core.permit)});
  if (const auto frame = MakeClose(config, wire::CloseStatus::kAbandoned, {})) {
    SendAll(core, FrameType::kClose, frame, effects);
  }
  return {state::Aborted{reason}, std::move(effects), false};
}

ServerTransition EndAdvertising(Core core, Effects effects, const ServerConfig& config) {
  MarkMissed(core, FrameType::kAdvertise, effects, config);
  auto advertised = Advertised(core);
  ExcludeDoubles(core, advertised, effects, config);
  advertised = Advertised(core);
  const auto parameters = ComputeParameters(static_cast<std::uint32_t>(advertised.size()),
                                            config.announcement().plan.secagg);
  if (!parameters) {
    return Abandon(std::move(core), ServerAbort::kRosterTooSmall, false, std::move(effects),
                   config);
  }
  auto frozen = FreezeRoster(core, advertised, *parameters, config);
  if (!frozen) {
    return Abandon(std::move(core), ServerAbort::kInternal, false, std::move(effects), config);
  }
  StartTimer(Phase::kShare, effects, config);
  for (const RosterMember& member : frozen->roster) {
    effects.emplace_back(effect::SendOwn{core.members[member.position].id, FrameType::kRoster});
  }
  std::vector<Dealing> dealings(frozen->facts.n);
  return {state::Sharing{std::move(core), std::move(*frozen), std::move(dealings)},
          std::move(effects), false};
}

ServerTransition EndSharing(state::Sharing state, Effects effects, const ServerConfig& config) {
  MarkMissed(state.core, FrameType::kShares, effects, config);
  MemberSet shared(state.frozen.facts.n);
  for (std::uint32_t i = 0; i < state.frozen.facts.n; ++i) {
    const Member& member = state.core.members[state.frozen.roster[i].position];
    if (member.standing == Standing::kActive) shared.Insert(i);
  }
  if (!HoldsTogether(state.frozen, shared, shared)) {
    return Abandon(std::move(state.core), ServerAbort::kTooFewShared, false, std::move(effects),
                   config);
  }
  const std::uint32_t n = state.frozen.facts.n;
  state::Masking next{std::move(state.core),
                      std::move(state.frozen),
                      std::move(state.dealings),
                      std::move(shared),
                      MemberSet(n),
                      {}};
  next.sum.assign(config.announcement().dim, 0);
  StartTimer(Phase::kMask, effects, config);
  for (std::uint32_t i = 0; i < n; ++i) {
    if (!next.shared.Contains(i)) continue;
    const MemberId& to = next.core.members[next.frozen.roster[i].position].id;
    effects.emplace_back(effect::SendOwn{to, FrameType::kInbox});
  }
  return {std::move(next), std::move(effects), false};
}

ServerTransition EndMasking(state::Masking state, Effects effects, const ServerConfig& config) {
  MarkMissed(state.core, FrameType::kMasked, effects, config);
  if (!HoldsTogether(state.frozen, state.shared, state.survivors) ||
      CommitteeIn(state.frozen, state.survivors) < state.frozen.parameters.quorum) {
    return Abandon(std::move(state.core), ServerAbort::kTooFewSurvivors, false, std::move(effects),
                   config);
  }
  auto confirm = MakeConfirmRequest(config, state.frozen, state.survivors);
  if (!confirm) {
    return Abandon(std::move(state.core), ServerAbort::kInternal, false, std::move(effects),
                   config);
  }
  // Durable before anybody is asked for a share: a restart must neither ask for another set nor
  // think that the charge can be given back.
  effects.emplace_back(effect::PersistSurvivors{state.frozen.facts.session,
                                                IdsOf(state.core, state.frozen, state.survivors)});
  const bool signs = state.frozen.parameters.committee > 0;
  StartTimer(signs ? Phase::kConfirm : Phase::kUnmask, effects, config);
  SendAll(state.core, FrameType::kConfirmRequest, confirm, effects);
  const Hash256 transcript =
      signs ? ConfirmTranscript(state.frozen.facts, state.shared, state.survivors) : Hash256{};
  std::vector<OpenedShares> opened(state.frozen.facts.n);
  state::FixedSum fixed{std::move(state.core),      std::move(state.frozen),
                        KeepHashes(state.dealings), std::move(state.shared),
                        std::move(state.survivors), std::move(state.sum),
                        std::move(confirm),         transcript};
  if (signs) {
    return EndOrWait(state::Confirming{std::move(fixed), {}}, std::move(effects), config);
  }
  return EndOrWait(state::Unmasking{std::move(fixed), nullptr, std::move(opened)},
                   std::move(effects), config);
}

ServerTransition EndConfirming(state::Confirming state, Effects effects,
                               const ServerConfig& config) {
  if (state.confirmations.size() < state.frozen.parameters.quorum) {
    return Abandon(std::move(state.core), ServerAbort::kTooFewConfirmed, true, std::move(effects),
                   config);
  }
  auto request = MakeUnmaskRequest(config, state);
  if (!request) {
    return Abandon(std::move(state.core), ServerAbort::kInternal, true, std::move(effects), config);
  }
  StartTimer(Phase::kUnmask, effects, config);
  SendAll(state.core, FrameType::kUnmaskRequest, request, effects);
  std::vector<OpenedShares> opened(state.frozen.facts.n);
  return EndOrWait(state::Unmasking{static_cast<state::FixedSum&&>(state), std::move(request),
                                    std::move(opened)},
                   std::move(effects), config);
}

ServerTransition EndUnmasking(state::Unmasking state, Effects effects, const ServerConfig& config) {
  std::vector<MemberId> blamed;
  const auto failure = RemoveMasks(state, &blamed);
  for (const MemberId& dealer : blamed) {
    effects.emplace_back(effect::Evidence{dealer, Fault::kBadDealing});
  }
  if (failure) {
    return Abandon(std::move(state.core), *failure, true, std::move(effects), config);
  }
  Reduce(state.sum, config.announcement().plan.encoding.bits);
  effects.emplace_back(effect::SumReady{std::move(state.sum),
                                        IdsOf(state.core, state.frozen, state.survivors),
                                        std::move(state.core.permit)});
  return {state::Summed{std::move(state.core)}, std::move(effects), false};
}

}  // namespace demur::secagg::server
