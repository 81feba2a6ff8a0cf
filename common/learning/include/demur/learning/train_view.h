#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/learning/examples.h"

// The training side of one person's events. A sampler of unobserved items takes this type and
// nothing else, so that it cannot know what was held out: an item of validation or test is as
// likely a negative as any other. (A sampler that avoids held-out items marks them by never drawing
// them, and any model that remembers its negatives then reads the test set back.)
namespace demur::learning {

// Immutable after creation; may be read from several threads.
class TrainView {
 public:
  // From the train events of one person, one per item (Clean). Every event counts as observed;
  // those with a label become examples. num_items: size of the catalogue.
  // kInvalidArgument: an item outside the catalogue, or twice.
  static Result<TrainView> Create(std::span<const Event> train, const SignalTable& signals,
                                  std::uint32_t num_items);

  // Ascending by item.
  std::span<const Example> examples() const noexcept { return examples_; }
  // All train items, labelled or not, ascending.
  std::span<const std::uint32_t> observed() const noexcept { return observed_; }
  std::uint32_t num_items() const noexcept { return num_items_; }
  // Items that are not observed: what the sampler draws from.
  std::uint32_t num_unobserved() const noexcept {
    return num_items_ - static_cast<std::uint32_t>(observed_.size());
  }
  std::uint32_t num_positives() const noexcept { return num_positives_; }
  bool Observed(std::uint32_t item) const noexcept;
  // The item that has exactly `k` unobserved items below it. k < num_unobserved().
  std::uint32_t Unobserved(std::uint32_t k) const noexcept;

 private:
  std::vector<Example> examples_;
  std::vector<std::uint32_t> observed_;
  std::uint32_t num_items_ = 0;
  std::uint32_t num_positives_ = 0;
};

// Random 32-bit words of a stream, read in chunks: what sampling and shuffling of one training run
// are drawn from. It reads ahead, so nobody else may use the stream. Not thread-safe.
class WordReader {
 public:
  explicit WordReader(RandomStream& stream) noexcept : stream_(&stream) {}

  // Unbiased integer in [0, bound), bound > 0. A failed stream gives 0 from then on; status() says
  // so, and must be looked at before the results are used.
  std::uint32_t Below(std::uint32_t bound) noexcept;
  const Status& status() const noexcept { return status_; }

 private:
  std::uint32_t Next() noexcept;

  static constexpr std::size_t kChunk = 128;  // words
  RandomStream* stream_;
  std::uint32_t words_[kChunk];
  std::size_t next_ = kChunk;
  Status status_;
};

// Draws uniformly from catalogue minus train-observed items, with replacement. Borrows the view.
class UnobservedSampler {
 public:
  explicit UnobservedSampler(const TrainView& view) noexcept : view_(&view) {}

  bool empty() const noexcept { return view_->num_unobserved() == 0; }
  // Not to be called when empty().
  std::uint32_t Draw(WordReader& random) const noexcept {
    return view_->Unobserved(random.Below(view_->num_unobserved()));
  }

 private:
  const TrainView* view_;
};

}  // namespace demur::learning
