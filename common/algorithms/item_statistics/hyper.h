#pragma once

#include <array>

#include "demur/learning/hyper.h"

// Hyper-parameters and table of `item_statistics`, known to both halves.
namespace demur::item_statistics {

inline constexpr std::string_view kName = "item_statistics";
inline constexpr std::string_view kTable = "item_counts";
inline constexpr std::uint32_t kCols = 3;  // likes, rejections, impressions
enum Column : std::uint32_t { kLikes = 0, kRejections = 1, kImpressions = 2 };

enum HyperIndex : std::size_t { kScore, kPriorLikes, kPriorRejections, kKeep, kNumHyper };
inline constexpr std::array<learning::HyperSpec, kNumHyper> kHyper = {{
    {"score", 1, 0, 2, true},                   // ItemScore: popularity, like-rate, seen
    {"prior_likes", 1, 1e-6, 1e6, false},       // a of the like-rate
    {"prior_rejections", 1, 1e-6, 1e6, false},  // b of the like-rate
    // Counts of earlier rounds are multiplied by it before the new ones are added: time decay.
    {"keep", 1, 0, 1, false},
}};

}  // namespace demur::item_statistics
