#include "demur/wire/control.h"

#include "flat_reader.h"
#include "schema/control.capnp.h"

namespace demur::wire {
namespace {

using internal::AsData;
using internal::CopyExactly;
using internal::CopyText;
using internal::FieldOutOfRange;
using internal::Flatten;
using internal::ReadFlat;

constexpr std::size_t kFieldsLen = 128;  // bytes of fixed fields, pointers and hashes, about
constexpr std::uint8_t kLastErrorCode = static_cast<std::uint8_t>(ErrorCode::kInternal);

// Text that we send is ours: a caller with a foreign one goes through PrintableText.
kj::StringPtr OwnText(const std::string& text, std::size_t max_len) {
  DEMUR_CHECK(text.size() <= max_len && internal::IsPrintable(text),
              "text fields are short printable ASCII");
  return {text.c_str(), text.size()};
}

}  // namespace

Bytes Encode(const Hello& message) {
  capnp::MallocMessageBuilder builder(
      internal::FirstSegmentWords(message.client_version.size(), kFieldsLen));
  auto root = builder.initRoot<schema::Hello>();
  root.setProtocolVersion(message.protocol_version);
  root.setClientVersion(OwnText(message.client_version, kMaxVersionTextLen));
  if (message.task) root.setTask(AsData(message.task->bytes));
  return Flatten(builder);
}

Result<Hello> DecodeHello(ByteView body) {
  return ReadFlat<schema::Hello>(body, {}, [](schema::Hello::Reader reader) -> Result<Hello> {
    Hello out;
    out.protocol_version = reader.getProtocolVersion();
    if (!CopyText(reader.getClientVersion(), kMaxVersionTextLen, &out.client_version)) {
      return FieldOutOfRange("client version");
    }
    const auto task = reader.getTask();
    if (task.size() != 0) {
      out.task.emplace();
      if (!CopyExactly(task, &out.task->bytes)) return FieldOutOfRange("task");
    }
    return out;
  });
}

Bytes Encode(const Welcome& message) {
  capnp::MallocMessageBuilder builder(
      internal::FirstSegmentWords(message.server_name.size(), kFieldsLen));
  auto root = builder.initRoot<schema::Welcome>();
  root.setServerName(OwnText(message.server_name, kMaxServerNameLen));
  root.setRetryAfterMs(message.retry_after_ms);
  if (message.running) {
    root.setRunningTask(AsData(message.running->task.bytes));
    root.setRunningRound(message.running->round.Packed());
    root.setRunningAttempt(message.running->attempt);
  }
  return Flatten(builder);
}

Result<Welcome> DecodeWelcome(ByteView body) {
  return ReadFlat<schema::Welcome>(body, {}, [](schema::Welcome::Reader reader) -> Result<Welcome> {
    Welcome out;
    out.retry_after_ms = reader.getRetryAfterMs();
    if (!CopyText(reader.getServerName(), kMaxServerNameLen, &out.server_name)) {
      return FieldOutOfRange("server name");
    }
    if (reader.getRunningRound() != 0) {
      out.running = {{}, RoundId::FromPacked(reader.getRunningRound()), reader.getRunningAttempt()};
      if (!CopyExactly(reader.getRunningTask(), &out.running->task.bytes)) {
        return FieldOutOfRange("running task");
      }
    }
    return out;
  });
}

Bytes Encode(const Refusal& message) {
  capnp::MallocMessageBuilder builder(internal::FirstSegmentWords(message.text.size(), kFieldsLen));
  auto root = builder.initRoot<schema::Refusal>();
  root.setCode(static_cast<std::uint8_t>(message.code));
  root.setText(OwnText(message.text, kMaxRefusalTextLen));
  root.setRetryAfterMs(message.retry_after_ms);
  return Flatten(builder);
}

Result<Refusal> DecodeRefusal(ByteView body) {
  return ReadFlat<schema::Refusal>(body, {}, [](schema::Refusal::Reader reader) -> Result<Refusal> {
    Refusal out;
    const std::uint8_t code = reader.getCode();
    if (code == 0 || code > kLastErrorCode) return FieldOutOfRange("code");
    out.code = static_cast<ErrorCode>(code);
    out.retry_after_ms = reader.getRetryAfterMs();
    if (!CopyText(reader.getText(), kMaxRefusalTextLen, &out.text)) return FieldOutOfRange("text");
    return out;
  });
}

Bytes Encode(const FetchModel& message) {
  capnp::MallocMessageBuilder builder(internal::FirstSegmentWords(0, kFieldsLen));
  auto root = builder.initRoot<schema::FetchModel>();
  root.setTask(AsData(message.task.bytes));
  root.setModelHash(AsData(message.model_hash));
  return Flatten(builder);
}

Result<FetchModel> DecodeFetchModel(ByteView body) {
  const auto convert = [](schema::FetchModel::Reader reader) -> Result<FetchModel> {
    FetchModel out;
    if (!CopyExactly(reader.getTask(), &out.task.bytes)) return FieldOutOfRange("task");
    if (!CopyExactly(reader.getModelHash(), &out.model_hash)) return FieldOutOfRange("model hash");
    return out;
  };
  return ReadFlat<schema::FetchModel>(body, {}, convert);
}

Bytes Encode(const ModelBlob& message) {
  capnp::MallocMessageBuilder builder(internal::FirstSegmentWords(message.blob.size(), kFieldsLen));
  auto root = builder.initRoot<schema::ModelBlob>();
  root.setTask(AsData(message.task.bytes));
  root.setModelHash(AsData(message.model_hash));
  root.setBlob(AsData(message.blob));
  return Flatten(builder);
}

Result<ModelBlob> DecodeModelBlob(ByteView body, std::size_t max_blob_len) {
  const auto convert = [max_blob_len](schema::ModelBlob::Reader reader) -> Result<ModelBlob> {
    ModelBlob out;
    if (!CopyExactly(reader.getTask(), &out.task.bytes)) return FieldOutOfRange("task");
    if (!CopyExactly(reader.getModelHash(), &out.model_hash)) return FieldOutOfRange("model hash");
    if (!internal::CopyAtMost(reader.getBlob(), max_blob_len, &out.blob)) {
      return FieldOutOfRange("blob");
    }
    return out;
  };
  return ReadFlat<schema::ModelBlob>(body, {}, convert);
}

Bytes Encode(const Leave& message) {
  capnp::MallocMessageBuilder builder(internal::FirstSegmentWords(0, kFieldsLen));
  auto root = builder.initRoot<schema::Leave>();
  root.setTask(AsData(message.task.bytes));
  root.setRound(message.round.Packed());
  root.setAttempt(message.attempt);
  root.setScope(static_cast<std::uint8_t>(message.scope));
  return Flatten(builder);
}

Result<Leave> DecodeLeave(ByteView body) {
  return ReadFlat<schema::Leave>(body, {}, [](schema::Leave::Reader reader) -> Result<Leave> {
    Leave out;
    if (!CopyExactly(reader.getTask(), &out.task.bytes)) return FieldOutOfRange("task");
    out.round = RoundId::FromPacked(reader.getRound());
    out.attempt = reader.getAttempt();
    if (reader.getScope() > static_cast<std::uint8_t>(LeaveScope::kTask)) {
      return FieldOutOfRange("scope");
    }
    out.scope = static_cast<LeaveScope>(reader.getScope());
    return out;
  });
}

SecretBytes EnrolSigningInput(const SecretArray<kEnrolSecretLen>& secret,
                              const PublicKey& public_key) {
  constexpr std::string_view kDomain("demur/enrol-request/1\0", 22);
  SecretBytes out(kDomain.size() + kEnrolSecretLen + public_key.size());
  auto at = out.mutable_view().begin();
  const ByteView domain = AsBytes(kDomain);
  at = std::copy(domain.begin(), domain.end(), at);
  at = std::copy(secret.view().begin(), secret.view().end(), at);
  std::copy(public_key.begin(), public_key.end(), at);
  return out;
}

SecretBytes Encode(const Enrol& message) {
  // The builder wipes a first segment that it was lent, and the flat copy becomes the result's.
  std::array<capnp::word, 64> scratch{};
  capnp::MallocMessageBuilder builder(kj::arrayPtr(scratch.data(), scratch.size()));
  auto root = builder.initRoot<schema::Enrol>();
  root.setSecret(AsData(message.secret.view()));
  root.setPublicKey(AsData(message.public_key));
  root.setSignature(AsData(message.signature));
  auto words = capnp::messageToFlatArray(builder);
  const auto flat =
      std::as_writable_bytes(std::span(words.asBytes().begin(), words.asBytes().size()));
  SecretBytes out = SecretBytes::CopyOf(flat);
  Wipe(flat);
  return out;
}

Result<Enrol> DecodeEnrol(ByteView body) {
  return ReadFlat<schema::Enrol>(body, {}, [](schema::Enrol::Reader reader) -> Result<Enrol> {
    Enrol out;
    if (!CopyExactly(reader.getSecret(), out.secret.mutable_view())) {
      return FieldOutOfRange("secret");
    }
    if (!CopyExactly(reader.getPublicKey(), &out.public_key)) return FieldOutOfRange("public key");
    if (!CopyExactly(reader.getSignature(), &out.signature)) return FieldOutOfRange("signature");
    return out;
  });
}

Bytes Encode(const EnrolReply& message) {
  DEMUR_CHECK(
      !message.certificate_der.empty() && message.certificate_der.size() <= kMaxCertificateLen,
      "a certificate of 1 to kMaxCertificateLen bytes");
  capnp::MallocMessageBuilder builder(
      internal::FirstSegmentWords(message.certificate_der.size(), kFieldsLen));
  auto root = builder.initRoot<schema::EnrolReply>();
  root.setDevice(message.device.value);
  root.setCertificate(AsData(message.certificate_der));
  return Flatten(builder);
}

Result<EnrolReply> DecodeEnrolReply(ByteView body) {
  const auto convert = [](schema::EnrolReply::Reader reader) -> Result<EnrolReply> {
    EnrolReply out;
    out.device = DeviceNumber(reader.getDevice());
    if (!internal::CopyAtMost(reader.getCertificate(), kMaxCertificateLen, &out.certificate_der) ||
        out.certificate_der.empty()) {
      return FieldOutOfRange("certificate");
    }
    return out;
  };
  return ReadFlat<schema::EnrolReply>(body, {}, convert);
}

std::string PrintableText(std::string_view text, std::size_t max_len) {
  std::string out(text.substr(0, max_len));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

Error ToError(const Refusal& refusal) { return Error(refusal.code, "refused: " + refusal.text); }

}  // namespace demur::wire
