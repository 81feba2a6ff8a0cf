#pragma once

#include <cstdint>
#include <vector>

#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/learning/split.h"
#include "demur/learning/train_view.h"
#include "demur/simulations/dataset.h"
#include "demur/simulations/workers.h"

// The people of a run: what each may train on, and what is held out from everybody.
namespace demur::sim {

// One person = one simulated device. Immutable after creation.
struct Person {
  learning::Split split;
  learning::TrainView view;  // of split.train
};

// Safe from several threads when const.
class People {
 public:
  // Cleans and splits. Randomness: the kData stream of each person (learning::SplitUser).
  // kInvalidArgument: a fraction out of range. kInternal: the random source failed.
  static Result<People> Create(const Dataset& data, const learning::SignalTable& signals,
                               const learning::SplitOptions& split, RandomSource& random,
                               Workers& workers);

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(people_.size()); }
  std::uint32_t num_items() const noexcept { return num_items_; }
  const Person& person(std::uint32_t user) const { return people_[user]; }
  const learning::SignalTable& signals() const noexcept { return signals_; }
  std::uint64_t num_events() const noexcept { return num_events_; }        // after cleaning
  std::uint64_t num_negatives() const noexcept { return num_negatives_; }  // labelled 0

 private:
  std::vector<Person> people_;
  learning::SignalTable signals_;
  std::uint32_t num_items_ = 0;
  std::uint64_t num_events_ = 0;
  std::uint64_t num_negatives_ = 0;
};

}  // namespace demur::sim
