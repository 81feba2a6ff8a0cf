#pragma once

// DEMUR_CHECK(condition, "what must hold"): stops the program in every build when our own code is
// wrong. Never on input: a peer, a file or a user must not be able to reach one.
namespace demur::internal {
[[noreturn]] void CheckFailed(const char* condition, const char* message, const char* file,
                              int line) noexcept;
}  // namespace demur::internal

#define DEMUR_CHECK(condition, message)                                        \
  do {                                                                         \
    if (!(condition)) [[unlikely]]                                             \
      ::demur::internal::CheckFailed(#condition, message, __FILE__, __LINE__); \
  } while (false)
