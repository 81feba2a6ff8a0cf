#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/ip/tcp.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "demur/base/result.h"
#include "demur/net/deadline.h"
#include "demur/net/frame_stream.h"
#include "demur/net/tls_context.h"

// Accepts TCP connections and runs one coroutine for each, on a strand of its own. A session
// header. Thread rule: the public functions of Listener are safe from any thread.
namespace demur::net {

struct ListenerOptions {
  std::string host = "127.0.0.1";      // numeric address to bind
  std::uint16_t port = 0;              // 0: the system picks one, see Listener::port
  std::size_t max_connections = 1024;  // one more is closed at once
};

class Listener {
 public:
  // Called on no particular strand; the coroutine it returns runs on the socket's. Make it an
  // ordinary function, or a lambda, that calls a NAMED coroutine with everything by value: a
  // coroutine that is itself a capturing lambda breaks under GCC 12. What the coroutine throws is
  // logged and closes that one connection.
  using Handler = std::function<asio::awaitable<void>(asio::ip::tcp::socket)>;

  // Binds and starts accepting. kInvalidArgument: the host is not a numeric address.
  // kUnavailable: the system refuses (port in use).
  static Result<std::unique_ptr<Listener>> Open(asio::any_io_executor executor,
                                                const ListenerOptions& options, Handler handler);
  // Stops without grace. Connections unwind on the executor, which must go on running until then.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Stops accepting; connections that still run after `grace` are cancelled. Returns at once; a
  // thread_pool's join() then waits for all of it. A second call can only shorten the grace.
  void Stop(Limit grace = kNoLimit);

  std::uint16_t port() const noexcept;
  std::size_t num_connections() const noexcept;  // open now
  std::uint64_t num_refused() const noexcept;    // closed because of max_connections, ever

 private:
  struct State;
  explicit Listener(std::shared_ptr<State> state) noexcept;
  std::shared_ptr<State> state_;
};

// Serves frames over TLS: the handshake (within `handshake_limit`), then `handler`. A failed
// handshake is logged without the peer's address and closes the connection.
using FrameHandler = std::function<asio::awaitable<void>(std::unique_ptr<FrameStream>)>;
Listener::Handler TlsHandler(TlsContext context, FrameHandler handler,
                             Limit handshake_limit = Limit{5'000});

}  // namespace demur::net
