#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "demur/coordinator/task.h"
#include "demur/seeded/seeded_random.h"
#include "result_matchers.h"

namespace demur::coordinator {
namespace {

std::vector<DeviceNumber> Devices(std::uint64_t n) {
  std::vector<DeviceNumber> out;
  for (std::uint64_t i = 0; i < n; ++i) out.emplace_back(10 * i + 3);
  return out;
}

Result<std::vector<DeviceNumber>> Draw(std::uint64_t seed, std::uint64_t round, std::uint64_t n,
                                       std::uint32_t target) {
  seeded::SeededRandom random(seed);
  StreamId id;
  id.round = round;
  id.client = kNoClient;
  id.purpose = Purpose::kCohort;
  DEMUR_TRY(const auto stream, random.Stream(id));
  return SelectCohort(Devices(n), target, *stream);
}

TEST(CohortTest, DrawsAscendingMembersWithoutDuplicates) {
  ASSERT_OK_AND_ASSIGN(const auto cohort, Draw(1, 1, 100, 30));
  EXPECT_EQ(cohort.size(), 30U);
  EXPECT_TRUE(std::is_sorted(cohort.begin(), cohort.end()));
  EXPECT_EQ(std::set<DeviceNumber>(cohort.begin(), cohort.end()).size(), 30U);
  const auto all = Devices(100);
  for (const DeviceNumber device : cohort) {
    EXPECT_TRUE(std::binary_search(all.begin(), all.end(), device));
  }
}
TEST(CohortTest, IsAFunctionOfSeedAndRound) {
  ASSERT_OK_AND_ASSIGN(const auto one, Draw(1, 1, 100, 30));
  ASSERT_OK_AND_ASSIGN(const auto same, Draw(1, 1, 100, 30));
  ASSERT_OK_AND_ASSIGN(const auto next_round, Draw(1, 2, 100, 30));
  ASSERT_OK_AND_ASSIGN(const auto other_seed, Draw(2, 1, 100, 30));
  EXPECT_EQ(one, same);
  EXPECT_NE(one, next_round);
  EXPECT_NE(one, other_seed);
}
TEST(CohortTest, TakesEverybodyWhenThereAreNoMore) {
  ASSERT_OK_AND_ASSIGN(const auto cohort, Draw(1, 1, 25, 30));
  EXPECT_EQ(cohort, Devices(25));
  ASSERT_OK_AND_ASSIGN(const auto nobody, Draw(1, 1, 0, 30));
  EXPECT_TRUE(nobody.empty());
}
// 4,000 draws of 5 of 20: each device is expected 1,000 times with standard deviation 27.4; the
// bound of 6.5 deviations is passed by chance in fewer than 1 in 10^9 runs of 20 devices.
TEST(CohortTest, FavoursNobody) {
  std::vector<int> drawn(20, 0);
  for (std::uint64_t round = 0; round < 4000; ++round) {
    ASSERT_OK_AND_ASSIGN(const auto cohort, Draw(7, round, 20, 5));
    for (const DeviceNumber device : cohort) ++drawn[(device.value - 3) / 10];
  }
  for (const int times : drawn) EXPECT_NEAR(times, 1000, 178);
}

}  // namespace
}  // namespace demur::coordinator
