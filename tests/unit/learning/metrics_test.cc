#include "demur/learning/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "result_matchers.h"

namespace demur::learning {
namespace {

using Pairs = std::vector<ScoredLabel>;

TEST(AucTest, CountsOrderedPairs) {
  // Positives 3 and 1, negatives 2 and 0: three of the four pairs are in order.
  const Pairs pairs = {{3, true}, {2, false}, {1, true}, {0, false}};
  ASSERT_OK_AND_ASSIGN(const double auc, Auc(pairs));
  EXPECT_DOUBLE_EQ(auc, 0.75);
}

TEST(AucTest, TiesCountOneHalf) {
  ASSERT_OK_AND_ASSIGN(const double constant, Auc(Pairs{{1, true}, {1, false}, {1, true}}));
  EXPECT_DOUBLE_EQ(constant, 0.5);
  // (2 > 1), (2 = 2), (1 = 1), (1 < 2): (1 + .5 + .5 + 0) / 4.
  ASSERT_OK_AND_ASSIGN(const double mixed,
                       Auc(Pairs{{2, true}, {1, true}, {2, false}, {1, false}}));
  EXPECT_DOUBLE_EQ(mixed, 0.5);
}

TEST(AucTest, RefusesNotFiniteAndOneClass) {
  EXPECT_ERROR(Auc(Pairs{{std::nan(""), true}, {0, false}}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Auc(Pairs{{std::numeric_limits<double>::infinity(), true}, {0, false}}),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Auc(Pairs{{1, true}}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(Auc({}), ErrorCode::kFailedPrecondition);
}

TEST(GroupedAucTest, WeighsByImpressionsAndByPositives) {
  GroupedAuc gauc;
  ASSERT_OK(gauc.AddUser(Pairs{{2, true}, {1, false}}));                          // 1.0
  ASSERT_OK(gauc.AddUser(Pairs{{1, true}, {3, false}, {2, false}, {0, false}}));  // 1/3
  ASSERT_OK(gauc.AddUser(Pairs{{5, true}, {4, true}, {3, true}}));                // dropped
  EXPECT_EQ(gauc.users(), 2U);
  ASSERT_OK_AND_ASSIGN(const double impressions, gauc.by_impressions());
  EXPECT_DOUBLE_EQ(impressions, (2 * 1.0 + 4 * (1.0 / 3)) / 6);
  ASSERT_OK_AND_ASSIGN(const double positives, gauc.by_positives());
  EXPECT_DOUBLE_EQ(positives, (1.0 + 1.0 / 3) / 2);
}

TEST(GroupedAucTest, OneClassUsersAloneGiveNoNumber) {
  GroupedAuc gauc;
  ASSERT_OK(gauc.AddUser(Pairs{{1, true}}));
  EXPECT_ERROR(gauc.by_impressions(), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(gauc.by_positives(), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(gauc.AddUser(Pairs{{std::nan(""), true}, {0, false}}), ErrorCode::kInvalidArgument);
}

TEST(LogLossTest, IsTheMeanOverLogits) {
  const Pairs pairs = {{0, true}, {std::log(3.0), false}};
  ASSERT_OK_AND_ASSIGN(const double loss, LogLoss(pairs));
  EXPECT_NEAR(loss, (std::log(2.0) + std::log(4.0)) / 2, 1e-12);
}

TEST(LogLossTest, ClipsAtOneInTenMillion) {
  ASSERT_OK_AND_ASSIGN(const double loss, LogLoss(Pairs{{-1000, true}}));
  EXPECT_NEAR(loss, -std::log(1e-7), 1e-9);
  ASSERT_OK_AND_ASSIGN(const double other, LogLoss(Pairs{{1000, false}}));
  EXPECT_NEAR(other, -std::log(1e-7), 1e-6);
  EXPECT_ERROR(LogLoss(Pairs{{std::nan(""), true}}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(LogLoss({}), ErrorCode::kFailedPrecondition);
}

TEST(IntervalTest, FiveSeedsUseStudentsT) {
  const std::vector<double> values = {1, 2, 3, 4, 5};
  ASSERT_OK_AND_ASSIGN(const Interval seeds, SeedInterval(values));
  EXPECT_DOUBLE_EQ(seeds.mean, 3.0);
  EXPECT_NEAR(seeds.half_width, 2.7764 * std::sqrt(2.5 / 5), 1e-9);
  ASSERT_OK_AND_ASSIGN(const Interval users, UserInterval(values));
  EXPECT_NEAR(users.half_width, 1.959964 * std::sqrt(2.5 / 5), 1e-6);
}

TEST(IntervalTest, ManySeedsMeetTheSeries) {
  // t(0.975) is 2.0395 at 31 degrees of freedom and 1.9840 at 100.
  for (const auto& [n, quantile] : {std::pair{32, 2.0395}, std::pair{101, 1.9840}}) {
    std::vector<double> values;
    for (int i = 0; i < n; ++i) values.push_back(i % 2);
    ASSERT_OK_AND_ASSIGN(const Interval t, SeedInterval(values));
    ASSERT_OK_AND_ASSIGN(const Interval z, UserInterval(values));
    EXPECT_NEAR(t.half_width / z.half_width * 1.959964, quantile, 2e-4) << n;
  }
}

TEST(IntervalTest, RefusesTooFewAndNotFinite) {
  EXPECT_ERROR(SeedInterval(std::vector<double>{1}), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(SeedInterval(std::vector<double>{1, std::nan("")}), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur::learning
