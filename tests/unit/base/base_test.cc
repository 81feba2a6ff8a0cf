#include <gtest/gtest.h>

#include <limits>

#include "demur/base/bytes.h"
#include "demur/base/file.h"
#include "demur/base/html.h"
#include "demur/base/json.h"
#include "demur/base/log.h"
#include "demur/base/secret.h"
#include "result_matchers.h"
#include "temporary_folder.h"

namespace demur {
namespace {

TEST(BytesTest, HexRoundTripsAndRefusesOtherText) {
  const Bytes bytes = {std::byte{0x00}, std::byte{0xab}, std::byte{0xff}};
  EXPECT_EQ(ToHex(bytes), "00abff");
  ASSERT_OK_AND_ASSIGN(const Bytes back, FromHex("00ABff"));
  EXPECT_EQ(back, bytes);
  EXPECT_ERROR(FromHex("0"), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(FromHex("0g"), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(FromHexExactly<2>("00abff"), ErrorCode::kInvalidArgument);
}
TEST(BytesTest, ReaderReadsWhatWriterWrote) {
  ByteWriter writer;
  writer.U8(1).U16(0x0203).U32(0x04050607).U64(8).Sized(AsBytes("abc")).Text("z");
  ByteReader reader(writer.bytes());
  EXPECT_EQ(reader.U8().value(), 1);
  EXPECT_EQ(reader.U16().value(), 0x0203);
  EXPECT_EQ(reader.U32().value(), 0x04050607U);
  EXPECT_EQ(reader.U64().value(), 8U);
  EXPECT_EQ(AsText(reader.Sized(3).value()), "abc");
  EXPECT_ERROR(reader.Finish(), ErrorCode::kDataLoss);
  EXPECT_EQ(AsText(reader.Raw(1).value()), "z");
  EXPECT_OK(reader.Finish());
  EXPECT_ERROR(reader.U8(), ErrorCode::kDataLoss);
}
TEST(BytesTest, AFieldLongerThanAllowedIsRefusedAndTheReaderStays) {
  ByteWriter writer;
  writer.U32(0xFFFFFFFF).U8(1);
  ByteReader reader(writer.bytes());
  EXPECT_ERROR(reader.Sized(1U << 31), ErrorCode::kDataLoss);
  EXPECT_EQ(reader.remaining(), 5U);
}
TEST(SecretTest, MovedFromIsEmptyAndComparisonSeesEveryByte) {
  SecretBytes a = SecretBytes::CopyOf(AsBytes("secret"));
  const SecretBytes b = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_TRUE(ConstantTimeEqual(b.view(), AsBytes("secret")));
  EXPECT_FALSE(ConstantTimeEqual(b.view(), AsBytes("secreT")));
  EXPECT_FALSE(ConstantTimeEqual(b.view(), AsBytes("secre")));
}
TEST(JsonTest, RoundTripsNumbersAndKeepsOrder) {
  Json json;
  json.Set("z", 0.1).Set("a", std::int64_t{-5}).Set("list", Json::Array{1, true, nullptr, "x\n"});
  EXPECT_EQ(json.Dump(), R"({"z":0.1,"a":-5,"list":[1,true,null,"x\n"]})");
  ASSERT_OK_AND_ASSIGN(const Json back, Json::Parse(json.Dump()));
  EXPECT_EQ(back.Dump(), json.Dump());
  EXPECT_EQ(back.Find("z")->Number().value(), 0.1);
  EXPECT_ERROR(back.Find("list")->Number(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Json(std::numeric_limits<double>::quiet_NaN()).Dump(), "null");
}
TEST(JsonTest, BadTextIsAnError) {
  EXPECT_ERROR(Json::Parse("{\"a\":"), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(Json::Parse("[1,]"), ErrorCode::kInvalidArgument);
}
TEST(FileTest, WritesWholeFilesAndReportsPaths) {
  const testing::TemporaryFolder own;
  const std::string folder = own.File("file_test/deep");
  ASSERT_OK(MakeFolder(folder));
  const std::string path = folder + "/a.txt";
  ASSERT_OK(WriteFileAtomically(path, AsBytes("one"), FileMode::kOwnerOnly));
  ASSERT_OK(WriteFileAtomically(path, AsBytes("two"), FileMode::kOwnerOnly));
  EXPECT_EQ(ReadTextFile(path, 3).value(), "two");
  EXPECT_ERROR(ReadTextFile(path, 2), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ReadTextFile(folder + "/b", 10), ErrorCode::kNotFound);
  EXPECT_ERROR(ReadTextFile(folder, 10), ErrorCode::kInvalidArgument);
}
TEST(LogTest, ALineCannotBeForgedByAValue) {
  const log::Field field("name", std::string_view("a\nb \"c\""));
  EXPECT_EQ(field.value(), "\"a?b \\\"c\\\"\"");
  EXPECT_ERROR(log::ParseLevel("loud"), ErrorCode::kInvalidArgument);
}
TEST(HtmlTest, NothingInATextIsMarkup) {
  EXPECT_EQ(HtmlEscape("<a href=\"x\" b='y'> & ;"),
            "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt; &amp; ;");
}

}  // namespace
}  // namespace demur
