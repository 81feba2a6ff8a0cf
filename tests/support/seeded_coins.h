#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "demur/base/secret.h"
#include "demur/seeded/seeded_random.h"
#include "result_matchers.h"

// Coins and keys that are a function of a number. Link privacy/seeded.
namespace demur::testing {

inline std::unique_ptr<RandomStream> Coins(std::uint64_t seed) {
  auto stream = seeded::SeededRandom(seed).Stream({1, 2, 3, 4, Purpose::kKeys});
  EXPECT_OK(stream);
  return std::move(*stream);
}

inline SecretArray<32> SeededKey(std::uint64_t seed) {
  SecretArray<32> key;
  EXPECT_OK(Coins(seed)->Fill(key.mutable_view()));
  return key;
}

inline bool SameKey(const SecretArray<32>& a, const SecretArray<32>& b) {
  return ConstantTimeEqual(a.view(), b.view());
}

}  // namespace demur::testing
