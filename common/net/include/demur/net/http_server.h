#pragma once

#include <functional>

#include "demur/net/deadline.h"
#include "demur/net/http.h"
#include "demur/net/listener.h"

// The admin port: pass HttpHandler(...) to Listener::Open. A session header.
// Plain text, no authentication: bind it to the loopback only.
namespace demur::net {

// Called on the connection's strand, from several threads at once for several connections.
using HttpResponder = std::function<HttpReply(const HttpRequest&)>;

// Answers one request per connection; a head that has not arrived, or a reply that was not taken,
// within `limit` ends the connection.
Listener::Handler HttpHandler(HttpResponder responder, Limit limit = Limit{5'000});

}  // namespace demur::net
