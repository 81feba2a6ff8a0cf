#pragma once

#include <asio/awaitable.hpp>
#include <string>
#include <utility>

#include "demur/crypto/keys.h"
#include "demur/net/connect.h"
#include "demur/net/tls_context.h"
#include "demur/wire/control.h"
#include "demur/wire/token.h"

// The device's side of enrolment, as plain as it can be.
namespace demur::testing {

inline constexpr net::Limit kLong{30'000};  // not meant to pass; the test would fail by it

struct Enrolled {
  wire::EnrolReply reply;
  Bytes authority;  // DER, as the listener showed it
};

inline SecretBytes EnrolBody(const crypto::Ed25519KeyPair& key, const wire::Token& token) {
  wire::Enrol request;
  request.secret = token.secret.Clone();
  request.public_key = key.public_key;
  const SecretBytes input = wire::EnrolSigningInput(request.secret, request.public_key);
  request.signature = crypto::Sign(key, input.view()).value();
  return wire::Encode(request);
}

// Connects as `token` says and sends `body` in a frame of `type`.
inline asio::awaitable<Result<Enrolled>> SendToAuthority(wire::Endpoint address,
                                                         net::TlsContext context,
                                                         wire::FrameType type, Bytes body) {
  net::ConnectOptions options{address.host, address.port, std::string(wire::kEnrolServerName),
                              kLong};
  DEMUR_CO_TRY(auto stream, co_await net::Connect(std::move(options), std::move(context)));
  DEMUR_CO_RETURN_IF_ERROR(co_await stream->WriteFrame(type, body, kLong));
  const net::FrameLimits limits{wire::kMaxControlBodyLen, kLong, kLong};
  DEMUR_CO_TRY(const net::Frame frame,
               co_await stream->ReadFrameOf(wire::FrameType::kEnrolReply, limits));
  Enrolled out;
  DEMUR_CO_TRY(out.reply, wire::DecodeEnrolReply(frame.body));
  DEMUR_CO_TRY(out.authority, stream->PeerAuthority());
  co_await stream->Finish(kLong);
  co_return out;
}

}  // namespace demur::testing
