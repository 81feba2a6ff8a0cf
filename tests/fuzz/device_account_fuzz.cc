#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "demur/base/check.h"
#include "demur/dp/device_budget.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto account = demur::dp::DeviceTaskAccount::Parse(bytes);
  if (!account) return 0;
  DEMUR_CHECK(std::ranges::equal(account->Encode(), bytes), "there is one encoding of an account");
  const auto conversion = demur::dp::DpConversion::Create(1e-7);
  DEMUR_CHECK(conversion.has_value(), "a usual delta");
  (void)conversion->EpsilonUnits(account->spent);
  return 0;
}
