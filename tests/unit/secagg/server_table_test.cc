#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "secagg_test_util.h"
#include "step_table.h"

// The coordinator's transition table (docs/protocol.md), one test a cell. 24 members, of whom
// devices 0 and 1 have not answered the phase yet; messages are device 0's.
namespace demur::secagg {
namespace {

using testing::Cell;
using testing::CellsOf;
using testing::NameOfCell;
using testing::TableRow;
using wire::FrameType;

constexpr const char* kRefused = "refused";

constexpr const char* kEarly = "evidence: message out of order, M10 -> =";
constexpr const char* kSecond = "evidence: second body, M10 -> =";
constexpr const char* kForged = "evidence: bad signature, M10 -> =";
constexpr const char* kBroken = "evidence: malformed message, M10 -> =";
constexpr const char* kTaken = "-> =";
constexpr const char* kStopped = "abandoned: stopped, M10 x24 -> aborted";

// "=" in a cell stands for the state's own name.
struct Table {
  bool malicious;
  std::vector<const char*> states;
  std::vector<TableRow> rows;
};

const Table& SemiHonest() {
  static const Table& table = *new Table{
      false,
      {"announced", "advertising", "sharing", "masking", "unmasking", "summed", "done", "aborted"},
      {
          {"M1", {kTaken, kTaken, "M2 -> =", kTaken, kTaken, kRefused, kRefused, kRefused}},
          {"other M1", {kTaken, kTaken, kSecond, kSecond, kSecond, kRefused, kRefused, kRefused}},
          {"M3", {kEarly, kEarly, kTaken, "M4 -> =", kTaken, kRefused, kRefused, kRefused}},
          {"other M3", {kEarly, kEarly, kTaken, kSecond, kSecond, kRefused, kRefused, kRefused}},
          {"M5", {kEarly, kEarly, kEarly, kTaken, "M6 -> =", kRefused, kRefused, kRefused}},
          {"other M5", {kEarly, kEarly, kEarly, kTaken, kSecond, kRefused, kRefused, kRefused}},
          {"M7", {kEarly, kEarly, kEarly, kEarly, kEarly, kRefused, kRefused, kRefused}},
          {"M9", {kEarly, kEarly, kEarly, kEarly, kTaken, kRefused, kRefused, kRefused}},
          {"M2", {kEarly, kEarly, kEarly, kEarly, kEarly, kRefused, kRefused, kRefused}},
          {"forged", {kForged, kForged, kForged, kForged, kForged, kRefused, kRefused, kRefused}},
          {"broken", {kBroken, kBroken, kBroken, kBroken, kBroken, kRefused, kRefused, kRefused}},
          {"stranger",
           {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused}},
          {"left", {kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kRefused, kRefused}},
          {"stranger left",
           {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused}},
          {"deadline",
           {"timer advertise -> advertising", "M10 x2, timer share, M2 x22 -> sharing",
            "M10 x2, timer mask, M4 x22 -> masking",
            "M10 x2, persist survivors, timer unmask, M6 x22 -> unmasking", "sum -> summed",
            kRefused, kRefused, kRefused}},
          {"other deadline",
           {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused}},
          {"finish",
           {kRefused, kRefused, kRefused, kRefused, kRefused, "M10 x24 -> done", kRefused,
            kRefused}},
          {"stop",
           {kStopped, kStopped, kStopped, kStopped, kStopped, "M10 x24 -> done", kRefused,
            kRefused}},
      }};
  return table;
}

// While confirming, devices 0 to 12 have not signed: one signature more is not the quorum of 13
// yet.
const Table& Malicious() {
  static const Table& table = *new Table{
      true,
      {"announced", "advertising", "sharing", "masking", "confirming", "unmasking", "summed",
       "done", "aborted"},
      {
          {"M1", {kTaken, kTaken, "M2 -> =", kTaken, kTaken, kTaken, kRefused, kRefused, kRefused}},
          {"other M1",
           {kTaken, kTaken, kSecond, kSecond, kSecond, kSecond, kRefused, kRefused, kRefused}},
          {"M3", {kEarly, kEarly, kTaken, "M4 -> =", kTaken, kTaken, kRefused, kRefused, kRefused}},
          {"other M3",
           {kEarly, kEarly, kTaken, kSecond, kSecond, kSecond, kRefused, kRefused, kRefused}},
          {"M5",
           {kEarly, kEarly, kEarly, kTaken, "M6 -> =", "M6, M8 -> =", kRefused, kRefused,
            kRefused}},
          {"other M5",
           {kEarly, kEarly, kEarly, kTaken, kSecond, kSecond, kRefused, kRefused, kRefused}},
          {"M7", {kEarly, kEarly, kEarly, kEarly, kTaken, "M8 -> =", kRefused, kRefused, kRefused}},
          {"other M7",
           {kEarly, kEarly, kEarly, kEarly, "evidence: bad confirmation, M10 -> =", kSecond,
            kRefused, kRefused, kRefused}},
          {"M9", {kEarly, kEarly, kEarly, kEarly, kEarly, kTaken, kRefused, kRefused, kRefused}},
          {"M2", {kEarly, kEarly, kEarly, kEarly, kEarly, kEarly, kRefused, kRefused, kRefused}},
          {"forged",
           {kForged, kForged, kForged, kForged, kForged, kForged, kRefused, kRefused, kRefused}},
          {"broken",
           {kBroken, kBroken, kBroken, kBroken, kBroken, kBroken, kRefused, kRefused, kRefused}},
          {"stranger",
           {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
            kRefused}},
          {"left", {kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kTaken, kRefused, kRefused}},
          {"stranger left",
           {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
            kRefused}},
          {"deadline",
           {"timer advertise -> advertising", "M10 x2, timer share, M2 x22 -> sharing",
            "M10 x2, timer mask, M4 x22 -> masking",
            "M10 x2, persist survivors, timer confirm, M6 x22 -> confirming",
            "abandoned: too few confirmations, M10 x24 -> aborted", "sum -> summed", kRefused,
            kRefused, kRefused}},
          {"other deadline",
           {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, kRefused,
            kRefused}},
          {"finish",
           {kRefused, kRefused, kRefused, kRefused, kRefused, kRefused, "M10 x24 -> done", kRefused,
            kRefused}},
          {"stop",
           {kStopped, kStopped, kStopped, kStopped, kStopped, kStopped, "M10 x24 -> done", kRefused,
            kRefused}},
      }};
  return table;
}

Recording& RecordingOf(bool malicious) {
  static Recording* recordings[2] = {};
  if (recordings[malicious] == nullptr) {
    SessionOptions options;
    options.devices = 24;
    if (malicious) options.sigma = 80;
    if (malicious) options.profile = model::SecAggProfile::kMalicious;
    recordings[malicious] = new Recording(options);
  }
  return *recordings[malicious];
}
Recording& Reference() { return RecordingOf(false); }

Bytes OtherBody(FrameType type, Recording& r = Reference()) {
  const Bytes body = Opened(r.FromDevice(0, type)).body;
  const auto limits = r.announcement().limits();
  if (type == FrameType::kAdvertise) {
    auto message = wire::DecodeAdvertise(body);
    message->nonce[0] ^= std::byte{1};
    return r.AsDevice(0, type, wire::Encode(*message));
  }
  if (type == FrameType::kShares) {
    auto message = wire::DecodeShares(body, limits);
    message->items[0].sealed[0] ^= std::byte{1};
    return r.AsDevice(0, type, wire::Encode(*message));
  }
  if (type == FrameType::kConfirm) {  // a good signature, over something else
    auto message = wire::DecodeConfirm(body);
    message->transcript_signature = *SignTranscript(r.session().device(0).identity, Hash256{});
    return r.AsDevice(0, type, wire::Encode(*message));
  }
  auto message = wire::DecodeMasked(body, limits);
  message->packed[0] ^= std::byte{1};
  return r.AsDevice(0, type, wire::Encode(*message));
}

Phase PhaseOf(std::string_view state, bool other) {
  const std::pair<std::string_view, Phase> phases[] = {
      {"announced", Phase::kTraining}, {"advertising", Phase::kAdvertise},
      {"sharing", Phase::kShare},      {"masking", Phase::kMask},
      {"confirming", Phase::kConfirm}, {"unmasking", Phase::kUnmask}};
  Phase mine = Phase::kTraining;
  for (const auto& [name, phase] : phases) {
    if (name == state) mine = phase;
  }
  if (!other) return mine;
  return mine == Phase::kMask ? Phase::kShare : Phase::kMask;
}

ServerEvent MakeEvent(std::string_view name, std::string_view state, Recording& r) {
  const MemberId member = r.session().device(0).identity.public_key;
  const auto message = [&](FrameType type, Bytes frame) {
    return server::event::Message{member, type, std::move(frame)};
  };
  const std::pair<std::string_view, FrameType> types[] = {{"M1", FrameType::kAdvertise},
                                                          {"M3", FrameType::kShares},
                                                          {"M5", FrameType::kMasked},
                                                          {"M7", FrameType::kConfirm},
                                                          {"M9", FrameType::kUnmask}};
  for (const auto& [text, type] : types) {
    if (type == FrameType::kConfirm && !r.malicious()) continue;
    if (name == text) return message(type, r.FromDevice(0, type));
    if (name == "other " + std::string(text)) return message(type, OtherBody(type, r));
  }
  if (name == "M7") {
    return message(FrameType::kConfirm,
                   r.AsDevice(0, FrameType::kConfirm, wire::Encode(wire::Confirm{})));
  }
  if (name == "M2") return message(FrameType::kRoster, r.ToDevice(0, FrameType::kRoster));
  if (name == "forged") {
    auto advertise = Opened(r.FromDevice(0, FrameType::kAdvertise));
    advertise.signature[9] ^= std::byte{1};
    return message(FrameType::kAdvertise, wire::Encode(advertise));
  }
  if (name == "broken") {
    Bytes frame = r.FromDevice(0, FrameType::kAdvertise);
    frame.resize(frame.size() - 8);
    return message(FrameType::kAdvertise, std::move(frame));
  }
  MemberId nobody{};
  nobody[0] = std::byte{1};
  if (name == "stranger") {
    return server::event::Message{nobody, FrameType::kAdvertise,
                                  r.FromDevice(0, FrameType::kAdvertise)};
  }
  if (name == "left") return server::event::Left{member};
  if (name == "stranger left") return server::event::Left{nobody};
  if (name == "deadline") return server::event::Deadline{PhaseOf(state, false)};
  if (name == "other deadline") return server::event::Deadline{PhaseOf(state, true)};
  if (name == "finish") return server::event::Finish{};
  EXPECT_EQ(name, "stop");
  return server::event::Stop{};
}

void ExpectCell(const Table& table, std::size_t number, std::size_t column) {
  Recording& r = RecordingOf(table.malicious);
  const TableRow& row = table.rows[number];
  const std::string state = table.states[column];
  ASSERT_EQ(row.cells.size(), table.states.size());
  std::vector<std::uint32_t> holding = {0, 1};
  for (std::uint32_t i = 2; i <= 12 && state == "confirming"; ++i) holding.push_back(i);
  auto t =
      Step(r.ServerIn(state, holding), MakeEvent(row.event, state, r), r.session().server_config());
  std::string expected = row.cells[column];
  if (expected.ends_with("=")) expected.replace(expected.size() - 1, 1, state);
  EXPECT_EQ(Describe(t), expected);
  if (t.refused) {
    EXPECT_EQ(NameOf(t.next), state);
  }
}

class ServerCell : public ::testing::TestWithParam<Cell> {};
TEST_P(ServerCell, DoesWhatTheTableSays) {
  ExpectCell(SemiHonest(), std::get<0>(GetParam()), std::get<1>(GetParam()));
}
INSTANTIATE_TEST_SUITE_P(Table, ServerCell, CellsOf<SemiHonest>(), NameOfCell<SemiHonest>);

class MaliciousServerCell : public ::testing::TestWithParam<Cell> {};
TEST_P(MaliciousServerCell, DoesWhatTheTableSays) {
  ExpectCell(Malicious(), std::get<0>(GetParam()), std::get<1>(GetParam()));
}
INSTANTIATE_TEST_SUITE_P(Table, MaliciousServerCell, CellsOf<Malicious>(), NameOfCell<Malicious>);

ServerTransition Send(ServerState state, std::uint32_t device, FrameType type, Bytes frame) {
  Recording& r = Reference();
  return Step(std::move(state),
              server::event::Message{r.session().device(device).identity.public_key, type,
                                     std::move(frame)},
              r.session().server_config());
}
ServerTransition Send(ServerState state, std::uint32_t device, FrameType type) {
  return Send(std::move(state), device, type, Reference().FromDevice(device, type));
}

TEST(ServerStep, ACopyInItsOwnPhaseChangesNothing) {
  Recording& r = Reference();
  const std::pair<const char*, FrameType> phases[] = {{"announced", FrameType::kAdvertise},
                                                      {"sharing", FrameType::kShares},
                                                      {"masking", FrameType::kMasked},
                                                      {"unmasking", FrameType::kUnmask}};
  for (const auto& [name, type] : phases) {
    auto t = Send(r.ServerIn(name, {0, 1}), 0, type);
    EXPECT_EQ(PendingMembers(t.next), 1U) << name;
    t = Send(std::move(t.next), 0, type);
    EXPECT_EQ(Describe(t), std::string("-> ") + name);
    EXPECT_EQ(PendingMembers(t.next), 1U) << name;
  }
}

TEST(ServerStep, ACopyOfTheVectorIsNotAddedTwice) {
  Recording& r = Reference();
  auto t = Send(r.ServerIn("masking", {0}), 1, FrameType::kMasked);  // a copy: 1 has answered
  t = Send(std::move(t.next), 0, FrameType::kMasked);
  ASSERT_EQ(NameOf(t.next), "unmasking");
  for (std::uint32_t i = 0; i < 24; ++i) t = Send(std::move(t.next), i, FrameType::kUnmask);
  ASSERT_FALSE(t.effects.empty());
  const auto* sum = std::get_if<server::effect::SumReady>(&t.effects[0]);
  ASSERT_NE(sum, nullptr);
  EXPECT_EQ(sum->sum, r.session().ExpectedSum());
}

TEST(ServerStep, TheLastAnswerEndsThePhaseAndLeavingDoesToo) {
  Recording& r = Reference();
  auto t = Send(r.ServerIn("announced", {0}), 0, FrameType::kAdvertise);
  EXPECT_EQ(Describe(t), "timer share, M2 x24 -> sharing");
  t = Send(r.ServerIn("sharing", {0}), 0, FrameType::kShares);
  EXPECT_EQ(Describe(t), "timer mask, M4 x24 -> masking");
  t = Send(r.ServerIn("masking", {0}), 0, FrameType::kMasked);
  EXPECT_EQ(Describe(t), "persist survivors, timer unmask, M6 x24 -> unmasking");
  t = Send(r.ServerIn("unmasking", {0}), 0, FrameType::kUnmask);
  EXPECT_EQ(Describe(t), "sum -> summed");
  const server::event::Left left{r.session().device(0).identity.public_key};
  t = Step(r.ServerIn("masking", {0}), left, r.session().server_config());
  EXPECT_EQ(Describe(t), "persist survivors, timer unmask, M6 x23 -> unmasking");
  t = Step(r.ServerIn("unmasking", {0}), left, r.session().server_config());
  EXPECT_EQ(Describe(t), "sum -> summed");
}

TEST(ServerStep, AMemberThatLeftOrWasExcludedIsHeardNoMore) {
  Recording& r = Reference();
  const server::event::Left left{r.session().device(0).identity.public_key};
  auto t = Step(r.ServerIn("sharing", {0, 1}), left, r.session().server_config());
  t = Send(std::move(t.next), 0, FrameType::kShares);
  EXPECT_TRUE(t.refused);
  t = Send(r.ServerIn("sharing", {0, 1}), 0, FrameType::kUnmask);
  t = Send(std::move(t.next), 0, FrameType::kShares);
  EXPECT_TRUE(t.refused);
}

TEST(ServerStep, AVectorThatIsInTheSumStaysWhenItsMemberLeavesOrMisbehaves) {
  Recording& r = Reference();
  for (const bool leaves : {true, false}) {
    auto t = Send(r.ServerIn("masking", {0, 1}), 0, FrameType::kMasked);
    t = leaves ? Step(std::move(t.next),
                      server::event::Left{r.session().device(0).identity.public_key},
                      r.session().server_config())
               : Send(std::move(t.next), 0, FrameType::kMasked, OtherBody(FrameType::kMasked));
    t = Send(std::move(t.next), 1, FrameType::kMasked);
    ASSERT_EQ(NameOf(t.next), "unmasking");
    for (std::uint32_t i = 1; i < 24; ++i) t = Send(std::move(t.next), i, FrameType::kUnmask);
    ASSERT_EQ(NameOf(t.next), "summed");
    const auto* sum = std::get_if<server::effect::SumReady>(&t.effects[0]);
    ASSERT_NE(sum, nullptr);
    EXPECT_EQ(sum->survivors.size(), 24U);
    EXPECT_EQ(sum->sum, r.session().ExpectedSum());
  }
}

TEST(ServerStep, MembersThatAreAllGoneAfterTheirVectorsEndTheRound) {
  for (const bool malicious : {false, true}) {
    Recording& r = RecordingOf(malicious);
    const ServerConfig& config = r.session().server_config();
    ServerState state = r.ServerIn("masking", {0});
    std::string last;
    for (std::uint32_t device = 24; device-- > 0;) {  // 0, whose vector is not in, last
      ASSERT_EQ(NameOf(state), "masking");
      auto t = Step(std::move(state),
                    server::event::Left{r.session().device(device).identity.public_key}, config);
      last = Describe(t);
      state = std::move(t.next);
    }
    EXPECT_EQ(last, malicious ? "persist survivors, timer confirm, abandoned: too few "
                                "confirmations -> aborted"
                              : "persist survivors, timer unmask, abandoned: too few shares -> "
                                "aborted");
  }
}

TEST(ServerStep, ThePermitIsHeldUntilItIsGivenBack) {
  Recording& r = Reference();
  for (const char* name : {"announced", "advertising", "sharing", "masking", "unmasking"}) {
    const ServerState state = r.ServerIn(name, {0});
    ASSERT_NE(PermitOf(state), nullptr) << name;
    EXPECT_TRUE(PermitOf(state)->valid());
  }
  for (const char* name : {"summed", "done", "aborted"}) {
    EXPECT_EQ(PermitOf(r.ServerIn(name, {0})), nullptr) << name;
  }
}

TEST(ServerStep, SurvivorsAreDurableBeforeAnybodyIsAskedForAShare) {
  Recording& r = Reference();
  auto t = Send(r.ServerIn("masking", {0}), 0, FrameType::kMasked);
  bool persisted = false;
  for (const ServerEffect& effect : t.effects) {
    if (const auto* persist = std::get_if<server::effect::PersistSurvivors>(&effect)) {
      persisted = true;
      EXPECT_EQ(persist->session, r.session_id());
      EXPECT_EQ(persist->survivors.size(), 24U);
    }
    if (std::holds_alternative<server::effect::Send>(effect)) {
      EXPECT_TRUE(persisted);
    }
  }
  EXPECT_TRUE(persisted);
}

TEST(ServerConfigTest, RefusesWhatCannotBeRun) {
  SessionOptions options;
  SecAggSession session(options);
  std::vector<MemberId> invited;
  for (std::uint32_t i = 0; i < 20; ++i) invited.push_back(session.device(i).identity.public_key);
  const auto create = [&](const model::Plan& plan, std::vector<MemberId> members,
                          const CertificateCheck& check) {
    return ServerConfig::Create(plan, session.server_key().Clone(), std::move(members), Hash256{},
                                check);
  };
  const model::Plan plan = testing::SessionPlan(options);
  EXPECT_OK(create(plan, invited, session.Check()));
  EXPECT_ERROR(create(plan, invited, nullptr), ErrorCode::kInvalidArgument);
  auto fewer = invited;
  fewer.pop_back();
  EXPECT_ERROR(create(plan, fewer, session.Check()), ErrorCode::kInvalidArgument);
  auto twice = invited;
  twice[1] = twice[0];
  EXPECT_ERROR(create(plan, twice, session.Check()), ErrorCode::kInvalidArgument);
  model::Plan fragile = plan;  // no graph holds when nearly everybody may be corrupt or gone
  fragile.secagg.corrupt_permille = 500;
  fragile.secagg.dropout_permille = 450;
  EXPECT_ERROR(create(fragile, invited, session.Check()), ErrorCode::kInvalidArgument);
}

TEST(ServerConfigTest, NoDeadlineStartsNoTimer) {
  SessionOptions options;
  model::Plan plan = testing::SessionPlan(options);
  plan.timeouts = {};
  SecAggSession session(options, plan);
  session.Run();
  EXPECT_TRUE(session.sum_ready().has_value());
  auto t = StartServer(session.server_config(), testing::MintPermit(plan));
  EXPECT_EQ(Describe(t), "M0 x20 -> announced");
}

}  // namespace
}  // namespace demur::secagg
