#include <string>
#include <utility>
#include <vector>

#include "demur/secagg/cohort.h"
#include "demur/secagg/packing.h"
#include "device_round_fixture.h"

// A device against coordinators that follow the protocol and ones that do not, over loopback TLS.
namespace demur::client {
namespace {

// --- Scripts: named coroutines, everything by value or outliving the connection

// Loses the connection when the device sends `lost`, and goes on with the next one.
asio::awaitable<Status> LosesConnectionAt(ScriptedCoordinator& self, net::FrameStream& stream,
                                          std::uint32_t connection, FrameType lost) {
  if (connection == 0) {
    self.Announce();
    DEMUR_CO_RETURN_IF_ERROR(co_await self.Play(stream, lost));
    stream.Close();
    co_return Status();
  }
  DEMUR_CO_RETURN_IF_ERROR(co_await self.Play(stream));
  co_return co_await ScriptedCoordinator::Complete(stream);
}

// After M1 (where `after_m1`), or at once, sends `type` with a body of `len` bytes of nonsense, and
// waits for the device to hang up; the next connection is told to stay away.
asio::awaitable<Status> SendsNonsense(ScriptedCoordinator& self, net::FrameStream& stream,
                                      std::uint32_t connection, FrameType type, bool after_m1,
                                      std::size_t len) {
  if (connection > 0) {
    co_return co_await ScriptedCoordinator::Refuse(stream, ErrorCode::kPermissionDenied);
  }
  if (after_m1) {
    self.Announce();
    DEMUR_CO_RETURN_IF_ERROR(co_await self.Play(stream, FrameType::kAdvertise));
  }
  Bytes body(len, std::byte{0x5A});
  DEMUR_CO_RETURN_IF_ERROR(co_await ScriptedCoordinator::Send(stream, type, std::move(body)));
  const auto answer = co_await self.Read(stream);
  if (answer) co_return Error(ErrorCode::kInternal, "the device answered");
  if (answer.error().code() == ErrorCode::kDeadlineExceeded) co_return answer.error();
  co_return Status();
}

// Answers the request for the model with `blob`.
asio::awaitable<Status> SendsModel(ScriptedCoordinator& self, net::FrameStream& stream,
                                   std::uint32_t connection, Bytes blob) {
  if (connection > 0) {
    co_return co_await ScriptedCoordinator::Refuse(stream, ErrorCode::kPermissionDenied);
  }
  self.Announce();
  DEMUR_CO_RETURN_IF_ERROR(co_await self.Flush(stream));
  DEMUR_CO_TRY(const net::Frame request, co_await self.Read(stream));
  DEMUR_CO_TRY(const wire::FetchModel fetch, wire::DecodeFetchModel(request.body));
  if (fetch.model_hash != self.session.plan().model_hash) {
    co_return Error(ErrorCode::kInvalidArgument, "asked for another model");
  }
  DEMUR_CO_RETURN_IF_ERROR(co_await self.SendModel(stream, std::move(blob)));
  DEMUR_CO_TRY(const net::Frame leave, co_await self.Read(stream));
  if (leave.type != FrameType::kLeave) co_return Error(ErrorCode::kInternal, "no leave");
  const auto end = co_await self.Read(stream);
  if (end) co_return Error(ErrorCode::kInternal, "the device stayed");
  co_return Status();
}

// Names a time to come back, then `passing` without one, then refuses for good.
asio::awaitable<Status> BusyTwice(ScriptedCoordinator&, net::FrameStream& stream,
                                  std::uint32_t connection, ErrorCode passing) {
  const ErrorCode code = connection < 2 ? passing : ErrorCode::kPermissionDenied;
  co_return co_await ScriptedCoordinator::Refuse(stream, code, connection == 0 ? 1 : 0);
}

Script LoseAt(FrameType type) {
  return [type](ScriptedCoordinator& self, net::FrameStream& stream, std::uint32_t connection) {
    return LosesConnectionAt(self, stream, connection, type);
  };
}
Script Nonsense(FrameType type, bool after_m1, std::size_t len = 64) {
  return [type, after_m1, len](ScriptedCoordinator& self, net::FrameStream& stream,
                               std::uint32_t connection) {
    return SendsNonsense(self, stream, connection, type, after_m1, len);
  };
}
Script Model(Bytes blob) {
  return [blob](ScriptedCoordinator& self, net::FrameStream& stream, std::uint32_t connection) {
    return SendsModel(self, stream, connection, blob);
  };
}

// The scripted round, drawn from epoch 8 of `enrolled` devices; practically everybody is eligible.
model::Plan DrawnPlan(std::uint64_t enrolled) {
  secagg::PopulationStatement statement;
  statement.epoch = 8;
  statement.enrolled = enrolled;
  statement.unix_ms = FakeClock::kStart;
  model::Plan plan = testing::ScriptedPlan();
  plan.cohort.rate = ~std::uint32_t{0};
  plan.cohort.statement =
      secagg::SignStatement(testing::TestPki().authority_key(), statement).value();
  return plan;
}

// Plays until the device hangs up; when it is back it is turned away.
asio::awaitable<Status> PlayThenRefuse(ScriptedCoordinator& self, net::FrameStream& stream,
                                       std::uint32_t connection) {
  if (connection > 0) {
    co_return co_await ScriptedCoordinator::Refuse(stream, ErrorCode::kPermissionDenied);
  }
  self.Announce();
  const Status played = co_await self.Play(stream);
  if (played) co_return Error(ErrorCode::kInternal, "the device took part");
  co_return Status();
}

// What device 0 added to the sum.
std::vector<std::int64_t> OwnPart(ScriptedCoordinator& coordinator) {
  auto& session = coordinator.session;
  std::vector<std::uint32_t> sum = session.sum_ready()->sum;
  for (const secagg::MemberId& id : session.sum_ready()->survivors) {
    const std::uint32_t device = session.IndexOfDevice(id);
    if (device == 0) continue;
    const auto input = session.InputOf(device);
    for (std::size_t w = 0; w < sum.size(); ++w) sum[w] -= input[w];
  }
  const std::uint32_t bits = session.plan().encoding.bits;
  secagg::Reduce(sum, bits);
  std::vector<std::int64_t> out;
  for (const std::uint32_t value : sum) {
    const std::int64_t half = std::int64_t{1} << (bits - 1);
    out.push_back(value >= half ? std::int64_t{value} - 2 * half : std::int64_t{value});
  }
  return out;
}

// --- Rounds

TEST_F(DeviceRoundTest, WholeRoundAddsItsUpdateAndChargesOnce) {
  ASSERT_OK(RunWith(Options(), WholeRound));
  ASSERT_OK(coordinator_->script_status());
  EXPECT_EQ(coordinator_->received(),
            (Types{FrameType::kFetchModel, FrameType::kAdvertise, FrameType::kShares,
                   FrameType::kMasked, FrameType::kConfirm, FrameType::kUnmask}));
  ASSERT_TRUE(coordinator_->session.sum_ready());
  EXPECT_EQ(coordinator_->session.Survivors().size(), 20U);
  // Likes, a rejection and what was seen: clipped to norm 1, 16 units.
  const auto own = OwnPart(*coordinator_);
  std::int64_t squares = 0;
  for (const std::int64_t value : own) squares += value * value;
  EXPECT_GT(squares, 16);
  EXPECT_LT(squares, 512);
  EXPECT_GT(own[1 * 3 + 0], 0) << "a like of item 1";
  EXPECT_GT(own[4 * 3 + 1], 0) << "a rejection of item 4";
  EXPECT_EQ(own[2 * 3 + 0], 0) << "nothing about item 2";

  const DeviceCounts counts = device_->counts();
  EXPECT_EQ(counts.rounds_joined, 1U);
  EXPECT_EQ(counts.rounds_committed, 1U);
  EXPECT_EQ(counts.rounds_lost, 0U);
  EXPECT_EQ(counts.connections, 1U);
  ASSERT_NE(Record(), nullptr);
  EXPECT_EQ(Record()->account.participations, 1U);
  EXPECT_EQ(Record()->last_seen, coordinator_->session.plan().round);
  EXPECT_EQ(Record()->masked_round, coordinator_->session.plan().round);
  EXPECT_NE(Record()->confirmed_session, Hash256{});
  EXPECT_EQ(shelf_.size(), 1U);
}

TEST_F(DeviceRoundTest, ADrawnCohortIsAWholeRoundAndItsEpochIsKept) {
  ASSERT_OK(RunWith(Options(), WholeRound, DrawnPlan(20)));
  ASSERT_OK(coordinator_->script_status());
  EXPECT_EQ(device_->counts().rounds_committed, 1U);
  EXPECT_EQ(Record()->population_epoch, 8U);
}

// Numbers 2 to 20 were enrolled after the epoch was closed.
TEST_F(DeviceRoundTest, PeersOutsideThePopulationEndTheSession) {
  EXPECT_ERROR(RunWith(Options(), PlayThenRefuse, DrawnPlan(1)), ErrorCode::kPermissionDenied);
  EXPECT_EQ(coordinator_->received(), (Types{FrameType::kFetchModel, FrameType::kAdvertise}));
  EXPECT_EQ(device_->counts().rounds_lost, 1U);
  EXPECT_EQ(Record()->account.participations, 0U);
}

TEST_F(DeviceRoundTest, AStatementOfAnotherAuthorityIsRefusedForTheWholeTask) {
  model::Plan plan = DrawnPlan(20);
  plan.cohort.statement.back() ^= std::byte{1};
  ASSERT_OK(RunWith(Options(), LeavesOnly(wire::LeaveScope::kTask), plan));
  ASSERT_OK(coordinator_->script_status());
  EXPECT_EQ(device_->counts().plans_refused, 1U);
}

TEST_F(DeviceRoundTest, WhoIsNotDrawnLeavesTheRoundOnly) {
  model::Plan plan = DrawnPlan(20);
  plan.cohort.rate = 1;  // of 2^32
  ASSERT_OK(RunWith(Options(), LeavesOnly(wire::LeaveScope::kRound), plan));
  ASSERT_OK(coordinator_->script_status());
  EXPECT_EQ(device_->counts().plans_refused, 1U);
}

TEST_F(DeviceRoundTest, LostConnectionResumesTheSameSession) {
  for (const FrameType lost : {FrameType::kAdvertise, FrameType::kShares, FrameType::kMasked,
                               FrameType::kConfirm, FrameType::kUnmask}) {
    SCOPED_TRACE(ToString(lost));
    DeviceOptions options = Options();
    options.folder = folder_.File(std::string(ToString(lost)));
    ASSERT_OK(RunWith(options, LoseAt(lost)));
    ASSERT_OK(coordinator_->script_status());
    EXPECT_EQ(coordinator_->connections(), 2U);
    ASSERT_TRUE(coordinator_->session.sum_ready());
    EXPECT_EQ(coordinator_->session.Survivors().size(), 20U);
    EXPECT_EQ(device_->counts().rounds_committed, 1U);
    EXPECT_EQ(Record()->account.participations, 1U);
    coordinator_->Stop();
  }
}

TEST_F(DeviceRoundTest, DrillBeforeMaskingLeavesUncharged) {
  DeviceOptions options = Options();
  options.drill = {1000, DrillStage::kBeforeMasking};
  ASSERT_OK(RunWith(options, WholeRound));
  EXPECT_EQ(coordinator_->received(), (Types{FrameType::kFetchModel, FrameType::kAdvertise,
                                             FrameType::kShares, FrameType::kLeave}));
  ASSERT_TRUE(coordinator_->session.sum_ready());
  EXPECT_EQ(coordinator_->session.Survivors().size(), 19U);
  EXPECT_EQ(device_->counts().left_on_purpose, 1U);
  EXPECT_EQ(device_->counts().rounds_lost, 1U);
  ASSERT_NE(Record(), nullptr);
  EXPECT_EQ(Record()->account.participations, 0U);
  EXPECT_EQ(Record()->last_seen, coordinator_->session.plan().round);
}

TEST_F(DeviceRoundTest, DrillAfterMaskingLeavesCharged) {
  DeviceOptions options = Options();
  options.drill = {1000, DrillStage::kAfterMasking};
  ASSERT_OK(RunWith(options, WholeRound));
  EXPECT_EQ(coordinator_->received(),
            (Types{FrameType::kFetchModel, FrameType::kAdvertise, FrameType::kShares,
                   FrameType::kMasked, FrameType::kConfirm, FrameType::kLeave}));
  ASSERT_TRUE(coordinator_->session.sum_ready());
  EXPECT_EQ(coordinator_->session.Survivors().size(), 20U);
  EXPECT_EQ(device_->counts().left_on_purpose, 1U);
  EXPECT_EQ(Record()->account.participations, 1U);
  EXPECT_NE(Record()->confirmed_session, Hash256{}) << "it signed the survivor set";
}

TEST_F(DeviceRoundTest, MeasuresOnHeldOutEventsOnly) {
  DeviceOptions options = Options();
  options.held_out = 0.9;
  ASSERT_OK(RunWith(options, WholeRound));
  const auto metrics =
      asio::co_spawn(device_->executor(), device_->Measure(), asio::use_future).get();
  ASSERT_OK(metrics);
  // One train event adds at most two cells to the sum; what is held out adds none.
  std::size_t cells = 0;
  for (const std::int64_t value : OwnPart(*coordinator_)) cells += value != 0 ? 1U : 0U;
  EXPECT_LE(cells, 2 * (3 - metrics->events_held_out));
  EXPECT_GT(metrics->events_held_out, 0U);
}

// --- Refusals

TEST_F(DeviceRoundTest, WeakerPlanIsRefusedWithALeave) {
  model::Plan plan = testing::ScriptedPlan();
  plan.secagg.corrupt_permille = 49;
  ASSERT_OK(RunWith(Options(), LeavesOnly(wire::LeaveScope::kTask), plan));
  ASSERT_OK(coordinator_->script_status());
  EXPECT_EQ(coordinator_->received(), Types{FrameType::kLeave});
  EXPECT_EQ(device_->counts().plans_refused, 1U);
  EXPECT_NE(device_->counts().last_refusal, "");
  EXPECT_EQ(device_->counts().rounds_joined, 0U);
  EXPECT_EQ(Record(), nullptr);
}

TEST_F(DeviceRoundTest, PlanWithoutNoiseNeedsTheOwnersWord) {
  DeviceOptions options = Options();
  options.floor.privacy.allow_no_noise = false;
  ASSERT_OK(RunWith(options, LeavesOnly(wire::LeaveScope::kTask)));
  ASSERT_OK(coordinator_->script_status());
  EXPECT_EQ(coordinator_->received(), Types{FrameType::kLeave});
}

TEST_F(DeviceRoundTest, UnknownHyperParameterIsRefusedBeforeM1) {
  model::Plan plan = testing::ScriptedPlan();
  plan.training.hyper = {{"no_such_parameter", 1}};
  ASSERT_EQ(shelf_.size(), 0U);
  ASSERT_OK_AND_ASSIGN(const ModelPtr held, shelf_.Put(plan, testing::ScriptedModel().Canonical()));
  ASSERT_OK(RunWith(Options(), LeavesOnly(wire::LeaveScope::kRound), plan));
  ASSERT_OK(coordinator_->script_status());
  EXPECT_EQ(coordinator_->received(), Types{FrameType::kLeave});
  ASSERT_NE(Record(), nullptr);
  EXPECT_EQ(Record()->account.participations, 0U);
}

// Slow hellos and full coordinators pass; a device must not be lost for good by them.
TEST_F(DeviceRoundTest, OnlyAFinalCodeEndsTheRun) {
  for (const ErrorCode passing : {ErrorCode::kDeadlineExceeded, ErrorCode::kUnavailable,
                                  ErrorCode::kResourceExhausted, ErrorCode::kInternal}) {
    SCOPED_TRACE(ToString(passing));
    DeviceOptions options = Options();
    options.folder = folder_.File(std::string(ToString(passing)));
    EXPECT_ERROR(RunWith(options,
                         [passing](ScriptedCoordinator& self, net::FrameStream& stream,
                                   std::uint32_t connection) {
                           return BusyTwice(self, stream, connection, passing);
                         }),
                 ErrorCode::kPermissionDenied);
    EXPECT_EQ(coordinator_->connections(), 3U);
    coordinator_->Stop();
  }
}

TEST_F(DeviceRoundTest, ExpiredCertificateEndsTheRun) {
  Open(Options(), WholeRound);
  clock_.Advance(std::chrono::hours(48));
  EXPECT_ERROR(asio::co_spawn(device_->executor(), device_->Run(), asio::use_future).get(),
               ErrorCode::kFailedPrecondition);
  EXPECT_EQ(coordinator_->connections(), 0U);
}

// --- Hostile coordinators

TEST_F(DeviceRoundTest, NonsenseEndsSessionAndConnection) {
  for (const FrameType type :
       {FrameType::kAnnounce, FrameType::kRoster, FrameType::kInbox, FrameType::kConfirmRequest,
        FrameType::kUnmaskRequest, FrameType::kClose, FrameType::kRefusal, FrameType::kWelcome,
        FrameType::kModelBlob, FrameType::kMasked, FrameType::kEnrolReply}) {
    SCOPED_TRACE(ToString(type));
    DeviceOptions options = Options();
    options.folder = folder_.File(std::string(ToString(type)));
    EXPECT_ERROR(RunWith(options, Nonsense(type, true)), ErrorCode::kPermissionDenied);
    ASSERT_OK(coordinator_->script_status());
    EXPECT_EQ(device_->counts().rounds_lost, 1U);
    EXPECT_EQ(device_->counts().rounds_committed, 0U);
    EXPECT_EQ(Record()->account.participations, 0U);
    coordinator_->Stop();
  }
}

TEST_F(DeviceRoundTest, NonsenseOutsideARoundEndsTheConnection) {
  for (const FrameType type : {FrameType::kAnnounce, FrameType::kWelcome, FrameType::kHello,
                               FrameType::kModelBlob, FrameType::kUnmask}) {
    SCOPED_TRACE(ToString(type));
    DeviceOptions options = Options();
    options.folder = folder_.File(std::string(ToString(type)));
    EXPECT_ERROR(RunWith(options, Nonsense(type, false)), ErrorCode::kPermissionDenied);
    ASSERT_OK(coordinator_->script_status());
    EXPECT_EQ(device_->counts().rounds_joined, 0U);
    coordinator_->Stop();
  }
}

TEST_F(DeviceRoundTest, WrongModelIsNeverTrainedOn) {
  Bytes other = testing::ScriptedModel().Canonical();
  other[0] ^= std::byte{1};
  Bytes shorter = testing::ScriptedModel().Canonical();
  shorter.pop_back();
  for (const Bytes& blob : {other, shorter, Bytes{}}) {
    SCOPED_TRACE(blob.size());
    DeviceOptions options = Options();
    options.folder =
        folder_.File("device" + std::to_string(blob.size()) + std::to_string(device_ ? 1 : 0));
    EXPECT_ERROR(RunWith(options, Model(blob)), ErrorCode::kPermissionDenied);
    ASSERT_OK(coordinator_->script_status());
    EXPECT_EQ(device_->counts().rounds_joined, 0U);
    EXPECT_EQ(device_->counts().plans_refused, 1U);
    EXPECT_EQ(shelf_.size(), 0U);
    coordinator_->Stop();
  }
}

// The plan's own value_max, which the hash cannot vouch for.
TEST_F(DeviceRoundTest, ModelBeyondValueMaxIsNeverTrainedOn) {
  model::Plan plan = testing::ScriptedPlan();
  plan.training.value_max = 0.2;
  EXPECT_ERROR(RunWith(Options(), Model(testing::ScriptedModel().Canonical()), plan),
               ErrorCode::kPermissionDenied);
  EXPECT_EQ(device_->counts().rounds_joined, 0U);
}

TEST_F(DeviceRoundTest, StopEndsARunInTheMiddleOfARound) {
  Open(Options(), Silence);
  auto run = asio::co_spawn(device_->executor(), device_->Run(), asio::use_future);
  coordinator_->AwaitAdvertise();
  device_->Stop();
  EXPECT_OK(run.get());
  EXPECT_EQ(device_->counts().rounds_lost, 1U);
  EXPECT_OK(asio::co_spawn(device_->executor(), device_->Run(), asio::use_future).get());
}

}  // namespace
}  // namespace demur::client
