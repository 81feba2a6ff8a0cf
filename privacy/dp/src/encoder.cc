#include "demur/dp/encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "demur/base/secret.h"
#include "demur/dp/decoder.h"

namespace demur::dp {
namespace {

Error Bad(const char* what) { return Error(ErrorCode::kInvalidArgument, what); }

constexpr std::uint32_t kWordsPerBlock = kRandomBlockLen / sizeof(std::uint32_t);

// Sum of squares of the finite numbers `values`, in a fixed order: four partial sums, so that each
// takes a quarter of the roundings.
double SumOfSquares(std::span<const float> values) {
  double part0 = 0;
  double part1 = 0;
  double part2 = 0;
  double part3 = 0;
  std::size_t i = 0;
  for (; i + 4 <= values.size(); i += 4) {
    const double a = values[i];
    const double b = values[i + 1];
    const double c = values[i + 2];
    const double d = values[i + 3];
    part0 += a * a;
    part1 += b * b;
    part2 += c * c;
    part3 += d * d;
  }
  for (; i < values.size(); ++i) {
    const double a = values[i];
    part0 += a * a;
  }
  return (part0 + part1) + (part2 + part3);
}

// Neumaier's sum: the error of many rows is that of one addition.
class CompensatedSum {
 public:
  void Add(double value) noexcept {
    const double next = sum_ + value;
    lost_ += std::fabs(sum_) >= std::fabs(value) ? (sum_ - next) + value : (value - next) + sum_;
    sum_ = next;
  }
  double value() const noexcept { return sum_ + lost_; }

 private:
  double sum_ = 0;
  double lost_ = 0;
};

}  // namespace

EncodedUpdate::~EncodedUpdate() { Wipe(std::as_writable_bytes(std::span(values_))); }

void EncodedUpdate::AddTo(std::span<std::uint32_t> sum) const {
  DEMUR_CHECK(sum.size() == dim_, "the sum has the layout of the update");
  if (dense_) {
    for (std::size_t i = 0; i < dim_; ++i) sum[i] += static_cast<std::uint32_t>(values_[i]);
    return;
  }
  for (const Run& run : runs_) {
    std::uint32_t* const to = sum.data() + run.coordinate;
    const std::int32_t* const from = values_.data() + run.position;
    for (std::size_t i = 0; i < run.count; ++i) to[i] += static_cast<std::uint32_t>(from[i]);
  }
}

void EncodedUpdate::ToDense(std::span<std::uint32_t> out) const {
  DEMUR_CHECK(out.size() == dim_, "the output has the layout of the update");
  std::fill(out.begin(), out.end(), 0U);
  AddTo(out);
}

Encoder::Encoder(const model::Layout& layout, const model::EncodingPlan& plan)
    : layout_(layout), plan_(plan) {}

Encoder::~Encoder() {
  Wipe(std::as_writable_bytes(std::span(words_)));
  Wipe(std::as_writable_bytes(std::span(scaled_)));
  Wipe(std::as_writable_bytes(std::span(rounded_)));
}

Result<Encoder> Encoder::Create(const model::Layout& layout, const model::EncodingPlan& plan) {
  DEMUR_RETURN_IF_ERROR(CheckEncoding(plan, 1));
  Encoder encoder(layout, plan);
  if (plan.noise_variance > 0) {
    DEMUR_TRY(encoder.table_, AliasTable::ForVariance(plan.noise_variance));
  }
  return encoder;
}

// The rows of the update that lie in the slice, ascending by coordinate. A value that is not finite
// is looked for in all rows, also in those that are left out: training went wrong.
Status Encoder::CollectRows(const model::Update& update) {
  rows_.clear();
  bool ascending = true;
  const auto refs = update.rows();
  for (std::uint32_t i = 0; i < refs.size(); ++i) {
    const model::Update::RowRef& ref = refs[i];
    if (ref.table >= layout_.num_tables()) return Bad("update: unknown table");
    if (ref.cols != layout_.table(ref.table).cols) return Bad("update: wrong number of columns");
    const std::uint32_t coordinate = layout_.Offset(ref.table, ref.row);
    if (coordinate == model::Layout::kNotInSlice) {
      if (!std::isfinite(SumOfSquares(update.values(ref)))) return Bad("update: not finite");
      continue;
    }
    ascending = ascending && (rows_.empty() || rows_.back().coordinate < coordinate);
    rows_.push_back({coordinate, i, 0, ref.cols});
  }
  if (ascending) return {};
  std::sort(rows_.begin(), rows_.end(),
            [](const SourceRow& a, const SourceRow& b) { return a.coordinate < b.coordinate; });
  const auto twice = std::adjacent_find(
      rows_.begin(), rows_.end(),
      [](const SourceRow& a, const SourceRow& b) { return a.coordinate == b.coordinate; });
  if (twice != rows_.end()) return Bad("update: the same row twice");
  return {};
}

Result<Encoder::Measured> Encoder::Measure(const model::Update& update) const {
  CompensatedSum total;
  Measured measured;
  for (const SourceRow& row : rows_) {
    const model::Update::RowRef& ref = update.rows()[row.index];
    const double square = SumOfSquares(update.values(ref));
    const double weight = layout_.table(ref.table).weight;
    measured.rows += square > 0 ? 1 : 0;
    total.Add(weight * weight * square);
  }
  // Squares of floats do not overflow a double, so this is NaN or infinite exactly when a value is
  // (or when a weight makes the norm meaningless). min(1, C / NaN) would let it pass.
  if (!std::isfinite(total.value())) return Bad("update: not finite");
  const double norm = std::sqrt(total.value());
  measured.clipped = norm > plan_.clip_norm;
  const double clip = measured.clipped ? plan_.clip_norm / norm : 1.0;
  measured.factor = clip * plan_.scale;
  return measured;
}

// Which random blocks the rows need, and where each row's words are among them. Neighbouring rows
// share a block when a row does not end on a block's edge.
void Encoder::PlanBlocks() {
  blocks_.clear();
  for (SourceRow& row : rows_) {
    const std::uint64_t first = row.coordinate / kWordsPerBlock;
    const std::uint64_t last = (row.coordinate + row.cols - 1) / kWordsPerBlock;
    const bool shared = !blocks_.empty() && blocks_.back() == first;
    const std::size_t index = shared ? blocks_.size() - 1 : blocks_.size();
    row.position =
        static_cast<std::uint32_t>(index * kWordsPerBlock) + row.coordinate % kWordsPerBlock;
    for (std::uint64_t block = shared ? first + 1 : first; block <= last; ++block) {
      blocks_.push_back(block);
    }
  }
}

void Encoder::Scale(const model::Update& update, double factor) {
  // Words between the rows stay 0 and round to 0.
  scaled_.assign(blocks_.size() * kWordsPerBlock, 0.0);
  for (const SourceRow& row : rows_) {
    const model::Update::RowRef& ref = update.rows()[row.index];
    const double row_factor = factor * layout_.table(ref.table).weight;
    const float* const from = update.values(ref).data();
    double* const to = scaled_.data() + row.position;
    for (std::uint32_t c = 0; c < row.cols; ++c) to[c] = row_factor * double{from[c]};
  }
}

Status Encoder::ReadBlocks(RandomBlocks& rounding, std::uint32_t try_number) {
  words_.resize(blocks_.size() * kWordsPerBlock);
  std::span<const std::uint64_t> wanted(blocks_);
  if (try_number > 0) {
    const std::uint64_t blocks_per_try =
        (std::uint64_t{layout_.dim()} + kWordsPerBlock - 1) / kWordsPerBlock;
    shifted_ = blocks_;
    for (std::uint64_t& block : shifted_) block += try_number * blocks_per_try;
    wanted = shifted_;
  }
  return rounding.Read(wanted, std::as_writable_bytes(std::span(words_)));
}

// Rounds scaled_ by words_ and says whether the integers keep the plan's bounds. |scaled| is at
// most 2^31 - 2^15 in norm and rounding moves each of at most 2^26 coordinates by less than 1, so
// a value fits 32 bits and the sum of squares stays below (2^31)^2 = 2^62. Two plain loops, so that
// the compiler can use vector instructions.
bool Encoder::RoundAndCheck(std::span<std::int32_t> out) const {
  const double* const scaled = scaled_.data();
  const std::uint32_t* const words = words_.data();
  std::int32_t* const to = out.data();
  const std::size_t count = out.size();
  for (std::size_t i = 0; i < count; ++i) {
    // Everything below is exact in doubles, and stays in doubles because vector comparisons want
    // operands and results of one width.
    const double cut = static_cast<double>(static_cast<std::int32_t>(scaled[i]));  // towards zero
    const double down = cut - (scaled[i] < cut ? 1.0 : 0.0);
    // Up when the word, an integer in [0, 2^32), lies below the fraction in units of 2^-32. The
    // word goes through a signed integer, for which there is a vector instruction.
    const double fraction = (scaled[i] - down) * 0x1p32;
    const double word =
        static_cast<double>(static_cast<std::int32_t>(words[i] ^ 0x80000000U)) + 0x1p31;
    to[i] = static_cast<std::int32_t>(down + (word < fraction ? 1.0 : 0.0));
  }
  std::uint64_t l2_sq = 0;
  std::uint64_t l1 = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t sign = to[i] < 0 ? ~0U : 0U;
    const std::uint32_t magnitude = (static_cast<std::uint32_t>(to[i]) ^ sign) - sign;
    l2_sq += std::uint64_t{magnitude} * std::uint64_t{magnitude};
    l1 += magnitude;
  }
  return l2_sq <= plan_.l2_sq_max && l1 <= plan_.l1_max;
}

// Gives the number of tries; rounded_ holds the result. More than kMaxRoundingTries: none did.
Result<std::uint32_t> Encoder::RoundUntilItFits(RandomBlocks& rounding) {
  rounded_.resize(scaled_.size());
  for (std::uint32_t i = 0; i < kMaxRoundingTries; ++i) {
    DEMUR_RETURN_IF_ERROR(ReadBlocks(rounding, i));
    if (RoundAndCheck(rounded_)) return i + 1;
  }
  return kMaxRoundingTries + 1;
}

// Before the data is rounded, and always over all coordinates: neither the time nor the place of a
// draw says which rows were touched.
Status Encoder::FillNoise(RandomStream* noise, EncodedUpdate* out) const {
  out->dim_ = layout_.dim();
  out->dense_ = has_noise();
  out->runs_.clear();
  if (!has_noise() && noise == nullptr) return {};
  if (!has_noise() || noise == nullptr) {
    return Error(ErrorCode::kFailedPrecondition,
                 "encoder: a noise stream is needed exactly when the plan has noise");
  }
  out->values_.resize(layout_.dim());
  return table_->Fill(out->values_, *noise);
}

Result<EncodeOutcome> Encoder::Encode(const model::Update& update, RandomBlocks& rounding,
                                      RandomStream* noise, EncodedUpdate* out) {
  DEMUR_RETURN_IF_ERROR(CollectRows(update));
  DEMUR_TRY(const Measured measured, Measure(update));
  DEMUR_RETURN_IF_ERROR(FillNoise(noise, out));
  EncodeOutcome outcome;
  outcome.rows = measured.rows;
  outcome.clipped = measured.clipped;
  if (measured.rows > plan_.rows_max) return outcome;
  PlanBlocks();
  Scale(update, measured.factor);
  DEMUR_TRY(const std::uint32_t tries, RoundUntilItFits(rounding));
  outcome.tries = std::min(tries, kMaxRoundingTries);
  outcome.sent = tries <= kMaxRoundingTries;
  if (!outcome.sent) return outcome;
  if (out->dense_) {
    for (const SourceRow& row : rows_) {
      std::int32_t* const to = out->values_.data() + row.coordinate;
      const std::int32_t* const from = rounded_.data() + row.position;
      for (std::uint32_t c = 0; c < row.cols; ++c) to[c] += from[c];
    }
    return outcome;
  }
  std::swap(out->values_, rounded_);
  for (const SourceRow& row : rows_) {
    out->runs_.push_back({row.coordinate, row.position, row.cols});
  }
  return outcome;
}

Status Encoder::EncodeZero(RandomStream* noise, EncodedUpdate* out) {
  return FillNoise(noise, out);
}

}  // namespace demur::dp
