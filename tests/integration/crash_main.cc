#include <gtest/gtest.h>

#include <string_view>

#include "crash_fixture.h"

// The tests, or the coordinator process that they start.
int main(int argc, char** argv) {
  if (argc == 5 && std::string_view(argv[1]) == demur::testing::kCoordinatorArgument) {
    return demur::testing::CoordinatorMain(argv);
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
