#include "demur/base/fault.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "result_matchers.h"

namespace demur {
namespace {

class FaultTest : public ::testing::Test {
 protected:
  void TearDown() override {
    SetFaultHandler({});
    ::unsetenv("DEMUR_CRASH_AT");
  }
};

TEST_F(FaultTest, WithoutAHandlerAPointDoesNothing) { FaultPoint("nobody.listens"); }

TEST_F(FaultTest, AHandlerSeesTheNamesInOrder) {
  std::vector<std::string> seen;
  SetFaultHandler([&seen](std::string_view name) { seen.emplace_back(name); });
  FaultPoint("a.first");
  FaultPoint("a.second");
  SetFaultHandler({});
  FaultPoint("a.third");
  EXPECT_EQ(seen, (std::vector<std::string>{"a.first", "a.second"}));
}

TEST_F(FaultTest, TheEnvironmentKillsAtTheNamedPoint) {
  ::setenv("DEMUR_CRASH_AT", "round.commit:2", 1);
  ASSERT_OK(InstallFaultHandlerFromEnvironment());
  FaultPoint("round.other");
  FaultPoint("round.commit");
  EXPECT_EXIT(FaultPoint("round.commit"), ::testing::KilledBySignal(SIGKILL), "");
}

TEST_F(FaultTest, ABadCountIsRefused) {
  for (const char* text : {"name:0", "name:x", "name:", "name:-1", ":1", ""}) {
    ::setenv("DEMUR_CRASH_AT", text, 1);
    EXPECT_ERROR(InstallFaultHandlerFromEnvironment(), ErrorCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace demur
