#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "demur/secagg/reed_solomon.h"
#include "demur/secagg/shamir.h"
#include "result_matchers.h"
#include "seeded_coins.h"

// Opening a secret although some of its shares are wrong.
namespace demur::secagg {
namespace {

using testing::Coins;
using testing::SeededKey;

// --- The decoder
// ----------------------------------------------------------------------------------------

// The polynomial by trying them all: the coefficients of every one that takes all but `radius` of
// the values. For a small field and threshold 2.
std::vector<std::vector<std::uint64_t>> AllWithin(std::uint64_t p,
                                                  const std::vector<std::uint64_t>& xs,
                                                  const std::vector<std::uint64_t>& ys,
                                                  std::size_t radius) {
  std::vector<std::vector<std::uint64_t>> found;
  for (std::uint64_t a = 0; a < p; ++a) {
    for (std::uint64_t b = 0; b < p; ++b) {
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < xs.size(); ++i) wrong += (a + b * xs[i]) % p != ys[i] ? 1U : 0U;
      if (wrong <= radius) found.push_back({a, b});
    }
  }
  return found;
}

// Every word, code word or not: what is decoded is exactly what a search over all lines finds.
TEST(ReedSolomonTest, FindsTheOneLineWithinTheRadiusOrNone) {
  using Field = PrimeField<13>;
  std::mt19937 draw(1);
  int decoded = 0;
  for (const std::size_t m : {2U, 3U, 4U, 5U, 6U, 7U}) {
    std::vector<std::uint64_t> xs(m);
    for (std::size_t i = 0; i < m; ++i) xs[i] = (5 * i + 3) % 13;
    ASSERT_OK_AND_ASSIGN(const auto code, ReedSolomon<Field>::Create(xs));
    for (int word = 0; word < 400; ++word) {
      std::vector<std::uint64_t> ys(m);
      const std::uint64_t line[] = {draw() % 13, draw() % 13};
      for (std::size_t i = 0; i < m; ++i) {
        ys[i] = draw() % 3 == 0 ? draw() % 13 : Evaluate<Field>(line, xs[i]);
      }
      const auto expected = AllWithin(13, xs, ys, (m - 2) / 2);
      const auto found = code.Decode(ys, 2);
      ASSERT_LE(expected.size(), 1U);
      ASSERT_EQ(found.has_value(), !expected.empty()) << m << " " << word;
      if (!found) continue;
      ++decoded;
      EXPECT_EQ(found->coefficients, expected[0]);
      std::vector<std::size_t> wrong;
      for (std::size_t i = 0; i < m; ++i) {
        if (Evaluate<Field>(expected[0], xs[i]) != ys[i]) wrong.push_back(i);
      }
      EXPECT_EQ(found->wrong, wrong);
    }
  }
  EXPECT_GT(decoded, 1000);
}

template <class Field>
class ReedSolomonFieldTest : public ::testing::Test {};
using Fields = ::testing::Types<ShareField, PrimeField<(std::uint64_t{1} << 31) + 11>,
                                PrimeField<4611686018427387847U>>;
TYPED_TEST_SUITE(ReedSolomonFieldTest, Fields);

TYPED_TEST(ReedSolomonFieldTest, CorrectsUpToTheRadiusAndNotMore) {
  using Field = TypeParam;
  std::mt19937_64 draw(2);
  for (const auto& [m, t] : {std::pair{9U, 1U}, {9U, 4U}, {10U, 4U}, {24U, 13U}, {25U, 25U}}) {
    std::vector<std::uint64_t> xs(m);
    for (std::size_t i = 0; i < m; ++i) xs[i] = 1000 * i + 1;
    ASSERT_OK_AND_ASSIGN(const auto code, ReedSolomon<Field>::Create(xs));
    std::vector<std::uint64_t> coefficients(t);
    for (auto& value : coefficients) value = draw() % Field::kPrime;
    const std::size_t radius = (m - t) / 2;
    for (std::size_t errors = 0; errors <= radius + 1 && errors <= m - t; ++errors) {
      std::vector<std::uint64_t> ys(m);
      EvaluateAll<Field>(coefficients, xs, ys);
      std::set<std::size_t> wrong;
      while (wrong.size() < errors) wrong.insert(draw() % m);
      for (const std::size_t at : wrong) {
        ys[at] = Field::Add(ys[at], 1 + draw() % (Field::kPrime - 1));
      }
      const auto found = code.Decode(ys, t);
      ASSERT_EQ(found.has_value(), errors <= radius) << m << " " << t << " " << errors;
      if (!found) continue;
      EXPECT_EQ(found->coefficients, coefficients);
      EXPECT_TRUE(std::equal(wrong.begin(), wrong.end(), found->wrong.begin(), found->wrong.end()));
    }
  }
}

TYPED_TEST(ReedSolomonFieldTest, BadPointsAreRefused) {
  const std::uint64_t twice[] = {4, 7, 4};
  const std::uint64_t large[] = {1, TypeParam::kPrime};
  const std::uint64_t zero[] = {0, 1};
  EXPECT_ERROR(ReedSolomon<TypeParam>::Create(twice), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ReedSolomon<TypeParam>::Create(large), ErrorCode::kInvalidArgument);
  EXPECT_OK(ReedSolomon<TypeParam>::Create(zero));  // 0 is only where sharings keep the secret
}

TEST(ReedSolomonTest, MisuseStopsTheProgram) {
  const std::uint64_t xs[] = {1, 2, 3};
  ASSERT_OK_AND_ASSIGN(const auto code, ReedSolomon<ShareField>::Create(xs));
  const std::uint64_t ys[] = {1, 2, 3};
  const std::uint64_t unreduced[] = {1, kMersenne61, 3};
  EXPECT_DEATH(static_cast<void>(code.Decode(ys, 0)), "threshold");
  EXPECT_DEATH(static_cast<void>(code.Decode(ys, 4)), "threshold");
  EXPECT_DEATH(static_cast<void>(code.Decode(std::span(ys).first(2), 1)), "threshold");
  EXPECT_DEATH(static_cast<void>(code.Decode(unreduced, 1)), "elements");
}

// --- Secrets
// ----------------------------------------------------------------------------------------------

class RobustOpeningTest : public ::testing::Test {
 protected:
  // m shares, any `threshold` of which open SeededKey(1).
  void Deal(std::uint32_t threshold, std::uint32_t m) {
    xs_.clear();
    for (std::uint32_t i = 0; i < m; ++i) xs_.push_back(7 * i + 1);
    ASSERT_OK_AND_ASSIGN(shares_, SplitSecret(SeededKey(1), threshold, xs_, *Coins(m)));
  }
  std::vector<HeldShare> Held() const {
    std::vector<HeldShare> held;
    for (std::size_t i = 0; i < shares_.size(); ++i) held.push_back({xs_[i], &shares_[i]});
    return held;
  }
  // Changes limb `limb` of share `at` to another element (the first limbs keep in the field).
  void Change(std::size_t at, std::size_t limb) {
    shares_[at].mutable_view()[8 * limb + 7] ^= std::byte{1};
  }
  void NoElement(std::size_t at, std::size_t limb) {
    std::fill_n(shares_[at].mutable_view().begin() + static_cast<std::ptrdiff_t>(8 * limb), 8,
                std::byte{0xFF});
  }
  void ExpectOpens(std::uint32_t threshold, const std::vector<std::size_t>& wrong) const {
    const auto opening = OpenSecretRobust(Held(), threshold);
    ASSERT_OK(opening);
    EXPECT_TRUE(ConstantTimeEqual(opening->secret.view(), SeededKey(1).view()));
    std::vector<std::uint32_t> points;
    for (const std::size_t at : wrong) points.push_back(xs_[at]);
    EXPECT_EQ(opening->wrong_points, points);
  }

  std::vector<std::uint32_t> xs_;
  std::vector<SecretShare> shares_;
};

TEST_F(RobustOpeningTest, RightSharesOpenWithoutBlame) {
  for (const auto& [t, m] : {std::pair{1U, 1U}, {1U, 4U}, {3U, 3U}, {3U, 4U}, {8U, 21U}}) {
    Deal(t, m);
    ExpectOpens(t, {});
  }
}

TEST_F(RobustOpeningTest, RandomErrorsAreFoundUpToTheRadius) {
  std::mt19937 draw(5);
  for (const auto& [t, m] : {std::pair{1U, 3U}, {3U, 8U}, {3U, 9U}, {7U, 20U}, {30U, 51U}}) {
    const std::size_t radius = (m - t) / 2;
    for (std::size_t errors = 0; errors <= radius + 2 && errors <= m - t; ++errors) {
      Deal(t, m);
      std::set<std::size_t> wrong;
      while (wrong.size() < errors) wrong.insert(draw() % m);
      for (const std::size_t at : wrong) {
        const auto coins = Coins(draw());
        ASSERT_OK(coins->Fill(shares_[at].mutable_view()));
        for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
          shares_[at].mutable_view()[8 * limb] &= std::byte{0x0F};  // an element
        }
      }
      if (errors <= radius) {
        ExpectOpens(t, {wrong.begin(), wrong.end()});
      } else {
        EXPECT_ERROR(OpenSecretRobust(Held(), t), ErrorCode::kDataLoss) << t << " " << errors;
      }
    }
  }
}

// One bit of one limb is enough to be wrong, whichever limb.
TEST_F(RobustOpeningTest, AShareIsWrongWhenAnyOfItsLimbsIs) {
  for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
    Deal(3, 6);
    Change(4, limb);
    ExpectOpens(3, {4});
  }
  Deal(3, 9);  // radius 3: three holders, each wrong elsewhere
  Change(7, 0);
  Change(2, 3);
  Change(5, 4);
  ExpectOpens(3, {2, 5, 7});
}

// Each limb by itself could be corrected, but four holders of nine have lied.
TEST_F(RobustOpeningTest, WrongSharesCountOverAllLimbs) {
  Deal(3, 9);
  for (std::size_t limb = 0; limb < 4; ++limb) Change(limb, limb);
  EXPECT_ERROR(OpenSecretRobust(Held(), 3), ErrorCode::kDataLoss);
}

TEST_F(RobustOpeningTest, LimbsThatAreNoElementsAreWrongShares) {
  Deal(3, 9);
  NoElement(1, 0);
  NoElement(8, 4);
  ExpectOpens(3, {1, 8});
  Change(0, 2);
  ExpectOpens(3, {0, 1, 8});
  Change(3, 2);
  EXPECT_ERROR(OpenSecretRobust(Held(), 3), ErrorCode::kDataLoss);
  Deal(3, 9);
  NoElement(1, 0);
  Change(5, 0);  // found among those that are left in this limb, named by its place among all
  ExpectOpens(3, {1, 5});
  Deal(3, 9);
  for (const std::size_t at : {1U, 2U, 3U, 4U}) NoElement(at, 1);
  EXPECT_ERROR(OpenSecretRobust(Held(), 3), ErrorCode::kDataLoss);
  for (std::size_t at = 0; at < 9; ++at) NoElement(at, 1);
  EXPECT_ERROR(OpenSecretRobust(Held(), 3), ErrorCode::kDataLoss);
}

// The right value plus the prime: equal in the field, but not what was dealt.
TEST_F(RobustOpeningTest, AnUnreducedLimbIsAWrongShare) {
  Deal(2, 4);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    value = value << 8 | std::to_integer<std::uint64_t>(shares_[2].view()[i]);
  }
  value += kMersenne61;
  for (std::size_t i = 0; i < 8; ++i) {
    shares_[2].mutable_view()[i] = std::byte(value >> (56 - 8 * i) & 0xFFU);
  }
  ExpectOpens(2, {2});
}

TEST_F(RobustOpeningTest, WithoutSharesToSpareNothingIsFoundWrong) {
  for (const std::uint32_t m : {3U, 4U}) {  // radius 0 both times
    Deal(3, m);
    ExpectOpens(3, {});
    Change(1, 4);
    const auto opening = OpenSecretRobust(Held(), 3);
    if (m == 4) {
      EXPECT_ERROR(opening, ErrorCode::kDataLoss);
    } else {  // any three shares are some polynomial's: only the secret's owner can tell
      EXPECT_TRUE(!opening.has_value() ||
                  !ConstantTimeEqual(opening->secret.view(), SeededKey(1).view()));
    }
    NoElement(1, 4);
    EXPECT_ERROR(OpenSecretRobust(Held(), 3), ErrorCode::kDataLoss);
  }
}

TEST_F(RobustOpeningTest, ADecodedLimbOfTooManyBitsIsNoSecret) {
  SecretShare share;
  share.mutable_view()[0] = std::byte{0x01};  // 2^56 in the first limb
  const HeldShare held[] = {{1, &share}, {2, &share}, {3, &share}};
  EXPECT_ERROR(OpenSecretRobust(held, 1), ErrorCode::kDataLoss);
}

TEST_F(RobustOpeningTest, HostilePointsAndThresholdsAreRefused) {
  Deal(3, 7);
  EXPECT_ERROR(OpenSecretRobust({}, 0), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(OpenSecretRobust({}, 1), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(OpenSecretRobust(Held(), 0), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(OpenSecretRobust(Held(), 8), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(OpenSecretRobust(Held(), 0xFFFFFFFF), ErrorCode::kInvalidArgument);
  xs_[6] = 0;
  EXPECT_ERROR(OpenSecretRobust(Held(), 3), ErrorCode::kInvalidArgument);
  NoElement(6, 0);  // left out for its limbs, its point counts all the same
  EXPECT_ERROR(OpenSecretRobust(Held(), 3), ErrorCode::kInvalidArgument);
  xs_[6] = xs_[2];
  EXPECT_ERROR(OpenSecretRobust(Held(), 3), ErrorCode::kInvalidArgument);
  xs_[6] = 0xFFFFFFFF;  // a point that nobody was dealt
  ExpectOpens(3, {6});
}

}  // namespace
}  // namespace demur::secagg
