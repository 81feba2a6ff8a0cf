#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "algorithms_test_util.h"
#include "demur/seeded/seeded_random.h"
#include "result_matchers.h"

namespace demur {
namespace {

// Three items, two factors: nine coordinates.
class Server {
 public:
  explicit Server(std::vector<model::HyperParameter> hyper)
      : plan_(MakeTraining("biased_mf", 3, 2, std::move(hyper))),
        layout_(MakeLayout(plan_)),
        step_(learning_server::MakeServerStep("biased_mf", plan_).value()),
        model_(plan_.schema) {
    mean_.values.assign(9, 0.0);
  }
  Status Run() { return step_->Run(&model_, &state_, mean_, layout_); }

  model::TrainingPlan plan_;
  model::Layout layout_;
  std::unique_ptr<learning::ServerStep> step_;
  model::SharedModel model_;
  learning::ServerState state_;
  model::MeanUpdate mean_;
};

TEST(BiasedMfServerTest, SgdWithMomentumMatchesTheFormula) {
  Server server({{"server_momentum", 0.5}, {"server_optimiser", 0}, {"server_rate", 2}});
  server.mean_.values[3] = 0.1;
  ASSERT_OK(server.Run());
  EXPECT_NEAR(server.model_.Row(0, 1)[0], 2 * 0.1, 1e-6);
  server.mean_.values[3] = -0.3;
  ASSERT_OK(server.Run());
  EXPECT_NEAR(server.model_.Row(0, 1)[0], 2 * 0.1 + 2 * (0.5 * 0.1 - 0.3), 1e-6);
}

TEST(BiasedMfServerTest, AdamMatchesTheFormulaWithUnbiasedMoments) {
  Server server({{"server_beta2", 0.9},
                 {"server_epsilon", 0.01},
                 {"server_momentum", 0.8},
                 {"server_optimiser", 1},
                 {"server_rate", 0.5}});
  double m = 0;
  double v = 0;
  double value = 0;
  int steps = 0;
  for (const double g : {0.1, -0.3, 0.2}) {
    server.mean_.values[3] = g;
    ASSERT_OK(server.Run());
    ++steps;
    m = 0.8 * m + 0.2 * g;
    v = 0.9 * v + 0.1 * g * g;
    value +=
        0.5 * (m / (1 - std::pow(0.8, steps))) / (std::sqrt(v / (1 - std::pow(0.9, steps))) + 0.01);
    EXPECT_NEAR(server.model_.Row(0, 1)[0], value, 1e-5);
  }
}

TEST(BiasedMfServerTest, AdagradMatchesTheFormula) {
  Server server({{"server_epsilon", 0.01}, {"server_optimiser", 2}, {"server_rate", 0.5}});
  double s = 0;
  double value = 0;
  for (const double g : {0.1, -0.3, 0.2}) {
    server.mean_.values[3] = g;
    ASSERT_OK(server.Run());
    s += g * g;
    value += 0.5 * g / (std::sqrt(s) + 0.01);
    EXPECT_NEAR(server.model_.Row(0, 1)[0], value, 1e-5);
  }
}

TEST(BiasedMfServerTest, ARowThatNobodyTouchedKeepsItsMomentsAndValues) {
  for (const double optimiser : {0.0, 1.0, 2.0}) {
    Server server({{"server_optimiser", optimiser}, {"server_rate", 0.5}});
    server.mean_.values.assign(9, 0.1);
    ASSERT_OK(server.Run());
    const auto kept = server.state_.tables[0];
    const float value = server.model_.Row(0, 1)[0];
    std::fill(server.mean_.values.begin() + 3, server.mean_.values.begin() + 6, 0.0);
    ASSERT_OK(server.Run());
    const auto& now = server.state_.tables[0];
    EXPECT_EQ(server.model_.Row(0, 1)[0], value);
    EXPECT_EQ(now.steps, std::vector<std::uint32_t>({2, 1, 2}));
    for (std::size_t k = 3; k < 6; ++k) {
      if (!kept.first.empty()) {
        EXPECT_EQ(now.first[k], kept.first[k]);
      }
      if (!kept.second.empty()) {
        EXPECT_EQ(now.second[k], kept.second[k]);
      }
    }
  }
}

TEST(BiasedMfServerTest, OnlyTheSliceMovesAndDecays) {
  Server server({{"server_decay", 0.1}, {"server_optimiser", 0}, {"server_rate", 1}});
  for (std::uint32_t i = 0; i < 3; ++i) server.model_.Row(0, i)[0] = 1;
  model::Slice slice;
  slice.tables = {{false, {0, 2}}};
  ASSERT_OK_AND_ASSIGN(server.layout_, model::Layout::Create(server.plan_.schema, slice));
  server.mean_.values.assign(6, 0.0);
  server.mean_.values[3] = 0.5;  // row 2
  ASSERT_OK(server.Run());
  EXPECT_FLOAT_EQ(server.model_.Row(0, 0)[0], 0.9F);
  EXPECT_FLOAT_EQ(server.model_.Row(0, 1)[0], 1.0F);
  EXPECT_FLOAT_EQ(server.model_.Row(0, 2)[0], 1.4F);
  EXPECT_EQ(server.state_.tables[0].steps, std::vector<std::uint32_t>({0, 0, 1}));
}

TEST(BiasedMfServerTest, HoldsTheModelWithinWhatDevicesAccept) {
  Server server({{"server_optimiser", 0}, {"server_rate", 1000}});
  server.mean_.values[0] = 1e6;
  server.mean_.values[1] = -1e6;
  ASSERT_OK(server.Run());
  EXPECT_EQ(server.model_.Row(0, 0)[0], 100.0F);
  EXPECT_EQ(server.model_.Row(0, 0)[1], -100.0F);
  EXPECT_OK(server.model_.CheckValues(server.layout_, server.plan_.value_max));
}

TEST(BiasedMfServerTest, ABadMeanChangesNothing) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 1e16}) {
    Server server({});
    server.mean_.values.assign(9, 0.1);
    server.mean_.values[8] = bad;
    EXPECT_ERROR(server.Run(), ErrorCode::kInvalidArgument);
    EXPECT_TRUE(server.state_.tables.empty());
    EXPECT_EQ(server.model_.Row(0, 0)[0], 0.0F);
  }
  Server server({});
  server.mean_.values.pop_back();
  EXPECT_ERROR(server.Run(), ErrorCode::kInvalidArgument);
}

TEST(BiasedMfServerTest, RefusesTheStateOfAnotherOptimiser) {
  Server adam({{"server_optimiser", 1}});
  adam.mean_.values[0] = 1;
  ASSERT_OK(adam.Run());
  Server adagrad({{"server_optimiser", 2}});
  adagrad.state_ = adam.state_;
  EXPECT_ERROR(adagrad.Run(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(adagrad.state_, adam.state_);
}

TEST(BiasedMfServerTest, AStoredStateGoesOnWhereItStopped) {
  Server straight({{"server_rate", 0.1}});
  straight.mean_.values.assign(9, 0.1);
  ASSERT_OK(straight.Run());
  ASSERT_OK_AND_ASSIGN(const auto stored, learning::ServerState::Parse(
                                              straight.plan_.schema, straight.state_.Serialise()));
  Server resumed({{"server_rate", 0.1}});
  resumed.model_ = straight.model_;
  resumed.state_ = stored;
  straight.mean_.values.assign(9, -0.2);
  resumed.mean_ = straight.mean_;
  ASSERT_OK(straight.Run());
  ASSERT_OK(resumed.Run());
  EXPECT_EQ(resumed.model_.Canonical(), straight.model_.Canonical());
  EXPECT_EQ(resumed.state_, straight.state_);
}

TEST(BiasedMfServerTest, TheFirstModelHasSmallFactorsAndNoBias) {
  const auto plan = MakeTraining("biased_mf", 500, 16, {{"initial_scale", 0.2}});
  ASSERT_OK_AND_ASSIGN(const auto step, learning_server::MakeServerStep("biased_mf", plan));
  seeded::SeededRandom random(4);
  ASSERT_OK_AND_ASSIGN(const auto first, step->InitialModel(random, {.task = 1}));
  ASSERT_OK_AND_ASSIGN(const auto same, step->InitialModel(random, {.task = 1}));
  ASSERT_OK_AND_ASSIGN(const auto other, step->InitialModel(random, {.task = 2}));
  EXPECT_EQ(first.Canonical(), same.Canonical());
  EXPECT_NE(first.Canonical(), other.Canonical());
  double sum = 0;
  double squares = 0;
  for (std::uint32_t i = 0; i < 500; ++i) {
    EXPECT_EQ(first.Row(0, i)[16], 0.0F);
    for (std::size_t k = 0; k < 16; ++k) {
      sum += first.Row(0, i)[k];
      squares += double{first.Row(0, i)[k]} * first.Row(0, i)[k];
    }
  }
  // Six standard errors over 8,000 values.
  EXPECT_NEAR(sum / 8000, 0, 6 * 0.2 / std::sqrt(8000.0));
  EXPECT_NEAR(squares / 8000, 0.04, 6 * 0.04 * std::sqrt(2.0 / 8000));
}

}  // namespace
}  // namespace demur
