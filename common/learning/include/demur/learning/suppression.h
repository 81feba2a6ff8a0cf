#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "demur/base/result.h"
#include "demur/learning/events.h"

// What a rejection does to the next list, on the device and at once: the item itself disappears,
// and what resembles it sinks for a while. Training would take rounds to say the same, and a
// low-rank model says it hardly at all. Nothing here is sent anywhere.
// Not thread-safe.
namespace demur::learning {

// Item vectors inside a row-major table: row i is values[i * stride, i * stride + dim).
struct ItemVectors {
  std::span<const float> values;
  std::uint32_t stride = 0;
  std::uint32_t dim = 0;
};

struct SuppressionOptions {
  double eta = 1.0;          // strength of the whole penalty; 0 to 10; 0 = hard filters only
  double penalty_cap = 2.0;  // at most so many standard deviations per item; 0 = no cap
  std::uint32_t rejections_max =
      500;  // the latest ones; older ones no longer suppress similar items
};

struct Candidate {
  std::uint32_t item = 0;
  float score = 0;
};

class Suppression {
 public:
  // From one person's cleaned events. Items whose rule is a hard filter are filtered however old
  // the event is; soft suppressions below 0.01 are forgotten.
  // kInvalidArgument: an option out of range.
  static Result<Suppression> Create(std::span<const Event> events, const SignalTable& signals,
                                    std::int64_t now_unix_ms, const SuppressionOptions& options);

  bool Filtered(std::uint32_t item) const noexcept;
  // Removes filtered candidates, then lowers each score by
  //   sd * min(cap, eta * sum_j kappa_j * 2^(-age_j / half_life_j) * max(0, cos(item, j)))
  // where j runs over the rejections that spread, plus the item's own where it does not, and sd is
  // the standard deviation of the candidates' scores. The order of `candidates` is kept.
  // kInvalidArgument: a candidate or a rejected item lies outside the table, or a score or a vector
  // is not finite; `candidates` is then unchanged.
  Status Apply(const ItemVectors& vectors, std::vector<Candidate>* candidates) const;

 private:
  struct Rejection {
    std::uint32_t item = 0;
    double strength = 0;  // kappa, faded to now
    bool spreads = false;
  };
  std::vector<std::uint32_t> filtered_;  // ascending
  std::vector<Rejection> rejections_;
  SuppressionOptions options_;
};

}  // namespace demur::learning
