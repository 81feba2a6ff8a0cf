#include "demur/net/connect.h"

#include <asio/ip/address.hpp>
#include <asio/this_coro.hpp>
#include <utility>
#include <vector>

#include "await.h"

namespace demur::net {
namespace {

using asio::ip::tcp;
using StreamResult = Result<std::unique_ptr<FrameStream>>;

// The addresses of `host`. A numeric one needs no resolver, and its thread.
asio::awaitable<Result<std::vector<tcp::endpoint>>> Resolve(std::string host, std::uint16_t port) {
  asio::error_code not_numeric;
  const auto address = asio::ip::make_address(host, not_numeric);
  if (!not_numeric) co_return std::vector<tcp::endpoint>{{address, port}};
  tcp::resolver resolver(co_await asio::this_coro::executor);
  auto [ec, found] = co_await resolver.async_resolve(host, std::to_string(port), kAwait);
  if (ec) co_return Error(ErrorCode::kUnavailable, host + ": " + ec.message());
  std::vector<tcp::endpoint> out;
  for (const auto& entry : found) out.push_back(entry.endpoint());
  co_return out;
}

asio::awaitable<Result<tcp::socket>> ConnectAny(std::string host, std::uint16_t port) {
  auto endpoints = co_await Resolve(host, port);
  if (!endpoints) co_return std::move(endpoints).error();
  std::string reason = "no address";
  for (const tcp::endpoint& endpoint : *endpoints) {
    tcp::socket socket(co_await asio::this_coro::executor);
    auto [ec] = co_await socket.async_connect(endpoint, kAwait);
    if (!ec) co_return std::move(socket);
    reason = ec.message();
  }
  co_return Error(ErrorCode::kUnavailable, host + ":" + std::to_string(port) + ": " + reason);
}

asio::awaitable<StreamResult> ConnectUnlimited(ConnectOptions options, TlsContext context) {
  auto socket = co_await ConnectAny(options.host, options.port);
  if (!socket) co_return std::move(socket).error();
  DEMUR_CO_TRY(auto stream, TlsStream::Create(std::move(*socket), context, options.server_name));
  DEMUR_CO_RETURN_IF_ERROR(co_await stream->Handshake());
  co_return std::make_unique<FrameStream>(std::move(stream));
}

}  // namespace

asio::awaitable<StreamResult> Connect(ConnectOptions options, TlsContext context) {
  if (options.host.empty()) {
    co_return Error(ErrorCode::kInvalidArgument, "connect: no host");
  }
  if (options.server_name.empty()) options.server_name = options.host;
  const Limit limit = options.limit;
  co_return co_await WithDeadline(ConnectUnlimited(std::move(options), std::move(context)), limit);
}

}  // namespace demur::net
