#include "demur/simulations/dataset.h"

#include <gtest/gtest.h>

#include <string>

#include "result_matchers.h"

namespace demur::sim {
namespace {

using learning::Signal;

// The file and line of the mistake stand in the message.
void ExpectRefusedAt(const Result<Dataset>& data, const std::string& place) {
  ASSERT_FALSE(data.has_value()) << place;
  EXPECT_EQ(data.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(data.error().message().find(place), std::string::npos) << data.error().message();
}

TEST(MovieLens100KTest, RatingsBecomeVerdictsAndThreesHaveNone) {
  ASSERT_OK_AND_ASSIGN(const Dataset data,
                       ParseMovieLens100K("7\t1\t5\t100\n7\t2\t2\t101\n8\t1\t3\t102\n", "u"));
  EXPECT_EQ(data.users, 2U);
  EXPECT_EQ(data.items, 2U);
  ASSERT_EQ(data.interactions.size(), 3U);
  EXPECT_EQ(data.interactions[0].event.signal, Signal::kLike);
  EXPECT_EQ(data.interactions[1].event.signal, Signal::kDislike);
  EXPECT_EQ(data.interactions[2].event.signal, Signal::kNeutral);
}
TEST(MovieLens100KTest, EveryKindOfBadLineIsNamed) {
  const std::string good = "1\t1\t5\t100\n";
  for (const char* bad :
       {"1\t2\t5\n", "1\t2\t5\t100\t9\n", "x\t2\t5\t100\n", "1\t2\tnan\t100\n", "1\t2\t6\t100\n",
        "1\t-2\t5\t100\n", "99999999999999999999\t2\t5\t100\n"}) {
    ExpectRefusedAt(ParseMovieLens100K(good + bad, "u"), "u:2");
  }
  EXPECT_ERROR(ParseMovieLens100K("", "u"), ErrorCode::kInvalidArgument);
}
TEST(MovieLens1MTest, AnUnknownRatingIsObservedWithoutVerdict) {
  ASSERT_OK_AND_ASSIGN(const Dataset data,
                       ParseMovieLens1M("user\tmovie\trating\torder\n1\t1\t0\t0\n", "r"));
  EXPECT_EQ(data.interactions[0].event.signal, Signal::kNeutral);
  EXPECT_ERROR(ParseMovieLens1M("1\t1\t0\t0\n", "r"), ErrorCode::kInvalidArgument);
}
TEST(PolisTest, AVoteWithoutTimeIsRead) {
  ASSERT_OK_AND_ASSIGN(const Dataset data,
                       ParsePolis("user\titem\tvote\ttimestamp_ms\n0\t0\t-1\t\n0\t1\t0\t5\n", "p",
                                  Signal::kNeutral));
  EXPECT_EQ(data.interactions[0].event.signal, Signal::kDislike);
  EXPECT_EQ(data.interactions[1].event.signal, Signal::kNeutral);
}
TEST(DatasetTest, AMissingFileIsNotFound) {
  DataConfig config;
  config.source = "ml-100k";
  EXPECT_ERROR(LoadDataset(config, "/nonexistent"), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace demur::sim
