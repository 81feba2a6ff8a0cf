#include <cstddef>
#include <cstdint>

#include "secagg_fuzz_world.h"

// A member that signs anything. First byte: the phase; second: the type of the message; the rest:
// its body, which gets member 0's good signature. Whatever comes, the session goes on for the
// others, and what they send gives their sum.
namespace demur::secagg {
namespace {

void Run(std::uint8_t phase, std::uint8_t type_number, ByteView body) {
  using wire::FrameType;
  static FuzzWorld& world = *new FuzzWorld();
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
  constexpr FrameType kAnswers[] = {FrameType::kAdvertise, FrameType::kShares, FrameType::kMasked,
                                    FrameType::kUnmask};
  for (std::uint8_t done = 0; done < phase; ++done) {
    for (std::uint32_t i = 0; i < 20; ++i) {
      give(i, kAnswers[done], world.FromDevice(i, kAnswers[done]));
    }
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
  demur::secagg::Run(data[0] % 4, data[1], std::as_bytes(std::span(data, size)).subspan(2));
  return 0;
}
