#include "demur/learning/split.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "demur/learning/train_view.h"

namespace demur::learning {
namespace {

constexpr std::array<std::pair<std::string_view, SplitKind>, 4> kNames = {{
    {"random", SplitKind::kRandom},
    {"leave_one_out", SplitKind::kLeaveOneOut},
    {"time", SplitKind::kTime},
    {"time_cut", SplitKind::kTimeCut},
}};

std::size_t Share(std::size_t count, double fraction) {
  return static_cast<std::size_t>(std::llround(static_cast<double>(count) * fraction));
}

// The last `test` of `order` become test, the `validation` before them validation; at least one
// event stays in train.
Split Cut(const std::vector<Event>& order, std::size_t test, std::size_t validation) {
  const std::size_t count = order.size();
  if (count > 0) {
    test = std::min(test, count - 1);
    validation = std::min(validation, count - 1 - test);
  }
  const std::size_t train = count - test - validation;
  const auto at = [&](std::size_t i) { return order.begin() + static_cast<std::ptrdiff_t>(i); };
  Split out;
  out.train.assign(at(0), at(train));
  out.validation.assign(at(train), at(train + validation));
  out.test.assign(at(train + validation), order.end());
  for (auto* part : {&out.train, &out.validation, &out.test}) {
    std::sort(part->begin(), part->end(), EarlierThan);
  }
  return out;
}

Status Shuffle(std::uint64_t user, RandomSource& random, std::vector<Event>* events) {
  StreamId id;
  id.client = user;
  id.purpose = Purpose::kData;
  DEMUR_TRY(const auto stream, random.Stream(id));
  WordReader words(*stream);
  for (std::size_t i = events->size(); i > 1; --i) {
    std::swap((*events)[i - 1], (*events)[words.Below(static_cast<std::uint32_t>(i))]);
  }
  return words.status();
}

}  // namespace

std::string_view ToString(SplitKind kind) noexcept {
  for (const auto& [name, value] : kNames) {
    if (value == kind) return name;
  }
  return "unknown";
}

Result<SplitKind> ParseSplitKind(std::string_view name) {
  for (const auto& [known, value] : kNames) {
    if (known == name) return value;
  }
  return Error(ErrorCode::kInvalidArgument, "unknown split '" + std::string(name) +
                                                "'; known: random, leave_one_out, time, time_cut");
}

Result<Split> SplitUser(std::span<const Event> events, const SplitOptions& options,
                        std::uint64_t user, RandomSource& random) {
  const auto fraction = [](double value) { return value >= 0 && value < 1; };
  if (!fraction(options.test) || !fraction(options.validation)) {
    return Error(ErrorCode::kInvalidArgument, "split: fractions must lie in [0, 1)");
  }
  std::vector<Event> order(events.begin(), events.end());
  std::sort(order.begin(), order.end(), EarlierThan);
  const std::size_t count = order.size();
  std::size_t test = Share(count, options.test);
  switch (options.kind) {
    case SplitKind::kLeaveOneOut:
      return count < 3 ? Cut(order, 0, 0) : Cut(order, 1, 1);
    case SplitKind::kTimeCut:
      test = static_cast<std::size_t>(
          std::count_if(order.begin(), order.end(),
                        [&](const Event& event) { return event.unix_ms >= options.cut_unix_ms; }));
      // Somebody who came after the cut has no train side at all.
      if (test == count) {
        Split out;
        out.test = std::move(order);
        return out;
      }
      break;
    case SplitKind::kRandom:
      DEMUR_RETURN_IF_ERROR(Shuffle(user, random, &order));
      break;
    case SplitKind::kTime:
      break;
  }
  return Cut(order, test, Share(count - std::min(test, count), options.validation));
}

Result<std::int64_t> FindTimeCut(std::span<const std::int64_t> unix_ms, double fraction) {
  if (unix_ms.empty() || !(fraction > 0 && fraction < 1)) {
    return Error(ErrorCode::kInvalidArgument, "time cut: needs events and a fraction in (0, 1)");
  }
  std::vector<std::int64_t> sorted(unix_ms.begin(), unix_ms.end());
  const std::size_t held =
      std::clamp<std::size_t>(Share(sorted.size(), fraction), 1, sorted.size());
  const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() - held);
  std::nth_element(sorted.begin(), at, sorted.end());
  return *at;
}

}  // namespace demur::learning
