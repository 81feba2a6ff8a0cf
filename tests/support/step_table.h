#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <tuple>
#include <vector>

// A transition table of docs/protocol.md, as the parameters of a test: one test a cell.
namespace demur::testing {

struct TableRow {
  const char* event;
  std::vector<const char*> cells;  // by the table's states
};

using Cell = std::tuple<std::size_t, std::size_t>;  // row and column

// Of: a function that gives a table with `states` and `rows`.
template <auto Of>
auto CellsOf() {
  return ::testing::Combine(::testing::Range<std::size_t>(0, Of().rows.size()),
                            ::testing::Range<std::size_t>(0, Of().states.size()));
}

// "ready_other_M4"
template <auto Of>
std::string NameOfCell(const ::testing::TestParamInfo<Cell>& info) {
  const auto [row, column] = info.param;
  std::string name = std::string(Of().states[column]) + "_" + Of().rows[row].event;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

}  // namespace demur::testing
