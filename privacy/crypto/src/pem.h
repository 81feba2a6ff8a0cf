#pragma once

#include <string_view>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"

// PEM for bytes that may be a key. Private to privacy/crypto.
namespace demur::crypto::internal {

SecretBytes EncodePem(std::string_view what, ByteView der);
// kInvalidArgument as FromPem of certificate.h.
Result<SecretBytes> DecodePem(std::string_view what, std::string_view pem);

inline constexpr std::size_t kPemMaxLen = 16384;  // characters

}  // namespace demur::crypto::internal
