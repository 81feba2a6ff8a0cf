#include <cstddef>
#include <cstdint>
#include <span>

#include "demur/wire/control.h"
#include "demur/wire/frame.h"
#include "demur/wire/signed_body.h"

namespace {

using namespace demur;        // NOLINT(google-build-using-namespace): a test program
using namespace demur::wire;  // NOLINT(google-build-using-namespace)

constexpr std::size_t kLimit = 1000;

// What was accepted is encoded and read again to the same value.
template <class Message, class Decode>
void Check(const Result<Message>& message, Decode decode) {
  if (!message) return;
  const auto again = decode(Encode(*message));
  if (!again || !(*again == *message)) __builtin_trap();
}

void CheckEnrol(ByteView body) {
  const auto message = DecodeEnrol(body);
  if (!message) return;
  const SecretBytes bytes = Encode(*message);
  const auto again = DecodeEnrol(bytes.view());
  if (!again || again->public_key != message->public_key) __builtin_trap();
}

Result<ModelBlob> DecodeBlob(ByteView body) { return DecodeModelBlob(body, kLimit); }
Result<SignedBody> DecodeSigned(ByteView body) { return DecodeSignedBody(ToBytes(body), kLimit); }

}  // namespace

// The first byte is the frame type (0 is a SignedBody), seven more pad the body to a word.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  const ByteView body = std::as_bytes(std::span(data, size)).subspan(8);
  if (data[0] == 0) Check(DecodeSigned(body), DecodeSigned);
  switch (static_cast<FrameType>(data[0])) {
    case FrameType::kHello:
      Check(DecodeHello(body), DecodeHello);
      break;
    case FrameType::kWelcome:
      Check(DecodeWelcome(body), DecodeWelcome);
      break;
    case FrameType::kRefusal:
      Check(DecodeRefusal(body), DecodeRefusal);
      break;
    case FrameType::kFetchModel:
      Check(DecodeFetchModel(body), DecodeFetchModel);
      break;
    case FrameType::kModelBlob:
      Check(DecodeBlob(body), DecodeBlob);
      break;
    case FrameType::kLeave:
      Check(DecodeLeave(body), DecodeLeave);
      break;
    case FrameType::kEnrol:
      CheckEnrol(body);
      break;
    case FrameType::kEnrolReply:
      Check(DecodeEnrolReply(body), DecodeEnrolReply);
      break;
    default:  // M0 to M10 have a target of their own
      break;
  }
  return 0;
}
