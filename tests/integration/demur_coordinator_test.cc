#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "child_process.h"
#include "demur/authority/authority.h"
#include "demur/base/clock.h"
#include "demur/base/file.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/operator_files.h"
#include "demur/crypto/system_random.h"
#include "demur/storage/database.h"
#include "result_matchers.h"
#include "temporary_folder.h"

// The program demur-coordinator as an operator uses it.
namespace demur {
namespace {

using testing::Child;
using testing::Outcome;

Outcome RunIt(std::vector<std::string> arguments) {
  return testing::RunToEnd(DEMUR_COORDINATOR, std::move(arguments));
}

constexpr std::string_view kTask = R"toml([task]
name = "films"
cohort = 20
[task.model]
algorithm = "item_statistics"
items = 4
)toml";

class DemurCoordinatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteFileAtomically(task_, AsBytes(kTask), FileMode::kPublic));
    const Outcome made = Init();
    ASSERT_EQ(made.exit_code, 0) << made.text;
  }
  Outcome Init() {
    return RunIt({"init", "--dir", dir_, "--name", "coordinator.test", "--task", task_});
  }
  // What an authority gives back.
  Status Certify() {
    const std::string ca = folder_.File("ca");
    DEMUR_RETURN_IF_ERROR(authority::Authority::Init(ca, "test", clock_, random_));
    DEMUR_TRY(const auto authority, authority::Authority::Open(ca, clock_, random_));
    DEMUR_TRY(const std::string text,
              ReadTextFile(dir_ + "/server.request", crypto::kOperatorFileMaxLen));
    DEMUR_TRY(const auto request, crypto::ParseCertifyRequest(text));
    DEMUR_TRY(const Bytes certificate, authority->Certify(request, {"127.0.0.1", 7443}));
    DEMUR_RETURN_IF_ERROR(crypto::WriteCertificateFile(dir_ + "/server.pem", certificate));
    return crypto::WriteCertificateFile(dir_ + "/ca.pem", authority->certificate());
  }
  static void ExpectFails(const Outcome& outcome, const std::string& named) {
    EXPECT_EQ(outcome.exit_code, 1) << outcome.text;
    EXPECT_NE(outcome.text.find(named), std::string::npos) << outcome.text;
  }
  static void ExpectPrints(const Outcome& outcome, const std::string& text) {
    EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
    EXPECT_NE(outcome.text.find(text), std::string::npos) << outcome.text;
  }

  SystemClock clock_;
  crypto::SystemRandom random_;
  testing::TemporaryFolder folder_;
  const std::string dir_ = folder_.File("coordinator");
  const std::string task_ = folder_.File("task.toml");
};

TEST_F(DemurCoordinatorTest, InitNeverOverwritesACoordinator) {
  ASSERT_OK_AND_ASSIGN(const Bytes key, ReadFile(dir_ + "/plan.key", 1000));
  ExpectFails(Init(), "there is a coordinator here already");
  EXPECT_EQ(ReadFile(dir_ + "/plan.key", 1000).value(), key);
}

TEST_F(DemurCoordinatorTest, TheDefaultsThatItPrintsAreATaskFileThatLacksItemsOnly) {
  const Outcome defaults = RunIt({"print-task-defaults"});
  ASSERT_EQ(defaults.exit_code, 0) << defaults.text;
  ASSERT_OK(WriteFileAtomically(task_, AsBytes(defaults.text), FileMode::kPublic));
  ExpectFails(RunIt({"init", "--dir", folder_.File("other"), "--name", "c", "--task", task_}),
              "items");
}

TEST_F(DemurCoordinatorTest, ServeSaysWhichStepIsMissing) {
  ExpectFails(RunIt({"serve", "--dir", dir_}), "made by `demur-ca certify` from server.request");
  ASSERT_OK(Certify());
  ExpectFails(RunIt({"serve", "--dir", dir_, "--admin", "0.0.0.0:0"}), "only a loopback address");
  ExpectFails(RunIt({"serve", "--dir", dir_, "--listen", "nonsense"}), "host:port");
  std::filesystem::remove(dir_ + "/ca.pem");
  ExpectFails(RunIt({"serve", "--dir", dir_}), "copy ca.pem from the authority's folder");
}

TEST_F(DemurCoordinatorTest, SignalsEndItAndOneFolderIsServedOnce) {
  ASSERT_OK(Certify());
  for (const int number : {SIGTERM, SIGHUP, SIGINT}) {
    Child serving(DEMUR_COORDINATOR, {"serve", "--dir", dir_});
    ASSERT_TRUE(serving.WaitFor("coordinator_open")) << serving.Finish().text;
    ExpectFails(RunIt({"serve", "--dir", dir_}), "another coordinator is using it");
    ExpectFails(RunIt({"bump-epoch", "--dir", dir_}), "another coordinator is using it");
    ExpectPrints(RunIt({"status", "--dir", dir_}), "rounds 0 committed, 0 abandoned, of 10");
    serving.Signal(number);
    ExpectPrints(serving.Finish(), "stopped: asked to stop");
  }
}

TEST_F(DemurCoordinatorTest, StatusAndRoundsReadTheStore) {
  ASSERT_OK(Certify());
  ExpectPrints(RunIt({"status", "--dir", dir_}), "secure aggregation only, no DP");
  ExpectPrints(RunIt({"status", "--dir", dir_, "--json"}), "\"rounds_committed\": 0");
  ExpectPrints(RunIt({"rounds", "--dir", dir_}), "epoch  round  session     state");
  ExpectPrints(RunIt({"rounds", "--dir", dir_, "--json"}), "[]");
  ExpectFails(RunIt({"rounds", "--dir", folder_.File("none")}), "run `demur-coordinator init`");
}

TEST_F(DemurCoordinatorTest, ARestoredFolderGetsANewEpochAndSaysSo) {
  ASSERT_OK(Certify());
  ExpectPrints(RunIt({"bump-epoch", "--dir", dir_}), "epoch is now ");
  ExpectPrints(RunIt({"status", "--dir", dir_}), "(restored from a backup)");
  ExpectPrints(RunIt({"bump-epoch", "--dir", dir_, "--above", "2000000000"}),
               "epoch is now 2000000001");
  const Outcome status = RunIt({"status", "--dir", dir_, "--json"});
  EXPECT_EQ(status.text.find("\"epoch\": 1,"), std::string::npos) << status.text;
}

TEST_F(DemurCoordinatorTest, DamageIsNamedWithFileAndCureByEveryVerb) {
  ASSERT_OK(Certify());
  const std::string database = dir_ + "/coordinator.db";
  ASSERT_OK(WriteFileAtomically(database, Bytes(8192, std::byte{'x'}), FileMode::kPublic));
  for (const char* verb : {"status", "rounds", "serve", "bump-epoch"}) {
    const Outcome outcome = RunIt({verb, "--dir", dir_});
    ExpectFails(outcome, database + ": sqlite");
    ExpectFails(outcome, "restore the folder from a backup");
  }
}

TEST_F(DemurCoordinatorTest, DamageInsideTheStoreIsNamedWithFileAndCureToo) {
  ASSERT_OK(Certify());
  {
    ASSERT_OK_AND_ASSIGN(auto database, storage::Database::Open(dir_ + "/coordinator.db", {}));
    ASSERT_OK(database.Execute("INSERT INTO ledger VALUES (1, x'00')"));
  }
  for (const char* verb : {"status", "serve", "bump-epoch"}) {
    const Outcome outcome = RunIt({verb, "--dir", dir_});
    ExpectFails(outcome, dir_ + "/coordinator.db: ledger entry");
    ExpectFails(outcome, "restore the folder from a backup");
  }
}

// Plans under another key are followed by nobody, round after round.
TEST_F(DemurCoordinatorTest, FilesOfTwoFoldersAreNotServed) {
  ASSERT_OK(Certify());
  const std::string other = folder_.File("other");
  ASSERT_EQ(
      RunIt({"init", "--dir", other, "--name", "coordinator.test", "--task", task_}).exit_code, 0);
  std::filesystem::copy_file(other + "/plan.key", dir_ + "/plan.key",
                             std::filesystem::copy_options::overwrite_existing);
  ExpectFails(RunIt({"serve", "--dir", dir_}), "is not the key that server.request names");
  for (const char* file : {"plan.key", "server.request", "server.key"}) {
    std::filesystem::remove(dir_ + "/" + file);
    ExpectFails(RunIt({"serve", "--dir", dir_}), "restore it from a backup");
  }
}

TEST_F(DemurCoordinatorTest, AnInterruptedInitSaysHowToGoOn) {
  std::filesystem::remove(dir_ + "/coordinator.db");
  ExpectFails(Init(), "remove the folder and run it again");
}

TEST_F(DemurCoordinatorTest, ABadAddressNamesItsOption) {
  ASSERT_OK(Certify());
  ExpectFails(RunIt({"serve", "--dir", dir_, "--listen", "0.0.0.0"}), "--listen 0.0.0.0: ");
  ExpectFails(RunIt({"serve", "--dir", dir_, "--admin", ":1"}), "--admin :1: ");
}

TEST_F(DemurCoordinatorTest, AChangedTaskFileIsNamed) {
  ASSERT_OK(Certify());
  ASSERT_OK_AND_ASSIGN(std::string text, ReadTextFile(dir_ + "/task.toml", 100'000));
  text.replace(text.find("rounds = 10"), 11, "rounds = 11");
  ASSERT_OK(WriteFileAtomically(dir_ + "/task.toml", AsBytes(text), FileMode::kPublic));
  for (const char* verb : {"status", "serve", "bump-epoch"}) {
    ExpectFails(RunIt({verb, "--dir", dir_}), "task.toml was changed");
  }
}

TEST_F(DemurCoordinatorTest, UnknownVerbsAndMissingOptionsAreRefused) {
  EXPECT_NE(RunIt({}).exit_code, 0);
  EXPECT_NE(RunIt({"steal", "--dir", dir_}).exit_code, 0);
  EXPECT_NE(RunIt({"init", "--dir", dir_}).exit_code, 0);
  EXPECT_NE(RunIt({"serve", "--dir", dir_, "--threads", "0"}).exit_code, 0);
  EXPECT_EQ(RunIt({"--help"}).exit_code, 0);
}

}  // namespace
}  // namespace demur
