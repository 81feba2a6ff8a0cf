#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/ids.h"
#include "demur/base/result.h"
#include "demur/crypto/keys.h"

// X.509 v3 with Ed25519 and nothing else: one authority signs servers and devices directly.
// Certificates are DER. Parsing is strict: a certificate that none of the Issue functions could
// have made is refused. Stateless; safe from several threads.
namespace demur::crypto {

enum class CertificateKind : std::uint8_t { kAuthority = 1, kServer = 2, kDevice = 3 };
std::string_view ToString(CertificateKind kind) noexcept;

// Seconds since 1970-01-01 UTC, both ends included. Whole seconds, years 1970 to 9999.
struct Validity {
  std::int64_t not_before = 0;
  std::int64_t not_after = 0;
};

// 16 bytes that one authority never uses twice; the top bit is cleared and the next one set, so
// that the number is positive and has a fixed length.
using Serial = std::array<std::byte, 16>;

inline constexpr std::size_t kCertificateMaxLen = 2048;  // DER bytes; longer is refused unread
inline constexpr std::size_t kNameMaxLen = 64;           // of an authority or server name

// Self-signed. `name`: 1 to kNameMaxLen printable ASCII characters.
// All three: kInvalidArgument for a bad name or not_before > not_after; kInternal for the library.
Result<Bytes> IssueAuthority(const Ed25519KeyPair& key, std::string_view name, Validity validity,
                             const Serial& serial);

// What a server may be called: at least one name. `dns_names` are lower-case host names;
// `ip_addresses` numeric, e.g. "127.0.0.1" or "::1".
struct ServerNames {
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
};

// Extended key usage serverAuth only; CN = the first name.
Result<Bytes> IssueServer(const Ed25519KeyPair& authority_key, ByteView authority_certificate,
                          const PublicKey& server_key, const ServerNames& names, Validity validity,
                          const Serial& serial);

// Extended key usage clientAuth only; CN = "demur-device-<number>".
Result<Bytes> IssueDevice(const Ed25519KeyPair& authority_key, ByteView authority_certificate,
                          const PublicKey& device_key, DeviceNumber device, Validity validity,
                          const Serial& serial);

// What a certificate says. Nothing is verified by parsing.
struct Certificate {
  CertificateKind kind = CertificateKind::kDevice;
  DeviceNumber device;  // of kDevice; 0 otherwise
  std::string name;     // CN
  ServerNames names;    // of kServer
  PublicKey public_key{};
  Validity validity;
  Serial serial{};
};

// `der` may come from a peer. kInvalidArgument: not a certificate of the three kinds.
Result<Certificate> ParseCertificate(ByteView der);

// Parses `der` and checks that the key of `authority_der` signed it, that it is of `kind`, and
// that both are valid at `now` (Unix seconds). kind == kAuthority: `der` must be `authority_der`.
// kInvalidArgument: not parseable, or of another kind. kPermissionDenied: any other check failed.
Result<Certificate> VerifyCertificate(ByteView der, ByteView authority_der, std::int64_t now,
                                      CertificateKind kind);

// The same against one authority, which is read once. Immutable; copies share it and may be used
// from several threads.
class CertificateVerifier {
 public:
  // kInvalidArgument: not an authority's certificate. Whether it is valid is Verify's to say.
  static Result<CertificateVerifier> Create(ByteView authority_der);
  // As VerifyCertificate(der, authority_der, now, kind).
  Result<Certificate> Verify(ByteView der, std::int64_t now, CertificateKind kind) const;

 private:
  struct Issuer;
  explicit CertificateVerifier(std::shared_ptr<const Issuer> issuer) : issuer_(std::move(issuer)) {}
  std::shared_ptr<const Issuer> issuer_;
};

// --- PEM ----------------------------------------------------------------------------------------

// -----BEGIN <what>----- text with 64 characters a line.
std::string ToPem(std::string_view what, ByteView der);
inline constexpr std::string_view kPemCertificate = "CERTIFICATE";
// The one block of that kind in `pem`. kInvalidArgument: none, more than one, bad base64, or more
// than 16 KiB.
Result<Bytes> FromPem(std::string_view what, std::string_view pem);

// A PEM file with one certificate of any of the three kinds, as DER. Errors name the path.
// kNotFound, kInvalidArgument, kUnavailable as in base/file.h.
Result<Bytes> ReadCertificateFile(const std::string& path);
// Public file mode; replaces what is there.
Status WriteCertificateFile(const std::string& path, ByteView der);

}  // namespace demur::crypto
