#include "demur/learning/signals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "result_matchers.h"

namespace demur::learning {
namespace {

TEST(SignalsTest, NamesAndNumbersGoBothWays) {
  for (std::uint8_t number = 1; number <= kNumSignals; ++number) {
    ASSERT_OK_AND_ASSIGN(const Signal signal, SignalFromNumber(number));
    EXPECT_EQ(static_cast<std::uint8_t>(signal), number);
    ASSERT_OK_AND_ASSIGN(const Signal parsed, ParseSignal(ToString(signal)));
    EXPECT_EQ(parsed, signal);
  }
  EXPECT_ERROR(SignalFromNumber(0), ErrorCode::kDataLoss);
  EXPECT_ERROR(SignalFromNumber(kNumSignals + 1), ErrorCode::kDataLoss);
  EXPECT_ERROR(ParseSignal("likes"), ErrorCode::kInvalidArgument);
}

TEST(SignalsTest, DefaultsTellRejectionFromInterest) {
  const SignalTable table;
  for (const Signal signal : {Signal::kLike, Signal::kClick, Signal::kLongView, Signal::kPurchase,
                              Signal::kClickWithoutPurchase}) {
    EXPECT_EQ(table.rule(signal).label, Label::kPositive) << ToString(signal);
    EXPECT_EQ(table.rule(signal).kappa, 0) << ToString(signal);
  }
  for (const Signal signal : {Signal::kSkip, Signal::kShortView, Signal::kHide, Signal::kDislike}) {
    EXPECT_EQ(table.rule(signal).label, Label::kNegative) << ToString(signal);
    EXPECT_GT(table.rule(signal).kappa, 0) << ToString(signal);
  }
  EXPECT_TRUE(table.rule(Signal::kDislike).hard_filter);
  EXPECT_GT(table.rule(Signal::kDislike).weight, table.rule(Signal::kHide).weight);
  EXPECT_GT(table.rule(Signal::kHide).weight, table.rule(Signal::kSkip).weight);
}

TEST(SignalsTest, AReportIsNoOpinion) {
  const SignalTable table;
  EXPECT_EQ(table.rule(Signal::kReport).label, Label::kNone);
  EXPECT_TRUE(table.rule(Signal::kReport).hard_filter);
  EXPECT_FALSE(LabelValue(Label::kNone).has_value());
}

TEST(SignalsTest, ConfigChangesOnlyWhatItNames) {
  ASSERT_OK_AND_ASSIGN(auto config, Config::Parse("[signals.skip]\n"
                                                  "weight = 0.9\n"
                                                  "[signals.click_without_purchase]\n"
                                                  "label = \"negative\"\nweight = 1.0\n"
                                                  "[signals.click]\n"
                                                  "label = \"none\"\n",
                                                  "test.toml"));
  SignalTable table;
  table.Read(config);
  ASSERT_OK(config.Finish());
  EXPECT_EQ(table.rule(Signal::kSkip).weight, 0.9);
  EXPECT_EQ(table.rule(Signal::kSkip).label, Label::kNegative);
  EXPECT_EQ(table.rule(Signal::kSkip).half_life_hours, 6);
  EXPECT_EQ(table.rule(Signal::kClickWithoutPurchase).label, Label::kNegative);
  EXPECT_EQ(table.rule(Signal::kClick).label, Label::kNone);
  EXPECT_EQ(table.rule(Signal::kClick).weight, 0);
  EXPECT_EQ(table.rule(Signal::kLike).weight, 1.5);
}

TEST(SignalsTest, ConfigWithoutTheSectionKeepsTheDefaults) {
  ASSERT_OK_AND_ASSIGN(auto config, Config::Parse("", "test.toml"));
  SignalTable table;
  table.Read(config);
  ASSERT_OK(config.Finish());
  EXPECT_EQ(table.rule(Signal::kDislike).weight, 3.0);
}

TEST(SignalsTest, ConfigErrorsNameTheLine) {
  for (const std::string text : {"[signals.skipp]\nweight = 1.0\n",    // unknown signal
                                 "[signals.skip]\nwheight = 1.0\n",    // unknown key
                                 "[signals.skip]\nweight = -1.0\n",    // range
                                 "[signals.skip]\nlabel = \"bad\"\n",  // value
                                 "[signals.neutral]\nweight = 1.0\n",  // weight, no label
                                 "[signals]\nskip = 3\n"}) {           // not a table
    SCOPED_TRACE(text);
    ASSERT_OK_AND_ASSIGN(auto config, Config::Parse(text, "test.toml"));
    SignalTable table;
    table.Read(config);
    const Status status = config.Finish();
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(status.error().message().find("test.toml"), std::string::npos)
        << status.error().message();
  }
}

TEST(SignalsTest, SetRefusesWhatIsNotFinite) {
  SignalTable table;
  SignalRule rule = table.rule(Signal::kLike);
  rule.weight = std::nan("");
  EXPECT_ERROR(table.Set(Signal::kLike, rule), ErrorCode::kInvalidArgument);
  EXPECT_EQ(table.rule(Signal::kLike).weight, 1.5);
}

}  // namespace
}  // namespace demur::learning
