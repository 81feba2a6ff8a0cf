#include "demur/wire/frame.h"

#include <gtest/gtest.h>

#include "demur/base/bytes.h"
#include "result_matchers.h"

namespace demur::wire {
namespace {

TEST(FrameTest, HeaderRoundTripsForEveryType) {
  std::size_t num_types = 0;
  for (unsigned number = 0; number < 256; ++number) {
    if (!IsFrameType(static_cast<std::uint8_t>(number))) continue;
    ++num_types;
    const FrameHeader header{0x01020304, static_cast<FrameType>(number)};
    ASSERT_OK_AND_ASSIGN(const auto back, ParseFrameHeader(EncodeFrameHeader(header), 0x01020304));
    EXPECT_EQ(back, header) << number;
  }
  EXPECT_EQ(num_types, 6U + 11U + 2U);
}
TEST(FrameTest, LayoutIsFixed) {
  const auto bytes = EncodeFrameHeader({0x01020304, FrameType::kMasked});
  EXPECT_EQ(demur::ToHex(ByteView(bytes)), "04030201010f0000");
}
TEST(FrameTest, LengthOverTheLimitIsRefusedBeforeAnyAllocation) {
  const auto limit = EncodeFrameHeader({64, FrameType::kHello});
  EXPECT_OK(ParseFrameHeader(limit, 64));
  EXPECT_ERROR(ParseFrameHeader(limit, 63), ErrorCode::kInvalidArgument);
  const auto huge = EncodeFrameHeader({0xFFFFFFFF, FrameType::kHello});
  EXPECT_ERROR(ParseFrameHeader(huge, 1U << 30), ErrorCode::kInvalidArgument);
}
TEST(FrameTest, UnknownVersionTypeAndPaddingAreRefused) {
  const auto good = EncodeFrameHeader({8, FrameType::kLeave});
  for (const auto& [at, value] : {std::pair<std::size_t, int>{4, 0},
                                  {4, 2},
                                  {5, 0},
                                  {5, 7},
                                  {5, 21},
                                  {5, 255},
                                  {6, 1},
                                  {7, 1}}) {
    auto bad = good;
    bad[at] = std::byte(value);
    EXPECT_ERROR(ParseFrameHeader(bad, 64), ErrorCode::kInvalidArgument) << at << " " << value;
  }
}
TEST(FrameTest, NumbersNeverChange) {
  EXPECT_EQ(static_cast<int>(FrameType::kHello), 1);
  EXPECT_EQ(static_cast<int>(FrameType::kLeave), 6);
  EXPECT_EQ(static_cast<int>(FrameType::kAnnounce), 10);
  EXPECT_EQ(static_cast<int>(FrameType::kMasked), 15);
  EXPECT_EQ(static_cast<int>(FrameType::kUnmask), 19);
  EXPECT_EQ(static_cast<int>(FrameType::kClose), 20);
  EXPECT_EQ(static_cast<int>(FrameType::kEnrol), 30);
  EXPECT_EQ(static_cast<int>(FrameType::kEnrolReply), 31);
}

}  // namespace
}  // namespace demur::wire
