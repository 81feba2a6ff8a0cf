#include "demur/net/http_server.h"

#include <array>
#include <asio/buffer.hpp>
#include <asio/write.hpp>
#include <memory>
#include <string>
#include <utility>

#include "await.h"
#include "demur/base/log.h"

namespace demur::net {
namespace {

using asio::ip::tcp;

struct HttpService {
  HttpResponder responder;
  Limit limit;
};

asio::awaitable<Result<HttpRequest>> ReadHead(tcp::socket& socket) {
  std::string received;
  std::array<char, 1024> chunk{};
  for (;;) {
    DEMUR_CO_TRY(auto request, ParseHttpHead(received));
    if (request) co_return std::move(*request);
    auto [ec, len] = co_await socket.async_read_some(asio::buffer(chunk), kAwait);
    if (ec) co_return Error(ErrorCode::kUnavailable, "http: the connection ended");
    received.append(chunk.data(), len);
  }
}

asio::awaitable<Status> WriteReply(tcp::socket& socket, std::string bytes) {
  auto [ec, len] = co_await asio::async_write(socket, asio::buffer(bytes), kAwait);
  if (ec) co_return Error(ErrorCode::kUnavailable, "http: the connection ended");
  asio::error_code ignored;
  socket.shutdown(tcp::socket::shutdown_send, ignored);
  // Until the peer has read it and closed: closing over unread bytes would reset the connection.
  std::array<char, 1024> dropped{};
  while (!ec && len != 0) {
    std::tie(ec, len) = co_await socket.async_read_some(asio::buffer(dropped), kAwait);
  }
  co_return Status();
}

asio::awaitable<void> ServeHttp(std::shared_ptr<const HttpService> service, tcp::socket socket) {
  auto request = co_await WithDeadline(ReadHead(socket), service->limit);
  if (!request && request.error().code() == ErrorCode::kUnavailable) co_return;
  const HttpReply reply = request ? service->responder(*request) : HttpReplyFor(request.error());
  const Status written =
      co_await WithDeadline(WriteReply(socket, FormatHttp(reply)), service->limit);
  if (!written) log::Debug("http_reply_not_taken", {{"reason", written.error()}});
}

}  // namespace

Listener::Handler HttpHandler(HttpResponder responder, Limit limit) {
  auto service = std::make_shared<const HttpService>(HttpService{std::move(responder), limit});
  return [service = std::move(service)](tcp::socket socket) {
    return ServeHttp(service, std::move(socket));
  };
}

}  // namespace demur::net
