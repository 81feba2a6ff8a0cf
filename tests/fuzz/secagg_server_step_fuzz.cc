#include <cstddef>
#include <cstdint>
#include <span>

#include "secagg_fuzz_world.h"

// A member that signs anything. First byte: the phase, and in its highest bit the profile; second:
// the type of the message; the rest: its body, which gets member 0's good signature. Whatever
// comes, the session goes on for the others, and what they send gives their sum.
namespace demur::secagg {
namespace {

constexpr wire::FrameType kSemiHonest[] = {wire::FrameType::kAdvertise, wire::FrameType::kShares,
                                           wire::FrameType::kMasked, wire::FrameType::kUnmask};
constexpr wire::FrameType kMalicious[] = {wire::FrameType::kAdvertise, wire::FrameType::kShares,
                                          wire::FrameType::kMasked, wire::FrameType::kConfirm,
                                          wire::FrameType::kUnmask};
std::span<const wire::FrameType> AnswersIn(bool malicious) {
  if (malicious) return kMalicious;
  return kSemiHonest;
}

void Run(bool malicious, std::uint8_t phase, std::uint8_t type_number, ByteView body) {
  using wire::FrameType;
  FuzzWorld& world = FuzzWorld::Of(malicious);
  testing::SecAggSession& session = world.session();
  const ServerConfig& config = session.server_config();
  auto state = StartServer(config, testing::MintPermit(session.plan())).next;
  const auto give = [&](std::uint32_t device, FrameType type, Bytes frame) {
    state = Step(std::move(state),
                 server::event::Message{session.device(device).identity.public_key, type,
                                        std::move(frame)},
                 config)
                .next;
  };
  for (const FrameType answer : AnswersIn(malicious).first(phase)) {
    for (std::uint32_t i = 0; i < 20; ++i) give(i, answer, world.FromDevice(i, answer));
  }
  const std::string before(NameOf(state));
  const auto type = static_cast<FrameType>(10 + type_number % 11);
  const bool early = type == FrameType::kAdvertise;
  auto signed_body = SignMessage(session.device(0).identity, type,
                                 early ? world.announcement().announce_hash : world.session_id(),
                                 early ? kNoIndex : world.index(), ToBytes(body));
  give(0, type, wire::Encode(*signed_body));
  DEMUR_CHECK(NameOf(state) == before, "one member cannot end a phase that others are in");
}

}  // namespace
}  // namespace demur::secagg

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const bool malicious = (data[0] & 0x80U) != 0;
  const auto phase = static_cast<std::uint8_t>((data[0] & 0x7FU) % (malicious ? 5U : 4U));
  demur::secagg::Run(malicious, phase, data[1], std::as_bytes(std::span(data, size)).subspan(2));
  return 0;
}
