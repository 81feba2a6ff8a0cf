#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "attacks_util.h"
#include "step_table.h"

// The device's transition table (docs/protocol.md), one test a cell.
namespace demur::secagg {
namespace {

using testing::Cell;
using testing::CellsOf;
using testing::NameOfCell;
using testing::TableRow;

constexpr const char* kRefused = "refused";
constexpr const char* kEarly = "message out of order -> aborted";
constexpr const char* kSecond = "second body of one message -> aborted";
constexpr const char* kStopped = "stopped -> aborted";
constexpr const char* kForged = "bad signature -> aborted";
constexpr const char* kBroken = "malformed message -> aborted";
constexpr const char* kClosed = "finished -> closed";

constexpr const char* kUnsigned = "survivor set is not the committee's -> aborted";

struct Table {
  std::vector<const char*> states;
  std::vector<TableRow> rows;
};

const Table& SemiHonest() {
  static const Table& table = *new Table{
      {"idle", "advertised", "shared", "ready", "masked", "unmasked", "closed", "aborted"},
      {
          {"start",
           {"M1 -> advertised", kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
            kRefused}},
          {"M2",
           {kEarly, "M3 -> shared", "M3 -> shared", "M3 -> ready", "M3 -> masked", "M3 -> unmasked",
            kRefused, kRefused}},
          {"other M2",
           {kEarly, "neighbours or committee are not the session's -> aborted", kSecond, kSecond,
            kSecond, kSecond, kRefused, kRefused}},
          {"M4",
           {kEarly, kEarly, "need input -> ready", "need input -> ready", "M5 -> masked",
            "M5 -> unmasked", kRefused, kRefused}},
          {"other M4",
           {kEarly, kEarly, "survivor set does not hold -> aborted", kSecond, kSecond, kSecond,
            kRefused, kRefused}},
          {"M6",
           {kEarly, kEarly, kEarly, kEarly, "mark survivors, M9 -> unmasked", "M9 -> unmasked",
            kRefused, kRefused}},
          {"other M6",
           {kEarly, kEarly, kEarly, kEarly, "mark survivors, M9 -> unmasked", kSecond, kRefused,
            kRefused}},
          {"M8", {kEarly, kEarly, kEarly, kEarly, kEarly, kEarly, kRefused, kRefused}},
          {"M10", {kClosed, kClosed, kClosed, kClosed, kClosed, kClosed, kRefused, kRefused}},
          {"M1", {kEarly, kEarly, kEarly, kEarly, kEarly, kEarly, kRefused, kRefused}},
          {"M7", {kEarly, kEarly, kEarly, kEarly, kEarly, kEarly, kRefused, kRefused}},
          {"forged", {kForged, kForged, kForged, kForged, kForged, kForged, kRefused, kRefused}},
          {"broken", {kBroken, kBroken, kBroken, kBroken, kBroken, kBroken, kRefused, kRefused}},
          {"input",
           {kRefused, kRefused, kRefused, "mark vector, M5 -> masked", kRefused, kRefused, kRefused,
            kRefused}},
          {"short input",
           {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused}},
          {"reconnected",
           {kRefused, "M1 -> advertised", "M3 -> shared", "M3 -> ready", "M5 -> masked",
            "M9 -> unmasked", kRefused, kRefused}},
          {"stop",
           {kStopped, kStopped, kStopped, kStopped, kStopped, kStopped, kRefused, kRefused}},
      }};
  return table;
}

// Of a member that signs and of one that does not: they differ in what M6 is answered with.
Table Malicious(bool signs) {
  const char* marked = signs ? "mark survivors, M7 -> confirmed" : "mark survivors -> confirmed";
  return {
      {"idle", "advertised", "shared", "ready", "masked", "confirmed", "unmasked", "closed",
       "aborted"},
      {
          {"start",
           {"M1 -> advertised", kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
            kRefused, kRefused}},
          {"M2",
           {kEarly, "M3 -> shared", "M3 -> shared", "M3 -> ready", "M3 -> masked",
            "M3 -> confirmed", "M3 -> unmasked", kRefused, kRefused}},
          {"other M2",
           {kEarly,
            signs ? "roster does not hold -> aborted"  // everybody is everybody's neighbour
                  : "neighbours or committee are not the session's -> aborted",
            kSecond, kSecond, kSecond, kSecond, kSecond, kRefused, kRefused}},
          {"M4",
           {kEarly, kEarly, "need input -> ready", "need input -> ready", "M5 -> masked",
            "M5 -> confirmed", "M5 -> unmasked", kRefused, kRefused}},
          {"other M4",
           {kEarly, kEarly, "survivor set does not hold -> aborted", kSecond, kSecond, kSecond,
            kSecond, kRefused, kRefused}},
          {"M6",
           {kEarly, kEarly, kEarly, kEarly, marked, signs ? "M7 -> confirmed" : "-> confirmed",
            signs ? "M7 -> unmasked" : "-> unmasked", kRefused, kRefused}},
          {"other M6",
           {kEarly, kEarly, kEarly, kEarly, marked, kSecond, kSecond, kRefused, kRefused}},
          {"M8",
           {kEarly, kEarly, kEarly, kEarly, "-> masked", "M9 -> unmasked", "M9 -> unmasked",
            kRefused, kRefused}},
          {"other M8",
           {kEarly, kEarly, kEarly, kEarly, "-> masked", kUnsigned, kSecond, kRefused, kRefused}},
          {"M10",
           {kClosed, kClosed, kClosed, kClosed, kClosed, kClosed, kClosed, kRefused, kRefused}},
          {"M1", {kEarly, kEarly, kEarly, kEarly, kEarly, kEarly, kEarly, kRefused, kRefused}},
          {"M7", {kEarly, kEarly, kEarly, kEarly, kEarly, kEarly, kEarly, kRefused, kRefused}},
          {"forged",
           {kForged, kForged, kForged, kForged, kForged, kForged, kForged, kRefused, kRefused}},
          {"broken",
           {kBroken, kBroken, kBroken, kBroken, kBroken, kBroken, kBroken, kRefused, kRefused}},
          {"input",
           {kRefused, kRefused, kRefused, "mark vector, M5 -> masked", kRefused, kRefused, kRefused,
            kRefused, kRefused}},
          {"short input",
           {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
            kRefused}},
          {"reconnected",
           {kRefused, "M1 -> advertised", "M3 -> shared", "M3 -> ready", "M5 -> masked",
            "M5 -> confirmed", "M9 -> unmasked", kRefused, kRefused}},
          {"stop",
           {kStopped, kStopped, kStopped, kStopped, kStopped, kStopped, kStopped, kRefused,
            kRefused}},
      }};
}
const Table& Signer() {
  static const Table& table = *new Table(Malicious(true));
  return table;
}
const Table& Outsider() {
  static const Table& table = *new Table(Malicious(false));
  return table;
}

// The device whose table it is.
struct World {
  Recording* recording;
  std::uint32_t device;
};
World WorldOf(const Table& table) {
  if (&table == &SemiHonest()) return {&Reference(), 0};
  if (&table == &Signer()) return {&Complete(), 0};
  static const std::uint32_t outsider = [] {
    Recording& r = Expander();
    const auto is_silent = [&r](std::uint32_t device) {
      return !std::get<client::state::Confirmed>(r.DeviceIn(device, "confirmed"))
                  .log.exchanges.back()
                  .reply;
    };
    std::uint32_t device = 0;
    while (!is_silent(device)) ++device;
    return device;
  }();
  return {&Expander(), outsider};
}

Bytes OtherRoster(const World& w) {
  wire::Roster roster = RosterOf(w.device, *w.recording);
  roster.root[0] ^= std::byte{1};
  return AsFrame(roster, *w.recording);
}

std::uint32_t SizeOf(const World& w) { return RosterOf(w.device, *w.recording).size; }

// Fewer than may be left of any roster.
Bytes OtherInbox(const World& w) {
  Recording& r = *w.recording;
  const std::uint32_t n = SizeOf(w);
  wire::Inbox inbox = InboxOf(w.device, r);
  MemberSet small(n);
  for (std::uint32_t i = 0; i < n / 2; ++i) small.Insert((r.IndexOf(w.device) + i) % n);
  inbox.shared = ToBytes(small.bytes());
  return AsFrame(inbox, r);
}

Bytes OtherConfirmRequest(const World& w) {
  Recording& r = *w.recording;
  const std::uint32_t n = SizeOf(w);
  return ConfirmFrame(AllBut({(r.IndexOf(w.device) + 3) % n}, n), r);
}

// A signature short.
Bytes OtherUnmaskRequest(const World& w) {
  wire::UnmaskRequest request = UnmaskRequestOf(w.device, *w.recording);
  request.confirmations.pop_back();
  return AsFrame(request, *w.recording);
}

ClientEvent MakeEvent(std::string_view name, const World& w) {
  Recording& r = *w.recording;
  const std::uint32_t device = w.device;
  const auto message = [](FrameType type, Bytes frame) {
    return client::event::Message{type, std::move(frame)};
  };
  const auto sent = [&](FrameType type) { return message(type, r.ToDevice(device, type)); };
  if (name == "start") return client::event::Start{r.session().SecretsOf(device)};
  if (name == "M2") return sent(FrameType::kRoster);
  if (name == "other M2") return message(FrameType::kRoster, OtherRoster(w));
  if (name == "M4") return sent(FrameType::kInbox);
  if (name == "other M4") return message(FrameType::kInbox, OtherInbox(w));
  if (name == "M6") return sent(FrameType::kConfirmRequest);
  if (name == "other M6") return message(FrameType::kConfirmRequest, OtherConfirmRequest(w));
  if (name == "M8" && r.malicious()) return sent(FrameType::kUnmaskRequest);
  if (name == "M8")
    return message(FrameType::kUnmaskRequest, AsFrame(wire::UnmaskRequest{r.session_id(), {}}, r));
  if (name == "other M8") return message(FrameType::kUnmaskRequest, OtherUnmaskRequest(w));
  if (name == "M10") return sent(FrameType::kClose);
  if (name == "M1") {
    return message(FrameType::kAdvertise, r.FromDevice(device, FrameType::kAdvertise));
  }
  if (name == "M7") {
    return message(FrameType::kConfirm,
                   r.AsServer(FrameType::kConfirm, wire::Encode(wire::Confirm{})));
  }
  if (name == "forged") {
    auto close = Opened(r.ToDevice(device, FrameType::kClose));
    close.signature[5] ^= std::byte{1};
    return message(FrameType::kClose, wire::Encode(close));
  }
  if (name == "broken") {
    Bytes frame = r.ToDevice(device, FrameType::kClose);
    frame.resize(frame.size() - 8);
    return message(FrameType::kClose, std::move(frame));
  }
  if (name == "input") return client::event::Input{r.session().InputOf(device)};
  if (name == "short input") return client::event::Input{std::vector<std::uint32_t>(3)};
  if (name == "reconnected") return client::event::Reconnected{};
  EXPECT_EQ(name, "stop");
  return client::event::Stop{};
}
ClientEvent MakeEvent(std::string_view name) { return MakeEvent(name, {&Reference(), 0}); }

void ExpectCell(const Table& table, const TableRow& row, std::size_t column) {
  const World w = WorldOf(table);
  ASSERT_EQ(row.cells.size(), table.states.size());
  auto t = Step(w.recording->DeviceIn(w.device, table.states[column]), MakeEvent(row.event, w),
                w.recording->config(w.device));
  EXPECT_EQ(Describe(t), row.cells[column]);
  if (t.refused) {
    EXPECT_EQ(NameOf(t.next), table.states[column]);
  }
}

class ClientCell : public ::testing::TestWithParam<Cell> {};
TEST_P(ClientCell, DoesWhatTheTableSays) {
  ExpectCell(SemiHonest(), SemiHonest().rows[std::get<0>(GetParam())], std::get<1>(GetParam()));
}
INSTANTIATE_TEST_SUITE_P(Table, ClientCell, CellsOf<SemiHonest>(), NameOfCell<SemiHonest>);

class SignerCell : public ::testing::TestWithParam<Cell> {};
TEST_P(SignerCell, DoesWhatTheTableSays) {
  ExpectCell(Signer(), Signer().rows[std::get<0>(GetParam())], std::get<1>(GetParam()));
}
INSTANTIATE_TEST_SUITE_P(Table, SignerCell, CellsOf<Signer>(), NameOfCell<Signer>);

// All in one process: what one cell costs is the recording of a session with 210 devices.
TEST(OutsiderTable, EveryCellDoesWhatTheTableSays) {
  for (const TableRow& row : Outsider().rows) {
    for (std::size_t column = 0; column < Outsider().states.size(); ++column) {
      SCOPED_TRACE(std::string(Outsider().states[column]) + ", " + row.event);
      ExpectCell(Outsider(), row, column);
    }
  }
}

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
  // From the other end of the roster: a device that has no proof of it only sees the order of keys.
  const std::uint32_t self = r.DeviceAt(0);
  const std::uint32_t other =
      r.DeviceAt(static_cast<std::uint32_t>(r.session().server_config().invited().size()) - 1);
  auto t = Step(r.DeviceIn(self, "advertised"),
                client::event::Message{FrameType::kRoster, r.ToDevice(other, FrameType::kRoster)},
                r.config(self));
  EXPECT_EQ(NameOf(t.next), "aborted");
  t = Step(r.DeviceIn(self, "shared"),
           client::event::Message{FrameType::kInbox, r.ToDevice(other, FrameType::kInbox)},
           r.config(self));
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

TEST(ClientStep, EveryReasonHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (std::uint8_t reason = 0; reason <= 12; ++reason) {
    names.insert(ToString(static_cast<ClientAbort>(reason)));
  }
  EXPECT_EQ(names.size(), 12U);  // eleven, and "unknown" for 0 and 12
  EXPECT_TRUE(names.contains("unknown"));
}

}  // namespace
}  // namespace demur::secagg
