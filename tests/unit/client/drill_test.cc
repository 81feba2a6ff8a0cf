#include "demur/client/drill.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "demur/seeded/seeded_random.h"
#include "result_matchers.h"

namespace demur::client {
namespace {

constexpr std::uint64_t kDevices = 20'000;

StreamId RoundOf(std::uint64_t counter) {
  StreamId id;
  id.task = 0x0102030405060708;
  id.round = std::uint64_t{1} << 32 | counter;
  return id;
}

// Devices 0 .. kDevices - 1 in one round.
std::map<Departure, std::uint64_t> Count(const DrillPlan& plan, std::uint64_t seed,
                                         std::uint64_t counter = 1) {
  seeded::SeededRandom random(seed);
  std::map<Departure, std::uint64_t> out;
  for (std::uint64_t i = 0; i < kDevices; ++i) {
    const auto decision = DrillDecision(random, RoundOf(counter), DeviceNumber(i), plan);
    EXPECT_OK(decision);
    if (decision) ++out[*decision];
  }
  return out;
}

// A source that may not be asked.
class NoRandom final : public RandomSource {
 public:
  Result<std::unique_ptr<RandomStream>> Stream(const StreamId&) override {
    return Error(ErrorCode::kInternal, "asked");
  }
  Result<std::unique_ptr<RandomBlocks>> Blocks(const StreamId&) override {
    return Error(ErrorCode::kInternal, "asked");
  }
};

TEST(DrillTest, WithoutADrillNobodyLeavesAndNothingIsDrawn) {
  NoRandom random;
  ASSERT_OK_AND_ASSIGN(const Departure departure,
                       DrillDecision(random, RoundOf(1), DeviceNumber(1), {}));
  EXPECT_EQ(departure, Departure::kNone);
  EXPECT_ERROR(DrillDecision(random, RoundOf(1), DeviceNumber(1), {1, DrillStage::kMixed}),
               ErrorCode::kInternal);
}

// Standard deviations of a binomial count: five of them are passed in one run of 1.7 million, and
// the seed is fixed.
TEST(DrillTest, TheShareIsWhatWasAskedFor) {
  for (const std::uint32_t permille : {1U, 50U, 300U, 999U}) {
    auto counts = Count({permille, DrillStage::kBeforeMasking}, 7);
    const double p = permille / 1000.0;
    const double expected = p * kDevices;
    const double deviation = std::sqrt(kDevices * p * (1 - p));
    EXPECT_NEAR(static_cast<double>(counts[Departure::kBeforeMasking]), expected, 5 * deviation)
        << permille;
    EXPECT_EQ(counts[Departure::kAfterMasking], 0U);
  }
  EXPECT_EQ(Count({1000, DrillStage::kAfterMasking}, 7)[Departure::kAfterMasking], kDevices);
}

TEST(DrillTest, AMixedDrillHasBothKindsInHalves) {
  auto counts = Count({500, DrillStage::kMixed}, 7);
  const double deviation = std::sqrt(kDevices * 0.25 * 0.75);
  for (const Departure kind : {Departure::kBeforeMasking, Departure::kAfterMasking}) {
    EXPECT_NEAR(static_cast<double>(counts[kind]), 0.25 * kDevices, 5 * deviation);
  }
}

TEST(DrillTest, TheStageDecidesOnlyWhenSomebodyLeaves) {
  seeded::SeededRandom random(3);
  for (std::uint64_t i = 0; i < 1'000; ++i) {
    const auto decide = [&](DrillStage stage) {
      return *DrillDecision(random, RoundOf(1), DeviceNumber(i), {400, stage});
    };
    const bool leaves = decide(DrillStage::kMixed) != Departure::kNone;
    EXPECT_EQ(decide(DrillStage::kBeforeMasking) != Departure::kNone, leaves);
    EXPECT_EQ(decide(DrillStage::kAfterMasking) != Departure::kNone, leaves);
  }
}

TEST(DrillTest, ADecisionRepeatsWhoeverAsksAndInWhateverOrder) {
  const DrillPlan plan{300, DrillStage::kMixed};
  std::map<std::uint64_t, Departure> first;
  seeded::SeededRandom forwards(11);
  for (std::uint64_t i = 0; i < 500; ++i) {
    StreamId id = RoundOf(4);
    id.client = i;                    // of whoever asks; not part of the draw
    id.purpose = Purpose::kSampling;  // neither
    ASSERT_OK_AND_ASSIGN(first[i], DrillDecision(forwards, id, DeviceNumber(i), plan));
  }
  seeded::SeededRandom backwards(11);
  for (std::uint64_t i = 500; i-- > 0;) {
    ASSERT_OK_AND_ASSIGN(const Departure again,
                         DrillDecision(backwards, RoundOf(4), DeviceNumber(i), plan));
    EXPECT_EQ(again, first[i]) << i;
  }
}

TEST(DrillTest, RoundsAndSeedsAreDrawnAnew) {
  const DrillPlan plan{500, DrillStage::kBeforeMasking};
  seeded::SeededRandom one(1);
  seeded::SeededRandom other(2);
  int rounds_differ = 0;
  int seeds_differ = 0;
  for (std::uint64_t i = 0; i < 500; ++i) {
    const Departure here = *DrillDecision(one, RoundOf(1), DeviceNumber(i), plan);
    rounds_differ += here != *DrillDecision(one, RoundOf(2), DeviceNumber(i), plan) ? 1 : 0;
    seeds_differ += here != *DrillDecision(other, RoundOf(1), DeviceNumber(i), plan) ? 1 : 0;
  }
  EXPECT_GT(rounds_differ, 150);
  EXPECT_GT(seeds_differ, 150);
}

TEST(DrillTest, StagesAreReadByName) {
  for (const auto& [text, stage] :
       std::vector<std::pair<const char*, DrillStage>>{{"before", DrillStage::kBeforeMasking},
                                                       {"after", DrillStage::kAfterMasking},
                                                       {"mixed", DrillStage::kMixed}}) {
    ASSERT_OK_AND_ASSIGN(const DrillStage read, ParseDrillStage(text));
    EXPECT_EQ(read, stage);
  }
  for (const char* text : {"", "Before", "before ", "never"}) {
    EXPECT_ERROR(ParseDrillStage(text), ErrorCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(ToString(Departure::kNone), "none");
  EXPECT_EQ(ToString(Departure::kBeforeMasking), "before_masking");
  EXPECT_EQ(ToString(Departure::kAfterMasking), "after_masking");
}

}  // namespace
}  // namespace demur::client
