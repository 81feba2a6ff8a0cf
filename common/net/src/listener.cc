#include "demur/net/listener.h"

#include <array>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/buffer.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <atomic>
#include <exception>
#include <set>
#include <utility>

#include "await.h"
#include "demur/base/log.h"
#include "demur/net/spawn.h"

namespace demur::net {
namespace {

constexpr Limit kLingerLimit{1'000};
constexpr std::size_t kMaxLingering = 65536;  // bytes
constexpr Limit kPauseAfterFailure{100};      // out of descriptors: let some connection end first

// One connection's strand, and the way to cancel what runs on it. The signal is used on the strand
// only.
struct Connection {
  explicit Connection(asio::any_io_executor on) : strand(std::move(on)) {}
  asio::any_io_executor strand;
  asio::cancellation_signal signal;
};
using ConnectionPtr = std::shared_ptr<Connection>;

void Cancel(const ConnectionPtr& connection) {
  asio::post(connection->strand,
             [connection] { connection->signal.emit(asio::cancellation_type::terminal); });
}

}  // namespace

// Everything but the counters and the port is used on `strand` only.
struct Listener::State : std::enable_shared_from_this<Listener::State> {
  State(asio::any_io_executor pool, const ListenerOptions& listener_options, Handler on_connection)
      : executor(std::move(pool)),
        strand(asio::make_strand(executor)),
        options(listener_options),
        handler(std::move(on_connection)),
        acceptor(strand),
        grace_timer(strand) {}

  Status Bind();
  void Admit(asio::ip::tcp::socket socket, asio::any_io_executor connection_strand);
  void Remove(const ConnectionPtr& connection);
  void StopNow(Limit grace);
  void CancelAll();

  const asio::any_io_executor executor;
  const asio::any_io_executor strand;
  const ListenerOptions options;
  const Handler handler;
  asio::ip::tcp::acceptor acceptor;
  asio::steady_timer grace_timer;
  std::set<ConnectionPtr> connections;
  bool stopping = false;
  std::atomic<std::uint16_t> port{0};
  std::atomic<std::size_t> num_connections{0};
  std::atomic<std::uint64_t> num_refused{0};
};

Status Listener::State::Bind() {
  asio::error_code ec;
  const auto address = asio::ip::make_address(options.host, ec);
  if (ec) {
    return Error(ErrorCode::kInvalidArgument, "listener: not a numeric address: " + options.host);
  }
  const asio::ip::tcp::endpoint endpoint(address, options.port);
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (!ec) port = acceptor.local_endpoint(ec).port();
  if (ec) {
    return Error(ErrorCode::kUnavailable, "listener: " + options.host + ":" +
                                              std::to_string(options.port) + ": " + ec.message());
  }
  return {};
}

void Listener::State::Remove(const ConnectionPtr& connection) {
  connections.erase(connection);
  num_connections = connections.size();
  if (stopping && connections.empty()) grace_timer.cancel();
}

namespace {

// The end of a connection's coroutine. A struct and not a lambda: co_spawn takes it by move.
template <class StatePtr>
struct ConnectionEnded {
  StatePtr state;
  ConnectionPtr connection;

  void operator()(std::exception_ptr failure) const {
    LogUnexpected("connection")(failure);
    asio::post(state->strand,
               [state = state, connection = connection] { state->Remove(connection); });
  }
};

}  // namespace

void Listener::State::Admit(asio::ip::tcp::socket socket, asio::any_io_executor connection_strand) {
  if (connections.size() >= options.max_connections) {
    ++num_refused;
    return;  // and the socket closes
  }
  auto connection = std::make_shared<Connection>(connection_strand);
  connections.insert(connection);
  num_connections = connections.size();
  asio::co_spawn(connection_strand, handler(std::move(socket)),
                 asio::bind_cancellation_slot(
                     connection->signal.slot(),
                     ConnectionEnded<std::shared_ptr<State>>{shared_from_this(), connection}));
}

void Listener::State::CancelAll() {
  for (const ConnectionPtr& connection : connections) Cancel(connection);
}

void Listener::State::StopNow(Limit grace) {
  stopping = true;
  asio::error_code ignored;
  acceptor.close(ignored);
  grace_timer.cancel();
  if (connections.empty()) return;
  if (grace <= kNoLimit) return CancelAll();
  grace_timer.expires_after(grace);
  grace_timer.async_wait([self = shared_from_this()](const asio::error_code& cancelled) {
    if (!cancelled) self->CancelAll();
  });
}

namespace {

template <class StatePtr>
asio::awaitable<void> AcceptLoop(StatePtr state) {
  while (!state->stopping) {
    const asio::any_io_executor connection_strand = asio::make_strand(state->executor);
    auto [ec, socket] = co_await state->acceptor.async_accept(connection_strand, kAwait);
    if (state->stopping) co_return;
    if (ec == asio::error::connection_aborted) continue;
    if (ec) {
      log::Warning("accept_failed", {{"reason", ec.message()}});
      (void)co_await Pause(kPauseAfterFailure);
      continue;
    }
    state->Admit(std::move(socket), connection_strand);
  }
}

}  // namespace

Listener::Listener(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}

Listener::~Listener() { Stop(); }

Result<std::unique_ptr<Listener>> Listener::Open(asio::any_io_executor executor,
                                                 const ListenerOptions& options, Handler handler) {
  auto state = std::make_shared<State>(std::move(executor), options, std::move(handler));
  DEMUR_RETURN_IF_ERROR(state->Bind());
  asio::co_spawn(state->strand, AcceptLoop(state), LogUnexpected("listener"));
  return std::unique_ptr<Listener>(new Listener(std::move(state)));
}

void Listener::Stop(Limit grace) {
  asio::post(state_->strand, [state = state_, grace] { state->StopNow(grace); });
}

std::uint16_t Listener::port() const noexcept { return state_->port; }
std::size_t Listener::num_connections() const noexcept { return state_->num_connections; }
std::uint64_t Listener::num_refused() const noexcept { return state_->num_refused; }

namespace {

struct TlsService {
  TlsContext context;
  FrameHandler handler;
  Limit handshake_limit;
};

// Lets the peer read why it was refused: closing over bytes that it has sent already would reset
// the connection, and the reset would overtake the alert.
asio::awaitable<Status> Linger(asio::ip::tcp::socket& socket) {
  asio::error_code ignored;
  socket.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  std::array<char, 1024> dropped{};
  for (std::size_t total = 0; total < kMaxLingering;) {
    auto [ec, len] = co_await socket.async_read_some(asio::buffer(dropped), kAwait);
    if (ec) break;
    total += len;
  }
  co_return Status();
}

asio::awaitable<void> ServeTls(std::shared_ptr<const TlsService> service,
                               asio::ip::tcp::socket socket) {
  auto stream = TlsStream::Create(std::move(socket), service->context, "");
  if (!stream) {
    log::Warning("connection_refused", {{"reason", stream.error()}});
    co_return;
  }
  const Status done = co_await WithDeadline((*stream)->Handshake(), service->handshake_limit);
  if (!done) {
    log::Info("handshake_failed", {{"reason", done.error()}});
    if (done.error().code() != ErrorCode::kPermissionDenied) co_return;
    (void)co_await WithDeadline(Linger((*stream)->socket()), kLingerLimit);
    co_return;
  }
  co_await service->handler(std::make_unique<FrameStream>(std::move(*stream)));
}

}  // namespace

Listener::Handler TlsHandler(TlsContext context, FrameHandler handler, Limit handshake_limit) {
  auto service = std::make_shared<const TlsService>(
      TlsService{std::move(context), std::move(handler), handshake_limit});
  return [service = std::move(service)](asio::ip::tcp::socket socket) {
    return ServeTls(service, std::move(socket));
  };
}

}  // namespace demur::net
