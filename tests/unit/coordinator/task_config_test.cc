#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "demur/coordinator/task.h"
#include "result_matchers.h"

namespace demur::coordinator {
namespace {

constexpr const char* kSmall = "[task.model]\nitems = 50\n";

Result<TaskConfig> Parse(const std::string& text) {
  DEMUR_TRY(Config config, Config::Parse(text, "task.toml"));
  Result<TaskConfig> task = ReadTask(config);
  DEMUR_RETURN_IF_ERROR(config.Finish());
  return task;
}

std::string ErrorOf(const std::string& text) {
  const Result<TaskConfig> task = Parse(text);
  if (task) return "accepted";
  EXPECT_EQ(task.error().code(), ErrorCode::kInvalidArgument) << task.error().message();
  return task.error().message();
}

bool Mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(TaskConfigTest, ReadsEverySection) {
  ASSERT_OK_AND_ASSIGN(const TaskConfig task, Parse(R"(
[task]
name = "films"
id = "00112233445566778899aabbccddeeff"
rounds = 7
cohort = 60
connected_min = 90
[task.model]
algorithm = "item_statistics"
items = 12
factors = 3
[task.training]
normaliser = 55
clip_norm = 2.5
value_max = 9
slice = "rows"
rows = [1, 4, 11]
weight = 0.5
rows_max = 2
bits_max = 20
optimiser = "adam"
[task.sparse]
rows_cap = 9
count_min = 2.5
count_rows_max = 8
count_share = 0.25
keep = 0.75
[task.training.hyper]
rate = 0.25
epochs = 2
[task.privacy]
noise = true
epsilon = 3
delta = 1e-8
participations = 4
population = 1000
[task.secagg]
roster_min = 30
roster_max = 70
gamma = 0.02
delta = 0.2
sigma = 50
eta = 25
[task.eligibility]
rate = 0.25
[task.timeouts]
training_ms = 1
advertise_ms = 2
share_ms = 3
mask_ms = 4
confirm_ms = 8
unmask_ms = 5
retry_ms = 6
reconnect_ms = 7
)"));
  EXPECT_EQ(task.name, "films");
  EXPECT_EQ(ToHex(*task.id), "00112233445566778899aabbccddeeff");
  EXPECT_EQ(task.rounds, 7U);
  EXPECT_EQ(task.cohort, 60U);
  EXPECT_EQ(task.connected_min, 90U);
  EXPECT_EQ(task.model, (TaskConfig::Model{"item_statistics", 12, 3}));
  ASSERT_EQ(task.training.hyper.size(), 3U);
  EXPECT_EQ(task.training.hyper[0], (model::HyperParameter{"epochs", 2}));
  EXPECT_EQ(task.training.hyper[1], (model::HyperParameter{"rate", 0.25}));
  EXPECT_EQ(task.training.rows, (std::vector<std::uint32_t>{1, 4, 11}));
  EXPECT_EQ(task.training.hyper[2].name, "server_optimiser");
  EXPECT_EQ(task.training.weight, 0.5);
  EXPECT_EQ(task.training.rows_max, 2U);
  EXPECT_EQ(task.training.bits_max, 20U);
  EXPECT_EQ(task.sparse, (TaskConfig::Sparse{9, 2.5, 8, 0.25, 0.75}));
  EXPECT_TRUE(task.privacy.noise);
  EXPECT_EQ(task.privacy.participations, 4U);
  EXPECT_EQ(task.secagg.gamma, 0.02);
  EXPECT_EQ(task.secagg.eta, 25U);
  EXPECT_EQ(task.eligibility.rate, 0.25);
  EXPECT_EQ(task.eligibility.RateUnits(), 1U << 30);
  EXPECT_EQ(task.timeouts.retry_ms, 6U);
  EXPECT_EQ(task.timeouts.reconnect_ms, 7U);
}

TEST(TaskConfigTest, ARateIsNeitherLostNorWrapped) {
  const auto units = [](double rate) {
    TaskConfig task;
    task.eligibility.rate = rate;
    return task.eligibility.RateUnits();
  };
  EXPECT_EQ(units(0), 0U);
  EXPECT_EQ(units(1e-15), 1U);
  EXPECT_EQ(units(0.001), 4294967U);
  EXPECT_EQ(units(1), ~std::uint32_t{0});
  EXPECT_NE(ErrorOf(std::string(kSmall) + "[task.eligibility]\nrate = 1.5\n"), "accepted");
}

TEST(TaskConfigTest, WritesWhatItReadsBackEqual) {
  TaskConfig task;
  task.eligibility.rate = 0.125;
  task.model.items = 77;
  task.id = TaskId{};
  task.training.hyper = {{"epochs", 3}, {"rate", 0.1}};
  task.training.weight = 1e-3;
  task.training.slice = "rows";
  task.training.rows = {0, 3};
  task.training.normaliser = 1.0 / 3.0;
  task.secagg.gamma = 0.1;
  task.sparse = {70, 1.0 / 3.0, 9, 0.3, 0.125};
  ASSERT_OK_AND_ASSIGN(const TaskConfig again, Parse(FormatTask(task)));
  EXPECT_EQ(again, task);
}
TEST(TaskConfigTest, TheDefaultsAreWrittenOut) {
  const std::string text = FormatTask(TaskConfig{});
  for (const char* key : {"rounds", "cohort", "algorithm", "clip_norm", "epsilon", "roster_min",
                          "sigma", "unmask_ms", "retry_ms"}) {
    EXPECT_TRUE(Mentions(text, std::string(key) + " = ")) << key;
  }
}

TEST(TaskConfigTest, AMisspeltKeyIsNamedWithItsLine) {
  EXPECT_TRUE(Mentions(ErrorOf("[task]\nround = 3\n[task.model]\nitems = 5\n"),
                       "task.toml:2: unknown key 'round' in [task]"));
  EXPECT_TRUE(Mentions(ErrorOf("[task.model]\nitems = 5\n[task.secag]\nsigma = 40\n"), "secag"));
}
TEST(TaskConfigTest, AWrongTypeIsNamedWithItsLine) {
  EXPECT_TRUE(Mentions(ErrorOf("[task.model]\nitems = \"five\"\n"), "task.toml:2"));
  EXPECT_TRUE(Mentions(ErrorOf("[task]\nid = \"abc\"\n[task.model]\nitems = 5\n"), "task.toml:2"));
  EXPECT_TRUE(
      Mentions(ErrorOf("[task.model]\nitems = 5\n[task.training.hyper]\nrate = true\n"), ":4"));
}
TEST(TaskConfigTest, ItemsHaveNoDefault) {
  EXPECT_TRUE(Mentions(ErrorOf("[task]\nname = \"x\"\n"), "task.model.items"));
}

struct Wrong {
  const char* text;
  const char* named;
};
class TaskConfigRuleTest : public ::testing::TestWithParam<Wrong> {};

TEST_P(TaskConfigRuleTest, IsRefusedByName) {
  const std::string message = ErrorOf(std::string(kSmall) + GetParam().text);
  EXPECT_TRUE(Mentions(message, GetParam().named)) << message;
}
INSTANTIATE_TEST_SUITE_P(
    Rules, TaskConfigRuleTest,
    ::testing::Values(
        Wrong{"[task]\nname = \"A b\"\n", "task.name"},
        Wrong{"[task]\ncohort = 25\n[task.secagg]\nroster_min = 26\n", "task.cohort"},
        Wrong{"[task.training]\noptimiser = \"magic\"\n", "optimiser"},
        Wrong{"[task.training]\noptimiser = \"sgd\"\n[task.training.hyper]\nserver_optimiser = 1\n",
              "already"},
        Wrong{"algorithm = \"a\\nb\"\n", "task.model.algorithm"},
        Wrong{"algorithm = \"BiasedMf\"\n", "task.model.algorithm"},
        Wrong{"[task.training.hyper]\n\"a b.c\" = 1\n", "task.training.hyper"},
        Wrong{"[task.training.hyper]\nanamethatislongerthanthirtytwoletters = 1\n",
              "task.training.hyper"},
        Wrong{"[task.training]\nslice = \"some\"\n", "task.training.slice"},
        Wrong{"[task.training]\nslice = \"rows\"\n", "task.training.rows"},
        Wrong{"[task.training]\nrows = [1]\n", "task.training.rows"},
        Wrong{"[task.training]\nslice = \"rows\"\nrows = [1, 1]\n", "ascend"},
        Wrong{"[task.training]\nslice = \"rows\"\nrows = [50]\n", "items"},
        Wrong{"[task.training]\nslice = \"counts\"\nrows = [1]\n", "task.training.rows"},
        Wrong{"[task.training]\nslice = \"bandit\"\n", "task.sparse.rows_cap"},
        Wrong{"[task]\nrounds = 3\n[task.privacy]\nparticipations = 4\n", "participations"},
        Wrong{"[task.privacy]\nnoise = true\n", "task.privacy.population"},
        Wrong{"[task.privacy]\nnoise = true\nepsilon = 10.5\npopulation = 100\n", "weak_privacy"},
        Wrong{"[task.privacy]\nnoise = true\ndelta = 1e-4\npopulation = 1000\n", "population"},
        Wrong{"[task.secagg]\nprofile = \"none\"\n", "task.secagg.profile"},
        Wrong{"[task.secagg]\nroster_min = 30\nroster_max = 29\n", "task.secagg.roster_max"},
        Wrong{"[task.secagg]\ngamma = 0.0005\n", "task.secagg.gamma"},
        Wrong{"[task.secagg]\ndelta = 0.12345\n", "task.secagg.delta"},
        Wrong{"[task.secagg]\ngamma = 0.45\ndelta = 0.5\n", "gamma + delta"}));

// Every key with a value that is too small, too large or of another type.
struct OutOfRange {
  const char* section;
  const char* key;
  const char* values[3];  // nullptr: fewer
};
class TaskConfigRangeTest : public ::testing::TestWithParam<OutOfRange> {};

TEST_P(TaskConfigRangeTest, IsNamedWithFileLineAndKey) {
  for (const char* value : GetParam().values) {
    if (value == nullptr) continue;
    const std::string text = std::string("[") + GetParam().section + "]\n" + GetParam().key +
                             " = " + value + "\n" +
                             (std::string(GetParam().key) == "items" ? "" : kSmall);
    const std::string message = ErrorOf(text);
    EXPECT_TRUE(Mentions(message, "task.toml:2")) << text << message;
    EXPECT_TRUE(Mentions(message, GetParam().key)) << text << message;
  }
}
constexpr OutOfRange kOutOfRange[] = {
    {"task", "name", {"3", "true"}},
    {"task", "id", {"\"zz112233445566778899aabbccddeeff\"", "\"0011\"", "7"}},
    {"task", "rounds", {"0", "1000001", "2.5"}},
    {"task", "cohort", {"19", "1000001", "\"many\""}},
    {"task", "connected_min", {"-1", "1000001", "true"}},
    {"task.model", "items", {"0", "67108865", "nan"}},
    {"task.training", "normaliser", {"-1.0", "1e10", "nan"}},
    {"task.training", "clip_norm", {"0.0", "1e10", "inf"}},
    {"task.training", "value_max", {"0.0", "1e10", "\"big\""}},
    {"task.training", "slice", {"1", "[1]"}},
    {"task.training", "rows", {"[-1]", "[67108864]", "\"all\""}},
    {"task.training", "weight", {"0.0", "1e7", "nan"}},
    {"task.training", "rows_max", {"-1", "67108865", "1.5"}},
    {"task.training", "bits_max", {"7", "33", "true"}},
    {"task.training.hyper", "rate", {"1e13", "-1e13", "\"fast\""}},
    {"task.sparse", "rows_cap", {"-1", "67108865", "1.5"}},
    {"task.sparse", "count_min", {"-1.0", "1e10", "nan"}},
    {"task.sparse", "count_rows_max", {"0", "67108865", "true"}},
    {"task.sparse", "count_share", {"0.0", "1.0", "\"half\""}},
    {"task.sparse", "keep", {"-0.1", "1.1", "nan"}},
    {"task.privacy", "noise", {"1", "\"yes\""}},
    {"task.privacy", "epsilon", {"0.0", "1001.0", "nan"}},
    {"task.privacy", "delta", {"0.0", "0.5", "-1e-7"}},
    {"task.privacy", "participations", {"-1", "1000001", "0.5"}},
    {"task.privacy", "weak_privacy", {"1", "\"no\""}},
    {"task.privacy", "population", {"-1", "1099511627777", "1.5"}},
    {"task.secagg", "profile", {"1", "true"}},
    {"task.secagg", "roster_min", {"19", "1000001", "20.5"}},
    {"task.secagg", "roster_max", {"-1", "1000001", "true"}},
    {"task.secagg", "gamma", {"-0.1", "0.6", "nan"}},
    {"task.secagg", "delta", {"-0.1", "0.6", "\"few\""}},
    {"task.secagg", "sigma", {"-1", "129", "40.5"}},
    {"task.secagg", "eta", {"9", "129", "true"}},
    {"task.timeouts", "training_ms", {"-1", "604800001", "1.5"}},
    {"task.timeouts", "advertise_ms", {"-1", "604800001", "true"}},
    {"task.timeouts", "share_ms", {"-1", "604800001", "\"1s\""}},
    {"task.timeouts", "mask_ms", {"-1", "604800001", "1.5"}},
    {"task.timeouts", "confirm_ms", {"-1", "604800001", "true"}},
    {"task.timeouts", "unmask_ms", {"-1", "604800001", "1.5"}},
    {"task.timeouts", "retry_ms", {"-1", "604800001", "1.5"}},
    {"task.timeouts", "reconnect_ms", {"-1", "604800001", "1.5"}},
};
INSTANTIATE_TEST_SUITE_P(Keys, TaskConfigRangeTest, ::testing::ValuesIn(kOutOfRange),
                         [](const auto& test) {
                           std::string name =
                               std::string(test.param.section) + "_" + test.param.key;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

// Rules that hold for configs that a program makes without a file.
TEST(TaskConfigTest, ValidateFindsWhatNoFileCouldSay) {
  TaskConfig good;
  good.model.items = 50;
  EXPECT_OK(good.Validate());
  const auto refused = [&good](void (*change)(TaskConfig&), const char* named) {
    TaskConfig task = good;
    change(task);
    const Status status = task.Validate();
    return testing::HasError(status, ErrorCode::kInvalidArgument) &&
           Mentions(status.error().message(), named);
  };
  EXPECT_TRUE(refused([](TaskConfig& t) { t.name = std::string(65, 'a'); }, "task.name"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.rounds = 0; }, "task.rounds"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.cohort = 1'000'001; }, "task.cohort"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.model.algorithm.clear(); }, "task.model.algorithm"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.model.factors = 0; }, "task.model.factors"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.training.clip_norm = std::nan(""); }, "clip_norm"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.training.value_max = 0; }, "value_max"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.training.weight = 0; }, "weight"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.training.bits_max = 33; }, "bits_max"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.training.hyper = {{"b", 1}, {"a", 1}}; }, "ascend"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.training.hyper = {{"a", std::nan("")}}; }, "finite"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.training.slice = "bandit"; }, "rows_cap"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.sparse.count_min = std::nan(""); }, "count_min"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.sparse.count_rows_max = 0; }, "count_rows_max"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.sparse.count_share = 1; }, "count_share"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.sparse.count_share = std::nan(""); }, "count_share"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.sparse.keep = -0.5; }, "keep"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.secagg.roster_min = 19; }, "roster_min"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.secagg.sigma = 19; }, "sigma"));
  EXPECT_TRUE(refused([](TaskConfig& t) { t.secagg.eta = 0; }, "eta"));
}

TEST(TaskConfigTest, APreparedTaskNeedsAnIdAndAnAlgorithm) {
  TaskConfig task;
  task.model.items = 50;
  EXPECT_ERROR(PreparedTask::Create(task), ErrorCode::kInvalidArgument);
  task.id = TaskId{};
  EXPECT_OK(PreparedTask::Create(task));
  TaskConfig unknown = task;
  unknown.model.algorithm = "magic";
  EXPECT_ERROR(PreparedTask::Create(unknown), ErrorCode::kNotFound);
  TaskConfig hyper = task;
  hyper.training.hyper = {{"speed", 1}};
  EXPECT_ERROR(PreparedTask::Create(hyper), ErrorCode::kInvalidArgument);
}

// The plan says what the config says; devices check it.
TEST(TaskConfigTest, APlanCarriesTheTask) {
  TaskConfig task;
  task.id = TaskId{};
  task.id->bytes.fill(std::byte{5});
  task.model.items = 50;
  task.rounds = 7;
  task.cohort = 60;
  task.privacy.participations = 3;
  task.secagg.roster_min = 30;
  ASSERT_OK_AND_ASSIGN(const PreparedTask prepared, PreparedTask::Create(task));
  Hash256 hash{};
  hash[0] = std::byte{1};
  const model::Plan plan = MakePlan(prepared, {{2, 9}, 0}, {hash, 4}, 12'345);
  EXPECT_OK(plan.Validate());
  EXPECT_EQ(plan.task, *task.id);
  EXPECT_EQ(plan.round, (RoundId{2, 9}));
  EXPECT_EQ(plan.attempt, 0U);
  EXPECT_EQ(plan.model_hash, hash);
  EXPECT_EQ(plan.model_version, 4U);
  EXPECT_EQ(plan.expires_unix_ms, 12'345);
  EXPECT_EQ(plan.training.normaliser, 60) << "the cohort, where none is given";
  EXPECT_EQ(plan.privacy.participations_max, 3U);
  EXPECT_EQ(plan.privacy.rounds_max, 7U);
  EXPECT_EQ(plan.secagg.roster_min, 30U);
  EXPECT_EQ(plan.secagg.roster_max, 60U);
  EXPECT_EQ(plan.secagg.corrupt_permille, 50U);
  EXPECT_EQ(plan.secagg.dropout_permille, 300U);
  EXPECT_EQ(prepared.ledger_policy().budget.participations_max, 3U);
  EXPECT_FALSE(prepared.ledger_policy().noise);
  EXPECT_EQ(PlanLifetimeMillis(plan.timeouts),
            120'000 + 60'000 + 30'000 + 60'000 + 15'000 + 30'000);
  EXPECT_EQ(PlanLifetimeMillis({0, 1, 1, 1, 1, 1}), 24 * 3'600'000);
}

TEST(TaskConfigTest, WeakPrivacyMustBeAskedFor) {
  const std::string weak = "[task.privacy]\nnoise = true\nepsilon = 20\npopulation = 100\n";
  EXPECT_TRUE(Mentions(ErrorOf(kSmall + weak), "weak_privacy"));
  EXPECT_OK(Parse(kSmall + weak + "weak_privacy = true\n"));
}
TEST(TaskConfigTest, TheProfileDecidesSigmaUnlessTheTaskDoes) {
  const auto plan_of = [](const std::string& secagg) {
    auto task = Parse(std::string(kSmall) + "[task.secagg]\n" + secagg);
    EXPECT_OK(task);
    task->id = TaskId{};
    const auto prepared = PreparedTask::Create(*task);
    EXPECT_OK(prepared);
    return prepared->plan_template().secagg;
  };
  const auto wary = plan_of("");
  EXPECT_EQ(wary.profile, model::SecAggProfile::kMalicious);
  EXPECT_EQ(wary.sigma, 80U);
  const auto trusting = plan_of("profile = \"semi-honest\"\n");
  EXPECT_EQ(trusting.profile, model::SecAggProfile::kSemiHonest);
  EXPECT_EQ(trusting.sigma, 40U);
  EXPECT_EQ(plan_of("sigma = 60\n").sigma, 60U);
}

}  // namespace
}  // namespace demur::coordinator
