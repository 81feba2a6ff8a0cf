#include "demur/learning/suppression.h"

#include <algorithm>
#include <cmath>

namespace demur::learning {
namespace {

constexpr double kForgotten = 0.01;
constexpr double kMsPerHour = 3'600'000.0;

Error Bad(const char* what) { return Error(ErrorCode::kInvalidArgument, what); }

double Norm(std::span<const float> v) {
  double sum = 0;
  for (const float x : v) sum += static_cast<double>(x) * x;
  return std::sqrt(sum);
}

// max(0, cosine); 0 for a zero vector.
double Similarity(std::span<const float> a, double norm_a, std::span<const float> b,
                  double norm_b) {
  if (norm_a <= 0 || norm_b <= 0) return 0;
  double sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += static_cast<double>(a[k]) * b[k];
  return std::max(0.0, sum / (norm_a * norm_b));
}

double Deviation(const std::vector<Candidate>& candidates) {
  if (candidates.empty()) return 0;
  const auto count = static_cast<double>(candidates.size());
  double mean = 0;
  for (const Candidate& candidate : candidates) mean += candidate.score;
  mean /= count;
  double squares = 0;
  for (const Candidate& candidate : candidates) {
    squares += (candidate.score - mean) * (candidate.score - mean);
  }
  return std::sqrt(squares / count);
}

}  // namespace

Result<Suppression> Suppression::Create(std::span<const Event> events, const SignalTable& signals,
                                        std::int64_t now_unix_ms,
                                        const SuppressionOptions& options) {
  const auto within = [](double value, double max) { return value >= 0 && value <= max; };
  if (!within(options.eta, 10) || !within(options.penalty_cap, 100)) {
    return Bad("suppression: eta 0 to 10, penalty_cap 0 to 100");
  }
  Suppression out;
  out.options_ = options;
  std::vector<Event> order(events.begin(), events.end());
  std::sort(order.begin(), order.end(), [](const Event& a, const Event& b) {
    return EarlierThan(b, a);  // the latest first
  });
  for (const Event& event : order) {
    const SignalRule& rule = signals.rule(event.signal);
    if (rule.hard_filter) out.filtered_.push_back(event.item.value);
    if (rule.kappa <= 0 || out.rejections_.size() >= options.rejections_max) continue;
    // A clock that was set back must not make a rejection stronger than it was.
    const double hours = std::max(
        0.0, (static_cast<double>(now_unix_ms) - static_cast<double>(event.unix_ms)) / kMsPerHour);
    const double faded = rule.half_life_hours > 0
                             ? rule.kappa * std::exp2(-hours / rule.half_life_hours)
                             : rule.kappa;
    if (faded >= kForgotten) out.rejections_.push_back({event.item.value, faded, rule.spreads});
  }
  std::sort(out.filtered_.begin(), out.filtered_.end());
  return out;
}

bool Suppression::Filtered(std::uint32_t item) const noexcept {
  return std::binary_search(filtered_.begin(), filtered_.end(), item);
}

Status Suppression::Apply(const ItemVectors& vectors, std::vector<Candidate>* candidates) const {
  if (vectors.dim > vectors.stride || vectors.stride == 0) return Bad("suppression: vector sizes");
  const std::size_t items = vectors.values.size() / vectors.stride;
  const auto vector_of = [&](std::uint32_t item) {
    return vectors.values.subspan(std::size_t{item} * vectors.stride, vectors.dim);
  };
  std::vector<double> rejected_norms;
  for (const Rejection& rejection : rejections_) {
    if (rejection.item >= items) return Bad("suppression: a rejected item outside the table");
    rejected_norms.push_back(Norm(vector_of(rejection.item)));
    if (!std::isfinite(rejected_norms.back())) return Bad("suppression: a vector is not finite");
  }
  std::vector<Candidate> kept;
  kept.reserve(candidates->size());
  std::vector<double> penalties;
  for (const Candidate& candidate : *candidates) {
    if (candidate.item >= items) return Bad("suppression: a candidate outside the table");
    if (!std::isfinite(candidate.score)) return Bad("suppression: a score is not finite");
    if (Filtered(candidate.item)) continue;
    const auto vector = vector_of(candidate.item);
    const double norm = Norm(vector);
    if (!std::isfinite(norm)) return Bad("suppression: a vector is not finite");
    double penalty = 0;
    for (std::size_t j = 0; j < rejections_.size(); ++j) {
      const Rejection& rejection = rejections_[j];
      if (rejection.item == candidate.item) {
        penalty += rejection.strength;
      } else if (rejection.spreads) {
        penalty += rejection.strength *
                   Similarity(vector, norm, vector_of(rejection.item), rejected_norms[j]);
      }
    }
    penalty *= options_.eta;
    if (options_.penalty_cap > 0) penalty = std::min(penalty, options_.penalty_cap);
    kept.push_back(candidate);
    penalties.push_back(penalty);
  }
  const double deviation = Deviation(kept);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    kept[i].score = static_cast<float>(kept[i].score - deviation * penalties[i]);
  }
  *candidates = std::move(kept);
  return {};
}

}  // namespace demur::learning
