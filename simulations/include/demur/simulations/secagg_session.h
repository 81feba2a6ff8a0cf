#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "demur/base/json.h"
#include "demur/base/result.h"
#include "demur/model/plan.h"

// One secure aggregation session measured: the devices in this process, the coordinator in a
// forked child, every message encoded and sent as a frame between the two. Certificates are X.509
// and checked by both sides as devices and coordinator do; there is no network, disk or TLS.
// Fractions are in thousandths, as in the plan.
namespace demur::sim {

// Before which of its messages a device leaves. kAny: one of them at random.
enum class LeaveAt : std::uint8_t { kAny, kShares, kMasked, kUnmask };

struct SecAggOptions {
  std::uint32_t clients = 0;           // the roster: 20 to 1,000,000
  std::uint32_t dim = 0;               // coordinates: 1 to 2^26
  std::uint32_t bits = 0;              // of a coordinate: 8 to 32
  std::uint32_t dropout_permille = 0;  // delta, for which the plan is made: 0 to 500
  std::uint32_t corrupt_permille = 0;  // gamma: 0 to 500
  model::SecAggProfile profile = model::SecAggProfile::kSemiHonest;
  std::uint64_t seed = 1;  // of keys, secrets, inputs and of who leaves, when and how
  // The share of the roster that really leaves: floor(share * clients) devices. nullopt: delta.
  std::optional<std::uint32_t> leave_permille;
  LeaveAt leave_at = LeaveAt::kMasked;

  std::uint32_t Leaving() const noexcept;  // devices
};

// What both sides compute from the roster and the plan.
struct SecAggParameters {
  std::uint32_t neighbours = 0;            // k
  std::uint32_t threshold = 0;             // t
  std::optional<std::uint32_t> committee;  // nullopt: a profile without one
  std::optional<std::uint32_t> quorum;     // q
  // Where the rule comes from: "published"; "complete": everybody masks with everybody;
  // "unreviewed": ours alone.
  std::string_view label;
};

// kInvalidArgument, with the flag of the command that is to blame ("--clients: ..."): out of range,
// or no parameters hold.
Result<SecAggParameters> FindSecAggParameters(std::uint32_t clients, std::uint32_t corrupt_permille,
                                              std::uint32_t dropout_permille,
                                              model::SecAggProfile profile);

struct Spread {
  double median = 0;
  double p95 = 0;
};

// CPU times are of one thread (CLOCK_THREAD_CPUTIME_ID). "Median" without more is the nearest rank
// over the devices that stayed to the end.
struct SecAggFigures {
  SecAggParameters parameters;
  bool ok = false;              // the coordinator got its sum
  std::optional<bool> exact;    // it is the plain sum of the survivors mod 2^bits; nullopt: no sum
  std::string abort;            // why there is none
  std::uint32_t left = 0;       // devices that left
  std::uint32_t survivors = 0;  // whose vectors the sum has
  std::uint32_t faults = 0;  // evidence that the coordinator collected: honest devices leave none

  // All that one device computes, from opening M0 to M10: keys, checks, masks, encoding.
  Spread client_cpu_ms;
  double client_certificate_ms = 0;  // of that, its check of the neighbours' certificates; median
  std::uint64_t client_upload_bytes = 0;    // M1 to M9 as frames, without TLS records; median
  std::uint64_t client_download_bytes = 0;  // M0 to M10, without the model; median
  std::uint32_t rounds = 0;                 // messages that a device sends, at most

  std::map<std::string, double> server_cpu_s;  // by the state in which the coordinator spent it
  double server_ingest_s = 0;                  // all M5: open, check, unpack, add
  double server_unmask_s = 0;  // from the last M9, or its deadline, to the clean sum
  // Growth of the coordinator process's peak resident set (getrusage) over the session. Counts code
  // that was paged in for it, and the one frame that is being read or written.
  std::uint64_t server_peak_bytes = 0;
};

// Runs one session and waits for the child. Not thread-safe: it forks, so no other thread may run.
// Errors of FindSecAggParameters; kInvalidArgument too for dim and bits. kInternal: the child
// failed. A session that is abandoned is a result, not an error.
Result<SecAggFigures> RunSecAggSession(const SecAggOptions& options);

// Whether `sum` is the sum mod 2^bits of the inputs that these devices (numbers below
// options.clients) have in the session of `options`. kInternal: the stream failed.
Result<bool> IsSumOf(const SecAggOptions& options, std::span<const std::uint32_t> devices,
                     std::span<const std::uint32_t> sum);

// The objects that `demur-sim secagg` and `secagg-params` print (docs/simulations.md).
Json ToJson(const SecAggParameters& parameters);
Json ToJson(const SecAggOptions& options, const SecAggFigures& figures);

}  // namespace demur::sim
