#include "demur/client/enrol.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "demur/crypto/certificate.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/keys.h"
#include "demur/net/connect.h"
#include "demur/net/tls_context.h"
#include "demur/wire/control.h"
#include "demur/wire/secagg_messages.h"

namespace demur::client {
namespace {

struct Answer {
  wire::EnrolReply reply;
  Bytes authority;  // DER, as the handshake showed it
};

Result<SecretBytes> MakeRequest(const wire::Token& token, const crypto::Ed25519KeyPair& key) {
  wire::Enrol request;
  request.secret = token.secret.Clone();
  request.public_key = key.public_key;
  const SecretBytes input = wire::EnrolSigningInput(request.secret, request.public_key);
  DEMUR_TRY(request.signature, crypto::Sign(key, input.view()));
  return wire::Encode(request);
}

asio::awaitable<Result<Answer>> Ask(wire::Endpoint address, net::TlsContext context,
                                    SecretBytes request, net::Limit limit) {
  net::ConnectOptions options{address.host, address.port, std::string(wire::kEnrolServerName),
                              limit};
  DEMUR_CO_TRY(const auto stream, co_await net::Connect(std::move(options), std::move(context)));
  DEMUR_CO_RETURN_IF_ERROR(
      co_await stream->WriteFrame(wire::FrameType::kEnrol, request.view(), limit));
  const net::FrameLimits limits{wire::kMaxControlBodyLen, limit, limit};
  DEMUR_CO_TRY(const net::Frame frame,
               co_await stream->ReadFrameOf(wire::FrameType::kEnrolReply, limits));
  Answer answer;
  DEMUR_CO_TRY(answer.reply, wire::DecodeEnrolReply(frame.body));
  DEMUR_CO_TRY(answer.authority, stream->PeerAuthority());
  co_await stream->Finish(limit);
  co_return answer;
}

Result<Identity> CheckAnswer(Answer answer, const wire::Token& token,
                             const crypto::Ed25519KeyPair& key, std::int64_t now) {
  // TLS has checked the pin; what is stored and trusted from now on is checked where it is stored.
  if (crypto::Sha256(answer.authority) != token.authority_sha256) {
    return Error(ErrorCode::kPermissionDenied, "enrolment: not the authority of the token");
  }
  if (answer.reply.certificate_der.size() > wire::kMaxMemberCertificateLen) {
    return Error(ErrorCode::kInvalidArgument, "enrolment: the certificate is too long to be shown");
  }
  auto certificate = crypto::VerifyCertificate(answer.reply.certificate_der, answer.authority, now,
                                               crypto::CertificateKind::kDevice);
  if (!certificate) return std::move(certificate).error().WithContext("enrolment: certificate");
  if (certificate->public_key != key.public_key || certificate->device != answer.reply.device) {
    return Error(ErrorCode::kDataLoss, "enrolment: the certificate is for another key or number");
  }
  Identity identity;
  identity.key_seed = key.seed.Clone();
  identity.device = answer.reply.device;
  identity.certificate = std::move(answer.reply.certificate_der);
  identity.authority = std::move(answer.authority);
  identity.host = token.coordinator.host;
  identity.port = token.coordinator.port;
  identity.server_name = token.coordinator_name;
  identity.plan_key = token.plan_key;
  return identity;
}

}  // namespace

asio::awaitable<Result<Identity>> RequestIdentity(wire::Token token, SecretArray<32> key_seed,
                                                  const Clock& clock, net::Limit limit) {
  DEMUR_CO_TRY(const crypto::Ed25519KeyPair key, crypto::Ed25519FromSeed(key_seed));
  DEMUR_CO_TRY(SecretBytes request, MakeRequest(token, key));
  DEMUR_CO_TRY(net::TlsContext context,
               net::TlsContext::EnrolmentClient(token.authority_sha256, clock));
  auto answer = co_await Ask(token.authority, std::move(context), std::move(request), limit);
  if (!answer) co_return std::move(answer).error().WithContext("enrolment");
  co_return CheckAnswer(std::move(*answer), token, key, clock.UnixMillis() / 1000);
}

Status CheckIdentity(const Identity& identity, std::int64_t now_unix_ms) {
  const auto certificate =
      crypto::VerifyCertificate(identity.certificate, identity.authority, now_unix_ms / 1000,
                                crypto::CertificateKind::kDevice);
  DEMUR_TRY(const crypto::Ed25519KeyPair key, crypto::Ed25519FromSeed(identity.key_seed));
  if (certificate && certificate->public_key == key.public_key) return {};
  const auto parsed = crypto::ParseCertificate(identity.certificate);
  const bool expired = parsed && parsed->validity.not_after < now_unix_ms / 1000;
  return Error(ErrorCode::kFailedPrecondition,
               std::string(expired ? "the device's certificate has expired"
                                   : "the device's certificate is not good at the clock's time") +
                   ": enrol again with a new token of its authority (`demur-ca token`); key, "
                   "number and counters stay");
}

}  // namespace demur::client
