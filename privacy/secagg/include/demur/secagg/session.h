#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/crypto/aead.h"
#include "demur/crypto/keys.h"
#include "demur/model/plan.h"
#include "demur/secagg/member_set.h"
#include "demur/wire/frame.h"
#include "demur/wire/plan_codec.h"
#include "demur/wire/secagg_messages.h"
#include "demur/wire/signed_body.h"

// What both roles of FSA-1 derive, and how messages are signed (docs/protocol.md, "Derivations").
// Integers inside hashed strings are big-endian. Stateless; safe from several threads.
namespace demur::secagg {

// The roster index in the signature of a message whose sender has none: M1, and the coordinator.
inline constexpr std::uint32_t kNoIndex = ~std::uint32_t{0};

// The string a signature covers: "fsa1", u16 frame type, scope, u32 index, body_hash =
// SHA-256(body). `scope` is 32 zero bytes for M0, A for M1, M2 and M10, the session id for the
// others.
Bytes SigningInput(wire::FrameType type, const Hash256& scope, std::uint32_t index,
                   const Hash256& body_hash);
// kInternal: the library failed.
Result<wire::SignedBody> SignMessage(const crypto::Ed25519KeyPair& key, wire::FrameType type,
                                     const Hash256& scope, std::uint32_t index, Bytes body);
bool VerifyMessage(const crypto::PublicKey& key, wire::FrameType type, const Hash256& scope,
                   std::uint32_t index, const wire::SignedBody& message);
// Both for somebody who needs SHA-256(body) anyway: an M5 takes as long to hash as to sign for.
Result<wire::SignedBody> SignBody(const crypto::Ed25519KeyPair& key, wire::FrameType type,
                                  const Hash256& scope, std::uint32_t index, Bytes body,
                                  const Hash256& body_hash);
bool VerifyBody(const crypto::PublicKey& key, wire::FrameType type, const Hash256& scope,
                std::uint32_t index, const Hash256& body_hash, const crypto::Signature& signature);

// The key that the identity authority certified, if `certificate` (DER, from a peer) is good for a
// device now. Given to the roles so that they stay free of clocks and files; it must be pure: the
// same bytes give the same answer for the life of a session.
using CertificateCheck = std::function<Result<crypto::PublicKey>(ByteView certificate)>;

// M0, opened.
struct Announcement {
  model::Plan plan;
  Hash256 announce_hash{};     // A = SHA-256(M0 body): names the attempt in every later message
  Hash256 params_hash{};       // H(params) = SHA-256 of the encoded plan
  Hash256 nonce_commitment{};  // SHA-256(server nonce)
  std::uint32_t dim = 0;       // coordinates of the plan's layout

  wire::SecAggLimits limits() const noexcept {
    return {plan.secagg.roster_max, dim, plan.encoding.bits};
  }
};

// The first thing a device does with M0 (`frame` is the frame body): signature under the pinned
// coordinator key, then form, then Plan::Validate. What the plan asks for is the device's policy to
// judge.
// kPermissionDenied: another key signed it. kInvalidArgument: malformed or invalid.
Result<Announcement> OpenAnnouncement(ByteView frame, const crypto::PublicKey& server_key,
                                      const wire::PlanLimits& limits = {});

// What every derivation after the roster is bound to.
struct SessionFacts {
  Hash256 announce_hash{};
  Hash256 params_hash{};
  Hash256 model_hash{};
  Hash256 root{};     // R
  Hash256 session{};  // H("fsa1/session", A, server nonce, R, u32 n)
  std::uint32_t n = 0;
};
SessionFacts MakeSession(const Announcement& announcement, const Hash256& server_nonce,
                         const Hash256& root, std::uint32_t n);

// The roster is the hash tree of merkle.h over one leaf a member, in order of the identity keys.
// rest = SHA-256("fsa1/rest", SHA-256(certificate), channel key, mask key, nonce, comB);
// leaf = SHA-256(0x00, identity key, rest).
Hash256 RosterRest(const wire::Advertise& member);
Hash256 RosterLeaf(const crypto::PublicKey& identity_key, const Hash256& rest);

// comB = SHA-256("fsa1/comB", A, identity key, self seed).
Hash256 SelfCommitment(const Hash256& announce_hash, const crypto::PublicKey& identity_key,
                       const SecretArray<32>& self_seed);
// X25519 pair whose private key is HKDF(seed, A, "fsa1/x25519"): the seed is what is shared, so
// that whoever reconstructs it can check the public key. kInternal: the library failed.
Result<crypto::X25519KeyPair> KeyPairFromSeed(const Hash256& announce_hash,
                                              const SecretArray<32>& seed);
// HKDF(session, R, "fsa1/graph").
SecretArray<32> GraphSeed(const SessionFacts& facts);
// HKDF(session, R, "fsa1/committee").
SecretArray<32> CommitteeSeed(const SessionFacts& facts);

// T = SHA-256("fsa1/confirm", session, R, model hash, H(params), U2, U3): what a committee member
// puts its name to, once in a session.
Hash256 ConfirmTranscript(const SessionFacts& facts, const MemberSet& shared,
                          const MemberSet& survivors);
// Ed25519 over "fsa1/confirmed", T. kInternal: the library failed.
Result<crypto::Signature> SignTranscript(const crypto::Ed25519KeyPair& key,
                                         const Hash256& transcript);
bool VerifyTranscript(const crypto::PublicKey& key, const Hash256& transcript,
                      const crypto::Signature& signature);

struct KeyedMember {
  std::uint32_t index = 0;
  crypto::PublicKey key{};  // X25519
};
struct ChannelKeys {
  SecretArray<32> to_peer;    // seals what `self` deals to `peer`
  SecretArray<32> from_peer;  // opens what `peer` dealt to `self`
};
// HKDF(X25519, session, "fsa1/share", u32 dealer, u32 holder, dealer key, holder key), both ways.
// kInvalidArgument: the peer's key is of low order.
Result<ChannelKeys> DeriveChannel(const SessionFacts& facts, crypto::X25519Agreement& own_key,
                                  const KeyedMember& self, const KeyedMember& peer);
// Of every sealed share. A channel key seals one message in its life, and which one is fixed: the
// key is bound to session, dealer and holder, and the shares come from seeds and coins that are
// bound to the session too. So the nonce needs no freshness and is not sent.
inline constexpr crypto::AeadNonce kShareNonce{};
// "fsa1/M3", session, R, u32 dealer, u32 holder, H(params).
Bytes ShareAad(const SessionFacts& facts, std::uint32_t dealer, std::uint32_t holder);
// The 16 bytes of SHA-256("fsa1/share-hash", session, u32 dealer, u32 holder, u8 kind, share) that
// M3 carries in clear.
wire::ShareHash HashShare(const SessionFacts& facts, std::uint32_t dealer, std::uint32_t holder,
                          wire::ShareKind kind, ByteView share);

// The mask that `self` (whose key `own_key` is) and `peer` share; the same from either side.
// Model and parameters enter, so that members who trained on different ones never cancel.
// kInvalidArgument: the peer's key is of low order.
Result<SecretArray<32>> PairMaskKey(const SessionFacts& facts, crypto::X25519Agreement& own_key,
                                    const KeyedMember& self, const KeyedMember& peer);
// HKDF(self seed, session, "fsa1/self", u32 index, model hash, H(params)).
SecretArray<32> SelfMaskKey(const SessionFacts& facts, const SecretArray<32>& self_seed,
                            std::uint32_t index);

}  // namespace demur::secagg
