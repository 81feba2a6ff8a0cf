#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/dp/skellam.h"
#include "demur/model/plan.h"
#include "demur/model/tables.h"
#include "demur/model/update.h"

// Step 3 of a round, row-exact: restrict to the slice, finite check, block weights, one float64
// clip, scale, stochastic rounding, the exact integer checks of the plan, Skellam noise. Order and
// bounds are those of docs/privacy-accounting.md.
// An Encoder belongs to one thread at a time (it owns scratch memory); use one per thread.
namespace demur::dp {

// What one device adds to the sum: integers at layout coordinates. Row-sparse without noise, dense
// with it. Reused between updates: after warm-up nothing is allocated. Secret: wiped with the
// object, never logged.
class EncodedUpdate {
 public:
  EncodedUpdate() = default;
  EncodedUpdate(EncodedUpdate&&) noexcept = default;
  EncodedUpdate& operator=(EncodedUpdate&&) noexcept = default;
  EncodedUpdate(const EncodedUpdate&) = delete;
  EncodedUpdate& operator=(const EncodedUpdate&) = delete;
  ~EncodedUpdate();

  std::uint32_t dim() const noexcept { return dim_; }
  bool dense() const noexcept { return dense_; }
  // Adds every coordinate to `sum` modulo 2^32 (a sum modulo 2^bits is its low bits). The order of
  // additions does not matter. sum.size() == dim() (checked).
  void AddTo(std::span<std::uint32_t> sum) const;
  // Writes every coordinate, negative ones as 2^32 - |v|. out.size() == dim() (checked).
  void ToDense(std::span<std::uint32_t> out) const;

 private:
  friend class Encoder;
  struct Run {
    std::uint32_t coordinate = 0;  // first layout coordinate
    std::uint32_t position = 0;    // into values_
    std::uint32_t count = 0;
  };
  std::vector<std::int32_t> values_;
  std::vector<Run> runs_;  // ascending; unused when dense
  std::uint32_t dim_ = 0;
  bool dense_ = false;
};

// What became of an update. Says something about one person: not for logs.
struct EncodeOutcome {
  bool sent = false;        // false: the zero update was encoded instead (checks failed)
  std::uint32_t tries = 0;  // roundings made, at most kMaxRoundingTries; 0 = refused before any
  std::uint32_t rows = 0;   // rows of the slice with a value that is not zero
  bool clipped = false;
};

inline constexpr std::uint32_t kMaxRoundingTries = 128;

class Encoder {
 public:
  // Copies what it needs. Builds the noise table when the plan has noise.
  // kInvalidArgument: clip_norm * scale does not fit 31 bits, a field out of range, or the noise
  // variance beyond kMaxNoiseVariance. That the whole sum cannot wrap is CheckEncoding's to say.
  static Result<Encoder> Create(const model::Layout& layout, const model::EncodingPlan& plan);

  // Encodes `update` into `out`. `rounding` is read at block (try * ceil(dim / 4) + c / 4) for
  // coordinate c, 32 bits a coordinate, so results do not depend on which rows are present; `noise`
  // is read dense over all coordinates in order, and must be given exactly when the plan has noise.
  // The order of the update's rows does not matter.
  // An update with more than rows_max rows, or whose 128 roundings all break l2_sq_max or l1_max,
  // becomes the zero update (outcome.sent == false): still to be sent.
  // kInvalidArgument: a value is not finite, a row stands twice, an unknown table, a wrong column
  // count: training failed, call EncodeZero. kFailedPrecondition: noise stream missing or not
  // wanted. kInternal: the generator failed; `out` must not be sent.
  Result<EncodeOutcome> Encode(const model::Update& update, RandomBlocks& rounding,
                               RandomStream* noise, EncodedUpdate* out);
  // The zero update plus noise: what a device sends when training failed. Errors as above.
  Status EncodeZero(RandomStream* noise, EncodedUpdate* out);

  Encoder(Encoder&&) noexcept = default;
  Encoder& operator=(Encoder&&) noexcept = default;
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
  ~Encoder();  // wipes what is left of the last update before noise

  const model::EncodingPlan& plan() const noexcept { return plan_; }
  bool has_noise() const noexcept { return table_ != nullptr; }
  std::uint32_t dim() const noexcept { return layout_.dim(); }

 private:
  struct SourceRow {
    std::uint32_t coordinate = 0;
    std::uint32_t index = 0;     // into update.rows()
    std::uint32_t position = 0;  // of its first value among the words of the blocks read
    std::uint32_t cols = 0;
  };
  struct Measured {
    double factor = 0;  // clip and scale together, without the block weight
    std::uint32_t rows = 0;
    bool clipped = false;
  };

  Encoder(const model::Layout& layout, const model::EncodingPlan& plan);
  Status CollectRows(const model::Update& update);
  Result<Measured> Measure(const model::Update& update) const;
  void Scale(const model::Update& update, double factor);
  void PlanBlocks();
  Status ReadBlocks(RandomBlocks& rounding, std::uint32_t try_number);
  bool RoundAndCheck(std::span<std::int32_t> out) const;
  Status FillNoise(RandomStream* noise, EncodedUpdate* out) const;
  Result<std::uint32_t> RoundUntilItFits(RandomBlocks& rounding);

  model::Layout layout_;
  model::EncodingPlan plan_;
  std::shared_ptr<const AliasTable> table_;  // null without noise
  // Scratch, kept between calls.
  std::vector<SourceRow> rows_;
  std::vector<std::uint64_t> blocks_;   // block indices of try 0, ascending
  std::vector<std::uint64_t> shifted_;  // the same for the present try
  std::vector<std::uint32_t> words_;    // 4 a block
  std::vector<double> scaled_;          // same positions as words_
  std::vector<std::int32_t> rounded_;   // same positions as words_
};

}  // namespace demur::dp
