#include "demur/secagg/client.h"

#include <algorithm>
#include <type_traits>

#include "client_steps.h"
#include "demur/base/check.h"
#include "demur/crypto/hash.h"

namespace demur::secagg {
namespace client {
namespace {

using wire::FrameType;

ClientTransition Refuse(ClientState state) { return {std::move(state), {}, true}; }

// Whatever the state held is wiped as it goes out of scope in the caller.
ClientTransition Abort(ClientAbort reason) {
  ClientTransition out{state::Aborted{reason}, {}, false};
  out.effects.emplace_back(effect::Failed{reason});
  return out;
}

ClientTransition Stay(ClientState state, ClientEffect effect) {
  ClientTransition out{std::move(state), {}, false};
  out.effects.push_back(std::move(effect));
  return out;
}

// The last answer that is one of `wanted`, of which there is one.
template <class State, class Wanted>
ClientTransition Resend(State&& state, const Wanted& wanted) {
  const auto& exchanges = state.log.exchanges;
  const auto it = std::find_if(exchanges.rbegin(), exchanges.rend(),
                               [&](const Exchange& e) { return e.reply && wanted(e); });
  DEMUR_CHECK(it != exchanges.rend(), "a device that has a session has said something");
  effect::Send send{it->reply_type, it->reply};
  return Stay(std::forward<State>(state), std::move(send));
}
template <class State>
ClientTransition ResendLast(State&& state) {
  return Resend(std::forward<State>(state), [](const Exchange&) { return true; });
}

// --- Messages -----------------------------------------------------------------------------------

// Opened and verified.
struct Received {
  FrameType type = FrameType::kRoster;
  Bytes body;
  Hash256 body_hash{};
};

// M2 and M10 are bound to the announcement, the rest to the session, which a device without a
// roster does not know (`session` null): nothing it could be sent yet is bound to one.
Failure OpenMessage(const ClientConfig& config, const Hash256* session, event::Message&& message,
                    Received* out) {
  const bool early = message.type == FrameType::kRoster || message.type == FrameType::kClose;
  const bool known = early || message.type == FrameType::kInbox ||
                     message.type == FrameType::kConfirmRequest ||
                     message.type == FrameType::kUnmaskRequest;
  if (!known || (!early && session == nullptr)) return ClientAbort::kOutOfOrder;
  const auto limit = wire::MaxSecAggFrameLen(message.type, config.announcement().limits());
  auto decoded = wire::DecodeSignedBody(std::move(message.frame), limit);
  if (!decoded) return ClientAbort::kMalformed;
  const Hash256& scope = early ? config.announcement().announce_hash : *session;
  out->body_hash = crypto::Sha256(decoded->body);
  if (!VerifyBody(config.server_key(), message.type, scope, kNoIndex, out->body_hash,
                  decoded->signature)) {
    return ClientAbort::kBadSignature;
  }
  out->type = message.type;
  out->body = std::move(decoded->body);
  return std::nullopt;
}

ClientTransition Close(const ClientConfig& config, ByteView body) {
  const auto close = wire::DecodeClose(body);
  if (!close) return Abort(ClientAbort::kMalformed);
  if (close->announce != config.announcement().announce_hash) return Abort(ClientAbort::kRoster);
  return Stay(state::Closed{close->status, close->result_hash},
              effect::Finished{close->status, close->result_hash});
}

// M9 to the coordinator; whatever was held is gone with the old state.
template <class State>
ClientTransition Reveal(const ClientConfig& config, State&& s, const MemberSet& survivors,
                        const Received& m) {
  Frame frame;
  if (auto failure = MakeUnmask(config, s.place, s.shares, survivors, &frame)) {
    return Abort(*failure);
  }
  s.log.exchanges.push_back({m.type, m.body_hash, FrameType::kUnmask, frame});
  return Stay(state::Unmasked{std::move(s.log), std::move(s.place)},
              effect::Send{FrameType::kUnmask, std::move(frame)});
}

// The message that leads on from each state; every other new one is ahead of its time.
ClientTransition Advance(state::Advertised&& s, Received&& m, const ClientConfig& config) {
  if (m.type != FrameType::kRoster) return Abort(ClientAbort::kOutOfOrder);
  Place place;
  if (auto failure = ReadRoster(config, s, m.body, &place)) return Abort(*failure);
  Frame frame;
  if (auto failure = MakeShares(config, s, &place, &frame)) return Abort(*failure);
  s.log.exchanges.push_back({m.type, m.body_hash, FrameType::kShares, frame});
  return Stay(state::Shared{std::move(s.log), std::move(place), std::move(s.secrets.self_seed),
                            std::move(s.mask)},
              effect::Send{FrameType::kShares, std::move(frame)});
}

ClientTransition Advance(state::Shared&& s, Received&& m, const ClientConfig& config) {
  if (m.type != FrameType::kInbox) return Abort(ClientAbort::kOutOfOrder);
  MemberSet shared;
  std::vector<ReceivedShares> shares;
  if (auto failure = ReadInbox(config, s.place, m.body, &shared, &shares)) return Abort(*failure);
  for (Neighbour& neighbour : s.place.neighbours) neighbour.open_key = SecretArray<32>();
  s.log.exchanges.push_back({m.type, m.body_hash, FrameType::kMasked, nullptr});
  return Stay(state::Ready{std::move(s.log), std::move(s.place), std::move(s.self_seed),
                           std::move(s.mask), std::move(shared), std::move(shares)},
              effect::NeedInput{});
}

ClientTransition Advance(state::Ready&&, Received&&, const ClientConfig&) {
  return Abort(ClientAbort::kOutOfOrder);
}

ClientTransition Advance(state::Masked&& s, Received&& m, const ClientConfig& config) {
  // The coordinator may have had its quorum while our connection was down, and say M8 to the new
  // one before it hears our M5 again, which gets the M6 that was lost and M8 once more.
  if (m.type == FrameType::kUnmaskRequest && !s.place.committee.empty()) {
    return {std::move(s), {}, false};
  }
  if (m.type != FrameType::kConfirmRequest) return Abort(ClientAbort::kOutOfOrder);
  MemberSet survivors;
  if (auto failure = ReadConfirmRequest(config, s, m.body, &survivors)) return Abort(*failure);
  const effect::PersistSurvivors persist{s.place.facts.session, crypto::Sha256(survivors.bytes())};
  if (s.place.committee.empty()) {  // semi-honest: nobody signs
    ClientTransition out = Reveal(config, std::move(s), survivors, m);
    if (!std::holds_alternative<state::Aborted>(out.next)) {
      out.effects.insert(out.effects.begin(), persist);
    }
    return out;
  }
  const Hash256 transcript = ConfirmTranscript(s.place.facts, s.shared, survivors);
  Frame frame;
  if (auto failure = MakeConfirm(config, s.place, transcript, &frame)) return Abort(*failure);
  s.log.exchanges.push_back({m.type, m.body_hash, FrameType::kConfirm, frame});
  ClientTransition out{state::Confirmed{std::move(s.log), std::move(s.place), std::move(survivors),
                                        transcript, std::move(s.shares)},
                       {},
                       false};
  out.effects.emplace_back(persist);
  if (frame) out.effects.emplace_back(effect::Send{FrameType::kConfirm, std::move(frame)});
  return out;
}

ClientTransition Advance(state::Confirmed&& s, Received&& m, const ClientConfig& config) {
  if (m.type != FrameType::kUnmaskRequest) return Abort(ClientAbort::kOutOfOrder);
  if (auto failure = ReadUnmaskRequest(config, s, m.body)) return Abort(*failure);
  const MemberSet survivors = std::move(s.survivors);
  return Reveal(config, std::move(s), survivors, m);
}

ClientTransition Advance(state::Unmasked&&, Received&&, const ClientConfig&) {
  return Abort(ClientAbort::kOutOfOrder);
}

const Hash256* SessionOf(const state::Advertised&) { return nullptr; }
template <class State>
const Hash256* SessionOf(const State& state) {
  return &state.place.facts.session;
}

// States that speak with the coordinator share the rule for copies: one body of each type, and the
// same body again gets the same answer again.
template <class State>
ClientTransition OnMessage(State&& s, event::Message&& e, const ClientConfig& config) {
  Received received;
  if (auto failure = OpenMessage(config, SessionOf(s), std::move(e), &received)) {
    return Abort(*failure);
  }
  if (received.type == FrameType::kClose) return Close(config, received.body);
  for (const Exchange& exchange : s.log.exchanges) {
    if (exchange.received != received.type) continue;
    if (exchange.body_hash != received.body_hash) return Abort(ClientAbort::kSecondBody);
    if (!exchange.reply && exchange.received == FrameType::kConfirmRequest) {
      return {std::forward<State>(s), {}, false};  // not of the committee: nothing was due
    }
    if (!exchange.reply) return Stay(std::forward<State>(s), effect::NeedInput{});
    effect::Send send{exchange.reply_type, exchange.reply};
    return Stay(std::forward<State>(s), std::move(send));
  }
  return Advance(std::forward<State>(s), std::move(received), config);
}

// --- One overload per cell
// ------------------------------------------------------------------------

ClientTransition On(state::Idle&&, event::Start&& e, const ClientConfig& config) {
  Advertisement made;
  if (auto failure = MakeAdvertise(config, e.secrets, &made)) return Abort(*failure);
  state::Advertised next{{}, std::move(e.secrets), std::move(made.channel), std::move(made.mask)};
  next.log.exchanges.push_back({FrameType::kAnnounce, config.announcement().announce_hash,
                                FrameType::kAdvertise, made.frame});
  return Stay(std::move(next), effect::Send{FrameType::kAdvertise, std::move(made.frame)});
}
ClientTransition On(state::Idle&&, event::Message&& e, const ClientConfig& config) {
  Received received;
  if (auto failure = OpenMessage(config, nullptr, std::move(e), &received)) {
    return Abort(*failure);
  }
  if (received.type != FrameType::kClose) return Abort(ClientAbort::kOutOfOrder);
  return Close(config, received.body);
}
ClientTransition On(state::Idle&& s, event::Input&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
ClientTransition On(state::Idle&& s, event::Reconnected&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
ClientTransition On(state::Idle&&, event::Stop&&, const ClientConfig&) {
  return Abort(ClientAbort::kStopped);
}

ClientTransition On(state::Advertised&& s, event::Start&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
ClientTransition On(state::Advertised&& s, event::Message&& e, const ClientConfig& config) {
  return OnMessage(std::move(s), std::move(e), config);
}
ClientTransition On(state::Advertised&& s, event::Input&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
ClientTransition On(state::Advertised&& s, event::Reconnected&&, const ClientConfig&) {
  return ResendLast(std::move(s));
}
ClientTransition On(state::Advertised&&, event::Stop&&, const ClientConfig&) {
  return Abort(ClientAbort::kStopped);
}

ClientTransition On(state::Shared&& s, event::Start&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
ClientTransition On(state::Shared&& s, event::Message&& e, const ClientConfig& config) {
  return OnMessage(std::move(s), std::move(e), config);
}
ClientTransition On(state::Shared&& s, event::Input&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
ClientTransition On(state::Shared&& s, event::Reconnected&&, const ClientConfig&) {
  return ResendLast(std::move(s));
}
ClientTransition On(state::Shared&&, event::Stop&&, const ClientConfig&) {
  return Abort(ClientAbort::kStopped);
}

ClientTransition On(state::Ready&& s, event::Start&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
ClientTransition On(state::Ready&& s, event::Message&& e, const ClientConfig& config) {
  return OnMessage(std::move(s), std::move(e), config);
}
ClientTransition On(state::Ready&& s, event::Input&& e, const ClientConfig& config) {
  if (e.values.size() != config.announcement().dim) return Refuse(std::move(s));
  Frame frame;
  Hash256 body_hash{};
  if (auto failure = MakeMasked(config, s, std::move(e.values), &frame, &body_hash)) {
    return Abort(*failure);
  }
  s.log.exchanges.back().reply = frame;
  const effect::PersistMasked persist{s.place.facts.session, body_hash};
  ClientTransition out{
      state::Masked{std::move(s.log), std::move(s.place), std::move(s.shared), std::move(s.shares)},
      {},
      false};
  out.effects.emplace_back(persist);
  out.effects.emplace_back(effect::Send{FrameType::kMasked, std::move(frame)});
  return out;
}
ClientTransition On(state::Ready&& s, event::Reconnected&&, const ClientConfig&) {
  return ResendLast(std::move(s));
}
ClientTransition On(state::Ready&&, event::Stop&&, const ClientConfig&) {
  return Abort(ClientAbort::kStopped);
}

ClientTransition On(state::Masked&& s, event::Start&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
ClientTransition On(state::Masked&& s, event::Message&& e, const ClientConfig& config) {
  return OnMessage(std::move(s), std::move(e), config);
}
ClientTransition On(state::Masked&& s, event::Input&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
ClientTransition On(state::Masked&& s, event::Reconnected&&, const ClientConfig&) {
  return ResendLast(std::move(s));
}
ClientTransition On(state::Masked&&, event::Stop&&, const ClientConfig&) {
  return Abort(ClientAbort::kStopped);
}

ClientTransition On(state::Confirmed&& s, event::Start&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
ClientTransition On(state::Confirmed&& s, event::Message&& e, const ClientConfig& config) {
  return OnMessage(std::move(s), std::move(e), config);
}
ClientTransition On(state::Confirmed&& s, event::Input&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
// M5, not M7: it is M5 that gets M6 and M8 again. The coordinator may have had its quorum without
// our M7 and have said M8 while nobody was there to hear it; to an M7 that comes late it says
// nothing.
ClientTransition On(state::Confirmed&& s, event::Reconnected&&, const ClientConfig&) {
  return Resend(std::move(s), [](const Exchange& e) { return e.reply_type == FrameType::kMasked; });
}
ClientTransition On(state::Confirmed&&, event::Stop&&, const ClientConfig&) {
  return Abort(ClientAbort::kStopped);
}

ClientTransition On(state::Unmasked&& s, event::Start&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
ClientTransition On(state::Unmasked&& s, event::Message&& e, const ClientConfig& config) {
  return OnMessage(std::move(s), std::move(e), config);
}
ClientTransition On(state::Unmasked&& s, event::Input&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
ClientTransition On(state::Unmasked&& s, event::Reconnected&&, const ClientConfig&) {
  return ResendLast(std::move(s));
}
ClientTransition On(state::Unmasked&&, event::Stop&&, const ClientConfig&) {
  return Abort(ClientAbort::kStopped);
}

template <class Event>
ClientTransition On(state::Closed&& s, Event&&, const ClientConfig&) {
  return Refuse(std::move(s));
}
template <class Event>
ClientTransition On(state::Aborted&& s, Event&&, const ClientConfig&) {
  return Refuse(std::move(s));
}

}  // namespace
}  // namespace client

Result<ClientSecrets> DrawClientSecrets(RandomStream& random) {
  ClientSecrets out;
  for (auto* seed : {&out.mask_seed, &out.self_seed, &out.channel_seed, &out.share_seed}) {
    DEMUR_RETURN_IF_ERROR(random.Fill(seed->mutable_view()));
  }
  DEMUR_RETURN_IF_ERROR(random.Fill(out.nonce));
  return out;
}

Result<ClientConfig> ClientConfig::Create(Announcement announcement,
                                          crypto::Ed25519KeyPair identity, Bytes certificate,
                                          const crypto::PublicKey& server_key,
                                          CertificateCheck check_certificate) {
  if (certificate.empty() || certificate.size() > wire::kMaxMemberCertificateLen ||
      !check_certificate) {
    return Error(ErrorCode::kInvalidArgument, "secagg: a device needs a certificate and a check");
  }
  ClientConfig config;
  config.announcement_ = std::move(announcement);
  config.identity_ = std::move(identity);
  config.certificate_ = std::move(certificate);
  config.server_key_ = server_key;
  config.check_certificate_ = std::move(check_certificate);
  return config;
}

ClientTransition Step(ClientState state, ClientEvent event, const ClientConfig& config) {
  return std::visit(
      [&config]<class S, class E>(S&& s, E&& e) {
        return client::On(std::forward<S>(s), std::forward<E>(e), config);
      },
      std::move(state), std::move(event));
}

std::string_view NameOf(const ClientState& state) noexcept {
  static constexpr std::string_view kNames[] = {"idle",     "advertised", "shared",
                                                "ready",    "masked",     "confirmed",
                                                "unmasked", "closed",     "aborted"};
  static_assert(std::size(kNames) == std::variant_size_v<ClientState>);
  return kNames[state.index()];
}

std::string_view ToString(ClientAbort reason) noexcept {
  switch (reason) {
    case ClientAbort::kStopped:
      return "stopped";
    case ClientAbort::kBadSignature:
      return "bad signature";
    case ClientAbort::kMalformed:
      return "malformed message";
    case ClientAbort::kOutOfOrder:
      return "message out of order";
    case ClientAbort::kSecondBody:
      return "second body of one message";
    case ClientAbort::kRoster:
      return "roster does not hold";
    case ClientAbort::kGraph:
      return "neighbours or committee are not the session's";
    case ClientAbort::kSurvivors:
      return "survivor set does not hold";
    case ClientAbort::kShares:
      return "too few shares";
    case ClientAbort::kInternal:
      return "internal";
    case ClientAbort::kConfirmations:
      return "survivor set is not the committee's";
  }
  return "unknown";
}

}  // namespace demur::secagg
