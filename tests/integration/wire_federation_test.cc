#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "demur/base/log.h"
#include "demur/seeded/seeded_random.h"
#include "demur/simulations/federation.h"
#include "result_matchers.h"
#include "temporary_folder.h"

// Real devices against a real coordinator over TLS, beside the simulation that adds the same
// integers directly: what the fast figures rest on.
namespace demur::sim {
namespace {

constexpr std::string_view kScenario = R"(
[scenario]
name = "wire"
[data]
source = "synthetic"
[data.synthetic]
users = 44
items = 24
topics = 4
events_per_user = 14
[task]
rounds = 4
cohort = 36
[task.model]
factors = 4
[task.secagg]
roster_min = 20
[baselines]
models = []
)";
constexpr std::string_view kNoise = R"(
[task.privacy]
noise = true
epsilon = 6
delta = 1e-4
participations = 4
)";
constexpr std::uint64_t kSeed = 5;

struct Outcome {
  std::vector<std::string> models;  // after each round
  std::vector<RoundRow> rounds;
  std::vector<model::PrivateState> states;
  std::optional<dp::EpsilonReport> spent;
  std::string cohort_rule;
};

Result<Outcome> Train(const std::string& text, Mode mode, std::uint32_t rounds,
                      const client::DrillPlan& drill, const std::string& folder) {
  DEMUR_TRY(const Scenario scenario, ParseScenario(text, "test.toml", {}));
  DEMUR_TRY(const LoadedData data, LoadData(scenario, "", kSeed));
  seeded::SeededRandom random(kSeed);
  Workers workers(2);
  DEMUR_TRY(const People people,
            People::Create(data.data, scenario.signals, scenario.split, random, workers));
  DEMUR_TRY(auto task, coordinator::PreparedTask::Create(
                           TaskFor(scenario, data.data, kSeed, scenario.task.privacy.noise)));
  const FederationSetup setup{
      people, random, workers, {.noise = NoiseMode::kPerDevice, .drill = drill}};
  DEMUR_TRY(const auto federation, MakeFederation(mode, std::move(task), setup, folder));
  Outcome out;
  for (std::uint32_t round = 0; round < rounds; ++round) {
    DEMUR_TRY(RoundRow row, federation->RunRound());
    out.rounds.push_back(row);
    out.models.push_back(ModelSha256(federation->model()));
  }
  for (std::uint32_t user = 0; user < people.size(); ++user) {
    out.states.push_back(federation->state(user));
  }
  DEMUR_TRY(out.spent, federation->Spent());
  out.cohort_rule = federation->cohort_rule();
  return out;
}

class WireFederationTest : public ::testing::Test {
 protected:
  void SetUp() override { log::SetLevel(log::Level::kWarning); }
  std::string Folder() const { return folder_.path() + "/federation"; }
  demur::testing::TemporaryFolder folder_;
};

TEST_F(WireFederationTest, GivesTheBytesOfTheFastOneWithNoiseAndDepartures) {
  const std::string text = std::string(kScenario) + std::string(kNoise);
  const client::DrillPlan drill{.leave_permille = 120, .stage = client::DrillStage::kMixed};
  ASSERT_OK_AND_ASSIGN(const Outcome fast, Train(text, Mode::kFast, 3, drill, ""));
  ASSERT_OK_AND_ASSIGN(const Outcome wire, Train(text, Mode::kWire, 3, drill, Folder()));
  EXPECT_EQ(wire.models, fast.models);
  EXPECT_EQ(wire.states, fast.states);
  std::uint32_t departures = 0;
  for (std::size_t round = 0; round < 3; ++round) {
    EXPECT_TRUE(wire.rounds[round].committed);
    EXPECT_EQ(wire.rounds[round].before_masking, fast.rounds[round].before_masking);
    EXPECT_EQ(wire.rounds[round].after_masking, fast.rounds[round].after_masking);
    EXPECT_EQ(wire.rounds[round].update_norm, fast.rounds[round].update_norm);
    departures += fast.rounds[round].before_masking + fast.rounds[round].after_masking;
  }
  EXPECT_GT(departures, 0U) << "the drill took nobody out: the test shows less than it says";
  ASSERT_TRUE(wire.spent.has_value());
  EXPECT_EQ(wire.spent->upper, fast.spent->upper);
}

TEST_F(WireFederationTest, GivesTheBytesOfTheFastOneWithoutNoise) {
  const std::string text(kScenario);
  ASSERT_OK_AND_ASSIGN(const Outcome fast, Train(text, Mode::kFast, 2, {}, ""));
  ASSERT_OK_AND_ASSIGN(const Outcome wire, Train(text, Mode::kWire, 2, {}, Folder()));
  EXPECT_EQ(wire.models, fast.models);
  EXPECT_EQ(wire.states, fast.states);
  EXPECT_FALSE(wire.spent.has_value());
}

// A statement of the authority, its beacon's draw, and devices that check both: about half of 44
// people are eligible in a round, at least 20 are needed, and all that are eligible are invited.
TEST_F(WireFederationTest, RunsRoundsOfWhomTheAuthoritysBeaconDraws) {
  std::string text(kScenario);
  text.insert(text.find("roster_min"), "roster_max = 44\n");
  text += "[task.eligibility]\nrate = 0.55\n";
  for (const Mode mode : {Mode::kFast, Mode::kWire}) {
    ASSERT_OK_AND_ASSIGN(const Outcome out, Train(text, mode, 2, {}, Folder()));
    for (const RoundRow& round : out.rounds) {
      EXPECT_TRUE(round.committed) << ToString(mode);
      EXPECT_GE(round.cohort, 20U);
      EXPECT_LT(round.cohort, 44U) << "by chance once in 10^11 rounds";
    }
    EXPECT_EQ(out.cohort_rule, "authority-drawn (rate 0.55, epoch 1, 44 enrolled)");
  }
}

// Two sessions a round: noised counts, then the rows with enough of them. Both are one
// participation and both are charged.
TEST_F(WireFederationTest, FindsAndTrainsTheSameRowsAsTheFastOne) {
  std::string text = std::string(kScenario) + std::string(kNoise);
  text += "[task.training]\nslice = \"counts\"\n";
  text += "[task.sparse]\nrows_cap = 10\ncount_min = 1\ncount_rows_max = 8\n";
  const client::DrillPlan drill{.leave_permille = 60, .stage = client::DrillStage::kMixed};
  ASSERT_OK_AND_ASSIGN(const Outcome fast, Train(text, Mode::kFast, 4, drill, ""));
  ASSERT_OK_AND_ASSIGN(const Outcome wire, Train(text, Mode::kWire, 4, drill, Folder()));
  EXPECT_EQ(wire.models, fast.models);
  EXPECT_EQ(wire.states, fast.states);
  for (std::size_t round = 0; round < 4; ++round) {
    EXPECT_TRUE(wire.rounds[round].committed);
    EXPECT_EQ(wire.rounds[round].rows, fast.rounds[round].rows);
    EXPECT_LE(wire.rounds[round].rows, 10U);
    EXPECT_EQ(wire.rounds[round].before_masking, fast.rounds[round].before_masking);
    EXPECT_EQ(wire.rounds[round].after_masking, fast.rounds[round].after_masking);
  }
  ASSERT_TRUE(wire.spent.has_value());
  EXPECT_EQ(wire.spent->upper, fast.spent->upper);
  EXPECT_LE(wire.spent->upper, 6.0);
  EXPECT_GT(wire.spent->upper, 5.9) << "four participations use what was planned for four";
}

TEST_F(WireFederationTest, TheBanditDrawsTheSameRowsAsTheFastOne) {
  const std::string text =
      std::string(kScenario) + "[task.training]\nslice = \"bandit\"\n[task.sparse]\nrows_cap = 6\n";
  ASSERT_OK_AND_ASSIGN(const Outcome fast, Train(text, Mode::kFast, 3, {}, ""));
  ASSERT_OK_AND_ASSIGN(const Outcome wire, Train(text, Mode::kWire, 3, {}, Folder()));
  EXPECT_EQ(wire.models, fast.models);
  EXPECT_EQ(wire.states, fast.states);
  for (const RoundRow& row : wire.rounds) EXPECT_EQ(row.rows, 6U);
}

TEST_F(WireFederationTest, StopsWhenTheTaskIsComplete) {
  EXPECT_ERROR(Train(std::string(kScenario), Mode::kWire, 5, {}, Folder()),
               ErrorCode::kResourceExhausted);
}

TEST_F(WireFederationTest, AFolderInUseIsRefused) {
  ASSERT_OK(Train(std::string(kScenario), Mode::kWire, 1, {}, Folder()));
  EXPECT_ERROR(Train(std::string(kScenario), Mode::kWire, 1, {}, Folder()),
               ErrorCode::kFailedPrecondition);
}

}  // namespace
}  // namespace demur::sim
