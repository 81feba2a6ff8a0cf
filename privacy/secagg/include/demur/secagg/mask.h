#pragma once

#include <cstddef>
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

struct MaskTerm {
  const SecretArray<32>* key = nullptr;  // borrowed
  MaskSign sign = MaskSign::kAdd;
};

// ApplyMask for every term, in one walk over the vector for every few of them. `values` are the
// coordinates from `first_coordinate` on, a multiple of 4 (checked): threads that call this on
// parts of one vector, cut anywhere that is allowed, leave the bytes that one call leaves.
// kInternal as above.
Status ApplyMasks(std::span<const MaskTerm> terms, std::span<std::uint32_t> values,
                  std::size_t first_coordinate = 0);

}  // namespace demur::secagg
