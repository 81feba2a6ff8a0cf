#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/wire/frame.h"
#include "demur/wire/signed_body.h"

// The messages of secure aggregation FSA-1, M0 to M10 (docs/protocol.md), as plain structs. Each
// travels as the `body` of a SignedBody; nothing here checks or makes a signature. The layout is
// final: fields that only the malicious profile fills are on the wire now and are empty or refused
// by the roles in the semi-honest one.
//
// Every Decode returns kInvalidArgument for a malformed message and for any length that `limits`
// does not allow; lengths are checked before anything of that length is made, and the text of an
// error repeats nothing of the message. Meaning (who may say what, and when) is the roles' to
// judge. Pure functions; safe from several threads.
namespace demur::wire {

inline constexpr std::size_t kShareLen = 40;        // Shamir share of a 32-byte secret
inline constexpr std::size_t kShareHashLen = 16;    // bytes kept of its SHA-256
inline constexpr std::size_t kShareSealedLen = 96;  // two shares and the tag
// Items of M3 and M4: index, sealed, two hashes. Items of M9: index, kind, share.
inline constexpr std::size_t kSealedRecordLen = 4 + kShareSealedLen + 2 * kShareHashLen;
inline constexpr std::size_t kRevealedRecordLen = 4 + 1 + kShareLen;
inline constexpr std::size_t kMaxMemberCertificateLen = 2048;  // DER
inline constexpr std::uint32_t kMaxAnnounceLen = 1U << 22;     // M0 body: a plan lists slice rows
inline constexpr std::uint32_t kMaxRosterSize = 1'000'000;

using PublicKey = std::array<std::byte, 32>;  // X25519 or Ed25519, raw
using ShareHash = std::array<std::byte, kShareHashLen>;

// What the plan allows; both sides compute it from the plan.
struct SecAggLimits {
  std::uint32_t roster_max = 0;  // members; at most kMaxRosterSize
  std::uint32_t dim = 0;         // coordinates of the vector
  std::uint32_t bits = 0;        // of one coordinate, 8 to 32
};
// Bytes of `dim` coordinates of `bits` bits.
std::size_t PackedLen(std::uint32_t dim, std::uint32_t bits) noexcept;
// Bytes of a set of members of a roster of `n`: one bit each.
std::size_t BitmapLen(std::uint32_t n) noexcept;
// Longest frame body (the encoded SignedBody) of message `type` under `limits`: what a reader may
// allocate. 0: not one of M0 to M10.
std::uint32_t MaxSecAggFrameLen(FrameType type, const SecAggLimits& limits) noexcept;

// M0. `plan` is EncodePlan's string, kept as it came: its SHA-256 enters every mask key.
struct Announce {
  Bytes plan;
  Hash256 nonce_commitment{};  // SHA-256(server nonce)

  friend bool operator==(const Announce&, const Announce&) = default;
};

// M1.
struct Advertise {
  Hash256 announce{};  // A = SHA-256(M0 body)
  PublicKey identity_key{};
  Bytes certificate;          // DER, 1 to kMaxMemberCertificateLen bytes
  PublicKey channel_key{};    // X25519, seals shares
  PublicKey mask_key{};       // X25519, pair masks
  Hash256 nonce{};            // feeds the roster's root
  Hash256 self_commitment{};  // comB, commits to the self mask seed

  friend bool operator==(const Advertise&, const Advertise&) = default;
};

// M2.
struct RosterNeighbour {
  std::uint32_t index = 0;
  SignedBody advertise;  // that member's M1, byte for byte

  friend bool operator==(const RosterNeighbour&, const RosterNeighbour&) = default;
};
struct CommitteeMember {  // malicious profile
  std::uint32_t index = 0;
  PublicKey identity_key{};
  Hash256 rest{};  // hash of the leaf behind the key

  friend bool operator==(const CommitteeMember&, const CommitteeMember&) = default;
};
struct Roster {
  Hash256 server_nonce{};
  std::uint32_t size = 0;  // n
  Hash256 root{};          // R
  std::uint32_t my_index = 0;
  std::vector<RosterNeighbour> neighbours;  // strictly ascending by index
  std::vector<CommitteeMember> committee;   // malicious profile; ascending
  std::vector<Hash256> multiproof;          // malicious profile: Merkle nodes

  friend bool operator==(const Roster&, const Roster&) = default;
};

// M3. On the wire a record of kSealedRecordLen bytes.
struct SealedShares {
  std::uint32_t index = 0;  // M3: the holder; M4: the dealer
  std::array<std::byte, kShareSealedLen> sealed{};
  ShareHash mask_share_hash{};
  ShareHash self_share_hash{};

  friend bool operator==(const SealedShares&, const SealedShares&) = default;
};
struct Shares {
  Hash256 session{};
  std::vector<SealedShares> items;  // strictly ascending by index

  friend bool operator==(const Shares&, const Shares&) = default;
};

// M4.
struct Inbox {
  Hash256 session{};
  Bytes shared;                     // U2: BitmapLen(n) bytes
  std::vector<SealedShares> items;  // strictly ascending by index

  friend bool operator==(const Inbox&, const Inbox&) = default;
};

// M5.
struct Masked {
  Hash256 session{};
  Hash256 shared_hash{};  // SHA-256(U2)
  std::uint32_t dim = 0;
  std::uint32_t bits = 0;
  Bytes packed;  // exactly PackedLen(dim, bits)

  friend bool operator==(const Masked&, const Masked&) = default;
};

// M6.
struct ConfirmRequest {
  Hash256 session{};
  Bytes survivors;  // U3: BitmapLen(n) bytes

  friend bool operator==(const ConfirmRequest&, const ConfirmRequest&) = default;
};

// M7, malicious profile: a committee member's signature over the transcript T.
struct Confirm {
  Hash256 session{};
  Signature transcript_signature{};

  friend bool operator==(const Confirm&, const Confirm&) = default;
};

// M8, malicious profile.
struct Confirmation {
  std::uint32_t index = 0;
  Bytes certificate;
  Signature transcript_signature{};

  friend bool operator==(const Confirmation&, const Confirmation&) = default;
};
struct UnmaskRequest {
  Hash256 session{};
  std::vector<Confirmation> confirmations;  // strictly ascending by index

  friend bool operator==(const UnmaskRequest&, const UnmaskRequest&) = default;
};

// M9. Never renumber.
enum class ShareKind : std::uint8_t { kMask = 1, kSelf = 2 };
struct RevealedShare {      // on the wire a record of kRevealedRecordLen bytes
  std::uint32_t index = 0;  // the dealer
  ShareKind kind = ShareKind::kMask;
  SecretArray<kShareLen> share;
};
struct Unmask {
  Hash256 session{};
  std::vector<RevealedShare> shares;  // strictly ascending by index: one kind per dealer
};

// M10. Never renumber.
enum class CloseStatus : std::uint8_t {
  kCommitted = 1,  // the round counts
  kAbandoned = 2,  // it does not
  kExcluded = 3,   // the receiver is not part of it
};
struct Close {
  Hash256 announce{};  // A: also a member that saw no roster can read it
  CloseStatus status = CloseStatus::kAbandoned;
  Hash256 result_hash{};  // of the committed model; zero otherwise

  friend bool operator==(const Close&, const Close&) = default;
};

Bytes Encode(const Announce& message);
Bytes Encode(const Advertise& message);
Bytes Encode(const Roster& message);
Bytes Encode(const Shares& message);
Bytes Encode(const Inbox& message);
Bytes Encode(const Masked& message);
Bytes Encode(const ConfirmRequest& message);
Bytes Encode(const Confirm& message);
Bytes Encode(const UnmaskRequest& message);
Bytes Encode(const Unmask& message);
Bytes Encode(const Close& message);

// At most kMaxAnnounceLen bytes. Does not parse the plan.
Result<Announce> DecodeAnnounce(ByteView body);
Result<Advertise> DecodeAdvertise(ByteView body);
Result<Roster> DecodeRoster(ByteView body, const SecAggLimits& limits);
Result<Shares> DecodeShares(ByteView body, const SecAggLimits& limits);
Result<Inbox> DecodeInbox(ByteView body, const SecAggLimits& limits);
// Takes the body, and `packed` stays in it. Also kInvalidArgument: dim and bits are not those of
// the limits.
Result<Masked> DecodeMasked(Bytes body, const SecAggLimits& limits);
Result<ConfirmRequest> DecodeConfirmRequest(ByteView body, const SecAggLimits& limits);
Result<Confirm> DecodeConfirm(ByteView body);
Result<UnmaskRequest> DecodeUnmaskRequest(ByteView body, const SecAggLimits& limits);
Result<Unmask> DecodeUnmask(ByteView body, const SecAggLimits& limits);
Result<Close> DecodeClose(ByteView body);

}  // namespace demur::wire
