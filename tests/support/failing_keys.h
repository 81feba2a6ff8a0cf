#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <utility>

#include "demur/client/key_provider.h"

// An app's own key provider whose disk fails when a test says so. For tests only.
namespace demur::testing {

class FailingKeys final : public client::KeyProvider {
 public:
  explicit FailingKeys(std::string folder) : files_(std::move(folder)) {}

  // So many more counters are saved; then each fails.
  void FailAfter(int saves) { saves_left_ = saves; }
  // What a keystore says that wants a finger first; none: it opens.
  void Lock(std::optional<Error> says) { locked_ = std::move(says); }
  void FailPromote(bool fails) { promote_fails_ = fails; }

  Result<client::StoreKey> Load() override {
    if (locked_) return *locked_;
    return files_.Load();
  }
  Result<client::StoreKey> LoadStaged() override {
    if (locked_) return *locked_;
    return files_.LoadStaged();
  }
  Status Stage(const client::StoreKey& key) override { return files_.Stage(key); }
  Status Promote() override { return promote_fails_ ? Full() : files_.Promote(); }
  Status DropStaged() override { return files_.DropStaged(); }
  Result<Bytes> LoadCounter() override { return files_.LoadCounter(); }
  Status SaveCounter(ByteView record) override {
    if (saves_left_-- <= 0) return Full();
    return files_.SaveCounter(record);
  }

 private:
  static Status Full() { return Error(ErrorCode::kUnavailable, "no space left on the device"); }

  client::FileKeyProvider files_;
  std::optional<Error> locked_;
  std::atomic<int> saves_left_{1'000'000};
  std::atomic<bool> promote_fails_{false};
};

}  // namespace demur::testing
