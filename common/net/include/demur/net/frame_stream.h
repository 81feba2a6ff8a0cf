#pragma once

#include <array>
#include <asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/net/deadline.h"
#include "demur/net/tls_stream.h"
#include "demur/wire/frame.h"

// Frames over one TLS connection (docs/protocol.md, frames). A session header.
// Thread rule: that of TlsStream: on the stream's strand, at most one ReadFrame and one WriteFrame
// at a time (checked). Several writers share an Outbox (outbox.h).
namespace demur::net {

struct Frame {
  wire::FrameType type = wire::FrameType::kHello;
  Bytes body;
};

// How long and how large a frame may be that a peer sends.
struct FrameLimits {
  std::uint32_t max_body_len = 0;  // bytes
  Limit idle = kNoLimit;           // until its first byte
  Limit frame{10'000};             // from there to its last: a peer that drips is cut off
};

class FrameStream {
 public:
  // The handshake must be done.
  explicit FrameStream(std::unique_ptr<TlsStream> stream) : stream_(std::move(stream)) {}
  FrameStream(const FrameStream&) = delete;
  FrameStream& operator=(const FrameStream&) = delete;

  // The next frame. Memory grows with what has arrived, never with what a header announces.
  // kDeadlineExceeded with nothing received: still usable, read again. After every other error the
  // connection is closed:
  //   kInvalidArgument: the header is refused (version, type, padding, length over max_body_len)
  //   kDeadlineExceeded: the frame did not arrive in time
  //   kDataLoss: the peer closed in the middle of a frame
  //   kUnavailable: the peer closed between frames, or we did, or the wait was cancelled
  //   kPermissionDenied: the peer refused our certificate
  asio::awaitable<Result<Frame>> ReadFrame(FrameLimits limits);
  // ReadFrame that also demands the type. kInvalidArgument: another type (connection closed), save
  // for a Refusal frame, which becomes the Error it stands for (wire::ToError).
  asio::awaitable<Result<Frame>> ReadFrameOf(wire::FrameType type, FrameLimits limits);

  // Sends one frame; `body` must live until completion. After an error the connection is closed.
  // kDeadlineExceeded: the peer did not take it within `limit`. kUnavailable: it is gone.
  // kInvalidArgument: a body of 2^32 bytes or more.
  asio::awaitable<Status> WriteFrame(wire::FrameType type, ByteView body, Limit limit);

  // Says goodbye and waits, at most `limit`, until the peer has closed too, dropping what it still
  // sends: a connection that is closed over unread data is reset, and the reset can eat our last
  // frame. Closed afterwards, whatever happened.
  asio::awaitable<void> Finish(Limit limit);
  // Drops the connection; what waits on it ends in kUnavailable.
  void Close() noexcept;

  // DER; kNotFound as in TlsStream.
  Result<Bytes> PeerCertificate() const { return stream_->PeerCertificate(); }
  Result<Bytes> PeerAuthority() const { return stream_->PeerAuthority(); }

  // Bytes of whole and begun frames, headers included, TLS excluded.
  std::uint64_t bytes_received() const noexcept { return bytes_received_; }
  std::uint64_t bytes_sent() const noexcept { return bytes_sent_; }

 private:
  asio::awaitable<Status> ReadExactly(std::span<std::byte> buffer);
  asio::awaitable<Status> ReadFirstBytes();
  asio::awaitable<Result<Frame>> ReadRest(std::uint32_t max_body_len);
  asio::awaitable<Status> WriteParts(wire::FrameType type, ByteView body);
  asio::awaitable<Status> SayGoodbye();

  std::unique_ptr<TlsStream> stream_;
  std::array<std::byte, wire::kFrameHeaderLen> header_{};
  std::size_t header_have_ = 0;  // bytes of header_ that have arrived
  std::uint64_t bytes_received_ = 0;
  std::uint64_t bytes_sent_ = 0;
  bool reading_ = false;
  bool writing_ = false;
  bool closed_ = false;
};

}  // namespace demur::net
