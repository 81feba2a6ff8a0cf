#pragma once

#include <cstdint>

#include "demur/base/result.h"

// What a program asks of the operating system for itself. Call it from main, before threads.
namespace demur {

// Raises the limit of open descriptors to at least `needed`, or to all that is allowed when that is
// more. kResourceExhausted: the system allows fewer (says how many, and `ulimit -n`).
Status RaiseDescriptorLimit(std::uint64_t needed);

}  // namespace demur
