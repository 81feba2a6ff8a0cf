#include "demur/client/model_shelf.h"

#include <algorithm>
#include <utility>

#include "demur/crypto/hash.h"

namespace demur::client {

std::size_t BlobLen(const model::Schema& schema) noexcept {
  return static_cast<std::size_t>(schema.coordinates()) * sizeof(float);
}

ModelPtr ModelShelf::FindLocked(const Hash256& hash, const model::Schema& schema) {
  const auto [first, last] = models_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    ModelPtr model = it->second.lock();
    if (model && model->schema() == schema) return model;
  }
  return nullptr;
}

void ModelShelf::Keep(const ModelPtr& model) {
  recent_.erase(std::remove(recent_.begin(), recent_.end(), model), recent_.end());
  recent_.push_back(model);
  if (recent_.size() > kept_) recent_.erase(recent_.begin());
  std::erase_if(models_, [](const auto& entry) { return entry.second.expired(); });
}

ModelPtr ModelShelf::Find(const model::Plan& plan) {
  const std::lock_guard lock(mutex_);
  ModelPtr model = FindLocked(plan.model_hash, plan.training.schema);
  if (model) Keep(model);
  return model;
}

Result<ModelPtr> ModelShelf::Put(const model::Plan& plan, ByteView blob) {
  if (blob.size() != BlobLen(plan.training.schema)) {
    return Error(ErrorCode::kInvalidArgument, "model blob: its length is not the plan's schema's");
  }
  if (crypto::Sha256(blob) != plan.model_hash) {
    return Error(ErrorCode::kDataLoss, "model blob: its SHA-256 is not the one the plan names");
  }
  // Outside the lock: reading a large model must not hold up whoever looks for another.
  DEMUR_TRY(model::SharedModel read,
            model::SharedModel::FromCanonical(plan.training.schema, blob, plan.training.value_max));
  const std::lock_guard lock(mutex_);
  ModelPtr model = FindLocked(plan.model_hash, plan.training.schema);
  if (!model) {
    model = std::make_shared<const model::SharedModel>(std::move(read));
    models_.emplace(plan.model_hash, model);
  }
  Keep(model);
  return model;
}

std::size_t ModelShelf::size() {
  const std::lock_guard lock(mutex_);
  std::erase_if(models_, [](const auto& entry) { return entry.second.expired(); });
  return models_.size();
}

}  // namespace demur::client
