#include <gtest/gtest.h>

#include <string>

#include "demur/base/file.h"
#include "demur/client/config.h"
#include "result_matchers.h"
#include "temporary_folder.h"

namespace demur::client {
namespace {

Result<HostConfig> Parse(const std::string& text) { return ParseHostConfig(text, "host.toml"); }

TEST(HostConfigTest, DefaultsNeedAFolderOnly) {
  ASSERT_OK_AND_ASSIGN(const HostConfig config, Parse("[devices]\nfolder = \"d\"\n"));
  EXPECT_EQ(config.DeviceFolder(0), "d/device-0001");
  EXPECT_EQ(config.DeviceFolder(10'000), "d/device-10001");
  EXPECT_FALSE(config.floor.privacy.allow_no_noise);
  EXPECT_EQ(config.OptionsOf(0).drill.leave_permille, 0U);
  EXPECT_ERROR(Parse(""), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Parse("[devices]\nfolder = \"\"\n"), ErrorCode::kInvalidArgument);
}

TEST(HostConfigTest, WrittenDefaultsReadBackEqual) {
  HostConfig config;
  config.folder = "devices";
  config.first = 7;
  config.floor.privacy.allow_no_noise = true;
  config.floor.privacy.epsilon_round_max = 0.7;
  config.floor.algorithms = {"biased_mf"};
  config.floor.noise_corrupt_permille_min = 120;
  config.floor.eta_min = 30;
  config.drill = {50, DrillStage::kAfterMasking};
  learning::SignalRule rule = config.signals.rule(learning::Signal::kSkip);
  rule.weight = 0.125;
  ASSERT_OK(config.signals.Set(learning::Signal::kSkip, rule));
  const std::string text = FormatHostConfig(config);
  ASSERT_OK_AND_ASSIGN(const HostConfig read, Parse(text));
  EXPECT_EQ(FormatHostConfig(read), text);
  EXPECT_TRUE(read.floor.privacy.allow_no_noise);
  EXPECT_EQ(read.floor.privacy.epsilon_round_max, 0.7);
  EXPECT_EQ(read.floor.noise_corrupt_permille_min, 120U);
  EXPECT_EQ(read.floor.eta_min, 30U);
  EXPECT_EQ(read.drill.leave_permille, 50U);
  EXPECT_EQ(read.drill.stage, DrillStage::kAfterMasking);
  EXPECT_EQ(read.signals.rule(learning::Signal::kSkip).weight, 0.125);
}

TEST(HostConfigTest, ErrorsNameTheLine) {
  const std::string base = "[devices]\nfolder = \"d\"\n";
  for (const char* bad :
       {"[floor]\nprivacy = \"maybe\"\n", "[floor]\nepsilon_rounds_max = 1.0\n",
        "[floor]\nroster_min = 3\n", "[floor]\neta_min = 9\n",
        "[floor]\nroster_max = 30\nroster_min = 40\n", "[floor]\nalgorithms = []\n",
        "[drill]\nleave = 1.5\n", "[drill]\nstage = \"late\"\n", "[data]\nheld_out = 1.0\n",
        "[enrol]\ntoken = \"x\"\n", "[signals.love]\nweight = 1.0\n",
        "[connection]\nretry_min_ms = 10\nretry_max_ms = 5\n", "[device]\nfolder = \"x\"\n"}) {
    SCOPED_TRACE(bad);
    const auto config = Parse(base + bad);
    ASSERT_FALSE(config.has_value());
    EXPECT_EQ(config.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(config.error().message().find("host.toml:"), std::string::npos)
        << config.error().message();
  }
}

TEST(HostConfigTest, PathsStartAtTheFile) {
  testing::TemporaryFolder folder;
  const std::string path = folder.File("host.toml");
  ASSERT_OK(WriteFileAtomically(path,
                                AsBytes("[devices]\nfolder = \"d\"\n[enrol]\ntoken_file = \"/t\"\n"
                                        "[data]\nevents = \"../e\"\n"),
                                FileMode::kPublic));
  ASSERT_OK_AND_ASSIGN(const HostConfig config, LoadHostConfig(path));
  EXPECT_EQ(config.folder, folder.path() + "/d");
  EXPECT_EQ(config.token_file, "/t");
  EXPECT_EQ(config.EventFile(1).substr(config.EventFile(1).rfind('/')), "/device-0002.csv");
  EXPECT_EQ(config.events_folder.find(".."), std::string::npos);
  EXPECT_ERROR(LoadHostConfig(folder.File("absent.toml")), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace demur::client
