#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "demur/base/bytes.h"
#include "demur/base/ids.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/wire/signed_body.h"

// The messages around a round (docs/protocol.md): greeting, model download, leaving, enrolment.
// Each is a plain struct, `Encode` and a `Decode...` that copies what it accepted: nothing refers
// to the received bytes afterwards. Every Decode returns kInvalidArgument for a malformed message
// and for a field out of its range; the text of an error repeats nothing of the message. Pure
// functions; safe from several threads.
namespace demur::wire {

inline constexpr std::uint16_t kProtocolVersion = 1;
inline constexpr std::size_t kMaxVersionTextLen = 64;        // bytes
inline constexpr std::size_t kMaxServerNameLen = 128;        // bytes
inline constexpr std::size_t kMaxRefusalTextLen = 256;       // bytes
inline constexpr std::size_t kMaxCertificateLen = 4096;      // bytes of DER
inline constexpr std::uint32_t kMaxControlBodyLen = 8192;    // every message here but ModelBlob
inline constexpr std::uint32_t kModelBlobOverheadLen = 256;  // a ModelBlob body beyond its blob

// First frame of a device.
struct Hello {
  std::uint16_t protocol_version = kProtocolVersion;
  std::string client_version;  // at most kMaxVersionTextLen bytes of printable ASCII
  std::optional<TaskId> task;  // only rounds of this task; absent: of any

  friend bool operator==(const Hello&, const Hello&) = default;
};

// A round that is running, counter above 0.
struct RunningRound {
  TaskId task;
  RoundId round;
  std::uint32_t attempt = 0;

  friend bool operator==(const RunningRound&, const RunningRound&) = default;
};

// The admission: a device that got it knows that its certificate was accepted.
struct Welcome {
  std::string server_name;           // at most kMaxServerNameLen bytes of printable ASCII
  std::uint32_t retry_after_ms = 0;  // when no round is announced: come back after this; 0 = wait
  // The round that this device is a member of and may go on with. A device that has no session of
  // it any more (its process died) says Leave, and is not waited for; one whose session is of
  // another round ends that: the coordinator has restarted, or gone on without it.
  std::optional<RunningRound> running{};

  friend bool operator==(const Welcome&, const Welcome&) = default;
};

// Why the server goes no further. Says nothing about other devices.
struct Refusal {
  ErrorCode code = ErrorCode::kUnavailable;
  std::string text;                  // at most kMaxRefusalTextLen bytes of printable ASCII
  std::uint32_t retry_after_ms = 0;  // 0 = do not come back by yourself

  friend bool operator==(const Refusal&, const Refusal&) = default;
};

struct FetchModel {
  TaskId task;
  Hash256 model_hash{};

  friend bool operator==(const FetchModel&, const FetchModel&) = default;
};

struct ModelBlob {
  TaskId task;
  Hash256 model_hash{};  // what the server says it is: the receiver hashes the blob itself
  Bytes blob;            // SharedModel::Canonical()

  friend bool operator==(const ModelBlob&, const ModelBlob&) = default;
};

// What a device leaves: only this round, or the task for as long as it stays connected, because
// its owner's policy or a limit of its own refuses every round of it. Never renumber.
enum class LeaveScope : std::uint8_t { kRound = 0, kTask = 1 };

struct Leave {
  TaskId task;
  RoundId round;
  std::uint32_t attempt = 0;
  LeaveScope scope = LeaveScope::kRound;

  friend bool operator==(const Leave&, const Leave&) = default;
};

inline constexpr std::size_t kEnrolSecretLen = 32;
using PublicKey = std::array<std::byte, 32>;  // Ed25519

// Asks for a certificate. The signature, made with the key that is to be certified, proves that the
// asker holds it.
struct Enrol {
  SecretArray<kEnrolSecretLen> secret;  // one-time secret of the token
  PublicKey public_key{};
  Signature signature{};  // over EnrolSigningInput(secret, public_key)
};

// The string that Enrol::signature covers: "demur/enrol-request/1", a zero byte, secret, public
// key.
SecretBytes EnrolSigningInput(const SecretArray<kEnrolSecretLen>& secret,
                              const PublicKey& public_key);

struct EnrolReply {
  DeviceNumber device;
  Bytes certificate_der;  // 1 to kMaxCertificateLen bytes

  friend bool operator==(const EnrolReply&, const EnrolReply&) = default;
};

// Text fields that are too long or not printable ASCII are our own bug here (checked).
Bytes Encode(const Hello& message);
Bytes Encode(const Welcome& message);
Bytes Encode(const Refusal& message);
Bytes Encode(const FetchModel& message);
Bytes Encode(const ModelBlob& message);
Bytes Encode(const Leave& message);
SecretBytes Encode(const Enrol& message);
Bytes Encode(const EnrolReply& message);

Result<Hello> DecodeHello(ByteView body);
Result<Welcome> DecodeWelcome(ByteView body);
Result<Refusal> DecodeRefusal(ByteView body);
Result<FetchModel> DecodeFetchModel(ByteView body);
// Also kInvalidArgument: a blob of more than `max_blob_len` bytes.
Result<ModelBlob> DecodeModelBlob(ByteView body, std::size_t max_blob_len);
Result<Leave> DecodeLeave(ByteView body);
Result<Enrol> DecodeEnrol(ByteView body);
Result<EnrolReply> DecodeEnrolReply(ByteView body);

// A text made fit for Welcome or Refusal: cut to `max_len` bytes, what is not printable ASCII
// becomes '?'.
std::string PrintableText(std::string_view text, std::size_t max_len);

// The Error that a received Refusal stands for: its code, and "refused: " before its text.
Error ToError(const Refusal& refusal);

}  // namespace demur::wire
