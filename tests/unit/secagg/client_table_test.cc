#include <gtest/gtest.h>

#include "secagg_test_util.h"

// The device's transition table (docs/protocol.md), one test a cell.
namespace demur::secagg {
namespace {

using wire::FrameType;

constexpr const char* kStates[] = {"idle",   "advertised", "shared", "ready",
                                   "masked", "unmasked",   "closed", "aborted"};

constexpr const char* kRefused = "refused";
constexpr const char* kEarly = "message out of order -> aborted";
constexpr const char* kSecond = "second body of one message -> aborted";
constexpr const char* kStopped = "stopped -> aborted";
constexpr const char* kForged = "bad signature -> aborted";
constexpr const char* kBroken = "malformed message -> aborted";
constexpr const char* kClosed = "finished -> closed";

struct Row {
  const char* event;
  const char* cells[8];  // by kStates
};

constexpr Row kTable[] = {
    {"start",
     {"M1 -> advertised", kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused}},
    {"M2",
     {kEarly, "M3 -> shared", "M3 -> shared", "M3 -> ready", "M3 -> masked", "M3 -> unmasked",
      kRefused, kRefused}},
    {"other M2",
     {kEarly, "neighbours are not the graph's -> aborted", kSecond, kSecond, kSecond, kSecond,
      kRefused, kRefused}},
    {"M4",
     {kEarly, kEarly, "need input -> ready", "need input -> ready", "M5 -> masked",
      "M5 -> unmasked", kRefused, kRefused}},
    {"other M4",
     {kEarly, kEarly, "survivor set does not hold -> aborted", kSecond, kSecond, kSecond, kRefused,
      kRefused}},
    {"M6",
     {kEarly, kEarly, kEarly, kEarly, "mark survivors, M9 -> unmasked", "M9 -> unmasked", kRefused,
      kRefused}},
    {"other M6",
     {kEarly, kEarly, kEarly, kEarly, "mark survivors, M9 -> unmasked", kSecond, kRefused,
      kRefused}},
    {"M8", {kEarly, kEarly, kEarly, kEarly, kEarly, kEarly, kRefused, kRefused}},
    {"M10", {kClosed, kClosed, kClosed, kClosed, kClosed, kClosed, kRefused, kRefused}},
    {"M1", {kEarly, kEarly, kEarly, kEarly, kEarly, kEarly, kRefused, kRefused}},
    {"forged", {kForged, kForged, kForged, kForged, kForged, kForged, kRefused, kRefused}},
    {"broken", {kBroken, kBroken, kBroken, kBroken, kBroken, kBroken, kRefused, kRefused}},
    {"input",
     {kRefused, kRefused, kRefused, "mark vector, M5 -> masked", kRefused, kRefused, kRefused,
      kRefused}},
    {"short input",
     {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused}},
    {"reconnected",
     {kRefused, "M1 -> advertised", "M3 -> shared", "M3 -> ready", "M5 -> masked", "M9 -> unmasked",
      kRefused, kRefused}},
    {"stop", {kStopped, kStopped, kStopped, kStopped, kStopped, kStopped, kRefused, kRefused}},
};

Recording& Reference() {
  static Recording& recording = *new Recording(SessionOptions{});
  return recording;
}

Bytes OtherRoster() {
  Recording& r = Reference();
  auto roster =
      wire::DecodeRoster(Opened(r.ToDevice(0, FrameType::kRoster)).body, r.announcement().limits());
  EXPECT_OK(roster);
  roster->root[0] ^= std::byte{1};
  return r.AsServer(FrameType::kRoster, wire::Encode(*roster));
}

Bytes OtherInbox() {
  Recording& r = Reference();
  auto inbox =
      wire::DecodeInbox(Opened(r.ToDevice(0, FrameType::kInbox)).body, r.announcement().limits());
  EXPECT_OK(inbox);
  MemberSet small(20);
  for (std::uint32_t i = 0; i < 13; ++i) small.Insert((r.IndexOf(0) + i) % 20);
  inbox->shared = ToBytes(small.bytes());
  return r.AsServer(FrameType::kInbox, wire::Encode(*inbox));
}

Bytes OtherConfirmRequest() {
  Recording& r = Reference();
  MemberSet fewer(20);
  for (std::uint32_t i = 0; i < 15; ++i) fewer.Insert((r.IndexOf(0) + i) % 20);
  return r.AsServer(FrameType::kConfirmRequest,
                    wire::Encode(wire::ConfirmRequest{r.session_id(), ToBytes(fewer.bytes())}));
}

ClientEvent MakeEvent(std::string_view name) {
  Recording& r = Reference();
  const auto message = [](FrameType type, Bytes frame) {
    return client::event::Message{type, std::move(frame)};
  };
  if (name == "start") return client::event::Start{r.session().SecretsOf(0)};
  if (name == "M2") return message(FrameType::kRoster, r.ToDevice(0, FrameType::kRoster));
  if (name == "other M2") return message(FrameType::kRoster, OtherRoster());
  if (name == "M4") return message(FrameType::kInbox, r.ToDevice(0, FrameType::kInbox));
  if (name == "other M4") return message(FrameType::kInbox, OtherInbox());
  if (name == "M6") {
    return message(FrameType::kConfirmRequest, r.ToDevice(0, FrameType::kConfirmRequest));
  }
  if (name == "other M6") return message(FrameType::kConfirmRequest, OtherConfirmRequest());
  if (name == "M8") {
    return message(FrameType::kUnmaskRequest,
                   r.AsServer(FrameType::kUnmaskRequest,
                              wire::Encode(wire::UnmaskRequest{r.session_id(), {}})));
  }
  if (name == "M10") return message(FrameType::kClose, r.ToDevice(0, FrameType::kClose));
  if (name == "M1") return message(FrameType::kAdvertise, r.FromDevice(0, FrameType::kAdvertise));
  if (name == "forged") {
    auto close = Opened(r.ToDevice(0, FrameType::kClose));
    close.signature[5] ^= std::byte{1};
    return message(FrameType::kClose, wire::Encode(close));
  }
  if (name == "broken") {
    Bytes frame = r.ToDevice(0, FrameType::kClose);
    frame.resize(frame.size() - 8);
    return message(FrameType::kClose, std::move(frame));
  }
  if (name == "input") return client::event::Input{r.session().InputOf(0)};
  if (name == "short input") return client::event::Input{std::vector<std::uint32_t>(3)};
  if (name == "reconnected") return client::event::Reconnected{};
  EXPECT_EQ(name, "stop");
  return client::event::Stop{};
}

class ClientCell : public ::testing::TestWithParam<std::tuple<std::size_t, std::size_t>> {};

TEST_P(ClientCell, DoesWhatTheTableSays) {
  const Row& row = kTable[std::get<0>(GetParam())];
  const std::size_t column = std::get<1>(GetParam());
  auto t =
      Step(Reference().DeviceIn(0, kStates[column]), MakeEvent(row.event), Reference().config(0));
  EXPECT_EQ(Describe(t), row.cells[column]);
  if (t.refused) {
    EXPECT_EQ(NameOf(t.next), kStates[column]);
  }
}

std::string CellName(const ::testing::TestParamInfo<std::tuple<std::size_t, std::size_t>>& info) {
  std::string name =
      std::string(kStates[std::get<1>(info.param)]) + "_" + kTable[std::get<0>(info.param)].event;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Table, ClientCell,
                         ::testing::Combine(::testing::Range<std::size_t>(0, std::size(kTable)),
                                            ::testing::Range<std::size_t>(0, std::size(kStates))),
                         CellName);

TEST(ClientStep, ARefusedEventLeavesTheStateAbleToGoOn) {
  Recording& r = Reference();
  ClientState state{client::state::Idle{}};
  const auto refuse = [&] {
    auto t = Step(std::move(state), client::event::Input{{1, 2, 3}}, r.config(0));
    EXPECT_TRUE(t.refused);
    state = std::move(t.next);
  };
  const auto step = [&](std::string_view name) {
    refuse();
    state = Step(std::move(state), MakeEvent(name), r.config(0)).next;
  };
  for (const char* event : {"start", "M2", "M4", "input", "M6", "M10"}) step(event);
  EXPECT_EQ(NameOf(state), "closed");
}

TEST(ClientStep, ACopyGetsTheVeryBytesThatWentOutBefore) {
  Recording& r = Reference();
  ClientState state = r.DeviceIn(0, "unmasked");
  const std::pair<const char*, FrameType> copies[] = {
      {"M2", FrameType::kShares}, {"M4", FrameType::kMasked}, {"M6", FrameType::kUnmask}};
  for (const auto& [event, type] : copies) {
    auto t = Step(std::move(state), MakeEvent(event), r.config(0));
    ASSERT_EQ(t.effects.size(), 1U);
    const auto* send = std::get_if<client::effect::Send>(&t.effects[0]);
    ASSERT_NE(send, nullptr);
    EXPECT_EQ(*send->frame, r.FromDevice(0, type)) << event;
    state = std::move(t.next);
  }
}

TEST(ClientStep, TheMarkerNamesTheVectorThatGoesOut) {
  Recording& r = Reference();
  auto t = Step(r.DeviceIn(0, "ready"), MakeEvent("input"), r.config(0));
  ASSERT_EQ(t.effects.size(), 2U);
  const auto* mark = std::get_if<client::effect::PersistMasked>(&t.effects[0]);
  const auto* send = std::get_if<client::effect::Send>(&t.effects[1]);
  ASSERT_TRUE(mark != nullptr && send != nullptr);
  EXPECT_EQ(mark->session, r.session_id());
  EXPECT_EQ(mark->body_hash, crypto::Sha256(Opened(*send->frame).body));
}

TEST(ClientStep, AMessageForAnotherDeviceIsNotTaken) {
  Recording& r = Reference();
  auto t = Step(r.DeviceIn(0, "advertised"),
                client::event::Message{FrameType::kRoster, r.ToDevice(1, FrameType::kRoster)},
                r.config(0));
  EXPECT_EQ(NameOf(t.next), "aborted");
  t = Step(r.DeviceIn(0, "shared"),
           client::event::Message{FrameType::kInbox, r.ToDevice(1, FrameType::kInbox)},
           r.config(0));
  EXPECT_EQ(NameOf(t.next), "aborted");
}

TEST(ClientConfigTest, NeedsACertificateAndACheck) {
  Recording& r = Reference();
  auto& device = r.session().device(0);
  EXPECT_ERROR(ClientConfig::Create(r.announcement(), device.identity.Clone(), {},
                                    r.session().server_key().public_key, r.session().Check()),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ClientConfig::Create(r.announcement(), device.identity.Clone(), device.certificate,
                                    r.session().server_key().public_key, nullptr),
               ErrorCode::kInvalidArgument);
}

TEST(OpenAnnouncementTest, TakesOnlyWhatThePinnedKeySigned) {
  Recording& r = Reference();
  const Bytes& frame = *r.session().server_config().announce_frame();
  const auto good = OpenAnnouncement(frame, r.session().server_key().public_key);
  ASSERT_OK(good);
  EXPECT_EQ(good->announce_hash, r.announcement().announce_hash);
  EXPECT_EQ(good->params_hash, r.announcement().params_hash);
  EXPECT_EQ(good->nonce_commitment, r.announcement().nonce_commitment);
  EXPECT_EQ(good->plan, r.session().plan());
  EXPECT_EQ(good->dim, 37U);
  EXPECT_ERROR(OpenAnnouncement(frame, r.session().device(0).identity.public_key),
               ErrorCode::kPermissionDenied);
  EXPECT_ERROR(OpenAnnouncement(ByteView(frame).first(frame.size() - 8),
                                r.session().server_key().public_key),
               ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur::secagg
