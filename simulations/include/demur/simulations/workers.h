#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

// A few threads that work through a range of indices together. What each index computes must not
// depend on which thread it runs on: then neither does the result.
namespace demur::sim {

class Workers {
 public:
  // `threads` counts the calling thread; 0: one per processor. At most 256.
  explicit Workers(unsigned threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  unsigned size() const noexcept { return static_cast<unsigned>(threads_.size()) + 1; }
  // Calls work(index, worker) once for each index below `count`, worker in [0, size()), and comes
  // back when all are done. `work` must not throw. Indices are handed out `chunk` at a time. One
  // call at a time; not from inside `work`.
  void ForEach(std::uint32_t count, std::uint32_t chunk,
               const std::function<void(std::uint32_t index, unsigned worker)>& work);

 private:
  void Loop(unsigned worker);
  void Drain(unsigned worker);

  std::mutex mutex_;
  std::condition_variable start_;
  std::condition_variable done_;
  const std::function<void(std::uint32_t, unsigned)>* work_ = nullptr;
  std::uint32_t count_ = 0;
  std::uint32_t chunk_ = 1;
  std::uint32_t next_ = 0;
  unsigned busy_ = 0;
  std::uint64_t generation_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;  // last: they use everything above
};

}  // namespace demur::sim
