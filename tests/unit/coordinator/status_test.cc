#include "demur/coordinator/status.h"

#include <gtest/gtest.h>

#include <string>

#include "demur/coordinator/round_store.h"
#include "demur/coordinator/task.h"
#include "demur/crypto/hash.h"
#include "demur/learning/server_step.h"
#include "demur/model/tables.h"
#include "result_matchers.h"
#include "temporary_folder.h"

// What an operator is shown: nothing that could be taken for more than it is.
namespace demur::coordinator {
namespace {

void ExpectHas(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << part << "\n--- in\n" << text;
}

BudgetView Spent() {
  BudgetView budget;
  budget.epsilon_spent = 1.2341;
  budget.epsilon_budget = 6;
  budget.delta = 1e-7;
  budget.participations_max = 7;
  budget.rounds_charged = 2;
  return budget;
}

StatusView Sample() {
  StatusView status;
  status.server_name = "c.example";
  status.task_name = "films";
  status.algorithm = "biased_mf";
  status.secagg_profile = "semi-honest";
  status.cohort_rule = "authority-drawn (rate 0.5, epoch 3, 1000 enrolled)";
  status.phase = "masking";
  status.round = 3;
  status.rounds_max = 10;
  status.rounds_committed = 2;
  status.model_sha256 = std::string(64, 'a');
  status.budget = Spent();
  RoundRow round;
  round.id = {1, 2};
  round.state = RoundState::kAbandoned;
  round.reason = "<b>why</b> & \"so\"";
  status.rounds = {round};
  return status;
}

// --- Epsilon ------------------------------------------------------------------------------------

TEST(StatusTest, AnEpsilonNeverStandsAlone) {
  const std::string text = DescribePrivacy(Spent());
  for (const char* part :
       {"epsilon <= 1.235 of 6 spent", "delta 1e-07", "per enrolled identity", "zero-out adjacency",
        "Skellam", "at most 7 participations", "no amplification"}) {
    ExpectHas(text, part);
  }
  EXPECT_EQ(text.find("WEAK"), std::string::npos);
  EXPECT_EQ(text.find("backup"), std::string::npos);
}
TEST(StatusTest, WhatIsShownIsNeverBelowWhatWasSpent) {
  for (const auto& [spent, shown] : {std::pair{0.0, "<= 0.000 "}, std::pair{1e-9, "<= 0.001 "},
                                     std::pair{0.9995, "<= 1.000 "}, std::pair{5.0, "<= 5.000 "}}) {
    BudgetView budget = Spent();
    budget.epsilon_spent = spent;
    ExpectHas(DescribePrivacy(budget), shown);
  }
}
TEST(StatusTest, WhoChoosesTheCohortIsSaidInEveryForm) {
  ExpectHas(RenderPage(Sample()), "cohort: authority-drawn (rate 0.5, epoch 3, 1000 enrolled)");
  ExpectHas(RenderMetrics(Sample()),
            "cohort=\"authority-drawn (rate 0.5, epoch 3, 1000 enrolled)\"");
  ExpectHas(ToJson(Sample()).Dump(), "authority-drawn (rate 0.5, epoch 3, 1000 enrolled)");
}
TEST(StatusTest, WeakPrivacyAndABackupAreSaid) {
  BudgetView budget = Spent();
  budget.weak_privacy = true;
  budget.restored = true;
  ExpectHas(DescribePrivacy(budget), "WEAK PRIVACY");
  ExpectHas(DescribePrivacy(budget), "counted as spent whole");
}
// What devices spent after the copy was made is not in the ledger.
TEST(StatusTest, AnEpsilonAfterARestoreIsThePromise) {
  TaskConfig config;
  config.id = TaskId{};
  config.cohort = 20;
  config.model = {.algorithm = "item_statistics", .items = 4};
  config.privacy.noise = true;
  config.privacy.delta = 1e-6;
  config.privacy.population = 1000;
  ASSERT_OK_AND_ASSIGN(const PreparedTask task, PreparedTask::Create(config));
  ASSERT_OK_AND_ASSIGN(const dp::Ledger empty, dp::Ledger::Create(task.ledger_policy()));
  ASSERT_OK_AND_ASSIGN(const auto first, ViewBudget(empty, task, kFirstEpoch));
  ASSERT_OK_AND_ASSIGN(const auto restored, ViewBudget(empty, task, 200'000'000));
  EXPECT_EQ(first->epsilon_spent, 0);
  EXPECT_EQ(restored->epsilon_spent, 6);
  ExpectHas(DescribePrivacy(restored), "epsilon <= 6.000 of 6 spent");
}
TEST(StatusTest, WithoutNoiseThereIsNoEpsilon) {
  StatusView status = Sample();
  status.budget.reset();
  EXPECT_EQ(DescribePrivacy(status.budget), "secure aggregation only, no DP");
  EXPECT_EQ(RenderMetrics(status).find("epsilon"), std::string::npos);
  EXPECT_EQ(RenderPage(status).find("epsilon"), std::string::npos);
  ExpectHas(ToJson(status).Dump(), "\"epsilon\":null");
}

// --- Three forms --------------------------------------------------------------------------------

TEST(StatusTest, ThePageEscapesWhatItDidNotWrite) {
  const std::string page = RenderPage(Sample());
  ExpectHas(page, "&lt;b&gt;why&lt;/b&gt; &amp; &quot;so&quot;");
  EXPECT_EQ(page.find("<b>"), std::string::npos);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("http://"), std::string::npos) << "nothing is fetched";
}
TEST(StatusTest, MetricsAreTypedAndLabelsAreEscaped) {
  StatusView status = Sample();
  status.task_name = "a\"b\\c\nd";
  status.declined_total = 4;
  status.revocations_refused = 5;
  status.certificate_not_after = 1'900'000'001;
  const std::string text = RenderMetrics(status);
  ExpectHas(text, "task=\"a\\\"b\\\\c\\nd\"");
  ExpectHas(text, "# TYPE demur_rounds_committed_total counter\ndemur_rounds_committed_total 2\n");
  ExpectHas(text, "demur_invitations_declined_total 4\n");
  ExpectHas(text, "demur_revocation_lists_refused_total 5\n");
  ExpectHas(text, "demur_certificate_not_after_seconds 1900000001\n");
  ExpectHas(text, "adjacency=\"zero-out\",mechanism=\"skellam\",delta=\"1e-07\"");
  // Every sample has its HELP and TYPE lines.
  std::size_t samples = 0;
  std::size_t types = 0;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    if (text.compare(at, 6, "demur_") == 0) ++samples;
    if (text.compare(at, 7, "# TYPE ") == 0) ++types;
  }
  EXPECT_EQ(samples, types);
}
TEST(StatusTest, JsonHasTheBudgetWithEverythingItDependsOn) {
  const std::string text = ToJson(Sample()).Dump();
  for (const char* part : {"\"adjacency\":\"zero-out\"", "\"mechanism\":", "\"unit\":",
                           "\"participation\":{\"max_rounds\":7}", "\"delta\":1e-07",
                           "\"restored_from_backup\":false", "\"rounds\":[{", "\"schema\":1"}) {
    ExpectHas(text, part);
  }
}

// --- From the disk ------------------------------------------------------------------------------

TEST(StatusTest, AStoreWithoutAServerSaysWhereItStands) {
  TaskConfig config;
  config.id = TaskId{};
  config.name = "stored";
  config.cohort = 20;
  config.model = {.algorithm = "item_statistics", .items = 4};
  ASSERT_OK_AND_ASSIGN(const PreparedTask task, PreparedTask::Create(config));
  const testing::TemporaryFolder folder;
  ModelRow first;
  first.blob = model::SharedModel(task.schema()).Canonical();
  first.hash = crypto::Sha256(first.blob);
  ASSERT_OK_AND_ASSIGN(RoundStore store,
                       RoundStore::Create(folder.path(), {task.id(), HashTask(task.config())},
                                          first, learning::ServerState().Serialise()));
  ASSERT_OK_AND_ASSIGN(const StatusView status, StoredStatus(store, task));
  EXPECT_EQ(status.task_name, "stored");
  EXPECT_EQ(status.phase, "between rounds");
  EXPECT_EQ(status.round, 1U);
  EXPECT_EQ(status.model_sha256, ToHex(first.hash));
  EXPECT_FALSE(status.budget.has_value());

  config.rounds += 1;
  ASSERT_OK_AND_ASSIGN(const PreparedTask changed, PreparedTask::Create(config));
  EXPECT_ERROR(StoredStatus(store, changed), ErrorCode::kFailedPrecondition)
      << "a budget must not be read under another task's limits";
}

}  // namespace
}  // namespace demur::coordinator
