#pragma once

#include <cstdint>
#include <vector>

#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/learning/server_step.h"
#include "demur/model/tables.h"
#include "demur/model/update.h"

// Which rows of the item tables a round trains, where it does not train all of them: chosen by the
// server, from nothing but what earlier sessions released (sums that the privacy layer decoded).
// Stateless.
namespace demur::learning {

struct RowRule {
  std::uint32_t items = 0;  // rows of the catalogue
  std::uint32_t cap = 0;    // rows of one round, at most; 1 to items
  double count_min = 0;     // participants, noise included: RowsByCounts
  double keep = 0;          // share of its past that the bandit keeps a round; 0 to 1
};

// Rows whose bucket has a count of count_min at least (`counts`: a mean over NumBuckets(items)
// coordinates whose normaliser was 1); where they are more than `cap`, those with the largest
// counts, of equal ones the smaller row. Ascending.
// kInvalidArgument: the counts do not fit the rule. kFailedPrecondition: no row has enough.
Result<std::vector<std::uint32_t>> RowsByCounts(const model::MeanUpdate& counts,
                                                const RowRule& rule);

// Thompson sampling over rows, in the manner of FCF-BTS (Khan et al., "A Payload Optimization
// Method for Federated Recommender Systems", RecSys 2021): exactly `cap` rows, those with the
// largest draws from the posteriors of their rewards. The reward is our own and simpler than the
// paper's: the squared norm of a row's released change over the round's average, so that it needs
// no scale and constant noise favours nobody. Posterior of a row with discounted reward sum r and
// count n: normal, mean (1 + r) / (1 + n), variance 1 / (1 + n). An empty `scores` is a first
// round. Ascending. kInvalidArgument: scores of another catalogue. kInternal: the stream failed.
Result<std::vector<std::uint32_t>> RowsByBandit(const RowScores& scores, const RowRule& rule,
                                                RandomStream& stream);

// What the bandit learns from a round: every row forgets a little, and rows of the slice (in tables
// with a row an item) get their reward.
// kInvalidArgument: mean and layout do not fit each other, or scores of another catalogue.
Status ScoreRows(const model::MeanUpdate& mean, const model::Layout& layout, const RowRule& rule,
                 RowScores* scores);

}  // namespace demur::learning
