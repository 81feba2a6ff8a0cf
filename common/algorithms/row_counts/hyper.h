#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "demur/learning/hyper.h"
#include "demur/model/plan.h"

// Hyper-parameters and table of `row_counts`, known to both halves. What is counted: of how many
// participants the training would change a row. A sparse round's first session does this, so that
// its second one trains only rows that somebody has an opinion on (docs/protocol.md, "Sparse
// rounds"). A catalogue beyond kMaxBuckets rows is folded: a bucket counts several rows.
namespace demur::row_counts {

inline constexpr std::string_view kName = model::kRowCountsAlgorithm;
inline constexpr std::string_view kTable = "row_count";

enum HyperIndex : std::size_t { kItems, kRowsMax, kNumHyper };
inline constexpr std::array<learning::HyperSpec, kNumHyper> kHyper = {{
    {"items", 1, 1, 1 << 26, true},     // rows of the catalogue
    {"rows_max", 1, 1, 1 << 26, true},  // of one device; of more it draws so many
}};

}  // namespace demur::row_counts
