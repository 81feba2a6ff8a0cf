#include "demur/net/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <asio/ip/address.hpp>
#include <utility>

#include "await.h"
#include "nosignal_bio.h"
#include "openssl_util.h"

namespace demur::net {
namespace {

// Demands `name` of the server's certificate, as an address where it reads as one.
bool SetServerName(SSL* ssl, const std::string& name) {
  if (name.empty()) return false;
  asio::error_code not_numeric;
  asio::ip::make_address(name, not_numeric);
  X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
  if (!not_numeric) return X509_VERIFY_PARAM_set1_ip_asc(param, name.c_str()) == 1;
  SSL_set_hostflags(ssl,
                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return SSL_set1_host(ssl, name.c_str()) == 1;
}

// Alerts by which a peer says that it does not like our certificate (RFC 8446, section 6.2).
bool IsCertificateAlert(unsigned long error) {
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return false;
  const int alert = ERR_GET_REASON(error) - SSL_AD_REASON_OFFSET;
  return (alert >= SSL_AD_BAD_CERTIFICATE && alert <= SSL_AD_CERTIFICATE_UNKNOWN) ||
         alert == SSL_AD_UNKNOWN_CA || alert == SSL_AD_ACCESS_DENIED ||
         alert == SSL_AD_CERTIFICATE_REQUIRED;
}

}  // namespace

void TlsStream::SslFree::operator()(ssl_st* ssl) const noexcept { SSL_free(ssl); }

Result<std::unique_ptr<TlsStream>> TlsStream::Create(asio::ip::tcp::socket socket,
                                                     const TlsContext& context,
                                                     const std::string& server_name) {
  asio::error_code ec;
  socket.native_non_blocking(true, ec);
  if (!ec) socket.set_option(asio::ip::tcp::no_delay(true), ec);
  if (ec) return Error(ErrorCode::kUnavailable, "socket: " + ec.message());
  const int fd = socket.native_handle();
  const TlsContext::Impl& impl = context.impl();
  std::unique_ptr<TlsStream> stream(
      new TlsStream(std::move(socket), context, SSL_new(impl.ssl_ctx.get())));
  SSL* ssl = stream->ssl_.get();
  BIO* bio = NewNoSignalBio(fd);
  if (ssl == nullptr || bio == nullptr) {
    BIO_free(bio);
    return OpenSslError(ErrorCode::kInternal, "TLS stream");
  }
  SSL_set_bio(ssl, bio, bio);
  // The injected clock decides what is expired, not the library's.
  X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), impl.clock->UnixMillis() / 1000);
  if (impl.role == Role::kServer) {
    SSL_set_accept_state(ssl);
  } else {
    SSL_set_connect_state(ssl);
    if (!SetServerName(ssl, server_name)) {
      return OpenSslError(ErrorCode::kInvalidArgument, "server name");
    }
  }
  return stream;
}

int TlsStream::Attempt(Operation operation, std::span<std::byte> in, ByteView out,
                       std::size_t* done) {
  ERR_clear_error();  // SSL_get_error reads the thread's queue, which other streams used too
  SSL* ssl = ssl_.get();
  switch (operation) {
    case Operation::kHandshake:
      return SSL_do_handshake(ssl);
    case Operation::kRead:
      return SSL_read_ex(ssl, in.data(), in.size(), done);
    case Operation::kWrite:
      return SSL_write_ex(ssl, out.data(), out.size(), done);
    case Operation::kShutdown:
      return SSL_shutdown(ssl) < 0 ? -1 : 1;  // 0: our close_notify is out, the peer's is not in
  }
  return -1;
}

Error TlsStream::Failure(int reason) {
  if (reason == SSL_ERROR_ZERO_RETURN) {
    return Error(ErrorCode::kUnavailable, "the peer closed the connection");
  }
  if (const long verdict = SSL_get_verify_result(ssl_.get()); verdict != X509_V_OK) {
    ERR_clear_error();
    return Error(ErrorCode::kPermissionDenied,
                 std::string("peer certificate: ") + X509_verify_cert_error_string(verdict));
  }
  const unsigned long error = ERR_peek_error();
  if (IsCertificateAlert(error)) {
    return OpenSslError(ErrorCode::kPermissionDenied, "the peer refused our certificate");
  }
  if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
      ERR_GET_REASON(error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    return OpenSslError(ErrorCode::kPermissionDenied, "peer certificate");
  }
  if (reason == SSL_ERROR_SYSCALL || error == 0) {
    ERR_clear_error();
    return Error(ErrorCode::kUnavailable, "the connection broke off");
  }
  return OpenSslError(ErrorCode::kUnavailable, "TLS");
}

asio::awaitable<Result<std::size_t>> TlsStream::Drive(Operation operation, std::span<std::byte> in,
                                                      ByteView out) {
  for (;;) {
    std::size_t done = 0;
    const int outcome = Attempt(operation, in, out, &done);
    if (outcome > 0) co_return done;
    const int reason = SSL_get_error(ssl_.get(), outcome);
    if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) {
      co_return Failure(reason);
    }
    const auto readiness = reason == SSL_ERROR_WANT_READ ? asio::ip::tcp::socket::wait_read
                                                         : asio::ip::tcp::socket::wait_write;
    auto [ec] = co_await socket_.async_wait(readiness, kAwait);
    if (ec) co_return Error(ErrorCode::kUnavailable, "socket: " + ec.message());
  }
}

asio::awaitable<Status> TlsStream::Handshake() {
  auto done = co_await Drive(Operation::kHandshake, {}, {});
  if (!done) co_return std::move(done).error();
  co_return Status();
}

asio::awaitable<Result<std::size_t>> TlsStream::ReadSome(std::span<std::byte> buffer) {
  co_return co_await Drive(Operation::kRead, buffer, {});
}

asio::awaitable<Status> TlsStream::Write(ByteView data) {
  while (!data.empty()) {
    auto written = co_await Drive(Operation::kWrite, {}, data);
    if (!written) co_return std::move(written).error();
    data = data.subspan(*written);
  }
  co_return Status();
}

asio::awaitable<Status> TlsStream::Shutdown() {
  auto done = co_await Drive(Operation::kShutdown, {}, {});
  asio::error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  if (!done) co_return std::move(done).error();
  co_return Status();
}

void TlsStream::Close() noexcept {
  asio::error_code ignored;
  socket_.close(ignored);
}

Result<Bytes> TlsStream::PeerCertificate() const {
  X509* leaf = SSL_get0_peer_certificate(ssl_.get());
  if (leaf == nullptr) return Error(ErrorCode::kNotFound, "the peer showed no certificate");
  return CertificateToDer(leaf);
}

Result<Bytes> TlsStream::PeerAuthority() const {
  STACK_OF(X509)* chain = SSL_get0_verified_chain(ssl_.get());
  const int len = chain == nullptr ? 0 : sk_X509_num(chain);
  if (len == 0) return Error(ErrorCode::kNotFound, "the peer showed no certificate");
  return CertificateToDer(sk_X509_value(chain, len - 1));
}

}  // namespace demur::net
