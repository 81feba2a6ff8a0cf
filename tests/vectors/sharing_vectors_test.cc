#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/file.h"
#include "demur/base/json.h"
#include "demur/secagg/field.h"
#include "demur/secagg/reed_solomon.h"
#include "demur/secagg/shamir.h"
#include "result_matchers.h"
#include "wide_field.h"

// Other people's Shamir sharings, over their fields, read from outside the repository.
namespace demur::secagg {
namespace {

using testing::FourWords;
using testing::RistrettoScalars;

Json ReadJson(const char* path) {
  const auto text = ReadTextFile(path, 1U << 20);
  EXPECT_OK(text);
  auto json = Json::Parse(text ? *text : "{}");
  EXPECT_OK(json);
  return std::move(json).value();
}
const Json& At(const Json& json, std::string_view key) {
  const Json* found = json.Find(key);
  if (found == nullptr) ADD_FAILURE() << key;
  return found == nullptr ? json : *found;
}
Bytes Hex(const Json& json) {
  const std::string* text = json.text();
  auto bytes = FromHex(text == nullptr ? "" : *text);
  EXPECT_OK(bytes);
  return bytes ? *bytes : Bytes{};
}

// Little-endian.
FourWords Scalar(const Bytes& bytes) {
  EXPECT_EQ(bytes.size(), 32U);
  FourWords words{};
  for (std::size_t i = 0; i < std::min<std::size_t>(bytes.size(), 32); ++i) {
    words[i / 8] |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * (i % 8));
  }
  return words;
}

// Every way to choose `threshold` of `xs` gives `secret`.
template <class Field>
void ExpectOpens(const std::vector<typename Field::Element>& xs,
                 const std::vector<typename Field::Element>& ys, std::size_t threshold,
                 const typename Field::Element& secret) {
  std::vector<bool> chosen(xs.size());
  std::fill_n(chosen.begin(), threshold, true);
  do {
    std::vector<typename Field::Element> points;
    std::vector<typename Field::Element> values;
    for (std::size_t i = 0; i < xs.size(); ++i) {
      if (!chosen[i]) continue;
      points.push_back(xs[i]);
      values.push_back(ys[i]);
    }
    ASSERT_OK_AND_ASSIGN(const auto weights, LagrangeAtZero<Field>(points));
    typename Field::Element sum{};
    for (std::size_t i = 0; i < points.size(); ++i) {
      sum = Field::Add(sum, Field::Mul(weights[i], values[i]));
    }
    EXPECT_EQ(sum, secret);
  } while (std::prev_permutation(chosen.begin(), chosen.end()));
}

// RFC 9591: two of three shares in the scalar field of ristretto255.
TEST(SharingVectorsTest, FrostScalarField) {
  using Field = RistrettoScalars;
  const Json file = ReadJson(DEMUR_FROST_SHARING);
  std::vector<FourWords> coefficients = {Scalar(Hex(At(file, "group_secret_key")))};
  ASSERT_NE(At(file, "share_polynomial_coefficients").array(), nullptr);
  for (const Json& one : *At(file, "share_polynomial_coefficients").array()) {
    coefficients.push_back(Scalar(Hex(one)));
  }
  std::vector<FourWords> xs;
  std::vector<FourWords> ys;
  ASSERT_NE(At(file, "participant_shares").array(), nullptr);
  for (const Json& share : *At(file, "participant_shares").array()) {
    xs.push_back({static_cast<std::uint64_t>(At(share, "identifier").Integer().value()), 0, 0, 0});
    ys.push_back(Scalar(Hex(At(share, "participant_share"))));
    EXPECT_TRUE(Field::IsElement(ys.back()));
    EXPECT_EQ(Evaluate<Field>(coefficients, xs.back()), ys.back());
  }
  ASSERT_EQ(coefficients.size(), 2U);
  ASSERT_EQ(xs.size(), 3U);
  std::vector<FourWords> values(3);
  EvaluateAll<Field>(coefficients, xs, values);
  EXPECT_EQ(values, ys);
  ExpectOpens<Field>(xs, ys, 2, coefficients[0]);
  ASSERT_OK_AND_ASSIGN(const auto code, ReedSolomon<Field>::Create(xs));
  const auto decoded = code.Decode(ys, 2);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->coefficients, coefficients);
}

// The field itself, where the vectors reach only a few products of it.
TEST(SharingVectorsTest, FourWordArithmeticKeepsTheLaws) {
  using Field = RistrettoScalars;
  const FourWords most = Field::Sub({}, Field::kOne);
  EXPECT_EQ(most, (FourWords{0x5812631A5CF5D3EC, 0x14DEF9DEA2F79CD6, 0, 0x1000000000000000}));
  FourWords prime = most;
  ++prime[0];
  EXPECT_FALSE(Field::IsElement(prime));
  EXPECT_TRUE(Field::IsElement(most));
  EXPECT_EQ(Field::Mul(most, most), Field::kOne);
  EXPECT_EQ(Field::Add(most, Field::kOne), FourWords{});
  std::vector<FourWords> values = {{}, Field::kOne, most, {7, 0, 0, 0}};
  std::mt19937_64 draw(3);
  for (int i = 0; i < 8; ++i) values.push_back({draw(), draw(), draw(), draw() >> 4});
  for (const FourWords& a : values) {
    ASSERT_TRUE(Field::IsElement(a));
    if (a != FourWords{}) {
      EXPECT_EQ(Field::Mul(a, Inverse<Field>(a)), Field::kOne);
    }
    for (const FourWords& b : values) {
      EXPECT_EQ(Field::Mul(a, b), Field::Mul(b, a));
      EXPECT_EQ(Field::Sub(Field::Add(a, b), b), a);
      for (const FourWords& c : values) {
        EXPECT_EQ(Field::Mul(a, Field::Add(b, c)), Field::Add(Field::Mul(a, b), Field::Mul(a, c)));
        EXPECT_EQ(Field::Mul(Field::Mul(a, b), c), Field::Mul(a, Field::Mul(b, c)));
      }
    }
  }
}

#ifdef DEMUR_FCP_SHARING
// Three of five shares mod 2^31 + 11; the secret is cut into 31-bit digits.
TEST(SharingVectorsTest, FcpPrecomputedShares) {
  using Field = PrimeField<(std::uint64_t{1} << 31) + 11>;
  const Json file = ReadJson(DEMUR_FCP_SHARING);
  EXPECT_EQ(*At(file, "modulus").text(), std::to_string(Field::kPrime));
  const auto threshold = static_cast<std::size_t>(At(file, "threshold").Integer().value());
  std::uint64_t secret = 0;
  for (const std::byte byte : Hex(At(file, "secret"))) {
    secret = secret << 8 | std::to_integer<std::uint64_t>(byte);
  }
  ASSERT_NE(At(file, "shares").array(), nullptr);
  const auto& shares = *At(file, "shares").array();
  ASSERT_EQ(shares.size(), 5U);
  std::vector<std::uint64_t> xs;
  std::array<std::vector<std::uint64_t>, 2> parts;
  for (const Json& share : shares) {
    xs.push_back(xs.size() + 1);
    const Bytes bytes = Hex(share);
    ASSERT_EQ(bytes.size(), 8U);
    for (std::size_t part = 0; part < 2; ++part) {
      std::uint64_t value = 0;
      for (std::size_t i = 0; i < 4; ++i) {
        value = value << 8 | std::to_integer<std::uint64_t>(bytes[4 * part + i]);
      }
      parts[part].push_back(value);
    }
  }
  const std::uint64_t digits[] = {secret >> 31, secret & 0x7FFFFFFF};
  ASSERT_OK_AND_ASSIGN(const auto code, ReedSolomon<Field>::Create(xs));
  for (std::size_t part = 0; part < 2; ++part) {
    ExpectOpens<Field>(xs, parts[part], threshold, digits[part]);
    parts[part][3] = Field::Add(parts[part][3], 1);  // one of five may be wrong
    const auto decoded = code.Decode(parts[part], threshold);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(decoded->coefficients[0], digits[part]);
    EXPECT_EQ(decoded->wrong, std::vector<std::size_t>{3});
  }
}
#endif

}  // namespace
}  // namespace demur::secagg
