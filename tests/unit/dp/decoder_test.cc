#include "demur/dp/decoder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "dp_fixtures.h"
#include "result_matchers.h"

namespace demur::dp {
namespace {

using demur::testing::EncodeSeeded;
using demur::testing::QuietEncoding;
using demur::testing::SomeUpdate;
using demur::testing::TwoTables;
using demur::testing::Whole;

model::TrainingPlan Training(double normaliser) {
  model::TrainingPlan training;
  training.normaliser = normaliser;
  return training;
}

TEST(DecoderTest, DecodingGivesTheMeanBackWithinRounding) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  model::EncodingPlan plan = QuietEncoding(60, 1U << 14);
  plan.bits = 22;
  Encoder encoder = Encoder::Create(layout, plan).value();
  std::vector<std::uint32_t> sum(layout.dim(), 0);
  std::vector<double> truth(layout.dim(), 0);
  const std::uint32_t n = 30;
  for (std::uint64_t client = 0; client < n; ++client) {
    const model::Update update = SomeUpdate(40, 8, 0.9, client);
    EncodedUpdate out;
    ASSERT_OK(EncodeSeeded(encoder, update, 1, client, &out));
    out.AddTo(sum);
    for (const auto& ref : update.rows()) {
      const std::uint32_t first = layout.Offset(ref.table, ref.row);
      const auto values = update.values(ref);
      for (std::uint32_t c = 0; c < ref.cols; ++c) truth[first + c] += double{values[c]};
    }
  }
  for (std::uint32_t& word : sum) word &= (1U << 22) - 1;  // what masking modulo 2^22 leaves
  ASSERT_OK_AND_ASSIGN(const auto mean, Decode(sum, n, layout, Training(25), plan));
  ASSERT_EQ(mean.values.size(), layout.dim());
  for (std::size_t i = 0; i < truth.size(); ++i) {
    EXPECT_NEAR(mean.values[i], truth[i] / 25, n / 25.0 / (1U << 14));
  }
}

TEST(DecoderTest, NegativeSumsAndBlockWeightsComeBack) {
  const model::Layout layout = Whole(TwoTables(2, 1));
  model::EncodingPlan plan = QuietEncoding(4, 100);
  plan.bits = 16;
  // Low 16 bits of -60, 40, -30, 0; what lies above bit 16 is no part of the sum.
  const std::vector<std::uint32_t> sum = {0xABCDFFC4U, 40, 0xFFE2U, 0x10000U};
  ASSERT_OK_AND_ASSIGN(const auto mean, Decode(sum, 1, layout, Training(2), plan));
  EXPECT_DOUBLE_EQ(mean.values[0], -60.0 / 100 / 2 / 2);  // weight 2
  EXPECT_DOUBLE_EQ(mean.values[1], 40.0 / 100 / 2 / 2);
  EXPECT_DOUBLE_EQ(mean.values[2], -30.0 / 100 / 2);
  EXPECT_DOUBLE_EQ(mean.values[3], 0);
}

TEST(DecoderTest, HonestNoisedSumsPass) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  model::EncodingPlan plan = QuietEncoding(60, 1000);
  plan.noise_variance = 40'000;
  Encoder encoder = Encoder::Create(layout, plan).value();
  for (std::uint64_t trial = 0; trial < 20; ++trial) {
    std::vector<std::uint32_t> sum(layout.dim(), 0);
    EncodedUpdate out;
    for (std::uint64_t client = 0; client < 25; ++client) {
      ASSERT_OK(EncodeSeeded(encoder, SomeUpdate(40, 8, 2.0, 7), trial, client, &out));
      out.AddTo(sum);
    }
    EXPECT_OK(Decode(sum, 25, layout, Training(25), plan));
  }
}

TEST(DecoderTest, ASingleHugeCoordinateIsInfeasible) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  model::EncodingPlan plan = QuietEncoding(900, 1000);
  plan.l2_sq_max = 1'000'000;
  plan.l1_max = 1'000'000;
  std::vector<std::uint32_t> sum(layout.dim(), 0);
  sum[17] = 10'000;  // ten devices, 1,000 units each
  EXPECT_OK(Decode(sum, 10, layout, Training(10), plan));
  sum[17] = 10'001;
  EXPECT_ERROR(Decode(sum, 10, layout, Training(10), plan), ErrorCode::kAborted);
  sum[17] = static_cast<std::uint32_t>(-10'001);
  EXPECT_ERROR(Decode(sum, 10, layout, Training(10), plan), ErrorCode::kAborted);
}

// With noise over many coordinates the norm leaves room that one coordinate may not take.
TEST(DecoderTest, NoTableReachesBeyondItsEnd) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  model::EncodingPlan plan = QuietEncoding(900, 10);
  plan.noise_variance = 10'000;
  const std::uint64_t largest =
      LargestCoordinate(plan) + AliasTable::ForVariance(10'000).value()->max_magnitude();
  std::vector<std::uint32_t> sum(layout.dim(), 0);
  sum[17] = static_cast<std::uint32_t>(largest);
  EXPECT_OK(Decode(sum, 1, layout, Training(10), plan));
  ++sum[17];
  EXPECT_ERROR(Decode(sum, 1, layout, Training(10), plan), ErrorCode::kAborted);
}

// Every coordinate within its own bound, the vector far outside.
TEST(DecoderTest, ANormThatNobodyMayHaveIsInfeasible) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  model::EncodingPlan plan = QuietEncoding(900, 1000);
  plan.l2_sq_max = 1'000'000;
  plan.l1_max = 1'000'000'000;
  std::vector<std::uint32_t> sum(layout.dim(), 5000);
  EXPECT_ERROR(Decode(sum, 10, layout, Training(10), plan), ErrorCode::kAborted);
  // With wide noise the same sum is possible.
  plan.noise_variance = 4'000'000;
  EXPECT_OK(Decode(sum, 10, layout, Training(10), plan));
  plan.noise_variance = 40'000;
  EXPECT_ERROR(Decode(sum, 10, layout, Training(10), plan), ErrorCode::kAborted);
}

TEST(DecoderTest, WithoutNoiseMagnitudesAndRowsAreCheckedToo) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  model::EncodingPlan plan = QuietEncoding(900, 1000);
  plan.l2_sq_max = 1'000'000;
  plan.l1_max = 500;
  std::vector<std::uint32_t> sum(layout.dim(), 0);
  sum[0] = 600;
  sum[1] = 400;
  EXPECT_OK(Decode(sum, 2, layout, Training(10), plan));
  sum[2] = 1;
  EXPECT_ERROR(Decode(sum, 2, layout, Training(10), plan), ErrorCode::kAborted);

  plan.l1_max = 1'000'000;
  plan.rows_max = 2;
  std::fill(sum.begin(), sum.end(), 0U);
  for (std::size_t i = 0; i < 4; ++i) sum[i] = 1;  // four rows of one column
  EXPECT_OK(Decode(sum, 2, layout, Training(10), plan));
  sum[100] = 1;  // a fifth
  EXPECT_ERROR(Decode(sum, 2, layout, Training(10), plan), ErrorCode::kAborted);
}

TEST(DecoderTest, ArgumentsOutOfRangeAreRefused) {
  const model::Layout layout = Whole(TwoTables(4, 2));
  const model::EncodingPlan plan = QuietEncoding(8);
  const std::vector<std::uint32_t> sum(layout.dim(), 0);
  EXPECT_ERROR(Decode(std::span(sum).first(5), 1, layout, Training(1), plan),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Decode(sum, 0, layout, Training(1), plan), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Decode(sum, 1, layout, Training(0), plan), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Decode(sum, 1, layout, Training(std::nan("")), plan), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Decode(sum, 4'000'000, layout, Training(1), plan), ErrorCode::kInvalidArgument);
}

TEST(CheckEncodingTest, LargestCoordinateIsTheExactRoot) {
  model::EncodingPlan plan;
  for (const std::uint64_t root : {1ULL, 2ULL, 1000ULL, 94'906'267ULL, 4'294'967'295ULL}) {
    plan.l2_sq_max = root * root;
    EXPECT_EQ(LargestCoordinate(plan), root);
    plan.l2_sq_max = root * root - 1;
    EXPECT_EQ(LargestCoordinate(plan), root - 1);
  }
  plan.l2_sq_max = ~std::uint64_t{0};
  EXPECT_EQ(LargestCoordinate(plan), 4'294'967'295ULL);
}

// The least modulus that passes is right at the edge: the largest honest sum decodes, and one bit
// less is refused.
TEST(CheckEncodingTest, NothingThatPassesCanWrap) {
  const model::Layout layout = Whole(TwoTables(2, 1));
  for (const std::uint64_t variance : {0U, 100U, 10'000U}) {
    for (const std::uint32_t n : {1U, 20U, 333U}) {
      SCOPED_TRACE(std::to_string(variance) + " " + std::to_string(n));
      model::EncodingPlan plan = QuietEncoding(4, 700);
      plan.noise_variance = variance;
      plan.bits = 8;
      while (!CheckEncoding(plan, n)) ++plan.bits;
      ASSERT_LE(plan.bits, 32U);
      const std::uint32_t end =
          variance == 0 ? 0 : AliasTable::ForVariance(variance).value()->max_magnitude();
      const auto extreme = static_cast<std::int64_t>(n * (LargestCoordinate(plan) + end));
      ASSERT_LT(extreme, std::int64_t{1} << (plan.bits - 1));
      EXPECT_GE(2 * extreme, std::int64_t{1} << (plan.bits - 1));
      for (const std::int64_t value : {extreme, -extreme}) {
        // Alone in the vector, so that the norm is feasible too.
        std::vector<std::uint32_t> sum(layout.dim(), 0);
        sum[3] = static_cast<std::uint32_t>(value) &
                 static_cast<std::uint32_t>((std::uint64_t{1} << plan.bits) - 1);
        const auto mean = Decode(sum, n, layout, Training(1), plan);
        if (variance == 0) {
          ASSERT_OK(mean);
          EXPECT_DOUBLE_EQ(mean->values[3] * 700, static_cast<double>(value));
        }
      }
      --plan.bits;
      EXPECT_ERROR(CheckEncoding(plan, n), ErrorCode::kInvalidArgument);
    }
  }
}

TEST(CheckEncodingTest, NamesWhatIsOutOfRange) {
  const auto refused = [](auto change) {
    model::EncodingPlan plan = QuietEncoding(4);
    change(plan);
    return demur::testing::HasError(CheckEncoding(plan, 20), ErrorCode::kInvalidArgument);
  };
  EXPECT_OK(CheckEncoding(QuietEncoding(4), 20));
  EXPECT_ERROR(CheckEncoding(QuietEncoding(4), 0), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(refused([](auto& p) { p.bits = 7; }));
  EXPECT_TRUE(refused([](auto& p) { p.bits = 33; }));
  EXPECT_TRUE(refused([](auto& p) { p.scale = 0; }));
  EXPECT_TRUE(refused([](auto& p) { p.l2_sq_max = 0; }));
  EXPECT_TRUE(refused([](auto& p) { p.l1_max = 0; }));
  EXPECT_TRUE(refused([](auto& p) { p.rows_max = 0; }));
  EXPECT_TRUE(refused([](auto& p) { p.clip_norm = 0; }));
  EXPECT_TRUE(refused([](auto& p) { p.clip_norm = std::nan(""); }));
  EXPECT_TRUE(refused([](auto& p) { p.clip_norm = HUGE_VAL; }));
  EXPECT_TRUE(refused([](auto& p) { p.noise_variance = 16'000'001; }));
  model::Plan plan;
  plan.encoding = QuietEncoding(4);
  plan.secagg.roster_max = 1'000'000;
  EXPECT_ERROR(CheckEncoding(plan), ErrorCode::kInvalidArgument);
  plan.secagg.roster_max = 100;
  EXPECT_OK(CheckEncoding(plan));
}

}  // namespace
}  // namespace demur::dp
