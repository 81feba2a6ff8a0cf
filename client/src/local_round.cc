#include "demur/client/local_round.h"

#include <memory>
#include <utility>

namespace demur::client {
namespace {

// A noise stream from its start, or none where the plan has no noise.
Result<std::unique_ptr<RandomStream>> NoiseStream(const model::Plan& plan, DeviceNumber device,
                                                  RandomSource& random) {
  if (!plan.privacy.noise) return std::unique_ptr<RandomStream>();
  return random.Stream(RoundStream(plan, device.value, Purpose::kNoise));
}

Status EncodeZero(const LocalRound& round, DeviceNumber device, RandomSource& random,
                  LocalRoundWorkspace* workspace) {
  DEMUR_TRY(const auto noise, NoiseStream(round.plan, device, random));
  return workspace->encoder.EncodeZero(noise.get(), &workspace->encoded);
}

// Trains into workspace->update and workspace->next.
Status Train(const LocalRound& round, const model::PrivateState& state,
             const learning::TrainView& view, DeviceNumber device, RandomSource& random,
             LocalRoundWorkspace* workspace) {
  const learning::LocalContext context{round.model.layout(), random,
                                       RoundStream(round.plan, device.value, Purpose::kSampling)};
  DEMUR_TRY(workspace->next,
            round.step.Run(round.model.model(), state, view, context, &workspace->update));
  return {};
}

// False: the update broke the plan's integer bounds in every rounding; `encoded` is zero and noise.
Result<bool> Encode(const LocalRound& round, DeviceNumber device, RandomSource& random,
                    LocalRoundWorkspace* workspace) {
  DEMUR_TRY(const auto rounding,
            random.Blocks(RoundStream(round.plan, device.value, Purpose::kRounding)));
  DEMUR_TRY(const auto noise, NoiseStream(round.plan, device, random));
  DEMUR_TRY(
      const dp::EncodeOutcome outcome,
      workspace->encoder.Encode(workspace->update, *rounding, noise.get(), &workspace->encoded));
  return outcome.sent;
}

}  // namespace

StreamId RoundStream(const model::Plan& plan, std::uint64_t client, Purpose purpose) {
  StreamId id;
  id.task = StreamTask(plan.task);
  id.round = plan.round.Packed();
  id.attempt = plan.attempt;
  id.client = client;
  id.purpose = purpose;
  return id;
}

Result<CheckedModel> CheckedModel::Create(const model::SharedModel& model,
                                          const model::Layout& layout, const model::Plan& plan) {
  if (model.schema() != plan.training.schema) {
    return Error(ErrorCode::kInvalidArgument, "the model has another schema than the plan");
  }
  DEMUR_RETURN_IF_ERROR(model.CheckValues(layout, plan.training.value_max));
  return CheckedModel(model, layout);
}

Result<LocalRoundReport> RunLocalRound(const LocalRound& round, const model::PrivateState& state,
                                       const learning::TrainView& view, DeviceNumber device,
                                       RandomSource& random, LocalRoundWorkspace* workspace) {
  if (workspace->encoder.plan() != round.plan.encoding ||
      workspace->encoder.dim() != round.model.layout().dim()) {
    return Error(ErrorCode::kInvalidArgument, "the encoder is of another plan");
  }
  LocalRoundReport report;
  if (const Status status = Train(round, state, view, device, random, workspace); !status) {
    report.failure = status.error().code();
  } else {
    const Result<bool> sent = Encode(round, device, random, workspace);
    if (sent && *sent) {
      report.trained = true;
      return report;
    }
    // Where the generator failed the zero update below fails too, and nothing is sent.
    report.failure = sent ? ErrorCode::kAborted : sent.error().code();
  }
  workspace->next = state;
  DEMUR_RETURN_IF_ERROR(EncodeZero(round, device, random, workspace));
  return report;
}

}  // namespace demur::client
