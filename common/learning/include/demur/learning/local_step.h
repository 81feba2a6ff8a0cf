#pragma once

#include <cstdint>
#include <span>

#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/learning/train_view.h"
#include "demur/model/tables.h"
#include "demur/model/update.h"

// The device's half of an algorithm (step 2 of a round): shared model, own private state and own
// train events in; change of the shared rows and new private state out. Deterministic: the same
// inputs and the same streams give the same bits on one machine.
namespace demur::learning {

struct LocalContext {
  const model::Layout& layout;  // of the plan's slice
  RandomSource& random;
  StreamId stream;  // (task, round, attempt, client); the step sets the purpose
};

// Made by learning_local::MakeLocalStep, which has checked every hyper-parameter. Immutable: one
// object may run for several devices on several threads (scratch memory is per thread).
class LocalStep {
 public:
  virtual ~LocalStep() = default;

  // Trains. `out` is cleared first; it gets the rows of the slice that changed (parameter
  // difference, model units, unclipped, unweighted). An empty `state` is a first participation: it
  // is drawn from the kInitialisation stream of (task, round 0, client). Rows outside the slice
  // are read but stay as they are.
  // The model must have the plan's schema; its values in the slice were checked (CheckValues).
  // kFailedPrecondition: nothing to train on. kInvalidArgument: the model, the state or the view
  // does not fit the plan. kAborted: a result is not finite. kInternal: the random source failed.
  // After an error `out` must not be used.
  virtual Result<model::PrivateState> Run(const model::SharedModel& shared,
                                          const model::PrivateState& state, const TrainView& view,
                                          const LocalContext& context,
                                          model::Update* out) const = 0;

  // Fits the private state alone, with the shared model as it is: what a device does before it
  // ranks with a new model, and what an evaluation does for everybody. Sends nothing.
  // Errors as Run; without examples the state comes back as it was.
  virtual Result<model::PrivateState> Personalise(const model::SharedModel& shared,
                                                  const model::PrivateState& state,
                                                  const TrainView& view,
                                                  const LocalContext& context) const = 0;

  // Logit (or other score, higher is better) of every item of the catalogue. An empty state scores
  // without personalisation. scores.size() = number of items.
  // kInvalidArgument: sizes do not fit.
  virtual Status Score(const model::SharedModel& shared, const model::PrivateState& state,
                       std::span<float> scores) const = 0;
};

}  // namespace demur::learning
