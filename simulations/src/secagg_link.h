#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/wire/frame.h"

// What the two processes of a measured session say to each other, over a pair of sockets. They take
// turns: the devices' side sends one packet and reads until kIdle. Private to simulations.
namespace demur::sim {

enum class PacketKind : std::uint32_t {
  kFrame = 1,  // either way: a protocol frame of, or for, `device`
  // To the coordinator.
  kDeadline = 2,  // nothing moves any more: the phase that has a timer is over
  // To the devices.
  kIdle = 3,       // everything that the last packet led to has been sent
  kSum = 4,        // body: the sum, one u32 a coordinate
  kSurvivors = 5,  // body: numbers of the devices in it, u32
  kReport = 6,     // body: JSON, once the session is over
  kFailed = 7,     // body: the text of an error of ours
};

struct Packet {
  PacketKind kind = PacketKind::kIdle;
  std::uint32_t device = 0;
  wire::FrameType type = wire::FrameType::kHello;
  Bytes body;
};

// One end, owned. Not thread-safe.
class Link {
 public:
  struct Ends;
  // kResourceExhausted: no descriptors.
  static Result<Ends> Create();
  explicit Link(int descriptor) noexcept : descriptor_(descriptor) {}
  Link(Link&& other) noexcept;
  Link& operator=(Link&&) = delete;
  ~Link();

  // kUnavailable: the other side is gone. Blocks.
  Status Send(PacketKind kind, std::uint32_t device, wire::FrameType type, ByteView body);
  Status Send(PacketKind kind, ByteView body = {}) {
    return Send(kind, 0, wire::FrameType::kHello, body);
  }
  // nullopt: the other side has closed. kUnavailable: it broke off inside a packet. Blocks.
  Result<std::optional<Packet>> Receive();
  void Close() noexcept;

 private:
  int descriptor_;
};
struct Link::Ends {
  Link devices;
  Link coordinator;
};

}  // namespace demur::sim
