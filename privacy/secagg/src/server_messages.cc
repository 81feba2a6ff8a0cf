#include <algorithm>
#include <iterator>
#include <utility>

#include "demur/base/check.h"
#include "demur/crypto/hash.h"
#include "demur/secagg/packing.h"
#include "server_steps.h"

namespace demur::secagg::server {
namespace {

using wire::FrameType;

Frame Sign(const ServerConfig& config, FrameType type, const Hash256& scope, Bytes body) {
  auto message = SignMessage(config.signing_key(), type, scope, kNoIndex, std::move(body));
  if (!message) return nullptr;
  return std::make_shared<const Bytes>(wire::Encode(*message));
}

// Position of `value` in an ascending vector, or its size.
std::size_t PositionOf(const std::vector<std::uint32_t>& ascending, std::uint32_t value) {
  const auto it = std::lower_bound(ascending.begin(), ascending.end(), value);
  if (it == ascending.end() || *it != value) return ascending.size();
  return static_cast<std::size_t>(it - ascending.begin());
}

// Whether `holder` may reveal this share: of a neighbour that shared, of the kind that the survivor
// set asks for, and the very share that the dealer signed the hash of.
Verdict CheckRevealed(const state::Unmasking& state, std::uint32_t holder,
                      const wire::RevealedShare& revealed) {
  if (!state.shared.Contains(revealed.index) ||
      !state.frozen.graph.AreNeighbours(holder, revealed.index)) {
    return Fault::kWrongNeighbours;
  }
  const bool survived = state.survivors.Contains(revealed.index);
  if ((revealed.kind == wire::ShareKind::kSelf) != survived) return Fault::kWrongKind;
  const DealtHashes& dealt = state.hashes[revealed.index];
  const std::size_t at = PositionOf(dealt.holders, holder);
  DEMUR_CHECK(at < dealt.holders.size(), "a dealing names every neighbour");
  const auto& expected = survived ? dealt.self[at] : dealt.mask[at];
  if (HashShare(state.frozen.facts, revealed.index, holder, revealed.kind, revealed.share.view()) !=
      expected) {
    return Fault::kShareMismatch;
  }
  return std::nullopt;
}

}  // namespace

bool HasAccepted(const Member& member, FrameType type) noexcept {
  return std::any_of(member.accepted.begin(), member.accepted.end(),
                     [type](const Accepted& a) { return a.type == type; });
}

const Member* FindMember(const Core& core, const MemberId& id) {
  const auto it = std::lower_bound(core.members.begin(), core.members.end(), id,
                                   [](const Member& m, const MemberId& key) { return m.id < key; });
  return it != core.members.end() && it->id == id ? &*it : nullptr;
}
Member* FindMember(Core& core, const MemberId& id) {
  return const_cast<Member*>(FindMember(std::as_const(core), id));
}

Verdict CheckAdvertise(const ServerConfig& config, const MemberId& from, ByteView body) {
  const auto advertise = wire::DecodeAdvertise(body);
  if (!advertise) return Fault::kMalformed;
  if (advertise->announce != config.announcement().announce_hash) return Fault::kWrongRound;
  if (advertise->identity_key != from) return Fault::kCertificate;
  const auto certified = config.check_certificate()(advertise->certificate);
  if (!certified || *certified != from) return Fault::kCertificate;
  if (!crypto::CheckX25519PublicKey(advertise->channel_key) ||
      !crypto::CheckX25519PublicKey(advertise->mask_key) ||
      advertise->channel_key == advertise->mask_key) {
    return Fault::kBadKey;
  }
  return std::nullopt;
}

Verdict AcceptShares(const ServerConfig& config, state::Sharing& state, const Member& member,
                     ByteView body) {
  auto shares = wire::DecodeShares(body, config.announcement().limits());
  if (!shares) return Fault::kMalformed;
  if (shares->session != state.frozen.facts.session) return Fault::kWrongRound;
  const auto neighbours = state.frozen.graph.Neighbours(member.index);
  if (!std::equal(shares->items.begin(), shares->items.end(), neighbours.begin(), neighbours.end(),
                  [](const auto& item, std::uint32_t index) { return item.index == index; })) {
    return Fault::kWrongNeighbours;
  }
  state.dealings[member.index].items = std::move(shares->items);
  return std::nullopt;
}

Verdict AcceptMasked(const ServerConfig& config, state::Masking& state, const Member& member,
                     Bytes body) {
  const auto masked = wire::DecodeMasked(std::move(body), config.announcement().limits());
  if (!masked) return Fault::kMalformed;
  if (masked->session != state.frozen.facts.session) return Fault::kWrongRound;
  if (masked->shared_hash != crypto::Sha256(state.shared.bytes())) return Fault::kSurvivorSet;
  if (!UnpackAdd(masked->packed, masked->bits, state.sum)) return Fault::kBadVector;
  state.survivors.Insert(member.index);
  return std::nullopt;
}

Verdict CheckConfirm(const Frozen& frozen, const Hash256& transcript, const Member& member,
                     ByteView body, wire::Confirm* out) {
  if (!std::binary_search(frozen.committee.begin(), frozen.committee.end(), member.index)) {
    return Fault::kOutOfOrder;
  }
  const auto confirm = wire::DecodeConfirm(body);
  if (!confirm) return Fault::kMalformed;
  if (confirm->session != frozen.facts.session) return Fault::kWrongRound;
  if (!VerifyTranscript(member.id, transcript, confirm->transcript_signature)) {
    return Fault::kBadConfirmation;
  }
  *out = *confirm;
  return std::nullopt;
}

Verdict AcceptConfirm(state::Confirming& state, const Member& member, ByteView body) {
  wire::Confirm confirm;
  if (auto fault = CheckConfirm(state.frozen, state.transcript, member, body, &confirm)) {
    return fault;
  }
  auto advertise = wire::DecodeAdvertise(member.advertise.body);
  DEMUR_CHECK(advertise.has_value(), "an M1 was checked when it came");
  state.confirmations.push_back(
      {member.index, std::move(advertise->certificate), confirm.transcript_signature});
  return std::nullopt;
}

Verdict AcceptUnmask(const ServerConfig& config, state::Unmasking& state, const Member& member,
                     ByteView body) {
  auto unmask = wire::DecodeUnmask(body, config.announcement().limits());
  if (!unmask) return Fault::kMalformed;
  if (unmask->session != state.frozen.facts.session) return Fault::kWrongRound;
  // All of it or none: a holder that lies about one share is believed about none.
  for (const wire::RevealedShare& revealed : unmask->shares) {
    if (auto fault = CheckRevealed(state, member.index, revealed)) return fault;
  }
  for (wire::RevealedShare& revealed : unmask->shares) {
    OpenedShares& opened = state.opened[revealed.index];
    opened.holders.push_back(member.index);
    opened.shares.push_back(std::move(revealed.share));
  }
  return std::nullopt;
}

Frame MakeRoster(const ServerConfig& config, const Core& core, const Frozen& frozen,
                 std::uint32_t index) {
  wire::Roster message;
  message.server_nonce = config.server_nonce();
  message.size = frozen.facts.n;
  message.root = frozen.facts.root;
  message.my_index = index;
  const auto neighbours = frozen.graph.Neighbours(index);
  for (const std::uint32_t neighbour : neighbours) {
    const Member& member = core.members[frozen.roster[neighbour].position];
    message.neighbours.push_back({neighbour, member.advertise});
  }
  if (!frozen.committee.empty()) {
    std::vector<std::uint32_t> shown(neighbours.begin(), neighbours.end());
    shown.insert(std::upper_bound(shown.begin(), shown.end(), index), index);
    std::vector<std::uint32_t> others;  // of the committee, not shown yet
    std::set_difference(frozen.committee.begin(), frozen.committee.end(), shown.begin(),
                        shown.end(), std::back_inserter(others));
    for (const std::uint32_t other : others) {
      const RosterMember& entry = frozen.roster[other];
      message.committee.push_back({other, core.members[entry.position].id, entry.rest});
    }
    shown.insert(shown.end(), others.begin(), others.end());
    std::sort(shown.begin(), shown.end());
    message.multiproof = frozen.tree.Proof(shown);
  }
  return Sign(config, FrameType::kRoster, frozen.facts.announce_hash, wire::Encode(message));
}

Frame MakeInbox(const ServerConfig& config, const state::Masking& state, std::uint32_t index) {
  wire::Inbox message;
  message.session = state.frozen.facts.session;
  message.shared = ToBytes(state.shared.bytes());
  for (const std::uint32_t dealer : state.frozen.graph.Neighbours(index)) {
    if (!state.shared.Contains(dealer)) continue;
    const auto& items = state.dealings[dealer].items;
    const auto it = std::lower_bound(
        items.begin(), items.end(), index,
        [](const wire::SealedShares& item, std::uint32_t holder) { return item.index < holder; });
    DEMUR_CHECK(it != items.end() && it->index == index, "a dealing names every neighbour");
    message.items.push_back(*it);
    message.items.back().index = dealer;
  }
  return Sign(config, FrameType::kInbox, state.frozen.facts.session, wire::Encode(message));
}

Frame MakeConfirmRequest(const ServerConfig& config, const Frozen& frozen,
                         const MemberSet& survivors) {
  wire::ConfirmRequest message;
  message.session = frozen.facts.session;
  message.survivors = ToBytes(survivors.bytes());
  return Sign(config, FrameType::kConfirmRequest, frozen.facts.session, wire::Encode(message));
}

Frame MakeUnmaskRequest(const ServerConfig& config, const state::Confirming& state) {
  wire::UnmaskRequest message;
  message.session = state.frozen.facts.session;
  message.confirmations = state.confirmations;
  std::sort(message.confirmations.begin(), message.confirmations.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  message.confirmations.resize(state.frozen.parameters.quorum);
  return Sign(config, FrameType::kUnmaskRequest, message.session, wire::Encode(message));
}

Frame MakeClose(const ServerConfig& config, wire::CloseStatus status, const Hash256& result_hash) {
  const Hash256& announce = config.announcement().announce_hash;
  return Sign(config, FrameType::kClose, announce,
              wire::Encode(wire::Close{announce, status, result_hash}));
}

}  // namespace demur::secagg::server
