#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "demur/learning/local_step.h"
#include "demur/learning/server_step.h"
#include "demur/learning_local/registry.h"
#include "demur/learning_server/registry.h"
#include "demur/model/plan.h"

// What the tests of this folder share.
namespace demur {

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

inline model::Layout MakeLayout(const model::TrainingPlan& plan) {
  return model::Layout::Create(plan.schema, plan.slice).value();
}

inline learning::TrainView MakeView(
    const std::vector<std::pair<std::uint32_t, learning::Signal>>& acts, std::uint32_t items) {
  std::vector<learning::Event> events;
  for (const auto& [item, signal] : acts) events.push_back({ItemId(item), signal, 0, 0});
  return learning::TrainView::Create(events, learning::SignalTable(), items).value();
}

}  // namespace demur
