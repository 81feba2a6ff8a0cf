#include "demur/model/update.h"

#include <cmath>

#include "demur/base/secret.h"

namespace demur::model {

std::span<float> Update::AddRow(std::uint32_t table, std::uint32_t row, std::uint32_t cols) {
  const auto first = static_cast<std::uint32_t>(values_.size());
  rows_.push_back({table, row, first, cols});
  values_.resize(values_.size() + cols, 0.0F);
  return std::span(values_).subspan(first, cols);
}

void Update::Wipe() noexcept {
  demur::Wipe(std::as_writable_bytes(std::span(values_)));
  Clear();
}

double MeanUpdate::Norm() const noexcept {
  double squares = 0;
  for (const double value : values) squares += value * value;
  return std::sqrt(squares);
}

}  // namespace demur::model
