#include "demur/model/tables.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace demur::model {
namespace {

bool GoodName(std::string_view name) {
  if (name.empty() || name.size() > 32) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Error BadSchema(const std::string& what) {
  return Error(ErrorCode::kInvalidArgument, "model schema: " + what);
}

Error BadValue(const TableSpec& table, std::size_t row) {
  return Error(ErrorCode::kInvalidArgument, "model: table '" + table.name + "' row " +
                                                std::to_string(row) +
                                                ": value is not finite or too large");
}

bool GoodValue(float value, double value_max) {
  return std::isfinite(value) && std::fabs(static_cast<double>(value)) <= value_max;
}

static_assert(std::endian::native == std::endian::little, "canonical bytes are copied");

}  // namespace

std::uint64_t Schema::coordinates() const noexcept {
  std::uint64_t total = 0;
  for (const TableSpec& table : tables) total += std::uint64_t{table.rows} * table.cols;
  return total;
}

Status Schema::Validate() const {
  if (tables.empty() || tables.size() > kMaxTables) return BadSchema("1 to 16 tables");
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const TableSpec& table = tables[i];
    if (!GoodName(table.name)) return BadSchema("table names are 1 to 32 of a-z, 0-9, _");
    if (i > 0 && tables[i - 1].name >= table.name) {
      return BadSchema("table names must ascend: '" + table.name + "'");
    }
    if (table.rows == 0 || table.cols == 0 || table.cols > 4096) {
      return BadSchema("table '" + table.name + "': rows > 0 and 1 to 4096 columns");
    }
    if (!std::isfinite(table.weight) || table.weight <= 0) {
      return BadSchema("table '" + table.name + "': weight must be > 0");
    }
    total += std::uint64_t{table.rows} * table.cols;
    if (total > kMaxCoordinates) return BadSchema("more than 2^26 coordinates");
  }
  return {};
}

Result<std::uint32_t> Schema::TableIndex(std::string_view name) const {
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (tables[i].name == name) return static_cast<std::uint32_t>(i);
  }
  return Error(ErrorCode::kNotFound, "model has no table '" + std::string(name) + "'");
}

Slice Slice::Everything(const Schema& schema) {
  Slice slice;
  slice.tables.resize(schema.tables.size());
  return slice;
}

Result<Layout> Layout::Create(const Schema& schema, const Slice& slice) {
  DEMUR_RETURN_IF_ERROR(schema.Validate());
  if (slice.tables.size() != schema.tables.size()) {
    return Error(ErrorCode::kInvalidArgument, "slice: one entry per table");
  }
  Layout layout;
  for (std::size_t t = 0; t < schema.tables.size(); ++t) {
    const TableSpec& spec = schema.tables[t];
    const TableSlice& wanted = slice.tables[t];
    Entry entry{spec, wanted.all, layout.dim_, {}};
    if (wanted.all) {
      if (!wanted.rows.empty()) {
        return Error(ErrorCode::kInvalidArgument,
                     "slice: table '" + spec.name + "' lists rows and asks for all");
      }
      entry.rows.resize(spec.rows);
      for (std::uint32_t r = 0; r < spec.rows; ++r) entry.rows[r] = r;
    } else {
      const bool ascending = std::adjacent_find(wanted.rows.begin(), wanted.rows.end(),
                                                std::greater_equal<>()) == wanted.rows.end();
      if (!ascending || (!wanted.rows.empty() && wanted.rows.back() >= spec.rows)) {
        return Error(ErrorCode::kInvalidArgument,
                     "slice: rows of table '" + spec.name + "' must ascend and exist");
      }
      entry.rows = wanted.rows;
    }
    layout.dim_ += static_cast<std::uint32_t>(entry.rows.size()) * spec.cols;
    layout.num_rows_ += static_cast<std::uint32_t>(entry.rows.size());
    layout.tables_.push_back(std::move(entry));
  }
  if (layout.dim_ == 0) return Error(ErrorCode::kInvalidArgument, "slice: no coordinate");
  return layout;
}

std::uint32_t Layout::Offset(std::uint32_t table, std::uint32_t row) const {
  const Entry& entry = tables_[table];
  if (entry.all) return row < entry.spec.rows ? entry.first + row * entry.spec.cols : kNotInSlice;
  const auto it = std::lower_bound(entry.rows.begin(), entry.rows.end(), row);
  if (it == entry.rows.end() || *it != row) return kNotInSlice;
  return entry.first + static_cast<std::uint32_t>(it - entry.rows.begin()) * entry.spec.cols;
}

SharedModel::SharedModel(Schema schema) : schema_(std::move(schema)) {
  DEMUR_CHECK(schema_.Validate().has_value(), "the schema was validated by the caller");
  for (const TableSpec& table : schema_.tables) {
    values_.emplace_back(std::size_t{table.rows} * table.cols, 0.0F);
  }
}

Bytes SharedModel::Canonical() const {
  Bytes out(static_cast<std::size_t>(schema_.coordinates()) * sizeof(float));
  std::size_t at = 0;
  for (const auto& table : values_) {
    for (const float value : table) {
      const float canonical = value == 0.0F ? 0.0F : value;
      std::memcpy(out.data() + at, &canonical, sizeof canonical);
      at += sizeof canonical;
    }
  }
  return out;
}

Result<SharedModel> SharedModel::FromCanonical(const Schema& schema, ByteView bytes,
                                               double value_max) {
  DEMUR_RETURN_IF_ERROR(schema.Validate());
  if (bytes.size() != schema.coordinates() * sizeof(float)) {
    return Error(ErrorCode::kInvalidArgument,
                 "model: " + std::to_string(bytes.size()) + " bytes, the schema needs " +
                     std::to_string(schema.coordinates() * sizeof(float)));
  }
  SharedModel model(schema);
  std::size_t at = 0;
  for (std::size_t t = 0; t < model.values_.size(); ++t) {
    auto& table = model.values_[t];
    for (std::size_t i = 0; i < table.size(); ++i, at += sizeof(float)) {
      std::memcpy(&table[i], bytes.data() + at, sizeof(float));
      if (!GoodValue(table[i], value_max))
        return BadValue(schema.tables[t], i / schema.tables[t].cols);
    }
  }
  return model;
}

Status SharedModel::CheckValues(const Layout& slice, double value_max) const {
  for (std::uint32_t t = 0; t < slice.num_tables(); ++t) {
    for (const std::uint32_t row : slice.Rows(t)) {
      for (const float value : Row(t, row)) {
        if (!GoodValue(value, value_max)) return BadValue(slice.table(t), row);
      }
    }
  }
  return {};
}

}  // namespace demur::model
