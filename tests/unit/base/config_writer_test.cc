#include "demur/base/config_writer.h"

#include <gtest/gtest.h>

#include <limits>

#include "demur/base/config.h"
#include "result_matchers.h"

namespace demur {
namespace {

std::string TextBack(const std::string& value) {
  ConfigWriter out;
  out.Section("s").Text("key", value);
  auto config = Config::Parse(out.Take(), "written");
  EXPECT_OK(config);
  std::string read = "not read";
  config->Section("s").Read("key", &read);
  EXPECT_OK(config->Finish());
  return read;
}

TEST(ConfigWriterTest, TextReadsBackEqual) {
  for (const char* value : {"", "plain", "C:\\devices\\new", "say \"no\"", "line\nbreak\ttab\r",
                            "\x01\x1F\x7F", "caf\xC3\xA9", "# not a comment"}) {
    EXPECT_EQ(TextBack(value), value);
  }
}

TEST(ConfigWriterTest, NumbersReadBackEqual) {
  for (const double value : {0.0, 1.0, -3.0, 0.1, 1.0 / 3.0, 1e-15, 1e16, 1e300, 5e-324}) {
    ConfigWriter out;
    out.Section("s").Real("real", value).Number("number", -7).Flag("flag", true);
    ASSERT_OK_AND_ASSIGN(auto config, Config::Parse(out.Take(), "written"));
    double real = -1;
    std::int64_t number = 0;
    bool flag = false;
    config.Section("s")
        .Read("real", &real, -1e308, 1e308)
        .Read("number", &number, -10, 10)
        .Read("flag", &flag);
    ASSERT_OK(config.Finish());
    EXPECT_EQ(real, value);
    EXPECT_EQ(number, -7);
    EXPECT_TRUE(flag);
  }
}

// A reader may refuse what is not finite; it must not stumble over the syntax.
TEST(ConfigWriterTest, WhatIsNotFiniteIsStillToml) {
  for (const double value :
       {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
        std::numeric_limits<double>::quiet_NaN()}) {
    ConfigWriter out;
    EXPECT_OK(Config::Parse(out.Real("key", value).Take(), "written"));
  }
}

TEST(ConfigWriterTest, ListsReadBackEqual) {
  ConfigWriter out;
  const std::vector<std::string> names = {"a", "b\"c", ""};
  const std::vector<std::uint32_t> rows = {0, 4'294'967'295U};
  out.Section("s").List("names", names).List("rows", rows).List("none", std::vector<std::string>{});
  ASSERT_OK_AND_ASSIGN(auto config, Config::Parse(out.Take(), "written"));
  std::vector<std::string> read_names;
  std::vector<std::string> none = {"left"};
  std::vector<std::int64_t> read_rows;
  config.Section("s")
      .Read("names", &read_names)
      .Read("none", &none)
      .Read("rows", &read_rows, 0, 4'294'967'295);
  ASSERT_OK(config.Finish());
  EXPECT_EQ(read_names, names);
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(read_rows, (std::vector<std::int64_t>{0, 4'294'967'295}));
}

TEST(ConfigWriterTest, CommentsStandWhereAPersonLooks) {
  ConfigWriter out;
  out.Section("a", "what a is for").Number("x", 1, "why");
  out.Section("a.b").Remark("y = 2").Flag("z", false);
  EXPECT_EQ(out.Take(), "# what a is for\n[a]\nx = 1  # why\n\n[a.b]\n# y = 2\nz = false\n");
}

}  // namespace
}  // namespace demur
