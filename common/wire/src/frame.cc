#include "demur/wire/frame.h"

#include <string>

namespace demur::wire {

std::string_view ToString(FrameType type) noexcept {
  switch (type) {
    case FrameType::kHello:
      return "hello";
    case FrameType::kWelcome:
      return "welcome";
    case FrameType::kRefusal:
      return "refusal";
    case FrameType::kFetchModel:
      return "fetch_model";
    case FrameType::kModelBlob:
      return "model_blob";
    case FrameType::kLeave:
      return "leave";
    case FrameType::kAnnounce:
      return "announce";
    case FrameType::kAdvertise:
      return "advertise";
    case FrameType::kRoster:
      return "roster";
    case FrameType::kShares:
      return "shares";
    case FrameType::kInbox:
      return "inbox";
    case FrameType::kMasked:
      return "masked";
    case FrameType::kConfirmRequest:
      return "confirm_request";
    case FrameType::kConfirm:
      return "confirm";
    case FrameType::kUnmaskRequest:
      return "unmask_request";
    case FrameType::kUnmask:
      return "unmask";
    case FrameType::kClose:
      return "close";
    case FrameType::kEnrol:
      return "enrol";
    case FrameType::kEnrolReply:
      return "enrol_reply";
  }
  return "unknown";
}

bool IsFrameType(std::uint8_t number) noexcept {
  return ToString(static_cast<FrameType>(number)) != "unknown";
}

Result<FrameHeader> ParseFrameHeader(std::span<const std::byte, kFrameHeaderLen> bytes,
                                     std::uint32_t max_body_len) {
  std::uint32_t body_len = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    body_len |= std::to_integer<std::uint32_t>(bytes[i]) << (8 * i);
  }
  const auto version = std::to_integer<std::uint8_t>(bytes[4]);
  const auto type = std::to_integer<std::uint8_t>(bytes[5]);
  if (version != kFrameVersion) {
    return Error(ErrorCode::kInvalidArgument, "frame: unknown version " + std::to_string(version));
  }
  if (bytes[6] != std::byte{0} || bytes[7] != std::byte{0}) {
    return Error(ErrorCode::kInvalidArgument, "frame: padding is not zero");
  }
  if (!IsFrameType(type)) {
    return Error(ErrorCode::kInvalidArgument, "frame: unknown type " + std::to_string(type));
  }
  if (body_len > max_body_len) {
    return Error(ErrorCode::kInvalidArgument, "frame: body of " + std::to_string(body_len) +
                                                  " bytes, at most " +
                                                  std::to_string(max_body_len) + " here");
  }
  return FrameHeader{body_len, static_cast<FrameType>(type)};
}

std::array<std::byte, kFrameHeaderLen> EncodeFrameHeader(const FrameHeader& header) noexcept {
  std::array<std::byte, kFrameHeaderLen> out{};
  for (std::size_t i = 0; i < 4; ++i) out[i] = std::byte(header.body_len >> (8 * i) & 0xFFU);
  out[4] = std::byte{kFrameVersion};
  out[5] = std::byte(static_cast<std::uint8_t>(header.type));
  return out;
}

}  // namespace demur::wire
