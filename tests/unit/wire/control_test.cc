#include "demur/wire/control.h"

#include <gtest/gtest.h>

#include "demur/wire/signed_body.h"
#include "hostile_bytes.h"
#include "result_matchers.h"

namespace demur::wire {
namespace {

TaskId SampleTask() {
  TaskId task;
  task.bytes.fill(std::byte{0xA5});
  task.bytes[0] = std::byte{1};
  return task;
}
Hash256 SampleHash() {
  Hash256 hash{};
  hash.fill(std::byte{0x3C});
  return hash;
}
Enrol SampleEnrol() {
  Enrol enrol;
  std::fill(enrol.secret.mutable_view().begin(), enrol.secret.mutable_view().end(), std::byte{5});
  enrol.public_key.fill(std::byte{6});
  enrol.signature.fill(std::byte{7});
  return enrol;
}

TEST(ControlTest, HelloRoundTripsWithAndWithoutATask) {
  for (const Hello& hello : {Hello{3, "demur-client 0.1.0", SampleTask()}, Hello{1, "", {}}}) {
    ASSERT_OK_AND_ASSIGN(const Hello back, DecodeHello(Encode(hello)));
    EXPECT_EQ(back, hello);
    ExpectHardened(Encode(hello), DecodeHello);
  }
}
TEST(ControlTest, WelcomeRoundTrips) {
  const Welcome welcome{std::string(kMaxServerNameLen, 'n'), 0xFFFFFFFF,
                        RunningRound{{}, {0xFFFFFFFF, 1}, 0xFFFFFFFF}};
  ASSERT_OK_AND_ASSIGN(const Welcome back, DecodeWelcome(Encode(welcome)));
  EXPECT_EQ(back, welcome);
  ExpectHardened(Encode(welcome), DecodeWelcome);
}
TEST(ControlTest, RefusalRoundTripsForEveryCode) {
  for (std::uint8_t code = 1; code <= 11; ++code) {
    const Refusal refusal{static_cast<ErrorCode>(code), "no round is open", 5000};
    ASSERT_OK_AND_ASSIGN(const Refusal back, DecodeRefusal(Encode(refusal)));
    EXPECT_EQ(back, refusal);
    EXPECT_EQ(ToError(back).code(), static_cast<ErrorCode>(code));
    EXPECT_EQ(ToError(back).message(), "refused: no round is open");
  }
  ExpectHardened(Encode(Refusal{ErrorCode::kAborted, "x", 1}), DecodeRefusal);
}
TEST(ControlTest, RefusalWithACodeThatIsNoErrorIsRefused) {
  for (const int code : {0, 12, 255}) {
    Refusal refusal{static_cast<ErrorCode>(code), "", 0};
    EXPECT_ERROR(DecodeRefusal(Encode(refusal)), ErrorCode::kInvalidArgument) << code;
  }
}
TEST(ControlTest, ModelMessagesRoundTrip) {
  const FetchModel fetch{SampleTask(), SampleHash()};
  ASSERT_OK_AND_ASSIGN(const FetchModel fetch_back, DecodeFetchModel(Encode(fetch)));
  EXPECT_EQ(fetch_back, fetch);
  ExpectHardened(Encode(fetch), DecodeFetchModel);

  const ModelBlob blob{SampleTask(), SampleHash(), Bytes(1000, std::byte{0x5A})};
  ASSERT_OK_AND_ASSIGN(const ModelBlob blob_back, DecodeModelBlob(Encode(blob), 1000));
  EXPECT_EQ(blob_back, blob);
  EXPECT_LE(Encode(blob).size(), 1000 + kModelBlobOverheadLen);
  ExpectHardened(Encode(blob), [](ByteView body) { return DecodeModelBlob(body, 1000); });
}
TEST(ControlTest, BlobOverTheLimitIsRefused) {
  const ModelBlob blob{SampleTask(), SampleHash(), Bytes(1000)};
  EXPECT_ERROR(DecodeModelBlob(Encode(blob), 999), ErrorCode::kInvalidArgument);
}
TEST(ControlTest, LeaveRoundTrips) {
  for (const LeaveScope scope : {LeaveScope::kRound, LeaveScope::kTask}) {
    const Leave leave{SampleTask(), {3, 0xFFFFFFFF}, 2, scope};
    ASSERT_OK_AND_ASSIGN(const Leave back, DecodeLeave(Encode(leave)));
    EXPECT_EQ(back, leave);
    ExpectHardened(Encode(leave), DecodeLeave);
  }
  const Leave unknown{SampleTask(), {3, 1}, 2, static_cast<LeaveScope>(2)};
  EXPECT_ERROR(DecodeLeave(Encode(unknown)), ErrorCode::kInvalidArgument);
}
TEST(ControlTest, EnrolRoundTrips) {
  const Enrol enrol = SampleEnrol();
  const SecretBytes bytes = Encode(enrol);
  ASSERT_OK_AND_ASSIGN(const Enrol back, DecodeEnrol(bytes.view()));
  EXPECT_TRUE(ConstantTimeEqual(back.secret.view(), enrol.secret.view()));
  EXPECT_EQ(back.public_key, enrol.public_key);
  EXPECT_EQ(back.signature, enrol.signature);
  ExpectHardened(bytes.view(), DecodeEnrol);
}
TEST(ControlTest, EnrolSigningInputIsSeparatedFromEveryOtherUseOfTheKey) {
  const Enrol enrol = SampleEnrol();
  const SecretBytes input = EnrolSigningInput(enrol.secret, enrol.public_key);
  ByteWriter expected;
  expected.Text("demur/enrol-request/1").U8(0).Raw(enrol.secret.view()).Raw(enrol.public_key);
  EXPECT_EQ(ToBytes(input.view()), expected.bytes());
}
TEST(ControlTest, EnrolReplyRoundTrips) {
  const EnrolReply reply{DeviceNumber(0x0102030405060708), Bytes(kMaxCertificateLen, std::byte{9})};
  ASSERT_OK_AND_ASSIGN(const EnrolReply back, DecodeEnrolReply(Encode(reply)));
  EXPECT_EQ(back, reply);
  EXPECT_LE(Encode(reply).size(), kMaxControlBodyLen);
  ExpectHardened(Encode(EnrolReply{DeviceNumber(1), Bytes(300)}), DecodeEnrolReply);
}
TEST(ControlTest, TextThatIsNotPrintableIsRefusedAndPrintableTextMakesItFit) {
  Bytes bytes = Encode(Welcome{"abcdefgh", 0});
  for (std::byte& byte : bytes) {
    if (byte == std::byte{'c'}) byte = std::byte{'\n'};
  }
  EXPECT_ERROR(DecodeWelcome(bytes), ErrorCode::kInvalidArgument);
  EXPECT_EQ(PrintableText("a\nb\x7f\xC3\xA4 c", 64), "a?b??? c");
  EXPECT_EQ(PrintableText("abcdef", 3), "abc");
}
TEST(ControlTest, WrongFieldLengthsAreRefused) {
  // A FetchModel is laid out like a Leave that lacks its hash, and like a SignedBody of 16 bytes.
  EXPECT_ERROR(DecodeFetchModel(Encode(Leave{SampleTask(), {1, 1}, 0})),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(DecodeSignedBody(Encode(FetchModel{SampleTask(), SampleHash()}), 64),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(DecodeEnrol(Encode(FetchModel{SampleTask(), SampleHash()})),
               ErrorCode::kInvalidArgument);
}

TEST(SignedBodyTest, KeepsTheExactBytes) {
  SignedBody message{Bytes(37, std::byte{0x77}), {}};
  message.signature.fill(std::byte{0x88});
  ASSERT_OK_AND_ASSIGN(const SignedBody back, DecodeSignedBody(Encode(message), 37));
  EXPECT_EQ(back, message);
  ExpectHardened(Encode(message),
                 [](ByteView bytes) { return DecodeSignedBody(ToBytes(bytes), 37); });
}
TEST(SignedBodyTest, BodyOverTheLimitAndEmptyBodyAreRefused) {
  EXPECT_ERROR(DecodeSignedBody(Encode(SignedBody{Bytes(37), {}}), 36),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(DecodeSignedBody(Encode(SignedBody{{}, {}}), 36), ErrorCode::kInvalidArgument);
}
TEST(SignedBodyTest, ListThatReachesPastTheMessageIsRefused) {
  const Bytes bytes =
      Words().StructPointer(0, 0, 2).ListPointer(1, 2, 0x1FFFFFFF).ListPointer(0, 2, 64).Message();
  EXPECT_ERROR(DecodeSignedBody(bytes, ~std::size_t{0}), ErrorCode::kInvalidArgument);
}
TEST(SignedBodyTest, SegmentTablesThatDoNotFitAreRefused) {
  const Bytes good = Encode(SignedBody{Bytes(8), {}});
  for (const std::uint32_t segments : {1U, 2U, 16U, 511U, 0x7FFFFFFFU, 0xFFFFFFFEU, 0xFFFFFFFFU}) {
    Bytes bad = good;
    std::memcpy(bad.data(), &segments, sizeof segments);
    EXPECT_ERROR(DecodeSignedBody(bad, 64), ErrorCode::kInvalidArgument) << segments;
  }
}

}  // namespace
}  // namespace demur::wire
