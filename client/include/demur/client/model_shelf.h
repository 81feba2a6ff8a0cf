#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/model/plan.h"
#include "demur/model/tables.h"

// Shared models that the devices of one process have downloaded, by hash, one copy for all of them.
// A model is held as long as somebody uses it; the last few are held beyond that, so that a device
// that comes later in a round need not download what its neighbour has. Thread-safe.
namespace demur::client {

using ModelPtr = std::shared_ptr<const model::SharedModel>;

class ModelShelf {
 public:
  // `kept`: models that stay although nobody uses them.
  explicit ModelShelf(std::size_t kept = 2) : kept_(kept) {}
  ModelShelf(const ModelShelf&) = delete;
  ModelShelf& operator=(const ModelShelf&) = delete;

  // The model that `plan` trains on, or null: nobody has it. One with the hash and another schema
  // is another model (the bytes that are hashed do not hold the schema).
  ModelPtr Find(const model::Plan& plan);

  // Takes a blob that came from a coordinator. The copy that is there already wins.
  // kDataLoss: its SHA-256 is not the plan's model_hash. kInvalidArgument: the length does not fit
  // the plan's schema, or a value is not finite or beyond the plan's value_max.
  Result<ModelPtr> Put(const model::Plan& plan, ByteView blob);

  std::size_t size();  // models in memory that came from here

 private:
  ModelPtr FindLocked(const Hash256& hash, const model::Schema& schema);
  void Keep(const ModelPtr& model);

  const std::size_t kept_;
  std::mutex mutex_;
  std::multimap<Hash256, std::weak_ptr<const model::SharedModel>> models_;
  std::vector<ModelPtr> recent_;  // latest use last
};

// Bytes of the blob of a model of `schema`, which must be valid.
std::size_t BlobLen(const model::Schema& schema) noexcept;

}  // namespace demur::client
