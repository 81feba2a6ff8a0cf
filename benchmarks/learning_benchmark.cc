#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

#include "demur/learning_local/registry.h"
#include "demur/learning_server/registry.h"
#include "demur/seeded/seeded_random.h"

// The local step of biased_mf on the shape of MovieLens-100K: 1,682 items, 76 train events of one
// person of which 42 are likes and 13 have no label, one unobserved negative per like.
namespace demur {
namespace {

constexpr std::uint32_t kItems = 1682;
constexpr std::size_t kPeople = 64;  // so that nobody's rows are still in the nearest cache

model::TrainingPlan MakePlan(std::uint32_t factors, double private_epochs) {
  model::TrainingPlan plan;
  plan.algorithm = "biased_mf";
  plan.hyper = {{"negatives_per_positive", 1},
                {"private_epochs", private_epochs},
                {"unobserved_weight", 0.1}};
  plan.schema =
      learning_server::MakeSchema("biased_mf", {.items = kItems, .factors = factors}).value();
  plan.slice = model::Slice::Everything(plan.schema);
  plan.value_max = 100;
  plan.normaliser = 100;
  return plan;
}

std::vector<learning::TrainView> MakeViews() {
  seeded::SeededRandom random(1);
  std::vector<learning::TrainView> views;
  for (std::uint64_t person = 0; person < kPeople; ++person) {
    const auto stream = random.Stream({.client = person, .purpose = Purpose::kData}).value();
    learning::WordReader words(*stream);
    std::vector<std::uint32_t> items(kItems);
    std::iota(items.begin(), items.end(), 0U);
    std::vector<learning::Event> events;
    for (std::uint32_t i = 0; i < 76; ++i) {
      std::swap(items[i], items[i + words.Below(kItems - i)]);
      const auto signal = i < 42   ? learning::Signal::kLike
                          : i < 63 ? learning::Signal::kDislike
                                   : learning::Signal::kNeutral;
      events.push_back({ItemId(items[i]), signal, 0, 0});
    }
    views.push_back(learning::TrainView::Create(events, learning::SignalTable(), kItems).value());
  }
  return views;
}

// Arguments: factors, private epochs before the joint one.
void LocalStep(benchmark::State& state) {
  const auto plan =
      MakePlan(static_cast<std::uint32_t>(state.range(0)), static_cast<double>(state.range(1)));
  const auto layout = model::Layout::Create(plan.schema, plan.slice).value();
  const auto step = learning_local::MakeLocalStep("biased_mf", plan).value();
  seeded::SeededRandom random(1);
  const auto shared = learning_server::MakeServerStep("biased_mf", plan)
                          .value()
                          ->InitialModel(random, {.client = kNoClient})
                          .value();
  const auto views = MakeViews();
  std::vector<model::PrivateState> states(kPeople);
  model::Update update;
  std::uint64_t round = 0;
  for (auto _ : state) {
    const std::size_t person = round % kPeople;
    auto next = step->Run(shared, states[person], views[person],
                          {layout, random, {.round = ++round, .client = person}}, &update);
    if (!next.has_value()) state.SkipWithError("the local step failed");
    states[person] = std::move(next).value();
    benchmark::DoNotOptimize(update.num_values());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(LocalStep)->Args({16, 0})->Args({16, 3})->Args({8, 0})->Args({32, 0})->Args({20, 0});

void ServerStep(benchmark::State& state) {
  const auto plan = MakePlan(16, 0);
  const auto layout = model::Layout::Create(plan.schema, plan.slice).value();
  const auto step = learning_server::MakeServerStep("biased_mf", plan).value();
  model::SharedModel shared(plan.schema);
  learning::ServerState optimiser;
  model::MeanUpdate mean;
  mean.values.assign(layout.dim(), 1e-3);
  for (auto _ : state) {
    if (!step->Run(&shared, &optimiser, mean, layout)) state.SkipWithError("the step failed");
  }
}
BENCHMARK(ServerStep);

}  // namespace
}  // namespace demur

BENCHMARK_MAIN();
