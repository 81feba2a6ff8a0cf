#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "demur/dp/encoder.h"
#include "demur/dp/skellam.h"
#include "demur/seeded/seeded_random.h"

// Draws per second of the noise table, and the cost of encoding one client's update on the shape
// of MovieLens-100K: 1,682 rows of 17 coordinates, 120 of them touched.
namespace demur::dp {
namespace {

constexpr std::uint32_t kRows = 1682;
constexpr std::uint32_t kCols = 17;
constexpr std::uint32_t kTouched = 120;

void Noise(benchmark::State& state) {
  const auto deviation = static_cast<std::uint64_t>(state.range(0));
  const auto table = AliasTable::ForVariance(deviation * deviation).value();
  seeded::SeededRandom random(1);
  const auto stream = random.Stream({.purpose = Purpose::kNoise}).value();
  std::vector<std::int32_t> out(std::size_t{kRows} * kCols);
  for (auto _ : state) {
    if (!table->Fill(out, *stream).has_value()) state.SkipWithError("the generator failed");
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(out.size()));
}
BENCHMARK(Noise)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->Arg(4000);

model::Layout MakeLayout() {
  model::Schema schema;
  schema.tables.push_back({"item", kRows, kCols, 1.0});
  return model::Layout::Create(schema, model::Slice::Everything(schema)).value();
}

model::Update MakeUpdate(bool ascending) {
  model::Update update;
  for (std::uint32_t i = 0; i < kTouched; ++i) {
    // 1009 is prime to 1682: a shuffled set of rows; or the same number of rows in order.
    const std::uint32_t row = ascending ? i * 14 : i * 1009 % kRows;
    for (float& value : update.AddRow(0, row, kCols)) value = 0.01F * static_cast<float>(row % 13);
  }
  return update;
}

void Encode(benchmark::State& state, bool ascending, std::uint64_t noise_variance) {
  const model::Layout layout = MakeLayout();
  model::EncodingPlan plan;
  plan.clip_norm = 1;
  plan.scale = 1U << 16;
  plan.bits = 32;
  plan.noise_variance = noise_variance;
  plan.l2_sq_max = (std::uint64_t{1} << 32) + (std::uint64_t{1} << 20);
  plan.l1_max = plan.l2_sq_max;
  plan.rows_max = kRows;
  Encoder encoder = Encoder::Create(layout, plan).value();
  const model::Update update = MakeUpdate(ascending);
  seeded::SeededRandom random(1);
  EncodedUpdate out;
  std::uint64_t client = 0;
  for (auto _ : state) {
    const auto rounding = random.Blocks({.client = client, .purpose = Purpose::kRounding}).value();
    std::unique_ptr<RandomStream> noise;
    if (noise_variance > 0) {
      noise = random.Stream({.client = client, .purpose = Purpose::kNoise}).value();
    }
    ++client;
    const auto outcome = encoder.Encode(update, *rounding, noise.get(), &out);
    if (!outcome.has_value()) state.SkipWithError("not encoded");
    benchmark::DoNotOptimize(&out);
  }
}
BENCHMARK_CAPTURE(Encode, rows_in_order, true, 0);
BENCHMARK_CAPTURE(Encode, rows_shuffled, false, 0);
BENCHMARK_CAPTURE(Encode, with_noise, true, 10'000);

void BuildTable(benchmark::State& state) {
  auto variance = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(AliasTable::ForVariance(variance--).value());
  }
}
BENCHMARK(BuildTable)->Arg(10'000)->Arg(1'000'000)->Arg(16'000'000)->Iterations(10);

}  // namespace
}  // namespace demur::dp

BENCHMARK_MAIN();
