#pragma once

#include <array>

#include "demur/learning/hyper.h"

// Hyper-parameters and table of `biased_mf`, known to both halves: the plan carries one list.
// Model: logit(u, i) = prior_logit + b_u + b_i + x_u . y_i, with y_i and b_i in row i of the
// shared table `item`, x_u and b_u private.
namespace demur::biased_mf {

inline constexpr std::string_view kName = "biased_mf";
inline constexpr std::string_view kTable = "item";
inline constexpr std::uint32_t kMaxFactors = 256;

enum HyperIndex : std::size_t {
  kEpochs,
  kPrivateEpochs,
  kPersonaliseEpochs,
  kPrivateRate,
  kSharedRate,
  kL2User,
  kL2Item,
  kL2UserBias,
  kL2ItemBias,
  kNegativesPerPositive,
  kUnobservedWeight,
  kPriorLogit,
  kInitialScale,
  kServerOptimiser,
  kServerRate,
  kServerMomentum,
  kServerBeta2,
  kServerEpsilon,
  kServerDecay,
  kNumHyper
};

inline constexpr std::array<learning::HyperSpec, kNumHyper> kHyper = {{
    // The device. Epochs over private and shared parameters together, and before them epochs over
    // the private ones alone, which cost the server nothing.
    {"epochs", 1, 0, 100, true},
    {"private_epochs", 0, 0, 1000, true},
    {"personalise_epochs", 20, 0, 1000, true},
    {"private_rate", 0.05, 0, 10, false},
    {"shared_rate", 0.05, 0, 10, false},
    // L2 per example and step, on the row in hand: rows outside the batch do not shrink.
    {"l2_user", 0.01, 0, 10, false},
    {"l2_item", 0.01, 0, 10, false},
    {"l2_user_bias", 0.01, 0, 10, false},
    {"l2_item_bias", 0.01, 0, 10, false},
    // Unobserved items as negatives; at weight 0 none is drawn.
    {"negatives_per_positive", 0, 0, 100, false},
    {"unobserved_weight", 0, 0, 100, false},
    {"prior_logit", 0, -20, 20, false},
    {"initial_scale", 0.1, 0, 10, false},  // standard deviation of first factors
    // The server: 0 = SGD with momentum, 1 = Adam, 2 = Adagrad; moments per coordinate.
    {"server_optimiser", 1, 0, 2, true},
    {"server_rate", 0.05, 0, 1e6, false},
    {"server_momentum", 0.9, 0, 0.9999, false},  // beta 1 of Adam
    {"server_beta2", 0.99, 0, 0.99999, false},
    {"server_epsilon", 1e-4, 1e-12, 1e3, false},
    {"server_decay", 0, 0, 1, false},  // share that every row of the slice shrinks by in a round
}};

}  // namespace demur::biased_mf
