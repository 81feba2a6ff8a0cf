#include "demur/learning/examples.h"

namespace demur::learning {

std::vector<Example> MakeExamples(std::span<const Event> events, const SignalTable& signals) {
  std::vector<Example> out;
  out.reserve(events.size());
  for (const Event& event : events) {
    const SignalRule& rule = signals.rule(event.signal);
    const auto label = LabelValue(rule.label);
    if (!label || rule.weight <= 0) continue;
    out.push_back({event.item.value, *label, static_cast<float>(rule.weight)});
  }
  return out;
}

}  // namespace demur::learning
