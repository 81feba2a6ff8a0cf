#include "round_session.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "demur/wire/control.h"
#include "result_matchers.h"
#include "secagg_session.h"

// The session's driver between nineteen other devices and the coordinator's step, with a journal
// that writes down what was made durable, and when.
namespace demur::client {
namespace {

using testing::SecAggSession;
using wire::FrameType;
namespace event = secagg::client::event;

using Lines = std::vector<std::string>;

// What happened, in order: records that became durable and frames that were let go.
class Journal final : public RoundJournal {
 public:
  Status SaveTask(const TaskRecord& record) override {
    lines.push_back(record.confirmed_session == Hash256{} ? "task" : "survivors");
    return Answer();
  }
  Status SaveMasked(const TaskRecord& record, const model::PrivateState& state) override {
    lines.push_back("masked");
    masked = record;
    stored = state;
    return Answer();
  }
  Status Answer() const {
    if (lines.back() != fails_at) return {};
    return Error(ErrorCode::kUnavailable, "disk full");
  }

  Lines lines;
  std::string fails_at;
  TaskRecord masked;
  model::PrivateState stored;
};

// Device 0 of a session is a RoundSession.
class RoundSessionTest : public ::testing::Test {
 protected:
  explicit RoundSessionTest(const testing::SessionOptions& options = {}) : session_(options) {}

  void SetUp() override {
    session_.SetTap([this](SecAggSession::Frame& frame) {
      if (frame.to_server || frame.device != 0) return true;
      to_device_.push_back(frame);
      return false;
    });
    session_.Start();
    session_.Settle();
    ASSERT_EQ(to_device_.size(), 1U);
  }

  // After M0: the session with its round.
  void Open(Departure departure = Departure::kNone) {
    auto& own = session_.device(0);
    auto announcement =
        secagg::OpenAnnouncement(to_device_[0].bytes, session_.server_key().public_key);
    ASSERT_OK(announcement);
    to_device_.clear();
    auto config = secagg::ClientConfig::Create(std::move(*announcement), own.identity.Clone(),
                                               own.certificate, session_.server_key().public_key,
                                               session_.Check());
    ASSERT_OK(config);
    PreparedRound round;
    round.config = std::make_shared<const secagg::ClientConfig>(std::move(*config));
    round.charged.account.task = session_.plan().task;
    round.charged.last_seen = session_.plan().round;
    round.charged.masked_round = session_.plan().round;
    round.charged.account.participations = 1;
    round.input = session_.InputOf(0);
    round.next.values = {1.5F};
    round.departure = departure;
    round_.emplace(std::move(round));
  }

  // One event; frames go to the coordinator. The error of Settle, if there was one.
  Status Give(secagg::ClientEvent event) {
    round_->Compute(std::move(event));
    auto frames = round_->Settle(journal_);
    if (!frames) return std::move(frames).error();
    for (const OutFrame& frame : *frames) {
      journal_.lines.push_back("send " + std::string(wire::ToString(frame.type)));
      session_.queue().push_back({true, 0, frame.type, *frame.body});
    }
    session_.Settle();
    if (session_.sum_ready() && secagg::NameOf(session_.server()) == "summed") {
      session_.ServerEvent(secagg::server::event::Finish{});
      session_.Settle();
    }
    return {};
  }
  Status Start() { return Give(event::Start{session_.SecretsOf(0)}); }
  Status GiveNext() {
    SecAggSession::Frame frame = std::move(to_device_.front());
    to_device_.erase(to_device_.begin());
    return Give(event::Message{frame.type, std::move(frame.bytes)});
  }
  // Until nothing comes any more, the session is over, or an error.
  Status RunToEnd() {
    Status status = Start();
    while (status && !to_device_.empty() && !round_->end()) status = GiveNext();
    return status;
  }

  SecAggSession session_;
  std::vector<SecAggSession::Frame> to_device_;
  std::optional<RoundSession> round_;
  Journal journal_;
};

testing::SessionOptions Malicious() {
  testing::SessionOptions options;
  options.profile = model::SecAggProfile::kMalicious;
  options.sigma = 80;
  return options;
}
class MaliciousRoundSessionTest : public RoundSessionTest {
 protected:
  MaliciousRoundSessionTest() : RoundSessionTest(Malicious()) {}
};

// The name under one survivor set is on the disk before it leaves.
TEST_F(MaliciousRoundSessionTest, TheSurvivorSetIsDurableBeforeItIsSigned) {
  Open();
  ASSERT_OK(RunToEnd());
  EXPECT_EQ(journal_.lines, (Lines{"send advertise", "send shares", "masked", "send masked",
                                   "survivors", "send confirm", "send unmask"}));
  EXPECT_EQ(round_->end(), SessionEnd::kCommitted);
  ASSERT_TRUE(session_.sum_ready());
  EXPECT_EQ(session_.sum_ready()->sum, session_.ExpectedSum());
}

TEST_F(MaliciousRoundSessionTest, ADeviceThatLeavesBeforeUnmaskingHasSignedAllTheSame) {
  Open(Departure::kAfterMasking);
  ASSERT_OK(RunToEnd());
  EXPECT_EQ(journal_.lines, (Lines{"send advertise", "send shares", "masked", "send masked",
                                   "survivors", "send confirm", "send leave"}));
  EXPECT_EQ(round_->end(), SessionEnd::kLeft);
}

TEST_F(RoundSessionTest, EverythingIsDurableBeforeTheFrameThatNeedsIt) {
  Open();
  ASSERT_OK(RunToEnd());
  EXPECT_EQ(journal_.lines, (Lines{"send advertise", "send shares", "masked", "send masked",
                                   "survivors", "send unmask"}));
  EXPECT_EQ(round_->end(), SessionEnd::kCommitted);
  EXPECT_EQ(journal_.masked.account.participations, 1U);
  EXPECT_EQ(journal_.stored.values, std::vector<float>{1.5F});
  ASSERT_TRUE(session_.sum_ready());
  EXPECT_EQ(session_.Survivors().size(), 20U);
  EXPECT_EQ(session_.sum_ready()->sum, session_.ExpectedSum());
}

TEST_F(RoundSessionTest, NothingIsSentThatCouldNotBeMadeDurable) {
  for (const auto& [fails_at, last] : {std::pair{"masked", "masked"}, {"survivors", "survivors"}}) {
    SCOPED_TRACE(fails_at);
    RoundSessionTest_NothingIsSentThatCouldNotBeMadeDurable_Test fresh;
    fresh.SetUp();
    fresh.Open();
    fresh.journal_.fails_at = fails_at;
    EXPECT_ERROR(fresh.RunToEnd(), ErrorCode::kUnavailable);
    EXPECT_EQ(fresh.journal_.lines.back(), last);
    EXPECT_EQ(fresh.round_->end(), SessionEnd::kFailed);
    EXPECT_TRUE(fresh.round_->journal_failed()) << "nobody else is to blame";
    EXPECT_EQ(fresh.round_->state_name(), "aborted");
    // Nothing wakes it again.
    EXPECT_OK(fresh.Give(event::Reconnected{}));
    EXPECT_EQ(fresh.journal_.lines.back(), last);
  }
}

TEST_F(RoundSessionTest, LeavesInPlaceOfTheVector) {
  Open(Departure::kBeforeMasking);
  ASSERT_OK(RunToEnd());
  EXPECT_EQ(journal_.lines, (Lines{"send advertise", "send shares", "send leave"}));
  EXPECT_EQ(round_->end(), SessionEnd::kLeft);
  EXPECT_EQ(round_->state_name(), "aborted") << "the secrets are gone";
}

TEST_F(RoundSessionTest, LeavesInPlaceOfTheShares) {
  Open(Departure::kAfterMasking);
  ASSERT_OK(RunToEnd());
  EXPECT_EQ(journal_.lines,
            (Lines{"send advertise", "send shares", "masked", "send masked", "send leave"}));
  EXPECT_EQ(round_->end(), SessionEnd::kLeft);
  EXPECT_EQ(round_->state_name(), "aborted");
}

TEST_F(RoundSessionTest, ReconnectRepeatsTheAnswerAndChargesOnce) {
  Open();
  ASSERT_OK(Start());
  ASSERT_OK(GiveNext());  // M2
  ASSERT_OK(GiveNext());  // M4
  ASSERT_EQ(journal_.lines.back(), "send masked");
  // The coordinator has the vector and takes the copy for what it is.
  ASSERT_OK(Give(event::Reconnected{}));
  EXPECT_EQ(journal_.lines,
            (Lines{"send advertise", "send shares", "masked", "send masked", "send masked"}));
}

TEST_F(RoundSessionTest, NonsenseEndsTheSessionAtEveryStep) {
  for (int steps = 0; steps < 3; ++steps) {
    for (const FrameType type :
         {FrameType::kRoster, FrameType::kInbox, FrameType::kConfirmRequest,
          FrameType::kUnmaskRequest, FrameType::kClose, FrameType::kShares}) {
      SCOPED_TRACE(std::to_string(steps) + " " + std::string(wire::ToString(type)));
      RoundSessionTest_NonsenseEndsTheSessionAtEveryStep_Test fresh;
      fresh.SetUp();
      fresh.Open();
      ASSERT_OK(fresh.Start());
      for (int i = 0; i < steps; ++i) ASSERT_OK(fresh.GiveNext());
      const Lines before = fresh.journal_.lines;
      EXPECT_ERROR(fresh.Give(event::Message{type, Bytes(40, std::byte{7})}), ErrorCode::kAborted);
      EXPECT_EQ(fresh.journal_.lines, before);
      EXPECT_EQ(fresh.round_->end(), SessionEnd::kFailed);
      EXPECT_FALSE(fresh.round_->journal_failed());
      EXPECT_EQ(fresh.round_->state_name(), "aborted");
    }
  }
}

TEST_F(RoundSessionTest, StopIsSilent) {
  Open();
  ASSERT_OK(Start());
  ASSERT_OK(Give(event::Stop{}));
  EXPECT_EQ(round_->end(), SessionEnd::kStopped);
  EXPECT_EQ(journal_.lines, (Lines{"send advertise"}));
}

TEST_F(RoundSessionTest, WaitsAsLongAsThePlanSays) {
  Open();
  EXPECT_EQ(round_->WaitMs(), 0U);
  ASSERT_OK(Start());
  EXPECT_EQ(round_->WaitMs(), 2000U) << "the slowest training, then the slowest M1";
  ASSERT_OK(GiveNext());
  EXPECT_EQ(round_->WaitMs(), 1000U);
}

}  // namespace
}  // namespace demur::client
