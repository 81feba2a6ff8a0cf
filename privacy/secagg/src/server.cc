#include "demur/secagg/server.h"

#include <algorithm>
#include <type_traits>

#include "demur/base/check.h"
#include "demur/crypto/hash.h"
#include "server_steps.h"

namespace demur::secagg {
namespace server {
namespace {

using wire::FrameType;

ServerTransition Refuse(ServerState state) { return {std::move(state), {}, true}; }

// --- What a state waits for
// -----------------------------------------------------------------------

bool Awaits(const state::Announced&, FrameType type) { return type == FrameType::kAdvertise; }
bool Awaits(const state::Advertising&, FrameType type) { return type == FrameType::kAdvertise; }
bool Awaits(const state::Sharing&, FrameType type) { return type == FrameType::kShares; }
bool Awaits(const state::Masking&, FrameType type) { return type == FrameType::kMasked; }
bool Awaits(const state::Confirming&, FrameType type) { return type == FrameType::kConfirm; }
// The quorum does not wait for the rest of the committee, whose M7 may still be under way.
bool Awaits(const state::Unmasking& s, FrameType type) {
  return type == FrameType::kUnmask || (type == FrameType::kConfirm && s.unmask_frame);
}

const Hash256* SessionOf(const state::Announced&) { return nullptr; }
const Hash256* SessionOf(const state::Advertising&) { return nullptr; }
template <class State>
const Hash256* SessionOf(const State& state) {
  return &state.frozen.facts.session;
}

// --- Ends
// -------------------------------------------------------------------------------------------

ServerTransition End(state::Announced&& s, Effects effects, const ServerConfig& config) {
  return EndAdvertising(std::move(s.core), std::move(effects), config);
}
ServerTransition End(state::Advertising&& s, Effects effects, const ServerConfig& config) {
  return EndAdvertising(std::move(s.core), std::move(effects), config);
}
ServerTransition End(state::Sharing&& s, Effects effects, const ServerConfig& config) {
  return EndSharing(std::move(s), std::move(effects), config);
}
ServerTransition End(state::Masking&& s, Effects effects, const ServerConfig& config) {
  return EndMasking(std::move(s), std::move(effects), config);
}
ServerTransition End(state::Confirming&& s, Effects effects, const ServerConfig& config) {
  return EndConfirming(std::move(s), std::move(effects), config);
}
ServerTransition End(state::Unmasking&& s, Effects effects, const ServerConfig& config) {
  return EndUnmasking(std::move(s), std::move(effects), config);
}

template <class State>
ServerTransition EndOrWait(State&& s, Effects effects, const ServerConfig& config) {
  if (Pending(s.core, s, 1) == 0) return End(std::forward<State>(s), std::move(effects), config);
  return {std::forward<State>(s), std::move(effects), false};
}

// --- Messages
// -----------------------------------------------------------------------------------------

struct Received {
  FrameType type = FrameType::kAdvertise;
  wire::SignedBody message;
  Hash256 body_hash{};
};

// Form and signature. M1 is bound to the announcement, everything later to the session and to the
// sender's place in it.
Verdict OpenMessage(const ServerConfig& config, const Hash256* session, const Member& member,
                    event::Message&& e, Received* out) {
  const bool early = e.type == FrameType::kAdvertise;
  const bool known = early || e.type == FrameType::kShares || e.type == FrameType::kMasked ||
                     e.type == FrameType::kConfirm || e.type == FrameType::kUnmask;
  if (!known || (!early && session == nullptr)) return Fault::kOutOfOrder;
  const auto limit = wire::MaxSecAggFrameLen(e.type, config.announcement().limits());
  auto message = wire::DecodeSignedBody(std::move(e.frame), limit);
  if (!message) return Fault::kMalformed;
  const Hash256& scope = early ? config.announcement().announce_hash : *session;
  const std::uint32_t index = early ? kNoIndex : member.index;
  out->type = e.type;
  out->body_hash = crypto::Sha256(message->body);
  if (!VerifyBody(member.id, e.type, scope, index, out->body_hash, message->signature)) {
    return Fault::kBadSignature;
  }
  out->message = std::move(*message);
  return std::nullopt;
}

Verdict Accept(state::Announced&, Member& member, Received&& m, const ServerConfig& config) {
  if (auto fault = CheckAdvertise(config, member.id, m.message.body)) return fault;
  member.advertise = std::move(m.message);
  return std::nullopt;
}
Verdict Accept(state::Advertising&, Member& member, Received&& m, const ServerConfig& config) {
  if (auto fault = CheckAdvertise(config, member.id, m.message.body)) return fault;
  member.advertise = std::move(m.message);
  return std::nullopt;
}
Verdict Accept(state::Sharing& s, Member& member, Received&& m, const ServerConfig& config) {
  return AcceptShares(config, s, member, m.message.body);
}
Verdict Accept(state::Masking& s, Member& member, Received&& m, const ServerConfig& config) {
  return AcceptMasked(config, s, member, std::move(m.message.body));
}
Verdict Accept(state::Confirming& s, Member& member, Received&& m, const ServerConfig&) {
  return AcceptConfirm(s, member, m.message.body);
}
Verdict Accept(state::Unmasking& s, Member& member, Received&& m, const ServerConfig& config) {
  if (m.type == FrameType::kConfirm) {  // good, but the quorum stands
    wire::Confirm late;
    return CheckConfirm(s.frozen, s.transcript, member, m.message.body, &late);
  }
  return AcceptUnmask(config, s, member, m.message.body);
}

// What an identical copy of `type` gets again.
template <class State>
void Answer(const State&, FrameType, const Member&, Effects&) {}
void Answer(const state::Sharing&, FrameType type, const Member& member, Effects& out) {
  if (type == FrameType::kAdvertise)
    out.emplace_back(effect::SendOwn{member.id, FrameType::kRoster});
}
void Answer(const state::Masking&, FrameType type, const Member& member, Effects& out) {
  if (type == FrameType::kShares) out.emplace_back(effect::SendOwn{member.id, FrameType::kInbox});
}
void Answer(const state::Confirming& s, FrameType type, const Member& member, Effects& out) {
  if (type != FrameType::kMasked) return;
  out.emplace_back(effect::Send{member.id, FrameType::kConfirmRequest, s.confirm_frame});
}
// A member that is back with its M5 may have seen M6 or not; a second M6 does no harm.
void Answer(const state::Unmasking& s, FrameType type, const Member& member, Effects& out) {
  if (type == FrameType::kMasked) {
    out.emplace_back(effect::Send{member.id, FrameType::kConfirmRequest, s.confirm_frame});
  }
  if (s.unmask_frame && (type == FrameType::kMasked || type == FrameType::kConfirm)) {
    out.emplace_back(effect::Send{member.id, FrameType::kUnmaskRequest, s.unmask_frame});
  }
}

// Out, with evidence. What it gave before the phase's end stays where it cannot be taken back: a
// vector that is in the sum stays there.
template <class State>
ServerTransition Exclude(State&& s, Member& member, Fault fault, const ServerConfig& config) {
  Effects effects;
  member.standing = Standing::kExcluded;
  effects.emplace_back(effect::Evidence{member.id, fault});
  SendExcluded(member, effects, config);
  return EndOrWait(std::forward<State>(s), std::move(effects), config);
}

template <class State>
ServerTransition OnMessage(State&& s, event::Message&& e, const ServerConfig& config) {
  Member* member = FindMember(s.core, e.from);
  if (member == nullptr || member->standing != Standing::kActive) {
    return Refuse(std::forward<State>(s));
  }
  Received received;
  if (auto fault = OpenMessage(config, SessionOf(s), *member, std::move(e), &received)) {
    return Exclude(std::forward<State>(s), *member, *fault, config);
  }
  for (const Accepted& accepted : member->accepted) {
    if (accepted.type != received.type) continue;
    if (accepted.body_hash != received.body_hash) {
      return Exclude(std::forward<State>(s), *member, Fault::kSecondBody, config);
    }
    Effects effects;
    Answer(s, received.type, *member, effects);
    return {std::forward<State>(s), std::move(effects), false};
  }
  if (!Awaits(s, received.type)) {
    return Exclude(std::forward<State>(s), *member, Fault::kOutOfOrder, config);
  }
  const Accepted accepted{received.type, received.body_hash};
  if (auto fault = Accept(s, *member, std::move(received), config)) {
    return Exclude(std::forward<State>(s), *member, *fault, config);
  }
  member->accepted.push_back(accepted);
  return EndOrWait(std::forward<State>(s), {}, config);
}

template <class State>
ServerTransition OnLeft(State&& s, const event::Left& e, const ServerConfig& config) {
  Member* member = FindMember(s.core, e.member);
  if (member == nullptr || member->standing != Standing::kActive) {
    return Refuse(std::forward<State>(s));
  }
  member->standing = Standing::kLeft;
  return EndOrWait(std::forward<State>(s), {}, config);
}

ServerTransition Close(state::Summed&& s, wire::CloseStatus status, const Hash256& result_hash,
                       const ServerConfig& config) {
  Effects effects;
  const auto frame = MakeClose(config, status, result_hash);
  for (const Member& member : s.core.members) {
    if (member.standing != Standing::kActive || !frame) continue;
    effects.emplace_back(effect::Send{member.id, FrameType::kClose, frame});
  }
  return {state::Done{status}, std::move(effects), false};
}

// --- One overload per cell
// -----------------------------------------------------------------------------

ServerTransition On(state::Announced&& s, event::Message&& e, const ServerConfig& config) {
  return OnMessage(std::move(s), std::move(e), config);
}
ServerTransition On(state::Announced&& s, event::Left&& e, const ServerConfig& config) {
  return OnLeft(std::move(s), e, config);
}
ServerTransition On(state::Announced&& s, event::Deadline&& e, const ServerConfig& config) {
  if (e.phase != Phase::kTraining) return Refuse(std::move(s));
  Effects effects;
  StartTimer(Phase::kAdvertise, effects, config);
  return {state::Advertising{std::move(s.core)}, std::move(effects), false};
}
ServerTransition On(state::Announced&& s, event::Finish&&, const ServerConfig&) {
  return Refuse(std::move(s));
}
ServerTransition On(state::Announced&& s, event::Stop&&, const ServerConfig& config) {
  return Abandon(std::move(s.core), ServerAbort::kStopped, false, {}, config);
}

ServerTransition On(state::Advertising&& s, event::Message&& e, const ServerConfig& config) {
  return OnMessage(std::move(s), std::move(e), config);
}
ServerTransition On(state::Advertising&& s, event::Left&& e, const ServerConfig& config) {
  return OnLeft(std::move(s), e, config);
}
ServerTransition On(state::Advertising&& s, event::Deadline&& e, const ServerConfig& config) {
  if (e.phase != Phase::kAdvertise) return Refuse(std::move(s));
  return End(std::move(s), {}, config);
}
ServerTransition On(state::Advertising&& s, event::Finish&&, const ServerConfig&) {
  return Refuse(std::move(s));
}
ServerTransition On(state::Advertising&& s, event::Stop&&, const ServerConfig& config) {
  return Abandon(std::move(s.core), ServerAbort::kStopped, false, {}, config);
}

ServerTransition On(state::Sharing&& s, event::Message&& e, const ServerConfig& config) {
  return OnMessage(std::move(s), std::move(e), config);
}
ServerTransition On(state::Sharing&& s, event::Left&& e, const ServerConfig& config) {
  return OnLeft(std::move(s), e, config);
}
ServerTransition On(state::Sharing&& s, event::Deadline&& e, const ServerConfig& config) {
  if (e.phase != Phase::kShare) return Refuse(std::move(s));
  return End(std::move(s), {}, config);
}
ServerTransition On(state::Sharing&& s, event::Finish&&, const ServerConfig&) {
  return Refuse(std::move(s));
}
ServerTransition On(state::Sharing&& s, event::Stop&&, const ServerConfig& config) {
  return Abandon(std::move(s.core), ServerAbort::kStopped, false, {}, config);
}

ServerTransition On(state::Masking&& s, event::Message&& e, const ServerConfig& config) {
  return OnMessage(std::move(s), std::move(e), config);
}
ServerTransition On(state::Masking&& s, event::Left&& e, const ServerConfig& config) {
  return OnLeft(std::move(s), e, config);
}
ServerTransition On(state::Masking&& s, event::Deadline&& e, const ServerConfig& config) {
  if (e.phase != Phase::kMask) return Refuse(std::move(s));
  return End(std::move(s), {}, config);
}
ServerTransition On(state::Masking&& s, event::Finish&&, const ServerConfig&) {
  return Refuse(std::move(s));
}
ServerTransition On(state::Masking&& s, event::Stop&&, const ServerConfig& config) {
  return Abandon(std::move(s.core), ServerAbort::kStopped, false, {}, config);
}

ServerTransition On(state::Confirming&& s, event::Message&& e, const ServerConfig& config) {
  return OnMessage(std::move(s), std::move(e), config);
}
ServerTransition On(state::Confirming&& s, event::Left&& e, const ServerConfig& config) {
  return OnLeft(std::move(s), e, config);
}
ServerTransition On(state::Confirming&& s, event::Deadline&& e, const ServerConfig& config) {
  if (e.phase != Phase::kConfirm) return Refuse(std::move(s));
  return End(std::move(s), {}, config);
}
ServerTransition On(state::Confirming&& s, event::Finish&&, const ServerConfig&) {
  return Refuse(std::move(s));
}
ServerTransition On(state::Confirming&& s, event::Stop&&, const ServerConfig& config) {
  return Abandon(std::move(s.core), ServerAbort::kStopped, true, {}, config);
}

ServerTransition On(state::Unmasking&& s, event::Message&& e, const ServerConfig& config) {
  return OnMessage(std::move(s), std::move(e), config);
}
ServerTransition On(state::Unmasking&& s, event::Left&& e, const ServerConfig& config) {
  return OnLeft(std::move(s), e, config);
}
ServerTransition On(state::Unmasking&& s, event::Deadline&& e, const ServerConfig& config) {
  if (e.phase != Phase::kUnmask) return Refuse(std::move(s));
  return End(std::move(s), {}, config);
}
ServerTransition On(state::Unmasking&& s, event::Finish&&, const ServerConfig&) {
  return Refuse(std::move(s));
}
ServerTransition On(state::Unmasking&& s, event::Stop&&, const ServerConfig& config) {
  return Abandon(std::move(s.core), ServerAbort::kStopped, true, {}, config);
}

// The sum is out: members can only wait for M10.
ServerTransition On(state::Summed&& s, event::Message&&, const ServerConfig&) {
  return Refuse(std::move(s));
}
ServerTransition On(state::Summed&& s, event::Left&& e, const ServerConfig&) {
  Member* member = FindMember(s.core, e.member);
  if (member == nullptr || member->standing != Standing::kActive) return Refuse(std::move(s));
  member->standing = Standing::kLeft;
  return {std::move(s), {}, false};
}
ServerTransition On(state::Summed&& s, event::Deadline&&, const ServerConfig&) {
  return Refuse(std::move(s));
}
ServerTransition On(state::Summed&& s, event::Finish&& e, const ServerConfig& config) {
  return Close(std::move(s), e.status, e.result_hash, config);
}
ServerTransition On(state::Summed&& s, event::Stop&&, const ServerConfig& config) {
  return Close(std::move(s), wire::CloseStatus::kAbandoned, {}, config);
}

template <class Event>
ServerTransition On(state::Done&& s, Event&&, const ServerConfig&) {
  return Refuse(std::move(s));
}
template <class Event>
ServerTransition On(state::Aborted&& s, Event&&, const ServerConfig&) {
  return Refuse(std::move(s));
}

}  // namespace
}  // namespace server

ServerTransition StartServer(const ServerConfig& config, dp::RoundPermit permit) {
  const model::Plan& plan = config.announcement().plan;
  DEMUR_CHECK(permit.valid() && permit.task() == plan.task &&
                  permit.key() == (dp::RoundKey{plan.round, plan.attempt}),
              "the permit is for another round");
  server::Core core{{}, std::move(permit)};
  server::Effects effects;
  server::StartTimer(Phase::kTraining, effects, config);
  core.members.reserve(config.invited().size());
  for (const MemberId& id : config.invited()) {
    core.members.emplace_back().id = id;
    effects.emplace_back(
        server::effect::Send{id, wire::FrameType::kAnnounce, config.announce_frame()});
  }
  return {server::state::Announced{std::move(core)}, std::move(effects), false};
}

ServerTransition Step(ServerState state, ServerEvent event, const ServerConfig& config) {
  return std::visit(
      [&config]<class S, class E>(S&& s, E&& e) {
        return server::On(std::forward<S>(s), std::forward<E>(e), config);
      },
      std::move(state), std::move(event));
}

}  // namespace demur::secagg
