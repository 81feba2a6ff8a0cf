#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "demur/base/check.h"
#include "demur/coordinator/task.h"

// A task file is refused, or gives a task that stands what Validate asks, that can be written and
// read back equal, and that can be planned.
namespace demur::coordinator {
namespace {

constexpr std::uint32_t kItemsPlanned = 1'000;  // larger ones only cost memory

Result<TaskConfig> Parse(std::string_view text) {
  DEMUR_TRY(Config config, Config::Parse(text, "fuzz.toml"));
  Result<TaskConfig> task = ReadTask(config);
  DEMUR_RETURN_IF_ERROR(config.Finish());
  return task;
}

void Run(std::string_view text) {
  const Result<TaskConfig> task = Parse(text);
  if (!task) {
    const ErrorCode code = task.error().code();
    DEMUR_CHECK(code == ErrorCode::kInvalidArgument || code == ErrorCode::kUnimplemented,
                "a file that is wrong, or ahead of its time");
    return;
  }
  DEMUR_CHECK(task->Validate().has_value(), "what is read is valid");
  const Result<TaskConfig> again = Parse(FormatTask(*task));
  DEMUR_CHECK(again.has_value() && *again == *task, "written and read again");
  // Calibration with noise searches, and takes its time.
  if (task->model.items > kItemsPlanned || task->privacy.noise) return;
  TaskConfig named = *task;
  if (!named.id) named.id = TaskId{};
  const auto prepared = PreparedTask::Create(named);
  if (!prepared) return;
  std::vector<std::uint32_t> rows;
  if (prepared->chooses_rows()) rows.push_back(named.model.items - 1);
  if (prepared->counts_template()) {
    const model::Plan counts = MakePlan(*prepared, {{1, 1}, 0}, {}, 1);
    DEMUR_CHECK(counts.Validate().has_value(), "a counting plan of a valid task is valid");
  }
  const std::uint32_t attempt = prepared->counts_template() ? 1 : 0;
  const model::Plan plan = MakePlan(*prepared, {{1, 1}, attempt}, {}, 1, rows);
  DEMUR_CHECK(plan.Validate().has_value(), "a plan of a valid task is valid");
}

}  // namespace
}  // namespace demur::coordinator

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  demur::coordinator::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
