#include <gtest/gtest.h>

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
[task.timeouts]
training_ms = 1
advertise_ms = 2
share_ms = 3
mask_ms = 4
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
  EXPECT_TRUE(task.privacy.noise);
  EXPECT_EQ(task.privacy.participations, 4U);
  EXPECT_EQ(task.secagg.gamma, 0.02);
  EXPECT_EQ(task.secagg.eta, 25U);
  EXPECT_EQ(task.timeouts.retry_ms, 6U);
  EXPECT_EQ(task.timeouts.reconnect_ms, 7U);
}

TEST(TaskConfigTest, WritesWhatItReadsBackEqual) {
  TaskConfig task;
  task.model.items = 77;
  task.id = TaskId{};
  task.training.hyper = {{"epochs", 3}, {"rate", 0.1}};
  task.training.weight = 1e-3;
  task.training.slice = "rows";
  task.training.rows = {0, 3};
  task.training.normaliser = 1.0 / 3.0;
  task.secagg.gamma = 0.1;
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
        Wrong{"[task.training]\nslice = \"some\"\n", "task.training.slice"},
        Wrong{"[task.training]\nslice = \"rows\"\n", "task.training.rows"},
        Wrong{"[task.training]\nrows = [1]\n", "task.training.rows"},
        Wrong{"[task.training]\nslice = \"rows\"\nrows = [1, 1]\n", "ascend"},
        Wrong{"[task.training]\nslice = \"rows\"\nrows = [50]\n", "items"},
        Wrong{"[task]\nrounds = 3\n[task.privacy]\nparticipations = 4\n", "participations"},
        Wrong{"[task.privacy]\nnoise = true\n", "task.privacy.population"},
        Wrong{"[task.privacy]\nnoise = true\nepsilon = 10.5\npopulation = 100\n", "weak_privacy"},
        Wrong{"[task.privacy]\nnoise = true\ndelta = 1e-4\npopulation = 1000\n", "population"},
        Wrong{"[task.secagg]\nprofile = \"none\"\n", "task.secagg.profile"},
        Wrong{"[task.secagg]\nroster_min = 30\nroster_max = 29\n", "task.secagg.roster_max"},
        Wrong{"[task.secagg]\ngamma = 0.0005\n", "task.secagg.gamma"},
        Wrong{"[task.secagg]\ndelta = 0.12345\n", "task.secagg.delta"},
        Wrong{"[task.secagg]\ngamma = 0.45\ndelta = 0.5\n", "gamma + delta"}));

TEST(TaskConfigTest, WeakPrivacyMustBeAskedFor) {
  const std::string weak = "[task.privacy]\nnoise = true\nepsilon = 20\npopulation = 100\n";
  EXPECT_TRUE(Mentions(ErrorOf(kSmall + weak), "weak_privacy"));
  EXPECT_OK(Parse(kSmall + weak + "weak_privacy = true\n"));
}
TEST(TaskConfigTest, TheMaliciousProfileIsNotThereYet) {
  EXPECT_ERROR(Parse(std::string(kSmall) + "[task.secagg]\nprofile = \"malicious\"\n"),
               ErrorCode::kUnimplemented);
}

}  // namespace
}  // namespace demur::coordinator
