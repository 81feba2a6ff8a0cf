#include "demur/learning/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

namespace demur::learning {
namespace {

Error NotFinite() { return Error(ErrorCode::kInvalidArgument, "metric: a score is not finite"); }
Error Empty(const char* what) { return Error(ErrorCode::kFailedPrecondition, what); }

Status CheckFinite(std::span<const ScoredLabel> pairs) {
  for (const ScoredLabel& pair : pairs) {
    if (!std::isfinite(pair.score)) return NotFinite();
  }
  return {};
}

std::uint64_t CountPositives(std::span<const ScoredLabel> pairs) {
  return static_cast<std::uint64_t>(std::count_if(
      pairs.begin(), pairs.end(), [](const ScoredLabel& pair) { return pair.positive; }));
}

// Nothing when one class is missing. Scores are finite.
std::optional<double> AucOf(std::span<const ScoredLabel> pairs) {
  const std::uint64_t positives = CountPositives(pairs);
  const std::uint64_t negatives = pairs.size() - positives;
  if (positives == 0 || negatives == 0) return std::nullopt;
  std::vector<ScoredLabel> sorted(pairs.begin(), pairs.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const ScoredLabel& a, const ScoredLabel& b) { return a.score < b.score; });
  // Twice the wins, in integers: 2 for every negative below, 1 for every negative at the same
  // score.
  std::uint64_t below = 0;
  std::uint64_t twice_wins = 0;
  for (std::size_t i = 0; i < sorted.size();) {
    std::size_t end = i;
    std::uint64_t tied_positives = 0;
    while (end < sorted.size() && sorted[end].score == sorted[i].score) {
      tied_positives += sorted[end].positive ? 1U : 0U;
      ++end;
    }
    const std::uint64_t tied_negatives = end - i - tied_positives;
    twice_wins += tied_positives * (2 * below + tied_negatives);
    below += tied_negatives;
    i = end;
  }
  return static_cast<double>(twice_wins) /
         (2.0 * static_cast<double>(positives) * static_cast<double>(negatives));
}

// Quantile 0.975 of Student's t.
double StudentQuantile(std::uint64_t freedom) {
  constexpr std::array<double, 30> kTable = {
      12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
      2.2010,  2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
      2.0796,  2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423};
  if (freedom <= kTable.size()) return kTable[freedom - 1];
  // Cornish-Fisher; wrong by less than 1e-5 here.
  constexpr double kZ = 1.959963984540054;
  const auto n = static_cast<double>(freedom);
  return kZ + (kZ * kZ * kZ + kZ) / (4 * n) +
         (5 * std::pow(kZ, 5) + 16 * kZ * kZ * kZ + 3 * kZ) / (96 * n * n);
}

Result<Interval> MakeInterval(std::span<const double> values, bool student) {
  if (values.size() < 2) return Empty("an interval needs two values");
  double sum = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) return NotFinite();
    sum += value;
  }
  const auto count = static_cast<double>(values.size());
  Interval out{sum / count, 0, values.size()};
  double squares = 0;
  for (const double value : values) squares += (value - out.mean) * (value - out.mean);
  const double error = std::sqrt(squares / (count - 1) / count);
  out.half_width = error * (student ? StudentQuantile(values.size() - 1) : 1.959963984540054);
  return out;
}

}  // namespace

Result<double> Auc(std::span<const ScoredLabel> pairs) {
  DEMUR_RETURN_IF_ERROR(CheckFinite(pairs));
  const auto auc = AucOf(pairs);
  if (!auc) return Empty("AUC needs both classes");
  return *auc;
}

Status GroupedAuc::AddUser(std::span<const ScoredLabel> pairs) {
  DEMUR_RETURN_IF_ERROR(CheckFinite(pairs));
  const auto auc = AucOf(pairs);
  if (!auc) return {};
  const auto impressions = static_cast<double>(pairs.size());
  const auto positives = static_cast<double>(CountPositives(pairs));
  impressions_sum_ += *auc * impressions;
  impressions_ += impressions;
  positives_sum_ += *auc * positives;
  positives_ += positives;
  ++users_;
  return {};
}

Result<double> GroupedAuc::by_impressions() const {
  if (users_ == 0) return Empty("GAUC: nobody had both classes");
  return impressions_sum_ / impressions_;
}

Result<double> GroupedAuc::by_positives() const {
  if (users_ == 0) return Empty("GAUC: nobody had both classes");
  return positives_sum_ / positives_;
}

Result<double> LogLoss(std::span<const ScoredLabel> pairs) {
  if (pairs.empty()) return Empty("log-loss of nothing");
  DEMUR_RETURN_IF_ERROR(CheckFinite(pairs));
  double sum = 0;
  for (const ScoredLabel& pair : pairs) {
    const double p =
        std::clamp(1.0 / (1.0 + std::exp(-pair.score)), kLogLossClip, 1.0 - kLogLossClip);
    sum -= pair.positive ? std::log(p) : std::log1p(-p);
  }
  return sum / static_cast<double>(pairs.size());
}

Result<Interval> SeedInterval(std::span<const double> values) { return MakeInterval(values, true); }
Result<Interval> UserInterval(std::span<const double> values) {
  return MakeInterval(values, false);
}

}  // namespace demur::learning
