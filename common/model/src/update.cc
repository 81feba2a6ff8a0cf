#include "demur/model/update.h"

namespace demur::model {

std::span<float> Update::AddRow(std::uint32_t table, std::uint32_t row, std::uint32_t cols) {
  const auto first = static_cast<std::uint32_t>(values_.size());
  rows_.push_back({table, row, first, cols});
  values_.resize(values_.size() + cols, 0.0F);
  return std::span(values_).subspan(first, cols);
}

}  // namespace demur::model
