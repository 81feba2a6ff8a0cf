#pragma once

#include "demur/base/bytes.h"
#include "demur/base/result.h"
#include "demur/client/event_store.h"
#include "demur/learning/events.h"

// Plaintexts of the store's rows, canonical big-endian (schema 1). Every Decode answers kDataLoss
// for bytes that no Encode wrote. Private to this part.
namespace demur::client {

struct StoredState {
  TaskId task;
  model::PrivateState state;
};

Bytes EncodeEvent(const learning::Event& event);
Result<learning::Event> DecodeEvent(ByteView bytes);
Bytes EncodeState(const TaskId& task, const model::PrivateState& state);
Result<StoredState> DecodeState(ByteView bytes);
Bytes EncodeTask(const TaskRecord& record);
Result<TaskRecord> DecodeTask(ByteView bytes);
Bytes EncodeIdentity(const Identity& identity);
Result<Identity> DecodeIdentity(ByteView bytes);

}  // namespace demur::client
