#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "../support/child_process.h"
#include "demur/base/json.h"

// `demur-sim secagg` and `secagg-params` as they are called: what they print, and exit codes.
namespace demur {
namespace {

using testing::Outcome;

Outcome Secagg(std::vector<std::string> more) {
  std::vector<std::string> arguments = {"secagg",      "--clients", "20", "--dim",
                                        "32",          "--bits",    "18", "--profile",
                                        "semi-honest", "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return testing::RunToEnd(DEMUR_SIM, std::move(arguments));
}
Outcome Params(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"secagg-params", "--json"});
  return testing::RunToEnd(DEMUR_SIM, std::move(arguments));
}

std::vector<Json> Lines(const std::string& text) {
  std::vector<Json> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto json = Json::Parse(line);
    EXPECT_TRUE(json.has_value()) << line;
    if (json) out.push_back(*std::move(json));
  }
  return out;
}

bool IsTrue(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  return value != nullptr && value->boolean() != nullptr && *value->boolean();
}

TEST(DemurSimSecAggTest, RepeatPrintsALineForEachSeed) {
  const Outcome outcome = Secagg({"--dropout", "0.2", "--corrupt", "0.05", "--leave-at", "any",
                                  "--seed", "41", "--repeat", "3"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  const auto lines = Lines(outcome.text);
  ASSERT_EQ(lines.size(), 3u);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_TRUE(IsTrue(lines[i], "ok"));
    EXPECT_TRUE(IsTrue(lines[i], "sum_exact"));
    EXPECT_EQ(lines[i].Find("seed")->Integer().value(), 41 + static_cast<std::int64_t>(i));
    for (const char* key :
         {"k", "t", "committee", "q", "label", "client_cpu_ms", "client_upload_bytes",
          "client_download_bytes", "server_ingest_s", "server_unmask_s", "server_peak_bytes",
          "rounds", "survivors", "abort", "server_cpu_s"}) {
      EXPECT_NE(lines[i].Find(key), nullptr) << key;
    }
  }
}

TEST(DemurSimSecAggTest, ACleanAbortAboveTheDesignShareIsAsItShouldBe) {
  const Outcome outcome = Secagg({"--dropout", "0.1", "--corrupt", "0.05", "--leave", "0.6"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  const auto lines = Lines(outcome.text);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_FALSE(IsTrue(lines[0], "ok"));
  ASSERT_NE(lines[0].Find("abort")->text(), nullptr);
  EXPECT_EQ(*lines[0].Find("abort")->text(), "too few survivors");
}

TEST(DemurSimSecAggTest, ParametersArePrintedAsOneObject) {
  const Outcome outcome = Params(
      {"--clients", "1000", "--dropout", "0.3", "--corrupt", "0.05", "--profile", "semi-honest"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.text,
            "{\"k\":66,\"t\":23,\"committee\":null,\"q\":null,\"label\":\"published\"}\n");
}

TEST(DemurSimSecAggTest, BadInputIsExitCode2AndNamesTheFlag) {
  const auto expect = [](const Outcome& outcome, const std::string& flag) {
    EXPECT_EQ(outcome.exit_code, 2) << outcome.text;
    EXPECT_NE(outcome.text.find(flag), std::string::npos) << outcome.text;
  };
  expect(Secagg({"--dropout", "0.6", "--corrupt", "0.05"}), "--dropout");
  expect(Secagg({"--dropout", "0.1", "--corrupt", "-0.1"}), "--corrupt");
  expect(Secagg({"--dropout", "0.0005", "--corrupt", "0.1"}), "--dropout");
  expect(Secagg({"--dropout", "0.1", "--corrupt", "0.1", "--leave", "1.1"}), "--leave");
  expect(Secagg({"--dropout", "0.1", "--corrupt", "0.1", "--leave-at", "m4"}), "--leave-at");
  expect(Secagg({"--dropout", "0.1", "--corrupt", "0.1", "--repeat", "0"}), "--repeat");
  expect(Secagg({"--corrupt", "0.1"}), "--dropout");
  expect(Params({"--clients", "19", "--dropout", "0.1", "--corrupt", "0.1", "--profile",
                 "semi-honest"}),
         "--clients");
  expect(Params({"--clients", "many", "--dropout", "0.1", "--corrupt", "0.1", "--profile",
                 "semi-honest"}),
         "--clients");
  expect(Params({"--clients", "30", "--dropout", "0.1", "--corrupt", "0.1", "--profile", "none"}),
         "--profile");
  expect(Params({"--clients", "30", "--dropout", "0.5", "--corrupt", "0.5", "--profile",
                 "semi-honest"}),
         "--corrupt");
}

}  // namespace
}  // namespace demur
