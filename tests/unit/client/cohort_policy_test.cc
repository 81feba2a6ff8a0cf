#include <gtest/gtest.h>

#include <string>

#include "demur/client/policy.h"
#include "demur/crypto/hash.h"
#include "demur/secagg/cohort.h"
#include "numbered_key.h"
#include "result_matchers.h"

// What a device asks of a cohort that the authority's beacon draws. The plan below is honest and
// draws half of 1,000 people; each test changes one thing.
namespace demur::client {
namespace {

using testing::KeyOf;

constexpr std::uint32_t kHalf = 1U << 31;

secagg::PopulationStatement Population() {
  secagg::PopulationStatement out;
  out.epoch = 5;
  out.enrolled = 1000;
  out.active = 1000;
  out.beacon.fill(std::byte{0x77});
  out.unix_ms = 1;
  return out;
}

Bytes Signed(const secagg::PopulationStatement& population, std::uint8_t key = 1) {
  return secagg::SignStatement(KeyOf(key), population).value();
}

model::Plan DrawnPlan() {
  model::Plan plan;
  plan.round = {1, 9};
  plan.secagg.roster_min = 400;
  plan.secagg.corrupt_permille = 125;  // all 50 of 400
  plan.cohort = {kHalf, Signed(Population())};
  return plan;
}

// The first identity that the honest plan draws, or does not.
crypto::PublicKey IdentityThatIs(bool drawn) {
  const model::Plan plan = DrawnPlan();
  for (std::uint32_t i = 0;; ++i) {
    const crypto::PublicKey key = crypto::Sha256(ByteWriter().U32(i).bytes());
    if (secagg::Eligible(Population().beacon, plan.task, plan.round, key, kHalf) == drawn) {
      return key;
    }
  }
}

CohortSelf Self() { return {KeyOf(1).public_key, IdentityThatIs(true), DeviceNumber(1000)}; }

struct Outcome {
  Status status;
  Admission admission;
};
Outcome Check(const model::Plan& plan, const Floor& floor = {}, const CohortSelf& self = Self(),
              std::uint64_t last_epoch = 0) {
  Outcome out;
  out.admission.seen.population_epoch = last_epoch;
  out.admission.charged.population_epoch = last_epoch;
  out.status = CheckCohort(plan, floor, self, &out.admission);
  return out;
}

::testing::AssertionResult Names(const Status& status, const std::string& text) {
  if (!status && status.error().message().find(text) != std::string::npos) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << (status ? "no error" : status.error().message());
}

TEST(CohortPolicyTest, AnHonestDrawIsAdmittedAndItsEpochRemembered) {
  const Outcome out = Check(DrawnPlan(), {}, Self(), 4);
  ASSERT_OK(out.status);
  EXPECT_EQ(out.admission.population, Population());
  EXPECT_EQ(out.admission.seen.population_epoch, 5U);
  EXPECT_EQ(out.admission.charged.population_epoch, 5U);
  EXPECT_OK(Check(DrawnPlan(), {}, Self(), 5).status);
}

TEST(CohortPolicyTest, AStatementThatTheAuthorityDidNotSignIsRefused) {
  model::Plan plan = DrawnPlan();
  plan.cohort.statement = Signed(Population(), 2);
  const Outcome out = Check(plan);
  EXPECT_ERROR(out.status, ErrorCode::kPermissionDenied);
  EXPECT_FALSE(out.admission.population.has_value());
}

TEST(CohortPolicyTest, AnOlderEpochIsRefused) {
  const Outcome out = Check(DrawnPlan(), {}, Self(), 6);
  EXPECT_ERROR(out.status, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(Names(out.status, "epoch 5 is older than 6"));
}

TEST(CohortPolicyTest, WhoIsNotDrawnLeavesThisRoundOnly) {
  CohortSelf self = Self();
  self.identity_key = IdentityThatIs(false);
  EXPECT_ERROR(Check(DrawnPlan(), {}, self).status, ErrorCode::kFailedPrecondition);
  self = Self();
  self.device = DeviceNumber(1001);
  EXPECT_ERROR(Check(DrawnPlan(), {}, self).status, ErrorCode::kFailedPrecondition);
}

TEST(CohortPolicyTest, APlanReckonsWithAsManyCorruptMembersAsTheDrawMayHold) {
  model::Plan plan = DrawnPlan();
  plan.secagg.corrupt_permille = 124;
  const Outcome out = Check(plan);
  EXPECT_ERROR(out.status, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(Names(out.status, "below 125"));
  Floor trusting;
  trusting.population_corrupt_permille = 49;
  EXPECT_OK(Check(plan, trusting).status);
  // A smaller roster may hold the same people.
  plan = DrawnPlan();
  plan.secagg.roster_min = 399;
  EXPECT_ERROR(Check(plan).status, ErrorCode::kPermissionDenied);
}

TEST(CohortPolicyTest, AServerChosenCohortIsTheFloorsToAccept) {
  model::Plan plan = DrawnPlan();
  plan.cohort = {};
  EXPECT_OK(Check(plan).status);
  Floor strict;
  strict.require_drawn_cohort = true;
  EXPECT_ERROR(Check(plan, strict).status, ErrorCode::kPermissionDenied);
  EXPECT_OK(Check(DrawnPlan(), strict).status);
}

TEST(CohortPolicyTest, ATaskWithDrawnCohortsDoesNotFallBack) {
  model::Plan plan = DrawnPlan();
  plan.cohort = {};
  EXPECT_ERROR(Check(plan, {}, Self(), 1).status, ErrorCode::kPermissionDenied);
}

}  // namespace
}  // namespace demur::client
