#include <algorithm>
#include <filesystem>
#include <future>
#include <utility>
#include <vector>

#include "device_round_fixture.h"
#include "failing_keys.h"

// What a device remembers, records, ranks and forgets, between its app, its disk and a coordinator.
namespace demur::client {
namespace {

using DeviceStoreTest = DeviceRoundTest;
using learning::Signal;

// Loses the connection while the model is on its way, and tells the next one of the same round.
asio::awaitable<Status> LosesTheModel(ScriptedCoordinator& self, net::FrameStream& stream,
                                      std::uint32_t connection) {
  if (connection == 0) {
    self.Announce();
    DEMUR_CO_RETURN_IF_ERROR(co_await self.Play(stream, FrameType::kFetchModel));
    stream.Close();
    co_return Status();
  }
  self.AnnounceAgain();
  DEMUR_CO_RETURN_IF_ERROR(co_await self.Play(stream));
  co_return co_await ScriptedCoordinator::Complete(stream);
}

// Tells one connection of the same round twice; the device leaves it the first time.
asio::awaitable<Status> AnnouncesAgainAfterALeave(ScriptedCoordinator& self,
                                                  net::FrameStream& stream, std::uint32_t) {
  self.Announce();
  for (int i = 0; i < 2; ++i) {
    DEMUR_CO_RETURN_IF_ERROR(co_await self.Flush(stream));
    DEMUR_CO_TRY(const net::Frame frame, co_await self.Read(stream));
    if (frame.type != FrameType::kLeave) co_return Error(ErrorCode::kInternal, "no leave");
    self.AnnounceAgain();
  }
  co_return co_await ScriptedCoordinator::Complete(stream);
}

// --- What is remembered of a round

TEST_F(DeviceStoreTest, ARoundIsRememberedBeforeAnythingOfItIsSent) {
  ASSERT_OK(RunWith(Options(), AnnounceAndRead));
  ASSERT_EQ(coordinator_->received(), Types{FrameType::kFetchModel});
  ASSERT_NE(Record(), nullptr);
  EXPECT_EQ(Record()->last_seen, coordinator_->session.plan().round);
  EXPECT_EQ(Record()->account.participations, 0U);
  EXPECT_EQ(device_->counts().rounds_joined, 0U);
}

TEST_F(DeviceStoreTest, ALostConnectionDoesNotCostTheRoundThatIsBeingPrepared) {
  ASSERT_OK(RunWith(Options(), LosesTheModel));
  ASSERT_OK(coordinator_->script_status());
  EXPECT_EQ(coordinator_->connections(), 2U);
  EXPECT_EQ(device_->counts().rounds_committed, 1U);
  EXPECT_EQ(device_->counts().plans_refused, 0U);
  EXPECT_EQ(Record()->account.participations, 1U);
}

TEST_F(DeviceStoreTest, ARoundThatWasLeftIsNotTakenUpAgain) {
  model::Plan plan = testing::ScriptedPlan();
  plan.training.hyper = {{"no_such_parameter", 1}};
  ASSERT_OK_AND_ASSIGN(const ModelPtr held, shelf_.Put(plan, testing::ScriptedModel().Canonical()));
  ASSERT_OK(RunWith(Options(), AnnouncesAgainAfterALeave, plan));
  ASSERT_OK(coordinator_->script_status());
  EXPECT_EQ(device_->counts().plans_refused, 2U);
  EXPECT_NE(device_->counts().last_refusal.find("last one seen"), std::string::npos)
      << device_->counts().last_refusal;
}

// A script that expects a whole round does not wait for a device that will not take part.
TEST_F(DeviceStoreTest, AWholeRoundOfARefusedPlanEndsTheRun) {
  DeviceOptions options = Options();
  options.floor.eta_min = 21;
  ASSERT_OK(RunWith(options, WholeRound));
  EXPECT_ERROR(coordinator_->script_status(), ErrorCode::kAborted);
  EXPECT_EQ(coordinator_->connections(), 1U);
  EXPECT_EQ(coordinator_->received(), Types{FrameType::kLeave});
  EXPECT_EQ(device_->counts().plans_refused, 1U);
  EXPECT_NE(device_->counts().last_refusal.find("secagg.eta"), std::string::npos);
}

// --- A store that fails

TEST_F(DeviceStoreTest, AFailingStoreEndsTheRunAndIsNobodyElsesFault) {
  for (const auto& [saves, sent] :
       {std::pair{0, Types{FrameType::kLeave}},
        {1, Types{FrameType::kFetchModel, FrameType::kAdvertise, FrameType::kShares}},
        {2, Types{FrameType::kAdvertise, FrameType::kShares, FrameType::kMasked}}}) {
    SCOPED_TRACE(saves);
    DeviceOptions options = Options();
    options.folder = folder_.File("failing" + std::to_string(saves));
    auto keys =
        std::make_shared<testing::FailingKeys>(folder_.File("keys" + std::to_string(saves)));
    options.keys = keys;
    Open(options, WholeRound);
    ASSERT_FALSE(HasFatalFailure());
    keys->FailAfter(saves);
    ::testing::internal::CaptureStderr();
    const Status status =
        asio::co_spawn(device_->executor(), device_->Run(), asio::use_future).get();
    const std::string log = ::testing::internal::GetCapturedStderr();
    EXPECT_ERROR(status, ErrorCode::kFailedPrecondition);
    EXPECT_NE(status.error().message().find(options.folder), std::string::npos);
    EXPECT_NE(status.error().message().find("open it again"), std::string::npos);
    EXPECT_NE(log.find("device_store_failed"), std::string::npos) << log;
    EXPECT_EQ(log.find("coordinator_fault"), std::string::npos) << log;
    EXPECT_EQ(log.find("plan_refused"), std::string::npos) << log;
    EXPECT_EQ(coordinator_->connections(), 1U);
    EXPECT_EQ(device_->counts().plans_refused, 0U);
    EXPECT_ERROR(asio::co_spawn(device_->executor(), device_->Run(), asio::use_future).get(),
                 ErrorCode::kFailedPrecondition);
    coordinator_->Stop();
    EXPECT_EQ(coordinator_->received(), sent);
  }
}

TEST_F(DeviceStoreTest, TheAppsKeyProviderHoldsTheKey) {
  DeviceOptions options = Options();
  options.keys = std::make_shared<testing::FailingKeys>(folder_.File("keystore"));
  ASSERT_OK(RunWith(options, WholeRound));
  EXPECT_EQ(device_->counts().rounds_committed, 1U);
  EXPECT_TRUE(std::filesystem::exists(folder_.File("keystore") + "/store.key"));
  EXPECT_FALSE(std::filesystem::exists(options.folder + "/store.key"));
}

// --- Recording and ranking

learning::Event EventOf(std::uint32_t item, Signal signal) {
  return {ItemId(item), signal, FakeClock::kStart, 0};
}

std::vector<std::uint32_t> Shown(const Result<Ranker>& ranker) {
  std::vector<std::uint32_t> items;
  EXPECT_OK(ranker);
  if (!ranker) return items;
  const auto list = ranker->Rank(testing::kItems);
  EXPECT_OK(list);
  for (const Ranked& ranked : *list) items.push_back(ranked.item.value);
  std::sort(items.begin(), items.end());
  return items;
}

TEST_F(DeviceStoreTest, RankingHidesAtOnceWhatAnyThreadRecords) {
  ASSERT_OK(RunWith(Options(), WholeRound));
  EXPECT_EQ(Shown(device_->MakeRanker().get()),
            (std::vector<std::uint32_t>{0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11}))
      << "item 4 was disliked before the round";
  // Nobody waits in between: the calls take effect in their order.
  (void)device_->Record(EventOf(7, Signal::kHide));
  const auto ranker = device_->MakeRanker().get();
  EXPECT_EQ(Shown(ranker), (std::vector<std::uint32_t>{0, 1, 2, 3, 5, 6, 8, 9, 10, 11}));
  ASSERT_OK_AND_ASSIGN(const Explanation why, ranker->Explain(ItemId(7)));
  EXPECT_TRUE(why.hidden);
  EXPECT_EQ(device_->store().num_events(), 4U);
}

TEST_F(DeviceStoreTest, RecordsWhileARoundIsRunning) {
  Open(Options(), Silence);
  auto run = asio::co_spawn(device_->executor(), device_->Run(), asio::use_future);
  coordinator_->AwaitAdvertise();
  EXPECT_OK(device_->Record({EventOf(2, Signal::kLike), EventOf(3, Signal::kDislike)}).get());
  EXPECT_EQ(Shown(device_->MakeRanker().get()),
            (std::vector<std::uint32_t>{0, 1, 2, 5, 6, 7, 8, 9, 10, 11}))
      << "with the model of the round that is running";
  device_->Stop();
  EXPECT_OK(run.get());
  EXPECT_EQ(device_->store().num_events(), 5U);
}

TEST_F(DeviceStoreTest, WithoutAModelThereIsNoRanking) {
  Open(Options(), WholeRound);
  const auto ranker = device_->MakeRanker().get();
  EXPECT_ERROR(ranker, ErrorCode::kNotFound);
}

TEST_F(DeviceStoreTest, OptionsOutOfRangeAreFoundByOpen) {
  DeviceOptions options = Options();
  options.suppression.eta = -1;
  const DeviceTools tools{random_, clock_, shelf_, io_, workers_};
  EXPECT_ERROR(Device::Open(options, tools), ErrorCode::kInvalidArgument);
}

TEST_F(DeviceStoreTest, APromiseIsKeptWhenTheThreadsEnd) {
  std::future<Status> recorded;
  std::future<Result<Ranker>> ranked;
  {
    asio::thread_pool io(1);
    const DeviceTools tools{random_, clock_, shelf_, io, workers_};
    DeviceOptions options = Options();
    ASSERT_OK_AND_ASSIGN(const auto device, Device::Open(options, tools));
    io.stop();
    io.join();
    recorded = device->Record(EventOf(1, Signal::kLike));
    ranked = device->MakeRanker();
  }
  EXPECT_ERROR(recorded.get(), ErrorCode::kAborted);
  EXPECT_ERROR(ranked.get(), ErrorCode::kAborted);
}

// --- Purge

TEST_F(DeviceStoreTest, PurgeWaitsForTheEndOfTheRun) {
  Open(Options(), Silence);
  auto run = asio::co_spawn(device_->executor(), device_->Run(), asio::use_future);
  coordinator_->AwaitAdvertise();
  EXPECT_ERROR(device_->Purge().get(), ErrorCode::kFailedPrecondition);
  EXPECT_TRUE(device_->enrolled());
  device_->Stop();
  EXPECT_OK(run.get());
  EXPECT_EQ(device_->store().num_events(), 3U) << "nothing was erased";

  EXPECT_OK(device_->Purge().get());
  EXPECT_FALSE(device_->enrolled());
  EXPECT_EQ(device_->expires_unix_ms(), 0);
  EXPECT_EQ(device_->store().num_events(), 0U);
  EXPECT_ERROR(device_->store().LoadIdentity(), ErrorCode::kNotFound);
  ASSERT_OK_AND_ASSIGN(const auto state,
                       device_->store().LoadState(coordinator_->session.plan().task));
  EXPECT_TRUE(state.values.empty());
  ASSERT_NE(Record(), nullptr) << "what the task has cost stays";
  EXPECT_EQ(Record()->last_seen, coordinator_->session.plan().round);
  EXPECT_ERROR(device_->MakeRanker().get(), ErrorCode::kNotFound);
  EXPECT_ERROR(asio::co_spawn(device_->executor(), device_->Run(), asio::use_future).get(),
               ErrorCode::kNotFound);
}

}  // namespace
}  // namespace demur::client
