#pragma once

#include <asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "demur/base/result.h"
#include "demur/net/deadline.h"
#include "demur/net/frame_stream.h"
#include "demur/net/tls_context.h"

// The client's way in. A session header.
namespace demur::net {

struct ConnectOptions {
  std::string host;  // name or numeric address to connect to
  std::uint16_t port = 0;
  std::string server_name;  // demanded of the server's certificate; empty: `host`
  Limit limit{10'000};      // for resolving, connecting and the handshake together
};

// Connects and shakes hands. Call it on a strand: the stream lives there. Tries every address of
// the host in turn. kPermissionDenied: the server's certificate is not of the authority, or has
// another name or usage. kDeadlineExceeded: not done within the limit. kUnavailable: no address
// answered. kInvalidArgument: no host.
asio::awaitable<Result<std::unique_ptr<FrameStream>>> Connect(ConnectOptions options,
                                                              TlsContext context);

}  // namespace demur::net
