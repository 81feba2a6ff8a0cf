#include "demur/secagg/cohort.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "demur/crypto/hash.h"
#include "numbered_key.h"
#include "result_matchers.h"

namespace demur::secagg {
namespace {

using testing::KeyOf;

constexpr std::uint32_t kHalf = 1U << 31;

crypto::PublicKey Identity(std::uint32_t number) {
  return crypto::Sha256(ByteWriter().U32(number).bytes());
}

PopulationStatement Sample() {
  PopulationStatement out;
  out.epoch = 3;
  out.enrolled = 1000;
  out.active = 990;
  out.root.fill(std::byte{0x33});
  out.revocations = 10;
  for (std::size_t i = 0; i < 32; ++i) out.beacon[i] = std::byte(i);
  out.unix_ms = 1'900'000'000'000;
  return out;
}

// --- The statement ------------------------------------------------------------------------------

TEST(PopulationStatementTest, RoundTripsInTheBytesThatTheProtocolNames) {
  const auto key = KeyOf(1);
  ASSERT_OK_AND_ASSIGN(const Bytes bytes, SignStatement(key, Sample()));
  ASSERT_EQ(bytes.size(), kStatementLen);
  EXPECT_EQ(ToHex(ByteView(bytes).first(25)),
            "01"
            "0000000000000003"
            "00000000000003e8"
            "00000000000003de");
  EXPECT_EQ(ToHex(ByteView(bytes).subspan(57, 8)), "000000000000000a");
  ASSERT_OK_AND_ASSIGN(const PopulationStatement back, OpenStatement(bytes, key.public_key));
  EXPECT_EQ(back, Sample());
}

TEST(PopulationStatementTest, AnotherKeyIsRefused) {
  ASSERT_OK_AND_ASSIGN(const Bytes bytes, SignStatement(KeyOf(1), Sample()));
  EXPECT_ERROR(OpenStatement(bytes, KeyOf(2).public_key), ErrorCode::kPermissionDenied);
}

TEST(PopulationStatementTest, EveryChangedByteIsRefused) {
  const auto key = KeyOf(1);
  ASSERT_OK_AND_ASSIGN(const Bytes bytes, SignStatement(key, Sample()));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes changed = bytes;
    changed[i] ^= std::byte{0x40};
    EXPECT_ERROR(OpenStatement(changed, key.public_key), ErrorCode::kPermissionDenied) << i;
  }
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_ERROR(OpenStatement(ByteView(bytes).first(length), key.public_key),
                 ErrorCode::kInvalidArgument);
  }
}

TEST(PopulationStatementTest, WhatCannotBeIsNotSigned) {
  PopulationStatement statement = Sample();
  statement.epoch = 0;
  EXPECT_ERROR(SignStatement(KeyOf(1), statement), ErrorCode::kInvalidArgument);
  statement = Sample();
  statement.enrolled = 0;
  statement.active = 0;
  EXPECT_ERROR(SignStatement(KeyOf(1), statement), ErrorCode::kInvalidArgument);
  statement = Sample();
  statement.active = 1001;
  EXPECT_ERROR(SignStatement(KeyOf(1), statement), ErrorCode::kInvalidArgument);
  statement = Sample();
  statement.unix_ms = 0;
  EXPECT_ERROR(SignStatement(KeyOf(1), statement), ErrorCode::kInvalidArgument);
}

// --- Inclusion ----------------------------------------------------------------------------------

TEST(InclusionTest, EveryDeviceOfEverySmallPopulationHasAPath) {
  for (std::uint32_t size = 1; size <= 20; ++size) {
    std::vector<Hash256> leaves;
    for (std::uint32_t i = 0; i < size; ++i) leaves.push_back(PopulationLeaf(Identity(i)));
    PopulationStatement statement = Sample();
    statement.enrolled = size;
    statement.root = PopulationRoot(leaves);
    for (std::uint32_t i = 0; i < size; ++i) {
      std::vector<Hash256> path = InclusionPath(leaves, i);
      EXPECT_TRUE(VerifyInclusion(statement, DeviceNumber(i + 1), Identity(i), path));
      EXPECT_FALSE(VerifyInclusion(statement, DeviceNumber(i + 1), Identity(i + 1), path));
      EXPECT_FALSE(VerifyInclusion(statement, DeviceNumber(size + 1), Identity(i), path));
      EXPECT_FALSE(VerifyInclusion(statement, DeviceNumber(0), Identity(i), path));
      if (size > 1) {
        const std::uint32_t other = (i + 1) % size;
        EXPECT_FALSE(VerifyInclusion(statement, DeviceNumber(other + 1), Identity(i), path))
            << i << " of " << size;
      }
      path.push_back(statement.root);
      EXPECT_FALSE(VerifyInclusion(statement, DeviceNumber(i + 1), Identity(i), path));
    }
  }
}

TEST(InclusionTest, ARevokedDeviceHasNone) {
  std::vector<Hash256> leaves = {PopulationLeaf(Identity(0)), {}, PopulationLeaf(Identity(2))};
  PopulationStatement statement = Sample();
  statement.enrolled = 3;
  statement.root = PopulationRoot(leaves);
  EXPECT_FALSE(VerifyInclusion(statement, DeviceNumber(2), Identity(1), InclusionPath(leaves, 1)));
  EXPECT_TRUE(VerifyInclusion(statement, DeviceNumber(3), Identity(2), InclusionPath(leaves, 2)));
}

// --- Eligibility --------------------------------------------------------------------------------

// The first 8 bytes of the two tags, computed with Python's hmac: 0x01efdf69.. and 0x4555e26c...
TEST(EligibleTest, IsTheHmacThatTheProtocolNames) {
  const Hash256 beacon = Sample().beacon;
  TaskId task;
  task.bytes.fill(std::byte{0x11});
  crypto::PublicKey identity{};
  identity.fill(std::byte{0x22});
  EXPECT_FALSE(Eligible(beacon, task, {1, 1}, identity, 0x01efdf69));
  EXPECT_TRUE(Eligible(beacon, task, {1, 1}, identity, 0x01efdf69 + 1));
  EXPECT_FALSE(Eligible(beacon, task, {1, 2}, identity, 0x4555e26c));
  EXPECT_TRUE(Eligible(beacon, task, {1, 2}, identity, 0x4555e26c + 1));
  EXPECT_FALSE(Eligible(beacon, task, {1, 1}, identity, 0));
}

// 4,000 fair draws: 200 from the middle is 6 standard deviations, one run in 10^9.
TEST(EligibleTest, DrawsItsShareAnewForEveryBeaconTaskAndRound) {
  std::uint32_t drawn = 0;
  std::uint32_t changed[3] = {};
  Hash256 other_beacon = Sample().beacon;
  other_beacon[31] ^= std::byte{1};
  TaskId other_task;
  other_task.bytes[15] = std::byte{1};
  for (std::uint32_t i = 0; i < 4000; ++i) {
    const bool base = Eligible(Sample().beacon, {}, {1, 7}, Identity(i), kHalf);
    drawn += base ? 1 : 0;
    changed[0] += base != Eligible(other_beacon, {}, {1, 7}, Identity(i), kHalf) ? 1U : 0U;
    changed[1] +=
        base != Eligible(Sample().beacon, other_task, {1, 7}, Identity(i), kHalf) ? 1U : 0U;
    changed[2] += base != Eligible(Sample().beacon, {}, {1, 8}, Identity(i), kHalf) ? 1U : 0U;
  }
  EXPECT_NEAR(drawn, 2000, 200);
  for (const std::uint32_t count : changed) EXPECT_NEAR(count, 2000, 200);
}

model::Plan PlanOf(std::uint32_t rate) {
  model::Plan plan;
  plan.round = {1, 7};
  plan.cohort.rate = rate;
  return plan;
}

TEST(CheckPeerTest, WhoWasEnrolledAfterTheEpochIsNoMember) {
  const model::Plan plan = PlanOf(~std::uint32_t{0});
  EXPECT_OK(CheckPeer(DeviceNumber(1000), Identity(1), Sample(), plan));
  EXPECT_ERROR(CheckPeer(DeviceNumber(1001), Identity(1), Sample(), plan),
               ErrorCode::kPermissionDenied);
  EXPECT_ERROR(CheckPeer(DeviceNumber(0), Identity(1), Sample(), plan),
               ErrorCode::kPermissionDenied);
}

TEST(CheckPeerTest, WhoIsNotDrawnIsNoMember) {
  const model::Plan plan = PlanOf(kHalf);
  std::uint32_t members = 0;
  for (std::uint32_t i = 1; i <= 100; ++i) {
    const bool drawn = Eligible(Sample().beacon, plan.task, plan.round, Identity(i), kHalf);
    members += drawn ? 1 : 0;
    const Status checked = CheckPeer(DeviceNumber(i), Identity(i), Sample(), plan);
    EXPECT_EQ(checked.has_value(), drawn) << i;
  }
  EXPECT_GT(members, 0U);
  EXPECT_LT(members, 100U);
}

TEST(OpenCohortTest, APlanWithoutAStatementIsServerChosen) {
  ASSERT_OK_AND_ASSIGN(const auto none, OpenCohort({}, KeyOf(1).public_key));
  EXPECT_FALSE(none.has_value());
  ASSERT_OK_AND_ASSIGN(const Bytes bytes, SignStatement(KeyOf(1), Sample()));
  ASSERT_OK_AND_ASSIGN(const auto some, OpenCohort({kHalf, bytes}, KeyOf(1).public_key));
  EXPECT_EQ(some, Sample());
  EXPECT_ERROR(OpenCohort({kHalf, bytes}, KeyOf(2).public_key), ErrorCode::kPermissionDenied);
}

TEST(DescribeCohortTest, SaysWhoChooses) {
  const PopulationStatement statement = Sample();
  EXPECT_EQ(DescribeCohort(0, &statement), "server-chosen");
  EXPECT_EQ(DescribeCohort(kHalf, &statement),
            "authority-drawn (rate 0.5, epoch 3, 1000 enrolled)");
  EXPECT_EQ(DescribeCohort(kHalf, nullptr), "authority-drawn (rate 0.5, no epoch closed yet)");
}

// --- The bound ----------------------------------------------------------------------------------

struct Row {
  std::uint64_t enrolled;
  std::uint32_t gamma, rate, roster, corrupt, permille;
};
// Binomial tails summed with 80 decimal digits (Python's decimal), sigma 80.
constexpr Row kExact[] = {
    {1'000'000, 50, 4294967, 1000, 138, 138},  {1'000'000, 50, 4294967, 700, 138, 198},
    {1'000'000, 10, 4294967, 1000, 57, 57},    {1'000'000, 100, 4294967, 1000, 218, 218},
    {1'000'000, 50, 42949672, 1000, 744, 744}, {1'000'000, 50, 8589934, 1000, 218, 218},
    {1'000'000, 50, 21474836, 1000, 427, 427}, {10'000, 50, 429496729, 1000, 130, 130},
    {1'000, 50, 2147483648, 500, 50, 100},     {100, 50, 4294967295, 100, 5, 50},
    {100, 50, 1288490188, 20, 5, 250},         {10'000'000, 50, 429496, 1000, 138, 138},
};

TEST(BoundCorruptTest, IsTheExactTail) {
  for (const Row& row : kExact) {
    const CorruptBound bound = BoundCorrupt({row.enrolled, row.gamma, row.rate, 80}, row.roster);
    EXPECT_EQ(bound.corrupt, row.corrupt) << row.enrolled << " " << row.rate << " " << row.gamma;
    EXPECT_EQ(bound.permille, row.permille) << row.enrolled << " " << row.rate;
  }
}

TEST(BoundCorruptTest, SaysEverybodyWhereItSaysNothing) {
  EXPECT_EQ(BoundCorrupt({1'000'000, 50, ~std::uint32_t{0}, 80}, 1000), (CorruptBound{1000, 1000}));
  EXPECT_EQ(BoundCorrupt({~std::uint64_t{0}, 1000, ~std::uint32_t{0}, 80}, 100'000),
            (CorruptBound{100'000, 1000}));
  EXPECT_EQ(BoundCorrupt({1'000'000, 0, kHalf, 80}, 1000), CorruptBound{});
  EXPECT_EQ(BoundCorrupt({1'000'000, 50, 0, 80}, 1000), CorruptBound{});
}

TEST(BoundCorruptTest, GrowsWithEverythingThatHelpsTheCoordinator) {
  const CorruptBound base = BoundCorrupt({100'000, 50, 42949672, 80}, 1000);
  EXPECT_GT(BoundCorrupt({200'000, 50, 42949672, 80}, 1000).corrupt, base.corrupt);
  EXPECT_GT(BoundCorrupt({100'000, 60, 42949672, 80}, 1000).corrupt, base.corrupt);
  EXPECT_GT(BoundCorrupt({100'000, 50, 52949672, 80}, 1000).corrupt, base.corrupt);
  EXPECT_GT(BoundCorrupt({100'000, 50, 42949672, 100}, 1000).corrupt, base.corrupt);
  EXPECT_GT(BoundCorrupt({100'000, 50, 42949672, 80}, 900).permille, base.permille);
}

TEST(EligibleRangeTest, IsTheExactTailOnBothSides) {
  const EligibleBounds million = EligibleRange(1'000'000, 4294967);
  EXPECT_EQ(million.least, 786U);
  EXPECT_EQ(million.most, 1231U);
  const EligibleBounds tenth = EligibleRange(10'000, 429496729);
  EXPECT_EQ(tenth.least, 795U);
  EXPECT_EQ(tenth.most, 1218U);
  const EligibleBounds half = EligibleRange(100, kHalf);
  EXPECT_EQ(half.least, 16U);
  EXPECT_EQ(half.most, 84U);
  EXPECT_EQ(EligibleRange(0, kHalf).most, 0U);
  EXPECT_EQ(EligibleRange(std::uint64_t{1} << 40, kHalf).most, std::uint64_t{1} << 40);
}

}  // namespace
}  // namespace demur::secagg
