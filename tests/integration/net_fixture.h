#pragma once

#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "demur/net/connect.h"
#include "demur/net/frame_stream.h"
#include "demur/net/listener.h"
#include "demur/net/tls_context.h"
#include "fake_clock.h"
#include "result_matchers.h"
#include "test_pki.h"

namespace demur::net {

using StreamPtr = std::unique_ptr<FrameStream>;

inline constexpr Limit kSoon{30};      // a limit that is meant to pass
inline constexpr Limit kLong{30'000};  // one that is not; the test would fail by it
inline constexpr FrameLimits kAnyFrame{1U << 22, kLong, kLong};

// What the server of a test did with its one connection.
struct ServerSide {
  std::promise<Status> outcome;
};
using ServerSidePtr = std::shared_ptr<ServerSide>;

// Coroutines of the tests are named functions that take everything by value, as the product's.
inline asio::awaitable<Status> EchoFrames(FrameStream& stream) {
  for (;;) {
    auto frame = co_await stream.ReadFrame(kAnyFrame);
    if (!frame) co_return std::move(frame).error();
    DEMUR_CO_RETURN_IF_ERROR(co_await stream.WriteFrame(frame->type, frame->body, kLong));
  }
}
inline asio::awaitable<void> Echo(StreamPtr stream) { (void)co_await EchoFrames(*stream); }

// Reads one frame with `limits` and reports how that went.
inline asio::awaitable<void> ReportOneFrame(StreamPtr stream, FrameLimits limits,
                                            ServerSidePtr report) {
  auto frame = co_await stream->ReadFrame(limits);
  report->outcome.set_value(frame ? Status() : Status(std::move(frame).error()));
}

// One frame there and back.
inline asio::awaitable<Result<Frame>> Exchange(ConnectOptions options, TlsContext context,
                                               Bytes body) {
  DEMUR_CO_TRY(auto stream, co_await Connect(std::move(options), std::move(context)));
  DEMUR_CO_RETURN_IF_ERROR(co_await stream->WriteFrame(wire::FrameType::kHello, body, kLong));
  auto frame = co_await stream->ReadFrame(kAnyFrame);
  co_await stream->Finish(kLong);
  co_return frame;
}

class NetTest : public ::testing::Test {
 protected:
  ~NetTest() override {
    if (listener_) listener_->Stop();
    pool_.join();
    listener_.reset();
  }

  // Starts a TLS server on a free port of the loopback.
  void Serve(TlsContext context, FrameHandler handler, Limit handshake_limit = kLong,
             std::size_t max_connections = 64) {
    ListenerOptions options;
    options.max_connections = max_connections;
    auto listener =
        Listener::Open(pool_.get_executor(), options,
                       TlsHandler(std::move(context), std::move(handler), handshake_limit));
    ASSERT_OK(listener);
    listener_ = std::move(*listener);
  }
  ConnectOptions To(std::string server_name = std::string(testing::TestPki::kServerName)) const {
    return {"127.0.0.1", listener_->port(), std::move(server_name), kLong};
  }
  // Runs a coroutine on a strand of its own and waits for it.
  template <class T>
  T Run(asio::awaitable<T> work) {
    return asio::co_spawn(asio::make_strand(pool_), std::move(work), asio::use_future).get();
  }

  TlsContext ServerContext() { return ServerContext(pki_.Server()); }
  TlsContext ServerContext(const TlsIdentity& identity) {
    return TlsContext::Mutual(Role::kServer, identity, pki_.authority(), clock_).value();
  }
  TlsContext ClientContext() { return ClientContext(pki_.Device()); }
  TlsContext ClientContext(const TlsIdentity& identity) {
    return TlsContext::Mutual(Role::kClient, identity, pki_.authority(), clock_).value();
  }

  testing::FakeClock clock_;
  testing::TestPki pki_;
  asio::thread_pool pool_{2};
  std::unique_ptr<Listener> listener_;
};

}  // namespace demur::net
