#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "demur/base/result.h"

// Metrics as decided once (docs/algorithms.md, "Metrics"), so that two people get the same number.
// A score that is not finite is an error, never a rank. Ties are always resolved against the
// model. Functions are stateless; the accumulators are not thread-safe.
namespace demur::learning {

// One held-out event with an opinion.
struct ScoredLabel {
  double score = 0;
  bool positive = false;
};

// Pooled AUC: the chance that a positive scores above a negative, a tie counting one half.
// kInvalidArgument: a score is not finite. kFailedPrecondition: only one class.
Result<double> Auc(std::span<const ScoredLabel> pairs);

// AUC inside each person, averaged with weights. People with one class are dropped.
class GroupedAuc {
 public:
  // kInvalidArgument: a score is not finite; nothing was added.
  Status AddUser(std::span<const ScoredLabel> pairs);
  // Weighted by the number of pairs (FuxiCTR, DIN) or of positives (RecBole).
  // kFailedPrecondition: no person had both classes.
  Result<double> by_impressions() const;
  Result<double> by_positives() const;
  std::uint64_t users() const noexcept { return users_; }  // that had both classes

 private:
  double impressions_sum_ = 0;
  double impressions_ = 0;
  double positives_sum_ = 0;
  double positives_ = 0;
  std::uint64_t users_ = 0;
};
// Signed GAUC is GroupedAuc::by_positives() over held-out explicit likes and dislikes alone.

// Mean log-loss of `score` read as a logit; the probability is clipped to [1e-7, 1 - 1e-7].
// kInvalidArgument: a score is not finite. kFailedPrecondition: no pairs.
Result<double> LogLoss(std::span<const ScoredLabel> pairs);
inline constexpr double kLogLossClip = 1e-7;

// Full ranking over the candidates of one person: the whole catalogue, except what is masked.
// A held-out like has rank 1 + #{other candidates with a score >= its own}; a held-out dislike has
// rank 1 + #{other candidates with a score > its own}: ties lose both ways.
class Ranking {
 public:
  // scores: one per item of the catalogue. masked: items that are not candidates (train and
  // validation), any order, repeats allowed.
  // kInvalidArgument: a candidate's score is not finite, a masked item is out of range, or nothing
  // is left.
  static Result<Ranking> Create(std::span<const float> scores,
                                std::span<const std::uint32_t> masked);

  // Rank of a held-out like, from 1. kInvalidArgument: the item is masked or out of range.
  Result<std::uint32_t> RankOfLike(std::uint32_t item) const;
  Result<std::uint32_t> RankOfDislike(std::uint32_t item) const;
  std::uint32_t candidates() const noexcept { return static_cast<std::uint32_t>(sorted_.size()); }

 private:
  Result<float> ScoreOf(std::uint32_t item) const;

  std::vector<float> scores_;
  std::vector<float> sorted_;  // of the candidates, ascending
  std::vector<bool> masked_;
};

// HR@K, NDCG@K, MRR, DislikeShare@K and NegRecall@K over people.
class RankingMetrics {
 public:
  explicit RankingMetrics(std::uint32_t k) : k_(k) {}  // k > 0

  // likes, dislikes: held-out items of one person. People without a held-out like count for the
  // dislike metrics only; with neither, for nothing.
  // kInvalidArgument: as Ranking.
  Status AddUser(const Ranking& ranking, std::span<const std::uint32_t> likes,
                 std::span<const std::uint32_t> dislikes);

  // Means over people with a held-out like. kFailedPrecondition: nobody had one.
  Result<double> HitRate() const;  // any like among the first K
  Result<double> Ndcg() const;     // gain 1 / log2(1 + rank), ideal over min(K, likes)
  Result<double> Mrr() const;      // 1 / rank of the best like, not cut at K
  // Mean over people with any held-out opinion: disliked among the first K, over K.
  Result<double> DislikeShare() const;
  // Held-out dislikes among the first K, over all held-out dislikes (pooled).
  Result<double> NegativeRecall() const;

 private:
  std::uint32_t k_;
  double hits_ = 0;
  double ndcg_ = 0;
  double reciprocal_ = 0;
  std::uint64_t users_with_likes_ = 0;
  double dislike_share_ = 0;
  std::uint64_t users_ = 0;
  std::uint64_t dislikes_in_top_ = 0;
  std::uint64_t dislikes_ = 0;
};

// A mean with the half-width of its 95 % interval.
struct Interval {
  double mean = 0;
  double half_width = 0;
  std::uint64_t n = 0;
};

// Over runs with different seeds: Student's t. kFailedPrecondition: fewer than two values.
// kInvalidArgument: a value is not finite.
Result<Interval> SeedInterval(std::span<const double> values);
// Over people (or paired differences over many): normal approximation.
Result<Interval> UserInterval(std::span<const double> values);

}  // namespace demur::learning
