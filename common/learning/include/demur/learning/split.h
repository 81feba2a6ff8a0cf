#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/learning/events.h"

// Splits of one person's cleaned events into train, validation and test. Validation comes out of
// train. Stateless; safe from several threads.
namespace demur::learning {

enum class SplitKind : std::uint8_t {
  kRandom,       // fractions, drawn at random
  kLeaveOneOut,  // test = the latest event, validation = the second latest
  kTime,         // fractions, the latest events are test, those before them validation
  kTimeCut,      // test = everything from `cut_unix_ms` on, for all people at once
};
// "random", "leave_one_out", "time", "time_cut".
std::string_view ToString(SplitKind kind) noexcept;
// kInvalidArgument: no such name.
Result<SplitKind> ParseSplitKind(std::string_view name);

struct SplitOptions {
  SplitKind kind = SplitKind::kRandom;
  double test = 0.2;        // of the events; [0, 1)
  double validation = 0.1;  // of what is not test; [0, 1); leave-one-out ignores both
  std::int64_t cut_unix_ms = 0;
};

struct Split {
  std::vector<Event> train;
  std::vector<Event> validation;
  std::vector<Event> test;
};

// Splits the events of person `user` (one per item). Counts are rounded to the nearest integer, at
// least one event stays in train. Later means greater (time, order). Leave-one-out: people with
// fewer than 3 events go to train only. kRandom draws from the stream (task 0, round 0, client =
// user, purpose kData) of `random`: the split of one person does not depend on the others.
// Each part is ascending by (time, order).
// kInvalidArgument: a fraction out of range. kInternal: the random source failed.
Result<Split> SplitUser(std::span<const Event> events, const SplitOptions& options,
                        std::uint64_t user, RandomSource& random);

// The time from which the latest `fraction` of all events lie: the cut for kTimeCut.
// kInvalidArgument: no events, or fraction outside (0, 1).
Result<std::int64_t> FindTimeCut(std::span<const std::int64_t> unix_ms, double fraction);

}  // namespace demur::learning
