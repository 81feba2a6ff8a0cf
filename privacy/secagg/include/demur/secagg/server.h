#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/crypto/keys.h"
#include "demur/dp/ledger.h"
#include "demur/secagg/graph.h"
#include "demur/secagg/member_set.h"
#include "demur/secagg/merkle.h"
#include "demur/secagg/parameters.h"
#include "demur/secagg/session.h"
#include "demur/secagg/shamir.h"
#include "demur/wire/frame.h"

// The coordinator's side of one FSA-1 session as a pure step: no socket, clock, randomness, disk or
// log inside (docs/protocol.md has the table). It learns one thing: the sum over the members whose
// vector it accepted. Vectors are unpacked and added as they arrive, so memory is O(dim) plus what
// the shares take. A member's fault costs that member its place and leaves evidence; it never ends
// the session for the others, unless too few are left. The sum does not depend on the order in
// which messages of different members arrive.
// Not thread-safe per state; Step itself has no state.
namespace demur::secagg {

using MemberId = crypto::PublicKey;  // identity key, as certified and as TLS saw it

// The phases that a timer may end, in order.
enum class Phase : std::uint8_t {
  kTraining = 1,
  kAdvertise = 2,
  kShare = 3,
  kMask = 4,
  kConfirm = 5,  // malicious profile
  kUnmask = 6
};
std::string_view ToString(Phase phase) noexcept;

class ServerConfig {
 public:
  // `invited`: the cohort, each once, at least roster_min and at most roster_max.
  // `server_nonce`: 32 fresh random bytes, kept to this process until M2 opens them.
  // Signs M0. kInvalidArgument: an invalid plan, a cohort
  // of the wrong size or with a double, a roster_min whose parameters do not exist, no check.
  // kInternal: the library failed.
  static Result<ServerConfig> Create(const model::Plan& plan, crypto::Ed25519KeyPair signing_key,
                                     std::vector<MemberId> invited, const Hash256& server_nonce,
                                     CertificateCheck check_certificate);

  const Announcement& announcement() const noexcept { return announcement_; }
  // M0 as a frame body; the same for every member.
  const std::shared_ptr<const Bytes>& announce_frame() const noexcept { return announce_frame_; }
  const crypto::Ed25519KeyPair& signing_key() const noexcept { return signing_key_; }
  const std::vector<MemberId>& invited() const noexcept { return invited_; }  // ascending
  const Hash256& server_nonce() const noexcept { return server_nonce_; }
  const CertificateCheck& check_certificate() const noexcept { return check_certificate_; }

 private:
  ServerConfig() = default;
  Announcement announcement_;
  std::shared_ptr<const Bytes> announce_frame_;
  crypto::Ed25519KeyPair signing_key_;
  std::vector<MemberId> invited_;
  Hash256 server_nonce_{};
  CertificateCheck check_certificate_;
};

// What a member did wrong. Never renumber: evidence is stored.
enum class Fault : std::uint8_t {
  kMalformed = 1,
  kBadSignature = 2,
  kOutOfOrder = 3,        // ahead of its phase, or a message that members do not send
  kSecondBody = 4,        // a second, different body of one type
  kWrongRound = 5,        // another announcement or session
  kCertificate = 6,       // not certified, or not this member's key
  kBadKey = 7,            // low order, not canonical, or one key used twice
  kDuplicateKey = 8,      // a key that another member advertises too
  kWrongNeighbours = 9,   // shares for or of others than the graph's neighbours
  kSurvivorSet = 10,      // masked under another U2
  kBadVector = 11,        // packed bytes do not fit
  kWrongKind = 12,        // reveals the kind of share that the survivor set forbids
  kShareMismatch = 13,    // a holder's share is not the one its dealer signed the hash of
  kBadDealing = 14,       // a dealer's shares open to something else than it advertised
  kBadConfirmation = 15,  // a signature over another transcript than this session's
};
std::string_view ToString(Fault fault) noexcept;

enum class ServerAbort : std::uint8_t {
  kStopped = 1,  // the shell asked
  kRosterTooSmall = 2,
  kTooFewShared = 3,     // |U2|, or a member with fewer than t neighbours in it
  kTooFewSurvivors = 4,  // |U3|, a member with fewer than t neighbours in it, or no quorum in it
  kTooFewShares = 5,     // a secret with fewer than t shares revealed
  kBadDealing = 6,       // a secret that cannot be opened because of its dealer
  kInternal = 7,
  kTooFewConfirmed = 8,  // the committee's quorum did not sign U3
};
std::string_view ToString(ServerAbort reason) noexcept;

namespace server {

enum class Standing : std::uint8_t {
  kActive,   // expected to answer
  kMissed,   // did not answer a phase in time: takes no further part
  kLeft,     // said so, or its connection is gone for good
  kExcluded  // a fault
};

struct Accepted {
  wire::FrameType type = wire::FrameType::kAdvertise;
  Hash256 body_hash{};
};
struct Member {
  MemberId id{};
  Standing standing = Standing::kActive;
  std::uint32_t index = kNoIndex;  // in the roster, once frozen
  std::vector<Accepted> accepted;  // one a message type
  wire::SignedBody advertise;      // M1 as it came; empty: none yet
};

struct Core {
  std::vector<Member> members;  // ascending by id, as ServerConfig::invited
  dp::RoundPermit permit;
};

struct RosterMember {
  std::uint32_t position = 0;  // in Core::members
  crypto::PublicKey channel_key{};
  crypto::PublicKey mask_key{};
  Hash256 self_commitment{};
  Hash256 rest{};
};
struct Frozen {
  SessionFacts facts;
  Parameters parameters;
  Graph graph;
  std::vector<RosterMember> roster;      // by index
  MerkleTree tree;                       // over the roster
  std::vector<std::uint32_t> committee;  // ascending; empty in the semi-honest profile
};
// What one dealer sent in M3, in the order of its neighbours.
struct Dealing {
  std::vector<wire::SealedShares> items;
};
// What M3 leaves behind for M9: a signed hash per share.
struct DealtHashes {
  std::vector<std::uint32_t> holders;  // ascending
  std::vector<wire::ShareHash> mask;
  std::vector<wire::ShareHash> self;
};
struct OpenedShares {  // shares of one member's seed, from its neighbours
  std::vector<std::uint32_t> holders;
  std::vector<SecretShare> shares;
};

namespace state {
struct Announced {  // M0 is out; devices train
  Core core;
};
struct Advertising {  // the training deadline has passed
  Core core;
};
struct Sharing {  // the roster is frozen, M2 is out
  Core core;
  Frozen frozen;
  std::vector<Dealing> dealings;  // by index; empty: none
};
struct Masking {  // U2 is frozen, M4 is out
  Core core;
  Frozen frozen;
  std::vector<Dealing> dealings;
  MemberSet shared;                // U2
  MemberSet survivors;             // U3 so far
  std::vector<std::uint32_t> sum;  // of the masked vectors, mod 2^32
};
// From here on U3 is frozen and durable, and M6 is out.
struct FixedSum {
  Core core;
  Frozen frozen;
  std::vector<DealtHashes> hashes;  // by dealer
  MemberSet shared;
  MemberSet survivors;
  std::vector<std::uint32_t> sum;
  std::shared_ptr<const Bytes> confirm_frame;
  Hash256 transcript{};  // zero in the semi-honest profile
};
struct Confirming : FixedSum {                    // the committee signs
  std::vector<wire::Confirmation> confirmations;  // in order of arrival
};
// Shares are asked for: by M6 in the semi-honest profile, by M8 in the malicious one.
struct Unmasking : FixedSum {
  std::shared_ptr<const Bytes> unmask_frame;  // null in the semi-honest profile
  std::vector<OpenedShares> opened;           // by dealer
};
struct Summed {  // the sum is with the shell, which commits or not
  Core core;
};
struct Done {
  wire::CloseStatus status = wire::CloseStatus::kCommitted;
};
struct Aborted {
  ServerAbort reason = ServerAbort::kStopped;
};
}  // namespace state

namespace event {
// A frame of M1, M3, M5, M7 or M9. `from`: the identity key of the sender's TLS certificate;
// `frame`: the frame body (an encoded SignedBody), at most MaxSecAggFrameLen.
struct Message {
  MemberId from{};
  wire::FrameType type = wire::FrameType::kAdvertise;
  Bytes frame;
};
struct Left {  // Leave, or a connection that will not come back
  MemberId member{};
};
struct Deadline {
  Phase phase = Phase::kTraining;
};
// After SumReady: what became of the round, for M10.
struct Finish {
  wire::CloseStatus status = wire::CloseStatus::kCommitted;
  Hash256 result_hash{};
};
struct Stop {};
}  // namespace event

namespace effect {
struct Send {
  MemberId to{};
  wire::FrameType type = wire::FrameType::kAnnounce;
  std::shared_ptr<const Bytes> frame;
};
// A frame that is this member's alone: the shell asks for it with MakeOwnFrame when it can send
// it, so that not all of them have to exist at once.
struct SendOwn {
  MemberId to{};
  wire::FrameType type = wire::FrameType::kRoster;  // or kInbox
};
// Must be durable before any later effect of the step: U3, and that shares are about to be asked
// for (from here on the round is charged, whatever becomes of it).
struct PersistSurvivors {
  Hash256 session{};
  std::vector<MemberId> survivors;  // ascending
};
struct StartTimer {
  Phase phase = Phase::kTraining;
  std::uint32_t duration_ms = 0;  // > 0; a phase without a deadline starts none
};
struct SumReady {
  std::vector<std::uint32_t> sum;   // mod 2^bits, one value a coordinate
  std::vector<MemberId> survivors;  // whose vectors it is the sum of, ascending
  dp::RoundPermit permit;           // back to the shell, which commits the charge
};
struct Abandoned {
  ServerAbort reason = ServerAbort::kStopped;
  bool shares_asked = false;  // true: the charge stands (burn); false: it may be released
  dp::RoundPermit permit;
};
struct Evidence {
  MemberId member{};
  Fault fault = Fault::kMalformed;
};
}  // namespace effect

}  // namespace server

using ServerState =
    std::variant<server::state::Announced, server::state::Advertising, server::state::Sharing,
                 server::state::Masking, server::state::Confirming, server::state::Unmasking,
                 server::state::Summed, server::state::Done, server::state::Aborted>;
using ServerEvent =
    std::variant<server::event::Message, server::event::Left, server::event::Deadline,
                 server::event::Finish, server::event::Stop>;
using ServerEffect =
    std::variant<server::effect::Send, server::effect::SendOwn, server::effect::PersistSurvivors,
                 server::effect::StartTimer, server::effect::SumReady, server::effect::Abandoned,
                 server::effect::Evidence>;

struct ServerTransition {
  ServerState next;
  std::vector<ServerEffect> effects;  // in order; a Persist is durable before what follows it
  bool refused = false;               // the event has no place here; `next` is the old state
};

// Announces to the whole cohort. A session cannot be made without the ledger's permit for this
// task, round and attempt (checked), and gives it back with SumReady or Abandoned.
ServerTransition StartServer(const ServerConfig& config, dp::RoundPermit permit);

ServerTransition Step(ServerState state, ServerEvent event, const ServerConfig& config);

// The frame of an effect::SendOwn. `state`: the one of its transition, or a later one. Null: the
// session has moved on and nobody waits for it any more, or the library failed, which shows in the
// member's silence.
std::shared_ptr<const Bytes> MakeOwnFrame(const ServerState& state, const ServerConfig& config,
                                          const MemberId& to, wire::FrameType type);

// "masking"; for logs.
std::string_view NameOf(const ServerState& state) noexcept;
// The permit while the session holds it, for Ledger::MarkOpened with PersistSurvivors; null after
// it was given back. Borrowed from `state`.
const dp::RoundPermit* PermitOf(const ServerState& state) noexcept;
// Members that the current phase still waits for.
std::uint32_t PendingMembers(const ServerState& state) noexcept;
// Whether the session still listens to `member`: invited, and neither gone, late nor excluded.
bool IsActive(const ServerState& state, const MemberId& member) noexcept;

}  // namespace demur::secagg
