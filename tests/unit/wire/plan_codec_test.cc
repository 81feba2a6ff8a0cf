#include "demur/wire/plan_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "hostile_bytes.h"
#include "result_matchers.h"

namespace demur::wire {
namespace {

// No two fields of one type are equal, and none has its default.
model::Plan SamplePlan() {
  model::Plan plan;
  plan.task.bytes.fill(std::byte{0x11});
  plan.round = {2, 77};
  plan.attempt = 1;
  plan.model_hash.fill(std::byte{0x22});
  plan.model_version = 76;
  plan.expires_unix_ms = 1'900'000'000'123;
  plan.training.algorithm = "biased_mf";
  plan.training.hyper = {{"epochs", 2}, {"learning_rate", 0.05}};
  plan.training.schema.tables = {{"item", 100, 17, 1.0}, {"item_bias", 90, 1, 2.5}};
  plan.training.slice.tables = {{false, {0, 3, 99}}, {true, {}}};
  plan.training.value_max = 50;
  plan.training.normaliser = 120.5;
  plan.encoding = {0.75, 4096, 24, 1234567, 9876543, 654321, 60};
  plan.privacy = {true, 5.5, 1e-7, 4, 15, true};
  plan.secagg = {model::SecAggProfile::kMalicious, 25, 400, 51, 301, 41, 21};
  plan.timeouts = {101, 102, 103, 104, 105, 106};
  plan.cohort = {4294967, Bytes(169, std::byte{0x44})};
  plan.session = {model::SessionKind::kRows, {1.25, 2048, 23, 345678, 87654, 7654, 61}, 1789};
  return plan;
}

Result<model::Plan> Decode(ByteView bytes) { return DecodePlan(bytes); }

TEST(PlanCodecTest, EveryFieldRoundTrips) {
  const model::Plan plan = SamplePlan();
  ASSERT_OK(plan.Validate());
  ASSERT_OK_AND_ASSIGN(const model::Plan back, DecodePlan(EncodePlan(plan)));
  EXPECT_EQ(back, plan);
}
TEST(PlanCodecTest, RefusesDamage) { ExpectHardened(EncodePlan(SamplePlan()), Decode); }
TEST(PlanCodecTest, ARateAndAStatementComeTogether) {
  model::Plan plan = SamplePlan();
  plan.cohort = {};
  ASSERT_OK_AND_ASSIGN(const model::Plan back, DecodePlan(EncodePlan(plan)));
  EXPECT_TRUE(back.cohort.server_chosen());
  plan.cohort.rate = 1;
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
  plan.cohort = {0, Bytes(169)};
  EXPECT_ERROR(plan.Validate(), ErrorCode::kInvalidArgument);
  plan.cohort = {1, Bytes(model::kMaxStatementLen + 1)};
  EXPECT_ERROR(plan.Validate(), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
}
TEST(PlanCodecTest, WhatValidateRefusesIsRefused) {
  model::Plan plan = SamplePlan();
  plan.encoding.bits = 33;
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
  plan = SamplePlan();
  plan.secagg.profile = static_cast<model::SecAggProfile>(9);
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
  plan = SamplePlan();
  plan.privacy.noise = false;
  plan.encoding.noise_variance = 0;
  plan.session.other.noise_variance = 0;
  EXPECT_OK(DecodePlan(EncodePlan(plan)));
  plan.privacy.epsilon = std::numeric_limits<double>::quiet_NaN();
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
  plan = SamplePlan();
  plan.version = 2;
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
}

// The plan of the only session of its round.
model::Plan WholePlan() {
  model::Plan plan = SamplePlan();
  plan.attempt = 0;
  plan.session = {};
  return plan;
}

TEST(PlanCodecTest, EveryKindOfSessionRoundTrips) {
  ASSERT_OK_AND_ASSIGN(const model::Plan whole, DecodePlan(EncodePlan(WholePlan())));
  EXPECT_EQ(whole, WholePlan());
  model::Plan counts = WholePlan();
  counts.training.algorithm = model::kRowCountsAlgorithm;
  counts.session = SamplePlan().session;
  counts.session.kind = model::SessionKind::kRowCounts;
  ASSERT_OK_AND_ASSIGN(const model::Plan back, DecodePlan(EncodePlan(counts)));
  EXPECT_EQ(back, counts);
}

// Bytes of `plan` with the number of its kind of session, which is the only word of the message
// that differs when the kind does, replaced.
Bytes WithKind(const model::Plan& plan, std::uint8_t kind) {
  model::Plan another = plan;
  another.session.kind = model::SessionKind{0xFE};
  Bytes bytes = EncodePlan(plan);
  const Bytes marked = EncodePlan(another);
  const auto at = std::mismatch(bytes.begin(), bytes.end(), marked.begin(), marked.end()).first;
  EXPECT_NE(at, bytes.end());
  *at = std::byte{kind};
  return bytes;
}

TEST(PlanCodecTest, SessionsThatAreOutOfRangeAreRefused) {
  ASSERT_OK(DecodePlan(WithKind(SamplePlan(), 3)));
  // 0 and 1 say that the round has one session only: its attempt is 0.
  for (const unsigned kind : {0U, 1U, 2U, 4U, 0x7FU, 0xFFU}) {
    const Bytes bytes = WithKind(SamplePlan(), static_cast<std::uint8_t>(kind));
    EXPECT_ERROR(DecodePlan(bytes), ErrorCode::kInvalidArgument) << kind;
  }
  for (const std::uint32_t dim : {0U, (1U << 26) + 1, 0xFFFFFFFFU}) {
    model::Plan plan = SamplePlan();
    plan.session.other_dim = dim;
    EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument) << dim;
  }
  model::Plan plan = SamplePlan();
  plan.session.other.clip_norm = std::numeric_limits<double>::quiet_NaN();
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
  plan = SamplePlan();
  plan.session.other.noise_variance = 0;
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
}
TEST(PlanCodecTest, ModelsOverTheReadersLimitAreRefusedBeforeALayoutIsMade) {
  const Bytes bytes = EncodePlan(SamplePlan());
  EXPECT_OK(DecodePlan(bytes, {1790}));  // 100 * 17 + 90
  EXPECT_ERROR(DecodePlan(bytes, {1789}), ErrorCode::kInvalidArgument);
  model::Plan plan = SamplePlan();
  plan.training.schema.tables[1].rows = 0xFFFFFFFF;
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
  plan.training.schema.tables[1].cols = 0xFFFFFFFF;  // the product must not wrap to a small one
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
}
TEST(PlanCodecTest, ListsThatAreTooLongAreRefused) {
  model::Plan plan = SamplePlan();
  for (int i = 0; i < 65; ++i) plan.training.hyper.push_back({"h" + std::to_string(100 + i), 1});
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
  plan = SamplePlan();
  plan.training.slice.tables[0].rows.assign(101, 0);
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
  plan = SamplePlan();
  for (int i = 0; i < 15; ++i) {
    plan.training.schema.tables.push_back({"t" + std::to_string(100 + i), 1, 1, 1.0});
    plan.training.slice.tables.push_back({});
  }
  EXPECT_ERROR(DecodePlan(EncodePlan(plan)), ErrorCode::kInvalidArgument);
}

// A plan up to its list of tables, which has 2^29 - 1 elements of no size behind one word.
Bytes PlanWithEmptyTables(std::uint32_t count) {
  Words words;
  words.StructPointer(0, 0, 3);  // root: task, hash, training
  words.ListPointer(2, 2, 16).ListPointer(3, 2, 32).StructPointer(6, 0, 3);
  for (int i = 0; i < 6; ++i) words.Word(0x1111111111111111);  // task, hash
  words.Word(0).Word(0).ListPointer(0, 7, 0);                  // training: algorithm, hyper, tables
  words.Word(std::uint64_t{count} << 2);                       // tag: structs of no size
  return words.Message();
}

TEST(PlanCodecTest, SmallMessagesThatClaimManyElementsAreRefused) {
  for (const std::uint32_t count : {0U, 3U, 17U, 0x1FFFFFFFU}) {
    EXPECT_ERROR(DecodePlan(PlanWithEmptyTables(count)), ErrorCode::kInvalidArgument) << count;
  }
}
TEST(PlanCodecTest, PointersThatLeadBackAreRefused) {
  // The training plan's list of tables is the root itself, again and again.
  const Bytes bytes = Words()
                          .StructPointer(0, 0, 3)
                          .ListPointer(-2, 7, 3)
                          .ListPointer(-3, 7, 3)
                          .StructPointer(-3, 0, 3)
                          .Message();
  EXPECT_ERROR(DecodePlan(bytes), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur::wire
