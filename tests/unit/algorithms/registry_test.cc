#include <gtest/gtest.h>

#include <cmath>

#include "algorithms_test_util.h"
#include "result_matchers.h"

namespace demur {
namespace {

TEST(RegistryTest, BothHalvesKnowTheSameAlgorithms) {
  for (const char* name : {"biased_mf", "item_statistics"}) {
    const auto plan = MakeTraining(name, 5, 3);
    EXPECT_OK(learning_local::MakeLocalStep(name, plan));
    EXPECT_OK(learning_server::MakeServerStep(name, plan));
  }
}

TEST(RegistryTest, UnknownNamesListTheKnownOnes) {
  const auto plan = MakeTraining("biased_mf", 5, 3);
  const auto local = learning_local::MakeLocalStep("mf", plan);
  ASSERT_FALSE(local.has_value());
  EXPECT_EQ(local.error().code(), ErrorCode::kNotFound);
  EXPECT_NE(local.error().message().find("biased_mf"), std::string::npos);
  EXPECT_ERROR(learning_server::MakeServerStep("mf", plan), ErrorCode::kNotFound);
  EXPECT_ERROR(learning_server::MakeSchema("mf", {.items = 3}), ErrorCode::kNotFound);
}

TEST(RegistryTest, RefusesUnknownAndImpossibleHyperParameters) {
  for (const auto& hyper : std::vector<model::HyperParameter>{{"epoch", 1},
                                                              {"epochs", 1.5},
                                                              {"epochs", -1},
                                                              {"private_rate", std::nan("")},
                                                              {"server_optimiser", 3}}) {
    SCOPED_TRACE(hyper.name);
    const auto plan = MakeTraining("biased_mf", 5, 3, {hyper});
    EXPECT_ERROR(learning_local::MakeLocalStep("biased_mf", plan), ErrorCode::kInvalidArgument);
    EXPECT_ERROR(learning_server::MakeServerStep("biased_mf", plan), ErrorCode::kInvalidArgument);
  }
  const auto plan = MakeTraining("item_statistics", 5, 3, {{"epochs", 1}});
  EXPECT_ERROR(learning_local::MakeLocalStep("item_statistics", plan), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(learning_server::MakeServerStep("item_statistics", plan),
               ErrorCode::kInvalidArgument);
}

TEST(RegistryTest, RefusesTheSchemaOfAnotherAlgorithm) {
  const auto mf = MakeTraining("biased_mf", 5, 3);
  const auto counts = MakeTraining("item_statistics", 5, 3);
  EXPECT_ERROR(learning_local::MakeLocalStep("biased_mf", counts), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(learning_server::MakeServerStep("biased_mf", counts), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(learning_local::MakeLocalStep("item_statistics", mf), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(learning_server::MakeServerStep("item_statistics", mf), ErrorCode::kInvalidArgument);
}

TEST(RegistryTest, SchemasHaveTheShapeAsked) {
  ASSERT_OK_AND_ASSIGN(const auto mf, learning_server::MakeSchema(
                                          "biased_mf", {.items = 7, .factors = 16, .weight = 2}));
  EXPECT_EQ(mf.tables[0].name, "item");
  EXPECT_EQ(mf.tables[0].rows, 7U);
  EXPECT_EQ(mf.tables[0].cols, 17U);
  EXPECT_EQ(mf.tables[0].weight, 2.0);
  EXPECT_ERROR(learning_server::MakeSchema("biased_mf", {.items = 7}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(learning_server::MakeSchema("biased_mf", {.items = 0, .factors = 2}),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(learning_server::MakeSchema("item_statistics", {.items = 7, .weight = 0}),
               ErrorCode::kInvalidArgument);
}

TEST(RegistryTest, NamesServerOptimisers) {
  ASSERT_OK_AND_ASSIGN(const double adagrad, learning_server::ServerOptimiserNumber("adagrad"));
  EXPECT_EQ(adagrad, 2);
  EXPECT_ERROR(learning_server::ServerOptimiserNumber("lamb"), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur
