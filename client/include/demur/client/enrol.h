#pragma once

#include <asio/awaitable.hpp>

#include "demur/base/clock.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/client/event_store.h"
#include "demur/net/deadline.h"
#include "demur/wire/token.h"

// The device's half of enrolment: one Enrol frame over TLS to the authority that the token pins,
// one EnrolReply back. A session header.
namespace demur::client {

// Asks the authority of `token` to certify the key of `key_seed` (Ed25519) and checks everything
// that comes back against the pin: authority, key, number, dates. The same key always gets the same
// number and costs one use of the token, so a caller whose reply was lost asks again with it. Runs
// on a strand; `clock` must live until completion. `limit`: for connecting, and again for the
// answer.
// kPermissionDenied: the listener is not the token's authority, or the authority knows no such
// token. kDeadlineExceeded: the token has expired, or no answer in time. kResourceExhausted: the
// token is used up. kInvalidArgument, kDataLoss: the reply is malformed or not for this key.
// kUnavailable: nobody answered.
asio::awaitable<Result<Identity>> RequestIdentity(wire::Token token, SecretArray<32> key_seed,
                                                  const Clock& clock, net::Limit limit);

// Whether `identity` is good at `now_unix_ms`: its certificate is the authority's, for its own key.
// kFailedPrecondition: it has expired or is not; the message says how to renew it.
Status CheckIdentity(const Identity& identity, std::int64_t now_unix_ms);

}  // namespace demur::client
