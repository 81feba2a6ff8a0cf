#pragma once

#include <cstdint>
#include <span>

#include "demur/base/result.h"
#include "demur/base/secret.h"

// Mask expansion: word w (little-endian u32) of AES-256-CTR(key), IV 0, belongs to coordinate w.
// Sums are mod 2^32; 2^bits divides that, so the low bits are right for every modulus of a plan.
// Stateless; safe from several threads.
namespace demur::secagg {

enum class MaskSign : std::uint8_t { kAdd, kSubtract };

// Adds or subtracts the mask of `key`. kInternal: the cipher failed; `values` must not be used.
Status ApplyMask(const SecretArray<32>& key, MaskSign sign, std::span<std::uint32_t> values);

}  // namespace demur::secagg
