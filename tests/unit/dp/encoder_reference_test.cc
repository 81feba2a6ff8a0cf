#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "demur/dp/encoder.h"
#include "dp_fixtures.h"
#include "result_matchers.h"

// The encoder against the plainest program that does the same: dense, one coordinate at a time, in
// long double where the encoder's doubles could hide an error.
namespace demur::dp {
namespace {

// Small random numbers of a test case.
class Dice {
 public:
  explicit Dice(std::uint64_t seed)
      : random_(seed), stream_(random_.Stream({.purpose = Purpose::kData}).value()) {}
  std::uint32_t Below(std::uint32_t bound) { return UniformBelow(*stream_, bound).value(); }
  double Unit() { return UniformUnit(*stream_).value(); }

 private:
  seeded::SeededRandom random_;
  std::unique_ptr<RandomStream> stream_;
};

struct Case {
  model::Schema schema;
  model::Slice slice;
  model::EncodingPlan plan;
  model::Update update;
};

model::Slice SomeSlice(const model::Schema& schema, Dice& dice) {
  model::Slice slice;
  for (const model::TableSpec& table : schema.tables) {
    model::TableSlice part;
    part.all = dice.Below(2) == 0;
    for (std::uint32_t row = 0; row < table.rows && !part.all; ++row) {
      if (row == 0 || dice.Below(3) > 0) part.rows.push_back(row);
    }
    slice.tables.push_back(std::move(part));
  }
  return slice;
}

Case SomeCase(std::uint64_t seed) {
  Dice dice(seed);
  Case made;
  for (const char* name : {"a", "b", "c"}) {
    made.schema.tables.push_back(
        {name, 1 + dice.Below(30), 1 + dice.Below(9), 0.25 + 2 * dice.Unit()});
  }
  made.slice = SomeSlice(made.schema, dice);
  made.plan.clip_norm = 0.1 + 3 * dice.Unit();
  made.plan.scale = 1 + dice.Below(5000);
  made.plan.bits = 32;
  const double norm = made.plan.clip_norm * made.plan.scale;
  made.plan.l2_sq_max = static_cast<std::uint64_t>(norm * norm + norm) + 20;
  made.plan.l1_max = made.plan.l2_sq_max;
  made.plan.rows_max = 1000;
  // Rows in random order, about half of them, some of zeros.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> rows;
  for (std::uint32_t t = 0; t < made.schema.tables.size(); ++t) {
    for (std::uint32_t r = 0; r < made.schema.tables[t].rows; ++r) {
      if (dice.Below(2) == 0) rows.emplace_back(t, r);
    }
  }
  for (std::size_t i = rows.size(); i > 1; --i) {
    std::swap(rows[i - 1], rows[dice.Below(static_cast<std::uint32_t>(i))]);
  }
  const double size = std::pow(10.0, 2 * dice.Unit() - 1.5);
  for (const auto& [table, row] : rows) {
    const bool zero = dice.Below(8) == 0;
    std::vector<float> values(made.schema.tables[table].cols);
    for (float& value : values) {
      value = zero ? 0.0F : static_cast<float>(size * (dice.Unit() - 0.5));
    }
    testing::AddRow(&made.update, table, row, values);
  }
  return made;
}

// Coordinate -> clipped and scaled value.
std::map<std::uint32_t, long double> Scaled(const Case& made, const model::Layout& layout) {
  std::map<std::uint32_t, long double> values;
  long double square = 0;
  for (const auto& ref : made.update.rows()) {
    const std::uint32_t first = layout.Offset(ref.table, ref.row);
    if (first == model::Layout::kNotInSlice) continue;
    for (std::uint32_t c = 0; c < ref.cols; ++c) {
      const long double value = static_cast<long double>(made.update.values(ref)[c]) *
                                made.schema.tables[ref.table].weight;
      values[first + c] = value;
      square += value * value;
    }
  }
  const long double norm = std::sqrt(square);
  const long double clip = norm > made.plan.clip_norm ? made.plan.clip_norm / norm : 1;
  for (auto& [coordinate, value] : values) value *= clip * made.plan.scale;
  return values;
}

std::uint32_t Word(RandomBlocks& blocks, std::uint64_t block, std::uint32_t index) {
  std::array<std::byte, kRandomBlockLen> raw{};
  EXPECT_OK(blocks.Read(std::span(&block, 1), raw));
  std::uint32_t word = 0;
  std::memcpy(&word, raw.data() + sizeof word * index, sizeof word);
  return word;
}

TEST(EncoderReferenceTest, EveryIntegerIsTheOneOfThePlainProgram) {
  std::uint64_t coordinates = 0;
  std::uint64_t retried = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    const Case made = SomeCase(seed);
    ASSERT_OK_AND_ASSIGN(const model::Layout layout,
                         model::Layout::Create(made.schema, made.slice));
    ASSERT_OK_AND_ASSIGN(Encoder encoder, Encoder::Create(layout, made.plan));
    EncodedUpdate out;
    ASSERT_OK_AND_ASSIGN(const auto outcome,
                         testing::EncodeSeeded(encoder, made.update, 77, seed, &out));
    const auto got = testing::Signed(out);
    if (!outcome.sent) continue;  // the plain program below would retry as often
    retried += outcome.tries > 1 ? 1 : 0;
    seeded::SeededRandom random(77);
    auto blocks = random.Blocks({.client = seed, .purpose = Purpose::kRounding}).value();
    const std::uint64_t offset =
        std::uint64_t{outcome.tries - 1} * ((std::uint64_t{layout.dim()} + 3) / 4);
    std::vector<std::int32_t> expected(layout.dim(), 0);
    for (const auto& [coordinate, value] : Scaled(made, layout)) {
      const long double down = std::floor(value);
      const long double threshold = (value - down) * 0x1p32L;
      const std::uint32_t word = Word(*blocks, offset + coordinate / 4, coordinate % 4);
      // A word this near the threshold is decided by the last bits of the clip: either is right.
      if (std::fabs(static_cast<long double>(word) - threshold) < 2) {
        expected[coordinate] = got[coordinate];
        continue;
      }
      expected[coordinate] = static_cast<std::int32_t>(down) + (word < threshold ? 1 : 0);
      ++coordinates;
    }
    ASSERT_EQ(got, expected);
  }
  EXPECT_GT(coordinates, 10'000U);
  EXPECT_GT(retried, 0U);
}

}  // namespace
}  // namespace demur::dp
