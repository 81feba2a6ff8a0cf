#include "demur/base/config.h"

#include <gtest/gtest.h>

#include "result_matchers.h"

namespace demur {
namespace {

struct Options {
  std::string host = "localhost";
  std::uint16_t port = 7070;
  double rate = 0.5;
};

Status ReadInto(Config& config, Options* options) {
  config.Section("server").Read("host", &options->host).Read("port", &options->port, 1, 65535);
  config.Section("server").Read("rate", &options->rate, 0, 1);
  return config.Finish();
}

TEST(ConfigTest, ReadsValuesAndKeepsDefaults) {
  ASSERT_OK_AND_ASSIGN(auto config, Config::Parse("[server]\nport = 99\n", "a.toml"));
  Options options;
  ASSERT_OK(ReadInto(config, &options));
  EXPECT_EQ(options.port, 99);
  EXPECT_EQ(options.host, "localhost");
}
TEST(ConfigTest, AnEmptyListReplacesTheDefault) {
  ASSERT_OK_AND_ASSIGN(auto config, Config::Parse("models = []\n", "a.toml"));
  std::vector<std::string> models{"random"};
  config.Root().Read("models", &models);
  EXPECT_TRUE(models.empty());
  EXPECT_OK(config.Finish());
}
TEST(ConfigTest, AnUnknownKeyIsNamedWithFileLineAndChoices) {
  ASSERT_OK_AND_ASSIGN(auto config, Config::Parse("[server]\nprot = 99\n", "a.toml"));
  Options options;
  const Status status = ReadInto(config, &options);
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().message().find("a.toml:2: unknown key 'prot' in [server]"),
            std::string::npos)
      << status.error().message();
  EXPECT_NE(status.error().message().find("port"), std::string::npos);
}
TEST(ConfigTest, AnUnknownSectionIsAnError) {
  ASSERT_OK_AND_ASSIGN(auto config,
                       Config::Parse("[server]\nport = 9\n[sever]\nport = 1\n", "a.toml"));
  Options options;
  EXPECT_ERROR(ReadInto(config, &options), ErrorCode::kInvalidArgument);
}
TEST(ConfigTest, WrongTypeAndRangeAreNamed) {
  for (const char* text :
       {"[server]\nport = 0\n", "[server]\nport = 65536\n", "[server]\nport = \"x\"\n",
        "[server]\nport = 1.5\n", "[server]\nrate = 1.01\n", "[server]\nrate = nan\n"}) {
    ASSERT_OK_AND_ASSIGN(auto config, Config::Parse(text, "a.toml"));
    Options options;
    const Status status = ReadInto(config, &options);
    ASSERT_FALSE(status.has_value()) << text;
    EXPECT_NE(status.error().message().find("a.toml:2"), std::string::npos)
        << status.error().message();
  }
}
TEST(ConfigTest, SyntaxErrorsNameThePlace) {
  const auto config = Config::Parse("[server]\nport = = 3\n", "a.toml");
  ASSERT_FALSE(config.has_value());
  EXPECT_NE(config.error().message().find("a.toml:2:"), std::string::npos);
}
TEST(ConfigTest, AnOverrideWins) {
  ASSERT_OK_AND_ASSIGN(auto config, Config::Parse("[server]\nport = 99\n", "a.toml"));
  ASSERT_OK(config.Override("server.port=7"));
  ASSERT_OK(config.Override("server.host=example"));
  Options options;
  ASSERT_OK(ReadInto(config, &options));
  EXPECT_EQ(options.port, 7);
  EXPECT_EQ(options.host, "example");
  EXPECT_ERROR(config.Override("no-equals"), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(config.Override("server.port.deep=1"), ErrorCode::kInvalidArgument);
}
TEST(ConfigTest, AMissingFileIsNotFound) {
  EXPECT_ERROR(Config::Load("/nonexistent/x.toml"), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace demur
