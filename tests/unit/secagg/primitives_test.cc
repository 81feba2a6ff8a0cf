#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "demur/crypto/aes_ctr.h"
#include "demur/secagg/field.h"
#include "demur/secagg/graph.h"
#include "demur/secagg/mask.h"
#include "demur/secagg/member_set.h"
#include "demur/secagg/packing.h"
#include "demur/secagg/shamir.h"
#include "result_matchers.h"
#include "seeded_coins.h"

namespace demur::secagg {
namespace {

using testing::Coins;
using testing::SameKey;
using testing::SeededKey;

// --- Fields
// -----------------------------------------------------------------------------------------

template <class Field>
class FieldTest : public ::testing::Test {};
// The protocol's, the one that other sharings are published over, the largest below 2^62 and a
// small one where everything can be tried.
using Fields = ::testing::Types<ShareField, PrimeField<(std::uint64_t{1} << 31) + 11>,
                                PrimeField<4611686018427387847U>, PrimeField<101>>;
TYPED_TEST_SUITE(FieldTest, Fields);

TYPED_TEST(FieldTest, AgreesWithPlainArithmetic) {
  constexpr std::uint64_t p = TypeParam::kPrime;
  std::vector<std::uint64_t> values = {0, 1, 2, 3, p / 2, p / 2 + 1, p - 2, p - 1};
  auto stream = Coins(7);
  for (int i = 0; i < 40; ++i) {
    std::uint64_t v = 0;
    ASSERT_OK(stream->Fill(std::as_writable_bytes(std::span(&v, 1))));
    values.push_back(v % p);
  }
  for (const std::uint64_t a : values) {
    for (const std::uint64_t b : values) {
      const Uint128 wide_a = a;
      EXPECT_EQ(TypeParam::Add(a, b), static_cast<std::uint64_t>((wide_a + b) % p));
      EXPECT_EQ(TypeParam::Sub(a, b), static_cast<std::uint64_t>((wide_a + p - b) % p));
      EXPECT_EQ(TypeParam::Mul(a, b), static_cast<std::uint64_t>(wide_a * b % p));
    }
    if (a != 0) {
      EXPECT_EQ(TypeParam::Mul(a, Inverse<TypeParam>(a)), 1U);
    }
  }
  EXPECT_EQ(Inverse<TypeParam>(0), 0U);
}

// The largest values that may meet: unreduced sums stay where another product still fits.
TYPED_TEST(FieldTest, UnreducedSumsStayInRange) {
  using Field = TypeParam;
  constexpr std::uint64_t p = Field::kPrime;
  constexpr bool kLazy = p == kMersenne61;
  std::vector<std::uint64_t> values = {0, 1, p - 2, p - 1};
  if (kLazy) values.insert(values.end(), {p, p + 1, 2 * p - 1, 2 * p, 2 * p + 1});
  for (const std::uint64_t y : values) {
    EXPECT_EQ(Field::Reduce(y), y % p);
    for (const std::uint64_t x : {std::uint64_t{0}, std::uint64_t{1}, p - 2, p - 1}) {
      for (const std::uint64_t c : {std::uint64_t{0}, std::uint64_t{1}, p - 2, p - 1}) {
        const std::uint64_t sum = Field::MulAdd(y, x, c);
        EXPECT_LE(sum, kLazy ? 2 * p + 1 : p - 1);
        EXPECT_EQ(Field::Reduce(sum), static_cast<std::uint64_t>((Uint128{y} * x + c) % p));
      }
    }
  }
}

TYPED_TEST(FieldTest, ManyPointsAtOnceAreThePointsOneByOne) {
  using Field = TypeParam;
  constexpr std::uint64_t p = Field::kPrime;
  for (std::size_t points = 0; points <= 9; ++points) {
    std::vector<std::uint64_t> xs(points);
    for (std::size_t i = 0; i < points; ++i) xs[i] = i % 2 == 0 ? i : p - i;
    for (std::size_t count = 0; count <= 4; ++count) {
      std::vector<std::uint64_t> coefficients(count);
      for (std::size_t i = 0; i < count; ++i) coefficients[i] = p - 1 - i;
      std::vector<std::uint64_t> ys(points, 5);
      EvaluateAll<Field>(coefficients, xs, ys);
      for (std::size_t i = 0; i < points; ++i) {
        Uint128 expected = 0;
        for (std::size_t k = count; k-- > 0;) expected = (expected * xs[i] + coefficients[k]) % p;
        EXPECT_EQ(ys[i], static_cast<std::uint64_t>(expected));
        EXPECT_EQ(Evaluate<Field>(coefficients, xs[i]), ys[i]);
      }
    }
  }
}

TYPED_TEST(FieldTest, AllInversesAreTheSingleOnes) {
  using Field = TypeParam;
  std::vector<std::uint64_t> values = {1, 2, 77, Field::kPrime - 1, 2};
  const auto before = values;
  ASSERT_TRUE(InvertAll<Field>(values));
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(values[i], Inverse<Field>(before[i]));
  }
  values = before;
  values[3] = 0;
  const auto with_zero = values;
  EXPECT_FALSE(InvertAll<Field>(values));
  EXPECT_EQ(values, with_zero);
  EXPECT_TRUE(InvertAll<Field>({}));
}

TYPED_TEST(FieldTest, AnyThresholdManyPointsGiveTheConstantTerm) {
  using Field = TypeParam;
  const std::vector<std::uint64_t> coefficients = {33, 77, 5, 19};
  const std::vector<std::uint64_t> xs = {1, 2, 5, 9, 40, 100};
  for (std::size_t skip = 0; skip + 4 <= xs.size(); ++skip) {
    const auto chosen = std::span(xs).subspan(skip, 4);
    ASSERT_OK_AND_ASSIGN(const auto weights, LagrangeAtZero<Field>(chosen));
    std::uint64_t secret = 0;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      secret = Field::Add(secret, Field::Mul(weights[i], Evaluate<Field>(coefficients, chosen[i])));
    }
    EXPECT_EQ(secret, 33U);
  }
}

TYPED_TEST(FieldTest, BadPointsAreRefused) {
  const std::uint64_t zero[] = {1, 0};
  const std::uint64_t twice[] = {4, 7, 4};
  const std::uint64_t large[] = {1, TypeParam::kPrime};
  EXPECT_ERROR(LagrangeAtZero<TypeParam>(zero), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(LagrangeAtZero<TypeParam>(twice), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(LagrangeAtZero<TypeParam>(large), ErrorCode::kInvalidArgument);
}

// --- Secret sharing
// -----------------------------------------------------------------------------------

std::vector<HeldShare> Held(const std::vector<SecretShare>& shares,
                            const std::vector<std::uint32_t>& xs,
                            const std::vector<std::size_t>& which) {
  std::vector<HeldShare> out;
  for (const std::size_t i : which) out.push_back({xs[i], &shares[i]});
  return out;
}

TEST(SecretSharing, AnyThresholdManySharesOpenTheSecret) {
  const std::vector<std::uint32_t> xs = {1, 3, 4, 8, 20, 1'000'000};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SecretArray<32> secret = SeededKey(seed);
    if (seed == 0) std::fill_n(secret.mutable_view().begin(), 32, std::byte{0xFF});
    if (seed == 1) std::fill_n(secret.mutable_view().begin(), 32, std::byte{0});
    const auto coins = Coins(100 + seed);
    ASSERT_OK_AND_ASSIGN(const auto shares, SplitSecret(secret, 3, xs, *coins));
    for (const auto& which : {std::vector<std::size_t>{0, 1, 2}, {5, 3, 1}, {2, 4, 5}}) {
      ASSERT_OK_AND_ASSIGN(const auto opened, OpenSecret(Held(shares, xs, which)));
      EXPECT_TRUE(SameKey(opened, secret));
    }
  }
}

TEST(SecretSharing, FewerSharesOpenSomethingElse) {
  const std::vector<std::uint32_t> xs = {1, 2, 3, 4};
  const SecretArray<32> secret = SeededKey(1);
  const auto coins = Coins(2);
  ASSERT_OK_AND_ASSIGN(const auto shares, SplitSecret(secret, 3, xs, *coins));
  const auto opened = OpenSecret(Held(shares, xs, {0, 1}));
  EXPECT_TRUE(!opened.has_value() || !SameKey(*opened, secret));
}

// Below the threshold a share is uniform whatever the secret: the same share values arise from two
// secrets with equal frequency (here: every share byte that is not fixed takes many values).
TEST(SecretSharing, ASingleShareDoesNotFollowTheSecret) {
  const std::vector<std::uint32_t> xs = {1, 2};
  SecretArray<32> zeros;
  std::set<std::byte> seen;
  for (std::uint64_t seed = 0; seed < 512; ++seed) {
    const auto coins = Coins(seed);
    ASSERT_OK_AND_ASSIGN(const auto shares, SplitSecret(zeros, 2, xs, *coins));
    seen.insert(shares[0].view()[7]);
  }
  EXPECT_GT(seen.size(), 180U);  // 256 bins, 512 draws: 221 expected
}

TEST(SecretSharing, SharesThatBelongToNoSecretAreNoticed) {
  const std::vector<std::uint32_t> xs = {1, 2, 3};
  const auto coins = Coins(3);
  ASSERT_OK_AND_ASSIGN(auto shares, SplitSecret(SeededKey(1), 3, xs, *coins));
  EXPECT_ERROR(OpenSecret({}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(OpenSecret(Held(shares, {1, 2, 0}, {0, 1, 2})), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(OpenSecret(Held(shares, {1, 2, 2}, {0, 1, 2})), ErrorCode::kInvalidArgument);
  shares[1].mutable_view()[0] ^= std::byte{1};  // moves the first limb far beyond 56 bits
  EXPECT_ERROR(OpenSecret(Held(shares, xs, {0, 1, 2})), ErrorCode::kDataLoss);
  std::fill_n(shares[1].mutable_view().begin(), 8, std::byte{0xFF});
  EXPECT_ERROR(OpenSecret(Held(shares, xs, {0, 1, 2})), ErrorCode::kInvalidArgument);
}

// --- Packing
// --------------------------------------------------------------------------------------------

TEST(Packing, UnpackAddUndoesPackForEveryWidthAndLength) {
  for (std::uint32_t bits = 8; bits <= 32; ++bits) {
    for (const std::size_t dim : {0U, 1U, 2U, 7U, 8U, 9U, 31U, 1000U}) {
      std::vector<std::uint32_t> values(dim);
      for (std::size_t i = 0; i < dim; ++i) values[i] = static_cast<std::uint32_t>(i) * 2654435761U;
      const Bytes packed = Pack(values, bits);
      EXPECT_EQ(packed.size(), (dim * bits + 7) / 8);
      std::vector<std::uint32_t> sum(dim, 5);
      ASSERT_OK(UnpackAdd(packed, bits, sum));
      Reduce(values, bits);
      for (std::size_t i = 0; i < dim; ++i) ASSERT_EQ(sum[i], values[i] + 5) << bits << " " << i;
    }
  }
}

TEST(Packing, TheBitOrderIsTheDocumentedOne) {
  const std::uint32_t values[] = {0x1AB, 0x0CD, 0x3FF};  // 10 bits each
  EXPECT_EQ(ToHex(Pack(values, 10)), "ab35f33f");
}

TEST(Packing, WrongLengthsAndStrayBitsAreRefusedAndNothingIsAdded) {
  const std::vector<std::uint32_t> values(5, 3);
  Bytes packed = Pack(values, 9);  // 45 bits: 3 left over
  std::vector<std::uint32_t> sum(5, 1);
  EXPECT_ERROR(UnpackAdd(ByteView(packed).first(5), 9, sum), ErrorCode::kInvalidArgument);
  packed.push_back(std::byte{0});
  EXPECT_ERROR(UnpackAdd(packed, 9, sum), ErrorCode::kInvalidArgument);
  packed.pop_back();
  packed.back() |= std::byte{0x80};
  EXPECT_ERROR(UnpackAdd(packed, 9, sum), ErrorCode::kInvalidArgument);
  EXPECT_EQ(sum, std::vector<std::uint32_t>(5, 1));
}

// --- Member sets
// ------------------------------------------------------------------------------------------

TEST(MemberSetTest, CountsAndComparesMembers) {
  MemberSet set(21);
  for (const std::uint32_t i : {0U, 7U, 8U, 20U, 20U}) set.Insert(i);
  EXPECT_EQ(set.count(), 4U);
  EXPECT_TRUE(set.Contains(20) && set.Contains(8));
  EXPECT_FALSE(set.Contains(1) || set.Contains(21) || set.Contains(1000));
  EXPECT_EQ(ToHex(set.bytes()), "810110");
  ASSERT_OK_AND_ASSIGN(const MemberSet read, MemberSet::FromBytes(21, set.bytes()));
  EXPECT_EQ(read, set);
  MemberSet larger = set;
  larger.Insert(3);
  EXPECT_TRUE(set.IsSubsetOf(larger) && set.IsSubsetOf(set));
  EXPECT_FALSE(larger.IsSubsetOf(set));
  EXPECT_FALSE(MemberSet(20).IsSubsetOf(MemberSet(21)));
}

TEST(MemberSetTest, BytesOfAnotherRosterAreRefused) {
  const Bytes three(3);
  EXPECT_OK(MemberSet::FromBytes(24, three));
  EXPECT_ERROR(MemberSet::FromBytes(25, three), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(MemberSet::FromBytes(16, three), ErrorCode::kInvalidArgument);
  Bytes stray(3);
  stray[2] = std::byte{0x20};  // member 21 of 21
  EXPECT_ERROR(MemberSet::FromBytes(21, stray), ErrorCode::kInvalidArgument);
}

// --- Graph
// --------------------------------------------------------------------------------------------------

Parameters Ring(std::uint32_t k) { return {GraphKind::kRing, k, 2, 2, 0, 0}; }

TEST(GraphTest, IsSymmetricRegularAndConnected) {
  for (const auto& [n, k] : {std::pair{20U, 8U}, {33U, 12U}, {120U, 28U}}) {
    ASSERT_OK_AND_ASSIGN(const Graph graph, Graph::Create(n, Ring(k), SeededKey(n)));
    std::set<std::uint32_t> reached = {0};
    std::vector<std::uint32_t> frontier = {0};
    for (std::uint32_t i = 0; i < n; ++i) {
      const auto neighbours = graph.Neighbours(i);
      EXPECT_EQ(neighbours.size(), k);
      EXPECT_TRUE(std::is_sorted(neighbours.begin(), neighbours.end()));
      for (std::uint32_t j = 0; j < n; ++j) {
        const bool listed = std::binary_search(neighbours.begin(), neighbours.end(), j);
        EXPECT_EQ(graph.AreNeighbours(i, j), listed);
        EXPECT_EQ(graph.AreNeighbours(j, i), listed);
      }
      EXPECT_FALSE(graph.AreNeighbours(i, n));
    }
    while (!frontier.empty()) {
      const std::uint32_t at = frontier.back();
      frontier.pop_back();
      for (const std::uint32_t next : graph.Neighbours(at)) {
        if (reached.insert(next).second) frontier.push_back(next);
      }
    }
    EXPECT_EQ(reached.size(), n);
  }
}

TEST(GraphTest, FollowsItsSeedAndNothingElse) {
  ASSERT_OK_AND_ASSIGN(const Graph a, Graph::Create(50, Ring(10), SeededKey(1)));
  ASSERT_OK_AND_ASSIGN(const Graph b, Graph::Create(50, Ring(10), SeededKey(1)));
  ASSERT_OK_AND_ASSIGN(const Graph c, Graph::Create(50, Ring(10), SeededKey(2)));
  EXPECT_TRUE(std::ranges::equal(a.Neighbours(7), b.Neighbours(7)));
  EXPECT_FALSE(std::ranges::equal(a.Neighbours(7), c.Neighbours(7)));
}

// Every pair is a neighbour about as often as every other. 2000 graphs, 190 pairs: each count is
// binomial(2000, 8/19), standard deviation 22; the bound is 6 of them (false alarm below 1e-6).
TEST(GraphTest, NoPairIsFavoured) {
  std::vector<int> counts(400);
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    ASSERT_OK_AND_ASSIGN(const Graph graph, Graph::Create(20, Ring(8), SeededKey(seed)));
    for (std::uint32_t i = 0; i < 20; ++i) {
      for (const std::uint32_t j : graph.Neighbours(i)) ++counts[i * 20 + j];
    }
  }
  const double expected = 2000.0 * 8 / 19;
  for (std::uint32_t i = 0; i < 20; ++i) {
    for (std::uint32_t j = 0; j < i; ++j) EXPECT_NEAR(counts[i * 20 + j], expected, 6 * 22.1);
  }
}

TEST(GraphTest, CountsNeighboursInASet) {
  ASSERT_OK_AND_ASSIGN(const Graph graph, Graph::Create(24, Ring(10), SeededKey(3)));
  MemberSet set(24);
  std::uint32_t expected = 0;
  for (const std::uint32_t j : graph.Neighbours(5)) {
    if (j % 2 == 0) {
      set.Insert(j);
      ++expected;
    }
  }
  set.Insert(5);
  EXPECT_EQ(graph.CountIn(5, set), expected);
}

// --- Masks
// ------------------------------------------------------------------------------------------------

TEST(Mask, IsTheLittleEndianKeystreamAndCancels) {
  const SecretArray<32> key = SeededKey(4);
  for (const std::size_t dim : {1U, 3U, 4U, 2047U, 2048U, 2049U, 5000U}) {
    std::vector<std::uint32_t> values(dim);
    std::iota(values.begin(), values.end(), 10U);
    auto masked = values;
    ASSERT_OK(ApplyMask(key, MaskSign::kAdd, masked));
    Bytes stream(dim * 4);
    crypto::AesCtr ctr(key);
    ASSERT_OK(ctr.Keystream(0, stream));
    for (std::size_t w = 0; w < dim; ++w) {
      std::uint32_t word = 0;
      for (std::size_t i = 0; i < 4; ++i) {
        word |= std::to_integer<std::uint32_t>(stream[4 * w + i]) << (8 * i);
      }
      ASSERT_EQ(masked[w], values[w] + word);
    }
    ASSERT_OK(ApplyMask(key, MaskSign::kSubtract, masked));
    EXPECT_EQ(masked, values);
  }
}

// Each of the 256 seed bits counts: a flip changes the stream in about half of its bits.
TEST(SecAggAttacks, mask_seed_entropy) {
  constexpr std::size_t kWords = 256;
  std::vector<std::uint32_t> base(kWords);
  ASSERT_OK(ApplyMask(SeededKey(5), MaskSign::kAdd, base));
  std::set<std::vector<std::uint32_t>> streams = {base};
  for (std::size_t bit = 0; bit < 256; ++bit) {
    SecretArray<32> key = SeededKey(5);
    key.mutable_view()[bit / 8] ^= std::byte(1U << (bit % 8));
    std::vector<std::uint32_t> flipped(kWords);
    ASSERT_OK(ApplyMask(key, MaskSign::kAdd, flipped));
    int differ = 0;
    for (std::size_t w = 0; w < kWords; ++w) differ += __builtin_popcount(base[w] ^ flipped[w]);
    EXPECT_NEAR(differ, 4096, 320) << bit;  // 8192 bits, standard deviation 45: 7 of them
    streams.insert(std::move(flipped));
  }
  EXPECT_EQ(streams.size(), 257U);
}

// Chi-square over 256 bins, for the low and for the high byte of a coordinate. 255 degrees of
// freedom: above 400 has a probability below 1e-7. Passing is no proof of a good mask.
TEST(SecAggAttacks, mask_uniformity) {
  std::vector<std::uint32_t> words(1U << 16);
  ASSERT_OK(ApplyMask(SeededKey(6), MaskSign::kAdd, words));
  for (const int shift : {0, 10, 24}) {
    std::vector<double> bins(256);
    for (const std::uint32_t word : words) ++bins[word >> shift & 0xFFU];
    double chi_square = 0;
    for (const double count : bins) chi_square += (count - 256) * (count - 256) / 256;
    EXPECT_LT(chi_square, 400);
    EXPECT_GT(chi_square, 150);
  }
}

}  // namespace
}  // namespace demur::secagg
