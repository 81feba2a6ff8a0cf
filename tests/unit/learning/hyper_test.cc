#include "demur/learning/hyper.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "result_matchers.h"

namespace demur::learning {
namespace {

constexpr std::array<HyperSpec, 2> kSpecs = {
    {{"epochs", 1, 0, 10, true}, {"rate", 0.5, 0, 1, false}}};

Result<std::vector<double>> Read(std::string name, double value) {
  model::TrainingPlan plan;
  plan.algorithm = "test";
  plan.hyper = {{std::move(name), value}};
  return ReadHyper(plan, kSpecs);
}

TEST(HyperTest, FillsFallbacks) {
  ASSERT_OK_AND_ASSIGN(const auto values, Read("rate", 0.25));
  EXPECT_EQ(values, std::vector<double>({1, 0.25}));
}

TEST(HyperTest, RefusesUnknownNames) {
  const auto result = Read("ratte", 0.25);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(result.error().message().find("known: epochs, rate"), std::string::npos);
}

TEST(HyperTest, RefusesValuesOutOfRange) {
  EXPECT_ERROR(Read("rate", 1.5), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Read("rate", std::nan("")), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Read("epochs", 1.5), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Read("epochs", -1), ErrorCode::kInvalidArgument);
  EXPECT_OK(Read("epochs", 10));
}

}  // namespace
}  // namespace demur::learning
