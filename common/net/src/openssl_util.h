#pragma once

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

#include "demur/base/result.h"
#include "demur/net/tls_context.h"

// OpenSSL's types and owners inside common/net. None of them leaves its sources.
namespace demur::net {

struct OpenSslFree {
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
using SslCtxPtr = std::unique_ptr<SSL_CTX, OpenSslFree>;
using X509Ptr = std::unique_ptr<X509, OpenSslFree>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslFree>;
using BioPtr = std::unique_ptr<BIO, OpenSslFree>;

struct TlsContext::Impl {
  Role role = Role::kClient;
  const Clock* clock = nullptr;
  Hash256 authority_sha256{};  // only of an enrolment client
  SslCtxPtr ssl_ctx;
};

// `what`, and the oldest entry of this thread's error queue, which is empty afterwards.
Error OpenSslError(ErrorCode code, const char* what);

// kInternal: out of memory.
Result<Bytes> CertificateToDer(X509* certificate);

}  // namespace demur::net
