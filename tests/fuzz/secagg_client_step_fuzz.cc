#include <cstddef>
#include <cstdint>

#include "secagg_fuzz_world.h"

// A coordinator that signs anything. First byte: how far the session has come, and in its highest
// bit the profile; second: the type of the message; the rest: its body, which gets a good
// signature. Whatever comes, a device answers at most one survivor set and reveals one kind of
// share; in the malicious profile only after it confirmed one.
namespace demur::secagg {
namespace {

void Run(bool malicious, std::uint8_t progress, std::uint8_t type_number, ByteView body) {
  using wire::FrameType;
  FuzzWorld& world = FuzzWorld::Of(malicious);
  const ClientConfig& config = *world.session().device(0).config;
  ClientState state{client::state::Idle{}};
  const auto step = [&](ClientEvent event) {
    auto transition = Step(std::move(state), std::move(event), config);
    state = std::move(transition.next);
    return std::move(transition.effects);
  };
  const auto message = [&](FrameType type) {
    step(client::event::Message{type, world.ToDevice(0, type)});
  };
  if (progress >= 1) step(client::event::Start{world.session().SecretsOf(0)});
  if (progress >= 2) message(FrameType::kRoster);
  if (progress >= 3) message(FrameType::kInbox);
  if (progress >= 4) step(client::event::Input{world.session().InputOf(0)});
  if (progress >= 5) message(FrameType::kConfirmRequest);
  if (progress >= 6) message(FrameType::kUnmaskRequest);

  const auto type = static_cast<FrameType>(10 + type_number % 11);
  const bool early = type == FrameType::kRoster || type == FrameType::kClose;
  auto signed_body = SignMessage(world.session().server_key(), type,
                                 early ? world.announcement().announce_hash : world.session_id(),
                                 kNoIndex, ToBytes(body));
  const auto effects = step(client::event::Message{type, wire::Encode(*signed_body)});
  std::size_t answers = 0;
  for (const ClientEffect& effect : effects) {
    const auto* send = std::get_if<client::effect::Send>(&effect);
    if (send != nullptr && send->type == FrameType::kUnmask) ++answers;
  }
  DEMUR_CHECK(answers == 0 || progress >= (malicious ? 5 : 4),
              "shares are revealed after masking, or after a survivor set was confirmed");
}

}  // namespace
}  // namespace demur::secagg

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const bool malicious = (data[0] & 0x80U) != 0;
  const auto progress = static_cast<std::uint8_t>((data[0] & 0x7FU) % (malicious ? 7U : 6U));
  demur::secagg::Run(malicious, progress, data[1], std::as_bytes(std::span(data, size)).subspan(2));
  return 0;
}
