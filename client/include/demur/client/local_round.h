#pragma once

#include <cstdint>
#include <utility>

#include "demur/base/ids.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/dp/encoder.h"
#include "demur/learning/local_step.h"
#include "demur/model/plan.h"
#include "demur/model/tables.h"
#include "demur/model/update.h"

// Steps 2 and 3 of a round, the part that simulation and devices share: train on the owner's own
// events, then clip, scale, round and noise (docs/architecture.md, "everything is a round"). Pure:
// no clock, socket, disk or log; all randomness from the source handed in, by streams keyed with
// (task, round, attempt, device, purpose). Stateless; a workspace belongs to one thread.
namespace demur::client {

// The stream of `purpose` for `client` in the round of `plan`. Everybody who draws for a round
// builds its ids here.
StreamId RoundStream(const model::Plan& plan, std::uint64_t client, Purpose purpose);

// A model whose values in the plan's slice were found finite and within the plan's value_max. Only
// such a model can be trained on: a coordinator that plants an infinity learns from who falls
// silent. Simulations check once a round, devices once a download. Borrows the model and the
// layout.
class CheckedModel {
 public:
  // kInvalidArgument: a value is not finite or beyond `value_max` (names table and row), or the
  // model has another schema than the plan.
  static Result<CheckedModel> Create(const model::SharedModel& model, const model::Layout& layout,
                                     const model::Plan& plan);

  const model::SharedModel& model() const noexcept { return *model_; }
  const model::Layout& layout() const noexcept { return *layout_; }

 private:
  CheckedModel(const model::SharedModel& model, const model::Layout& layout)
      : model_(&model), layout_(&layout) {}
  const model::SharedModel* model_;
  const model::Layout* layout_;
};

// What is the same for every client of a round. All borrowed; they outlive the call.
struct LocalRound {
  const model::Plan& plan;
  const CheckedModel& model;
  const learning::LocalStep& step;  // made for plan.training
};

// Memory that is kept from client to client, one per thread. After the largest client no call
// allocates here.
struct LocalRoundWorkspace {
  // `plan_encoder`: made from the layout and the encoding of the plan.
  explicit LocalRoundWorkspace(dp::Encoder plan_encoder) : encoder(std::move(plan_encoder)) {}
  LocalRoundWorkspace(LocalRoundWorkspace&&) noexcept = default;
  LocalRoundWorkspace& operator=(LocalRoundWorkspace&&) noexcept = default;
  ~LocalRoundWorkspace() { update.Wipe(); }  // the encoder wipes its own

  dp::Encoder encoder;
  model::Update update;       // scratch
  dp::EncodedUpdate encoded;  // result: what is masked and summed
  model::PrivateState next;   // result: what the device stores with its M5 marker
};

struct LocalRoundReport {
  bool trained = false;                      // false: `encoded` is the zero update plus noise
  ErrorCode failure = ErrorCode::kInternal;  // why, when not trained
};

// Trains `device` from `state` on `view` and encodes. A device that is in the roster always sends,
// so whatever goes wrong in training or in encoding the update (no examples, overflow, not finite,
// 128 failed roundings) gives the zero update plus the plan's noise and leaves the private state
// as it was.
// kInternal: the random source failed; kInvalidArgument: the workspace's encoder is of another
// plan. Nothing may be sent then.
Result<LocalRoundReport> RunLocalRound(const LocalRound& round, const model::PrivateState& state,
                                       const learning::TrainView& view, DeviceNumber device,
                                       RandomSource& random, LocalRoundWorkspace* workspace);

}  // namespace demur::client
