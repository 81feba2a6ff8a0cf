#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "demur/base/result.h"
#include "demur/learning/server_step.h"
#include "demur/model/plan.h"

// The coordinator's halves of all algorithms, by name. Stateless.
namespace demur::learning_server {

// kNotFound: no algorithm `name` (the message lists the known ones). kInvalidArgument: the schema
// is not the algorithm's, or a hyper-parameter is unknown or out of range.
Result<std::unique_ptr<learning::ServerStep>> MakeServerStep(std::string_view name,
                                                             const model::TrainingPlan& plan);

struct ModelShape {
  std::uint32_t items = 0;
  std::uint32_t factors = 0;  // biased_mf only
  double weight = 1.0;        // public factor of the table inside the clip
};

// The tables of algorithm `name`: item_statistics has `item_counts` (items x 3: likes, rejections,
// impressions), biased_mf has `item` (items x (factors + 1): factors, then the bias).
// kNotFound as above. kInvalidArgument: sizes out of range.
Result<model::Schema> MakeSchema(std::string_view name, const ModelShape& shape);

// What a session that counts rows computes, over a catalogue of `items`; of a device's rows
// `rows_max` at most. The sum is released as it is: the normaliser is 1.
model::TrainingPlan RowCountsTraining(std::uint32_t items, std::uint32_t rows_max);

// Number of the server optimiser for the hyper-parameter `server_optimiser`: "sgd", "adam",
// "adagrad". kInvalidArgument: no such name.
Result<double> ServerOptimiserNumber(std::string_view name);

}  // namespace demur::learning_server
