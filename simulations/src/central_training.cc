#include "central_training.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "dice.h"

namespace demur::sim {
namespace {

constexpr double kRateHalfLife = 12;   // epochs
constexpr double kInitialScale = 0.1;  // standard deviation of first factors
constexpr std::uint64_t kTask = 0x63656e7472616c;

struct Sample {
  std::uint32_t user = 0;
  learning::Example example;
};

float Logit(const CentralModel& model, std::uint32_t user, std::uint32_t item) {
  const std::size_t cols = model.factors + 1;
  const float* x = model.users.data() + user * cols;
  const float* y = model.items.data() + item * cols;
  float logit = model.bias + x[model.factors] + y[model.factors];
  for (std::uint32_t f = 0; f < model.factors; ++f) logit += x[f] * y[f];
  return logit;
}

class CentralScorer final : public Scorer {
 public:
  explicit CentralScorer(const CentralModel& model) : model_(&model) {}
  explicit CentralScorer(CentralModel&& model) : owned_(std::move(model)), model_(&owned_) {}
  CentralScorer(const CentralScorer&) = delete;
  CentralScorer& operator=(const CentralScorer&) = delete;

  Status Score(std::uint32_t user, unsigned, std::span<float> scores) const override {
    for (std::uint32_t item = 0; item < scores.size(); ++item) {
      scores[item] = Logit(*model_, user, item);
    }
    return {};
  }

 private:
  CentralModel owned_;
  const CentralModel* model_;
};

CentralModel FirstModel(const People& people, const std::vector<Sample>& samples,
                        std::uint32_t factors, Dice* dice) {
  CentralModel model;
  model.factors = factors;
  const std::size_t cols = factors + 1;
  model.users.assign(people.size() * cols, 0.0F);
  model.items.assign(people.num_items() * cols, 0.0F);
  for (auto* table : {&model.users, &model.items}) {
    for (std::size_t i = 0; i < table->size(); ++i) {
      if (i % cols < factors) (*table)[i] = static_cast<float>(kInitialScale * dice->Normal());
    }
  }
  double positive = 0;
  double weight = 0;
  for (const Sample& sample : samples) {
    positive += static_cast<double>(sample.example.weight * sample.example.label);
    weight += static_cast<double>(sample.example.weight);
  }
  const double p = std::clamp(weight > 0 ? positive / weight : 0.5, 0.01, 0.99);
  model.bias = static_cast<float>(std::log(p / (1 - p)));
  return model;
}

void RunEpoch(const std::vector<Sample>& samples, float rate, float l2, CentralModel* model) {
  const std::uint32_t factors = model->factors;
  const std::size_t cols = factors + 1;
  for (const Sample& sample : samples) {
    float* x = model->users.data() + sample.user * cols;
    float* y = model->items.data() + sample.example.item * cols;
    const float logit = Logit(*model, sample.user, sample.example.item);
    const float error =
        sample.example.weight * (sample.example.label - 1.0F / (1.0F + std::exp(-logit)));
    for (std::uint32_t f = 0; f < factors; ++f) {
      const float xf = x[f];
      x[f] += rate * (error * y[f] - l2 * xf);
      y[f] += rate * (error * xf - l2 * y[f]);
    }
    x[factors] += rate * (error - l2 * x[factors]);
    y[factors] += rate * (error - l2 * y[factors]);
  }
}

}  // namespace

Result<CentralModel> TrainCentral(const People& people, const CentralOptions& options,
                                  RandomSource& random, Workers& workers) {
  DEMUR_TRY(auto stream, random.Stream({.task = kTask,
                                        .round = options.factors,
                                        .client = kNoClient,
                                        .purpose = Purpose::kInitialisation}));
  Dice dice(std::move(stream));
  std::vector<Sample> samples;
  for (std::uint32_t user = 0; user < people.size(); ++user) {
    for (const learning::Example& example : people.person(user).view.examples()) {
      samples.push_back({user, example});
    }
  }
  CentralModel model = FirstModel(people, samples, options.factors, &dice);
  CentralModel best = model;
  std::uint32_t since_best = 0;
  for (std::uint32_t epoch = 1; epoch <= options.epochs && since_best < options.patience; ++epoch) {
    for (std::size_t i = samples.size(); i > 1; --i) {
      std::swap(samples[i - 1], samples[dice.Below(static_cast<std::uint32_t>(i))]);
    }
    const double rate = options.rate * std::exp2(-static_cast<double>(epoch - 1) / kRateHalfLife);
    RunEpoch(samples, static_cast<float>(rate), static_cast<float>(options.l2), &model);
    const CentralScorer scorer(model);
    DEMUR_TRY(const double auc, PooledAuc(scorer, people, HeldOut::kValidation, 0, workers));
    ++since_best;
    if (epoch == 1 || auc > best.validation_auc) {
      best = model;
      best.validation_auc = auc;
      best.epochs = epoch;
      since_best = 0;
    }
  }
  DEMUR_RETURN_IF_ERROR(dice.status());
  return best;
}

std::unique_ptr<Scorer> MakeCentralScorer(CentralModel model) {
  return std::make_unique<CentralScorer>(std::move(model));
}

}  // namespace demur::sim
