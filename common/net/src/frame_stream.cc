#include "demur/net/frame_stream.h"

#include <algorithm>
#include <limits>

#include "demur/base/check.h"
#include "demur/wire/control.h"

namespace demur::net {
namespace {

constexpr std::size_t kFirstRecordLen = 16384;  // one TLS record: header and body's start
constexpr std::size_t kFirstBodyChunk = 65536;  // bytes allocated on a header's word alone
constexpr std::size_t kMaxDrained = std::size_t{1} << 20;  // bytes dropped while saying goodbye

// Marks an operation as running, and closes the stream unless it was told that all went well: also
// when a cancelled coroutine unwinds by an exception in the middle of a frame.
class Operation {
 public:
  Operation(FrameStream* stream, bool* running) : stream_(stream), running_(running) {
    DEMUR_CHECK(!*running_, "one reader and one writer at a time");
    *running_ = true;
  }
  ~Operation() {
    *running_ = false;
    if (!succeeded_) stream_->Close();
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  void Succeed() noexcept { succeeded_ = true; }

 private:
  FrameStream* stream_;
  bool* running_;
  bool succeeded_ = false;
};

}  // namespace

asio::awaitable<Status> FrameStream::ReadExactly(std::span<std::byte> buffer) {
  while (!buffer.empty()) {
    auto got = co_await stream_->ReadSome(buffer);
    if (!got) {
      if (got.error().code() != ErrorCode::kUnavailable) co_return std::move(got).error();
      co_return Error(ErrorCode::kDataLoss, "the connection ended in the middle of a frame");
    }
    bytes_received_ += *got;
    buffer = buffer.subspan(*got);
  }
  co_return Status();
}

// What has arrived is counted in header_have_, so that a deadline loses nothing.
asio::awaitable<Status> FrameStream::ReadFirstBytes() {
  auto got = co_await stream_->ReadSome(std::span(header_).subspan(header_have_));
  if (!got) co_return std::move(got).error();
  header_have_ += *got;
  bytes_received_ += *got;
  co_return Status();
}

asio::awaitable<Result<Frame>> FrameStream::ReadRest(std::uint32_t max_body_len) {
  DEMUR_CO_RETURN_IF_ERROR(co_await ReadExactly(std::span(header_).subspan(header_have_)));
  header_have_ = 0;
  DEMUR_CO_TRY(const wire::FrameHeader header, wire::ParseFrameHeader(header_, max_body_len));
  Frame frame{header.type, {}};
  std::size_t have = 0;
  while (have < header.body_len) {
    const std::size_t want =
        std::min<std::size_t>(header.body_len, std::max(kFirstBodyChunk, 2 * have));
    if (want == header.body_len) frame.body.reserve(want);
    frame.body.resize(want);
    DEMUR_CO_RETURN_IF_ERROR(co_await ReadExactly(std::span(frame.body).subspan(have)));
    have = want;
  }
  co_return frame;
}

asio::awaitable<Result<Frame>> FrameStream::ReadFrame(FrameLimits limits) {
  if (closed_) co_return Error(ErrorCode::kUnavailable, "the connection is closed");
  Operation operation(this, &reading_);
  if (header_have_ == 0) {
    auto first = co_await WithDeadline(ReadFirstBytes(), limits.idle);
    // A byte may have come in the very moment of the deadline: then the frame has begun.
    if (!first && header_have_ == 0) {
      if (first.error().code() == ErrorCode::kDeadlineExceeded) operation.Succeed();
      co_return std::move(first).error();
    }
  }
  auto frame = co_await WithDeadline(ReadRest(limits.max_body_len), limits.frame);
  if (frame) operation.Succeed();
  co_return frame;
}

asio::awaitable<Result<Frame>> FrameStream::ReadFrameOf(wire::FrameType type, FrameLimits limits) {
  limits.max_body_len = std::max(limits.max_body_len, wire::kMaxControlBodyLen);  // for a Refusal
  auto frame = co_await ReadFrame(limits);
  if (!frame || frame->type == type) co_return frame;
  Close();
  if (frame->type != wire::FrameType::kRefusal) {
    co_return Error(ErrorCode::kInvalidArgument, "frame: " + std::string(ToString(frame->type)) +
                                                     " where " + std::string(ToString(type)) +
                                                     " was due");
  }
  auto refusal = wire::DecodeRefusal(frame->body);
  if (!refusal) co_return std::move(refusal).error();
  co_return wire::ToError(*refusal);
}

asio::awaitable<Status> FrameStream::WriteParts(wire::FrameType type, ByteView body) {
  const auto header = wire::EncodeFrameHeader({static_cast<std::uint32_t>(body.size()), type});
  const ByteView start = body.first(std::min(body.size(), kFirstRecordLen - header.size()));
  Bytes record(header.begin(), header.end());
  record.insert(record.end(), start.begin(), start.end());
  DEMUR_CO_RETURN_IF_ERROR(co_await stream_->Write(record));
  bytes_sent_ += record.size();
  const ByteView rest = body.subspan(start.size());
  DEMUR_CO_RETURN_IF_ERROR(co_await stream_->Write(rest));
  bytes_sent_ += rest.size();
  co_return Status();
}

asio::awaitable<Status> FrameStream::WriteFrame(wire::FrameType type, ByteView body, Limit limit) {
  if (closed_) co_return Error(ErrorCode::kUnavailable, "the connection is closed");
  if (body.size() > std::numeric_limits<std::uint32_t>::max()) {
    co_return Error(ErrorCode::kInvalidArgument, "frame: body of 2^32 bytes or more");
  }
  Operation operation(this, &writing_);
  auto status = co_await WithDeadline(WriteParts(type, body), limit);
  if (status) operation.Succeed();
  co_return status;
}

asio::awaitable<Status> FrameStream::SayGoodbye() {
  DEMUR_CO_RETURN_IF_ERROR(co_await stream_->Shutdown());
  std::array<std::byte, 4096> dropped{};
  std::size_t total = 0;
  while (total < kMaxDrained) {
    auto got = co_await stream_->ReadSome(dropped);
    if (!got) break;
    total += *got;
  }
  co_return Status();
}

asio::awaitable<void> FrameStream::Finish(Limit limit) {
  if (closed_) co_return;
  Operation operation(this, &reading_);  // never succeeds: the stream is closed at the end
  (void)co_await WithDeadline(SayGoodbye(), limit);
}

void FrameStream::Close() noexcept {
  closed_ = true;
  stream_->Close();
}

}  // namespace demur::net
