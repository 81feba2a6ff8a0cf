#include <algorithm>
#include <set>

#include "client_steps.h"
#include "demur/base/check.h"
#include "demur/crypto/aead.h"
#include "demur/crypto/aes_ctr.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/labels.h"
#include "demur/secagg/graph.h"
#include "demur/secagg/mask.h"
#include "demur/secagg/merkle.h"
#include "demur/secagg/packing.h"

namespace demur::secagg::client {
namespace {

using wire::FrameType;

constexpr std::size_t kPlainLen = 2 * kSecretShareLen;
static_assert(kPlainLen + crypto::kAeadTagLen == wire::kShareSealedLen);
static_assert(kSecretShareLen == wire::kShareLen);

Failure Sign(const ClientConfig& config, FrameType type, const Hash256& scope, std::uint32_t index,
             Bytes body, Frame* out) {
  auto message = SignMessage(config.identity(), type, scope, index, std::move(body));
  if (!message) return ClientAbort::kInternal;
  *out = std::make_shared<const Bytes>(wire::Encode(*message));
  return std::nullopt;
}

// The M1 of another member: signed by the key it names, which the authority certified, and made for
// this announcement.
Failure ReadMember(const ClientConfig& config, const wire::SignedBody& message,
                   wire::Advertise* out) {
  auto decoded = wire::DecodeAdvertise(message.body);
  if (!decoded) return ClientAbort::kMalformed;
  const Hash256& scope = config.announcement().announce_hash;
  if (decoded->announce != scope) return ClientAbort::kRoster;
  if (!VerifyMessage(decoded->identity_key, FrameType::kAdvertise, scope, kNoIndex, message)) {
    return ClientAbort::kRoster;
  }
  const auto certified = config.check_certificate()(decoded->certificate);
  if (!certified || *certified != decoded->identity_key) return ClientAbort::kRoster;
  if (!crypto::CheckX25519PublicKey(decoded->channel_key) ||
      !crypto::CheckX25519PublicKey(decoded->mask_key)) {
    return ClientAbort::kRoster;
  }
  *out = std::move(*decoded);
  return std::nullopt;
}

// This member as the coordinator has to have it.
wire::Advertise OwnAdvertise(const ClientConfig& config, const ClientSecrets& secrets,
                             const crypto::PublicKey& channel_key,
                             const crypto::PublicKey& mask_key) {
  wire::Advertise own;
  own.announce = config.announcement().announce_hash;
  own.identity_key = config.identity().public_key;
  own.certificate = config.certificate();
  own.channel_key = channel_key;
  own.mask_key = mask_key;
  own.nonce = secrets.nonce;
  own.self_commitment = SelfCommitment(own.announce, own.identity_key, secrets.self_seed);
  return own;
}

// Keys that must not be there twice: two members with one key would be one member counted twice,
// or masks that cancel where they should not.
class DistinctKeys {
 public:
  [[nodiscard]] bool Take(const wire::Advertise& member) {
    return keys_.insert(member.identity_key).second && keys_.insert(member.channel_key).second &&
           keys_.insert(member.mask_key).second;
  }

 private:
  std::set<crypto::PublicKey> keys_;
};

// Somebody of whom the roster tells us: a leaf that has to be in the tree.
struct Shown {
  std::uint32_t index = 0;
  crypto::PublicKey identity_key{};
  Hash256 rest{};
  bool certified = false;
};

// Reads the neighbours' M1s into `place` and, with ourselves, into `shown`.
Failure ReadNeighbours(const ClientConfig& config, const wire::Roster& roster,
                       const wire::Advertise& own, Place* place, std::vector<Shown>* shown) {
  DistinctKeys keys;
  if (!keys.Take(own)) return ClientAbort::kRoster;
  shown->push_back({place->index, own.identity_key, RosterRest(own), true});
  for (const wire::RosterNeighbour& entry : roster.neighbours) {
    wire::Advertise member;
    if (auto failure = ReadMember(config, entry.advertise, &member)) return failure;
    if (!keys.Take(member)) return ClientAbort::kRoster;
    place->neighbours.push_back(
        {entry.index, member.identity_key, member.channel_key, member.mask_key, {}});
    shown->push_back({entry.index, member.identity_key, RosterRest(member), true});
  }
  return std::nullopt;
}

// The roster is sorted by identity key, so whoever it shows has to ascend; nobody is there twice.
bool SortByIndex(std::vector<Shown>* shown) {
  std::sort(shown->begin(), shown->end(),
            [](const Shown& a, const Shown& b) { return a.index < b.index; });
  return std::adjacent_find(shown->begin(), shown->end(), [](const Shown& a, const Shown& b) {
           return a.index == b.index || !(a.identity_key < b.identity_key);
         }) == shown->end();
}

// Malicious profile: the committee is the one that the session draws, and everybody shown stands in
// the tree whose root names the session.
Failure ReadCommittee(const wire::Roster& roster, std::vector<Shown>* shown, Place* place) {
  const auto committee = DrawCommittee(roster.size, place->parameters, CommitteeSeed(place->facts));
  if (!committee) return ClientAbort::kInternal;
  for (const wire::CommitteeMember& member : roster.committee) {
    shown->push_back({member.index, member.identity_key, member.rest, false});
  }
  if (!SortByIndex(shown)) return ClientAbort::kRoster;
  std::vector<MerkleLeaf> leaves;
  leaves.reserve(shown->size());
  for (const Shown& one : *shown) {
    leaves.push_back({one.index, RosterLeaf(one.identity_key, one.rest)});
  }
  const auto root = MerkleRootOf(roster.size, leaves, roster.multiproof);
  if (!root || *root != roster.root) return ClientAbort::kRoster;
  auto one = shown->begin();
  for (const std::uint32_t index : *committee) {  // both ascend
    one = std::find_if(one, shown->end(), [index](const Shown& s) { return s.index >= index; });
    if (one == shown->end() || one->index != index) return ClientAbort::kGraph;
    place->committee.push_back({index, one->identity_key, one->certified});
  }
  const bool spare = std::any_of(
      roster.committee.begin(), roster.committee.end(), [&committee](const auto& member) {
        return !std::binary_search(committee->begin(), committee->end(), member.index);
      });
  return spare ? Failure(ClientAbort::kGraph) : std::nullopt;
}

bool SameIndices(const std::vector<wire::RosterNeighbour>& entries,
                 const std::vector<std::uint32_t>& expected) {
  return std::equal(entries.begin(), entries.end(), expected.begin(), expected.end(),
                    [](const auto& entry, std::uint32_t index) { return entry.index == index; });
}

std::uint32_t CountNeighboursIn(const Place& place, const MemberSet& set) {
  return static_cast<std::uint32_t>(
      std::count_if(place.neighbours.begin(), place.neighbours.end(),
                    [&set](const Neighbour& n) { return set.Contains(n.index); }));
}

const Seat* FindSeat(const Place& place, std::uint32_t index) {
  const auto it =
      std::lower_bound(place.committee.begin(), place.committee.end(), index,
                       [](const Seat& seat, std::uint32_t at) { return seat.index < at; });
  return it != place.committee.end() && it->index == index ? &*it : nullptr;
}

// The checks that U2 and U3 have in common: they hold us, enough members, and enough of our
// neighbours that no secret of ours hangs on fewer than the threshold.
bool SoundSurvivors(const Place& place, const MemberSet& set) {
  return set.Contains(place.index) && set.count() >= place.parameters.survivors_min &&
         CountNeighboursIn(place, set) >= place.parameters.threshold;
}

SecretBytes SharePlaintext(const SecretShare& mask, const SecretShare& self) {
  SecretBytes plain(kPlainLen);
  const auto out = std::copy(mask.view().begin(), mask.view().end(), plain.mutable_view().begin());
  std::copy(self.view().begin(), self.view().end(), out);
  return plain;
}

// What `dealer` sealed for us. False: it does not open, or is not what the dealer signed the hash
// of; it then counts as not received.
bool OpenShares(const Place& place, const Neighbour& dealer, const wire::SealedShares& item,
                ReceivedShares* out) {
  const auto plain = crypto::Open(dealer.open_key, kShareNonce,
                                  ShareAad(place.facts, dealer.index, place.index), item.sealed);
  if (!plain || plain->size() != kPlainLen) return false;
  const ByteView mask = plain->view().first(kSecretShareLen);
  const ByteView self = plain->view().last(kSecretShareLen);
  using wire::ShareKind;
  if (HashShare(place.facts, dealer.index, place.index, ShareKind::kMask, mask) !=
          item.mask_share_hash ||
      HashShare(place.facts, dealer.index, place.index, ShareKind::kSelf, self) !=
          item.self_share_hash) {
    return false;
  }
  out->dealer = dealer.index;
  std::copy(mask.begin(), mask.end(), out->mask_share.mutable_view().begin());
  std::copy(self.begin(), self.end(), out->self_share.mutable_view().begin());
  return true;
}

Failure SealItem(const SessionFacts& facts, std::uint32_t dealer, std::uint32_t holder,
                 const SecretArray<32>& key, const SecretShare& mask, const SecretShare& self,
                 wire::SealedShares* out) {
  out->index = holder;
  const SecretBytes plain = SharePlaintext(mask, self);
  const auto sealed = crypto::Seal(key, kShareNonce, ShareAad(facts, dealer, holder), plain.view());
  if (!sealed || sealed->size() != out->sealed.size()) return ClientAbort::kInternal;
  std::copy(sealed->begin(), sealed->end(), out->sealed.begin());
  out->mask_share_hash = HashShare(facts, dealer, holder, wire::ShareKind::kMask, mask.view());
  out->self_share_hash = HashShare(facts, dealer, holder, wire::ShareKind::kSelf, self.view());
  return std::nullopt;
}

}  // namespace

Failure MakeAdvertise(const ClientConfig& config, const ClientSecrets& secrets,
                      Advertisement* out) {
  const Hash256& announce = config.announcement().announce_hash;
  auto channel = KeyPairFromSeed(announce, secrets.channel_seed);
  auto mask = KeyPairFromSeed(announce, secrets.mask_seed);
  if (!channel || !mask) return ClientAbort::kInternal;
  out->channel = std::move(*channel);
  out->mask = std::move(*mask);
  Bytes body =
      wire::Encode(OwnAdvertise(config, secrets, out->channel.public_key, out->mask.public_key));
  return Sign(config, FrameType::kAdvertise, announce, kNoIndex, std::move(body), &out->frame);
}

Failure ReadRoster(const ClientConfig& config, const state::Advertised& state, ByteView body,
                   Place* place) {
  const Announcement& announcement = config.announcement();
  const auto roster = wire::DecodeRoster(body, announcement.limits());
  if (!roster) return ClientAbort::kMalformed;
  const bool malicious = announcement.plan.secagg.profile == model::SecAggProfile::kMalicious;
  if (!malicious && (!roster->committee.empty() || !roster->multiproof.empty())) {
    return ClientAbort::kOutOfOrder;
  }
  if (crypto::Sha256(roster->server_nonce) != announcement.nonce_commitment) {
    return ClientAbort::kRoster;
  }
  // Neighbours, threshold and smallest survivor set: ours, from n and the plan alone.
  const auto parameters = ComputeParameters(roster->size, announcement.plan.secagg);
  if (!parameters) return ClientAbort::kRoster;
  place->parameters = *parameters;
  place->index = roster->my_index;
  place->facts = MakeSession(announcement, roster->server_nonce, roster->root, roster->size);
  const auto neighbours =
      Graph::NeighboursOf(place->index, roster->size, *parameters, GraphSeed(place->facts));
  if (!neighbours) return ClientAbort::kInternal;
  if (!SameIndices(roster->neighbours, *neighbours)) return ClientAbort::kGraph;
  const wire::Advertise own =
      OwnAdvertise(config, state.secrets, state.channel.public_key, state.mask.public_key);
  std::vector<Shown> shown;
  if (auto failure = ReadNeighbours(config, *roster, own, place, &shown)) return failure;
  if (malicious) return ReadCommittee(*roster, &shown, place);
  return SortByIndex(&shown) ? std::nullopt : Failure(ClientAbort::kRoster);
}

Failure MakeShares(const ClientConfig& config, const state::Advertised& state, Place* place,
                   Frame* out) {
  const SessionFacts& facts = place->facts;
  std::vector<std::uint32_t> xs;
  xs.reserve(place->neighbours.size());
  for (const Neighbour& neighbour : place->neighbours) xs.push_back(neighbour.index + 1);
  const auto coins = crypto::MakeCtrStream(crypto::HkdfKey(
      state.secrets.share_seed.view(), facts.session, AsBytes(crypto::label::kSecAggCoins)));
  const std::uint32_t threshold = place->parameters.threshold;
  const auto mask_shares = SplitSecret(state.secrets.mask_seed, threshold, xs, *coins);
  const auto self_shares = SplitSecret(state.secrets.self_seed, threshold, xs, *coins);
  if (!mask_shares || !self_shares) return ClientAbort::kInternal;
  wire::Shares message;
  message.session = facts.session;
  message.items.resize(place->neighbours.size());
  const KeyedMember self{place->index, state.channel.public_key};
  auto own_key = crypto::X25519Agreement::Create(state.channel.private_key);
  if (!own_key) return ClientAbort::kInternal;
  for (std::size_t i = 0; i < place->neighbours.size(); ++i) {
    Neighbour& neighbour = place->neighbours[i];
    auto keys = DeriveChannel(facts, *own_key, self, {neighbour.index, neighbour.channel_key});
    if (!keys) return ClientAbort::kRoster;  // a key of low order
    neighbour.open_key = std::move(keys->from_peer);
    if (auto failure = SealItem(facts, place->index, neighbour.index, keys->to_peer,
                                (*mask_shares)[i], (*self_shares)[i], &message.items[i])) {
      return failure;
    }
  }
  return Sign(config, FrameType::kShares, facts.session, place->index, wire::Encode(message), out);
}

Failure ReadInbox(const ClientConfig& config, const Place& place, ByteView body, MemberSet* shared,
                  std::vector<ReceivedShares>* shares) {
  const auto inbox = wire::DecodeInbox(body, config.announcement().limits());
  if (!inbox || inbox->session != place.facts.session) return ClientAbort::kMalformed;
  auto set = MemberSet::FromBytes(place.facts.n, inbox->shared);
  if (!set) return ClientAbort::kMalformed;
  if (!SoundSurvivors(place, *set)) return ClientAbort::kSurvivors;
  auto item = inbox->items.begin();
  for (const Neighbour& neighbour : place.neighbours) {  // both ascend
    if (item == inbox->items.end()) break;
    if (item->index != neighbour.index) continue;
    ReceivedShares received;
    if (set->Contains(neighbour.index) && OpenShares(place, neighbour, *item, &received)) {
      shares->push_back(std::move(received));
    }
    ++item;
  }
  if (item != inbox->items.end()) return ClientAbort::kGraph;  // from no neighbour of ours
  if (shares->size() < place.parameters.threshold) return ClientAbort::kShares;
  *shared = std::move(*set);
  return std::nullopt;
}

Failure MakeMasked(const ClientConfig& config, const state::Ready& state,
                   std::vector<std::uint32_t> values, Frame* out, Hash256* body_hash) {
  const Place& place = state.place;
  std::vector<SecretArray<32>> keys;
  std::vector<MaskSign> signs;
  keys.reserve(place.neighbours.size() + 1);
  keys.push_back(SelfMaskKey(place.facts, state.self_seed, place.index));
  signs.push_back(MaskSign::kAdd);
  const KeyedMember self{place.index, state.mask.public_key};
  auto mask_key = crypto::X25519Agreement::Create(state.mask.private_key);
  if (!mask_key) return ClientAbort::kInternal;
  // Every neighbour in U2, whether or not its shares reached us: the coordinator must not be able
  // to thin a member's masks by losing messages.
  for (const Neighbour& neighbour : place.neighbours) {
    if (!state.shared.Contains(neighbour.index)) continue;
    auto key = PairMaskKey(place.facts, *mask_key, self, {neighbour.index, neighbour.mask_key});
    if (!key) return ClientAbort::kRoster;
    keys.push_back(std::move(*key));
    signs.push_back(neighbour.index > place.index ? MaskSign::kAdd : MaskSign::kSubtract);
  }
  std::vector<MaskTerm> terms;  // together: one walk over the vector serves several
  for (std::size_t i = 0; i < keys.size(); ++i) terms.push_back({&keys[i], signs[i]});
  if (!ApplyMasks(terms, values)) return ClientAbort::kInternal;
  wire::Masked message;
  message.session = place.facts.session;
  message.shared_hash = crypto::Sha256(state.shared.bytes());
  message.dim = config.announcement().dim;
  message.bits = config.announcement().plan.encoding.bits;
  message.packed = Pack(values, message.bits);
  Bytes body = wire::Encode(message);
  *body_hash = crypto::Sha256(body);
  auto made = SignBody(config.identity(), FrameType::kMasked, place.facts.session, place.index,
                       std::move(body), *body_hash);
  if (!made) return ClientAbort::kInternal;
  *out = std::make_shared<const Bytes>(wire::Encode(*made));
  return std::nullopt;
}

Failure ReadConfirmRequest(const ClientConfig& config, const state::Masked& state, ByteView body,
                           MemberSet* survivors) {
  const auto request = wire::DecodeConfirmRequest(body, config.announcement().limits());
  if (!request || request->session != state.place.facts.session) return ClientAbort::kMalformed;
  auto set = MemberSet::FromBytes(state.place.facts.n, request->survivors);
  if (!set) return ClientAbort::kMalformed;
  if (!SoundSurvivors(state.place, *set) || !set->IsSubsetOf(state.shared)) {
    return ClientAbort::kSurvivors;
  }
  *survivors = std::move(*set);
  return std::nullopt;
}

Failure MakeConfirm(const ClientConfig& config, const Place& place, const Hash256& transcript,
                    Frame* out) {
  if (FindSeat(place, place.index) == nullptr) return std::nullopt;
  const auto signature = SignTranscript(config.identity(), transcript);
  if (!signature) return ClientAbort::kInternal;
  return Sign(config, FrameType::kConfirm, place.facts.session, place.index,
              wire::Encode(wire::Confirm{place.facts.session, *signature}), out);
}

Failure ReadUnmaskRequest(const ClientConfig& config, const state::Confirmed& state,
                          ByteView body) {
  const Place& place = state.place;
  const auto request = wire::DecodeUnmaskRequest(body, config.announcement().limits());
  if (!request || request->session != place.facts.session) return ClientAbort::kMalformed;
  // Just the quorum: what more would cost is the coordinator's to choose otherwise.
  if (request->confirmations.size() != place.parameters.quorum) return ClientAbort::kConfirmations;
  for (const wire::Confirmation& confirmation : request->confirmations) {  // ascend: each once
    const Seat* seat = FindSeat(place, confirmation.index);
    if (seat == nullptr) return ClientAbort::kConfirmations;
    if (!seat->certified) {
      const auto certified = config.check_certificate()(confirmation.certificate);
      if (!certified || *certified != seat->identity_key) return ClientAbort::kConfirmations;
    }
    if (!VerifyTranscript(seat->identity_key, state.transcript,
                          confirmation.transcript_signature)) {
      return ClientAbort::kConfirmations;
    }
  }
  return std::nullopt;
}

Failure MakeUnmask(const ClientConfig& config, const Place& place,
                   const std::vector<ReceivedShares>& shares, const MemberSet& survivors,
                   Frame* out) {
  wire::Unmask message;
  message.session = place.facts.session;
  message.shares.reserve(shares.size());
  for (const ReceivedShares& held : shares) {
    // Exactly one of the two, and the survivor set says which: both would open the vector.
    wire::RevealedShare& revealed = message.shares.emplace_back();
    revealed.index = held.dealer;
    const bool survived = survivors.Contains(held.dealer);
    revealed.kind = survived ? wire::ShareKind::kSelf : wire::ShareKind::kMask;
    revealed.share = survived ? held.self_share.Clone() : held.mask_share.Clone();
  }
  return Sign(config, FrameType::kUnmask, place.facts.session, place.index, wire::Encode(message),
              out);
}

}  // namespace demur::secagg::client
