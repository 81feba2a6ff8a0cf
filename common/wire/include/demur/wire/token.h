#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/wire/control.h"
#include "demur/wire/endpoint.h"

// The enrolment token: one line of text that an operator hands to the owner of a device. It is all
// a device needs to find the authority, to recognise it, and to know whose plans to follow.
// Whoever reads it can enrol in its place: it is a secret. Pure functions; safe from several
// threads.
namespace demur::wire {

// The name in the certificate of every enrolment listener; a device demands it.
inline constexpr std::string_view kEnrolServerName = "enrol.demur.internal";

struct Token {
  Endpoint authority;          // where to enrol; port above 0
  Hash256 authority_sha256{};  // SHA-256 of the authority certificate's DER
  SecretArray<kEnrolSecretLen> secret;
  std::int64_t expires = 0;      // Unix seconds; the authority refuses it afterwards
  Endpoint coordinator;          // where rounds are announced; port above 0
  std::string coordinator_name;  // demanded of the coordinator's certificate; a host name
  PublicKey plan_key{};          // Ed25519: plans signed by another key are refused

  Token Clone() const;
};

inline constexpr std::size_t kMaxTokenLen = 1024;  // characters

// "demur1-" and hexadecimal digits, without a line break. The last four bytes are a CRC-32 of the
// rest: it catches typing errors, not forgers.
// kInvalidArgument: an endpoint or name that ParseToken would refuse.
Result<SecretBytes> FormatToken(const Token& token);

// Reads what FormatToken wrote; blanks and line breaks around it are allowed. The text may come
// from anywhere. kInvalidArgument: too long, another version, not hexadecimal, wrong checksum (say:
// was it copied whole?), or a field out of its range. Does not look at the clock.
Result<Token> ParseToken(std::string_view text);

}  // namespace demur::wire
