#include "demur/client/event_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "result_matchers.h"
#include "temporary_folder.h"

namespace demur::client {
namespace {

using learning::Signal;

constexpr const char* kHeader = "item,signal,unix_ms\n";

TEST(EventFileTest, ReadsEventsInTheOrderOfTheirLines) {
  ASSERT_OK_AND_ASSIGN(
      const auto events,
      ParseEvents(std::string(kHeader) + "17,like,1700000000000\n3,dislike,0\n", "events.csv"));
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0], (learning::Event{ItemId(17), Signal::kLike, 1'700'000'000'000, 2}));
  EXPECT_EQ(events[1], (learning::Event{ItemId(3), Signal::kDislike, 0, 3}));
}

TEST(EventFileTest, EndsOfLinesMayBeOfAnySystem) {
  for (const char* text :
       {"item,signal,unix_ms\n1,hide,5\n2,skip,6\n",
        "item,signal,unix_ms\r\n1,hide,5\r\n2,skip,6\r\n",
        "item,signal,unix_ms\n1,hide,5\n2,skip,6", "item,signal,unix_ms\n1,hide,5\n2,skip,6\n\n"}) {
    ASSERT_OK_AND_ASSIGN(const auto events, ParseEvents(text, "events.csv"));
    EXPECT_EQ(events.size(), 2U) << text;
  }
}

TEST(EventFileTest, EverySignalHasItsName) {
  for (std::uint8_t number = 1; number <= learning::kNumSignals; ++number) {
    const auto signal = static_cast<Signal>(number);
    const std::string line = "4," + std::string(learning::ToString(signal)) + ",1\n";
    ASSERT_OK_AND_ASSIGN(const auto events, ParseEvents(kHeader + line, "e"));
    EXPECT_EQ(events[0].signal, signal);
  }
}

TEST(EventFileTest, TheLargestNumbersAreRead) {
  ASSERT_OK_AND_ASSIGN(
      const auto events,
      ParseEvents(std::string(kHeader) + "4294967294,like,9223372036854775807\n", "e"));
  EXPECT_EQ(events[0].item.value, 4'294'967'294U);
  EXPECT_EQ(events[0].unix_ms, 9'223'372'036'854'775'807);
}

struct Wrong {
  const char* name;
  std::string text;
  const char* place;
  const char* what;
};

class MalformedEventFileTest : public ::testing::TestWithParam<Wrong> {};

TEST_P(MalformedEventFileTest, IsNamedWithFileAndLine) {
  const auto events = ParseEvents(GetParam().text, "events.csv");
  ASSERT_TRUE(testing::HasError(events, ErrorCode::kInvalidArgument));
  for (const char* part : {GetParam().place, GetParam().what}) {
    EXPECT_NE(events.error().message().find(part), std::string::npos) << events.error().message();
  }
}

std::string Second(const std::string& line) { return kHeader + ("1,like,5\n" + line); }

const Wrong kWrong[] = {
    {"nothing", "", "events.csv:1:", "no events"},
    {"header_alone", kHeader, "events.csv:1:", "no events"},
    {"no_header", "1,like,5\n", "events.csv:1:", "item,signal,unix_ms"},
    {"other_header", "item,signal,time\n1,like,5\n", "events.csv:1:", "item,signal,unix_ms"},
    {"too_few_fields", Second("1,like\n"), "events.csv:3:", "expected 3 fields, found 2"},
    {"too_many_fields", Second("1,like,5,6\n"), "events.csv:3:", "expected 3 fields, found 4"},
    {"blank_line", Second("\n1,like,5\n"), "events.csv:3:", "expected 3 fields, found 1"},
    {"item_not_a_number", Second("film,like,5\n"), "events.csv:3:", "item is not a number"},
    {"item_empty", Second(",like,5\n"), "events.csv:3:", "item is not a number"},
    {"item_with_tail", Second("1x,like,5\n"), "events.csv:3:", "item is not a number"},
    {"item_with_blank", Second(" 1,like,5\n"), "events.csv:3:", "item is not a number"},
    {"item_fraction", Second("1.5,like,5\n"), "events.csv:3:", "item is not a number"},
    {"item_nan", Second("nan,like,5\n"), "events.csv:3:", "item is not a number"},
    {"item_negative", Second("-1,like,5\n"), "events.csv:3:", "item is out of range"},
    {"item_too_large", Second("4294967295,like,5\n"), "events.csv:3:", "item is out of range"},
    {"item_huge", Second("99999999999999999999999,like,5\n"),
     "events.csv:3:", "item is out of range"},
    {"signal_unknown", Second("1,adore,5\n"), "events.csv:3:", "like"},
    {"signal_empty", Second("1,,5\n"), "events.csv:3:", "like"},
    {"signal_upper_case", Second("1,Like,5\n"), "events.csv:3:", "like"},
    {"time_not_a_number", Second("1,like,noon\n"), "events.csv:3:", "unix_ms is not a number"},
    {"time_empty", Second("1,like,\n"), "events.csv:3:", "unix_ms is not a number"},
    {"time_negative", Second("1,like,-5\n"), "events.csv:3:", "unix_ms is out of range"},
    {"time_huge", Second("1,like,99999999999999999999\n"),
     "events.csv:3:", "unix_ms is out of range"},
    {"line_too_long", Second("1,like," + std::string(300, '5') + "\n"),
     "events.csv:3:", "too long"},
    {"nul_byte", Second(std::string("1,li\0ke,5\n", 10)), "events.csv:3:", "like"},
    {"bad_last_line_without_end", Second("1,like"), "events.csv:3:", "expected 3 fields"},
};

INSTANTIATE_TEST_SUITE_P(Lines, MalformedEventFileTest, ::testing::ValuesIn(kWrong),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(EventFileTest, AFileIsReadFromDisk) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.File("events.csv");
  std::ofstream(path) << kHeader << "1,like,5\n";
  ASSERT_OK_AND_ASSIGN(const auto events, LoadEvents(path));
  EXPECT_EQ(events.size(), 1U);
  std::ofstream(path) << kHeader << "1,like,5\nx,like,5\n";
  const auto broken = LoadEvents(path);
  EXPECT_ERROR(broken, ErrorCode::kInvalidArgument);
  EXPECT_NE(broken.error().message().find(path + ":3:"), std::string::npos);
  EXPECT_ERROR(LoadEvents(folder.File("nothing.csv")), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace demur::client
