#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "demur/base/ids.h"
#include "demur/base/result.h"
#include "demur/learning/local_step.h"
#include "demur/learning/suppression.h"
#include "demur/model/tables.h"

// What the owner is shown: shared model and private state give an affinity, and what the owner
// rejected is hidden or pushed down at once, without waiting for a round. Nothing is sent anywhere.
// Immutable after creation; may be read from several threads.
namespace demur::client {

struct Ranked {
  ItemId item;
  float score = 0;

  friend bool operator==(const Ranked&, const Ranked&) = default;
};

// Where a score comes from: score = user_bias + item_bias + affinity - suppression.
struct Explanation {
  double score = 0;
  double user_bias = 0;    // how much this owner likes things in general
  double item_bias = 0;    // how much everybody likes this one
  double affinity = 0;     // owner's taste against the item's factors
  double suppression = 0;  // taken off because of what the owner rejected
  bool hidden = false;     // rejected in so many words: not shown at all
};

class Ranker {
 public:
  // Scores the catalogue once. `suppression` is taken over.
  // kInvalidArgument: model, state and step do not fit.
  static Result<Ranker> Create(const learning::LocalStep& step, const model::SharedModel& model,
                               const model::PrivateState& state, learning::Suppression suppression);

  // The best `k` of the whole catalogue, best first; equal scores in ascending order of the item.
  // Hidden items are left out.
  Result<std::vector<Ranked>> Rank(std::size_t k) const;
  // The same of `candidates` alone (each item once; none given: none come back).
  // kInvalidArgument: a candidate outside the catalogue.
  Result<std::vector<Ranked>> Rank(std::span<const ItemId> candidates, std::size_t k) const;

  // For `item` among the whole catalogue, or among `candidates`: suppression is measured in their
  // standard deviations.
  // kInvalidArgument: an item outside the catalogue, or `item` is not a candidate.
  Result<Explanation> Explain(ItemId item) const;
  Result<Explanation> Explain(ItemId item, std::span<const ItemId> candidates) const;

  // Before suppression, one per item: what held-out metrics are computed on.
  std::span<const float> scores() const noexcept { return scores_; }

 private:
  explicit Ranker(learning::Suppression suppression) : suppression_(std::move(suppression)) {}
  using List = std::vector<learning::Candidate>;
  List Catalogue() const;
  Result<List> Candidates(std::span<const ItemId> items) const;
  Result<std::vector<Ranked>> Best(List list, std::size_t k) const;
  Result<Explanation> ExplainIn(List list, ItemId item) const;
  learning::ItemVectors Vectors() const;

  learning::Suppression suppression_;
  std::vector<float> scores_;
  std::vector<float> vectors_;  // row-major item rows: factors, then the bias
  std::uint32_t stride_ = 1;
  std::uint32_t dim_ = 0;    // factors; 0: the algorithm has none
  std::vector<float> user_;  // the owner's vector, dim_ values
};

// Rows of the item tables of `schema`.
std::uint32_t CatalogueSize(const model::Schema& schema);

}  // namespace demur::client
