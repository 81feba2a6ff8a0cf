#pragma once

#include <cstdint>
#include <span>

#include "demur/base/bytes.h"
#include "demur/base/result.h"

// Vectors mod 2^bits as a bit string: coordinate w holds bits [w * bits, (w + 1) * bits), counted
// from the least significant bit of byte 0; what is left of the last byte is zero. bits: 8 to 32.
// Stateless; safe from several threads.
namespace demur::secagg {

// The low `bits` bits of each value.
Bytes Pack(std::span<const std::uint32_t> values, std::uint32_t bits);

// sum[w] += coordinate w, mod 2^32 (the caller reduces mod 2^bits at the end; 2^bits divides 2^32).
// kInvalidArgument: `packed` is not exactly what Pack makes of sum.size() values, in its length or
// in its last bits; then `sum` is untouched.
Status UnpackAdd(ByteView packed, std::uint32_t bits, std::span<std::uint32_t> sum);

// values[w] mod 2^bits.
void Reduce(std::span<std::uint32_t> values, std::uint32_t bits) noexcept;

}  // namespace demur::secagg
