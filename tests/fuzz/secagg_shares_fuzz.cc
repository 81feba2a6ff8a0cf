#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <vector>

#include "demur/base/check.h"
#include "demur/secagg/shamir.h"

// First byte: the threshold; then shares, each a point of four bytes (big-endian) and its limbs.
// What opens must open again from every share that was not found wrong, and from nothing else.
namespace demur::secagg {
namespace {

constexpr std::size_t kRecordLen = 4 + kSecretShareLen;
constexpr std::size_t kMaxShares = 40;

bool Contains(const std::vector<std::uint32_t>& xs, std::uint32_t x) {
  return std::find(xs.begin(), xs.end(), x) != xs.end();
}

void CheckOpening(const RobustOpening& opening, std::span<const HeldShare> held,
                  std::uint32_t threshold) {
  DEMUR_CHECK(opening.wrong_points.size() <= (held.size() - threshold) / 2, "within the radius");
  std::vector<HeldShare> right;
  std::copy_if(held.begin(), held.end(), std::back_inserter(right),
               [&](const HeldShare& share) { return !Contains(opening.wrong_points, share.x); });
  DEMUR_CHECK(right.size() + opening.wrong_points.size() == held.size(), "wrong points were given");
  for (std::size_t first = 0; first + threshold <= right.size(); ++first) {
    const auto again = OpenSecret(std::span(right).subspan(first, threshold));
    DEMUR_CHECK(again.has_value() && ConstantTimeEqual(again->view(), opening.secret.view()),
                "right shares agree");
  }
}

}  // namespace
}  // namespace demur::secagg

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace demur::secagg;
  if (size == 0) return 0;
  const std::uint32_t threshold = data[0];
  const auto records = std::as_bytes(std::span(data, size)).subspan(1);
  std::vector<SecretShare> shares(std::min(records.size() / kRecordLen, kMaxShares));
  std::vector<HeldShare> held;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const auto record = records.subspan(i * kRecordLen, kRecordLen);
    std::uint32_t x = 0;
    for (std::size_t at = 0; at < 4; ++at) {
      x = x << 8 | std::to_integer<std::uint32_t>(record[at]);
    }
    std::copy_n(record.begin() + 4, kSecretShareLen, shares[i].mutable_view().begin());
    held.push_back({x, &shares[i]});
  }
  const auto opening = OpenSecretRobust(held, threshold);
  if (opening) CheckOpening(*opening, held, threshold);
  return 0;
}
