#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "demur/learning/metrics.h"
#include "result_matchers.h"

namespace demur::learning {
namespace {

using Items = std::vector<std::uint32_t>;

TEST(RankingTest, TiesLoseForLikesAndForDislikes) {
  const std::vector<float> scores = {3, 2, 2, 2, 1};
  ASSERT_OK_AND_ASSIGN(const Ranking ranking, Ranking::Create(scores, {}));
  ASSERT_OK_AND_ASSIGN(const auto like, ranking.RankOfLike(2));
  EXPECT_EQ(like, 4U);  // behind 3 and both other 2s
  ASSERT_OK_AND_ASSIGN(const auto dislike, ranking.RankOfDislike(2));
  EXPECT_EQ(dislike, 2U);  // before both
  ASSERT_OK_AND_ASSIGN(const auto top, ranking.RankOfLike(0));
  EXPECT_EQ(top, 1U);
}

TEST(RankingTest, AConstantScoreRanksALikeLast) {
  const std::vector<float> scores(50, 1.0F);
  ASSERT_OK_AND_ASSIGN(const Ranking ranking, Ranking::Create(scores, {}));
  ASSERT_OK_AND_ASSIGN(const auto rank, ranking.RankOfLike(7));
  EXPECT_EQ(rank, 50U);
}

TEST(RankingTest, MaskedItemsDoNotCompete) {
  const std::vector<float> scores = {5, 4, 3, 2};
  ASSERT_OK_AND_ASSIGN(const Ranking ranking, Ranking::Create(scores, Items{0, 1, 0}));
  EXPECT_EQ(ranking.candidates(), 2U);
  ASSERT_OK_AND_ASSIGN(const auto rank, ranking.RankOfLike(2));
  EXPECT_EQ(rank, 1U);
  EXPECT_ERROR(ranking.RankOfLike(0), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ranking.RankOfDislike(4), ErrorCode::kInvalidArgument);
}

TEST(RankingTest, AScoreThatIsNotFiniteIsAnError) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const std::vector<float> scores = {1, bad, 2};
    EXPECT_ERROR(Ranking::Create(scores, {}), ErrorCode::kInvalidArgument);
    EXPECT_OK(Ranking::Create(scores, Items{1}));  // it is no candidate
  }
  const std::vector<float> scores = {1};
  EXPECT_ERROR(Ranking::Create(scores, Items{0}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Ranking::Create(scores, Items{1}), ErrorCode::kInvalidArgument);
}

TEST(RankingMetricsTest, MatchesTheFormulasByHand) {
  // Ranks 1 to 6 are items 0 to 5.
  const std::vector<float> scores = {6, 5, 4, 3, 2, 1};
  ASSERT_OK_AND_ASSIGN(const Ranking ranking, Ranking::Create(scores, {}));
  RankingMetrics metrics(3);
  ASSERT_OK(metrics.AddUser(ranking, Items{1, 4}, Items{0, 5}));
  ASSERT_OK(metrics.AddUser(ranking, Items{3}, Items{2}));
  ASSERT_OK_AND_ASSIGN(const double hit, metrics.HitRate());
  EXPECT_DOUBLE_EQ(hit, 0.5);
  ASSERT_OK_AND_ASSIGN(const double ndcg, metrics.Ndcg());
  const double ideal = 1.0 + 1.0 / std::log2(3.0);
  EXPECT_NEAR(ndcg, (1.0 / std::log2(3.0)) / ideal / 2, 1e-12);
  ASSERT_OK_AND_ASSIGN(const double mrr, metrics.Mrr());
  EXPECT_DOUBLE_EQ(mrr, (1.0 / 2 + 1.0 / 4) / 2);
  ASSERT_OK_AND_ASSIGN(const double share, metrics.DislikeShare());
  EXPECT_DOUBLE_EQ(share, (1.0 / 3 + 1.0 / 3) / 2);
  ASSERT_OK_AND_ASSIGN(const double recall, metrics.NegativeRecall());
  EXPECT_DOUBLE_EQ(recall, 2.0 / 3);
}

TEST(RankingMetricsTest, PeopleCountForWhatTheyHave) {
  const std::vector<float> scores = {3, 2, 1};
  ASSERT_OK_AND_ASSIGN(const Ranking ranking, Ranking::Create(scores, {}));
  RankingMetrics metrics(1);
  ASSERT_OK(metrics.AddUser(ranking, Items{0}, {}));
  ASSERT_OK(metrics.AddUser(ranking, {}, Items{0}));
  ASSERT_OK(metrics.AddUser(ranking, {}, {}));
  ASSERT_OK_AND_ASSIGN(const double hit, metrics.HitRate());
  EXPECT_DOUBLE_EQ(hit, 1.0);
  ASSERT_OK_AND_ASSIGN(const double share, metrics.DislikeShare());
  EXPECT_DOUBLE_EQ(share, 0.5);
}

TEST(RankingMetricsTest, TiedDislikesFillNoMoreThanTheTop) {
  const std::vector<float> scores(8, 0.0F);
  ASSERT_OK_AND_ASSIGN(const Ranking ranking, Ranking::Create(scores, {}));
  RankingMetrics metrics(2);
  ASSERT_OK(metrics.AddUser(ranking, {}, Items{0, 1, 2, 3}));
  ASSERT_OK_AND_ASSIGN(const double share, metrics.DislikeShare());
  EXPECT_DOUBLE_EQ(share, 1.0);
}

TEST(RankingMetricsTest, AFailedUserAddsNothing) {
  const std::vector<float> scores = {3, 2, 1};
  ASSERT_OK_AND_ASSIGN(const Ranking ranking, Ranking::Create(scores, Items{2}));
  RankingMetrics metrics(1);
  EXPECT_ERROR(metrics.AddUser(ranking, Items{0}, Items{2}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(metrics.HitRate(), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(metrics.NegativeRecall(), ErrorCode::kFailedPrecondition);
}

}  // namespace
}  // namespace demur::learning
