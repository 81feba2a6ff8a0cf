#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "demur/seeded/seeded_random.h"
#include "demur/simulations/federation.h"
#include "result_matchers.h"

// The fast federation on a small population: what a figure of the simulator rests on.
namespace demur::sim {
namespace {

constexpr std::string_view kScenario = R"(
[scenario]
name = "test"
[data]
source = "synthetic"
[data.synthetic]
users = 60
items = 24
topics = 4
events_per_user = 14
[task]
rounds = 4
cohort = 40
[task.model]
factors = 4
[baselines]
models = []
)";
constexpr std::string_view kNoise = R"(
[task.privacy]
noise = true
epsilon = 6
delta = 1e-4
participations = 3
)";

struct Outcome {
  std::string model;
  std::vector<RoundRow> rounds;
  std::optional<dp::EpsilonReport> spent;
};

Result<Outcome> Train(const std::string& text, unsigned threads, std::uint32_t rounds,
                      client::DrillPlan drill = {}) {
  DEMUR_TRY(const Scenario scenario, ParseScenario(text, "test.toml", {}));
  DEMUR_TRY(const LoadedData data, LoadData(scenario, "", 5));
  seeded::SeededRandom random(5);
  Workers workers(threads);
  DEMUR_TRY(const People people,
            People::Create(data.data, scenario.signals, scenario.split, random, workers));
  DEMUR_TRY(auto task, coordinator::PreparedTask::Create(
                           TaskFor(scenario, data.data, 5, scenario.task.privacy.noise)));
  DEMUR_TRY(const auto federation,
            MakeFastFederation(std::move(task), people, random, workers,
                               {.noise = NoiseMode::kPerDevice, .drill = drill}));
  Outcome out;
  for (std::uint32_t round = 0; round < rounds; ++round) {
    DEMUR_TRY(RoundRow row, federation->RunRound());
    out.rounds.push_back(row);
  }
  out.model = ModelSha256(federation->model());
  DEMUR_TRY(out.spent, federation->Spent());
  return out;
}

TEST(FastFederationTest, TheModelDoesNotDependOnTheNumberOfThreads) {
  for (const std::string& text :
       {std::string(kScenario), std::string(kScenario) + std::string(kNoise)}) {
    const client::DrillPlan drill{.leave_permille = 100, .stage = client::DrillStage::kMixed};
    ASSERT_OK_AND_ASSIGN(const Outcome one, Train(text, 1, 3, drill));
    ASSERT_OK_AND_ASSIGN(const Outcome two, Train(text, 2, 3, drill));
    ASSERT_OK_AND_ASSIGN(const Outcome four, Train(text, 4, 3, drill));
    EXPECT_EQ(one.model, two.model);
    EXPECT_EQ(one.model, four.model);
  }
}
TEST(FastFederationTest, ARoundChangesTheModelAndNoiseChangesItDifferently) {
  ASSERT_OK_AND_ASSIGN(const Outcome none, Train(std::string(kScenario), 1, 0));
  ASSERT_OK_AND_ASSIGN(const Outcome plain, Train(std::string(kScenario), 1, 1));
  ASSERT_OK_AND_ASSIGN(const Outcome noisy,
                       Train(std::string(kScenario) + std::string(kNoise), 1, 1));
  EXPECT_TRUE(plain.rounds[0].committed);
  EXPECT_NE(none.model, plain.model);
  EXPECT_NE(plain.model, noisy.model);
}
TEST(FastFederationTest, EpsilonGrowsToTheBudgetAndNeverPassesIt) {
  const std::string text = std::string(kScenario) + std::string(kNoise);
  double before = 0;
  for (std::uint32_t rounds = 1; rounds <= 4; ++rounds) {
    ASSERT_OK_AND_ASSIGN(const Outcome out, Train(text, 1, rounds));
    ASSERT_TRUE(out.spent.has_value());
    EXPECT_GE(out.spent->upper, before);
    EXPECT_LE(out.spent->upper, 6.0);
    EXPECT_LE(out.spent->lower, out.spent->upper);
    before = out.spent->upper;
  }
  ASSERT_OK_AND_ASSIGN(const Outcome plain, Train(std::string(kScenario), 1, 1));
  EXPECT_FALSE(plain.spent.has_value());
}
TEST(FastFederationTest, ARoundBeyondThePlannedOnesIsRefused) {
  EXPECT_ERROR(Train(std::string(kScenario) + std::string(kNoise), 1, 5),
               ErrorCode::kResourceExhausted);
}
TEST(FastFederationTest, TooManyDeparturesAbandonTheRoundAndKeepTheModel) {
  const client::DrillPlan everybody{.leave_permille = 1000,
                                    .stage = client::DrillStage::kBeforeMasking};
  ASSERT_OK_AND_ASSIGN(const Outcome none, Train(std::string(kScenario), 1, 0));
  ASSERT_OK_AND_ASSIGN(const Outcome out, Train(std::string(kScenario), 1, 1, everybody));
  EXPECT_FALSE(out.rounds[0].committed);
  EXPECT_EQ(out.model, none.model);
}

}  // namespace
}  // namespace demur::sim
