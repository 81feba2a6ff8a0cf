#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "demur/base/random.h"
#include "demur/dp/calibrate.h"
#include "demur/dp/encoder.h"
#include "demur/dp/ledger.h"
#include "demur/model/plan.h"
#include "demur/model/tables.h"
#include "demur/model/update.h"
#include "demur/seeded/seeded_random.h"

// Small plans, layouts and updates for tests of privacy/dp.
namespace demur::testing {

// Two tables: "bias" with weight 2 and one column, "item" with weight 1 and `cols` columns.
inline model::Schema TwoTables(std::uint32_t rows, std::uint32_t cols) {
  model::Schema schema;
  schema.tables.push_back({"bias", rows, 1, 2.0});
  schema.tables.push_back({"item", rows, cols, 1.0});
  return schema;
}

inline model::Layout Whole(const model::Schema& schema) {
  return model::Layout::Create(schema, model::Slice::Everything(schema)).value();
}

// No noise, clip 1, room for `rows` rows.
inline model::EncodingPlan QuietEncoding(std::uint32_t rows, std::uint32_t scale = 1U << 12) {
  model::EncodingPlan plan;
  plan.clip_norm = 1;
  plan.scale = scale;
  plan.bits = 32;
  plan.l2_sq_max = std::uint64_t{scale} * scale * 11 / 10 + 1000;
  plan.l1_max = plan.l2_sq_max;
  plan.rows_max = rows;
  return plan;
}

inline void AddRow(model::Update* update, std::uint32_t table, std::uint32_t row,
                   const std::vector<float>& values) {
  const auto to = update->AddRow(table, row, static_cast<std::uint32_t>(values.size()));
  std::copy(values.begin(), values.end(), to.begin());
}

// An update of `rows` rows of the second table of TwoTables, norm about `norm`.
inline model::Update SomeUpdate(std::uint32_t rows, std::uint32_t cols, double norm,
                                std::uint64_t seed) {
  model::Update update;
  seeded::SeededRandom random(seed);
  auto stream = random.Stream({.purpose = Purpose::kData}).value();
  double square = 0;
  std::vector<std::vector<float>> values(rows, std::vector<float>(cols));
  for (auto& row : values) {
    for (float& value : row) {
      value = static_cast<float>(UniformUnit(*stream).value() - 0.5);
      square += double{value} * value;
    }
  }
  for (std::uint32_t r = 0; r < rows; ++r) {
    for (float& value : values[r]) value *= static_cast<float>(norm / std::sqrt(square));
    AddRow(&update, 1, r * 2, values[r]);
  }
  return update;
}

inline std::vector<std::int32_t> Signed(const dp::EncodedUpdate& update) {
  std::vector<std::uint32_t> dense(update.dim());
  update.ToDense(dense);
  return {dense.begin(), dense.end()};
}

// Encodes with streams of (seed, client), with noise when the encoder has it.
inline Result<dp::EncodeOutcome> EncodeSeeded(dp::Encoder& encoder, const model::Update& update,
                                              std::uint64_t seed, std::uint64_t client,
                                              dp::EncodedUpdate* out) {
  seeded::SeededRandom random(seed);
  auto rounding = random.Blocks({.client = client, .purpose = Purpose::kRounding}).value();
  auto noise = random.Stream({.client = client, .purpose = Purpose::kNoise}).value();
  return encoder.Encode(update, *rounding, encoder.has_noise() ? noise.get() : nullptr, out);
}

// A generator that gives `word` for ever, and counts what was read.
class ConstantRandom final : public RandomStream, public RandomBlocks {
 public:
  explicit ConstantRandom(std::uint32_t word) : word_(word) {}
  Status Fill(std::span<std::byte> out) override {
    bytes_ += out.size();
    for (std::size_t i = 0; i + sizeof word_ <= out.size(); i += sizeof word_) {
      std::memcpy(out.data() + i, &word_, sizeof word_);
    }
    return {};
  }
  Status Read(std::span<const std::uint64_t> indices, std::span<std::byte> out) override {
    ++reads_;
    indices_.assign(indices.begin(), indices.end());
    return Fill(out);
  }
  std::size_t bytes() const { return bytes_; }
  std::size_t reads() const { return reads_; }
  const std::vector<std::uint64_t>& indices() const { return indices_; }

 private:
  std::uint32_t word_;
  std::size_t bytes_ = 0;
  std::size_t reads_ = 0;
  std::vector<std::uint64_t> indices_;
};

class BrokenRandom final : public RandomStream, public RandomBlocks {
 public:
  Status Fill(std::span<std::byte>) override { return Error(ErrorCode::kInternal, "broken"); }
  Status Read(std::span<const std::uint64_t>, std::span<std::byte>) override {
    return Error(ErrorCode::kInternal, "broken");
  }
};

// A request that Calibrate grants: 1,000 devices a round, 4 participations, epsilon 6.
inline dp::CalibrationRequest UsualRequest() {
  dp::CalibrationRequest request;
  request.noise = true;
  request.epsilon = 6;
  request.delta = 1e-7;
  request.population = 20'000;
  request.participations_max = 4;
  request.rounds_max = 40;
  request.clip_norm = 0.5;
  request.rows_max = 60;
  request.roster_min = 800;
  request.roster_max = 1000;
  request.dropout_permille = 300;
  request.corrupt_permille = 100;
  return request;
}

// A valid plan around what Calibrate gives for `request` on TwoTables(100, 8).
inline model::Plan PlanFor(const dp::CalibrationRequest& request) {
  model::Plan plan;
  plan.task.bytes[0] = std::byte{7};
  plan.round = {1, 1};
  plan.training.algorithm = "item_statistics";
  plan.training.schema = TwoTables(100, 8);
  plan.training.slice = model::Slice::Everything(plan.training.schema);
  plan.training.value_max = 10;
  plan.training.normaliser = 900;
  plan.encoding = dp::Calibrate(request, Whole(plan.training.schema)).value().encoding;
  plan.privacy.noise = request.noise;
  plan.privacy.epsilon = request.epsilon;
  plan.privacy.delta = request.delta;
  plan.privacy.participations_max = request.participations_max;
  plan.privacy.rounds_max = request.rounds_max;
  plan.privacy.weak_privacy = request.weak_privacy;
  plan.secagg.roster_min = request.roster_min;
  plan.secagg.roster_max = request.roster_max;
  plan.secagg.dropout_permille = request.dropout_permille;
  plan.secagg.corrupt_permille = request.corrupt_permille;
  plan.secagg.profile = model::SecAggProfile::kMalicious;
  plan.secagg.sigma = 80;
  plan.secagg.eta = 20;
  return plan;
}

// The two plans of a sparse round over the tables of PlanFor, with `share` of the budget for the
// counts. `request` is of the session that trains.
struct SparsePlans {
  model::Plan counts;
  model::Plan rows;
};
inline SparsePlans SparsePlansFor(dp::CalibrationRequest request, double share = 0.1) {
  SparsePlans out;
  out.counts = out.rows = PlanFor(request);
  const model::Layout layout = Whole(out.rows.training.schema);
  model::TrainingPlan& counting = out.counts.training;
  counting.algorithm = model::kRowCountsAlgorithm;
  counting.hyper = {{"items", 100}, {"rows_max", double{1} * request.rows_max}};
  counting.schema.tables = {{"row_count", 100, 1, 1.0}};
  counting.slice = model::Slice::Everything(counting.schema);
  counting.value_max = 1;
  counting.normaliser = 1;
  request.other_dim = layout.dim();
  out.counts.encoding = dp::CalibrateCounts(request, share, 100).value().encoding;
  request.other_dim = 100;
  if (request.noise) request.other = dp::CurveOf(*dp::ChargeOf(out.counts).value()).value();
  out.rows.encoding = dp::Calibrate(request, layout).value().encoding;
  out.rows.attempt = 1;
  out.counts.session = {model::SessionKind::kRowCounts, out.rows.encoding, layout.dim()};
  out.rows.session = {model::SessionKind::kRows, out.counts.encoding, 100};
  return out;
}

}  // namespace demur::testing
