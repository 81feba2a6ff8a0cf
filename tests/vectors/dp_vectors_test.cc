#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "csv_table.h"
#include "demur/dp/accountant.h"
#include "demur/dp/calibrate.h"
#include "result_matchers.h"

// Published numbers, read from outside the repository, at the tolerance of each row. Rows of
// mechanisms that this build does not offer are counted as such, so that none is passed by in
// silence.
namespace demur::dp {
namespace {

using demur::testing::CsvTable;

std::string Path(const char* name) { return std::string(DEMUR_DP_VECTORS) + "/" + name; }

void ExpectAsInRow(double value, const CsvTable::Row& row) {
  const double expected = CsvTable::Number(row, "expected");
  const double allowed =
      CsvTable::Number(row, "atol") + CsvTable::Number(row, "rtol") * std::fabs(expected);
  EXPECT_EQ(CsvTable::Text(row, "cmp"), "eq");
  EXPECT_NEAR(value, expected, allowed) << CsvTable::Text(row, "id");
}

TEST(DpVectorsTest, SkellamRdp) {
  const CsvTable table = CsvTable::Read(Path("skellam_rdp.csv"));
  int integers = 0;
  for (const auto& row : table.rows()) {
    const double l1 = CsvTable::Number(row, "l1_sens");
    const double l2 = CsvTable::Number(row, "l2_sens");
    const double variance = CsvTable::Number(row, "central_var");
    const double scale = CsvTable::Number(row, "scale");
    const double order = CsvTable::Number(row, "order");
    ExpectAsInRow(SkellamRdp(order, l2 * l2, l1, variance, scale), row);
    // The curve that is charged, where the row's numbers are integers in integer units.
    const double l2_sq = l2 * l2 * scale * scale;
    const double mu = variance * scale * scale;
    if (l2_sq != std::floor(l2_sq) || mu != std::floor(mu)) continue;
    const RdpCurve curve = CurveOf({.l2_sq = static_cast<std::uint64_t>(l2_sq),
                                    .l1 = static_cast<std::uint64_t>(l1 * scale),
                                    .mu = static_cast<std::uint64_t>(mu)})
                               .value();
    for (std::size_t i = 0; i < kNumOrders; ++i) {
      if (Orders()[i] != order) continue;
      const double charged = static_cast<double>(curve.units[i]) * kEpsilonUnit;
      const double expected = CsvTable::Number(row, "expected");
      EXPECT_GE(charged, expected * (1 - 1e-15));
      EXPECT_LE(charged, expected + 3 * kEpsilonUnit + expected * 1e-15);
      ++integers;
    }
  }
  EXPECT_EQ(table.rows().size(), 36U);
  EXPECT_EQ(integers, 36);
}

// Orders 2 to 32 are among ours; rows over fractional orders belong to another accountant. A
// constant curve at 1.1 is best at the largest order of the row, so ours is cut to the same orders
// by making the others dear.
TEST(DpVectorsTest, RdpToDp) {
  const CsvTable table = CsvTable::Read(Path("rdp_to_dp.csv"));
  int checked = 0;
  int outside = 0;
  for (const auto& row : table.rows()) {
    if (CsvTable::Text(row, "orders") != "2..32" ||
        CsvTable::Text(row, "rdp_curve") != "constant 1.1") {
      ++outside;
      continue;
    }
    RdpCurve curve;
    for (std::size_t i = 0; i < kNumOrders; ++i) {
      curve.units[i] = Orders()[i] <= 32 ? static_cast<std::uint64_t>(std::ldexp(1.1, 40))
                                         : std::uint64_t{1} << 50;
    }
    const std::string& quantity = CsvTable::Text(row, "quantity");
    if (quantity == "delta") {
      ExpectAsInRow(DeltaAt(curve, CsvTable::Number(row, "epsilon")), row);
    } else {
      const DpConversion conversion = DpConversion::Create(CsvTable::Number(row, "delta")).value();
      ExpectAsInRow(quantity == "epsilon"
                        ? static_cast<double>(conversion.EpsilonUnits(curve)) * kEpsilonUnit
                        : conversion.BestOrder(curve),
                    row);
    }
    ++checked;
  }
  EXPECT_EQ(checked, 3);
  EXPECT_EQ(outside, 2);
}

double Beta(const std::string& text) {
  return text == "exp(-0.5)" ? std::exp(-0.5) : std::strtod(text.c_str(), nullptr);
}

TEST(DpVectorsTest, RoundedNorms) {
  const CsvTable table = CsvTable::Read(Path("rounding_and_scale.csv"));
  int l2_rows = 0;
  int l1_rows = 0;
  int other = 0;
  for (const auto& row : table.rows()) {
    const std::string& quantity = CsvTable::Text(row, "quantity");
    if (quantity == "rounded_l2_norm_bound") {
      ExpectAsInRow(RoundedL2Bound(CsvTable::Number(row, "l2_norm"), CsvTable::Number(row, "dim"),
                                   Beta(CsvTable::Text(row, "beta"))),
                    row);
      ++l2_rows;
    } else if (quantity.starts_with("rounded_l1_norm_bound")) {
      ExpectAsInRow(RoundedL1Bound(CsvTable::Number(row, "l2_norm"), CsvTable::Number(row, "dim")),
                    row);
      ++l1_rows;
    } else {
      ++other;  // the rotated encoding's scale
    }
  }
  EXPECT_EQ(l2_rows, 48);
  EXPECT_EQ(l1_rows, 16);
  EXPECT_EQ(other, 91);
}

}  // namespace
}  // namespace demur::dp
