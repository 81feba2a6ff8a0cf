#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "demur/crypto/aes_ctr.h"
#include "demur/secagg/field.h"
#include "demur/secagg/graph.h"
#include "demur/secagg/mask.h"
#include "demur/secagg/member_set.h"
#include "demur/secagg/packing.h"
#include "demur/secagg/shamir.h"
#include "result_matchers.h"
#include "seeded_coins.h"

// The building blocks against the plainest form of what their headers say: sums by long-hand
// arithmetic, bits in a vector of bool, sets in a std::set, all polynomials of a small field.
namespace demur::secagg {
namespace {

using testing::Coins;
using testing::SameKey;
using testing::SeededKey;

// --- Secret sharing
// -----------------------------------------------------------------------------------

// f(x) mod 2^61 - 1 with powers and remainders of 128-bit integers.
std::uint64_t SlowValue(const std::vector<std::uint64_t>& coefficients, std::uint64_t x) {
  Uint128 sum = 0;
  Uint128 power = 1;
  for (const std::uint64_t coefficient : coefficients) {
    sum = (sum + power * coefficient) % kMersenne61;
    power = power * x % kMersenne61;
  }
  return static_cast<std::uint64_t>(sum);
}

// Limb `limb` of a secret or a share: big-endian, 7 bytes of a secret (4 the last), 8 of a share.
std::uint64_t Limb(ByteView bytes, std::size_t limb, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = limb * width; i < std::min(bytes.size(), (limb + 1) * width); ++i) {
    value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  }
  return value;
}

// What SplitSecret is documented to do, from the same coins: 61 bits of each little-endian word.
TEST(SharingReference, SharesAreTheValuesOfTheDrawnPolynomials) {
  const std::vector<std::uint32_t> xs = {1, 2, 7, 1000, 0xFFFFFFFF};
  for (std::uint32_t threshold = 1; threshold <= xs.size(); ++threshold) {
    const SecretArray<32> secret = SeededKey(threshold);
    const auto coins = Coins(50 + threshold);
    ASSERT_OK_AND_ASSIGN(const auto shares, SplitSecret(secret, threshold, xs, *coins));
    const auto again = Coins(50 + threshold);
    for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
      std::vector<std::uint64_t> coefficients = {Limb(secret.view(), limb, 7)};
      for (std::uint32_t i = 1; i < threshold; ++i) {
        std::uint64_t word = 0;
        ASSERT_OK(again->Fill(std::as_writable_bytes(std::span(&word, 1))));
        coefficients.push_back(word >> 3);
      }
      for (std::size_t i = 0; i < xs.size(); ++i) {
        EXPECT_EQ(Limb(shares[i].view(), limb, 8), SlowValue(coefficients, xs[i]))
            << threshold << " " << limb << " " << xs[i];
      }
    }
  }
}

TEST(SharingReference, EveryThresholdOpensWithAnyOfItsSubsetsAndWithMore) {
  const std::vector<std::uint32_t> xs = {1, 2, 3, 9, 0x80000000, 0xFFFFFFFF};
  for (std::uint32_t threshold = 1; threshold <= xs.size(); ++threshold) {
    const SecretArray<32> secret = SeededKey(7 * threshold);
    const auto coins = Coins(threshold);
    ASSERT_OK_AND_ASSIGN(const auto shares, SplitSecret(secret, threshold, xs, *coins));
    for (unsigned chosen = 1; chosen < (1U << xs.size()); ++chosen) {
      std::vector<HeldShare> held;
      for (std::size_t i = 0; i < xs.size(); ++i) {
        if ((chosen >> i & 1U) != 0) held.push_back({xs[i], &shares[i]});
      }
      const auto opened = OpenSecret(held);
      if (held.size() >= threshold) {
        ASSERT_OK(opened);
        EXPECT_TRUE(SameKey(*opened, secret)) << threshold << " " << chosen;
      } else {
        EXPECT_TRUE(!opened.has_value() || !SameKey(*opened, secret)) << threshold << " " << chosen;
      }
    }
  }
}

// Each bit of a secret lies in its limb: none is lost where one limb ends and the next begins.
TEST(SharingReference, EverySingleBitOfASecretSurvives) {
  const std::vector<std::uint32_t> xs = {3, 4, 5};
  for (std::size_t bit = 0; bit < 256; ++bit) {
    SecretArray<32> secret;
    secret.mutable_view()[bit / 8] = std::byte(1U << (bit % 8));
    const auto coins = Coins(bit);
    ASSERT_OK_AND_ASSIGN(const auto shares, SplitSecret(secret, 2, xs, *coins));
    const HeldShare held[] = {{5, &shares[2]}, {3, &shares[0]}};
    ASSERT_OK_AND_ASSIGN(const auto opened, OpenSecret(held));
    EXPECT_TRUE(SameKey(opened, secret)) << bit;
  }
}

// Gives what it is told to, then fails.
class ScriptedCoins final : public RandomStream {
 public:
  explicit ScriptedCoins(std::vector<std::uint64_t> words) : words_(std::move(words)) {}
  Status Fill(std::span<std::byte> out) override {
    for (std::size_t at = 0; at < out.size(); at += 8) {
      if (next_ == words_.size()) return Error(ErrorCode::kInternal, "no more coins");
      std::memcpy(out.data() + at, &words_[next_++], 8);
    }
    return {};
  }
  std::size_t used() const { return next_; }

 private:
  std::vector<std::uint64_t> words_;
  std::size_t next_ = 0;
};

// The prime is the one 61-bit number that is no element; were it kept as 0, 0 would come twice as
// often as any other coefficient.
TEST(SharingReference, TheWordThatIsNoElementIsDrawnAgain) {
  const std::uint64_t prime = ~std::uint64_t{0};  // all ones: 61 of them are the prime
  ScriptedCoins coins({prime, prime, prime - 8, 0, 8, prime, 16, 24});
  SecretArray<32> zero;
  const std::uint32_t xs[] = {1};
  ASSERT_OK_AND_ASSIGN(const auto shares, SplitSecret(zero, 1, xs, coins));
  EXPECT_EQ(coins.used(), 0U);  // a constant needs none
  const std::uint32_t two[] = {1, 2};
  ASSERT_OK_AND_ASSIGN(const auto lines, SplitSecret(zero, 2, two, coins));
  EXPECT_EQ(coins.used(), 8U);
  const std::uint64_t slopes[] = {kMersenne61 - 1, 0, 1, 2, 3};
  for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
    EXPECT_EQ(Limb(lines[0].view(), limb, 8), slopes[limb]);
    EXPECT_EQ(Limb(lines[1].view(), limb, 8), slopes[limb] * 2 % kMersenne61);
  }
}

TEST(SharingReference, AStreamThatFailsAnywhereGivesNoShares) {
  const std::uint32_t xs[] = {1, 2, 3};
  for (std::size_t words = 0; words < 10; ++words) {  // t = 3: two coefficients a limb
    ScriptedCoins coins(std::vector<std::uint64_t>(words, 800));
    EXPECT_ERROR(SplitSecret(SeededKey(1), 3, xs, coins), ErrorCode::kInternal) << words;
  }
  ScriptedCoins enough(std::vector<std::uint64_t>(10, 800));
  EXPECT_OK(SplitSecret(SeededKey(1), 3, xs, enough));
}

// A limb of a share is an element, a limb of a secret at most 56 (32, the last) bits: tried on both
// sides of both borders, with one share, which is the secret itself.
TEST(SharingReference, BordersOfElementsAndOfLimbs) {
  const std::uint64_t most = (std::uint64_t{1} << 56) - 1;
  const std::uint64_t most_last = (std::uint64_t{1} << 32) - 1;
  for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
    const std::uint64_t border = limb + 1 < kSecretLimbs ? most : most_last;
    const std::pair<std::uint64_t, ErrorCode> cases[] = {
        {border + 1, ErrorCode::kDataLoss},
        {kMersenne61 - 1, ErrorCode::kDataLoss},
        {kMersenne61, ErrorCode::kInvalidArgument},
        {kMersenne61 + 1, ErrorCode::kInvalidArgument},
        {~std::uint64_t{0}, ErrorCode::kInvalidArgument}};
    const auto open = [limb](std::uint64_t value) {
      SecretShare share;
      for (std::size_t i = 0; i < 8; ++i) {
        share.mutable_view()[8 * limb + i] = std::byte(value >> (56 - 8 * i) & 0xFFU);
      }
      const HeldShare held[] = {{1, &share}};
      return OpenSecret(held);
    };
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1}, border}) {
      ASSERT_OK_AND_ASSIGN(const auto opened, open(value));
      EXPECT_EQ(Limb(opened.view(), limb, 7), value);
    }
    for (const auto& [value, code] : cases) EXPECT_ERROR(open(value), code) << limb << " " << value;
  }
}

// Perfect secrecy, counted out: over all polynomials of degree below t in a small field, any t - 1
// shares take every combination of values equally often, whatever the secret.
TEST(SharingReference, FewerSharesAreUniformForEverySecret) {
  using Field = PrimeField<13>;
  constexpr std::uint64_t p = Field::kPrime;
  for (std::uint64_t secret = 0; secret < p; ++secret) {
    std::map<std::pair<std::uint64_t, std::uint64_t>, int> seen;
    for (std::uint64_t a = 0; a < p; ++a) {
      for (std::uint64_t b = 0; b < p; ++b) {
        const std::uint64_t coefficients[] = {secret, a, b};
        ++seen[{Evaluate<Field>(coefficients, 2), Evaluate<Field>(coefficients, 11)}];
      }
    }
    EXPECT_EQ(seen.size(), p * p) << secret;  // p^2 polynomials: each pair once
  }
}

// --- Packing
// --------------------------------------------------------------------------------------------

class PackingReferenceTest : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(PackingReferenceTest, EveryBitLiesWhereTheHeaderSays) {
  const std::uint32_t bits = GetParam();
  std::mt19937 draw(bits);
  for (std::size_t dim = 0; dim <= 40; ++dim) {
    std::vector<std::uint32_t> values(dim);
    for (std::uint32_t& value : values) value = static_cast<std::uint32_t>(draw());
    const Bytes packed = Pack(values, bits);
    ASSERT_EQ(packed.size(), (dim * bits + 7) / 8);
    for (std::size_t at = 0; at < packed.size() * 8; ++at) {
      const bool set = (std::to_integer<unsigned>(packed[at / 8]) >> (at % 8) & 1U) != 0;
      const bool expected = at < dim * bits && (values[at / bits] >> (at % bits) & 1U) != 0;
      ASSERT_EQ(set, expected) << dim << " " << at;
    }
  }
}

TEST_P(PackingReferenceTest, SumsAreTheSumsModuloTheWidth) {
  const std::uint32_t bits = GetParam();
  const std::uint64_t modulus = std::uint64_t{1} << bits;
  std::mt19937 draw(100 + bits);
  const std::size_t dim = 29;
  std::vector<std::uint64_t> expected(dim);
  std::vector<std::uint32_t> sum(dim);
  for (int vector = 0; vector < 40; ++vector) {
    std::vector<std::uint32_t> values(dim);
    for (std::uint32_t& value : values) {
      value = vector % 2 == 0 ? ~std::uint32_t{0} : static_cast<std::uint32_t>(draw());
    }
    for (std::size_t i = 0; i < dim; ++i) expected[i] = (expected[i] + values[i]) % modulus;
    ASSERT_OK(UnpackAdd(Pack(values, bits), bits, sum));
  }
  Reduce(sum, bits);
  for (std::size_t i = 0; i < dim; ++i) EXPECT_EQ(sum[i], expected[i]) << i;
}

TEST_P(PackingReferenceTest, EveryOtherLengthAndEveryStrayBitIsRefused) {
  const std::uint32_t bits = GetParam();
  for (std::size_t dim = 0; dim <= 9; ++dim) {
    const Bytes good = Pack(std::vector<std::uint32_t>(dim, 1), bits);
    std::vector<std::uint32_t> sum(dim, 77);
    for (std::size_t len = 0; len <= good.size() + 5; ++len) {
      if (len == good.size()) continue;
      EXPECT_ERROR(UnpackAdd(Bytes(len), bits, sum), ErrorCode::kInvalidArgument) << len;
    }
    for (std::size_t at = dim * bits; at < 8 * good.size(); ++at) {
      Bytes stray = good;
      stray[at / 8] |= std::byte(1U << (at % 8));
      EXPECT_ERROR(UnpackAdd(stray, bits, sum), ErrorCode::kInvalidArgument) << at;
    }
    EXPECT_EQ(sum, std::vector<std::uint32_t>(dim, 77));
  }
}

INSTANTIATE_TEST_SUITE_P(EveryWidth, PackingReferenceTest,
                         ::testing::Range(std::uint32_t{8}, std::uint32_t{33}));

// --- Member sets
// ------------------------------------------------------------------------------------------

TEST(MemberSetReference, IsAStdSetForEveryRosterSize) {
  std::mt19937 draw(3);
  for (std::uint32_t n = 0; n <= 70; ++n) {
    MemberSet set(n);
    std::set<std::uint32_t> model;
    MemberSet other(n);
    std::set<std::uint32_t> other_model;
    for (std::uint32_t step = 0; step < 2 * n; ++step) {
      const auto member = static_cast<std::uint32_t>(draw() % n);
      set.Insert(member);
      model.insert(member);
      EXPECT_EQ(set.count(), model.size());
      if (draw() % 2 == 0) continue;
      other.Insert(member);
      other_model.insert(member);
    }
    for (std::uint32_t i = 0; i < n + 20; ++i) EXPECT_EQ(set.Contains(i), model.contains(i)) << i;
    const auto subset = [](const auto& a, const auto& b) {
      return std::includes(b.begin(), b.end(), a.begin(), a.end());
    };
    EXPECT_EQ(set.IsSubsetOf(other), subset(model, other_model)) << n;
    EXPECT_EQ(other.IsSubsetOf(set), subset(other_model, model)) << n;
    ASSERT_OK_AND_ASSIGN(const MemberSet read, MemberSet::FromBytes(n, set.bytes()));
    EXPECT_EQ(read, set);
    EXPECT_EQ(read.count(), set.count());
    for (std::size_t len = 0; len <= set.bytes().size() + 2; ++len) {
      EXPECT_EQ(MemberSet::FromBytes(n, Bytes(len)).has_value(), len == set.bytes().size());
    }
    for (std::uint32_t member = n; member < 8 * set.bytes().size(); ++member) {
      Bytes stray = ToBytes(set.bytes());
      stray[member / 8] |= std::byte(1U << (member % 8));
      EXPECT_ERROR(MemberSet::FromBytes(n, stray), ErrorCode::kInvalidArgument) << n;
    }
  }
}

// --- Graphs
// -------------------------------------------------------------------------------------------------

// The order of the ring as graph.h has it: Fisher-Yates from the top over big-endian words. (A word
// that would bias a draw has a chance below n / 2^32 and does not come for these seeds.)
std::vector<std::uint32_t> SlowRing(std::uint32_t n, const SecretArray<32>& seed) {
  std::vector<std::uint32_t> ring(n);
  std::iota(ring.begin(), ring.end(), 0U);
  const auto stream = crypto::MakeCtrStream(seed);
  for (std::uint32_t i = n; i-- > 1;) {
    std::array<std::byte, 4> word{};
    EXPECT_OK(stream->Fill(word));
    std::uint32_t value = 0;
    for (const std::byte byte : word) value = value << 8 | std::to_integer<std::uint32_t>(byte);
    std::swap(ring[i], ring[value % (i + 1)]);
  }
  return ring;
}

Parameters Ring(std::uint32_t k) { return {GraphKind::kRing, k, 2, 2, 0, 0}; }

TEST(GraphReference, JoinsEachMemberToTheNearestOnTheDocumentedRing) {
  for (const std::uint32_t n : {3U, 4U, 5U, 20U, 21U, 64U, 257U, 700U}) {
    const SecretArray<32> seed = SeededKey(n);
    const auto ring = SlowRing(n, seed);
    for (const std::uint32_t k : {0U, 2U, 4U, (n - 1) / 2 * 2}) {
      if (k >= n) continue;
      ASSERT_OK_AND_ASSIGN(const Graph graph, Graph::Create(n, Ring(k), seed));
      for (std::uint32_t at = 0; at < n; ++at) {
        std::set<std::uint32_t> expected;
        for (std::uint32_t step = 1; step <= k / 2; ++step) {
          expected.insert(ring[(at + step) % n]);
          expected.insert(ring[(at + n - step) % n]);
        }
        const auto neighbours = graph.Neighbours(ring[at]);
        EXPECT_TRUE(std::ranges::equal(neighbours, expected));
        EXPECT_EQ(neighbours.size(), k) << n;
        EXPECT_FALSE(graph.AreNeighbours(ring[at], ring[at]));
      }
    }
  }
}

// A Harary graph of degree k holds together whatever k - 1 members are gone.
TEST(GraphReference, AnyThreeMembersMayGoFromDegreeFour) {
  constexpr std::uint32_t n = 20;
  ASSERT_OK_AND_ASSIGN(const Graph graph, Graph::Create(n, Ring(4), SeededKey(9)));
  std::array<std::uint32_t, n> joined{};  // neighbours as bits
  for (std::uint32_t i = 0; i < n; ++i) {
    for (const std::uint32_t j : graph.Neighbours(i)) joined[i] |= 1U << j;
  }
  const auto reached = [&](std::uint32_t alive) {
    std::uint32_t seen = alive & (0U - alive);
    for (std::uint32_t before = 0; before != seen;) {
      before = seen;
      for (std::uint32_t i = 0; i < n; ++i) {
        if ((seen >> i & 1U) != 0) seen |= joined[i] & alive;
      }
    }
    return seen;
  };
  constexpr std::uint32_t all = (1U << n) - 1;
  for (std::uint32_t a = 0; a < n; ++a) {
    for (std::uint32_t b = a; b < n; ++b) {
      for (std::uint32_t c = b; c < n; ++c) {
        const std::uint32_t alive = all & ~(1U << a | 1U << b | 1U << c);
        ASSERT_EQ(reached(alive), alive) << a << " " << b << " " << c;
      }
    }
  }
  EXPECT_NE(reached(all & ~joined[0]), all & ~joined[0]);  // four can: all neighbours of one
}

// --- Masks
// ------------------------------------------------------------------------------------------------

// One mask for each pair of neighbours, added by the lower and taken off by the higher: over all
// members nothing is left, whatever the length, and a shorter vector has the same front.
TEST(MaskReference, PairMasksOfAGraphCancelInTheSum) {
  constexpr std::uint32_t n = 12;
  ASSERT_OK_AND_ASSIGN(const Graph graph, Graph::Create(n, Ring(6), SeededKey(1)));
  for (const std::size_t dim : {1U, 2047U, 2048U, 2049U, 4097U}) {
    std::vector<std::uint32_t> sum(dim);
    for (std::uint32_t member = 0; member < n; ++member) {
      std::vector<std::uint32_t> masked(dim);
      for (const std::uint32_t other : graph.Neighbours(member)) {
        const auto key = SeededKey(1000 + std::min(member, other) * n + std::max(member, other));
        const auto sign = member < other ? MaskSign::kAdd : MaskSign::kSubtract;
        ASSERT_OK(ApplyMask(key, sign, masked));
      }
      EXPECT_NE(masked, std::vector<std::uint32_t>(dim));
      std::vector<std::uint32_t> front((dim + 1) / 2);
      for (const std::uint32_t other : graph.Neighbours(member)) {
        const auto key = SeededKey(1000 + std::min(member, other) * n + std::max(member, other));
        const auto sign = member < other ? MaskSign::kAdd : MaskSign::kSubtract;
        ASSERT_OK(ApplyMask(key, sign, front));
      }
      EXPECT_TRUE(std::equal(front.begin(), front.end(), masked.begin()));
      for (std::size_t w = 0; w < dim; ++w) sum[w] += masked[w];
    }
    EXPECT_EQ(sum, std::vector<std::uint32_t>(dim)) << dim;
  }
  ASSERT_OK(ApplyMask(SeededKey(1), MaskSign::kAdd, {}));
}

}  // namespace
}  // namespace demur::secagg
