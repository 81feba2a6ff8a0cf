#include "demur/dp/device_budget.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "dp_fixtures.h"
#include "result_matchers.h"

namespace demur::dp {
namespace {

using demur::testing::PlanFor;
using demur::testing::UsualRequest;

constexpr std::uint32_t kDim = 900;

const model::Plan& UsualPlan() {
  static const model::Plan plan = PlanFor(UsualRequest());
  return plan;
}

TEST(DeviceBudgetTest, AnHonestPlanIsAdmittedUntilParticipationsEnd) {
  model::Plan plan = UsualPlan();
  DeviceTaskAccount account;
  double spent = 0;
  for (std::uint32_t round = 1; round <= 4; ++round) {
    plan.round.counter = round;
    std::vector<DeviceTaskAccount> accounts;
    if (round > 1) accounts.push_back(account);
    ASSERT_OK_AND_ASSIGN(account, AdmitPlan(plan, kDim, DeviceFloor{}, accounts));
    EXPECT_EQ(account.participations, round);
    EXPECT_EQ(account.task, plan.task);
    EXPECT_EQ(account.last_round, plan.round);
    EXPECT_LE(account.delta, 1e-7);
    const auto now =
        static_cast<double>(DpConversion::Create(account.delta)->EpsilonUnits(account.spent));
    EXPECT_GT(now, spent);
    spent = now;
  }
  EXPECT_LE(spent * kEpsilonUnit, 6);
  plan.round.counter = 5;
  EXPECT_ERROR(AdmitPlan(plan, kDim, DeviceFloor{}, std::vector{account}),
               ErrorCode::kResourceExhausted);
}

TEST(DeviceBudgetTest, RoundsAreNeverTakenTwice) {
  model::Plan plan = UsualPlan();
  plan.round = {1, 5};
  ASSERT_OK_AND_ASSIGN(const auto first, AdmitPlan(plan, kDim, DeviceFloor{}, {}));
  EXPECT_ERROR(AdmitPlan(plan, kDim, DeviceFloor{}, std::vector{first}),
               ErrorCode::kFailedPrecondition);
  plan.round = {1, 4};
  EXPECT_ERROR(AdmitPlan(plan, kDim, DeviceFloor{}, std::vector{first}),
               ErrorCode::kFailedPrecondition);
}

TEST(DeviceBudgetTest, APlanThatCostsMoreThanItPromisesIsRefused) {
  model::Plan plan = UsualPlan();
  plan.encoding.noise_variance = plan.encoding.noise_variance * 9 / 10;
  EXPECT_ERROR(AdmitPlan(plan, kDim, DeviceFloor{}, {}), ErrorCode::kInvalidArgument);
  plan = UsualPlan();
  plan.encoding.l2_sq_max = plan.encoding.l2_sq_max * 11 / 10;
  EXPECT_ERROR(AdmitPlan(plan, kDim, DeviceFloor{}, {}), ErrorCode::kInvalidArgument);
  plan = UsualPlan();
  plan.secagg.dropout_permille += 50;  // fewer honest survivors, same noise each
  EXPECT_ERROR(AdmitPlan(plan, kDim, DeviceFloor{}, {}), ErrorCode::kInvalidArgument);
  plan = UsualPlan();
  plan.privacy.participations_max = 5;
  EXPECT_ERROR(AdmitPlan(plan, kDim, DeviceFloor{}, {}), ErrorCode::kInvalidArgument);
}

TEST(DeviceBudgetTest, ASumThatCouldWrapIsRefused) {
  model::Plan plan = UsualPlan();
  --plan.encoding.bits;
  EXPECT_ERROR(AdmitPlan(plan, kDim, DeviceFloor{}, {}), ErrorCode::kInvalidArgument);
}

TEST(DeviceBudgetTest, TheFloorIsNotLoweredByAnyPlan) {
  const auto refused = [](auto change) {
    DeviceFloor floor;
    change(floor);
    return demur::testing::HasError(AdmitPlan(UsualPlan(), kDim, floor, {}),
                                    ErrorCode::kPermissionDenied);
  };
  EXPECT_FALSE(refused([](DeviceFloor&) {}));
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.epsilon_round_max = 0.5; }));
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.epsilon_task_max = 5.9; }));
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.delta_max = 1e-8; }));
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.participations_max = 3; }));
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.roster_min = 801; }));
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.survivors_min = 561; }));
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.corrupt_permille_min = 101; }));
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.dropout_permille_max = 299; }));
}

TEST(DeviceBudgetTest, PlansWithoutNoiseNeedTheOwnersWord) {
  auto request = UsualRequest();
  request.noise = false;
  const model::Plan plan = PlanFor(request);
  EXPECT_ERROR(AdmitPlan(plan, kDim, DeviceFloor{}, {}), ErrorCode::kPermissionDenied);
  DeviceFloor floor;
  floor.allow_no_noise = true;
  ASSERT_OK_AND_ASSIGN(const auto account, AdmitPlan(plan, kDim, floor, {}));
  EXPECT_EQ(account.participations, 1U);
  EXPECT_EQ(account.spent, RdpCurve{});
}

// Without noise no epsilon stands in the way: the count alone has to.
TEST(DeviceBudgetTest, ParticipationsAreCountedWithoutNoiseToo) {
  auto request = UsualRequest();
  request.noise = false;
  model::Plan plan = PlanFor(request);
  DeviceFloor floor;
  floor.allow_no_noise = true;
  std::vector<DeviceTaskAccount> accounts;
  for (std::uint32_t round = 1; round <= 4; ++round) {
    plan.round.counter = round;
    ASSERT_OK_AND_ASSIGN(const auto account, AdmitPlan(plan, kDim, floor, accounts));
    accounts = {account};
  }
  plan.round.counter = 5;
  EXPECT_ERROR(AdmitPlan(plan, kDim, floor, accounts), ErrorCode::kResourceExhausted);
}

TEST(DeviceBudgetTest, AllTasksTogetherHaveALimit) {
  const model::Plan plan = UsualPlan();
  ASSERT_OK_AND_ASSIGN(const auto one, AdmitPlan(plan, kDim, DeviceFloor{}, {}));
  std::vector<DeviceTaskAccount> others;
  DeviceFloor floor;
  floor.epsilon_total_max = 7;
  std::uint32_t admitted = 0;
  for (std::uint32_t task = 0; task < 10; ++task) {
    if (!AdmitPlan(plan, kDim, floor, others)) break;
    ++admitted;
    DeviceTaskAccount other = one;
    other.task.bytes[1] = std::byte{static_cast<unsigned char>(task + 1)};
    others.push_back(other);
  }
  // Four rounds of this plan cost 6; five or six cost 7.
  EXPECT_GE(admitted, 4U);
  EXPECT_LE(admitted, 6U);
  EXPECT_ERROR(AdmitPlan(plan, kDim, floor, others), ErrorCode::kResourceExhausted);
}

TEST(DeviceBudgetTest, ATaskThatHasCostTooMuchStops) {
  model::Plan plan = UsualPlan();
  ASSERT_OK_AND_ASSIGN(auto account, AdmitPlan(plan, kDim, DeviceFloor{}, {}));
  ASSERT_OK(account.spent.Add(RdpCurve(account.spent), 6));  // many attempts
  plan.round.counter = 2;
  EXPECT_ERROR(AdmitPlan(plan, kDim, DeviceFloor{}, std::vector{account}),
               ErrorCode::kResourceExhausted);
}

TEST(DeviceBudgetTest, FloorsThatMeanNothingAreRefused) {
  const auto refused = [](auto change) {
    DeviceFloor floor;
    change(floor);
    return demur::testing::HasError(floor.Validate(), ErrorCode::kInvalidArgument);
  };
  EXPECT_OK(DeviceFloor{}.Validate());
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.epsilon_round_max = std::nan(""); }));
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.epsilon_task_max = 0; }));
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.epsilon_total_max = HUGE_VAL; }));
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.delta_max = 1; }));
  EXPECT_TRUE(refused([](DeviceFloor& f) { f.participations_max = 0; }));
}

TEST(DeviceBudgetTest, AccountsComeBackFromTheirBytes) {
  ASSERT_OK_AND_ASSIGN(const auto account, AdmitPlan(UsualPlan(), kDim, DeviceFloor{}, {}));
  const Bytes bytes = account.Encode();
  ASSERT_OK_AND_ASSIGN(const auto parsed, DeviceTaskAccount::Parse(bytes));
  EXPECT_EQ(parsed, account);
  for (std::size_t len = 0; len < bytes.size(); ++len) {
    EXPECT_ERROR(DeviceTaskAccount::Parse(ByteView(bytes).first(len)), ErrorCode::kDataLoss);
  }
  Bytes broken = bytes;
  broken.push_back({});
  EXPECT_ERROR(DeviceTaskAccount::Parse(broken), ErrorCode::kDataLoss);
  broken = bytes;
  broken[0] = std::byte{9};
  EXPECT_ERROR(DeviceTaskAccount::Parse(broken), ErrorCode::kDataLoss);
  broken = bytes;
  broken[33] = std::byte{0xFF};  // a negative delta
  EXPECT_ERROR(DeviceTaskAccount::Parse(broken), ErrorCode::kDataLoss);
  broken = bytes;
  broken[41] = std::byte{0xFF};  // a curve beyond 2^62
  EXPECT_ERROR(DeviceTaskAccount::Parse(broken), ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace demur::dp
