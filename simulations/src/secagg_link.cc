#include "secagg_link.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

namespace demur::sim {
namespace {

// One machine, one program: neither byte order nor hostile input to think of.
struct PacketHeader {
  std::uint32_t kind;
  std::uint32_t device;
  std::uint32_t type;
  std::uint32_t len;
};

Error Gone() { return Error(ErrorCode::kUnavailable, "the other process of the session is gone"); }

Status WriteAll(int descriptor, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return Gone();
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return {};
}

// Bytes read: out.size(), or fewer where the other side closed.
Result<std::size_t> ReadAll(int descriptor, std::span<std::byte> out) {
  std::size_t at = 0;
  while (at < out.size()) {
    const ssize_t got = ::read(descriptor, out.data() + at, out.size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Gone();
    if (got == 0) break;
    at += static_cast<std::size_t>(got);
  }
  return at;
}

}  // namespace

Result<Link::Ends> Link::Create() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Error(ErrorCode::kResourceExhausted, "no descriptors for a pair of sockets");
  }
  return Ends{Link(ends[0]), Link(ends[1])};
}

Link::Link(Link&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
Link::~Link() { Close(); }
void Link::Close() noexcept {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

Status Link::Send(PacketKind kind, std::uint32_t device, wire::FrameType type, ByteView body) {
  const PacketHeader header{static_cast<std::uint32_t>(kind), device,
                            static_cast<std::uint32_t>(type),
                            static_cast<std::uint32_t>(body.size())};
  DEMUR_RETURN_IF_ERROR(WriteAll(descriptor_, std::as_bytes(std::span(&header, 1))));
  return WriteAll(descriptor_, body);
}

Result<std::optional<Packet>> Link::Receive() {
  PacketHeader header{};
  DEMUR_TRY(const std::size_t got,
            ReadAll(descriptor_, std::as_writable_bytes(std::span(&header, 1))));
  if (got == 0) return std::optional<Packet>();
  if (got != sizeof header) return Gone();
  Packet packet{static_cast<PacketKind>(header.kind), header.device,
                static_cast<wire::FrameType>(header.type), Bytes(header.len)};
  DEMUR_TRY(const std::size_t body, ReadAll(descriptor_, packet.body));
  if (body != packet.body.size()) return Gone();
  return std::optional<Packet>(std::move(packet));
}

}  // namespace demur::sim
