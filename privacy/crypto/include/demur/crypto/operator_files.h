#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/ids.h"
#include "demur/base/result.h"
#include "demur/crypto/keys.h"

// The two signed files that pass between an identity authority and a coordinator. Both are JSON
// objects {"body": "<hexadecimal>", ...signatures}: the signature covers the body's exact bytes,
// and the body is read only after it was verified. Pure functions; safe from several threads.
namespace demur::crypto {

inline constexpr std::size_t kOperatorFileMaxLen = std::size_t{1} << 24;  // characters

// --- Certificate request: coordinator -> authority -----------------------------------------------

// What a coordinator asks the authority to certify. Both keys sign the request, which proves that
// the asker holds them.
struct CertifyRequest {
  std::string name;  // DNS name that devices will demand: [a-z0-9.-], 1 to 64 characters
  PublicKey tls_key{};
  PublicKey plan_key{};  // signs plans; devices pin it from their token
};

// The text of a request file. kInvalidArgument: a bad name, or one key for both purposes.
Result<std::string> MakeCertifyRequest(std::string_view name, const Ed25519KeyPair& tls_key,
                                       const Ed25519KeyPair& plan_key);
// kInvalidArgument: not JSON, a field missing, unknown or malformed, or equal keys.
// kPermissionDenied: a signature does not fit.
Result<CertifyRequest> ParseCertifyRequest(std::string_view text);

// --- Revocation list: authority -> coordinator ---------------------------------------------------

// Devices that the authority has shut out. A list that is shorter or older than one already seen
// must be refused by its reader (`sequence` only grows).
struct RevocationList {
  std::uint64_t sequence = 0;         // number of revocations ever
  std::int64_t issued = 0;            // Unix seconds
  std::vector<DeviceNumber> devices;  // ascending, each once

  bool Contains(DeviceNumber device) const;
};

// kInvalidArgument: devices not ascending, or a number beyond 2^63 - 1, which no reader takes.
Result<std::string> SignRevocationList(const Ed25519KeyPair& authority_key,
                                       const RevocationList& list);
// `authority_key`: public_key of the parsed authority certificate.
// kInvalidArgument: malformed. kPermissionDenied: the signature does not fit.
Result<RevocationList> ParseRevocationList(std::string_view text, const PublicKey& authority_key);

}  // namespace demur::crypto
