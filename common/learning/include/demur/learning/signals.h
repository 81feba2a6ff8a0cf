#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "demur/base/config.h"
#include "demur/base/result.h"

// What a person can do with an item, and what each act means for training and for what is shown
// next. The defaults are a table; the section [signals.<name>] of a config file changes a row.
// Value types; a SignalTable that is not being changed may be read from several threads.
namespace demur::learning {

// Stored in the device's event log: never renumber.
enum class Signal : std::uint8_t {
  kLike = 1,
  kClick = 2,
  kLongView = 3,
  kPurchase = 4,
  kSkip = 5,                  // seen, passed over, something lower on the page was acted on
  kShortView = 6,             // a click that was left at once
  kClickWithoutPurchase = 7,  // interest, but no purchase within the window
  kHide = 8,                  // "not interested"
  kDislike = 9,
  kReport = 10,   // abuse or fraud: says nothing about taste
  kNeutral = 11,  // seen and judged neither way: a middle rating, a pass
};
inline constexpr std::size_t kNumSignals = 11;

// "like", "long_view", ..: the names of config files and of data mappings.
std::string_view ToString(Signal signal) noexcept;
// kInvalidArgument: no such name; the message lists the known ones.
Result<Signal> ParseSignal(std::string_view name);
// kDataLoss: the number is no signal's (event logs).
Result<Signal> SignalFromNumber(std::uint8_t number);

// Given on purpose (like, purchase, hide, dislike, report), seen from behaviour, or no opinion.
// Cleaning lets the stronger kind win (events.h).
enum class Evidence : std::uint8_t { kNone = 0, kImplicit = 1, kExplicit = 2 };
Evidence EvidenceOf(Signal signal) noexcept;

enum class Label : std::uint8_t {
  kNone,      // observed: never drawn as a negative, masked in rankings, but not trained on
  kPositive,  // 1
  kNegative,  // 0
};

struct SignalRule {
  Label label = Label::kNone;
  double weight = 0;  // of the example in the loss; 0 to 100; 0 = not trained on
  // Suppression of what is shown next (suppression.h): strength in standard deviations of the
  // candidates' scores, 0 to 10, and its half-life in hours; 0 = never fades.
  double kappa = 0;
  double half_life_hours = 0;
  bool spreads = false;      // the suppression reaches similar items, not only this one
  bool hard_filter = false;  // this item is never shown again, until the act is undone
};

class SignalTable {
 public:
  // The defaults (docs/algorithms.md, "Signals").
  SignalTable();

  const SignalRule& rule(Signal signal) const noexcept {
    return rules_[static_cast<std::size_t>(signal) - 1];
  }
  // kInvalidArgument: a number out of range, or a label without weight.
  Status Set(Signal signal, const SignalRule& rule);

  // Changes rows by [signals.<name>] with the keys label ("positive", "negative", "none"), weight,
  // kappa, half_life_hours, spreads, hard_filter; what is absent keeps its default. Ranges, types
  // and unknown names are reported by Config::Finish with file and line.
  void Read(Config& config);

 private:
  std::array<SignalRule, kNumSignals> rules_;
};

// Label of an event as a number for the loss; nothing for what is not trained on.
std::optional<float> LabelValue(Label label) noexcept;

}  // namespace demur::learning
