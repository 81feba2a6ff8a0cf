#include "demur/crypto/system_random.h"

#include <openssl/rand.h>
#include <pthread.h>

#include <atomic>
#include <utility>

#include "demur/crypto/aes_ctr.h"
#include "openssl.h"

namespace demur::crypto {
namespace {

// How many forks lie between this process and the one that loaded the code. Cheaper to read than
// getpid(), and never equal in parent and child.
std::atomic<std::uint32_t> fork_count{0};

void CountFork() { fork_count.fetch_add(1, std::memory_order_relaxed); }

std::uint32_t Generation() {
  static const int kRegistered = pthread_atfork(nullptr, nullptr, &CountFork);
  DEMUR_CHECK(kRegistered == 0, "memory for a fork handler");
  return fork_count.load(std::memory_order_relaxed);
}

Error Forked() { return Error(ErrorCode::kInternal, "random generator used across a fork"); }

class GuardedStream final : public RandomStream {
 public:
  explicit GuardedStream(const SecretArray<32>& key) : inner_(MakeCtrStream(key)) {}
  Status Fill(std::span<std::byte> out) override {
    if (Generation() != born_) return Forked();
    return inner_->Fill(out);
  }

 private:
  std::uint32_t born_ = Generation();
  std::unique_ptr<RandomStream> inner_;
};

class GuardedBlocks final : public RandomBlocks {
 public:
  explicit GuardedBlocks(const SecretArray<32>& key) : inner_(MakeCtrBlocks(key)) {}
  Status Read(std::span<const std::uint64_t> indices, std::span<std::byte> out) override {
    if (Generation() != born_) return Forked();
    return inner_->Read(indices, out);
  }

 private:
  std::uint32_t born_ = Generation();
  std::unique_ptr<RandomBlocks> inner_;
};

Result<SecretArray<32>> FreshKey() {
  SecretArray<32> key;
  if (RAND_priv_bytes(internal::Out(key.mutable_view().data()), int{key.kLen}) != 1) {
    return internal::LibraryFailure();
  }
  return key;
}

}  // namespace

Result<std::unique_ptr<RandomStream>> SystemRandom::Stream(const StreamId&) {
  DEMUR_TRY(const SecretArray<32> key, FreshKey());
  return std::unique_ptr<RandomStream>(std::make_unique<GuardedStream>(key));
}

Result<std::unique_ptr<RandomBlocks>> SystemRandom::Blocks(const StreamId&) {
  DEMUR_TRY(const SecretArray<32> key, FreshKey());
  return std::unique_ptr<RandomBlocks>(std::make_unique<GuardedBlocks>(key));
}

}  // namespace demur::crypto
