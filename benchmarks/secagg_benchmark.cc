#include <benchmark/benchmark.h>

#include <cstdint>

#include "../tests/support/secagg_session.h"

// Process CPU of one secure aggregation session. Arguments: members, coordinates, members in a
// hundred that drop out after sharing. Certificates cost nothing here (they are looked up); add an
// X.509 verification per neighbour and session where a device caches none.
namespace demur::secagg {
namespace {

testing::SessionOptions Options(const benchmark::State& state) {
  testing::SessionOptions options;
  options.devices = static_cast<std::uint32_t>(state.range(0));
  options.dim = static_cast<std::uint32_t>(state.range(1));
  return options;
}

void DropOut(const benchmark::State& state, testing::SecAggSession& session) {
  const auto dropped = static_cast<std::uint32_t>(state.range(0) * state.range(2) / 100);
  for (std::uint32_t i = 0; i < dropped; ++i) {
    session.Depart(i, wire::FrameType::kMasked, true);
  }
}

// All devices and the coordinator.
void WholeSession(benchmark::State& state) {
  for (auto _ : state) {
    testing::SecAggSession session(Options(state));
    DropOut(state, session);
    session.Run();
    if (!session.sum_ready()) state.SkipWithError("no sum");
  }
}
BENCHMARK(WholeSession)->Args({190, 3000, 0})->Args({190, 3000, 5})->Unit(benchmark::kMillisecond);

// The coordinator alone: what the devices of a recorded session sent, once more.
void Coordinator(benchmark::State& state) {
  testing::SecAggSession recorded(Options(state));
  DropOut(state, recorded);
  recorded.Run();
  const ServerConfig& config = recorded.server_config();
  for (auto _ : state) {
    auto t = StartServer(config, testing::MintPermit(recorded.plan()));
    for (const auto& frame : recorded.received()) {
      if (frame.type == wire::FrameType::kUnmask && NameOf(t.next) == "masking") {
        t = Step(std::move(t.next), server::event::Deadline{Phase::kMask}, config);
      }
      const MemberId& from = recorded.device(frame.device).identity.public_key;
      t = Step(std::move(t.next), server::event::Message{from, frame.type, frame.bytes}, config);
    }
    if (NameOf(t.next) != "summed") state.SkipWithError("no sum");
  }
}
BENCHMARK(Coordinator)
    ->Args({190, 3000, 0})
    ->Args({190, 3000, 5})
    ->Args({190, 3000, 30})
    ->Args({1000, 100000, 5})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace demur::secagg

BENCHMARK_MAIN();
