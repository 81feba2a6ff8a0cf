#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "demur/model/tables.h"

// What a local step hands to the privacy encoder, and what the decoder hands to a server step.
namespace demur::model {

// Row-sparse change of the shared model, unclipped, unweighted, in model units. Carries no count
// and no client weight. Rows are named by (table, row); rows outside the slice are left out by the
// encoder. Reused between clients to save allocations (Clear keeps capacity). Value type.
class Update {
 public:
  struct RowRef {
    std::uint32_t table = 0;
    std::uint32_t row = 0;
    std::uint32_t first = 0;  // into values()
    std::uint32_t cols = 0;
  };

  void Clear() noexcept {
    rows_.clear();
    values_.clear();
  }
  // Clear, and nothing of the values is left in memory.
  void Wipe() noexcept;
  // Adds a zero row and returns its values. Rows may come in any order; the same row twice is a
  // bug that the encoder refuses. The span is valid until the next AddRow.
  std::span<float> AddRow(std::uint32_t table, std::uint32_t row, std::uint32_t cols);

  std::span<const RowRef> rows() const noexcept { return rows_; }
  std::span<const float> values(const RowRef& row) const {
    return std::span(values_).subspan(row.first, row.cols);
  }
  std::size_t num_values() const noexcept { return values_.size(); }

 private:
  std::vector<RowRef> rows_;
  std::vector<float> values_;
};

// Mean change of the slice after unmasking: decoded sum / normaliser, block weights undone,
// float64, dense over the layout.
struct MeanUpdate {
  std::vector<double> values;    // layout.dim() numbers
  double Norm() const noexcept;  // L2
};

}  // namespace demur::model
