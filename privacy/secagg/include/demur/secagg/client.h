#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/crypto/keys.h"
#include "demur/secagg/member_set.h"
#include "demur/secagg/parameters.h"
#include "demur/secagg/session.h"
#include "demur/secagg/shamir.h"
#include "demur/wire/frame.h"

// The device's side of one FSA-1 session as a pure step: no socket, clock, randomness or log
// inside; state and secrets are moved in and always given back (docs/protocol.md has the table,
// one cell an overload here). The device trusts nothing it can compute: neighbours, threshold and
// smallest survivor set are its own, and it reveals shares for at most one survivor set.
// Not thread-safe per state; Step itself has no state.
namespace demur::secagg {

// Drawn fresh for every session, used once, wiped with the state.
struct ClientSecrets {
  SecretArray<32> mask_seed;     // sSeed: pair masks; opened when this member drops
  SecretArray<32> self_seed;     // bSeed: self mask; opened when it survives
  SecretArray<32> channel_seed;  // seals shares; never leaves
  SecretArray<32> share_seed;    // polynomials and AEAD nonces
  Hash256 nonce{};               // public, feeds the roster root
};
// kInternal: the stream failed.
Result<ClientSecrets> DrawClientSecrets(RandomStream& random);

class ClientConfig {
 public:
  // `certificate`: this device's, DER. `server_key`: the pinned key that signs plans.
  // kInvalidArgument: no certificate or no check.
  static Result<ClientConfig> Create(Announcement announcement, crypto::Ed25519KeyPair identity,
                                     Bytes certificate, const crypto::PublicKey& server_key,
                                     CertificateCheck check_certificate);

  const Announcement& announcement() const noexcept { return announcement_; }
  const crypto::Ed25519KeyPair& identity() const noexcept { return identity_; }
  const Bytes& certificate() const noexcept { return certificate_; }
  const crypto::PublicKey& server_key() const noexcept { return server_key_; }
  const CertificateCheck& check_certificate() const noexcept { return check_certificate_; }

 private:
  ClientConfig() = default;
  Announcement announcement_;
  crypto::Ed25519KeyPair identity_;
  Bytes certificate_;
  crypto::PublicKey server_key_{};
  CertificateCheck check_certificate_;
};

// Why a device gave up. For its own log and metrics.
enum class ClientAbort : std::uint8_t {
  kStopped = 1,       // the shell asked
  kBadSignature = 2,  // not the coordinator's
  kMalformed = 3,
  kOutOfOrder = 4,  // a message ahead of its time, or of another profile
  kSecondBody = 5,  // a message of a type it had accepted, with other content
  kRoster = 6,      // size, nonce, indices, keys, certificates or proof of the roster
  kGraph = 7,       // neighbours or a committee that are not the session's
  kSurvivors = 8,   // a survivor set that is too small, does not hold us, or is no subset
  kShares = 9,      // fewer than t shares arrived intact
  kInternal = 10,
  kConfirmations = 11,  // the committee did not sign the survivor set that we were shown
};
std::string_view ToString(ClientAbort reason) noexcept;

namespace client {

// What was accepted, and what was answered: an identical copy gets the same answer again.
struct Exchange {
  wire::FrameType received = wire::FrameType::kAnnounce;
  Hash256 body_hash{};
  wire::FrameType reply_type = wire::FrameType::kAdvertise;
  std::shared_ptr<const Bytes> reply;  // frame body; null: no answer was due
};
struct Log {
  std::vector<Exchange> exchanges;
};

struct Neighbour {
  std::uint32_t index = 0;
  crypto::PublicKey identity_key{};
  crypto::PublicKey channel_key{};
  crypto::PublicKey mask_key{};
  SecretArray<32> open_key;  // of what this neighbour dealt to us; wiped once used
};
// One of the committee, as the roster proves it. Whether the authority certified the key is known
// of neighbours and ourselves; of the others it is seen when they sign.
struct Seat {
  std::uint32_t index = 0;
  crypto::PublicKey identity_key{};
  bool certified = false;
};
struct Place {  // this member's place in the session
  SessionFacts facts;
  Parameters parameters;
  std::uint32_t index = 0;
  std::vector<Neighbour> neighbours;  // ascending
  std::vector<Seat> committee;        // ascending; empty in the semi-honest profile
};
struct ReceivedShares {
  std::uint32_t dealer = 0;
  SecretShare mask_share;
  SecretShare self_share;
};

namespace state {
struct Idle {};
struct Advertised {
  Log log;
  ClientSecrets secrets;
  crypto::X25519KeyPair channel;
  crypto::X25519KeyPair mask;
};
struct Shared {  // M3 is out
  Log log;
  Place place;
  SecretArray<32> self_seed;
  crypto::X25519KeyPair mask;
};
struct Ready {  // M4 is in; waits for the encoded update
  Log log;
  Place place;
  SecretArray<32> self_seed;
  crypto::X25519KeyPair mask;
  MemberSet shared;  // U2
  std::vector<ReceivedShares> shares;
};
struct Masked {  // M5 is out; own secrets are gone
  Log log;
  Place place;
  MemberSet shared;
  std::vector<ReceivedShares> shares;
};
// M6 is in, and M7 is out where this member is of the committee: bound to one survivor set. Waits
// for the others' signatures. Malicious profile.
struct Confirmed {
  Log log;
  Place place;
  MemberSet survivors;  // U3
  Hash256 transcript{};
  std::vector<ReceivedShares> shares;
};
struct Unmasked {  // M9 is out; nothing secret is left
  Log log;
  Place place;
};
struct Closed {
  wire::CloseStatus status = wire::CloseStatus::kAbandoned;
  Hash256 result_hash{};
};
struct Aborted {
  ClientAbort reason = ClientAbort::kStopped;
};
}  // namespace state

namespace event {
struct Start {  // the local round is done: speak
  ClientSecrets secrets;
};
// A frame of M1 to M10 as it arrived: `frame` is the frame body (an encoded SignedBody).
struct Message {
  wire::FrameType type = wire::FrameType::kRoster;
  Bytes frame;
};
// The encoded update, dense, one value a coordinate; only the low bits of the plan's modulus count.
// Another number of coordinates than the plan's is a fault of the shell and refused.
struct Input {
  std::vector<std::uint32_t> values;
};
// A new connection to the same session: the last answer goes out again, M5 where M8 is waited for.
struct Reconnected {};
struct Stop {};  // deadline, shutdown or a user who changed their mind
}  // namespace event

namespace effect {
struct Send {
  wire::FrameType type = wire::FrameType::kAdvertise;
  std::shared_ptr<const Bytes> frame;
};
// Ask the shell for event::Input.
struct NeedInput {};
// Must be durable before any later effect of the step: at most one M5 body per (task, round,
// attempt). The shell debits the ledger and stores the next private state in the same transaction.
struct PersistMasked {
  Hash256 session{};
  Hash256 body_hash{};
};
// Must be durable before any later effect of the step: at most one survivor set per session.
struct PersistSurvivors {
  Hash256 session{};
  Hash256 survivors_hash{};  // SHA-256(U3)
};
struct Finished {  // the session is over for this device
  wire::CloseStatus status = wire::CloseStatus::kAbandoned;
  Hash256 result_hash{};
};
struct Failed {
  ClientAbort reason = ClientAbort::kStopped;
};
}  // namespace effect

}  // namespace client

using ClientState =
    std::variant<client::state::Idle, client::state::Advertised, client::state::Shared,
                 client::state::Ready, client::state::Masked, client::state::Confirmed,
                 client::state::Unmasked, client::state::Closed, client::state::Aborted>;
using ClientEvent = std::variant<client::event::Start, client::event::Message, client::event::Input,
                                 client::event::Reconnected, client::event::Stop>;
using ClientEffect = std::variant<client::effect::Send, client::effect::NeedInput,
                                  client::effect::PersistMasked, client::effect::PersistSurvivors,
                                  client::effect::Finished, client::effect::Failed>;

struct ClientTransition {
  ClientState next;
  std::vector<ClientEffect> effects;  // in order; a Persist is durable before what follows it
  bool refused = false;               // the event has no place here; `next` is the old state
};

ClientTransition Step(ClientState state, ClientEvent event, const ClientConfig& config);

// "shared"; for logs.
std::string_view NameOf(const ClientState& state) noexcept;

}  // namespace demur::secagg
