#include <algorithm>
#include <cmath>

#include "demur/learning/metrics.h"

namespace demur::learning {
namespace {

Error Bad(const char* what) { return Error(ErrorCode::kInvalidArgument, what); }

Result<double> Mean(double sum, std::uint64_t count) {
  if (count == 0) {
    return Error(ErrorCode::kFailedPrecondition, "ranking: nobody has what is measured");
  }
  return sum / static_cast<double>(count);
}

}  // namespace

Result<Ranking> Ranking::Create(std::span<const float> scores,
                                std::span<const std::uint32_t> masked) {
  Ranking out;
  out.scores_.assign(scores.begin(), scores.end());
  out.masked_.assign(scores.size(), false);
  for (const std::uint32_t item : masked) {
    if (item >= scores.size()) return Bad("ranking: a masked item is outside the catalogue");
    out.masked_[item] = true;
  }
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (out.masked_[i]) continue;
    if (!std::isfinite(scores[i])) return Bad("ranking: a score is not finite");
    out.sorted_.push_back(scores[i]);
  }
  if (out.sorted_.empty()) return Bad("ranking: no candidate is left");
  std::sort(out.sorted_.begin(), out.sorted_.end());
  return out;
}

Result<float> Ranking::ScoreOf(std::uint32_t item) const {
  if (item >= scores_.size() || masked_[item]) {
    return Bad("ranking: a held-out item is not a candidate");
  }
  return scores_[item];
}

Result<std::uint32_t> Ranking::RankOfLike(std::uint32_t item) const {
  DEMUR_TRY(const float score, ScoreOf(item));
  // Candidates with score >= its own, itself among them: 1 + the others.
  return static_cast<std::uint32_t>(sorted_.end() -
                                    std::lower_bound(sorted_.begin(), sorted_.end(), score));
}

Result<std::uint32_t> Ranking::RankOfDislike(std::uint32_t item) const {
  DEMUR_TRY(const float score, ScoreOf(item));
  return 1 + static_cast<std::uint32_t>(sorted_.end() -
                                        std::upper_bound(sorted_.begin(), sorted_.end(), score));
}

Status RankingMetrics::AddUser(const Ranking& ranking, std::span<const std::uint32_t> likes,
                               std::span<const std::uint32_t> dislikes) {
  std::uint32_t best = 0;
  double gain = 0;
  for (const std::uint32_t item : likes) {
    DEMUR_TRY(const std::uint32_t rank, ranking.RankOfLike(item));
    best = best == 0 ? rank : std::min(best, rank);
    if (rank <= k_) gain += 1.0 / std::log2(1.0 + rank);
  }
  std::uint64_t in_top = 0;
  for (const std::uint32_t item : dislikes) {
    DEMUR_TRY(const std::uint32_t rank, ranking.RankOfDislike(item));
    in_top += rank <= k_ ? 1U : 0U;
  }
  // Nothing failed: only now is anything added.
  if (!likes.empty()) {
    double ideal = 0;
    for (std::uint32_t i = 1; i <= std::min<std::size_t>(k_, likes.size()); ++i) {
      ideal += 1.0 / std::log2(1.0 + i);
    }
    hits_ += best <= k_ ? 1.0 : 0.0;
    ndcg_ += gain / ideal;
    reciprocal_ += 1.0 / best;
    ++users_with_likes_;
  }
  if (!likes.empty() || !dislikes.empty()) {
    // More dislikes may tie for the top than it has places.
    dislike_share_ += static_cast<double>(std::min<std::uint64_t>(in_top, k_)) / k_;
    ++users_;
  }
  dislikes_in_top_ += in_top;
  dislikes_ += dislikes.size();
  return {};
}

Result<double> RankingMetrics::HitRate() const { return Mean(hits_, users_with_likes_); }
Result<double> RankingMetrics::Ndcg() const { return Mean(ndcg_, users_with_likes_); }
Result<double> RankingMetrics::Mrr() const { return Mean(reciprocal_, users_with_likes_); }
Result<double> RankingMetrics::DislikeShare() const { return Mean(dislike_share_, users_); }
Result<double> RankingMetrics::NegativeRecall() const {
  return Mean(static_cast<double>(dislikes_in_top_), dislikes_);
}

}  // namespace demur::learning
