#include "demur/learning_local/registry.h"

#include <array>
#include <string>

#include "../biased_mf/local.h"
#include "../item_statistics/local.h"
#include "../row_counts/local.h"

namespace demur::learning_local {
namespace {

struct Entry {
  std::string_view name;
  Result<std::unique_ptr<learning::LocalStep>> (*make)(const model::TrainingPlan&);
};

// All algorithms, in one place.
constexpr std::array<Entry, 3> kEntries = {{
    {"biased_mf", biased_mf::MakeLocal},
    {"item_statistics", item_statistics::MakeLocal},
    {model::kRowCountsAlgorithm, row_counts::MakeLocal},
}};

}  // namespace

Result<std::unique_ptr<learning::LocalStep>> MakeLocalStep(std::string_view name,
                                                           const model::TrainingPlan& plan) {
  std::string known;
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.make(plan);
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return Error(ErrorCode::kNotFound,
               "unknown algorithm '" + std::string(name) + "'; known: " + known);
}

}  // namespace demur::learning_local
