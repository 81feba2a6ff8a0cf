#pragma once

#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/net/tls_context.h"

struct ssl_st;  // OpenSSL's SSL

// One TLS connection for both roles: OpenSSL reads and writes the non-blocking socket, Asio only
// waits until that makes sense. A session header: it needs Asio's coroutines.
// Thread rule: one strand per stream, which is the socket's executor; at most one reading and one
// writing coroutine at a time. Spans given to a call must live until it has completed. Deadlines
// are the caller's (deadline.h): a wait that is cancelled ends in kUnavailable.
namespace demur::net {

class TlsStream {
 public:
  // Takes a connected socket over. `server_name`: the DNS name or the numeric address that a client
  // demands of the server's certificate; empty on a server.
  // kInvalidArgument: a client without a server name. kUnavailable: the socket is gone.
  // kInternal: the library refused.
  static Result<std::unique_ptr<TlsStream>> Create(asio::ip::tcp::socket socket,
                                                   const TlsContext& context,
                                                   const std::string& server_name);
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // On a client, success does NOT mean that the server accepted our certificate: in TLS 1.3 the
  // refusal arrives with the first read. The first reply frame is the admission.
  // kPermissionDenied: the peer's certificate was refused, or it refused ours.
  // kUnavailable: everything else.
  asio::awaitable<Status> Handshake();
  // Reads 1 to buffer.size() bytes. kUnavailable: closed by the peer, or cancelled.
  // kPermissionDenied: the peer refused our certificate.
  asio::awaitable<Result<std::size_t>> ReadSome(std::span<std::byte> buffer);
  // Writes all of `data`. After an error the stream is good for nothing but its destruction.
  asio::awaitable<Status> Write(ByteView data);
  // Sends close_notify and the end of our side; does not wait for the peer's.
  asio::awaitable<Status> Shutdown();
  // Drops the connection; what waits on it ends in kUnavailable.
  void Close() noexcept;

  // DER of the peer's certificate. kNotFound: it showed none (enrolment), or no handshake yet.
  Result<Bytes> PeerCertificate() const;
  // DER of the authority that the peer's certificate was verified against. kNotFound as above.
  Result<Bytes> PeerAuthority() const;

  asio::ip::tcp::socket& socket() noexcept { return socket_; }

 private:
  enum class Operation { kHandshake, kRead, kWrite, kShutdown };
  struct SslFree {
    void operator()(ssl_st* ssl) const noexcept;
  };
  TlsStream(asio::ip::tcp::socket socket, const TlsContext& context, ssl_st* ssl)
      : context_(context), socket_(std::move(socket)), ssl_(ssl) {}

  asio::awaitable<Result<std::size_t>> Drive(Operation operation, std::span<std::byte> in,
                                             ByteView out);
  // One call of the library: its return value, and the bytes it moved.
  int Attempt(Operation operation, std::span<std::byte> in, ByteView out, std::size_t* done);
  // Why the library failed, from this thread's error queue, which is empty afterwards.
  Error Failure(int reason);

  TlsContext context_;  // keeps the clock's and the pin's holder alive
  asio::ip::tcp::socket socket_;
  std::unique_ptr<ssl_st, SslFree> ssl_;  // declared after the socket: freed first
};

}  // namespace demur::net
