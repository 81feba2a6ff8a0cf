#include "demur/learning/signals.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace demur::learning {
namespace {

constexpr double kDay = 24.0;
constexpr double kMaxWeight = 100.0;
constexpr double kMaxKappa = 10.0;
constexpr double kMaxHalfLifeHours = 24.0 * 3650.0;

struct Row {
  Signal signal;
  std::string_view name;
  Evidence evidence;
  SignalRule rule;
};

constexpr Label kYes = Label::kPositive;
constexpr Label kNo = Label::kNegative;

// In the order of the numbers: rule() indexes by them.
constexpr std::array<Row, kNumSignals> kRows = {{
    {Signal::kLike, "like", Evidence::kExplicit, {kYes, 1.5, 0, 0, false, false}},
    {Signal::kClick, "click", Evidence::kImplicit, {kYes, 1.0, 0, 0, false, false}},
    {Signal::kLongView, "long_view", Evidence::kImplicit, {kYes, 1.5, 0, 0, false, false}},
    {Signal::kPurchase, "purchase", Evidence::kExplicit, {kYes, 2.0, 0, 0, false, false}},
    {Signal::kSkip, "skip", Evidence::kImplicit, {kNo, 0.3, 0.1, 6, false, false}},
    {Signal::kShortView, "short_view", Evidence::kImplicit, {kNo, 0.5, 0.2, kDay, false, false}},
    // Interest in the item; a conversion model sets label = "negative", weight = 1.
    {Signal::kClickWithoutPurchase,
     "click_without_purchase",
     Evidence::kImplicit,
     {kYes, 0.7, 0, 0, false, false}},
    {Signal::kHide, "hide", Evidence::kExplicit, {kNo, 2.0, 1.0, 30 * kDay, true, true}},
    {Signal::kDislike, "dislike", Evidence::kExplicit, {kNo, 3.0, 1.5, 90 * kDay, true, true}},
    {Signal::kReport, "report", Evidence::kExplicit, {Label::kNone, 0, 0, 0, false, true}},
    {Signal::kNeutral, "neutral", Evidence::kNone, {Label::kNone, 0, 0, 0, false, false}},
}};

constexpr bool InOrder() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].signal) != i + 1) return false;
  }
  return true;
}
static_assert(InOrder(), "row i must describe signal i + 1");

const Row& RowOf(Signal signal) { return kRows[static_cast<std::size_t>(signal) - 1]; }

std::string_view LabelName(Label label) {
  switch (label) {
    case Label::kPositive:
      return "positive";
    case Label::kNegative:
      return "negative";
    case Label::kNone:
      break;
  }
  return "none";
}

bool Within(double value, double max) { return std::isfinite(value) && value >= 0 && value <= max; }

}  // namespace

std::string_view ToString(Signal signal) noexcept { return RowOf(signal).name; }

Result<Signal> ParseSignal(std::string_view name) {
  std::string known;
  for (const Row& row : kRows) {
    if (row.name == name) return row.signal;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  return Error(ErrorCode::kInvalidArgument,
               "unknown signal '" + std::string(name) + "'; known: " + known);
}

Result<Signal> SignalFromNumber(std::uint8_t number) {
  if (number < 1 || number > kNumSignals) {
    return Error(ErrorCode::kDataLoss, "no signal has the stored number");
  }
  return static_cast<Signal>(number);
}

Evidence EvidenceOf(Signal signal) noexcept { return RowOf(signal).evidence; }

SignalTable::SignalTable() {
  for (std::size_t i = 0; i < kRows.size(); ++i) rules_[i] = kRows[i].rule;
}

Status SignalTable::Set(Signal signal, const SignalRule& rule) {
  const std::string name(ToString(signal));
  if (!Within(rule.weight, kMaxWeight) || !Within(rule.kappa, kMaxKappa) ||
      !Within(rule.half_life_hours, kMaxHalfLifeHours)) {
    return Error(ErrorCode::kInvalidArgument, "signals." + name + ": a number is out of range");
  }
  if (rule.label == Label::kNone && rule.weight > 0) {
    return Error(ErrorCode::kInvalidArgument, "signals." + name + ": a weight needs a label");
  }
  rules_[static_cast<std::size_t>(signal) - 1] = rule;
  return {};
}

void SignalTable::Read(Config& config) {
  Config::Table all = config.Section("signals");
  for (const std::string& key : all.Keys()) {
    if (auto known = ParseSignal(key); !known) all.Reject(key, known.error().message());
  }
  for (const Row& row : kRows) {
    const std::string name(row.name);
    if (!all.Has(name)) continue;
    Config::Table table = all.Section(name);
    SignalRule rule = this->rule(row.signal);
    std::string label(LabelName(rule.label));
    table.Read("label", &label)
        .Read("weight", &rule.weight, 0, kMaxWeight)
        .Read("kappa", &rule.kappa, 0, kMaxKappa)
        .Read("half_life_hours", &rule.half_life_hours, 0, kMaxHalfLifeHours)
        .Read("spreads", &rule.spreads)
        .Read("hard_filter", &rule.hard_filter);
    if (label == "positive" || label == "negative") {
      rule.label = label == "positive" ? Label::kPositive : Label::kNegative;
    } else if (label == "none") {
      // Saying only label = "none" is enough; the default weight goes with the default label.
      if (!table.Has("weight")) rule.weight = 0;
      rule.label = Label::kNone;
    } else {
      table.Reject("label", "must be \"positive\", \"negative\" or \"none\"");
    }
    if (auto set = Set(row.signal, rule); !set) table.Reject("weight", set.error().message());
  }
}

std::optional<float> LabelValue(Label label) noexcept {
  if (label == Label::kNone) return std::nullopt;
  return label == Label::kPositive ? 1.0F : 0.0F;
}

}  // namespace demur::learning
