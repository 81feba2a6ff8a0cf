#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "demur/base/check.h"
#include "demur/simulations/dataset.h"
#include "demur/simulations/delimited.h"

// Data files of strangers. First byte: which reader; the rest: the file. Every refusal names the
// place, and what is accepted is whole.
namespace demur::sim {
namespace {

constexpr const char* kSource = "fuzz";

void CheckRefusal(const Error& error) {
  DEMUR_CHECK(error.code() == ErrorCode::kInvalidArgument, "one kind of error");
  const std::string& text = error.message();
  DEMUR_CHECK(text.size() > 5 && text.rfind("fuzz:", 0) == 0 && text[5] >= '0' && text[5] <= '9',
              "the place comes first");
}

void ReadRecords(std::string_view text, char separator) {
  DelimitedReader reader(text, separator, kSource);
  std::vector<std::string_view> fields;
  std::uint64_t line = 0;
  std::size_t read = 0;
  while (true) {
    const auto more = reader.Next(&fields);
    if (!more) return CheckRefusal(more.error());
    if (!*more) return;
    DEMUR_CHECK(reader.line() > line, "lines ascend");
    line = reader.line();
    DEMUR_CHECK(!fields.empty() && fields.size() <= kMaxFields, "fields of a record");
    for (const std::string_view field : fields) {
      read += field.size();
      (void)ParseInteger(field, -5, kMaxNumericId);
      (void)ParseFinite(field);
    }
    DEMUR_CHECK(read <= text.size(), "no byte is read twice");
  }
}

void CheckDataset(const Result<Dataset>& data) {
  if (!data) return CheckRefusal(data.error());
  DEMUR_CHECK(!data->interactions.empty(), "an empty file is refused");
  DEMUR_CHECK(data->user_names.size() == data->users && data->item_names.size() == data->items,
              "a name each");
  for (const Interaction& one : data->interactions) {
    DEMUR_CHECK(one.user < data->users && one.event.item.value < data->items, "dense numbers");
    DEMUR_CHECK(one.event.unix_ms >= 0, "no time before 1970");
  }
  std::size_t kept = 0;
  for (const auto& events : EventsByUser(*data)) kept += events.size();
  DEMUR_CHECK(kept > 0 && kept <= data->interactions.size(), "cleaning adds nothing");
}

void Run(std::uint8_t reader, std::string_view text) {
  switch (reader % 6) {
    case 0:
      return ReadRecords(text, '\t');
    case 1:
      return ReadRecords(text, ',');
    case 2:
      return CheckDataset(ParseMovieLens100K(text, kSource));
    case 3:
      return CheckDataset(ParseMovieLens1M(text, kSource));
    case 4:
      return CheckDataset(ParsePolis(text, kSource, learning::Signal::kSkip));
    default:
      return CheckDataset(ParseCsv(text, kSource, {.exact = {{-1, learning::Signal::kHide}}}));
  }
}

}  // namespace
}  // namespace demur::sim

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  demur::sim::Run(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
