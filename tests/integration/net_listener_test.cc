#include <gtest/gtest.h>

#include <asio/read.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <atomic>

#include "demur/net/http_server.h"
#include "demur/net/spawn.h"
#include "net_fixture.h"

// Listeners: limits, stopping, and the admin port.
namespace demur::net {
namespace {

using asio::ip::tcp;

class ListenerTest : public NetTest {};

// Connects without TLS, sends `text`, and returns all that comes until the server closes.
asio::awaitable<std::string> TalkPlainly(std::uint16_t port, std::string text) {
  tcp::socket socket(co_await asio::this_coro::executor);
  co_await socket.async_connect({asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
  asio::error_code ec;
  asio::write(socket, asio::buffer(text), ec);
  std::string received;
  std::array<char, 512> chunk{};
  while (!ec) {
    try {
      const std::size_t len =
          co_await socket.async_read_some(asio::buffer(chunk), asio::use_awaitable);
      received.append(chunk.data(), len);
    } catch (const asio::system_error& error) {
      ec = error.code();
    }
  }
  co_return received;
}

TEST_F(ListenerTest, SilentAndTalkativeCallersAreCutOffInTheHandshake) {
  std::atomic<int> admitted{0};
  Serve(
      ServerContext(),
      [&admitted](StreamPtr stream) {
        ++admitted;
        return Echo(std::move(stream));
      },
      kSoon);
  EXPECT_EQ(Run(TalkPlainly(listener_->port(), "")), "");
  (void)Run(TalkPlainly(listener_->port(), "GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(admitted, 0);
  // And the server goes on serving the others.
  EXPECT_OK(Run(Exchange(To(), ClientContext(), Bytes(3))));
}
TEST_F(ListenerTest, BusyOrBadAddressesAreErrors) {
  Serve(ServerContext(), Echo);
  const auto open = [this](std::string host, std::uint16_t port) {
    return Listener::Open(pool_.get_executor(), {std::move(host), port, 4},
                          TlsHandler(ServerContext(), Echo));
  };
  EXPECT_ERROR(open("127.0.0.1", listener_->port()), ErrorCode::kUnavailable);
  EXPECT_ERROR(open("no such host", 0), ErrorCode::kInvalidArgument);
}

asio::awaitable<Status> HoldWhileAnotherCalls(ConnectOptions options, TlsContext context) {
  DEMUR_CO_TRY(auto stream, co_await Connect(options, context));
  DEMUR_CO_RETURN_IF_ERROR(co_await stream->WriteFrame(wire::FrameType::kHello, {}, kLong));
  DEMUR_CO_TRY(const Frame frame, co_await stream->ReadFrame(kAnyFrame));
  (void)frame;
  auto second = co_await Connect(options, context);
  co_await stream->Finish(kLong);
  co_return second ? Status() : Status(std::move(second).error());
}
TEST_F(ListenerTest, ConnectionsOverTheCapAreClosed) {
  Serve(ServerContext(), Echo, kLong, 1);
  EXPECT_ERROR(Run(HoldWhileAnotherCalls(To(), ClientContext())), ErrorCode::kUnavailable);
  EXPECT_EQ(listener_->num_refused(), 1U);
  // A place that was given back can be taken again.
  bool again = false;
  for (int i = 0; i < 10'000 && !again; ++i) {
    again = Run(Exchange(To(), ClientContext(), Bytes(3))).has_value();
  }
  EXPECT_TRUE(again);
}

// Connects, tells that it is served, and waits for the end of the connection.
asio::awaitable<Status> WaitForTheEnd(ConnectOptions options, TlsContext context,
                                      std::shared_ptr<std::promise<void>> served) {
  DEMUR_CO_TRY(auto stream, co_await Connect(std::move(options), std::move(context)));
  DEMUR_CO_RETURN_IF_ERROR(co_await stream->WriteFrame(wire::FrameType::kHello, {}, kLong));
  DEMUR_CO_TRY(const Frame frame, co_await stream->ReadFrame(kAnyFrame));
  (void)frame;
  served->set_value();
  auto end = co_await stream->ReadFrame(kAnyFrame);
  co_return end ? Status() : Status(std::move(end).error());
}
TEST_F(ListenerTest, StopEndsConnectionsThatWaitForever) {
  Serve(ServerContext(), Echo);
  auto served = std::make_shared<std::promise<void>>();
  auto client = asio::co_spawn(asio::make_strand(pool_),
                               WaitForTheEnd(To(), ClientContext(), served), asio::use_future);
  served->get_future().wait();
  const ConnectOptions to = To();
  listener_->Stop();
  EXPECT_ERROR(client.get(), ErrorCode::kUnavailable);
  pool_.join();  // nothing is left that waits
  EXPECT_EQ(listener_->num_connections(), 0U);
}
TEST_F(ListenerTest, GraceEndsToo) {
  Serve(ServerContext(), Echo);
  auto served = std::make_shared<std::promise<void>>();
  auto client = asio::co_spawn(asio::make_strand(pool_),
                               WaitForTheEnd(To(), ClientContext(), served), asio::use_future);
  served->get_future().wait();
  listener_->Stop(kSoon);
  EXPECT_ERROR(client.get(), ErrorCode::kUnavailable);
}
asio::awaitable<Status> StopAndTalkOn(ConnectOptions options, TlsContext context,
                                      Listener* listener) {
  DEMUR_CO_TRY(auto stream, co_await Connect(std::move(options), std::move(context)));
  for (int i = 0; i < 50; ++i) {
    if (i == 1) listener->Stop(kLong);
    DEMUR_CO_RETURN_IF_ERROR(co_await stream->WriteFrame(wire::FrameType::kHello, {}, kLong));
    DEMUR_CO_TRY(const Frame frame, co_await stream->ReadFrame(kAnyFrame));
    (void)frame;
  }
  co_await stream->Finish(kLong);
  co_return Status();
}
TEST_F(ListenerTest, GraceLetsAConnectionFinish) {
  Serve(ServerContext(), Echo);
  EXPECT_OK(Run(StopAndTalkOn(To(), ClientContext(), listener_.get())));
  pool_.join();  // does not wait for the rest of the grace
}

asio::awaitable<void> Throw(StreamPtr stream) {
  stream->Close();
  throw std::runtime_error("a bug in a handler");
  co_return;
}
TEST_F(ListenerTest, HandlerThatThrowsEndsItsConnectionOnly) {
  std::atomic<int> calls{0};
  Serve(ServerContext(), [&calls](StreamPtr stream) {
    return ++calls == 1 ? Throw(std::move(stream)) : Echo(std::move(stream));
  });
  EXPECT_FALSE(Run(Exchange(To(), ClientContext(), Bytes(3))).has_value());
  EXPECT_OK(Run(Exchange(To(), ClientContext(), Bytes(3))));
}

asio::awaitable<Result<int>> Answer(int value) { co_return value; }
asio::awaitable<Result<int>> Throwing() {
  throw std::runtime_error("from inside");
  co_return 0;
}
asio::awaitable<Result<int>> Forever(std::shared_ptr<bool> unwound) {
  const auto mark = std::shared_ptr<void>(nullptr, [unwound](void*) { *unwound = true; });
  DEMUR_CO_RETURN_IF_ERROR(co_await Pause(Limit{3'600'000}));
  co_return 0;
}
TEST_F(ListenerTest, DeadlineGivesTheResultOrUnwindsTheWork) {
  ASSERT_OK_AND_ASSIGN(const int limited, Run(WithDeadline(Answer(3), kLong)));
  EXPECT_EQ(limited, 3);
  ASSERT_OK_AND_ASSIGN(const int unlimited, Run(WithDeadline(Answer(4), kNoLimit)));
  EXPECT_EQ(unlimited, 4);
  const auto unwound = std::make_shared<bool>(false);
  EXPECT_ERROR(Run(WithDeadline(Forever(unwound), kSoon)), ErrorCode::kDeadlineExceeded);
  EXPECT_TRUE(*unwound);
  EXPECT_THROW((void)Run(WithDeadline(Throwing(), kLong)), std::runtime_error);
}

HttpReply AdminReply(const HttpRequest& request) {
  if (request.path == "/healthz") return {200, "text/plain", "ok\n"};
  return HttpReplyFor(Error(ErrorCode::kNotFound, "no such page"));
}
TEST_F(ListenerTest, AdminPortAnswersGetRequests) {
  auto admin = Listener::Open(pool_.get_executor(), {}, HttpHandler(AdminReply, kSoon));
  ASSERT_OK(admin);
  const std::uint16_t port = (*admin)->port();
  EXPECT_EQ(Run(TalkPlainly(port, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")),
            FormatHttp({200, "text/plain", "ok\n"}));
  EXPECT_TRUE(
      Run(TalkPlainly(port, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")).starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(
      Run(TalkPlainly(port, "POST / HTTP/1.1\r\nHost: x\r\n\r\n")).starts_with("HTTP/1.1 405"));
  EXPECT_TRUE(Run(TalkPlainly(port, "nonsense\r\n\r\n")).starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(Run(TalkPlainly(port, "GET / HT")).starts_with("HTTP/1.1 408"));
  EXPECT_TRUE(Run(TalkPlainly(port, std::string(5000, 'a'))).starts_with("HTTP/1.1 431"));
  (*admin)->Stop();
  pool_.join();
}

}  // namespace
}  // namespace demur::net
