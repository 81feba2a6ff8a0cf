#include "demur/simulations/baselines.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>

#include "central_training.h"
#include "demur/client/local_round.h"
#include "demur/learning_local/registry.h"

namespace demur::sim {
namespace {

constexpr double kLikeRatePrior = 5;

// Fixed scores, the same for everybody.
class ItemScorer final : public Scorer {
 public:
  ItemScorer(std::vector<float> scores, bool probability)
      : scores_(std::move(scores)), probability_(probability) {}
  Status Score(std::uint32_t, unsigned, std::span<float> scores) const override {
    std::copy(scores_.begin(), scores_.end(), scores.begin());
    return {};
  }
  bool IsProbability() const override { return probability_; }

 private:
  std::vector<float> scores_;
  bool probability_;
};

class RandomScorer final : public Scorer {
 public:
  explicit RandomScorer(RandomSource& random) : random_(random) {}
  Status Score(std::uint32_t user, unsigned, std::span<float> scores) const override {
    DEMUR_TRY(const auto stream,
              random_.Stream({.task = 0x72616e646f6d, .client = user, .purpose = Purpose::kData}));
    for (float& score : scores) {
      DEMUR_TRY(const std::uint32_t word, UniformBelow(*stream, 1U << 24));
      score = static_cast<float>(word);
    }
    return {};
  }
  bool IsProbability() const override { return false; }

 private:
  RandomSource& random_;
};

class OracleScorer final : public Scorer {
 public:
  explicit OracleScorer(const Truth& truth) : truth_(truth) {}
  Status Score(std::uint32_t user, unsigned, std::span<float> scores) const override {
    for (std::uint32_t item = 0; item < scores.size(); ++item) {
      const double p = truth_.LikeProbability(user, item);
      scores[item] = static_cast<float>(std::log(p / (1 - p)));
    }
    return {};
  }

 private:
  const Truth& truth_;
};

// The device's own step on a model that nobody trained.
class LocalOnlyScorer final : public Scorer {
 public:
  LocalOnlyScorer(const BaselineContext& context, std::unique_ptr<learning::LocalStep> step,
                  model::SharedModel first)
      : people_(context.people),
        layout_(context.task.layout()),
        stream_(client::RoundStream(context.task.plan_template(), 0, Purpose::kSampling)),
        random_(context.random),
        step_(std::move(step)),
        first_(std::move(first)) {}
  Status Score(std::uint32_t user, unsigned, std::span<float> scores) const override {
    StreamId stream = stream_;
    stream.client = DeviceOf(user).value;
    const learning::LocalContext local{layout_, random_, stream};
    DEMUR_TRY(const model::PrivateState state,
              step_->Personalise(first_, {}, people_.person(user).view, local));
    return step_->Score(first_, state, scores);
  }

 private:
  const People& people_;
  const model::Layout& layout_;
  StreamId stream_;
  RandomSource& random_;
  std::unique_ptr<learning::LocalStep> step_;
  model::SharedModel first_;
};

std::string Describe(std::size_t trials, double rate, double l2) {
  char text[128];
  std::snprintf(text, sizeof text, "best of %zu settings on validation: rate %g, l2 %g", trials,
                rate, l2);
  return text;
}

Baseline ItemCounts(const People& people, bool rate) {
  std::vector<double> likes(people.num_items(), 0);
  std::vector<double> verdicts(people.num_items(), 0);
  double all_likes = 0;
  double all = 0;
  for (std::uint32_t user = 0; user < people.size(); ++user) {
    for (const learning::Example& example : people.person(user).view.examples()) {
      likes[example.item] += example.label;
      verdicts[example.item] += 1;
      all_likes += example.label;
      all += 1;
    }
  }
  const double prior = std::clamp(all > 0 ? all_likes / all : 0.5, 0.01, 0.99);
  std::vector<float> scores(people.num_items());
  for (std::size_t item = 0; item < scores.size(); ++item) {
    const double p = (likes[item] + kLikeRatePrior * prior) / (verdicts[item] + kLikeRatePrior);
    scores[item] = static_cast<float>(rate ? std::log(p / (1 - p)) : likes[item]);
  }
  return {std::make_unique<ItemScorer>(std::move(scores), rate), ""};
}

void SetHyper(model::TrainingPlan* plan, std::string_view name, double value) {
  const auto at = std::lower_bound(
      plan->hyper.begin(), plan->hyper.end(), name,
      [](const model::HyperParameter& h, std::string_view wanted) { return h.name < wanted; });
  if (at != plan->hyper.end() && at->name == name) {
    at->value = value;
  } else {
    plan->hyper.insert(at, {std::string(name), value});
  }
}

Result<Baseline> LocalOnly(const BaselineContext& context) {
  const TuningGrid& grid = context.scenario.local_only;
  std::optional<double> best_auc;
  Baseline best;
  for (const double rate : grid.learning_rate) {
    for (const double l2 : grid.l2) {
      model::TrainingPlan training = context.task.plan_template().training;
      SetHyper(&training, "private_rate", rate);
      SetHyper(&training, "l2_user", l2);
      SetHyper(&training, "personalise_epochs", grid.epochs);
      DEMUR_TRY(auto step, learning_local::MakeLocalStep(training.algorithm, training));
      DEMUR_TRY(auto first,
                context.task.server_step().InitialModel(
                    context.random, client::RoundStream(context.task.plan_template(), kNoClient,
                                                        Purpose::kInitialisation)));
      auto scorer = std::make_unique<LocalOnlyScorer>(context, std::move(step), std::move(first));
      DEMUR_TRY(const double auc,
                PooledAuc(*scorer, context.people, HeldOut::kValidation, 0, context.workers));
      if (best_auc && !(auc > *best_auc)) continue;
      best_auc = auc;
      best = {std::move(scorer), Describe(grid.Trials(), rate, l2)};
    }
  }
  return best;
}

// bias_only and central: the same search over the same trainer. A trial is one thread's work from
// its first epoch to its last.
Result<Baseline> Central(const BaselineContext& context, const TuningGrid& grid,
                         std::uint32_t factors) {
  std::vector<CentralOptions> trials;
  for (const double rate : grid.learning_rate) {
    for (const double l2 : grid.l2) {
      trials.push_back({.factors = factors,
                        .rate = rate,
                        .l2 = l2,
                        .epochs = grid.epochs,
                        .patience = grid.patience,
                        .seed = context.seed});
    }
  }
  std::vector<Result<CentralModel>> models(trials.size(),
                                           Error(ErrorCode::kInternal, "not trained"));
  context.workers.ForEach(
      static_cast<std::uint32_t>(trials.size()), 1, [&](std::uint32_t trial, unsigned) {
        Workers alone(1);
        models[trial] = TrainCentral(context.people, trials[trial], context.random, alone);
      });
  std::size_t best = 0;
  for (std::size_t trial = 0; trial < models.size(); ++trial) {
    if (!models[trial]) return std::move(models[trial]).error();
    if (models[trial]->validation_auc > models[best]->validation_auc) best = trial;
  }
  const std::string about = Describe(trials.size(), trials[best].rate, trials[best].l2) + ", " +
                            std::to_string(models[best]->epochs) + " epochs";
  return Baseline{MakeCentralScorer(std::move(*models[best])), about};
}

}  // namespace

Result<Baseline> TrainBaseline(const std::string& name, const BaselineContext& context) {
  if (name == "random") return Baseline{std::make_unique<RandomScorer>(context.random), ""};
  if (name == "popularity") return ItemCounts(context.people, false);
  if (name == "like_rate") return ItemCounts(context.people, true);
  if (name == "local_only") return LocalOnly(context);
  if (name == "oracle") {
    if (context.truth == nullptr) {
      return Error(ErrorCode::kInvalidArgument, "the oracle needs synthetic data");
    }
    return Baseline{std::make_unique<OracleScorer>(*context.truth), ""};
  }
  if (name == "bias_only") return Central(context, context.scenario.bias_only, 0);
  if (name == "central") {
    if (context.task.config().model.algorithm != "biased_mf") {
      return Error(ErrorCode::kInvalidArgument,
                   "baseline 'central' is the twin of biased_mf: leave it out of baselines.models");
    }
    return Central(context, context.scenario.central, context.task.config().model.factors);
  }
  return Error(ErrorCode::kInvalidArgument, "unknown baseline '" + name + "'");
}

}  // namespace demur::sim
