#include "demur/learning/hyper.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

namespace demur::learning {
namespace {

Error Bad(const HyperSpec& spec) {
  std::ostringstream text;
  text << "hyper-parameter " << spec.name << " must be "
       << (spec.integer ? "an integer" : "a number") << " from " << spec.min << " to " << spec.max;
  return Error(ErrorCode::kInvalidArgument, text.str());
}

}  // namespace

Result<std::vector<double>> ReadHyper(const model::TrainingPlan& plan,
                                      std::span<const HyperSpec> specs) {
  std::vector<double> values;
  values.reserve(specs.size());
  for (const HyperSpec& spec : specs) values.push_back(spec.fallback);
  for (const model::HyperParameter& hyper : plan.hyper) {
    const auto spec = std::find_if(specs.begin(), specs.end(),
                                   [&](const HyperSpec& s) { return s.name == hyper.name; });
    if (spec == specs.end()) {
      std::string known;
      for (const HyperSpec& s : specs) known += (known.empty() ? "" : ", ") + std::string(s.name);
      return Error(ErrorCode::kInvalidArgument, "unknown hyper-parameter '" + hyper.name + "' of " +
                                                    plan.algorithm + "; known: " + known);
    }
    // Written so that a NaN is refused as well.
    const bool inside = hyper.value >= spec->min && hyper.value <= spec->max;
    if (!inside || (spec->integer && hyper.value != std::floor(hyper.value))) return Bad(*spec);
    values[static_cast<std::size_t>(spec - specs.begin())] = hyper.value;
  }
  return values;
}

}  // namespace demur::learning
