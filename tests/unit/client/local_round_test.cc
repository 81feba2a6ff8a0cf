#include "demur/client/local_round.h"

#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <vector>

#include "client_test_util.h"
#include "demur/dp/calibrate.h"
#include "dp_fixtures.h"
#include "result_matchers.h"

namespace demur::client {
namespace {

using learning::Signal;

constexpr std::uint32_t kItems = 24;
constexpr DeviceNumber kDevice{5};

model::Plan MakePlan(bool noise, std::vector<std::uint32_t> rows = {}) {
  auto request = testing::UsualRequest();
  request.noise = noise;
  request.rows_max = 20;
  model::Plan plan = testing::PlanFor(testing::UsualRequest());
  plan.training = MakeTraining("biased_mf", kItems, 4, {{"epochs", 2}});
  if (!rows.empty()) plan.training.slice.tables[0] = {false, std::move(rows)};
  const auto layout = model::Layout::Create(plan.training.schema, plan.training.slice);
  plan.encoding = dp::Calibrate(request, *layout).value().encoding;
  plan.privacy.noise = noise;
  plan.round = {1, 3};
  return plan;
}

learning::TrainView View(const std::vector<learning::Event>& events) {
  return learning::TrainView::Create(events, learning::SignalTable(), kItems).value();
}
learning::TrainView UsualView() {
  return View({MakeEvent(1, Signal::kLike), MakeEvent(4, Signal::kDislike),
               MakeEvent(9, Signal::kLike), MakeEvent(23, Signal::kSkip)});
}

// Works like the seeded source, and fails where one purpose is asked for.
class FailingFor final : public RandomSource {
 public:
  explicit FailingFor(std::optional<Purpose> purpose) : purpose_(purpose) {}
  Result<std::unique_ptr<RandomStream>> Stream(const StreamId& id) override {
    if (id.purpose == purpose_) return Error(ErrorCode::kInternal, "the generator failed");
    return random_.Stream(id);
  }
  Result<std::unique_ptr<RandomBlocks>> Blocks(const StreamId& id) override {
    if (id.purpose == purpose_) return Error(ErrorCode::kInternal, "the generator failed");
    return random_.Blocks(id);
  }

 private:
  seeded::SeededRandom random_{17};
  std::optional<Purpose> purpose_;
};

// A plan, a model for it, and what a device needs to take part.
class World {
 public:
  explicit World(model::Plan plan)
      : plan_(std::move(plan)),
        layout_(model::Layout::Create(plan_.training.schema, plan_.training.slice).value()),
        model_(RandomModel(plan_.training.schema, 1)),
        step_(MakeStep(plan_.training)) {}

  model::Plan& plan() { return plan_; }
  const model::Layout& layout() const { return layout_; }
  model::SharedModel& model() { return model_; }
  const learning::LocalStep& step() const { return *step_; }
  LocalRoundWorkspace Workspace() const {
    return LocalRoundWorkspace(dp::Encoder::Create(layout_, plan_.encoding).value());
  }

  struct Outcome {
    LocalRoundReport report;
    std::vector<std::uint32_t> encoded;
    model::PrivateState next;
  };
  Result<Outcome> Run(const model::PrivateState& state, const learning::TrainView& view,
                      DeviceNumber device = kDevice, std::optional<Purpose> failing = {},
                      LocalRoundWorkspace* workspace = nullptr) {
    FailingFor random(failing);
    LocalRoundWorkspace own = Workspace();
    LocalRoundWorkspace& used = workspace != nullptr ? *workspace : own;
    DEMUR_TRY(const CheckedModel checked, CheckedModel::Create(model_, layout_, plan_));
    Outcome out;
    DEMUR_TRY(out.report,
              RunLocalRound({plan_, checked, *step_}, state, view, device, random, &used));
    out.encoded.resize(used.encoded.dim());
    used.encoded.ToDense(out.encoded);
    out.next = used.next;
    return out;
  }
  // The zero update of `device` with the noise of this round.
  std::vector<std::uint32_t> ZeroAndNoise(DeviceNumber device = kDevice) {
    FailingFor random({});
    auto encoder = dp::Encoder::Create(layout_, plan_.encoding).value();
    auto noise = random.Stream(RoundStream(plan_, device.value, Purpose::kNoise)).value();
    dp::EncodedUpdate zero;
    EXPECT_OK(encoder.EncodeZero(plan_.privacy.noise ? noise.get() : nullptr, &zero));
    std::vector<std::uint32_t> out(zero.dim());
    zero.ToDense(out);
    return out;
  }

 private:
  model::Plan plan_;
  model::Layout layout_;
  model::SharedModel model_;
  std::unique_ptr<learning::LocalStep> step_;
};

const model::PrivateState kState{{0.1F, -0.2F, 0.3F, -0.4F, 0.5F}};

TEST(LocalRoundTest, TrainsEncodesAndGivesTheNextState) {
  World world(MakePlan(true));
  ASSERT_OK_AND_ASSIGN(const auto outcome, world.Run(kState, UsualView()));
  EXPECT_TRUE(outcome.report.trained);
  EXPECT_NE(outcome.encoded, world.ZeroAndNoise());

  // The same as the step alone gives.
  FailingFor random({});
  model::Update update;
  ASSERT_OK_AND_ASSIGN(
      const auto next,
      world.step().Run(
          world.model(), kState, UsualView(),
          {world.layout(), random, RoundStream(world.plan(), kDevice.value, Purpose::kSampling)},
          &update));
  EXPECT_EQ(outcome.next, next);
  EXPECT_NE(outcome.next, kState);
}

TEST(LocalRoundTest, WithoutNoiseOnlyTheOwnersRowsMove) {
  World world(MakePlan(false));
  ASSERT_OK_AND_ASSIGN(const auto outcome, world.Run(kState, UsualView()));
  ASSERT_TRUE(outcome.report.trained);
  for (std::uint32_t row = 0; row < kItems; ++row) {
    bool moved = false;
    for (std::uint32_t c = 0; c < 5; ++c) moved = moved || outcome.encoded[5 * row + c] != 0;
    EXPECT_EQ(moved, row == 1 || row == 4 || row == 9 || row == 23) << row;
  }
}

TEST(LocalRoundTest, TheSameSeedGivesTheSameBytes) {
  World world(MakePlan(true));
  ASSERT_OK_AND_ASSIGN(const auto one, world.Run(kState, UsualView()));
  ASSERT_OK_AND_ASSIGN(const auto again, world.Run(kState, UsualView()));
  EXPECT_EQ(one.encoded, again.encoded);
  EXPECT_EQ(one.next, again.next);
  // Nothing of the client before is left in a workspace that is used again.
  LocalRoundWorkspace workspace = world.Workspace();
  const auto other = View({MakeEvent(2, Signal::kLike), MakeEvent(3, Signal::kLike)});
  ASSERT_OK(world.Run({}, other, DeviceNumber(6), {}, &workspace));
  ASSERT_OK(world.Run({}, View({}), DeviceNumber(7), {}, &workspace));
  ASSERT_OK_AND_ASSIGN(const auto reused, world.Run(kState, UsualView(), kDevice, {}, &workspace));
  EXPECT_EQ(reused.encoded, one.encoded);
  EXPECT_EQ(reused.next, one.next);
}

TEST(LocalRoundTest, NoiseIsDrawnAnewForEveryDeviceRoundAndAttempt) {
  World world(MakePlan(true));
  ASSERT_OK_AND_ASSIGN(const auto one, world.Run(kState, View({})));
  ASSERT_OK_AND_ASSIGN(const auto device, world.Run(kState, View({}), DeviceNumber(6)));
  EXPECT_NE(device.encoded, one.encoded);
  world.plan().attempt = 1;
  ASSERT_OK_AND_ASSIGN(const auto attempt, world.Run(kState, View({})));
  EXPECT_NE(attempt.encoded, one.encoded);
  world.plan().attempt = 0;
  world.plan().round.counter = 4;
  ASSERT_OK_AND_ASSIGN(const auto round, world.Run(kState, View({})));
  EXPECT_NE(round.encoded, one.encoded);
  world.plan().round.counter = 3;
  world.plan().task.bytes[0] = std::byte{9};
  ASSERT_OK_AND_ASSIGN(const auto task, world.Run(kState, View({})));
  EXPECT_NE(task.encoded, one.encoded);
}

// --- Whatever goes wrong, something is sent -----------------------------------------------------

void ExpectZeroAndOldState(World& world, const Result<World::Outcome>& outcome, ErrorCode failure) {
  ASSERT_OK(outcome);
  EXPECT_FALSE(outcome->report.trained);
  EXPECT_EQ(outcome->report.failure, failure);
  EXPECT_EQ(outcome->encoded, world.ZeroAndNoise());
  EXPECT_EQ(outcome->next, kState);
}

TEST(LocalRoundTest, WithoutExamplesTheZeroUpdateGoes) {
  for (const bool noise : {true, false}) {
    World world(MakePlan(noise));
    ExpectZeroAndOldState(world, world.Run(kState, View({})), ErrorCode::kFailedPrecondition);
    ExpectZeroAndOldState(world, world.Run(kState, View({MakeEvent(3, Signal::kNeutral)})),
                          ErrorCode::kFailedPrecondition);
  }
  World quiet(MakePlan(false));
  EXPECT_EQ(quiet.ZeroAndNoise(), std::vector<std::uint32_t>(5 * kItems));
}

// A value outside the slice is not looked at before the round; it must not silence anybody.
TEST(LocalRoundTest, TrainingThatLeavesTheFiniteRangeSendsTheZeroUpdate) {
  for (const float planted :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    World world(
        MakePlan(true, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}));
    for (float& value : world.model().Row(0, 23)) value = planted;
    ExpectZeroAndOldState(world, world.Run(kState, UsualView()), ErrorCode::kAborted);
    ASSERT_OK_AND_ASSIGN(const auto others, world.Run(kState, View({MakeEvent(1, Signal::kLike)})));
    EXPECT_TRUE(others.report.trained) << "who never met the item trains as ever";
  }
}

TEST(LocalRoundTest, AnUpdateThatBreaksTheIntegerBoundsSendsTheZeroUpdate) {
  World world(MakePlan(true));
  world.plan().encoding.l2_sq_max = 1;
  ExpectZeroAndOldState(world, world.Run(kState, UsualView()), ErrorCode::kAborted);
  World narrow(MakePlan(true));
  narrow.plan().encoding.rows_max = 3;  // the update has four
  ExpectZeroAndOldState(narrow, narrow.Run(kState, UsualView()), ErrorCode::kAborted);
}

TEST(LocalRoundTest, AStateThatDoesNotFitSendsTheZeroUpdate) {
  World world(MakePlan(true));
  const model::PrivateState wrong{{1, 2, 3}};
  ASSERT_OK_AND_ASSIGN(const auto outcome, world.Run(wrong, UsualView()));
  EXPECT_FALSE(outcome.report.trained);
  EXPECT_EQ(outcome.report.failure, ErrorCode::kInvalidArgument);
  EXPECT_EQ(outcome.encoded, world.ZeroAndNoise());
  EXPECT_EQ(outcome.next, wrong);
}

TEST(LocalRoundTest, AGeneratorThatFailsInTrainingSendsTheZeroUpdate) {
  World world(MakePlan(true));
  for (const Purpose purpose : {Purpose::kSampling, Purpose::kRounding}) {
    ExpectZeroAndOldState(world, world.Run(kState, UsualView(), kDevice, purpose),
                          ErrorCode::kInternal);
  }
  ASSERT_OK_AND_ASSIGN(const auto first,
                       world.Run({}, UsualView(), kDevice, Purpose::kInitialisation));
  EXPECT_FALSE(first.report.trained);
  EXPECT_EQ(first.encoded, world.ZeroAndNoise());
  EXPECT_TRUE(first.next.values.empty());
}

// Without noise nothing may leave: this is the one failure that keeps a device silent.
TEST(LocalRoundTest, WithoutItsNoiseNothingIsSent) {
  World world(MakePlan(true));
  EXPECT_ERROR(world.Run(kState, UsualView(), kDevice, Purpose::kNoise), ErrorCode::kInternal);
  EXPECT_ERROR(world.Run(kState, View({}), kDevice, Purpose::kNoise), ErrorCode::kInternal);
  World quiet(MakePlan(false));
  EXPECT_OK(quiet.Run(kState, UsualView(), kDevice, Purpose::kNoise)) << "where none is wanted";
}

TEST(LocalRoundTest, AnEncoderOfAnotherPlanIsRefused) {
  World world(MakePlan(true));
  LocalRoundWorkspace quiet = World(MakePlan(false)).Workspace();
  EXPECT_ERROR(world.Run(kState, UsualView(), kDevice, {}, &quiet), ErrorCode::kInvalidArgument);
  World slice(
      MakePlan(true, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}));
  slice.plan().encoding = world.plan().encoding;
  LocalRoundWorkspace narrow = slice.Workspace();
  EXPECT_ERROR(world.Run(kState, UsualView(), kDevice, {}, &narrow), ErrorCode::kInvalidArgument);
}

// --- Models -------------------------------------------------------------------------------------

TEST(CheckedModelTest, EveryValueOfTheSliceIsFiniteAndBounded) {
  World world(MakePlan(true, {2, 5, 23}));
  const auto check = [&world] {
    return CheckedModel::Create(world.model(), world.layout(), world.plan());
  };
  EXPECT_OK(check());
  const auto bound = static_cast<float>(world.plan().training.value_max);
  for (const std::uint32_t row : {2U, 23U}) {
    for (const std::size_t column : {0U, 4U}) {
      float& value = world.model().Row(0, row)[column];
      const float kept = value;
      for (const float bad :
           {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
            -std::numeric_limits<float>::infinity(), bound * 1.0001F, -2 * bound}) {
        value = bad;
        const auto checked = check();
        EXPECT_ERROR(checked, ErrorCode::kInvalidArgument) << bad;
        EXPECT_NE(checked.error().message().find("'item' row " + std::to_string(row)),
                  std::string::npos)
            << checked.error().message();
      }
      for (const float good : {bound, -bound, 0.0F, -0.0F, kept}) {
        value = good;
        EXPECT_OK(check()) << good;
      }
    }
  }
}

TEST(CheckedModelTest, AnotherSchemaIsRefused) {
  World world(MakePlan(true));
  const model::SharedModel other(MakeTraining("biased_mf", kItems, 3).schema);
  EXPECT_ERROR(CheckedModel::Create(other, world.layout(), world.plan()),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(CheckedModel::Create(model::SharedModel(), world.layout(), world.plan()),
               ErrorCode::kInvalidArgument);
}

TEST(RoundStreamTest, NamesEverythingThatNoiseMayNotShare) {
  model::Plan plan;
  for (unsigned char i = 0; i < 16; ++i)
    plan.task.bytes[i] = std::byte{static_cast<unsigned char>(i + 1)};
  plan.round = {2, 3};
  plan.attempt = 4;
  const StreamId id = RoundStream(plan, 9, Purpose::kNoise);
  EXPECT_EQ(id.task, 0x0102030405060708U);
  EXPECT_EQ(id.round, (RoundId{2, 3}).Packed());
  EXPECT_EQ(id.attempt, 4U);
  EXPECT_EQ(id.client, 9U);
  EXPECT_EQ(id.purpose, Purpose::kNoise);
}

}  // namespace
}  // namespace demur::client
