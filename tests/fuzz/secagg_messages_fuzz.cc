#include <cstddef>
#include <cstdint>

#include "demur/base/check.h"
#include "demur/wire/secagg_messages.h"

// First byte: which message (0 to 10); the rest: its body. What decodes must survive a round trip.
namespace demur::wire {
namespace {

constexpr SecAggLimits kLimits{24, 37, 18};

template <class Decode>
void RoundTrip(ByteView body, const Decode& decode) {
  const auto message = decode(body);
  if (!message) return;
  const auto again = decode(Encode(*message));
  DEMUR_CHECK(again.has_value() && *again == *message, "a message survives its own encoding");
}

void RoundTripUnmask(ByteView body) {
  const auto message = DecodeUnmask(body, kLimits);
  if (!message) return;
  const auto again = DecodeUnmask(Encode(*message), kLimits);
  DEMUR_CHECK(again.has_value() && again->shares.size() == message->shares.size(),
              "a message survives its own encoding");
}

}  // namespace
}  // namespace demur::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace demur::wire;
  if (size == 0) return 0;
  const auto body = std::as_bytes(std::span(data, size)).subspan(1);
  const auto with_limits = [](auto decode) {
    return [decode](demur::ByteView b) { return decode(b, kLimits); };
  };
  switch (data[0]) {
    case 0:
      RoundTrip(body, DecodeAnnounce);
      break;
    case 1:
      RoundTrip(body, DecodeAdvertise);
      break;
    case 2:
      RoundTrip(body, with_limits(DecodeRoster));
      break;
    case 3:
      RoundTrip(body, with_limits(DecodeShares));
      break;
    case 4:
      RoundTrip(body, with_limits(DecodeInbox));
      break;
    case 5:
      RoundTrip(body, [](demur::ByteView b) { return DecodeMasked(demur::ToBytes(b), kLimits); });
      break;
    case 6:
      RoundTrip(body, with_limits(DecodeConfirmRequest));
      break;
    case 7:
      RoundTrip(body, DecodeConfirm);
      break;
    case 8:
      RoundTrip(body, with_limits(DecodeUnmaskRequest));
      break;
    case 9:
      RoundTripUnmask(body);
      break;
    case 10:
      RoundTrip(body, DecodeClose);
      break;
    default:
      break;
  }
  return 0;
}
