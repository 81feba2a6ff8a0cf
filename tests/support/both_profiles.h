#pragma once

#include <gtest/gtest.h>

#include <string>

#include "demur/model/plan.h"

// INSTANTIATE_TEST_SUITE_P(Both, MyTest, testing::BothProfiles(), testing::NameOfProfile);
namespace demur::testing {

inline auto BothProfiles() {
  return ::testing::Values(model::SecAggProfile::kSemiHonest, model::SecAggProfile::kMalicious);
}
inline std::string NameOfProfile(const ::testing::TestParamInfo<model::SecAggProfile>& info) {
  return info.param == model::SecAggProfile::kMalicious ? "malicious" : "semi_honest";
}

}  // namespace demur::testing
