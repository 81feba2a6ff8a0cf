#pragma once

#include <array>
#include <cstddef>

#include "demur/base/bytes.h"
#include "demur/base/result.h"

// A message with a signature over its exact bytes. Cap'n Proto encodings are not canonical, so what
// is signed, hashed and verified is `body` as it was received; it is parsed only after that. What
// the signature covers besides the body (domain, message number, session) is the business of the
// message (docs/protocol.md). Value type.
namespace demur::wire {

inline constexpr std::size_t kSignatureLen = 64;  // Ed25519
using Signature = std::array<std::byte, kSignatureLen>;

struct SignedBody {
  Bytes body;
  Signature signature{};

  friend bool operator==(const SignedBody&, const SignedBody&) = default;
};

Bytes Encode(const SignedBody& message);
// Checks the form only, NOT the signature. Takes the bytes, and the body stays in them.
// kInvalidArgument: malformed, or a body of more than `max_body_len` bytes, or an empty one.
Result<SignedBody> DecodeSignedBody(Bytes bytes, std::size_t max_body_len);

}  // namespace demur::wire
