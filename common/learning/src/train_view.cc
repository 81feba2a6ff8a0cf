#include "demur/learning/train_view.h"

#include <algorithm>
#include <string>

namespace demur::learning {

Result<TrainView> TrainView::Create(std::span<const Event> train, const SignalTable& signals,
                                    std::uint32_t num_items) {
  TrainView view;
  view.num_items_ = num_items;
  view.observed_.reserve(train.size());
  for (const Event& event : train) {
    if (event.item.value >= num_items) {
      return Error(ErrorCode::kInvalidArgument, "train view: an item outside the catalogue");
    }
    view.observed_.push_back(event.item.value);
  }
  std::sort(view.observed_.begin(), view.observed_.end());
  if (std::adjacent_find(view.observed_.begin(), view.observed_.end()) != view.observed_.end()) {
    return Error(ErrorCode::kInvalidArgument, "train view: two events of one item");
  }
  view.examples_ = MakeExamples(train, signals);
  std::sort(view.examples_.begin(), view.examples_.end(),
            [](const Example& a, const Example& b) { return a.item < b.item; });
  view.num_positives_ = static_cast<std::uint32_t>(
      std::count_if(view.examples_.begin(), view.examples_.end(),
                    [](const Example& example) { return example.label > 0.5F; }));
  return view;
}

bool TrainView::Observed(std::uint32_t item) const noexcept {
  return std::binary_search(observed_.begin(), observed_.end(), item);
}

std::uint32_t TrainView::Unobserved(std::uint32_t k) const noexcept {
  // observed_[j] - j is the number of unobserved items below observed_[j] and never falls with j.
  // The answer is k plus the number of observed items that it skips.
  std::uint32_t first = 0;
  auto count = static_cast<std::uint32_t>(observed_.size());
  while (count > 0) {
    const std::uint32_t half = count / 2;
    const std::uint32_t middle = first + half;
    const bool skips = observed_[middle] - middle <= k;
    first = skips ? middle + 1 : first;
    count = skips ? count - half - 1 : half;
  }
  return k + first;
}

std::uint32_t WordReader::Next() noexcept {
  if (next_ == kChunk) {
    if (status_.has_value()) {
      status_ = stream_->Fill(std::as_writable_bytes(std::span(words_)));
    }
    // After a failure the words are not random: hand out zeros, which end every loop below.
    if (!status_.has_value()) std::fill(std::begin(words_), std::end(words_), 0U);
    next_ = 0;
  }
  return words_[next_++];
}

std::uint32_t WordReader::Below(std::uint32_t bound) noexcept {
  // Multiply and shift, rejecting the few words that would favour some results (Lemire 2019).
  std::uint64_t product = std::uint64_t{Next()} * bound;
  if (static_cast<std::uint32_t>(product) < bound) {
    const std::uint32_t threshold = (0U - bound) % bound;
    while (static_cast<std::uint32_t>(product) < threshold && status_.has_value()) {
      product = std::uint64_t{Next()} * bound;
    }
  }
  return static_cast<std::uint32_t>(product >> 32);
}

}  // namespace demur::learning
