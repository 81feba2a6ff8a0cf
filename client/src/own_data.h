#pragma once

#include <cstdint>
#include <vector>

#include "demur/base/ids.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/client/device.h"
#include "demur/client/model_shelf.h"
#include "demur/client/ranker.h"
#include "demur/learning/events.h"
#include "demur/learning/signals.h"
#include "demur/learning/suppression.h"
#include "demur/model/plan.h"
#include "demur/model/tables.h"

// What a device computes from its owner's events: the update of a round, and how well the model
// does on what was held out. Long; for a worker thread. Pure: no clock, socket, disk or log.
namespace demur::client {

struct OwnSplit {
  std::vector<learning::Event> train;
  std::vector<learning::Event> held_out;
};
// One event per item (learning::Clean), of items inside the catalogue. Whether an item is held out
// depends on the device and the item alone, so that it stays held out as new events come in and
// the model never learns from it. held_out in [0, 1).
OwnSplit SplitOwn(const std::vector<learning::Event>& events, std::uint32_t num_items,
                  DeviceNumber device, double held_out);

struct OwnData {
  std::vector<learning::Event> events;
  model::PrivateState state;
  learning::SignalTable signals;
  double held_out = 0;
  DeviceNumber device;
};

struct Trained {
  std::vector<std::uint32_t> input;  // dense, what secagg's Input takes
  model::PrivateState next;
};
// kInvalidArgument: the model is not fit to be trained on, or the plan's algorithm or a
// hyper-parameter is unknown. kInternal: the random source failed. In both cases nothing may be
// sent; what else goes wrong in training gives the zero update and noise (local_round.h).
Result<Trained> TrainForRound(const OwnData& own, const model::Plan& plan,
                              const model::Layout& layout, const model::SharedModel& model,
                              RandomSource& random);

// Fits the private state to the model with the train side and scores the rest.
// Errors as TrainForRound.
Result<OwnMetrics> MeasureOwn(const OwnData& own, const model::Plan& plan,
                              const model::SharedModel& model, RandomSource& random);

// What the owner is shown: the private state fitted to the model with all events, held-out ones
// too (nothing of it is kept or sent), and what the owner rejected hidden or pushed down as of
// `now_unix_ms`. Errors as TrainForRound.
Result<Ranker> RankOwn(const OwnData& own, const model::Plan& plan, const model::SharedModel& model,
                       const learning::SuppressionOptions& suppression, std::int64_t now_unix_ms,
                       RandomSource& random);

}  // namespace demur::client
