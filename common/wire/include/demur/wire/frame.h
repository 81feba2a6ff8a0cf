#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "demur/base/result.h"

// What stands before every message on a stream (docs/protocol.md, frames):
//   u32 body length | u8 version | u8 type | u16 zero, little-endian, then the body.
// Eight bytes, so that a body viewed behind its header is as word-aligned as one that was read into
// a buffer of its own. Pure functions; safe from several threads.
namespace demur::wire {

inline constexpr std::size_t kFrameHeaderLen = 8;
inline constexpr std::uint8_t kFrameVersion = 1;

// Never renumber and never reuse a number.
enum class FrameType : std::uint8_t {
  kHello = 1,       // device -> coordinator
  kWelcome = 2,     // coordinator -> device
  kRefusal = 3,     // either listener -> device; the connection closes after it
  kFetchModel = 4,  // device -> coordinator
  kModelBlob = 5,   // coordinator -> device
  kLeave = 6,       // device -> coordinator

  kAnnounce = 10,        // M0  coordinator -> device
  kAdvertise = 11,       // M1  device -> coordinator
  kRoster = 12,          // M2  coordinator -> device
  kShares = 13,          // M3  device -> coordinator
  kInbox = 14,           // M4  coordinator -> device
  kMasked = 15,          // M5  device -> coordinator
  kConfirmRequest = 16,  // M6  coordinator -> device
  kConfirm = 17,         // M7  device -> coordinator
  kUnmaskRequest = 18,   // M8  coordinator -> device
  kUnmask = 19,          // M9  device -> coordinator
  kClose = 20,           // M10 coordinator -> device

  kEnrol = 30,       // device -> identity authority
  kEnrolReply = 31,  // identity authority -> device
};

// "hello", "masked": for logs. "unknown" for a number outside the enum.
std::string_view ToString(FrameType type) noexcept;
// Whether `number` is one of the above.
bool IsFrameType(std::uint8_t number) noexcept;

struct FrameHeader {
  std::uint32_t body_len = 0;  // bytes after the header
  FrameType type = FrameType::kHello;

  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

// Reads a header that came from a peer. After success the caller may allocate body_len bytes: it is
// at most `max_body_len`.
// kInvalidArgument: unknown version or type, padding that is not zero, or a longer body.
Result<FrameHeader> ParseFrameHeader(std::span<const std::byte, kFrameHeaderLen> bytes,
                                     std::uint32_t max_body_len);

std::array<std::byte, kFrameHeaderLen> EncodeFrameHeader(const FrameHeader& header) noexcept;

}  // namespace demur::wire
