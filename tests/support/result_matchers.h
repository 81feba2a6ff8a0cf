#pragma once

#include <gtest/gtest.h>

#include "demur/base/result.h"

// ASSERT_OK(x), EXPECT_OK(x), EXPECT_ERROR(x, code): Results in tests, with the message on failure.
namespace demur::testing {

template <class R>
::testing::AssertionResult IsOk(const R& result) {
  if (result.has_value()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << ToString(result.error().code()) << ": " << result.error().message() << " ("
         << result.error().file() << ":" << result.error().line() << ")";
}

template <class R>
::testing::AssertionResult HasError(const R& result, ErrorCode code) {
  if (result.has_value()) return ::testing::AssertionFailure() << "succeeded";
  if (result.error().code() == code) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << ToString(result.error().code()) << ": " << result.error().message();
}

}  // namespace demur::testing

#define EXPECT_OK(...) EXPECT_TRUE(::demur::testing::IsOk(__VA_ARGS__))
#define ASSERT_OK(...) ASSERT_TRUE(::demur::testing::IsOk(__VA_ARGS__))
#define EXPECT_ERROR(result, code) EXPECT_TRUE(::demur::testing::HasError(result, code))
// ASSERT_OK_AND_ASSIGN(auto x, MakeX());
#define ASSERT_OK_AND_ASSIGN(lhs, ...) \
  ASSERT_OK_AND_ASSIGN_(DEMUR_CONCAT_(demur_test_result_, __LINE__), lhs, __VA_ARGS__)
#define ASSERT_OK_AND_ASSIGN_(result, lhs, ...) \
  auto result = (__VA_ARGS__);                  \
  ASSERT_OK(result);                            \
  lhs = std::move(result).value()
