#pragma once

#include <cstdint>
#include <span>

#include "demur/base/result.h"
#include "demur/model/tables.h"

// Scores read off the counts of `item_statistics`: the baselines that every model must beat.
// Stateless; safe from several threads.
namespace demur::learning_local {

enum class ItemScore : std::uint8_t {
  kPopularity = 0,  // likes
  kLikeRate = 1,    // logit of (likes + a) / (likes + rejections + a + b)
  kSeen = 2,        // impressions
};

struct LikeRatePrior {
  double likes = 1.0;       // a; > 0
  double rejections = 1.0;  // b; > 0
};

// Writes one score per item. Counts below 0 (noise) are read as 0.
// kInvalidArgument: the model has no table `item_counts` of 3 columns, scores.size() is not its
// number of rows, or a prior is not > 0.
Status ScoreItems(const model::SharedModel& counts, ItemScore kind, const LikeRatePrior& prior,
                  std::span<float> scores);

}  // namespace demur::learning_local
