#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "demur/learning/local_step.h"
#include "demur/learning/signals.h"
#include "demur/learning_local/registry.h"
#include "demur/learning_server/registry.h"
#include "demur/model/plan.h"
#include "demur/model/tables.h"
#include "demur/seeded/seeded_random.h"

// What the tests of ranking and of local rounds share.
namespace demur::client {

inline model::TrainingPlan MakeTraining(const std::string& algorithm, std::uint32_t items,
                                        std::uint32_t factors,
                                        std::vector<model::HyperParameter> hyper = {}) {
  model::TrainingPlan plan;
  plan.algorithm = algorithm;
  plan.hyper = std::move(hyper);
  plan.schema =
      learning_server::MakeSchema(algorithm, {.items = items, .factors = factors}).value();
  plan.slice = model::Slice::Everything(plan.schema);
  plan.value_max = 100;
  plan.normaliser = 10;
  return plan;
}

inline std::unique_ptr<learning::LocalStep> MakeStep(const model::TrainingPlan& plan) {
  return std::move(learning_local::MakeLocalStep(plan.algorithm, plan).value());
}

// Values between -1 and 1 in every cell.
inline model::SharedModel RandomModel(const model::Schema& schema, std::uint64_t seed) {
  model::SharedModel model(schema);
  seeded::SeededRandom random(seed);
  auto stream = random.Stream({.purpose = Purpose::kData}).value();
  for (std::uint32_t table = 0; table < schema.tables.size(); ++table) {
    for (float& value : model.values(table)) {
      value = static_cast<float>(2 * UniformUnit(*stream).value() - 1);
    }
  }
  return model;
}

inline learning::Event MakeEvent(std::uint32_t item, learning::Signal signal,
                                 std::int64_t unix_ms = 0, std::uint64_t order = 0) {
  return {ItemId(item), signal, unix_ms, order};
}

}  // namespace demur::client
