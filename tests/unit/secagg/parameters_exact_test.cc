#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "demur/secagg/parameters.h"

// The rule of neighbours and threshold, recomputed with whole numbers: every probability is a sum
// of products of binomials over C(n, k), so both sides of each bound can be multiplied out and
// compared exactly. The library computes in floating point; where it rounds across a bound, it
// differs here.
namespace demur::secagg {
namespace {

// A whole number of any size, in base 2^32 from the lowest digit up, without zeros on top.
class Natural {
 public:
  explicit Natural(std::uint64_t value = 0) {
    for (; value != 0; value >>= 32) digits_.push_back(static_cast<std::uint32_t>(value));
  }

  Natural& operator+=(const Natural& other) {
    digits_.resize(std::max(digits_.size(), other.digits_.size()) + 1);
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < digits_.size(); ++i) {
      carry += std::uint64_t{digits_[i]} + (i < other.digits_.size() ? other.digits_[i] : 0U);
      digits_[i] = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
    Trim();
    return *this;
  }
  friend Natural operator*(const Natural& a, const Natural& b) {
    Natural out;
    out.digits_.resize(a.digits_.size() + b.digits_.size());
    for (std::size_t i = 0; i < a.digits_.size(); ++i) {
      std::uint64_t carry = 0;
      for (std::size_t j = 0; j < b.digits_.size(); ++j) {
        carry += out.digits_[i + j] + std::uint64_t{a.digits_[i]} * b.digits_[j];
        out.digits_[i + j] = static_cast<std::uint32_t>(carry);
        carry >>= 32;
      }
      out.digits_[i + b.digits_.size()] = static_cast<std::uint32_t>(carry);
    }
    out.Trim();
    return out;
  }
  static Natural PowerOfTwo(std::uint32_t exponent) {
    Natural out;
    out.digits_.resize(exponent / 32 + 1);
    out.digits_.back() = std::uint32_t{1} << (exponent % 32);
    return out;
  }
  friend bool operator<(const Natural& a, const Natural& b) {
    if (a.digits_.size() != b.digits_.size()) return a.digits_.size() < b.digits_.size();
    return std::lexicographical_compare(a.digits_.rbegin(), a.digits_.rend(), b.digits_.rbegin(),
                                        b.digits_.rend());
  }
  friend bool operator==(const Natural&, const Natural&) = default;

 private:
  void Trim() {
    while (!digits_.empty() && digits_.back() == 0) digits_.pop_back();
  }
  std::vector<std::uint32_t> digits_;
};

// Pascal's triangle.
class Binomials {
 public:
  explicit Binomials(std::uint32_t most) : rows_(most + 1) {
    for (std::uint32_t n = 0; n <= most; ++n) {
      rows_[n].resize(n + 1, Natural(1));
      for (std::uint32_t k = 1; k < n; ++k) {
        rows_[n][k] = rows_[n - 1][k - 1];
        rows_[n][k] += rows_[n - 1][k];
      }
    }
  }
  Natural Choose(std::uint32_t n, std::uint32_t k) const { return k > n ? Natural() : rows_[n][k]; }

 private:
  std::vector<std::vector<Natural>> rows_;
};
constexpr std::uint32_t kMostMembers = 128;
const Binomials& Table() {
  static const Binomials table(kMostMembers);
  return table;
}

// C(n, k) P[X = x], X of k draws out of n of which `marked` count.
Natural Ways(std::uint32_t n, std::uint32_t marked, std::uint32_t k, std::uint32_t x) {
  if (x > k) return Natural();
  return Table().Choose(marked, x) * Table().Choose(n - marked, k - x);
}
// C(n, k) P[from <= X <= to].
Natural Ways(std::uint32_t n, std::uint32_t marked, std::uint32_t k, std::uint32_t from,
             std::uint32_t to) {
  Natural sum;
  for (std::uint32_t x = from; x <= to; ++x) sum += Ways(n, marked, k, x);
  return sum;
}

// Whether the three conditions of parameters.h hold for k, and the threshold they give.
std::optional<GraphDegree> Try(std::uint32_t n, std::uint32_t k, const Assumptions& assume) {
  const std::uint32_t corrupt = assume.corrupt_permille * n / 1000;
  const std::uint32_t dropped = assume.dropout_permille * n / 1000;
  const Natural all = Table().Choose(n, k);
  // (bad)_k / (n)_k is C(bad, k) / C(n, k); over all pairs of gaps, below 2^-(sigma + 1).
  const Natural gaps = Table().Choose(corrupt + dropped, k) * Natural(n) * Natural(n - k - 1);
  if (!(gaps * Natural::PowerOfTwo(assume.sigma) < all)) return std::nullopt;
  // Least x with P[more than x of the neighbours are corrupt] <= 2^-(sigma + 1) / n.
  std::uint32_t most_corrupt = 0;
  while (all < Ways(n, corrupt, k, most_corrupt + 1, k) * Natural(n) *
                   Natural::PowerOfTwo(assume.sigma + 1)) {
    ++most_corrupt;
  }
  // Greatest x with P[fewer than x of them survive] <= 2^-eta / n.
  std::uint32_t least_alive = std::min(n - dropped, k);
  while (least_alive > 0 && all < Ways(n, n - dropped, k, 0, least_alive - 1) * Natural(n) *
                                      Natural::PowerOfTwo(assume.eta)) {
    --least_alive;
  }
  if (least_alive <= most_corrupt) return std::nullopt;
  return GraphDegree{k, std::max(most_corrupt + 1, 2U)};
}

std::optional<GraphDegree> Exact(std::uint32_t n, const Assumptions& assume) {
  if (assume.corrupt_permille + assume.dropout_permille > 900) return std::nullopt;
  for (std::uint32_t k = 2; k + 1 < n; k += 2) {
    if (const auto found = Try(n, k, assume)) return found;
  }
  return std::nullopt;
}

TEST(ExactRule, TheNumbersOfTheTestAreNumbers) {
  EXPECT_EQ(Table().Choose(67, 33), Natural(14'226'520'737'620'288'370U));
  EXPECT_EQ(Table().Choose(5, 6), Natural());
  for (const std::uint32_t k : {2U, 10U, 30U}) {  // probabilities sum to 1
    EXPECT_EQ(Ways(60, 21, k, 0, k), Table().Choose(60, k));
  }
  EXPECT_LT(Natural::PowerOfTwo(64), Natural::PowerOfTwo(64) * Natural(2));
  EXPECT_EQ(Natural(1U << 31) * Natural(1U << 31) * Natural(4), Natural::PowerOfTwo(64));
}

class ExactRuleTest : public ::testing::TestWithParam<Assumptions> {};

TEST_P(ExactRuleTest, FloatingPointFindsWhatWholeNumbersFind) {
  std::uint32_t answers = 0;
  for (std::uint32_t n = 4; n <= kMostMembers; n += n < 40 ? 1 : 8) {
    const auto expected = Exact(n, GetParam());
    const auto found = FindRingParameters(n, GetParam());
    ASSERT_EQ(found.has_value(), expected.has_value()) << n;
    if (!found) continue;
    ++answers;
    EXPECT_EQ(found->neighbours, expected->neighbours) << n;
    EXPECT_EQ(found->threshold, expected->threshold) << n;
  }
  EXPECT_GT(answers, 10U);
}

INSTANTIATE_TEST_SUITE_P(Each, ExactRuleTest,
                         ::testing::Values(Assumptions{50, 300, 40, 20}, Assumptions{0, 0, 40, 20},
                                           Assumptions{0, 500, 40, 20}, Assumptions{50, 50, 80, 20},
                                           Assumptions{100, 200, 60, 30},
                                           Assumptions{200, 300, 20, 10},
                                           Assumptions{330, 330, 10, 5},
                                           Assumptions{400, 0, 40, 40}, Assumptions{1, 899, 1, 1},
                                           Assumptions{10, 10, 0, 0}),
                         [](const auto& tried) {
                           const Assumptions& a = tried.param;
                           return std::to_string(a.corrupt_permille) + "_" +
                                  std::to_string(a.dropout_permille) + "_" +
                                  std::to_string(a.sigma) + "_" + std::to_string(a.eta);
                         });

// More that may be corrupt, more that may leave and smaller chances of failure never cost fewer
// neighbours, and never end in an answer where the milder case had none.
TEST(ExactRule, IsMonotoneInEveryAssumption) {
  const std::uint32_t steps[] = {0, 50, 100, 200, 300, 400};
  for (const std::uint32_t n : {24U, 60U, 128U, 500U}) {
    for (const std::uint32_t fixed : {0U, 100U, 300U}) {
      const auto ladder = [&](const char* what, auto assume) {
        std::optional<GraphDegree> before;
        for (std::size_t i = 0; i < std::size(steps); ++i) {
          const auto now = FindRingParameters(n, assume(steps[i]));
          if (i > 0 && now) {
            ASSERT_TRUE(before.has_value()) << what << " " << n << " " << steps[i];
            EXPECT_GE(now->neighbours, before->neighbours) << what << " " << n << " " << steps[i];
          }
          before = now;
        }
      };
      ladder("corrupt", [&](std::uint32_t x) { return Assumptions{x, fixed, 40, 20}; });
      ladder("dropout", [&](std::uint32_t x) { return Assumptions{fixed, x, 40, 20}; });
      ladder("sigma", [&](std::uint32_t x) { return Assumptions{50, fixed, x / 4, 20}; });
      ladder("eta", [&](std::uint32_t x) { return Assumptions{50, fixed, 40, x / 8}; });
    }
  }
}

}  // namespace
}  // namespace demur::secagg
