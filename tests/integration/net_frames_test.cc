#include <gtest/gtest.h>

#include <asio/use_awaitable.hpp>

#include "demur/net/outbox.h"
#include "demur/net/spawn.h"
#include "demur/wire/control.h"
#include "net_fixture.h"

// Frames over real connections: size, time, and ends in the wrong place.
namespace demur::net {
namespace {

using wire::FrameType;

constexpr Limit kLate{5'000};  // long past kSoon, and the test fails by it

class FrameStreamTest : public NetTest {
 protected:
  // A server that reads one frame with `limits`.
  std::future<Status> ServeOneFrame(FrameLimits limits) {
    auto report = std::make_shared<ServerSide>();
    Serve(ServerContext(), [limits, report](StreamPtr stream) {
      return ReportOneFrame(std::move(stream), limits, report);
    });
    return report->outcome.get_future();
  }
};

TEST_F(FrameStreamTest, EchoesMegabytesAndEmptyBodies) {
  Serve(ServerContext(), Echo);
  for (const std::size_t len : {0U, 1U, 16376U, 16377U, 65536U, 3U << 20}) {
    Bytes body(len);
    for (std::size_t i = 0; i < len; ++i) body[i] = std::byte(i * 7 & 0xFFU);
    ASSERT_OK_AND_ASSIGN(const Frame frame, Run(Exchange(To(), ClientContext(), body)));
    EXPECT_EQ(frame.type, FrameType::kHello);
    EXPECT_EQ(frame.body, body) << len;
  }
}
TEST_F(FrameStreamTest, FrameOverTheLimitClosesTheConnection) {
  auto server = ServeOneFrame({99, kLong, kLong});
  EXPECT_ERROR(Run(Exchange(To(), ClientContext(), Bytes(100))), ErrorCode::kUnavailable);
  EXPECT_ERROR(server.get(), ErrorCode::kInvalidArgument);
}
TEST_F(FrameStreamTest, FrameAtTheLimitIsRead) {
  auto server = ServeOneFrame({100, kLong, kLong});
  (void)Run(Exchange(To(), ClientContext(), Bytes(100)));
  EXPECT_OK(server.get());
}

// Sends raw bytes over TLS, then waits until the server has closed.
asio::awaitable<Status> SendRawAndWait(std::uint16_t port, TlsContext context, Bytes raw) {
  asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
  co_await socket.async_connect({asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
  DEMUR_CO_TRY(auto stream, TlsStream::Create(std::move(socket), context,
                                              std::string(testing::TestPki::kServerName)));
  DEMUR_CO_RETURN_IF_ERROR(co_await stream->Handshake());
  DEMUR_CO_RETURN_IF_ERROR(co_await stream->Write(raw));
  std::array<std::byte, 16> buffer{};
  auto got = co_await stream->ReadSome(buffer);
  co_return got ? Status(Error(ErrorCode::kInternal, "the server answered"))
                : Status(std::move(got).error());
}
// Sends raw bytes over TLS and vanishes.
asio::awaitable<Status> SendRawAndVanish(std::uint16_t port, TlsContext context, Bytes raw) {
  asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
  co_await socket.async_connect({asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
  DEMUR_CO_TRY(auto stream, TlsStream::Create(std::move(socket), context,
                                              std::string(testing::TestPki::kServerName)));
  DEMUR_CO_RETURN_IF_ERROR(co_await stream->Handshake());
  co_return co_await stream->Write(raw);
}
Bytes FrameStart(std::uint32_t body_len, std::size_t body_have) {
  const auto header = wire::EncodeFrameHeader({body_len, FrameType::kHello});
  Bytes out(header.begin(), header.end());
  out.resize(out.size() + body_have);
  return out;
}

TEST_F(FrameStreamTest, MalformedHeadersCloseTheConnection) {
  auto server = ServeOneFrame(kAnyFrame);
  EXPECT_ERROR(Run(SendRawAndWait(listener_->port(), ClientContext(), Bytes(8, std::byte{0xFF}))),
               ErrorCode::kUnavailable);
  EXPECT_ERROR(server.get(), ErrorCode::kInvalidArgument);
}
TEST_F(FrameStreamTest, FrameThatDripsMeetsItsDeadline) {
  Bytes three_bytes = FrameStart(100, 0);
  three_bytes.resize(3);
  for (const Bytes& start : {FrameStart(100, 99), three_bytes}) {
    auto server = ServeOneFrame({1000, kLong, kSoon});
    EXPECT_ERROR(
        Run(WithDeadline(SendRawAndWait(listener_->port(), ClientContext(), start), kLate)),
        ErrorCode::kUnavailable);
    EXPECT_ERROR(server.get(), ErrorCode::kDeadlineExceeded);
  }
}
TEST_F(FrameStreamTest, ConnectionThatEndsInTheMiddleOfAFrameIsDataLoss) {
  auto server = ServeOneFrame(kAnyFrame);
  EXPECT_OK(Run(SendRawAndVanish(listener_->port(), ClientContext(), FrameStart(100, 50))));
  EXPECT_ERROR(server.get(), ErrorCode::kDataLoss);
}
TEST_F(FrameStreamTest, ConnectionThatEndsBetweenFramesIsUnavailable) {
  auto server = ServeOneFrame(kAnyFrame);
  EXPECT_OK(Run(SendRawAndVanish(listener_->port(), ClientContext(), {})));
  EXPECT_ERROR(server.get(), ErrorCode::kUnavailable);
}

// Waits in vain for a frame, then asks for one and gets it over the same connection.
asio::awaitable<Status> IdleThenTalk(ConnectOptions options, TlsContext context) {
  DEMUR_CO_TRY(auto stream, co_await Connect(std::move(options), std::move(context)));
  for (int i = 0; i < 2; ++i) {
    auto nothing = co_await stream->ReadFrame({100, kSoon, kLong});
    if (nothing || nothing.error().code() != ErrorCode::kDeadlineExceeded) {
      co_return Error(ErrorCode::kInternal, "the idle limit did not pass");
    }
  }
  DEMUR_CO_RETURN_IF_ERROR(co_await stream->WriteFrame(FrameType::kLeave, Bytes(5), kLong));
  DEMUR_CO_TRY(const Frame frame, co_await stream->ReadFrame(kAnyFrame));
  if (frame.type != FrameType::kLeave || stream->bytes_received() != 13 ||
      stream->bytes_sent() != 13) {
    co_return Error(ErrorCode::kInternal, "not the frame that was sent");
  }
  co_return Status();
}
TEST_F(FrameStreamTest, IdleLimitLeavesTheConnectionUsable) {
  Serve(ServerContext(), Echo);
  EXPECT_OK(Run(IdleThenTalk(To(), ClientContext())));
}

asio::awaitable<void> CloseAtOnce(StreamPtr stream) {
  stream->Close();
  co_return;
}
// Waits for the peer's end, then writes on: the first write draws a reset, later ones meet EPIPE.
asio::awaitable<Status> WriteOn(ConnectOptions options, TlsContext context) {
  DEMUR_CO_TRY(auto stream, co_await Connect(std::move(options), std::move(context)));
  (void)co_await stream->ReadFrame({100, kSoon, kLong});
  auto raw = co_await stream->WriteFrame(FrameType::kHello, Bytes(1 << 20), kLong);
  co_return raw;
}
asio::awaitable<Status> WriteRawOn(std::uint16_t port, TlsContext context) {
  asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
  co_await socket.async_connect({asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
  DEMUR_CO_TRY(auto stream, TlsStream::Create(std::move(socket), context,
                                              std::string(testing::TestPki::kServerName)));
  DEMUR_CO_RETURN_IF_ERROR(co_await stream->Handshake());
  co_await stream->socket().async_wait(asio::ip::tcp::socket::wait_read, asio::use_awaitable);
  co_return co_await stream->Write(Bytes(1 << 20));
}
TEST_F(FrameStreamTest, WritingToAClosedPeerIsAnErrorAndNotASignal) {
  Serve(ServerContext(), CloseAtOnce);
  EXPECT_ERROR(Run(WriteOn(To(), ClientContext())), ErrorCode::kUnavailable);
  EXPECT_ERROR(Run(WriteRawOn(listener_->port(), ClientContext())), ErrorCode::kUnavailable);
}

// Keeps the connection open without reading a byte of it.
asio::awaitable<void> Keep(StreamPtr stream, std::shared_ptr<StreamPtr> shelf) {
  *shelf = std::move(stream);
  co_return;
}
asio::awaitable<Status> WriteWithLimit(ConnectOptions options, TlsContext context) {
  DEMUR_CO_TRY(auto stream, co_await Connect(std::move(options), std::move(context)));
  co_return co_await stream->WriteFrame(FrameType::kMasked, Bytes(std::size_t{64} << 20), kSoon);
}
TEST_F(FrameStreamTest, PeerThatDoesNotReadMeetsTheWriteLimit) {
  const auto shelf = std::make_shared<StreamPtr>();
  Serve(ServerContext(), [shelf](StreamPtr stream) { return Keep(std::move(stream), shelf); });
  EXPECT_ERROR(Run(WriteWithLimit(To(), ClientContext())), ErrorCode::kDeadlineExceeded);
  listener_->Stop();
  pool_.join();
}

asio::awaitable<void> Refuse(StreamPtr stream) {
  const wire::Refusal refusal{ErrorCode::kResourceExhausted, "come back later", 1000};
  (void)co_await stream->WriteFrame(FrameType::kRefusal, Encode(refusal), kLong);
  co_await stream->Finish(kLong);
}
asio::awaitable<Status> AskForWelcome(ConnectOptions options, TlsContext context) {
  DEMUR_CO_TRY(auto stream, co_await Connect(std::move(options), std::move(context)));
  // A body that the server never reads: its refusal must arrive all the same.
  DEMUR_CO_RETURN_IF_ERROR(co_await stream->WriteFrame(FrameType::kHello, Bytes(5000), kLong));
  auto frame = co_await stream->ReadFrameOf(FrameType::kWelcome, {100, kLong, kLong});
  co_return frame ? Status() : Status(std::move(frame).error());
}
TEST_F(FrameStreamTest, RefusalBecomesItsErrorWhereAnotherFrameWasDue) {
  Serve(ServerContext(), Refuse);
  const Status status = Run(AskForWelcome(To(), ClientContext()));
  EXPECT_ERROR(status, ErrorCode::kResourceExhausted);
  EXPECT_EQ(status.error().message(), "refused: come back later");
}
TEST_F(FrameStreamTest, FrameOfAnotherTypeThanIsDueIsRefused) {
  Serve(ServerContext(), Echo);
  EXPECT_ERROR(Run(AskForWelcome(To(), ClientContext())), ErrorCode::kInvalidArgument);
}

// Two frames through an outbox, and a third that finds it full.
asio::awaitable<void> PushSome(StreamPtr stream, ServerSidePtr report) {
  const auto executor = co_await asio::this_coro::executor;
  Outbox outbox(executor, {2, 1000});
  const auto shared = std::make_shared<const Bytes>(Bytes(400, std::byte{4}));
  const bool first = outbox.Push(FrameType::kAnnounce, shared).has_value();
  const bool too_large = outbox.Push(FrameType::kRoster, Bytes(601)).has_value();
  const bool second = outbox.Push(FrameType::kRoster, Bytes(600)).has_value();
  const auto third = outbox.Push(FrameType::kRoster, Bytes());
  outbox.Close();
  const auto late = outbox.Push(FrameType::kRoster, Bytes());
  const Status sent = co_await outbox.Run(*stream, kLong);
  co_await stream->Finish(kLong);
  const bool good = first && !too_large && second && sent &&
                    third.error().code() == ErrorCode::kResourceExhausted &&
                    late.error().code() == ErrorCode::kFailedPrecondition;
  report->outcome.set_value(good ? Status() : Status(Error(ErrorCode::kInternal, "outbox")));
}
asio::awaitable<Result<std::vector<std::size_t>>> ReadBodySizes(ConnectOptions options,
                                                                TlsContext context) {
  DEMUR_CO_TRY(auto stream, co_await Connect(std::move(options), std::move(context)));
  std::vector<std::size_t> sizes;
  for (;;) {
    auto frame = co_await stream->ReadFrame(kAnyFrame);
    if (!frame) break;
    sizes.push_back(frame->body.size());
  }
  co_return sizes;
}
TEST_F(FrameStreamTest, OutboxSendsInOrderAndIsBounded) {
  auto report = std::make_shared<ServerSide>();
  Serve(ServerContext(),
        [report](StreamPtr stream) { return PushSome(std::move(stream), report); });
  ASSERT_OK_AND_ASSIGN(const auto sizes, Run(ReadBodySizes(To(), ClientContext())));
  EXPECT_EQ(sizes, (std::vector<std::size_t>{400, 600}));
  EXPECT_OK(report->outcome.get_future().get());
}

}  // namespace
}  // namespace demur::net
