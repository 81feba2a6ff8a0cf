#include "demur/client/drill.h"

#include <array>
#include <cstddef>

namespace demur::client {

std::string_view ToString(Departure departure) noexcept {
  switch (departure) {
    case Departure::kNone:
      return "none";
    case Departure::kBeforeMasking:
      return "before_masking";
    case Departure::kAfterMasking:
      return "after_masking";
  }
  return "unknown";
}

Result<DrillStage> ParseDrillStage(std::string_view text) {
  if (text == "before") return DrillStage::kBeforeMasking;
  if (text == "after") return DrillStage::kAfterMasking;
  if (text == "mixed") return DrillStage::kMixed;
  return Error(ErrorCode::kInvalidArgument, "drill stage must be before, after or mixed");
}

Result<Departure> DrillDecision(RandomSource& random, StreamId round, DeviceNumber device,
                                const DrillPlan& plan) {
  if (plan.leave_permille == 0) return Departure::kNone;
  round.client = kNoClient;
  round.purpose = Purpose::kDropout;
  DEMUR_TRY(const auto blocks, random.Blocks(round));
  std::array<std::byte, kRandomBlockLen> block{};
  const std::array<std::uint64_t, 1> index = {device.value};
  DEMUR_RETURN_IF_ERROR(blocks->Read(index, block));
  std::uint64_t draw = 0;
  for (std::size_t i = 0; i < 8; ++i) draw = draw << 8 | std::to_integer<std::uint64_t>(block[i]);
  // 2^64 mod 1000 is far below what a drill could show.
  if (draw % 1000 >= plan.leave_permille) return Departure::kNone;
  if (plan.stage == DrillStage::kBeforeMasking) return Departure::kBeforeMasking;
  if (plan.stage == DrillStage::kAfterMasking) return Departure::kAfterMasking;
  return (block[8] & std::byte{1}) == std::byte{0} ? Departure::kBeforeMasking
                                                   : Departure::kAfterMasking;
}

}  // namespace demur::client
