#include "demur/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <climits>
#include <string>

#include "openssl_util.h"

namespace demur::net {
namespace {

constexpr std::size_t kMaxCredentialLen = 16384;  // bytes, PEM included
constexpr long kMaxPeerChainLen = 16384;          // bytes that a peer may send as its chain

Error Unreadable(const char* what) {
  ERR_clear_error();
  return Error(ErrorCode::kInvalidArgument, std::string("TLS identity: unreadable ") + what);
}

bool IsPem(ByteView text) { return !text.empty() && text.front() == std::byte{'-'}; }

BioPtr OpenBytes(ByteView text) {
  if (text.empty() || text.size() > kMaxCredentialLen) return nullptr;
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// An encrypted key has no password here: without this OpenSSL would ask the terminal for one.
int NoPassword(char*, int, int, void*) { return -1; }

Result<X509Ptr> ReadCertificate(ByteView text) {
  const BioPtr bio = OpenBytes(text);
  if (!bio) return Unreadable("certificate");
  X509Ptr certificate(IsPem(text) ? PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)
                                  : d2i_X509_bio(bio.get(), nullptr));
  if (!certificate) return Unreadable("certificate");
  return certificate;
}

Result<KeyPtr> ReadKey(ByteView text) {
  const BioPtr bio = OpenBytes(text);
  if (!bio) return Unreadable("private key");
  KeyPtr key(IsPem(text) ? PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr)
                         : d2i_PrivateKey_bio(bio.get(), nullptr));
  if (!key) return Unreadable("private key");
  return key;
}

// Runs for each certificate of a chain that was built, and for each fault. A certificate that names
// no usage would pass OpenSSL's own purpose check, and so would one that serves both ends.
int CheckUsage(int ok, X509_STORE_CTX* chain) {
  if (ok != 1 || X509_STORE_CTX_get_error_depth(chain) != 0) return ok;
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const std::uint32_t wanted = SSL_is_server(ssl) == 1 ? XKU_SSL_CLIENT : XKU_SSL_SERVER;
  X509* leaf = X509_STORE_CTX_get_current_cert(chain);
  if (X509_get_extended_key_usage(leaf) == wanted) return 1;
  X509_STORE_CTX_set_error(chain, X509_V_ERR_INVALID_PURPOSE);
  return 0;
}

// Verifies against the one certificate of the received chain whose hash is pinned.
int VerifyPinned(X509_STORE_CTX* chain, void* argument) {
  const auto* impl = static_cast<const TlsContext::Impl*>(argument);
  STACK_OF(X509)* received = X509_STORE_CTX_get0_untrusted(chain);
  X509* authority = nullptr;
  for (int i = 0; i < sk_X509_num(received); ++i) {
    X509* candidate = sk_X509_value(received, i);
    Hash256 digest{};
    unsigned int len = 0;
    if (X509_digest(candidate, EVP_sha256(), reinterpret_cast<unsigned char*>(digest.data()),
                    &len) != 1 ||
        len != digest.size()) {
      continue;
    }
    if (digest == impl->authority_sha256) authority = candidate;
  }
  if (authority == nullptr) {
    X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_UNTRUSTED);
    return 0;
  }
  STACK_OF(X509)* trusted = sk_X509_new_null();
  if (trusted == nullptr || sk_X509_push(trusted, authority) == 0) {
    sk_X509_free(trusted);
    X509_STORE_CTX_set_error(chain, X509_V_ERR_OUT_OF_MEM);
    return 0;
  }
  X509_STORE_CTX_set0_trusted_stack(chain, trusted);
  const int outcome = X509_verify_cert(chain);
  sk_X509_free(trusted);  // the certificates belong to the received chain
  return outcome;
}

// What every context has in common: the protocol, and no state that outlives a connection.
Result<SslCtxPtr> NewContext(Role role) {
  SslCtxPtr ctx(SSL_CTX_new(role == Role::kClient ? TLS_client_method() : TLS_server_method()));
  if (!ctx) return OpenSslError(ErrorCode::kInternal, "TLS context");
  SSL_CTX_set_options(ctx.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                     SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(
      ctx.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify_depth(ctx.get(), 0);  // the authority signs directly: no intermediates
  SSL_CTX_set_max_cert_list(ctx.get(), kMaxPeerChainLen);
  // Tickets that nobody reads turn a client's close into a reset that can eat its last write.
  if (SSL_CTX_set_num_tickets(ctx.get(), 0) != 1 || SSL_CTX_set_max_early_data(ctx.get(), 0) != 1 ||
      SSL_CTX_set_min_proto_version(ctx.get(), TLS1_3_VERSION) != 1 ||
      SSL_CTX_set1_sigalgs_list(ctx.get(), "ed25519") != 1 ||
      SSL_CTX_set1_groups_list(ctx.get(), "X25519") != 1) {
    return OpenSslError(ErrorCode::kInternal, "TLS context");
  }
  return ctx;
}

Status UseIdentity(SSL_CTX* ctx, const TlsIdentity& identity) {
  DEMUR_TRY(const X509Ptr certificate, ReadCertificate(identity.certificate));
  DEMUR_TRY(const KeyPtr key, ReadKey(identity.private_key.view()));
  if (SSL_CTX_use_certificate(ctx, certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(ctx, key.get()) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
    return OpenSslError(ErrorCode::kInvalidArgument, "TLS identity: certificate and key");
  }
  return {};
}

std::shared_ptr<TlsContext::Impl> NewImpl(Role role, const Clock& clock, SslCtxPtr ctx) {
  auto impl = std::make_shared<TlsContext::Impl>();
  impl->role = role;
  impl->clock = &clock;
  impl->ssl_ctx = std::move(ctx);
  return impl;
}

}  // namespace

Error OpenSslError(ErrorCode code, const char* what) {
  char text[160] = "no detail";
  if (const unsigned long number = ERR_get_error(); number != 0) {
    ERR_error_string_n(number, text, sizeof text);
  }
  ERR_clear_error();
  return Error(code, std::string(what) + ": " + text);
}

Result<Bytes> CertificateToDer(X509* certificate) {
  unsigned char* der = nullptr;
  const int len = i2d_X509(certificate, &der);
  if (len <= 0) return OpenSslError(ErrorCode::kInternal, "certificate");
  const auto* first = reinterpret_cast<const std::byte*>(der);
  Bytes out(first, first + len);
  OPENSSL_free(der);
  return out;
}

Result<TlsContext> TlsContext::Mutual(Role role, const TlsIdentity& identity, ByteView authority,
                                      const Clock& clock) {
  DEMUR_TRY(SslCtxPtr ctx, NewContext(role));
  DEMUR_RETURN_IF_ERROR(UseIdentity(ctx.get(), identity));
  DEMUR_TRY(const X509Ptr anchor, ReadCertificate(authority));
  if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx.get()), anchor.get()) != 1) {
    return OpenSslError(ErrorCode::kInternal, "TLS trust anchor");
  }
  SSL_CTX_set_verify(ctx.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, CheckUsage);
  return TlsContext(NewImpl(role, clock, std::move(ctx)));
}

Result<TlsContext> TlsContext::EnrolmentServer(const TlsIdentity& identity, ByteView authority,
                                               const Clock& clock) {
  DEMUR_TRY(SslCtxPtr ctx, NewContext(Role::kServer));
  DEMUR_RETURN_IF_ERROR(UseIdentity(ctx.get(), identity));
  DEMUR_TRY(const X509Ptr anchor, ReadCertificate(authority));
  if (SSL_CTX_add1_chain_cert(ctx.get(), anchor.get()) != 1) {
    return OpenSslError(ErrorCode::kInternal, "TLS chain");
  }
  SSL_CTX_set_verify(ctx.get(), SSL_VERIFY_NONE, nullptr);
  return TlsContext(NewImpl(Role::kServer, clock, std::move(ctx)));
}

Result<TlsContext> TlsContext::EnrolmentClient(const Hash256& authority_sha256,
                                               const Clock& clock) {
  DEMUR_TRY(SslCtxPtr ctx, NewContext(Role::kClient));
  SSL_CTX_set_verify(ctx.get(), SSL_VERIFY_PEER, CheckUsage);
  auto impl = NewImpl(Role::kClient, clock, std::move(ctx));
  impl->authority_sha256 = authority_sha256;
  // The argument lives as long as every stream: each holds the TlsContext.
  SSL_CTX_set_cert_verify_callback(impl->ssl_ctx.get(), VerifyPinned, impl.get());
  return TlsContext(std::move(impl));
}

Role TlsContext::role() const noexcept { return impl_->role; }

}  // namespace demur::net
