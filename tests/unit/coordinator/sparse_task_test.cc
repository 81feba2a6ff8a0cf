#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "demur/coordinator/task.h"
#include "demur/dp/accountant.h"
#include "demur/dp/ledger.h"
#include "demur/seeded/seeded_random.h"
#include "result_matchers.h"

// Tasks that choose the rows of every round.
namespace demur::coordinator {
namespace {

using model::SessionKind;
using Rows = std::vector<std::uint32_t>;

constexpr std::uint32_t kItems = 50;

TaskConfig Config(const std::string& slice) {
  TaskConfig task;
  task.id = TaskId{};
  task.id->bytes.fill(std::byte{5});
  task.model.items = kItems;
  task.rounds = 8;
  task.cohort = 60;
  task.training.slice = slice;
  task.sparse.rows_cap = 10;
  task.sparse.count_rows_max = 6;
  task.privacy.participations = 3;
  return task;
}

// With noise that a cohort of 5,000 can carry.
TaskConfig Noisy(const std::string& slice) {
  TaskConfig task = Config(slice);
  task.cohort = 5'000;
  task.secagg.roster_min = 4'000;
  task.privacy.noise = true;
  task.privacy.epsilon = 4;
  task.privacy.population = 20'000;
  return task;
}

PreparedTask Prepare(const TaskConfig& config) { return PreparedTask::Create(config).value(); }

model::MeanUpdate Counts(double each) { return {std::vector<double>(kItems, each)}; }

TEST(SparseTaskTest, ACapAboveTheCatalogueIsTheCatalogue) {
  TaskConfig config = Config("counts");
  config.sparse.rows_cap = kItems + 1;
  EXPECT_EQ(Prepare(config).layout().num_rows(), kItems);
}

TEST(SparseTaskTest, ThePlansOfARoundNameEachOther) {
  for (const TaskConfig& config : {Config("counts"), Noisy("counts")}) {
    const PreparedTask task = Prepare(config);
    EXPECT_TRUE(task.chooses_rows());
    ASSERT_TRUE(task.counts_template().has_value());
    const model::Plan& counts = *task.counts_template();
    const model::Plan& rows = task.plan_template();
    EXPECT_OK(counts.Validate());
    EXPECT_OK(rows.Validate());
    EXPECT_EQ(counts.attempt, 0U);
    EXPECT_EQ(rows.attempt, 1U);
    EXPECT_EQ(counts.session,
              (model::SessionPlan{SessionKind::kRowCounts, rows.encoding, task.layout().dim()}));
    EXPECT_EQ(rows.session, (model::SessionPlan{SessionKind::kRows, counts.encoding, kItems}));
    EXPECT_EQ(counts.training.algorithm, model::kRowCountsAlgorithm);
    EXPECT_EQ(counts.training.schema.tables.at(0).rows, kItems);
    EXPECT_EQ(counts.encoding.rows_max, 6U);
    EXPECT_EQ(counts.privacy, rows.privacy);
    EXPECT_EQ(counts.secagg, rows.secagg);
    EXPECT_EQ(task.layout().Rows(0).size(), 10U) << "the largest that a round may have";
  }
}

TEST(SparseTaskTest, OtherTasksCountNothing) {
  for (const char* slice : {"all", "bandit"}) {
    const PreparedTask task = Prepare(Config(slice));
    EXPECT_FALSE(task.counts_template().has_value()) << slice;
    EXPECT_EQ(task.plan_template().session, model::SessionPlan{}) << slice;
    EXPECT_EQ(task.plan_template().attempt, 0U) << slice;
    EXPECT_EQ(task.counts_calibration().encoding, model::EncodingPlan{}) << slice;
  }
  EXPECT_FALSE(Prepare(Config("all")).chooses_rows());
  EXPECT_EQ(Prepare(Config("all")).layout().Rows(0).size(), kItems);
  EXPECT_TRUE(Prepare(Config("bandit")).chooses_rows());
  EXPECT_EQ(Prepare(Config("bandit")).layout().Rows(0).size(), 10U);
}

TEST(SparseTaskTest, WithoutACapEveryRowMayBeFound) {
  TaskConfig config = Config("counts");
  config.sparse.rows_cap = 0;
  config.sparse.count_rows_max = 1'000;  // more than there are
  const PreparedTask task = Prepare(config);
  EXPECT_EQ(task.layout().Rows(0).size(), kItems);
  EXPECT_EQ(task.counts_template()->encoding.rows_max, kItems);
  EXPECT_EQ(task.FindRows(Counts(5))->size(), kItems);
}

// The ledger admits both sessions of every round, and no more than the budget says.
TEST(SparseTaskTest, ALedgerHasRoomForAllRoundsAndNotForADearerOne) {
  const PreparedTask task = Prepare(Noisy("counts"));
  const dp::Ledger::Policy policy = task.ledger_policy();
  EXPECT_EQ(policy.budget.dim, task.layout().dim() + kItems);
  auto ledger = dp::Ledger::Create(policy).value();
  const auto reserve = [&](const model::Plan& plan, const dp::RoundKey& key) {
    return ledger.Reserve({key, {}, dp::ChargeOf(plan).value(), 10'000, plan.secagg.roster_min});
  };
  const model::Plan& rows = task.plan_template();
  for (std::uint32_t round = 1; round <= 8; ++round) {
    ASSERT_OK(reserve(*task.counts_template(), {{1, round}, 0}));
    if (round == 3) {
      // Of three participations a third dearer one does not fit.
      model::Plan dearer = rows;
      dearer.encoding.noise_variance = dearer.encoding.noise_variance * 8 / 10;
      EXPECT_ERROR(reserve(dearer, {{1, round}, 1}), ErrorCode::kResourceExhausted);
    }
    ASSERT_OK(reserve(rows, {{1, round}, 1}));
  }
  EXPECT_ERROR(reserve(rows, {{1, 9}, 0}), ErrorCode::kResourceExhausted) << "rounds_max";
}

TEST(SparseTaskTest, ARowNeedsMoreThanTheNoiseGivesIt) {
  const PreparedTask quiet = Prepare(Config("counts"));
  EXPECT_ERROR(quiet.FindRows(Counts(0.99)), ErrorCode::kFailedPrecondition);
  EXPECT_OK(quiet.FindRows(Counts(1)));
  const PreparedTask noisy = Prepare(Noisy("counts"));
  const double deviation = noisy.counts_calibration().sum_noise_stddev;
  ASSERT_GT(deviation, 1);
  EXPECT_ERROR(noisy.FindRows(Counts(1.99 * deviation)), ErrorCode::kFailedPrecondition);
  EXPECT_OK(noisy.FindRows(Counts(2 * deviation)));
  TaskConfig asked = Noisy("counts");
  asked.sparse.count_min = 3;
  EXPECT_ERROR(Prepare(asked).FindRows(Counts(2.99)), ErrorCode::kFailedPrecondition);
  EXPECT_OK(Prepare(asked).FindRows(Counts(3)));
}

TEST(SparseTaskTest, FindsNoMoreThanTheCap) {
  const PreparedTask task = Prepare(Config("counts"));
  model::MeanUpdate counts = Counts(0);
  for (std::uint32_t row = 20; row < 40; ++row) counts.values[row] = row;
  ASSERT_OK_AND_ASSIGN(const Rows rows, task.FindRows(counts));
  EXPECT_EQ(rows, (Rows{30, 31, 32, 33, 34, 35, 36, 37, 38, 39}));
}

TEST(SparseTaskTest, ABanditDrawsTheRowsOfARound) {
  const PreparedTask task = Prepare(Config("bandit"));
  seeded::SeededRandom random(1);
  const auto draw = [&](const learning::ServerState& state, std::uint32_t round) {
    return task.DrawRows(state, random, {1, round}).value();
  };
  const Rows rows = draw({}, 1);
  EXPECT_EQ(rows.size(), 10U);
  EXPECT_EQ(draw({}, 1), rows);
  EXPECT_NE(draw({}, 2), rows);
  learning::ServerState state;
  state.rows = {std::vector<float>(kItems), std::vector<float>(kItems, 1e6F)};
  for (std::uint32_t row = 5; row < 15; ++row) state.rows.reward[row] = 1e7F;
  EXPECT_EQ(draw(state, 1), (Rows{5, 6, 7, 8, 9, 10, 11, 12, 13, 14}));
  state.rows.reward.resize(3);
  EXPECT_ERROR(task.DrawRows(state, random, {1, 1}), ErrorCode::kInvalidArgument);
  for (const char* slice : {"all", "counts"}) {
    EXPECT_TRUE(Prepare(Config(slice)).DrawRows({}, random, {1, 1})->empty()) << slice;
  }
}

TEST(SparseTaskTest, OnlyABanditKeepsScores) {
  for (const char* slice : {"counts", "bandit"}) {
    const PreparedTask task = Prepare(Config(slice));
    model::SharedModel shared(task.schema());
    learning::ServerState state;
    model::MeanUpdate mean{std::vector<double>(task.layout().dim(), 0.5)};
    ASSERT_OK(task.Apply(mean, task.layout(), &shared, &state));
    EXPECT_NE(shared.Canonical(), model::SharedModel(task.schema()).Canonical()) << slice;
    EXPECT_EQ(state.rows.empty(), std::string(slice) == "counts");
    EXPECT_OK(learning::ServerState::Parse(task.schema(), state.Serialise()));
    mean.values.pop_back();
    EXPECT_ERROR(task.Apply(mean, task.layout(), &shared, &state), ErrorCode::kInvalidArgument);
  }
}

TEST(SparseTaskTest, AnAttemptIsTheSessionOfItsPlan) {
  const PreparedTask task = Prepare(Config("counts"));
  Hash256 hash{};
  hash[0] = std::byte{1};
  const model::Plan counts = MakePlan(task, {{2, 9}, 0}, {hash, 4}, 12'345);
  EXPECT_OK(counts.Validate());
  EXPECT_EQ(counts.session.kind, SessionKind::kRowCounts);
  EXPECT_EQ(counts.round, (RoundId{2, 9}));
  EXPECT_EQ(counts.model_hash, hash);
  EXPECT_EQ(counts.model_version, 4U);
  EXPECT_EQ(counts.expires_unix_ms, 12'345);
  const model::Plan rows = MakePlan(task, {{2, 9}, 1}, {hash, 4}, 12'345, {3, 49});
  EXPECT_OK(rows.Validate());
  EXPECT_EQ(rows.session.kind, SessionKind::kRows);
  EXPECT_EQ(rows.attempt, 1U);
  EXPECT_EQ(rows.training.slice.tables.at(0).rows, (Rows{3, 49}));
  EXPECT_EQ(rows.encoding, task.plan_template().encoding);

  const PreparedTask bandit = Prepare(Config("bandit"));
  const model::Plan drawn = MakePlan(bandit, {{2, 9}, 0}, {hash, 4}, 12'345, {7});
  EXPECT_OK(drawn.Validate());
  EXPECT_EQ(drawn.session.kind, SessionKind::kWhole);
  EXPECT_EQ(drawn.training.slice.tables.at(0).rows, (Rows{7}));
}

TEST(SparseTaskDeathTest, RowsAreGivenWhereTheTaskChoosesThem) {
  const PreparedTask counts = Prepare(Config("counts"));
  EXPECT_DEATH(static_cast<void>(MakePlan(counts, {{1, 1}, 0}, {}, 1, {3})), "rows are given");
  EXPECT_DEATH(static_cast<void>(MakePlan(counts, {{1, 1}, 1}, {}, 1)), "rows are given");
  const PreparedTask all = Prepare(Config("all"));
  EXPECT_DEATH(static_cast<void>(MakePlan(all, {{1, 1}, 0}, {}, 1, {3})), "rows are given");
}

TEST(SparseTaskTest, CountsThatNoNoiseHidesAreRefused) {
  TaskConfig config = Noisy("counts");
  config.sparse.count_share = 0.001;
  config.cohort = 100;
  config.secagg.roster_min = 60;
  config.model.items = 1'000'000;
  config.sparse.count_rows_max = 1'000'000;
  EXPECT_ERROR(PreparedTask::Create(config), ErrorCode::kFailedPrecondition);
}

}  // namespace
}  // namespace demur::coordinator
