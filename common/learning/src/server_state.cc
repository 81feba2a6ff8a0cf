#include <algorithm>
#include <bit>
#include <cmath>

#include "demur/learning/server_step.h"

namespace demur::learning {
namespace {

constexpr std::uint32_t kMagic = 0x44534F53;  // "DSOS"
constexpr std::uint16_t kVersion = 2;
constexpr std::uint8_t kHasFirst = 1;
constexpr std::uint8_t kHasSecond = 2;

Error Bad(const char* what) { return Error(ErrorCode::kDataLoss, what); }

void WriteFloats(ByteWriter& out, const std::vector<float>& values) {
  for (const float value : values) out.U32(std::bit_cast<std::uint32_t>(value));
}

// Reads `count` words, after making sure that they are there.
template <class T, class Convert>
Status ReadWords(ByteReader& in, std::uint64_t count, Convert convert, std::vector<T>* out) {
  if (in.remaining() / 4 < count) return Bad("server state: truncated");
  out->reserve(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    DEMUR_TRY(const std::uint32_t word, in.U32());
    out->push_back(convert(word));
  }
  return {};
}

Status ReadFloats(ByteReader& in, std::uint64_t count, std::vector<float>* out) {
  DEMUR_RETURN_IF_ERROR(ReadWords(
      in, count, [](std::uint32_t word) { return std::bit_cast<float>(word); }, out));
  for (const float value : *out) {
    if (!std::isfinite(value)) return Bad("server state: a value is not finite");
  }
  return {};
}

Result<ServerState::Table> ReadTable(ByteReader& in, const model::TableSpec& spec) {
  DEMUR_TRY(const std::uint32_t rows, in.U32());
  DEMUR_TRY(const std::uint8_t flags, in.U8());
  if (rows != spec.rows || flags > (kHasFirst | kHasSecond)) {
    return Bad("server state: a table does not fit the schema");
  }
  ServerState::Table table;
  const std::uint64_t count = std::uint64_t{rows} * spec.cols;
  if ((flags & kHasFirst) != 0) DEMUR_RETURN_IF_ERROR(ReadFloats(in, count, &table.first));
  if ((flags & kHasSecond) != 0) DEMUR_RETURN_IF_ERROR(ReadFloats(in, count, &table.second));
  for (const float value : table.second) {
    if (value < 0) return Bad("server state: a second moment is below 0");
  }
  DEMUR_RETURN_IF_ERROR(ReadWords(
      in, rows, [](std::uint32_t word) { return word; }, &table.steps));
  return table;
}

Result<RowScores> ReadScores(ByteReader& in, const model::Schema& schema) {
  RowScores scores;
  DEMUR_TRY(const std::uint32_t items, in.U32());
  if (items == 0) return scores;
  const auto& specs = schema.tables;
  if (std::none_of(specs.begin(), specs.end(),
                   [items](const model::TableSpec& spec) { return spec.rows == items; })) {
    return Bad("server state: scores of another catalogue");
  }
  DEMUR_RETURN_IF_ERROR(ReadFloats(in, items, &scores.reward));
  DEMUR_RETURN_IF_ERROR(ReadFloats(in, items, &scores.count));
  for (const auto* values : {&scores.reward, &scores.count}) {
    for (const float value : *values) {
      if (value < 0) return Bad("server state: a score is below 0");
    }
  }
  return scores;
}

}  // namespace

Bytes ServerState::Serialise() const {
  ByteWriter out;
  out.U32(kMagic).U16(kVersion).U16(static_cast<std::uint16_t>(tables.size()));
  for (const Table& table : tables) {
    const int flags =
        (table.first.empty() ? 0 : kHasFirst) | (table.second.empty() ? 0 : kHasSecond);
    out.U32(static_cast<std::uint32_t>(table.steps.size())).U8(static_cast<std::uint8_t>(flags));
    WriteFloats(out, table.first);
    WriteFloats(out, table.second);
    for (const std::uint32_t steps : table.steps) out.U32(steps);
  }
  out.U32(static_cast<std::uint32_t>(rows.reward.size()));
  WriteFloats(out, rows.reward);
  WriteFloats(out, rows.count);
  return std::move(out).bytes();
}

Result<ServerState> ServerState::Parse(const model::Schema& schema, ByteView bytes) {
  ByteReader in(bytes);
  DEMUR_TRY(const std::uint32_t magic, in.U32());
  DEMUR_TRY(const std::uint16_t version, in.U16());
  DEMUR_TRY(const std::uint16_t count, in.U16());
  if (magic != kMagic || version != kVersion) return Bad("server state: unknown version");
  // No table at all: the state of a model that was never stepped.
  if (count != 0 && count != schema.tables.size()) {
    return Bad("server state: another number of tables than the schema");
  }
  ServerState state;
  for (std::size_t i = 0; i < count; ++i) {
    DEMUR_TRY(ServerState::Table table, ReadTable(in, schema.tables[i]));
    state.tables.push_back(std::move(table));
  }
  DEMUR_TRY(state.rows, ReadScores(in, schema));
  DEMUR_RETURN_IF_ERROR(in.Finish());
  return state;
}

}  // namespace demur::learning
