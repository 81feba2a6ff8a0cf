#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "demur/base/config.h"
#include "demur/base/result.h"
#include "demur/learning/events.h"
#include "demur/learning/signals.h"

// Who did what to which item, from public files or from the synthetic population. Plain data; the
// loaders are stateless. Files come from strangers: every error names file:line.
namespace demur::sim {

// One person's reaction to one item. Users and items are dense numbers from 0. A signal kNeutral is
// seen without a verdict (rating 3): no label, but never drawn as unobserved, masked in rankings.
struct Interaction {
  std::uint32_t user = 0;
  learning::Event event;

  friend bool operator==(const Interaction&, const Interaction&) = default;
};

struct Dataset {
  std::string name;
  std::uint32_t users = 0;
  std::uint32_t items = 0;
  std::vector<Interaction> interactions;  // in the order of the file; not cleaned
  std::vector<std::string> user_names;    // as in the file; empty for synthetic people
  std::vector<std::string> item_names;
};

// The events of each user, cleaned (learning::Clean: one per item, ascending by time and order).
std::vector<std::vector<learning::Event>> EventsByUser(const Dataset& data);

// How a number in a file becomes a signal ([data.values]): at or above `like_from` like, at or
// below `dislike_to` dislike, anything between neutral.
struct ValueMapping {
  double like_from = 4;
  double dislike_to = 2;
  // What the value means when a file says it in so many numbers, for instance 0 = "skip". Looked
  // up first.
  std::vector<std::pair<double, learning::Signal>> exact;
  // 0 stands for "unknown", so it is neutral whatever dislike_to says.
  bool zero_is_unknown = false;

  learning::Signal Map(double value) const;
};

// `user item rating unix_seconds`, tab-separated (MovieLens-100K u.data).
Result<Dataset> ParseMovieLens100K(std::string_view text, const std::string& source);
// `user movie rating order` with a header, tab-separated (MovieLens-1M without times; rating 0 is
// unknown).
Result<Dataset> ParseMovieLens1M(std::string_view text, const std::string& source);
// `user item vote timestamp_ms` with a header, tab-separated; vote 1 agree = like, -1 disagree =
// dislike, 0 = `pass`; the time may be empty.
Result<Dataset> ParsePolis(std::string_view text, const std::string& source, learning::Signal pass);
// `user,item,value[,timestamp]`, comma- or tab-separated (by the first line), with or without a
// header line that says so; ids are any text; the timestamp is in seconds, or milliseconds from
// 10^11 on.
Result<Dataset> ParseCsv(std::string_view text, const std::string& source,
                         const ValueMapping& mapping);

// [data]
struct DataConfig {
  // "synthetic", "ml-100k", "ml-1m", "polis", "csv"
  std::string source = "synthetic";
  // Below the --data folder. Absent: u.data in ml-100k, ratings_ordered.tsv.gz in ml-1m.
  std::string path;
  // [data.values], for csv: like_from, dislike_to, zero_is_unknown; and
  // [data.values.exact], value = signal, for instance "-1" = "dislike".
  ValueMapping values;
  learning::Signal polis_pass = learning::Signal::kSkip;  // data.polis_pass
};
// kInvalidArgument: an unknown source or signal. Type and range errors come out of Finish().
Result<DataConfig> ReadData(Config& config);

// Loads a data file. `folder`: what --data gave. kNotFound names the file;
// kInvalidArgument names file:line.
Result<Dataset> LoadDataset(const DataConfig& config, const std::string& folder);

}  // namespace demur::sim
