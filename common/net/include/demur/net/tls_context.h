#pragma once

#include <cstdint>
#include <memory>

#include "demur/base/bytes.h"
#include "demur/base/clock.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"

// What a TLS endpoint is and whom it believes. TLS 1.3 only, Ed25519 certificates, X25519; no
// tickets, no resumption, no 0-RTT; the system's root certificates are never loaded. The authority
// signs servers and devices directly, so a chain has no intermediate.
// A TlsContext is a cheap handle: copy it freely, use it from any thread.
namespace demur::net {

enum class Role : std::uint8_t { kClient = 1, kServer = 2 };

// Who we are. Each text is DER, or PEM with one block.
struct TlsIdentity {
  Bytes certificate;        // X.509
  SecretBytes private_key;  // PKCS#8, unencrypted
};

class TlsContext {
 public:
  // Both sides show a certificate of `authority`: the usual connection between a device and a
  // coordinator. A server demands usage clientAuth, a client demands serverAuth and its server's
  // name; a certificate without that usage, or with any other beside it, is refused.
  // `clock` says when certificates are valid and must outlive every stream of the context.
  // kInvalidArgument: unreadable certificate or key, or the key is not the certificate's.
  // kInternal: the library refused.
  static Result<TlsContext> Mutual(Role role, const TlsIdentity& identity, ByteView authority,
                                   const Clock& clock);

  // For the enrolment listener, whose callers have no certificate yet: only the server shows one,
  // and the authority's with it. Errors as above.
  static Result<TlsContext> EnrolmentServer(const TlsIdentity& identity, ByteView authority,
                                            const Clock& clock);

  // The other end: knows of the authority only the SHA-256 of its certificate's DER, from the
  // token. The certificate itself comes with the handshake (TlsStream::PeerAuthority) and is
  // believed when the hash fits. kInternal: the library refused.
  static Result<TlsContext> EnrolmentClient(const Hash256& authority_sha256, const Clock& clock);

  Role role() const noexcept;

  struct Impl;  // OpenSSL's side; private to common/net
  const Impl& impl() const noexcept { return *impl_; }

 private:
  explicit TlsContext(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace demur::net
