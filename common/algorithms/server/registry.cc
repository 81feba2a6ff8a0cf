#include "demur/learning_server/registry.h"

#include <array>
#include <string>
#include <utility>

#include "../biased_mf/optimiser.h"
#include "../biased_mf/server.h"
#include "../item_statistics/server.h"
#include "../row_counts/hyper.h"
#include "demur/learning/row_buckets.h"

namespace demur::learning_server {
namespace {

struct Entry {
  std::string_view name;
  Result<std::unique_ptr<learning::ServerStep>> (*make)(const model::TrainingPlan&);
  Result<model::Schema> (*schema)(const ModelShape&);
};

// All algorithms, in one place.
constexpr std::array<Entry, 2> kEntries = {{
    {"biased_mf", biased_mf::MakeServer,
     [](const ModelShape& shape) {
       return biased_mf::MakeSchema(shape.items, shape.factors, shape.weight);
     }},
    {"item_statistics", item_statistics::MakeServer,
     [](const ModelShape& shape) {
       return item_statistics::MakeSchema(shape.items, shape.weight);
     }},
}};

Result<const Entry*> Find(std::string_view name) {
  std::string known;
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return &entry;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return Error(ErrorCode::kNotFound,
               "unknown algorithm '" + std::string(name) + "'; known: " + known);
}

}  // namespace

Result<std::unique_ptr<learning::ServerStep>> MakeServerStep(std::string_view name,
                                                             const model::TrainingPlan& plan) {
  DEMUR_TRY(const Entry* const entry, Find(name));
  return entry->make(plan);
}

Result<model::Schema> MakeSchema(std::string_view name, const ModelShape& shape) {
  DEMUR_TRY(const Entry* const entry, Find(name));
  return entry->schema(shape);
}

model::TrainingPlan RowCountsTraining(std::uint32_t items, std::uint32_t rows_max) {
  model::TrainingPlan out;
  out.algorithm = row_counts::kName;
  for (const auto& [index, value] :
       {std::pair(row_counts::kItems, items), std::pair(row_counts::kRowsMax, rows_max)}) {
    out.hyper.push_back({std::string(row_counts::kHyper[index].name), double{1} * value});
  }
  out.schema.tables.push_back(
      {std::string(row_counts::kTable), learning::NumBuckets(items), 1, 1.0});
  out.slice = model::Slice::Everything(out.schema);
  out.value_max = 1;
  out.normaliser = 1;
  return out;
}

Result<double> ServerOptimiserNumber(std::string_view name) {
  using biased_mf::Optimiser;
  if (name == "sgd") return static_cast<double>(Optimiser::kSgd);
  if (name == "adam") return static_cast<double>(Optimiser::kAdam);
  if (name == "adagrad") return static_cast<double>(Optimiser::kAdagrad);
  return Error(ErrorCode::kInvalidArgument,
               "unknown server optimiser '" + std::string(name) + "'; known: sgd, adam, adagrad");
}

}  // namespace demur::learning_server
