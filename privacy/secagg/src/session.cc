#include "demur/secagg/session.h"

#include <algorithm>
#include <string>
#include <utility>

#include "demur/base/check.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/labels.h"

namespace demur::secagg {
namespace {

namespace label = crypto::label;

Error BadSignature() { return Error(ErrorCode::kPermissionDenied, "secagg: bad signature"); }

}  // namespace

Bytes SigningInput(wire::FrameType type, const Hash256& scope, std::uint32_t index,
                   const Hash256& body_hash) {
  ByteWriter input;
  input.Text(label::kSecAggSignature).U16(static_cast<std::uint16_t>(type)).Raw(scope);
  input.U32(index).Raw(body_hash);
  return std::move(input).bytes();
}

Result<wire::SignedBody> SignMessage(const crypto::Ed25519KeyPair& key, wire::FrameType type,
                                     const Hash256& scope, std::uint32_t index, Bytes body) {
  const Hash256 body_hash = crypto::Sha256(body);
  return SignBody(key, type, scope, index, std::move(body), body_hash);
}

Result<wire::SignedBody> SignBody(const crypto::Ed25519KeyPair& key, wire::FrameType type,
                                  const Hash256& scope, std::uint32_t index, Bytes body,
                                  const Hash256& body_hash) {
  DEMUR_TRY(const auto signature, crypto::Sign(key, SigningInput(type, scope, index, body_hash)));
  return wire::SignedBody{std::move(body), signature};
}

bool VerifyMessage(const crypto::PublicKey& key, wire::FrameType type, const Hash256& scope,
                   std::uint32_t index, const wire::SignedBody& message) {
  return VerifyBody(key, type, scope, index, crypto::Sha256(message.body), message.signature);
}

bool VerifyBody(const crypto::PublicKey& key, wire::FrameType type, const Hash256& scope,
                std::uint32_t index, const Hash256& body_hash, const crypto::Signature& signature) {
  return crypto::Verify(key, SigningInput(type, scope, index, body_hash), signature);
}

Result<Announcement> OpenAnnouncement(ByteView frame, const crypto::PublicKey& server_key,
                                      const wire::PlanLimits& limits) {
  DEMUR_TRY(const auto message, wire::DecodeSignedBody(ToBytes(frame), wire::kMaxAnnounceLen));
  if (!VerifyMessage(server_key, wire::FrameType::kAnnounce, Hash256{}, kNoIndex, message)) {
    return BadSignature();
  }
  DEMUR_TRY(const auto announce, wire::DecodeAnnounce(message.body));
  Announcement out;
  DEMUR_TRY(out.plan, wire::DecodePlan(announce.plan, limits));
  DEMUR_TRY(const auto layout,
            model::Layout::Create(out.plan.training.schema, out.plan.training.slice));
  out.dim = layout.dim();
  out.announce_hash = crypto::Sha256(message.body);
  out.params_hash = crypto::Sha256(announce.plan);
  out.nonce_commitment = announce.nonce_commitment;
  return out;
}

SessionFacts MakeSession(const Announcement& announcement, const Hash256& server_nonce,
                         const Hash256& root, std::uint32_t n) {
  SessionFacts facts{announcement.announce_hash,
                     announcement.params_hash,
                     announcement.plan.model_hash,
                     root,
                     {},
                     n};
  ByteWriter input;
  input.Text(label::kSecAggSession).Raw(facts.announce_hash).Raw(server_nonce).Raw(root).U32(n);
  facts.session = crypto::Sha256(input.bytes());
  return facts;
}

Hash256 RosterRest(const wire::Advertise& member) {
  ByteWriter rest;
  rest.Text(label::kSecAggRest).Raw(crypto::Sha256(member.certificate));
  rest.Raw(member.channel_key).Raw(member.mask_key).Raw(member.nonce).Raw(member.self_commitment);
  return crypto::Sha256(rest.bytes());
}

Hash256 RosterLeaf(const crypto::PublicKey& identity_key, const Hash256& rest) {
  ByteWriter leaf;
  leaf.U8(0).Raw(identity_key).Raw(rest);
  return crypto::Sha256(leaf.bytes());
}

Hash256 SelfCommitment(const Hash256& announce_hash, const crypto::PublicKey& identity_key,
                       const SecretArray<32>& self_seed) {
  crypto::Sha256Hasher hasher;  // wiped when it goes; the seed is copied nowhere
  hasher.Update(AsBytes(label::kSecAggCommit)).Update(announce_hash).Update(identity_key);
  return hasher.Update(self_seed.view()).Finish();
}

Result<crypto::X25519KeyPair> KeyPairFromSeed(const Hash256& announce_hash,
                                              const SecretArray<32>& seed) {
  return crypto::X25519FromSeed(
      crypto::HkdfKey(seed.view(), announce_hash, AsBytes(label::kSecAggX25519)));
}

SecretArray<32> GraphSeed(const SessionFacts& facts) {
  return crypto::HkdfKey(facts.session, facts.root, AsBytes(label::kSecAggGraph));
}

SecretArray<32> CommitteeSeed(const SessionFacts& facts) {
  return crypto::HkdfKey(facts.session, facts.root, AsBytes(label::kSecAggCommittee));
}

Hash256 ConfirmTranscript(const SessionFacts& facts, const MemberSet& shared,
                          const MemberSet& survivors) {
  ByteWriter input;
  input.Text(label::kSecAggConfirm).Raw(facts.session).Raw(facts.root).Raw(facts.model_hash);
  input.Raw(facts.params_hash).Raw(shared.bytes()).Raw(survivors.bytes());
  return crypto::Sha256(input.bytes());
}

Result<crypto::Signature> SignTranscript(const crypto::Ed25519KeyPair& key,
                                         const Hash256& transcript) {
  ByteWriter input;
  input.Text(label::kSecAggConfirmed).Raw(transcript);
  return crypto::Sign(key, input.bytes());
}

bool VerifyTranscript(const crypto::PublicKey& key, const Hash256& transcript,
                      const crypto::Signature& signature) {
  ByteWriter input;
  input.Text(label::kSecAggConfirmed).Raw(transcript);
  return crypto::Verify(key, input.bytes(), signature);
}

Result<ChannelKeys> DeriveChannel(const SessionFacts& facts, crypto::X25519Agreement& own_key,
                                  const KeyedMember& self, const KeyedMember& peer) {
  DEMUR_TRY(const auto shared, own_key.With(peer.key));
  const auto derive = [&](const KeyedMember& dealer, const KeyedMember& holder) {
    ByteWriter info;
    info.Text(label::kSecAggShare).U32(dealer.index).U32(holder.index);
    info.Raw(dealer.key).Raw(holder.key);
    return crypto::HkdfKey(shared.view(), facts.session, info.bytes());
  };
  return ChannelKeys{derive(self, peer), derive(peer, self)};
}

Bytes ShareAad(const SessionFacts& facts, std::uint32_t dealer, std::uint32_t holder) {
  ByteWriter aad;
  aad.Text(label::kSecAggShareAad).Raw(facts.session).Raw(facts.root).U32(dealer).U32(holder);
  aad.Raw(facts.params_hash);
  return std::move(aad).bytes();
}

wire::ShareHash HashShare(const SessionFacts& facts, std::uint32_t dealer, std::uint32_t holder,
                          wire::ShareKind kind, ByteView share) {
  ByteWriter context;
  context.Text(label::kSecAggShareHash).Raw(facts.session).U32(dealer).U32(holder);
  context.U8(static_cast<std::uint8_t>(kind));
  crypto::Sha256Hasher hasher;
  const Hash256 full = hasher.Update(context.bytes()).Update(share).Finish();
  wire::ShareHash out{};
  std::copy_n(full.begin(), out.size(), out.begin());
  return out;
}

Result<SecretArray<32>> PairMaskKey(const SessionFacts& facts, crypto::X25519Agreement& own_key,
                                    const KeyedMember& self, const KeyedMember& peer) {
  DEMUR_TRY(const auto shared, own_key.With(peer.key));
  const KeyedMember& low = self.index < peer.index ? self : peer;
  const KeyedMember& high = self.index < peer.index ? peer : self;
  ByteWriter info;
  info.Text(label::kSecAggPair).U32(low.index).U32(high.index).Raw(low.key).Raw(high.key);
  info.Raw(facts.model_hash).Raw(facts.params_hash);
  return crypto::HkdfKey(shared.view(), facts.session, info.bytes());
}

SecretArray<32> SelfMaskKey(const SessionFacts& facts, const SecretArray<32>& self_seed,
                            std::uint32_t index) {
  ByteWriter info;
  info.Text(label::kSecAggSelf).U32(index).Raw(facts.model_hash).Raw(facts.params_hash);
  return crypto::HkdfKey(self_seed.view(), facts.session, info.bytes());
}

}  // namespace demur::secagg
