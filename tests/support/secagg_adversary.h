#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/check.h"
#include "demur/crypto/aead.h"
#include "demur/crypto/hash.h"
#include "demur/secagg/graph.h"
#include "demur/secagg/mask.h"
#include "demur/secagg/packing.h"
#include "demur/secagg/session.h"
#include "demur/secagg/shamir.h"
#include "secagg_session.h"

// A coordinator that lies, and the devices it has bought. It signs with the coordinator's key, sees
// every frame that reaches it, knows all secrets of its colluders, and in the end tries to open one
// victim's vector the only way there is: both seeds from shares, then the masks off. What it cannot
// do it cannot do because devices refuse, never because this code does not try: the same code opens
// the vector in the semi-honest profile, whose devices agree on no survivor set. For tests.
namespace demur::testing {

class LyingCoordinator {
 public:
  using Set = std::set<std::uint32_t>;  // of roster indices

  // `colluders`: devices whose identity and session secrets the coordinator has.
  LyingCoordinator(const SessionOptions& options, std::set<std::uint32_t> colluders)
      : session_(options), colluders_(std::move(colluders)) {}

  SecAggSession& session() { return session_; }
  const secagg::SessionFacts& facts() const { return frozen_->facts; }
  const secagg::Parameters& parameters() const { return frozen_->parameters; }
  const secagg::Graph& graph() const { return frozen_->graph; }
  const std::vector<std::uint32_t>& committee() const { return frozen_->committee; }
  const secagg::MemberSet& shared() const { return *shared_; }
  std::uint32_t DeviceAt(std::uint32_t index) const { return device_at_[index]; }
  bool IsColluder(std::uint32_t index) const { return colluders_.contains(device_at_[index]); }
  bool malicious() const { return !frozen_->committee.empty(); }

  // Changes the body of a message on its way to a device, which the coordinator signs anew.
  using Lie = std::function<void(std::uint32_t device, Bytes* body)>;
  void LieIn(wire::FrameType type, Lie lie) {
    session_.SetTap([this, type, lie = std::move(lie)](SecAggSession::Frame& frame) {
      if (frame.to_server || frame.type != type) return true;
      Bytes body = BodyOf(frame.bytes);
      lie(frame.device, &body);
      frame.bytes = Signed(type, std::move(body));
      return true;
    });
  }

  // Everything honest until all vectors are in; then nothing that the honest coordinator would say
  // leaves any more. False: the session did not come so far.
  bool CollectVectors() {
    session_.Start();
    const bool malicious = session_.plan().secagg.profile == model::SecAggProfile::kMalicious;
    if (!session_.RunUntil(malicious ? "confirming" : "unmasking")) return false;
    session_.queue().clear();
    std::visit([this](auto& state) { Learn(state); }, session_.server());
    for (const auto& frame : session_.received()) Record(frame);
    for (const std::uint32_t device : colluders_) OpenInboxOf(device);
    return true;
  }

  // Says `body` to the member at `index`, signed, and hears its answer.
  std::optional<Bytes> Tell(std::uint32_t index, wire::FrameType type, Bytes body) {
    const std::uint32_t device = device_at_[index];
    session_.DeviceEvent(device, secagg::client::event::Message{type, Signed(type, body)});
    std::optional<Bytes> answer;
    for (auto& frame : session_.queue()) {
      if (!frame.to_server) continue;
      Record(frame);
      answer = std::move(frame.bytes);
    }
    session_.queue().clear();
    return answer;
  }
  // M6.
  std::optional<Bytes> AskToConfirm(std::uint32_t index, const secagg::MemberSet& survivors) {
    return Tell(
        index, wire::FrameType::kConfirmRequest,
        wire::Encode(wire::ConfirmRequest{frozen_->facts.session, ToBytes(survivors.bytes())}));
  }
  // M8.
  std::optional<Bytes> AskToUnmask(std::uint32_t index,
                                   std::vector<wire::Confirmation> confirmations) {
    return Tell(
        index, wire::FrameType::kUnmaskRequest,
        wire::Encode(wire::UnmaskRequest{frozen_->facts.session, std::move(confirmations)}));
  }

  // The members of `of` but for those in `without`.
  secagg::MemberSet Without(const secagg::MemberSet& of, const Set& without) const {
    secagg::MemberSet out(of.universe());
    for (std::uint32_t i = 0; i < of.universe(); ++i) {
      if (of.Contains(i) && !without.contains(i)) out.Insert(i);
    }
    return out;
  }
  Hash256 TranscriptOf(const secagg::MemberSet& survivors) const {
    return secagg::ConfirmTranscript(frozen_->facts, *shared_, survivors);
  }
  // What a device whose identity key the coordinator has would sign.
  wire::Confirmation Forge(std::uint32_t index, const Hash256& transcript) {
    const auto& device = session_.device(device_at_[index]);
    const auto signature = secagg::SignTranscript(device.identity, transcript);
    DEMUR_CHECK(signature.has_value(), "signing works");
    return {index, device.certificate, *signature};
  }
  // Out of an M7 that `index` sent.
  wire::Confirmation ConfirmationIn(std::uint32_t index, ByteView frame) {
    const auto confirm = wire::DecodeConfirm(BodyOf(frame));
    DEMUR_CHECK(confirm.has_value(), "a device sends what it should");
    return {index, session_.device(device_at_[index]).certificate, confirm->transcript_signature};
  }

  // The victim's vector, if what was seen opens both its seeds.
  std::optional<std::vector<std::uint32_t>> Recover(std::uint32_t victim) const {
    const auto self_seed = OpenSeed(victim, wire::ShareKind::kSelf);
    const auto mask_seed = OpenSeed(victim, wire::ShareKind::kMask);
    if (!self_seed || !mask_seed || !vectors_.contains(victim)) return std::nullopt;
    std::vector<std::uint32_t> values = vectors_.at(victim);
    const auto self_key = secagg::SelfMaskKey(frozen_->facts, *self_seed, victim);
    if (!secagg::ApplyMask(self_key, secagg::MaskSign::kSubtract, values)) return std::nullopt;
    const auto pair = secagg::KeyPairFromSeed(frozen_->facts.announce_hash, *mask_seed);
    auto own_key = crypto::X25519Agreement::Create(pair->private_key);
    for (const std::uint32_t other : frozen_->graph.Neighbours(victim)) {
      if (!shared_->Contains(other)) continue;
      const auto key = secagg::PairMaskKey(frozen_->facts, *own_key, {victim, pair->public_key},
                                           {other, roster_[other].mask_key});
      const auto sign = other > victim ? secagg::MaskSign::kSubtract : secagg::MaskSign::kAdd;
      if (!key || !secagg::ApplyMask(*key, sign, values)) return std::nullopt;
    }
    secagg::Reduce(values, session_.plan().encoding.bits);
    return values;
  }
  // Members whose share of that kind of the victim's seed is known.
  std::size_t SharesOf(std::uint32_t victim, wire::ShareKind kind) const {
    const auto it = shares_.find({victim, kind});
    return it == shares_.end() ? 0 : it->second.size();
  }

 private:
  static Bytes BodyOf(ByteView frame) {
    auto message = wire::DecodeSignedBody(ToBytes(frame), frame.size());
    DEMUR_CHECK(message.has_value(), "frames of this session decode");
    return std::move(message->body);
  }
  Bytes Signed(wire::FrameType type, Bytes body) {
    const auto& announcement = session_.server_config().announcement();
    Hash256 scope{};
    if (type == wire::FrameType::kRoster || type == wire::FrameType::kClose) {
      scope = announcement.announce_hash;
    } else if (type != wire::FrameType::kAnnounce) {
      std::visit([&scope](auto& state) { scope = SessionIn(state); }, session_.server());
    }
    const auto message =
        secagg::SignMessage(session_.server_key(), type, scope, secagg::kNoIndex, std::move(body));
    DEMUR_CHECK(message.has_value(), "signing works");
    return wire::Encode(*message);
  }
  template <class State>
  static Hash256 SessionIn(const State& state) {
    if constexpr (requires { state.frozen; }) return state.frozen.facts.session;
    return {};
  }

  template <class State>
  void Learn(const State& state) {
    if constexpr (requires {
                    state.frozen;
                    state.shared;
                  }) {
      frozen_ = &state.frozen;
      shared_ = state.shared;
      for (const auto& member : state.frozen.roster) {
        const auto& known = state.core.members[member.position];
        device_at_.push_back(session_.IndexOfDevice(known.id));
        roster_.push_back(*wire::DecodeAdvertise(known.advertise.body));
      }
    }
  }
  std::uint32_t IndexOf(std::uint32_t device) const {
    const auto it = std::find(device_at_.begin(), device_at_.end(), device);
    return static_cast<std::uint32_t>(it - device_at_.begin());
  }

  void Record(const SecAggSession::Frame& frame) {
    const auto limits = session_.server_config().announcement().limits();
    const std::uint32_t index = IndexOf(frame.device);
    const Bytes body = BodyOf(frame.bytes);
    if (frame.type == wire::FrameType::kShares) {
      dealt_.insert_or_assign(index, *wire::DecodeShares(body, limits));
    } else if (frame.type == wire::FrameType::kMasked) {
      const auto masked = wire::DecodeMasked(body, limits);
      std::vector<std::uint32_t> values(limits.dim);
      DEMUR_CHECK(secagg::UnpackAdd(masked->packed, masked->bits, values).has_value(), "it fits");
      vectors_.insert_or_assign(index, std::move(values));
    } else if (frame.type == wire::FrameType::kUnmask) {
      auto unmask = wire::DecodeUnmask(body, limits);
      for (auto& share : unmask->shares) {
        shares_[{share.index, share.kind}].insert_or_assign(index, std::move(share.share));
      }
    }
  }

  // What others dealt to a colluder it gives away, both kinds.
  void OpenInboxOf(std::uint32_t device) {
    const std::uint32_t holder = IndexOf(device);
    const auto secrets = session_.SecretsOf(device);
    const auto channel =
        secagg::KeyPairFromSeed(frozen_->facts.announce_hash, secrets.channel_seed);
    auto own_key = crypto::X25519Agreement::Create(channel->private_key);
    for (const std::uint32_t dealer : frozen_->graph.Neighbours(holder)) {
      if (!dealt_.contains(dealer)) continue;
      const auto& items = dealt_.at(dealer).items;
      const auto item = std::find_if(items.begin(), items.end(),
                                     [holder](const auto& i) { return i.index == holder; });
      const auto keys =
          secagg::DeriveChannel(frozen_->facts, *own_key, {holder, channel->public_key},
                                {dealer, roster_[dealer].channel_key});
      const auto plain =
          crypto::Open(keys->from_peer, secagg::kShareNonce,
                       secagg::ShareAad(frozen_->facts, dealer, holder), item->sealed);
      DEMUR_CHECK(plain.has_value(), "honest shares open");
      const ByteView view = plain->view();
      Keep(dealer, wire::ShareKind::kMask, holder, view.first(wire::kShareLen));
      Keep(dealer, wire::ShareKind::kSelf, holder, view.last(wire::kShareLen));
    }
  }
  void Keep(std::uint32_t dealer, wire::ShareKind kind, std::uint32_t holder, ByteView share) {
    secagg::SecretShare copy;
    std::copy(share.begin(), share.end(), copy.mutable_view().begin());
    shares_[{dealer, kind}].insert_or_assign(holder, std::move(copy));
  }

  std::optional<SecretArray<32>> OpenSeed(std::uint32_t owner, wire::ShareKind kind) const {
    const auto it = shares_.find({owner, kind});
    if (it == shares_.end()) return std::nullopt;
    std::vector<secagg::HeldShare> held;
    for (const auto& [holder, share] : it->second) {
      held.push_back({holder + 1, &share});
      if (held.size() == frozen_->parameters.threshold) break;
    }
    auto seed = secagg::OpenSecret(held);
    if (!seed) return std::nullopt;
    const auto& advertised = roster_[owner];
    if (kind == wire::ShareKind::kSelf) {
      const auto commitment =
          secagg::SelfCommitment(advertised.announce, advertised.identity_key, *seed);
      if (commitment != advertised.self_commitment) return std::nullopt;
    } else {
      const auto pair = secagg::KeyPairFromSeed(advertised.announce, *seed);
      if (!pair || pair->public_key != advertised.mask_key) return std::nullopt;
    }
    return std::move(*seed);
  }

  SecAggSession session_;
  std::set<std::uint32_t> colluders_;               // devices
  const secagg::server::Frozen* frozen_ = nullptr;  // in session_'s state, which stays as it is
  std::optional<secagg::MemberSet> shared_;         // U2
  std::vector<std::uint32_t> device_at_;            // by roster index
  std::vector<wire::Advertise> roster_;             // by roster index
  std::map<std::uint32_t, wire::Shares> dealt_;     // by dealer
  std::map<std::uint32_t, std::vector<std::uint32_t>> vectors_;
  std::map<std::pair<std::uint32_t, wire::ShareKind>, std::map<std::uint32_t, secagg::SecretShare>>
      shares_;
};

// --- Members that lie
// ----------------------------------------------------------------------------------------

// M3 of `device`, dealt anew: `change` gets each holder's two shares before they are sealed and
// hashed, so that nothing about the message is wrong but what the shares open to. `roster`: the M2
// that the device answers.
inline Bytes DealAnew(
    SecAggSession& session, std::uint32_t device, const wire::Roster& roster, ByteView shares_body,
    const std::function<void(std::span<std::byte>, std::span<std::byte>)>& change) {
  const auto& announcement = session.server_config().announcement();
  const auto facts =
      secagg::MakeSession(announcement, roster.server_nonce, roster.root, roster.size);
  auto shares = *wire::DecodeShares(shares_body, announcement.limits());
  const auto secrets = session.SecretsOf(device);
  const auto channel = secagg::KeyPairFromSeed(facts.announce_hash, secrets.channel_seed);
  auto own_key = crypto::X25519Agreement::Create(channel->private_key);
  for (std::size_t i = 0; i < shares.items.size(); ++i) {
    wire::SealedShares& item = shares.items[i];
    const auto peer = *wire::DecodeAdvertise(roster.neighbours[i].advertise.body);
    const auto keys = secagg::DeriveChannel(facts, *own_key, {roster.my_index, channel->public_key},
                                            {item.index, peer.channel_key});
    const Bytes aad = secagg::ShareAad(facts, roster.my_index, item.index);
    Bytes plain =
        ToBytes(crypto::Open(keys->to_peer, secagg::kShareNonce, aad, item.sealed)->view());
    const auto mask = std::span(plain).first(wire::kShareLen);
    const auto self = std::span(plain).last(wire::kShareLen);
    change(mask, self);
    const auto sealed = crypto::Seal(keys->to_peer, secagg::kShareNonce, aad, plain);
    std::copy(sealed->begin(), sealed->end(), item.sealed.begin());
    item.mask_share_hash =
        secagg::HashShare(facts, roster.my_index, item.index, wire::ShareKind::kMask, mask);
    item.self_share_hash =
        secagg::HashShare(facts, roster.my_index, item.index, wire::ShareKind::kSelf, self);
  }
  const auto message =
      secagg::SignMessage(session.device(device).identity, wire::FrameType::kShares, facts.session,
                          roster.my_index, wire::Encode(shares));
  return wire::Encode(*message);
}

}  // namespace demur::testing
