#pragma once

#include <asio/any_io_executor.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "demur/authority/authority.h"
#include "demur/base/clock.h"
#include "demur/base/result.h"
#include "demur/net/deadline.h"
#include "demur/wire/endpoint.h"

// The listener that devices enrol at. A session header. TLS 1.3 with the authority's certificate
// shown, none asked for; one Enrol frame in, one EnrolReply or Refusal out, then the connection
// closes. Whatever a caller sends, the others are served on.
namespace demur::authority {

struct EnrolServerOptions {
  wire::Endpoint listen{"127.0.0.1", 0};  // numeric address; port 0: the system picks one
  std::size_t max_connections = 256;      // one more is closed at once
  net::Limit request_limit{10'000};       // from the handshake to the whole request, and to reply
};

// Thread rule: the public functions are safe from any thread.
class EnrolServer {
 public:
  // `authority` and `clock` must outlive the server and everything that runs on `executor` for it.
  // kInvalidArgument, kUnavailable: net::Listener::Open.
  static Result<std::unique_ptr<EnrolServer>> Start(Authority& authority, const Clock& clock,
                                                    asio::any_io_executor executor,
                                                    const EnrolServerOptions& options);
  ~EnrolServer();
  EnrolServer(const EnrolServer&) = delete;
  EnrolServer& operator=(const EnrolServer&) = delete;

  std::uint16_t port() const noexcept;
  // Accepts no more; requests that are being answered have until `grace`.
  void Stop(net::Limit grace = net::Limit{2'000});

 private:
  struct Impl;
  explicit EnrolServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace demur::authority
