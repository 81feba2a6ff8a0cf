#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/result.h"

// The shared half of a model: named tables of float32 rows, and the public set of rows (the slice)
// that one round trains. Private parameters are not here: they live in PrivateState (below), which
// nothing can encode to the wire. Value types.
namespace demur::model {

inline constexpr std::uint32_t kMaxTables = 16;
inline constexpr std::uint64_t kMaxCoordinates = std::uint64_t{1} << 26;

struct TableSpec {
  std::string name;  // lower_case, unique in the schema, ascending order
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  // Public factor: an update is multiplied by it before the single clip and divided by it after
  // the sum, so that blocks of different magnitude share one norm. Finite, > 0.
  double weight = 1.0;

  friend bool operator==(const TableSpec&, const TableSpec&) = default;
};

struct Schema {
  std::vector<TableSpec> tables;  // ascending by name

  std::uint64_t coordinates() const noexcept;
  // kInvalidArgument: names, order, sizes or weights out of range.
  Status Validate() const;
  // Index of the table `name`, or kNotFound.
  Result<std::uint32_t> TableIndex(std::string_view name) const;

  friend bool operator==(const Schema&, const Schema&) = default;
};

// Rows of one table that a round trains: all of them, or the listed ones in ascending order.
struct TableSlice {
  bool all = true;
  std::vector<std::uint32_t> rows;  // empty when `all`

  friend bool operator==(const TableSlice&, const TableSlice&) = default;
};

struct Slice {
  std::vector<TableSlice> tables;  // one per table of the schema

  static Slice Everything(const Schema& schema);
  friend bool operator==(const Slice&, const Slice&) = default;
};

// Maps (table, row, column) of a slice to coordinate 0..dim-1 of the flat vector that is clipped,
// noised, masked and summed: tables in schema order, slice rows ascending, columns inside a row.
class Layout {
 public:
  // kInvalidArgument: the slice does not fit the schema (count, order, row out of range), or it
  // has no coordinate.
  static Result<Layout> Create(const Schema& schema, const Slice& slice);

  static constexpr std::uint32_t kNotInSlice = ~std::uint32_t{0};

  std::uint32_t dim() const noexcept { return dim_; }            // coordinates
  std::uint32_t num_rows() const noexcept { return num_rows_; }  // rows over all tables
  std::uint32_t num_tables() const noexcept { return static_cast<std::uint32_t>(tables_.size()); }
  const TableSpec& table(std::uint32_t index) const { return tables_[index].spec; }
  // First coordinate of the row, or kNotInSlice.
  std::uint32_t Offset(std::uint32_t table, std::uint32_t row) const;
  // Rows of `table` inside the slice, ascending.
  std::span<const std::uint32_t> Rows(std::uint32_t table) const { return tables_[table].rows; }
  // First coordinate of `table`'s block.
  std::uint32_t TableOffset(std::uint32_t table) const { return tables_[table].first; }

 private:
  struct Entry {
    TableSpec spec;
    bool all = true;
    std::uint32_t first = 0;
    std::vector<std::uint32_t> rows;
  };
  std::vector<Entry> tables_;
  std::uint32_t dim_ = 0;
  std::uint32_t num_rows_ = 0;
};

// The shared model. Row r of table t is values(t)[r * cols, (r + 1) * cols).
class SharedModel {
 public:
  SharedModel() = default;
  // All zeros. The schema must be valid (checked).
  explicit SharedModel(Schema schema);

  const Schema& schema() const noexcept { return schema_; }
  std::span<float> values(std::uint32_t table) { return values_[table]; }
  std::span<const float> values(std::uint32_t table) const { return values_[table]; }
  std::span<float> Row(std::uint32_t table, std::uint32_t row) {
    const std::size_t cols = schema_.tables[table].cols;
    return std::span(values_[table]).subspan(row * cols, cols);
  }
  std::span<const float> Row(std::uint32_t table, std::uint32_t row) const {
    const std::size_t cols = schema_.tables[table].cols;
    return std::span(values_[table]).subspan(row * cols, cols);
  }

  // The bytes whose SHA-256 is `model_sha256`: tables in order, rows, columns, little-endian
  // float32, -0 written as +0. Also the blob that travels and is stored.
  Bytes Canonical() const;
  // kInvalidArgument: the length does not fit the schema, or a value is not finite or beyond
  // `value_max` (names table and row).
  static Result<SharedModel> FromCanonical(const Schema& schema, ByteView bytes, double value_max);
  // The same check on a model that is held already, over the rows of `slice`.
  Status CheckValues(const Layout& slice, double value_max) const;

 private:
  Schema schema_;
  std::vector<std::vector<float>> values_;
};

// What an algorithm keeps on the device for its owner: user vector, bias, personal head. Stored
// encrypted; no encoder to the wire takes this type.
struct PrivateState {
  std::vector<float> values;

  friend bool operator==(const PrivateState&, const PrivateState&) = default;
};

}  // namespace demur::model
