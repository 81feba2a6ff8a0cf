#include "demur/dp/encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "dp_fixtures.h"
#include "result_matchers.h"

namespace demur::dp {
namespace {

using demur::testing::AddRow;
using demur::testing::EncodeSeeded;
using demur::testing::QuietEncoding;
using demur::testing::Signed;
using demur::testing::SomeUpdate;
using demur::testing::TwoTables;
using demur::testing::Whole;

Encoder Make(const model::Layout& layout, const model::EncodingPlan& plan) {
  auto encoder = Encoder::Create(layout, plan);
  EXPECT_OK(encoder);
  return std::move(encoder).value();
}

std::int64_t SumOfSquares(const std::vector<std::int32_t>& values) {
  return std::accumulate(
      values.begin(), values.end(), std::int64_t{0},
      [](std::int64_t sum, std::int32_t v) { return sum + std::int64_t{v} * v; });
}

TEST(EncoderTest, ValuesLandAtTheirCoordinatesScaledAndWeighted) {
  const model::Layout layout = Whole(TwoTables(5, 3));
  Encoder encoder = Make(layout, QuietEncoding(5, 1000));
  model::Update update;
  AddRow(&update, 1, 4, {0.25F, -0.5F, 0.0F});
  AddRow(&update, 0, 2, {0.125F});
  EncodedUpdate out;
  ASSERT_OK_AND_ASSIGN(const EncodeOutcome outcome, EncodeSeeded(encoder, update, 1, 1, &out));
  EXPECT_TRUE(outcome.sent);
  EXPECT_FALSE(outcome.clipped);
  EXPECT_EQ(outcome.tries, 1U);
  EXPECT_EQ(outcome.rows, 2U);
  EXPECT_FALSE(out.dense());
  std::vector<std::int32_t> expected(layout.dim(), 0);
  expected[2] = 250;  // weight 2
  expected[5 + 4 * 3] = 250;
  expected[5 + 4 * 3 + 1] = -500;
  EXPECT_EQ(Signed(out), expected);
}

TEST(EncoderTest, RoundingGoesToANeighbourAndKeepsTheMean) {
  const model::Layout layout = Whole(TwoTables(40, 3));
  Encoder encoder = Make(layout, QuietEncoding(40, 100));
  model::Update update;
  const double value = 0.01234;  // 1.234 units
  for (std::uint32_t r = 0; r < 40; ++r) {
    AddRow(&update, 1, r, {static_cast<float>(value), static_cast<float>(-value), 0.0F});
  }
  double up = 0;
  double down = 0;
  const int runs = 500;
  EncodedUpdate out;
  for (int i = 0; i < runs; ++i) {
    ASSERT_TRUE(EncodeSeeded(encoder, update, 2, static_cast<std::uint64_t>(i), &out)->sent);
    const std::vector<std::int32_t> values = Signed(out);
    for (std::size_t r = 0; r < 40; ++r) {
      const std::int32_t a = values[40 + 3 * r];
      const std::int32_t b = values[40 + 3 * r + 1];
      ASSERT_TRUE(a == 1 || a == 2);
      ASSERT_TRUE(b == -1 || b == -2);
      ASSERT_EQ(values[40 + 3 * r + 2], 0);
      up += a;
      down += b;
    }
  }
  // 20,000 Bernoulli(0.234) each: five standard errors are 0.015.
  EXPECT_NEAR(up / (40 * runs), 1.234, 0.015);
  EXPECT_NEAR(down / (40 * runs), -1.234, 0.015);
}

TEST(EncoderTest, RoundingIsComparedAsIntegersAtBothEnds) {
  const model::Layout layout = Whole(TwoTables(2, 2));
  Encoder encoder = Make(layout, QuietEncoding(2, 4));
  model::Update update;
  AddRow(&update, 1, 0, {0.125F, -0.125F});  // 0.5 and -0.5 units
  const auto with_word = [&](std::uint32_t word) {
    testing::ConstantRandom constant(word);
    EncodedUpdate out;
    EXPECT_TRUE(encoder.Encode(update, constant, nullptr, &out)->sent);
    const auto values = Signed(out);
    return std::pair(values[2], values[3]);
  };
  EXPECT_EQ(with_word(0), std::pair(1, 0));
  EXPECT_EQ(with_word(0x7FFFFFFFU), std::pair(1, 0));
  EXPECT_EQ(with_word(0x80000000U), std::pair(0, -1));
  EXPECT_EQ(with_word(0xFFFFFFFFU), std::pair(0, -1));
}

TEST(EncoderTest, ClipsToTheNormOverAllBlocksWithTheirWeights) {
  const model::Layout layout = Whole(TwoTables(4, 2));
  Encoder encoder = Make(layout, QuietEncoding(4, 10'000));
  model::Update update;
  AddRow(&update, 0, 1, {2.0F});        // weighted 4
  AddRow(&update, 1, 3, {3.0F, 0.0F});  // norm 5 in all
  EncodedUpdate out;
  ASSERT_OK_AND_ASSIGN(const EncodeOutcome outcome, EncodeSeeded(encoder, update, 3, 1, &out));
  EXPECT_TRUE(outcome.clipped);
  const auto values = Signed(out);
  EXPECT_NEAR(values[1], 8000, 1);
  EXPECT_NEAR(values[4 + 6], 6000, 1);
}

// What is left out must not take part in the norm: clip after restricting, or rows that are never
// sent would shrink those that are.
TEST(EncoderTest, RestrictsToTheSliceBeforeItClips) {
  const model::Schema schema = TwoTables(4, 2);
  model::Slice slice = model::Slice::Everything(schema);
  slice.tables[1] = {false, {1, 3}};
  const model::Layout layout = model::Layout::Create(schema, slice).value();
  Encoder encoder = Make(layout, QuietEncoding(4, 1000));
  model::Update update;
  AddRow(&update, 1, 0, {100.0F, 100.0F});  // not in the slice
  AddRow(&update, 1, 3, {0.5F, 0.25F});
  EncodedUpdate out;
  ASSERT_OK_AND_ASSIGN(const EncodeOutcome outcome, EncodeSeeded(encoder, update, 3, 1, &out));
  EXPECT_FALSE(outcome.clipped);
  EXPECT_EQ(outcome.rows, 1U);
  const auto values = Signed(out);
  ASSERT_EQ(values.size(), 8U);
  EXPECT_EQ(values[6], 500);
  EXPECT_EQ(values[7], 250);
}

TEST(EncoderTest, ValuesThatAreNotFiniteAreAFailedTraining) {
  const model::Schema schema = TwoTables(4, 2);
  model::Slice slice = model::Slice::Everything(schema);
  slice.tables[1] = {false, {1, 3}};
  const model::Layout layout = model::Layout::Create(schema, slice).value();
  Encoder encoder = Make(layout, QuietEncoding(4));
  EncodedUpdate out;
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const std::uint32_t row : {1U, 0U}) {  // in the slice and outside it
      model::Update update;
      AddRow(&update, 1, row, {0.1F, bad});
      AddRow(&update, 1, 3, {0.1F, 0.1F});
      EXPECT_ERROR(EncodeSeeded(encoder, update, 1, 1, &out), ErrorCode::kInvalidArgument);
    }
  }
}

TEST(EncoderTest, RowsThatDoNotFitAreRefused) {
  const model::Layout layout = Whole(TwoTables(4, 2));
  Encoder encoder = Make(layout, QuietEncoding(4));
  EncodedUpdate out;
  model::Update twice;
  AddRow(&twice, 1, 2, {0.1F, 0.1F});
  AddRow(&twice, 1, 1, {0.1F, 0.1F});
  AddRow(&twice, 1, 2, {0.1F, 0.1F});
  EXPECT_ERROR(EncodeSeeded(encoder, twice, 1, 1, &out), ErrorCode::kInvalidArgument);
  model::Update neighbours;
  AddRow(&neighbours, 1, 2, {0.1F, 0.1F});
  AddRow(&neighbours, 1, 2, {0.1F, 0.1F});
  EXPECT_ERROR(EncodeSeeded(encoder, neighbours, 1, 1, &out), ErrorCode::kInvalidArgument);
  model::Update table;
  AddRow(&table, 2, 0, {0.1F});
  EXPECT_ERROR(EncodeSeeded(encoder, table, 1, 1, &out), ErrorCode::kInvalidArgument);
  model::Update columns;
  AddRow(&columns, 1, 0, {0.1F});
  EXPECT_ERROR(EncodeSeeded(encoder, columns, 1, 1, &out), ErrorCode::kInvalidArgument);
}

TEST(EncoderTest, TheOrderOfRowsDoesNotMatter) {
  const model::Layout layout = Whole(TwoTables(50, 7));
  Encoder encoder = Make(layout, QuietEncoding(50));
  const model::Update ascending = SomeUpdate(20, 7, 0.9, 5);
  model::Update descending;
  for (std::size_t i = ascending.rows().size(); i-- > 0;) {
    const auto& ref = ascending.rows()[i];
    const auto values = ascending.values(ref);
    AddRow(&descending, ref.table, ref.row, {values.begin(), values.end()});
  }
  EncodedUpdate a;
  EncodedUpdate b;
  ASSERT_OK(EncodeSeeded(encoder, ascending, 9, 4, &a));
  ASSERT_OK(EncodeSeeded(encoder, descending, 9, 4, &b));
  EXPECT_EQ(Signed(a), Signed(b));
}

// Rounding is addressed by coordinate: rows of zeros, sent or left out, change nothing.
TEST(EncoderTest, SkippedZerosKeepTheBytes) {
  const model::Layout layout = Whole(TwoTables(50, 7));
  Encoder encoder = Make(layout, QuietEncoding(50));
  const model::Update sparse = SomeUpdate(10, 7, 0.9, 5);
  model::Update full = sparse;
  for (std::uint32_t row = 1; row < 50; row += 2) {
    AddRow(&full, 1, row, std::vector<float>(7, 0.0F));
  }
  EncodedUpdate a;
  EncodedUpdate b;
  ASSERT_OK(EncodeSeeded(encoder, sparse, 9, 4, &a));
  ASSERT_OK(EncodeSeeded(encoder, full, 9, 4, &b));
  EXPECT_EQ(Signed(a), Signed(b));
}

TEST(EncoderTest, ReadsTheBlocksOfItsCoordinatesOnceInOneCall) {
  const model::Layout layout = Whole(TwoTables(8, 6));  // rows start at 8, 14, 20, ...
  Encoder encoder = Make(layout, QuietEncoding(8));
  model::Update update;
  AddRow(&update, 1, 0, std::vector<float>(6, 0.01F));  // coordinates 8..13: blocks 2, 3
  AddRow(&update, 1, 1, std::vector<float>(6, 0.01F));  // 14..19: blocks 3, 4
  AddRow(&update, 1, 4, std::vector<float>(6, 0.01F));  // 32..37: blocks 8, 9
  testing::ConstantRandom constant(0x40000000U);
  EncodedUpdate out;
  ASSERT_OK(encoder.Encode(update, constant, nullptr, &out));
  EXPECT_EQ(constant.reads(), 1U);
  EXPECT_EQ(constant.indices(), (std::vector<std::uint64_t>{2, 3, 4, 8, 9}));
}

TEST(EncoderTest, ALaterTryReadsBlocksOfItsOwnAndThenGivesUp) {
  const model::Layout layout = Whole(TwoTables(3, 5));  // 18 coordinates, 5 blocks a try
  model::EncodingPlan plan = QuietEncoding(3, 16);
  plan.l2_sq_max = 1;  // 0.5 and 0.25 never fit
  Encoder encoder = Make(layout, plan);
  model::Update update;
  AddRow(&update, 1, 0, {0.5F, 0.25F, 0.0F, 0.0F, 0.0F});
  testing::ConstantRandom constant(7);
  EncodedUpdate out;
  ASSERT_OK_AND_ASSIGN(const EncodeOutcome outcome,
                       encoder.Encode(update, constant, nullptr, &out));
  EXPECT_FALSE(outcome.sent);
  EXPECT_EQ(outcome.tries, kMaxRoundingTries);
  EXPECT_EQ(constant.reads(), kMaxRoundingTries);
  // The last try is number 127.
  EXPECT_EQ(constant.indices(), (std::vector<std::uint64_t>{127 * 5, 127 * 5 + 1}));
  EXPECT_EQ(SumOfSquares(Signed(out)), 0);
}

// Three halves round to 1 in about half of all tries; only vectors inside the bound may leave.
TEST(EncoderTest, RetriesUntilTheL2BoundHolds) {
  const model::Layout layout = Whole(TwoTables(3, 12));
  model::EncodingPlan plan = QuietEncoding(3, 2);
  plan.l2_sq_max = 4;
  plan.l1_max = 100;
  Encoder encoder = Make(layout, plan);
  model::Update update;
  AddRow(&update, 1, 0, std::vector<float>(12, 0.25F));  // 12 coordinates of 0.5 units
  std::uint32_t most = 0;
  EncodedUpdate out;
  for (std::uint64_t client = 0; client < 200; ++client) {
    ASSERT_OK_AND_ASSIGN(const auto outcome, EncodeSeeded(encoder, update, 8, client, &out));
    EXPECT_TRUE(outcome.sent);
    most = std::max(most, outcome.tries);
    EXPECT_LE(SumOfSquares(Signed(out)), 4);
  }
  EXPECT_GT(most, 3U);  // P(at most 4 of 12) = 0.19 a try
}

TEST(EncoderTest, RetriesUntilTheL1BoundHolds) {
  const model::Layout layout = Whole(TwoTables(3, 12));
  model::EncodingPlan plan = QuietEncoding(3, 2);
  plan.l2_sq_max = 100;
  plan.l1_max = 4;
  Encoder encoder = Make(layout, plan);
  model::Update update;
  AddRow(&update, 1, 0, std::vector<float>(12, -0.25F));
  EncodedUpdate out;
  for (std::uint64_t client = 0; client < 200; ++client) {
    ASSERT_TRUE(EncodeSeeded(encoder, update, 8, client, &out)->sent);
    std::int64_t l1 = 0;
    for (const std::int32_t value : Signed(out)) l1 += std::abs(std::int64_t{value});
    EXPECT_LE(l1, 4);
  }
}

TEST(EncoderTest, MoreRowsThanThePlanAllowsBecomeTheZeroUpdate) {
  const model::Layout layout = Whole(TwoTables(50, 3));
  Encoder encoder = Make(layout, QuietEncoding(10));
  EncodedUpdate out;
  ASSERT_OK_AND_ASSIGN(auto outcome, EncodeSeeded(encoder, SomeUpdate(11, 3, 0.5, 1), 1, 1, &out));
  EXPECT_FALSE(outcome.sent);
  EXPECT_EQ(outcome.rows, 11U);
  EXPECT_EQ(SumOfSquares(Signed(out)), 0);
  ASSERT_OK_AND_ASSIGN(outcome, EncodeSeeded(encoder, SomeUpdate(10, 3, 0.5, 1), 1, 1, &out));
  EXPECT_TRUE(outcome.sent);
  EXPECT_GT(SumOfSquares(Signed(out)), 0);
}

TEST(EncoderTest, TheBoundsAreNeverPassedWhateverComesIn) {
  const model::Layout layout = Whole(TwoTables(100, 8));
  model::EncodingPlan plan = QuietEncoding(60, 64);
  const double touched = 40 * 8;
  const double bound = RoundedL2Bound(64, touched, std::exp(-0.5));
  plan.l2_sq_max = static_cast<std::uint64_t>(bound * bound);
  plan.l1_max = static_cast<std::uint64_t>(RoundedL1Bound(bound, touched));
  Encoder encoder = Make(layout, plan);
  EncodedUpdate out;
  std::uint64_t sent = 0;
  for (std::uint64_t client = 0; client < 300; ++client) {
    const double norm = std::pow(10.0, static_cast<double>(client % 40) - 20);
    ASSERT_OK_AND_ASSIGN(const auto outcome,
                         EncodeSeeded(encoder, SomeUpdate(40, 8, norm, client), 3, client, &out));
    const auto values = Signed(out);
    EXPECT_LE(SumOfSquares(values), static_cast<std::int64_t>(plan.l2_sq_max));
    EXPECT_NEAR(std::sqrt(static_cast<double>(SumOfSquares(values))), std::min(norm, 1.0) * 64,
                std::sqrt(touched));
    sent += outcome.sent ? 1 : 0;
  }
  EXPECT_EQ(sent, 300U);
}

TEST(EncoderTest, NoiseIsDenseAndAddedToTheSameIntegers) {
  const model::Layout layout = Whole(TwoTables(50, 3));
  model::EncodingPlan quiet = QuietEncoding(20);
  model::EncodingPlan noisy = quiet;
  noisy.noise_variance = 900;
  Encoder without = Make(layout, quiet);
  Encoder with = Make(layout, noisy);
  EXPECT_TRUE(with.has_noise());
  EXPECT_EQ(with.dim(), layout.dim());
  EXPECT_EQ(with.plan(), noisy);
  const model::Update update = SomeUpdate(10, 3, 0.5, 1);
  EncodedUpdate a;
  EncodedUpdate b;
  ASSERT_OK(EncodeSeeded(without, update, 6, 3, &a));
  ASSERT_OK(EncodeSeeded(with, update, 6, 3, &b));
  EXPECT_TRUE(b.dense());
  std::vector<std::int32_t> noise(layout.dim());
  seeded::SeededRandom random(6);
  auto stream = random.Stream({.client = 3, .purpose = Purpose::kNoise}).value();
  ASSERT_OK(AliasTable::ForVariance(900).value()->Fill(noise, *stream));
  const auto plain = Signed(a);
  const auto noised = Signed(b);
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(noised[i], plain[i] + noise[i]);
  EXPECT_GT(SumOfSquares(noise), 0);
}

TEST(EncoderTest, TheZeroUpdateStillCarriesItsNoise) {
  const model::Layout layout = Whole(TwoTables(50, 3));
  model::EncodingPlan noisy = QuietEncoding(5);
  noisy.noise_variance = 900;
  Encoder encoder = Make(layout, noisy);
  EncodedUpdate refused;
  ASSERT_OK_AND_ASSIGN(const auto outcome,
                       EncodeSeeded(encoder, SomeUpdate(10, 3, 0.5, 1), 6, 3, &refused));
  EXPECT_FALSE(outcome.sent);  // 10 rows, 5 allowed
  seeded::SeededRandom random(6);
  auto stream = random.Stream({.client = 3, .purpose = Purpose::kNoise}).value();
  EncodedUpdate zero;
  ASSERT_OK(encoder.EncodeZero(stream.get(), &zero));
  EXPECT_EQ(Signed(refused), Signed(zero));
  EXPECT_GT(SumOfSquares(Signed(zero)), 0);
}

TEST(EncoderTest, ANoiseStreamIsGivenExactlyWhenThePlanHasNoise) {
  const model::Layout layout = Whole(TwoTables(50, 3));
  model::EncodingPlan noisy = QuietEncoding(20);
  noisy.noise_variance = 900;
  Encoder quiet_encoder = Make(layout, QuietEncoding(20));
  Encoder noisy_encoder = Make(layout, noisy);
  testing::ConstantRandom constant(1);
  EncodedUpdate out;
  const model::Update update = SomeUpdate(3, 3, 0.5, 1);
  EXPECT_ERROR(noisy_encoder.Encode(update, constant, nullptr, &out),
               ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(quiet_encoder.Encode(update, constant, &constant, &out),
               ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(noisy_encoder.EncodeZero(nullptr, &out), ErrorCode::kFailedPrecondition);
}

TEST(EncoderTest, AFailedGeneratorIsReportedNotPaperedOver) {
  const model::Layout layout = Whole(TwoTables(50, 3));
  model::EncodingPlan noisy = QuietEncoding(20);
  noisy.noise_variance = 900;
  Encoder encoder = Make(layout, noisy);
  testing::BrokenRandom broken;
  testing::ConstantRandom constant(1);
  EncodedUpdate out;
  const model::Update update = SomeUpdate(3, 3, 0.5, 1);
  EXPECT_ERROR(encoder.Encode(update, broken, &constant, &out), ErrorCode::kInternal);
  EXPECT_ERROR(encoder.Encode(update, constant, &broken, &out), ErrorCode::kInternal);
  EXPECT_ERROR(encoder.EncodeZero(&broken, &out), ErrorCode::kInternal);
}

TEST(EncoderTest, BuffersAreReusedWithoutAnythingLeftOver) {
  const model::Layout layout = Whole(TwoTables(50, 3));
  Encoder encoder = Make(layout, QuietEncoding(50));
  EncodedUpdate reused;
  ASSERT_OK(EncodeSeeded(encoder, SomeUpdate(25, 3, 0.9, 1), 1, 1, &reused));
  const model::Update small = SomeUpdate(2, 3, 0.3, 2);
  ASSERT_OK(EncodeSeeded(encoder, small, 1, 2, &reused));
  EncodedUpdate fresh;
  Encoder other = Make(layout, QuietEncoding(50));
  ASSERT_OK(EncodeSeeded(other, small, 1, 2, &fresh));
  EXPECT_EQ(Signed(reused), Signed(fresh));
}

TEST(EncoderTest, AddingIsModulo32BitsAndOrderFree) {
  const model::Layout layout = Whole(TwoTables(50, 3));
  Encoder encoder = Make(layout, QuietEncoding(50));
  std::vector<EncodedUpdate> updates(6);
  for (std::uint64_t i = 0; i < updates.size(); ++i) {
    ASSERT_OK(EncodeSeeded(encoder, SomeUpdate(20, 3, 0.9, i), 1, i, &updates[i]));
  }
  std::vector<std::uint32_t> forward(layout.dim(), 0xFFFFFFF0U);
  std::vector<std::uint32_t> backward = forward;
  std::vector<std::uint32_t> dense(layout.dim(), 0xFFFFFFF0U);
  for (const EncodedUpdate& update : updates) {
    update.AddTo(forward);
    std::vector<std::uint32_t> one(layout.dim());
    update.ToDense(one);
    for (std::size_t i = 0; i < one.size(); ++i) dense[i] += one[i];
  }
  for (std::size_t i = updates.size(); i-- > 0;) updates[i].AddTo(backward);
  EXPECT_EQ(forward, backward);
  EXPECT_EQ(forward, dense);
}

TEST(EncoderTest, PlansOutOfRangeAreRefused) {
  const model::Layout layout = Whole(TwoTables(4, 2));
  const auto refused = [&](auto change) {
    model::EncodingPlan plan = QuietEncoding(4);
    change(plan);
    return demur::testing::HasError(Encoder::Create(layout, plan), ErrorCode::kInvalidArgument);
  };
  EXPECT_TRUE(refused([](auto& p) { p.clip_norm = std::nan(""); }));
  EXPECT_TRUE(refused([](auto& p) { p.clip_norm = 1e9; }));
  EXPECT_TRUE(refused([](auto& p) { p.scale = 0; }));
  EXPECT_TRUE(refused([](auto& p) { p.noise_variance = kMaxNoiseVariance + 1; }));
  EXPECT_TRUE(refused([](auto& p) { p.l2_sq_max = 1ULL << 62; }));
  EXPECT_TRUE(refused([](auto& p) { p.bits = 40; }));
}

}  // namespace
}  // namespace demur::dp
