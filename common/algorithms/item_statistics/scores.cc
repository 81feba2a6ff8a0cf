#include <algorithm>
#include <cmath>

#include "demur/learning_local/item_scores.h"
#include "hyper.h"

namespace demur::learning_local {

Status ScoreItems(const model::SharedModel& counts, ItemScore kind, const LikeRatePrior& prior,
                  std::span<float> scores) {
  const auto& tables = counts.schema().tables;
  if (tables.size() != 1 || tables[0].name != item_statistics::kTable ||
      tables[0].cols != item_statistics::kCols || scores.size() != tables[0].rows) {
    return Error(ErrorCode::kInvalidArgument, "item scores: not a table of item counts");
  }
  if (!(prior.likes > 0) || !(prior.rejections > 0)) {
    return Error(ErrorCode::kInvalidArgument, "item scores: priors must be > 0");
  }
  for (std::uint32_t item = 0; item < tables[0].rows; ++item) {
    const auto row = counts.Row(0, item);
    const double likes = std::max(0.0F, row[item_statistics::kLikes]);
    const double rejections = std::max(0.0F, row[item_statistics::kRejections]);
    double score = likes;
    if (kind == ItemScore::kLikeRate) {
      score = std::log((likes + prior.likes) / (rejections + prior.rejections));
    } else if (kind == ItemScore::kSeen) {
      score = std::max(0.0F, row[item_statistics::kImpressions]);
    }
    scores[item] = static_cast<float>(score);
  }
  return {};
}

}  // namespace demur::learning_local
