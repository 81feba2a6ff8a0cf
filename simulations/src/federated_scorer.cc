#include <algorithm>
#include <utility>

#include "demur/base/clock.h"
#include "demur/client/local_round.h"
#include "demur/dp/decoder.h"
#include "demur/dp/encoder.h"
#include "demur/learning_local/registry.h"
#include "demur/simulations/federation.h"

namespace demur::sim {
namespace {

class FederatedScorer final : public Scorer {
 public:
  FederatedScorer(const Federation& federation, const People& people, RandomSource& random)
      : federation_(federation), people_(people), random_(random) {
    const model::TrainingPlan& training = federation.task().plan_template().training;
    auto step = learning_local::MakeLocalStep(training.algorithm, training);
    DEMUR_CHECK(step.has_value(), "the federation trained with this step");
    step_ = *std::move(step);
  }

  Status Score(std::uint32_t user, unsigned /*worker*/, std::span<float> scores) const override {
    const learning::LocalContext context{
        federation_.task().layout(), random_,
        client::RoundStream(federation_.task().plan_template(), DeviceOf(user).value,
                            Purpose::kSampling)};
    DEMUR_TRY(const model::PrivateState fitted,
              step_->Personalise(federation_.model(), federation_.state(user),
                                 people_.person(user).view, context));
    return step_->Score(federation_.model(), fitted, scores);
  }

 private:
  const Federation& federation_;
  const People& people_;
  RandomSource& random_;
  std::unique_ptr<learning::LocalStep> step_;
};

}  // namespace

std::unique_ptr<Scorer> MakeFederatedScorer(const Federation& federation, const People& people,
                                            RandomSource& random) {
  return std::make_unique<FederatedScorer>(federation, people, random);
}

Result<double> MeasureUpdateMicros(const Federation& federation, const People& people,
                                   RandomSource& random, std::uint64_t noise_variance,
                                   std::uint32_t clients, std::uint32_t repeats) {
  model::Plan plan = federation.task().plan_template();
  plan.encoding.noise_variance = noise_variance;
  plan.privacy.noise = noise_variance > 0;
  if (noise_variance == 0) plan.session.other.noise_variance = 0;
  if (noise_variance == 0) plan.encoding.bits = 32;  // a plan without noise may use all of them
  const model::Layout& layout = federation.task().layout();
  DEMUR_TRY(const auto step, learning_local::MakeLocalStep(plan.training.algorithm, plan.training));
  DEMUR_TRY(const auto checked, client::CheckedModel::Create(federation.model(), layout, plan));
  DEMUR_TRY(dp::Encoder encoder, dp::Encoder::Create(layout, plan.encoding));
  client::LocalRoundWorkspace workspace(std::move(encoder));
  const client::LocalRound round{.plan = plan, .model = checked, .step = *step};
  const auto users = SampleUsers(people.size(), clients, 1);
  std::vector<std::uint32_t> sum(layout.dim());
  std::vector<double> micros;
  for (std::uint32_t repeat = 0; repeat < repeats + 1; ++repeat) {
    std::fill(sum.begin(), sum.end(), 0U);
    const auto begin = ThreadCpuTime();
    for (const std::uint32_t user : users) {
      DEMUR_TRY(const auto report,
                client::RunLocalRound(round, federation.state(user), people.person(user).view,
                                      DeviceOf(user), random, &workspace));
      (void)report;
      workspace.encoded.AddTo(sum);
    }
    // What the decoder says of a sum that was never opened does not matter; its time does.
    (void)dp::Decode(sum, static_cast<std::uint32_t>(users.size()), layout, plan.training,
                     plan.encoding);
    const auto spent = std::chrono::duration<double, std::micro>(ThreadCpuTime() - begin);
    if (repeat > 0) micros.push_back(spent.count() / static_cast<double>(users.size()));
  }
  std::nth_element(micros.begin(), micros.begin() + static_cast<std::ptrdiff_t>(repeats / 2),
                   micros.end());
  return micros[repeats / 2];
}

}  // namespace demur::sim
