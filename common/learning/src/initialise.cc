#include "demur/learning/initialise.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace demur::learning {

Status FillGaussianLike(RandomStream& stream, float scale, std::span<float> out) {
  constexpr std::size_t kValues = 64;
  constexpr double kRootThree = 1.7320508075688772;  // 1 / standard deviation of the sum of four
  std::array<std::uint32_t, 4 * kValues> words{};
  for (std::size_t first = 0; first < out.size(); first += kValues) {
    DEMUR_RETURN_IF_ERROR(stream.Fill(std::as_writable_bytes(std::span(words))));
    const std::size_t count = std::min(kValues, out.size() - first);
    for (std::size_t i = 0; i < count; ++i) {
      double sum = -2.0;
      for (std::size_t k = 0; k < 4; ++k) sum += words[4 * i + k] * 0x1p-32;
      out[first + i] = static_cast<float>(sum * kRootThree) * scale;
    }
  }
  return {};
}

}  // namespace demur::learning
