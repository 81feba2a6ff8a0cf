#include "demur/simulations/workers.h"

#include <algorithm>

namespace demur::sim {

Workers::Workers(unsigned threads) {
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
  threads = std::min(threads, 256U);
  threads_.reserve(threads - 1);
  for (unsigned worker = 1; worker < threads; ++worker) {
    threads_.emplace_back(&Workers::Loop, this, worker);
  }
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Workers::ForEach(std::uint32_t count, std::uint32_t chunk,
                      const std::function<void(std::uint32_t, unsigned)>& work) {
  {
    const std::lock_guard lock(mutex_);
    work_ = &work;
    count_ = count;
    chunk_ = std::max(1U, chunk);
    next_ = 0;
    busy_ = static_cast<unsigned>(threads_.size());
    ++generation_;
  }
  start_.notify_all();
  Drain(0);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return busy_ == 0; });
  work_ = nullptr;
}

void Workers::Drain(unsigned worker) {
  for (;;) {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    {
      const std::lock_guard lock(mutex_);
      if (next_ >= count_) return;
      first = next_;
      last = count_ - first > chunk_ ? first + chunk_ : count_;
      next_ = last;
    }
    for (std::uint32_t index = first; index < last; ++index) (*work_)(index, worker);
  }
}

void Workers::Loop(unsigned worker) {
  std::uint64_t seen = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      start_.wait(lock, [&] { return stop_ || generation_ != seen; });
      if (stop_) return;
      seen = generation_;
    }
    Drain(worker);
    const std::lock_guard lock(mutex_);
    if (--busy_ == 0) done_.notify_one();
  }
}

}  // namespace demur::sim
