#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "algorithms_test_util.h"
#include "demur/seeded/seeded_random.h"
#include "result_matchers.h"

namespace demur {
namespace {

using learning::Signal;
constexpr std::uint32_t kItems = 40;

// One person's local step on a random model.
class Person {
 public:
  Person(std::uint32_t factors, std::vector<model::HyperParameter> hyper)
      : plan_(MakeTraining("biased_mf", kItems, factors, std::move(hyper))),
        layout_(MakeLayout(plan_)),
        local_(learning_local::MakeLocalStep("biased_mf", plan_).value()),
        model_(plan_.schema) {
    const auto server = learning_server::MakeServerStep("biased_mf", plan_).value();
    model_ = server->InitialModel(random_, {.task = 1}).value();
    for (std::uint32_t i = 0; i < kItems; ++i) {
      model_.Row(0, i)[factors] = 0.01F * static_cast<float>(i);
    }
    for (std::uint32_t k = 0; k <= factors; ++k) {
      state_.values.push_back(0.2F - 0.03F * static_cast<float>(k));
    }
  }

  Result<model::PrivateState> Run(const learning::TrainView& view, model::Update* out,
                                  std::uint64_t round = 1) {
    return local_->Run(model_, state_, view,
                       {layout_, random_, {.task = 1, .round = round, .client = 3}}, out);
  }

  seeded::SeededRandom random_{11};
  model::TrainingPlan plan_;
  model::Layout layout_;
  std::unique_ptr<learning::LocalStep> local_;
  model::SharedModel model_;
  model::PrivateState state_;
};

std::vector<model::HyperParameter> Plain(double private_rate, double shared_rate) {
  return {{"epochs", 1},
          {"l2_item", 0},
          {"l2_item_bias", 0},
          {"l2_user", 0},
          {"l2_user_bias", 0},
          {"prior_logit", -0.25},
          {"private_rate", private_rate},
          {"shared_rate", shared_rate}};
}

// Weighted logistic loss of one example, in double.
double Loss(const std::vector<double>& user, const std::vector<double>& item, double label,
            double weight) {
  double logit = -0.25 + user.back() + item.back();
  for (std::size_t k = 0; k + 1 < user.size(); ++k) logit += user[k] * item[k];
  const double p = 1 / (1 + std::exp(-logit));
  return -weight * (label * std::log(p) + (1 - label) * std::log(1 - p));
}

std::vector<double> NumericGradient(std::vector<double> at, const std::vector<double>& other,
                                    double label, double weight) {
  std::vector<double> out;
  for (std::size_t k = 0; k < at.size(); ++k) {
    const double kept = at[k];
    at[k] = kept + 1e-5;
    const double up = Loss(at, other, label, weight);
    at[k] = kept - 1e-5;
    const double down = Loss(at, other, label, weight);
    at[k] = kept;
    out.push_back((up - down) / 2e-5);
  }
  return out;
}

std::vector<double> Wide(std::span<const float> values) { return {values.begin(), values.end()}; }

TEST(BiasedMfLocalTest, OneStepFollowsTheGradient) {
  for (const std::uint32_t factors : {1U, 5U, 8U, 16U, 19U, 32U}) {
    for (const Signal signal : {Signal::kLike, Signal::kDislike}) {
      SCOPED_TRACE(std::to_string(factors) + std::string(ToString(signal)));
      Person person(factors, Plain(0.5, 0.25));
      const auto view = MakeView({{7, signal}}, kItems);
      model::Update update;
      ASSERT_OK_AND_ASSIGN(const auto next, person.Run(view, &update));
      const auto user = Wide(person.state_.values);
      const auto item = Wide(person.model_.Row(0, 7));
      const double label = signal == Signal::kLike ? 1 : 0;
      const double weight = signal == Signal::kLike ? 1.5 : 3.0;
      const auto item_gradient = NumericGradient(item, user, label, weight);
      const auto user_gradient = NumericGradient(user, item, label, weight);
      ASSERT_EQ(update.rows().size(), 1U);
      const auto change = update.values(update.rows()[0]);
      for (std::size_t k = 0; k <= factors; ++k) {
        EXPECT_NEAR(change[k], -0.25 * item_gradient[k], 2e-6) << k;
        EXPECT_NEAR(next.values[k] - user[k], -0.5 * user_gradient[k], 2e-6) << k;
      }
    }
  }
}

TEST(BiasedMfLocalTest, L2ShrinksOnlyRowsOfTheBatch) {
  auto hyper = Plain(0, 0.5);
  hyper[1].value = 0.1;  // l2_item
  Person with(4, hyper);
  Person without(4, Plain(0, 0.5));
  const auto view = MakeView({{7, Signal::kLike}}, kItems);
  model::Update a;
  model::Update b;
  ASSERT_OK(with.Run(view, &a));
  ASSERT_OK(without.Run(view, &b));
  ASSERT_EQ(a.rows().size(), 1U);
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_NEAR(a.values(a.rows()[0])[k] - b.values(b.rows()[0])[k],
                -0.5 * 0.1 * with.model_.Row(0, 7)[k], 1e-6);
  }
}

TEST(BiasedMfLocalTest, ThePrivatePartIsNotInTheUpdate) {
  Person person(4, Plain(0.5, 0));  // only the private part moves
  model::Update update;
  ASSERT_OK_AND_ASSIGN(
      const auto next,
      person.Run(MakeView({{7, Signal::kLike}, {9, Signal::kDislike}}, kItems), &update));
  EXPECT_NE(next.values, person.state_.values);
  ASSERT_EQ(update.rows().size(), 2U);
  for (const auto& row : update.rows()) {
    EXPECT_EQ(row.cols, 5U);
    for (const float value : update.values(row)) EXPECT_EQ(value, 0.0F);
  }
}

TEST(BiasedMfLocalTest, PrivateEpochsAndPersonaliseLeaveTheModelAlone) {
  auto hyper = Plain(0.1, 0.1);
  hyper[0].value = 0;  // epochs
  hyper.insert(hyper.begin() + 5, {"personalise_epochs", 3});
  hyper.insert(hyper.begin() + 7, {"private_epochs", 3});
  Person person(4, hyper);
  const auto view = MakeView({{7, Signal::kLike}, {9, Signal::kDislike}}, kItems);
  model::Update update;
  ASSERT_OK_AND_ASSIGN(const auto next, person.Run(view, &update));
  for (const auto& row : update.rows()) {
    for (const float value : update.values(row)) EXPECT_EQ(value, 0.0F);
  }
  ASSERT_OK_AND_ASSIGN(const auto personal,
                       person.local_->Personalise(
                           person.model_, person.state_, view,
                           {person.layout_, person.random_, {.task = 1, .round = 1, .client = 3}}));
  EXPECT_EQ(personal, next);
  const std::vector<std::pair<std::uint32_t, Signal>> unlabelled = {{7, Signal::kNeutral}};
  ASSERT_OK_AND_ASSIGN(
      const auto same,
      person.local_->Personalise(person.model_, person.state_, MakeView(unlabelled, kItems),
                                 {person.layout_, person.random_, {}}));
  EXPECT_EQ(same, person.state_);
}

TEST(BiasedMfLocalTest, AtWeightZeroNothingUnobservedIsTouched) {
  auto hyper = Plain(0.1, 0.1);
  hyper.insert(hyper.begin() + 5, {"negatives_per_positive", 5});
  const auto view = MakeView({{7, Signal::kLike}, {9, Signal::kNeutral}}, kItems);
  model::Update update;
  Person none(4, hyper);
  ASSERT_OK(none.Run(view, &update));
  EXPECT_EQ(update.rows().size(), 1U);

  hyper.push_back({"unobserved_weight", 0.5});
  Person some(4, hyper);
  for (std::uint64_t round = 0; round < 200; ++round) {
    ASSERT_OK(some.Run(view, &update, round));
    EXPECT_GT(update.rows().size(), 1U);
    EXPECT_LE(update.rows().size(), 6U);
    for (const auto& row : update.rows()) EXPECT_NE(row.row, 9U);  // seen, so no negative
  }
}

TEST(BiasedMfLocalTest, SameInputsGiveSameBitsOnAnyThread) {
  auto hyper = Plain(0.1, 0.1);
  hyper.insert(hyper.begin() + 5, {"negatives_per_positive", 2});
  hyper.push_back({"unobserved_weight", 0.5});
  std::vector<std::pair<std::uint32_t, Signal>> acts;
  for (std::uint32_t i = 0; i < 20; ++i) {
    acts.emplace_back(2 * i, i % 3 == 0 ? Signal::kDislike : Signal::kLike);
  }
  const auto view = MakeView(acts, kItems);
  Person person(16, hyper);
  model::Update first;
  ASSERT_OK_AND_ASSIGN(const auto state, person.Run(view, &first));
  const auto check = [&] {
    // Another person in between: what it leaves in the scratch memory must not show.
    model::Update other;
    ASSERT_OK(person.Run(MakeView({{1, Signal::kLike}}, kItems), &other));
    model::Update again;
    ASSERT_OK_AND_ASSIGN(const auto same, person.Run(view, &again));
    EXPECT_EQ(same, state);
    ASSERT_EQ(again.rows().size(), first.rows().size());
    for (std::size_t i = 0; i < first.rows().size(); ++i) {
      const auto a = first.values(first.rows()[i]);
      const auto b = again.values(again.rows()[i]);
      EXPECT_EQ(first.rows()[i].row, again.rows()[i].row);
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size_bytes()), 0);
    }
  };
  check();
  std::thread(check).join();
  model::Update different;
  ASSERT_OK_AND_ASSIGN(const auto next_round, person.Run(view, &different, 2));
  EXPECT_NE(next_round, state);
}

TEST(BiasedMfLocalTest, AFirstStateDoesNotDependOnTheRound) {
  auto hyper = Plain(0, 0);
  Person person(8, hyper);
  person.state_.values.clear();
  const auto view = MakeView({{7, Signal::kLike}}, kItems);
  model::Update update;
  ASSERT_OK_AND_ASSIGN(const auto first, person.Run(view, &update, 1));
  ASSERT_OK_AND_ASSIGN(const auto later, person.Run(view, &update, 9));
  EXPECT_EQ(first, later);
  EXPECT_EQ(first.values.size(), 9U);
  EXPECT_EQ(first.values.back(), 0.0F);
  EXPECT_NE(first.values[0], 0.0F);
}

TEST(BiasedMfLocalTest, RowsOutsideTheSliceAreReadButNotChanged) {
  Person person(4, Plain(0.1, 0.1));
  model::Slice slice;
  slice.tables = {{false, {9}}};
  ASSERT_OK_AND_ASSIGN(person.layout_, model::Layout::Create(person.plan_.schema, slice));
  model::Update update;
  ASSERT_OK(person.Run(MakeView({{7, Signal::kLike}, {9, Signal::kLike}}, kItems), &update));
  ASSERT_EQ(update.rows().size(), 1U);
  EXPECT_EQ(update.rows()[0].row, 9U);
}

TEST(BiasedMfLocalTest, RefusesWhatDoesNotFit) {
  Person person(4, Plain(0.1, 0.1));
  model::Update update;
  EXPECT_ERROR(person.Run(MakeView({{7, Signal::kNeutral}}, kItems), &update),
               ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(person.Run(MakeView({{7, Signal::kLike}}, kItems + 1), &update),
               ErrorCode::kInvalidArgument);
  person.state_.values.pop_back();
  EXPECT_ERROR(person.Run(MakeView({{7, Signal::kLike}}, kItems), &update),
               ErrorCode::kInvalidArgument);
}

TEST(BiasedMfLocalTest, TrainingThatLeavesTheFiniteRangeIsAnError) {
  // An infinite factor spoils the private part as well, an infinite bias only the update.
  for (const std::size_t column : {std::size_t{0}, std::size_t{4}}) {
    Person person(4, Plain(0.1, 0.1));
    person.model_.Row(0, 7)[column] = std::numeric_limits<float>::infinity();
    model::Update update;
    EXPECT_ERROR(person.Run(MakeView({{7, Signal::kDislike}}, kItems), &update),
                 ErrorCode::kAborted)
        << column;
  }
}

TEST(BiasedMfLocalTest, ScoresAreLogits) {
  Person person(5, Plain(0.1, 0.1));
  std::vector<float> scores(kItems);
  ASSERT_OK(person.local_->Score(person.model_, person.state_, scores));
  double expected = -0.25 + person.state_.values[5] + person.model_.Row(0, 7)[5];
  for (std::size_t k = 0; k < 5; ++k) {
    expected += double{person.state_.values[k]} * person.model_.Row(0, 7)[k];
  }
  EXPECT_NEAR(scores[7], expected, 1e-6);
  ASSERT_OK(person.local_->Score(person.model_, {}, scores));
  EXPECT_NEAR(scores[7], -0.25 + 0.07, 1e-6);
  scores.pop_back();
  EXPECT_ERROR(person.local_->Score(person.model_, {}, scores), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur
