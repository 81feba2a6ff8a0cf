#include <gtest/gtest.h>

#include <cstdio>
#include <string_view>

#include "crash_fixture.h"
#include "crash_points.h"

// The tests, the coordinator process that they start, or (--points) the names of the points at
// which they kill, one a line.
int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--points") {
    for (const auto& point : demur::testing::EveryCrashPoint()) std::puts(point.c_str());
    return 0;
  }
  if (argc == 5 && std::string_view(argv[1]) == demur::testing::kCoordinatorArgument) {
    return demur::testing::CoordinatorMain(argv);
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
