#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "demur/learning/server_step.h"

// A stored server state against a schema of two small tables.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using demur::learning::ServerState;
  demur::model::Schema schema;
  schema.tables = {{"a", 2, 3, 1.0}, {"b", 1, 2, 1.0}};
  const demur::ByteView bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto state = ServerState::Parse(schema, bytes);
  if (!state) return 0;
  // What was read is what will be written.
  const demur::Bytes again = state->Serialise();
  if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) __builtin_trap();
  return 0;
}
