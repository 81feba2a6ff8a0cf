#include "demur/simulations/dataset.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <utility>

#include "demur/simulations/delimited.h"

namespace demur::sim {
namespace {

constexpr std::size_t kMaxRows = std::size_t{1} << 31;

// Row of a file before its ids are mapped to dense numbers.
struct RawRow {
  std::int64_t user = 0;
  std::int64_t item = 0;
  learning::Signal signal = learning::Signal::kNeutral;
  std::int64_t unix_ms = 0;
  std::uint64_t order = 0;
};

// Ascending distinct ids; the place of an id is its dense number, whatever the file's order.
std::vector<std::int64_t> Distinct(const std::vector<RawRow>& rows, std::int64_t RawRow::*field) {
  std::vector<std::int64_t> ids;
  ids.reserve(rows.size());
  for (const RawRow& row : rows) ids.push_back(row.*field);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::uint32_t Place(const std::vector<std::int64_t>& ids, std::int64_t id) {
  return static_cast<std::uint32_t>(std::lower_bound(ids.begin(), ids.end(), id) - ids.begin());
}

std::vector<std::string> Names(const std::vector<std::int64_t>& ids) {
  std::vector<std::string> names;
  names.reserve(ids.size());
  for (const std::int64_t id : ids) names.push_back(std::to_string(id));
  return names;
}

Result<Dataset> FromNumericIds(std::vector<RawRow> rows, const std::string& source) {
  if (rows.empty()) return Error(ErrorCode::kInvalidArgument, source + ":1: no data rows");
  const auto users = Distinct(rows, &RawRow::user);
  const auto items = Distinct(rows, &RawRow::item);
  Dataset data;
  data.users = static_cast<std::uint32_t>(users.size());
  data.items = static_cast<std::uint32_t>(items.size());
  data.user_names = Names(users);
  data.item_names = Names(items);
  data.interactions.reserve(rows.size());
  for (const RawRow& row : rows) {
    data.interactions.push_back({.user = Place(users, row.user),
                                 .event = {.item = ItemId(Place(items, row.item)),
                                           .signal = row.signal,
                                           .unix_ms = row.unix_ms,
                                           .order = row.order}});
  }
  return data;
}

// One column of a record as an integer, with the column's name in the error.
Result<std::int64_t> Column(const DelimitedReader& reader, std::string_view name,
                            std::string_view field, std::int64_t min, std::int64_t max) {
  auto value = ParseInteger(field, min, max);
  if (!value) return reader.Bad(std::string(name) + ": " + value.error().message());
  return *value;
}

Status ExpectColumns(const DelimitedReader& reader, std::size_t got, std::size_t want) {
  if (got == want) return {};
  return reader.Bad("expected " + std::to_string(want) + " columns, found " + std::to_string(got));
}

Status ExpectHeader(DelimitedReader& reader, std::vector<std::string_view>* fields,
                    const std::vector<std::string_view>& names) {
  DEMUR_TRY(const bool more, reader.Next(fields));
  if (!more) return reader.Bad("the file is empty");
  if (*fields == names) return {};
  std::string wanted;
  for (const std::string_view name : names)
    wanted += (wanted.empty() ? "" : " ") + std::string(name);
  return reader.Bad("expected the header '" + wanted + "'");
}

constexpr std::int64_t kMaxUnixSeconds = 100'000'000'000;  // year 5138

learning::Signal RatingSignal(std::int64_t rating) {
  if (rating >= 4) return learning::Signal::kLike;
  return rating == 1 || rating == 2 ? learning::Signal::kDislike : learning::Signal::kNeutral;
}

}  // namespace

learning::Signal ValueMapping::Map(double value) const {
  for (const auto& [number, signal] : exact) {
    if (number == value) return signal;
  }
  if (zero_is_unknown && value == 0) return learning::Signal::kNeutral;
  if (value >= like_from) return learning::Signal::kLike;
  return value <= dislike_to ? learning::Signal::kDislike : learning::Signal::kNeutral;
}

std::vector<std::vector<learning::Event>> EventsByUser(const Dataset& data) {
  std::vector<std::vector<learning::Event>> by_user(data.users);
  for (const Interaction& interaction : data.interactions) {
    by_user[interaction.user].push_back(interaction.event);
  }
  for (auto& events : by_user) events = learning::Clean(events, data.items).events;
  return by_user;
}

Result<Dataset> ParseMovieLens100K(std::string_view text, const std::string& source) {
  DelimitedReader reader(text, '\t', source);
  std::vector<std::string_view> fields;
  std::vector<RawRow> rows;
  for (;;) {
    DEMUR_TRY(const bool more, reader.Next(&fields));
    if (!more) break;
    DEMUR_RETURN_IF_ERROR(ExpectColumns(reader, fields.size(), 4));
    RawRow row;
    DEMUR_TRY(row.user, Column(reader, "user", fields[0], 0, kMaxNumericId));
    DEMUR_TRY(row.item, Column(reader, "item", fields[1], 0, kMaxNumericId));
    DEMUR_TRY(const std::int64_t rating, Column(reader, "rating", fields[2], 1, 5));
    DEMUR_TRY(row.unix_ms, Column(reader, "timestamp", fields[3], 0, kMaxUnixSeconds));
    row.unix_ms *= 1000;
    row.signal = RatingSignal(rating);
    row.order = rows.size();
    rows.push_back(row);
  }
  return FromNumericIds(std::move(rows), source);
}

Result<Dataset> ParseMovieLens1M(std::string_view text, const std::string& source) {
  DelimitedReader reader(text, '\t', source);
  std::vector<std::string_view> fields;
  DEMUR_RETURN_IF_ERROR(ExpectHeader(reader, &fields, {"user", "movie", "rating", "order"}));
  std::vector<RawRow> rows;
  for (;;) {
    DEMUR_TRY(const bool more, reader.Next(&fields));
    if (!more) break;
    DEMUR_RETURN_IF_ERROR(ExpectColumns(reader, fields.size(), 4));
    RawRow row;
    DEMUR_TRY(row.user, Column(reader, "user", fields[0], 0, kMaxNumericId));
    DEMUR_TRY(row.item, Column(reader, "movie", fields[1], 0, kMaxNumericId));
    DEMUR_TRY(const std::int64_t rating, Column(reader, "rating", fields[2], 0, 5));
    DEMUR_TRY(const std::int64_t order, Column(reader, "order", fields[3], 0, kMaxNumericId));
    row.signal = RatingSignal(rating);
    row.order = static_cast<std::uint64_t>(order);
    rows.push_back(row);
  }
  return FromNumericIds(std::move(rows), source);
}

Result<Dataset> ParsePolis(std::string_view text, const std::string& source,
                           learning::Signal pass) {
  DelimitedReader reader(text, '\t', source);
  std::vector<std::string_view> fields;
  DEMUR_RETURN_IF_ERROR(ExpectHeader(reader, &fields, {"user", "item", "vote", "timestamp_ms"}));
  std::vector<RawRow> rows;
  for (;;) {
    DEMUR_TRY(const bool more, reader.Next(&fields));
    if (!more) break;
    DEMUR_RETURN_IF_ERROR(ExpectColumns(reader, fields.size(), 4));
    RawRow row;
    DEMUR_TRY(row.user, Column(reader, "user", fields[0], 0, kMaxNumericId));
    DEMUR_TRY(row.item, Column(reader, "item", fields[1], 0, kMaxNumericId));
    DEMUR_TRY(const std::int64_t vote, Column(reader, "vote", fields[2], -1, 1));
    if (!fields[3].empty()) {
      DEMUR_TRY(row.unix_ms, Column(reader, "timestamp_ms", fields[3], 0, kMaxUnixSeconds * 1000));
    }
    row.signal = vote > 0 ? learning::Signal::kLike : vote < 0 ? learning::Signal::kDislike : pass;
    row.order = rows.size();
    rows.push_back(row);
  }
  return FromNumericIds(std::move(rows), source);
}

namespace {

// Text ids in order of first appearance.
class IdMap {
 public:
  Result<std::uint32_t> Number(std::string_view id) {
    if (id.empty()) return Error(ErrorCode::kInvalidArgument, "an empty id");
    if (id.size() > 256) return Error(ErrorCode::kInvalidArgument, "an id longer than 256 bytes");
    const auto [at, fresh] =
        numbers_.try_emplace(std::string(id), static_cast<std::uint32_t>(names_.size()));
    if (fresh) names_.emplace_back(id);
    return at->second;
  }
  std::vector<std::string> names() && { return std::move(names_); }

 private:
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::vector<std::string> names_;
};

constexpr double kMillisecondsFrom = 1e11;

Result<std::int64_t> CsvTime(std::string_view field) {
  if (field.empty()) return 0;
  DEMUR_TRY(const double time, ParseFinite(field));
  const double ms = time < kMillisecondsFrom ? time * 1000 : time;
  if (ms < 0 || ms > static_cast<double>(kMaxUnixSeconds) * 1000) {
    return Error(ErrorCode::kInvalidArgument, "a time out of range");
  }
  return static_cast<std::int64_t>(ms);
}

}  // namespace

Result<Dataset> ParseCsv(std::string_view text, const std::string& source,
                         const ValueMapping& mapping) {
  const std::string_view first_line = text.substr(0, text.find('\n'));
  const bool tabs = first_line.find('\t') != std::string_view::npos;
  DelimitedReader reader(text, tabs ? '\t' : ',', source);
  std::vector<std::string_view> fields;
  IdMap users;
  IdMap items;
  Dataset data;
  std::size_t columns = 0;
  for (;;) {
    DEMUR_TRY(const bool more, reader.Next(&fields));
    if (!more) break;
    if (columns == 0) {
      columns = fields.size();
      if (columns != 3 && columns != 4) {
        return reader.Bad(
            "expected 3 or 4 columns (user, item, value, optional timestamp), found " +
            std::to_string(columns));
      }
      if (fields[0] == "user" && fields[1] == "item" && fields[2] == "value") continue;
    }
    DEMUR_RETURN_IF_ERROR(ExpectColumns(reader, fields.size(), columns));
    if (data.interactions.size() >= kMaxRows) return reader.Bad("more than 2^31 rows");
    Interaction row;
    auto user = users.Number(fields[0]);
    if (!user) return reader.Bad("user: " + user.error().message());
    auto item = items.Number(fields[1]);
    if (!item) return reader.Bad("item: " + item.error().message());
    auto value = ParseFinite(fields[2]);
    if (!value) return reader.Bad("value: " + value.error().message());
    if (columns == 4) {
      auto time = CsvTime(fields[3]);
      if (!time) return reader.Bad("timestamp: " + time.error().message());
      row.event.unix_ms = *time;
    }
    row.user = *user;
    row.event.item = ItemId(*item);
    row.event.signal = mapping.Map(*value);
    row.event.order = data.interactions.size();
    data.interactions.push_back(row);
  }
  if (data.interactions.empty()) {
    return Error(ErrorCode::kInvalidArgument, source + ":1: no data rows");
  }
  data.user_names = std::move(users).names();
  data.item_names = std::move(items).names();
  data.users = static_cast<std::uint32_t>(data.user_names.size());
  data.items = static_cast<std::uint32_t>(data.item_names.size());
  return data;
}

Result<DataConfig> ReadData(Config& config) {
  DataConfig data;
  std::string pass(learning::ToString(data.polis_pass));
  Config::Table section = config.Section("data");
  section.Read("source", &data.source).Read("path", &data.path).Read("polis_pass", &pass);
  constexpr std::string_view kSources[] = {"synthetic", "ml-100k", "ml-1m", "polis", "csv"};
  if (std::find(std::begin(kSources), std::end(kSources), data.source) == std::end(kSources)) {
    section.Reject("source", "must be one of synthetic, ml-100k, ml-1m, polis, csv");
  }
  const auto signal = learning::ParseSignal(pass);
  if (!signal) section.Reject("polis_pass", signal.error().message());
  if (signal) data.polis_pass = *signal;
  Config::Table values = config.Section("data.values");
  values.Read("like_from", &data.values.like_from, -1e9, 1e9)
      .Read("dislike_to", &data.values.dislike_to, -1e9, 1e9)
      .Read("zero_is_unknown", &data.values.zero_is_unknown);
  if (data.values.dislike_to >= data.values.like_from) {
    values.Reject("dislike_to", "must be below like_from");
  }
  Config::Table exact = config.Section("data.values.exact");
  for (const std::string& key : exact.Keys()) {
    std::string name;
    exact.Read(key, &name);
    const auto number = ParseFinite(key);
    const auto meaning = learning::ParseSignal(name);
    if (!number) exact.Reject(key, number.error().message());
    if (!meaning) exact.Reject(key, meaning.error().message());
    if (number && meaning) data.values.exact.emplace_back(*number, *meaning);
  }
  return data;
}

Result<Dataset> LoadDataset(const DataConfig& config, const std::string& folder) {
  std::string path = config.path;
  if (path.empty() && config.source == "ml-100k") path = "ml-100k/u.data";
  if (path.empty() && config.source == "ml-1m") path = "ml-1m/ratings_ordered.tsv.gz";
  if (path.empty()) {
    return Error(ErrorCode::kInvalidArgument, "data.path: this source needs the name of a file");
  }
  const std::string full = (std::filesystem::path(folder) / path).string();
  auto text = ReadDataFile(full);
  if (!text && text.error().code() == ErrorCode::kNotFound) {
    return Error(ErrorCode::kNotFound,
                 full + ": no such file; --data names the folder that holds it");
  }
  if (!text) return std::move(text).error();
  Result<Dataset> data = config.source == "ml-100k" ? ParseMovieLens100K(*text, full)
                         : config.source == "ml-1m" ? ParseMovieLens1M(*text, full)
                         : config.source == "polis" ? ParsePolis(*text, full, config.polis_pass)
                                                    : ParseCsv(*text, full, config.values);
  if (!data) return data;
  data->name = config.source;
  return data;
}

}  // namespace demur::sim
