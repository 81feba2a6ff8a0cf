#include "own_data.h"

#include <cmath>
#include <memory>
#include <utility>

#include "demur/client/local_round.h"
#include "demur/dp/encoder.h"
#include "demur/learning/metrics.h"
#include "demur/learning/train_view.h"
#include "demur/learning_local/registry.h"

namespace demur::client {
namespace {

// SplitMix64's finaliser: spreads ids over 64 bits. Decides what is held out; keeps no secret.
std::uint64_t Mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

Result<model::PrivateState> Fit(const OwnData& own, const learning::LocalStep& step,
                                const std::vector<learning::Event>& events, const model::Plan& plan,
                                const model::SharedModel& model, RandomSource& random) {
  DEMUR_TRY(const auto layout, model::Layout::Create(plan.training.schema, plan.training.slice));
  DEMUR_TRY(const auto view,
            learning::TrainView::Create(events, own.signals, CatalogueSize(plan.training.schema)));
  const learning::LocalContext context{layout, random,
                                       RoundStream(plan, own.device.value, Purpose::kSampling)};
  return step.Personalise(model, own.state, view, context);
}

// Items of the catalogue: where rows are counted, the tables may hold a bucket for several.
std::uint32_t ItemsOf(const model::TrainingPlan& training) {
  if (training.algorithm != model::kRowCountsAlgorithm) return CatalogueSize(training.schema);
  for (const model::HyperParameter& hyper : training.hyper) {
    if (hyper.name == "items") return static_cast<std::uint32_t>(hyper.value);
  }
  return 0;
}

bool HeldOut(DeviceNumber device, ItemId item, double share) {
  const std::uint64_t draw = Mix(Mix(device.value) ^ item.value);
  return static_cast<double>(draw >> 11) * 0x1p-53 < share;
}

}  // namespace

OwnSplit SplitOwn(const std::vector<learning::Event>& events, std::uint32_t num_items,
                  DeviceNumber device, double held_out) {
  OwnSplit split;
  for (const learning::Event& event : learning::Clean(events, num_items).events) {
    auto& part = HeldOut(device, event.item, held_out) ? split.held_out : split.train;
    part.push_back(event);
  }
  return split;
}

Result<Trained> TrainForRound(const OwnData& own, const model::Plan& plan,
                              const model::Layout& layout, const model::SharedModel& model,
                              RandomSource& random) {
  DEMUR_TRY(const CheckedModel checked, CheckedModel::Create(model, layout, plan));
  DEMUR_TRY(const auto step, learning_local::MakeLocalStep(plan.training.algorithm, plan.training));
  DEMUR_TRY(dp::Encoder encoder, dp::Encoder::Create(layout, plan.encoding));
  LocalRoundWorkspace workspace(std::move(encoder));
  const std::uint32_t items = ItemsOf(plan.training);
  const OwnSplit split = SplitOwn(own.events, items, own.device, own.held_out);
  DEMUR_TRY(const auto view, learning::TrainView::Create(split.train, own.signals, items));
  const LocalRound round{plan, checked, *step};
  // Whether it trained says something about the owner: neither logged nor told.
  DEMUR_TRY(const LocalRoundReport report,
            RunLocalRound(round, own.state, view, own.device, random, &workspace));
  static_cast<void>(report);
  Trained out;
  out.input.resize(layout.dim());
  workspace.encoded.ToDense(out.input);
  out.next = std::move(workspace.next);
  return out;
}

Result<OwnMetrics> MeasureOwn(const OwnData& own, const model::Plan& plan,
                              const model::SharedModel& model, RandomSource& random) {
  OwnMetrics out;
  out.model_version = plan.model_version;
  const std::uint32_t items = CatalogueSize(plan.training.schema);
  const OwnSplit split = SplitOwn(own.events, items, own.device, own.held_out);
  const auto examples = learning::MakeExamples(split.held_out, own.signals);
  if (examples.empty()) return out;

  DEMUR_TRY(const auto step, learning_local::MakeLocalStep(plan.training.algorithm, plan.training));
  DEMUR_TRY(const auto fitted, Fit(own, *step, split.train, plan, model, random));
  std::vector<float> scores(items);
  DEMUR_RETURN_IF_ERROR(step->Score(model, fitted, scores));

  std::vector<learning::ScoredLabel> pairs;
  for (const learning::Example& example : examples) {
    pairs.push_back({scores[example.item], example.label > 0.5F});
    out.positives += pairs.back().positive ? 1U : 0U;
  }
  out.events_held_out = pairs.size();
  if (const auto auc = learning::Auc(pairs)) out.auc = *auc;
  if (const auto loss = learning::LogLoss(pairs)) out.log_loss = *loss;
  return out;
}

Result<Ranker> RankOwn(const OwnData& own, const model::Plan& plan, const model::SharedModel& model,
                       const learning::SuppressionOptions& suppression, std::int64_t now_unix_ms,
                       RandomSource& random) {
  const std::uint32_t items = CatalogueSize(plan.training.schema);
  const auto events = learning::Clean(own.events, items).events;
  DEMUR_TRY(const auto step, learning_local::MakeLocalStep(plan.training.algorithm, plan.training));
  DEMUR_TRY(const auto fitted, Fit(own, *step, events, plan, model, random));
  DEMUR_TRY(auto rejected,
            learning::Suppression::Create(events, own.signals, now_unix_ms, suppression));
  return Ranker::Create(*step, model, fitted, std::move(rejected));
}

}  // namespace demur::client
