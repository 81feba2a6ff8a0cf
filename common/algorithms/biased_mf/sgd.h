#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

// The inner loops of the device's half: one pass of stochastic gradient descent over compact
// scratch rows. Vectors are padded with zeros to whole blocks of four floats, and every sum is
// taken in four lanes in one fixed order, so that a result depends neither on alignment nor on
// what the compiler makes of the loop. (At -O2 a plain reduction is not vectorised, and a
// vectorised one may not be fixed.)
namespace demur::biased_mf {

inline constexpr std::size_t kLanes = 4;
using Lanes __attribute__((vector_size(16))) = float;

inline Lanes Load(const float* from) {
  Lanes out;
  std::memcpy(&out, from, sizeof out);
  return out;
}
inline void Store(Lanes value, float* to) { std::memcpy(to, &value, sizeof value); }

struct Sample {
  std::uint32_t row = 0;  // of the scratch table
  float label = 0;
  float weight = 0;
};

struct SgdOptions {
  float prior_logit = 0;
  float private_rate = 0;
  float shared_rate = 0;
  float l2_user = 0;
  float l2_item = 0;
  float l2_user_bias = 0;
  float l2_item_bias = 0;
};

// Scratch parameters of one person: `blocks` blocks of four floats per vector.
struct Scratch {
  float* user = nullptr;       // blocks * 4
  float* user_bias = nullptr;  // 1
  float* items = nullptr;      // rows * blocks * 4
  float* item_biases = nullptr;
};

inline float Sigmoid(float z) { return 1.0F / (1.0F + std::exp(-z)); }

// kBlocks > 0 fixes the number of blocks at compile time; 0 takes it from `blocks`. One code, so
// that both give the same bits.
template <std::size_t kBlocks, bool kShared>
void Epoch(const SgdOptions& options, std::span<const Sample> samples, std::size_t blocks,
           const Scratch& scratch) {
  if constexpr (kBlocks > 0) blocks = kBlocks;
  const Lanes user_keep = Lanes{} + (1.0F - options.private_rate * options.l2_user);
  const Lanes item_keep = Lanes{} + (1.0F - options.shared_rate * options.l2_item);
  float user_bias = *scratch.user_bias;
  float* const user = scratch.user;
  for (const Sample& sample : samples) {
    float* const item = scratch.items + sample.row * blocks * kLanes;
    float& item_bias = scratch.item_biases[sample.row];
    Lanes sum = {};
    for (std::size_t b = 0; b < blocks; ++b) {
      sum += Load(user + b * kLanes) * Load(item + b * kLanes);
    }
    const float dot = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    const float logit = options.prior_logit + user_bias + item_bias + dot;
    const float gradient = sample.weight * (Sigmoid(logit) - sample.label);
    const float user_step = -options.private_rate * gradient;
    const float item_step = -options.shared_rate * gradient;
    for (std::size_t b = 0; b < blocks; ++b) {
      const Lanes x = Load(user + b * kLanes);
      const Lanes y = Load(item + b * kLanes);
      Store(x * user_keep + y * user_step, user + b * kLanes);
      if constexpr (kShared) Store(y * item_keep + x * item_step, item + b * kLanes);
    }
    user_bias += user_step - options.private_rate * options.l2_user_bias * user_bias;
    if constexpr (kShared) {
      item_bias += item_step - options.shared_rate * options.l2_item_bias * item_bias;
    }
  }
  *scratch.user_bias = user_bias;
}

// Picks the fixed-size loop for the usual numbers of factors (8, 16, 32).
template <bool kShared>
void RunEpoch(const SgdOptions& options, std::span<const Sample> samples, std::size_t blocks,
              const Scratch& scratch) {
  switch (blocks) {
    case 2:
      return Epoch<2, kShared>(options, samples, blocks, scratch);
    case 4:
      return Epoch<4, kShared>(options, samples, blocks, scratch);
    case 8:
      return Epoch<8, kShared>(options, samples, blocks, scratch);
    default:
      return Epoch<0, kShared>(options, samples, blocks, scratch);
  }
}

}  // namespace demur::biased_mf
