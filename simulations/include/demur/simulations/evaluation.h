#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/simulations/people.h"
#include "demur/simulations/report.h"
#include "demur/simulations/workers.h"

// Measures any model on what was held out (docs/algorithms.md, "Metrics"). Results do not depend on
// the number of threads.
namespace demur::sim {

// A model that can rank the catalogue for a person.
class Scorer {
 public:
  virtual ~Scorer() = default;
  // Writes one score per item, higher is better; scores.size() == num_items. Called from several
  // threads at once, `worker` < Workers::size() tells them apart.
  virtual Status Score(std::uint32_t user, unsigned worker, std::span<float> scores) const = 0;
  // Scores are logits, so that log-loss means something.
  virtual bool IsProbability() const { return true; }
};

enum class HeldOut { kValidation, kTest };

struct EvaluationOptions {
  std::uint32_t ranking_users = 0;  // people in the ranking metrics; 0: all
  std::uint64_t sample_seed = 1;    // which people
};

struct Evaluation {
  Scores scores = NoScores();
  // 95 % interval over people: delete-a-group jackknife, 20 groups.
  Scores half_width = NoScores();
};

// All metrics over the test events. Ranking masks train and validation; a metric for which nobody
// has the events (no held-out dislike) is NaN.
// kInvalidArgument: a score is not finite. Errors of the scorer.
Result<Evaluation> Evaluate(const Scorer& scorer, const People& people,
                            const EvaluationOptions& options, Workers& workers);

// Pooled AUC alone over one held-out part of the first `num_users` people of a seeded sample
// (0: all): for learning curves and tuning. NaN when one class is missing.
Result<double> PooledAuc(const Scorer& scorer, const People& people, HeldOut part,
                         std::uint32_t num_users, Workers& workers);

// A fixed sample of `count` of `population` people, ascending; all of them when count is 0 or
// larger. The same for the same seed.
std::vector<std::uint32_t> SampleUsers(std::uint32_t population, std::uint32_t count,
                                       std::uint64_t seed);

}  // namespace demur::sim
