#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "demur/authority/authority.h"
#include "demur/authority/enrol_server.h"
#include "demur/base/clock.h"
#include "demur/base/file.h"
#include "demur/base/process.h"
#include "demur/client/device.h"
#include "demur/coordinator/deployment.h"
#include "demur/coordinator/recovery.h"
#include "demur/coordinator/round_store.h"
#include "demur/coordinator/server.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/operator_files.h"
#include "demur/crypto/system_random.h"
#include "demur/secagg/cohort.h"
#include "demur/simulations/federation.h"
#include "demur/wire/token.h"
#include "device_floor.h"

namespace demur::sim {
namespace {

constexpr std::string_view kServerName = "coordinator.demur.internal";
constexpr std::uint64_t kDescriptorsPerDevice = 8;  // two ends of a socket, a store with its log
constexpr std::uint64_t kSpareDescriptors = 256;
constexpr std::int64_t kTokenSeconds = 3600;
constexpr unsigned kIoThreads = 2;

// Keys, masks and nonces are the system's, also here; what decides the model's bytes repeats.
class WireRandom final : public RandomSource {
 public:
  explicit WireRandom(RandomSource& repeating) : repeating_(repeating) {}
  Result<std::unique_ptr<RandomStream>> Stream(const StreamId& id) override {
    return SourceOf(id.purpose).Stream(id);
  }
  Result<std::unique_ptr<RandomBlocks>> Blocks(const StreamId& id) override {
    return SourceOf(id.purpose).Blocks(id);
  }

 private:
  RandomSource& SourceOf(Purpose purpose) {
    const bool secret = purpose == Purpose::kKeys || purpose == Purpose::kMasks;
    return secret ? static_cast<RandomSource&>(system_) : repeating_;
  }
  crypto::SystemRandom system_;
  RandomSource& repeating_;
};

// The same task without deadlines, and with everybody there before the first round: what a fast
// simulation computes must not hang on who was quick.
Result<coordinator::PreparedTask> WithoutClocks(const coordinator::PreparedTask& task,
                                                std::uint32_t people) {
  coordinator::TaskConfig config = task.config();
  const model::Plan& plan = task.plan_template();
  config.training.normaliser = plan.training.normaliser;
  config.secagg.roster_max = plan.secagg.roster_max;
  config.cohort = std::min(config.cohort, people);
  config.connected_min = people;
  const std::uint32_t reconnect_ms = config.timeouts.reconnect_ms;
  config.timeouts = {.training_ms = 0,
                     .advertise_ms = 0,
                     .share_ms = 0,
                     .mask_ms = 0,
                     .confirm_ms = 0,
                     .unmask_ms = 0,
                     .retry_ms = 0,
                     .reconnect_ms = reconnect_ms};
  return coordinator::PreparedTask::Create(std::move(config));
}

// Real devices, a real authority and a real coordinator in one process, over TLS on the loopback.
class WireFederation final : public Federation {
 public:
  WireFederation(coordinator::PreparedTask task, const FederationSetup& setup, std::string folder)
      : task_(std::move(task)),
        people_(setup.people),
        drill_(setup.options.drill),
        folder_(std::move(folder)),
        random_(setup.random),
        workers_(setup.workers.size()),
        states_(setup.people.size()) {}
  ~WireFederation() override;
  WireFederation(const WireFederation&) = delete;
  WireFederation& operator=(const WireFederation&) = delete;

  Status Start();
  Result<RoundRow> RunRound() override;

  const model::SharedModel& model() const noexcept override { return model_; }
  const model::PrivateState& state(std::uint32_t user) const override { return states_[user]; }
  const coordinator::PreparedTask& task() const noexcept override { return task_; }
  std::string cohort_rule() const override {
    return secagg::DescribeCohort(task_.config().eligibility.RateUnits(),
                                  population_ ? &*population_ : nullptr);
  }
  Result<std::optional<dp::EpsilonReport>> Spent() const override;

 private:
  // Where the coordinator's thread and the caller's meet, between two rounds.
  struct Meeting {
    std::mutex mutex;
    std::condition_variable changed;
    bool go = false;       // the next round may be drawn
    bool leaving = false;  // nobody will ask for another round
    std::optional<RoundRow> row;
    model::SharedModel model;
    std::optional<Result<coordinator::StopReason>> stopped;
    std::size_t running = 0;             // devices
    std::optional<Error> device_failed;  // the first
  };

  std::string CoordinatorFolder() const { return folder_ + "/coordinator"; }
  Status StartCoordinator();
  Status EnrolDevices();
  Status ClosePopulation();
  void RunDevices();
  void OnRound(const coordinator::RoundOutcome& outcome);
  Status RefreshStates();
  std::uint64_t LeftOnPurpose() const;

  coordinator::PreparedTask task_;
  const People& people_;
  client::DrillPlan drill_;
  std::string folder_;
  WireRandom random_;
  SystemClock clock_;
  client::ModelShelf shelf_;
  asio::thread_pool io_{kIoThreads};
  asio::thread_pool workers_;
  Meeting meeting_;

  std::unique_ptr<authority::Authority> authority_;
  std::optional<secagg::PopulationStatement> population_;
  std::unique_ptr<coordinator::Server> server_;
  std::thread watcher_;  // tells the meeting that the server has stopped
  std::vector<std::unique_ptr<client::Device>> devices_;
  bool started_ = false;
  std::uint32_t round_ = 0;
  std::uint64_t left_before_ = 0;

  model::SharedModel model_;
  std::vector<model::PrivateState> states_;
};

WireFederation::~WireFederation() {
  {
    const std::lock_guard lock(meeting_.mutex);
    meeting_.leaving = true;
    meeting_.changed.notify_all();
  }
  for (const auto& device : devices_) device->Stop();
  if (server_) server_->Stop();
  if (watcher_.joinable()) watcher_.join();
  server_.reset();
  {
    std::unique_lock lock(meeting_.mutex);
    meeting_.changed.wait(lock, [this] { return meeting_.running == 0; });
  }
  devices_.clear();
  workers_.join();
  io_.join();
}

Status WireFederation::Start() {
  DEMUR_RETURN_IF_ERROR(
      RaiseDescriptorLimit(people_.size() * kDescriptorsPerDevice + kSpareDescriptors));
  DEMUR_RETURN_IF_ERROR(MakeFolder(folder_));
  DEMUR_TRY(task_, WithoutClocks(task_, people_.size()));
  DEMUR_RETURN_IF_ERROR(StartCoordinator());
  DEMUR_RETURN_IF_ERROR(EnrolDevices());
  if (task_.config().eligibility.RateUnits() == 0) return {};
  return ClosePopulation();
}

Status WireFederation::ClosePopulation() {
  DEMUR_TRY(population_, authority_->CloseEpoch());
  DEMUR_TRY(const Bytes statement,
            ReadFile(folder_ + "/authority/" + std::string(authority::kPopulationFile),
                     model::kMaxStatementLen));
  return WriteFileAtomically(CoordinatorFolder() + "/" + std::string(coordinator::kPopulationFile),
                             statement, FileMode::kPublic);
}

// The operator's part: two folders, a request, a certificate.
Status WireFederation::StartCoordinator() {
  const std::string authority_folder = folder_ + "/authority";
  crypto::SystemRandom system;
  DEMUR_RETURN_IF_ERROR(
      authority::Authority::Init(authority_folder, "demur simulation", clock_, system));
  DEMUR_TRY(authority_, authority::Authority::Open(authority_folder, clock_, random_));
  DEMUR_RETURN_IF_ERROR(
      coordinator::InitDeployment(CoordinatorFolder(), kServerName, task_.config(), random_));
  const std::string folder = CoordinatorFolder() + "/";
  DEMUR_TRY(const std::string text, ReadTextFile(folder + std::string(coordinator::kRequestFile),
                                                 crypto::kOperatorFileMaxLen));
  DEMUR_TRY(const crypto::CertifyRequest request, crypto::ParseCertifyRequest(text));
  // The port is known only once the server listens, and it listens only with a certificate, which
  // does not name the port: certified now for the name, and again below for the tokens.
  DEMUR_TRY(const Bytes certificate, authority_->Certify(request, {"127.0.0.1", 1}));
  DEMUR_RETURN_IF_ERROR(crypto::WriteCertificateFile(
      folder + std::string(coordinator::kCertificateFile), certificate));
  DEMUR_RETURN_IF_ERROR(crypto::WriteCertificateFile(
      folder + std::string(coordinator::kAuthorityFile), authority_->certificate()));
  DEMUR_TRY(coordinator::Deployment deployment, coordinator::LoadDeployment(CoordinatorFolder()));
  coordinator::ServerOptions options;
  options.max_connections = people_.size() + kIoThreads;
  options.on_round = [this](const coordinator::RoundOutcome& outcome) { OnRound(outcome); };
  DEMUR_TRY(server_, coordinator::Server::Start(std::move(deployment), clock_, random_,
                                                io_.get_executor(), std::move(options)));
  watcher_ = std::thread([this] {
    Result<coordinator::StopReason> reason = server_->Wait();
    const std::lock_guard lock(meeting_.mutex);
    meeting_.stopped = std::move(reason);
    meeting_.changed.notify_all();
  });
  DEMUR_TRY(model_,
            task_.server_step().InitialModel(random_, coordinator::InitialModelStream(task_.id())));
  DEMUR_TRY(const Bytes with_port, authority_->Certify(request, {"127.0.0.1", server_->port()}));
  (void)with_port;
  return {};
}

// In the order of people, so that person u is device kFirstDevice + u.
Status WireFederation::EnrolDevices() {
  authority::EnrolServerOptions options;
  DEMUR_TRY(const auto listener,
            authority::EnrolServer::Start(*authority_, clock_, io_.get_executor(), options));
  authority::TokenRequest request;
  request.devices = people_.size();
  request.lifetime_s = kTokenSeconds;
  request.enrolment_address = {"127.0.0.1", listener->port()};
  DEMUR_TRY(const SecretBytes text, authority_->MakeToken(request));
  DEMUR_TRY(const wire::Token token, wire::ParseToken(AsText(text.view())));
  const client::DeviceTools tools{random_, clock_, shelf_, io_, workers_};
  for (std::uint32_t user = 0; user < people_.size(); ++user) {
    client::DeviceOptions device;
    device.folder = folder_ + "/device-" + std::to_string(DeviceOf(user).value);
    device.floor = FloorFor(task_.plan_template());
    device.floor.allow_no_deadline = true;
    device.floor.population_corrupt_permille = 0;  // simulated people are honest
    device.drill = drill_;
    device.signals = people_.signals();
    DEMUR_TRY(auto opened, client::Device::Open(std::move(device), tools));
    DEMUR_RETURN_IF_ERROR(opened->Record(people_.person(user).split.train).get());
    DEMUR_RETURN_IF_ERROR(
        asio::co_spawn(opened->executor(), opened->Enrol(token.Clone()), asio::use_future).get());
    if (opened->number() != DeviceOf(user)) {
      return Error(ErrorCode::kInternal, "a simulated device got another number than its person");
    }
    devices_.push_back(std::move(opened));
  }
  listener->Stop();
  return {};
}

void WireFederation::RunDevices() {
  const std::lock_guard lock(meeting_.mutex);
  for (const auto& device : devices_) {
    ++meeting_.running;
    asio::co_spawn(device->executor(), device->Run(),
                   [this](std::exception_ptr failure, Status status) {
                     const std::lock_guard inner(meeting_.mutex);
                     --meeting_.running;
                     if (failure) status = Error(ErrorCode::kInternal, "a device threw");
                     if (!status && !meeting_.device_failed)
                       meeting_.device_failed = status.error();
                     meeting_.changed.notify_all();
                   });
  }
}

// On the coordinator's thread: hands the round over and waits until the next one is wanted.
void WireFederation::OnRound(const coordinator::RoundOutcome& outcome) {
  RoundRow row;
  row.committed = outcome.report.committed;
  row.cohort = outcome.report.cohort;
  row.rows = outcome.report.rows > 0 ? outcome.report.rows : task_.layout().num_rows();
  row.update_norm = outcome.update_norm;
  row.before_masking = outcome.report.cohort - outcome.report.survivors;
  std::unique_lock lock(meeting_.mutex);
  meeting_.row = std::move(row);
  meeting_.model = outcome.model;
  meeting_.go = false;
  meeting_.changed.notify_all();
  meeting_.changed.wait(lock, [this] { return meeting_.go || meeting_.leaving; });
}

Result<RoundRow> WireFederation::RunRound() {
  const auto begin = clock_.Monotonic();
  if (!started_) RunDevices();
  started_ = true;
  RoundRow row;
  {
    std::unique_lock lock(meeting_.mutex);
    meeting_.go = true;
    meeting_.changed.notify_all();
    meeting_.changed.wait(
        lock, [this] { return meeting_.row || meeting_.stopped || meeting_.device_failed; });
    if (!meeting_.row && meeting_.device_failed) return *meeting_.device_failed;
    if (!meeting_.row) {
      if (!*meeting_.stopped) return meeting_.stopped->error();
      return Error(ErrorCode::kResourceExhausted, std::string(ToString(**meeting_.stopped)));
    }
    row = *std::exchange(meeting_.row, std::nullopt);
    model_ = meeting_.model;
  }
  row.round = ++round_;
  const std::uint64_t left = LeftOnPurpose();
  const auto leavers = static_cast<std::uint32_t>(left - std::exchange(left_before_, left));
  row.after_masking = leavers - std::min(leavers, row.before_masking);
  DEMUR_RETURN_IF_ERROR(RefreshStates());
  row.wall_ms = std::chrono::duration<double, std::milli>(clock_.Monotonic() - begin).count();
  return row;
}

std::uint64_t WireFederation::LeftOnPurpose() const {
  std::uint64_t total = 0;
  for (const auto& device : devices_) total += device->counts().left_on_purpose;
  return total;
}

Status WireFederation::RefreshStates() {
  for (std::uint32_t user = 0; user < people_.size(); ++user) {
    DEMUR_TRY(states_[user], asio::co_spawn(devices_[user]->executor(),
                                            devices_[user]->State(task_.id()), asio::use_future)
                                 .get());
  }
  return {};
}

Result<std::optional<dp::EpsilonReport>> WireFederation::Spent() const {
  if (!task_.plan_template().privacy.noise) return std::optional<dp::EpsilonReport>();
  DEMUR_TRY(
      coordinator::RoundStore store,
      coordinator::RoundStore::Open(CoordinatorFolder(), coordinator::RoundStore::Access::kRead));
  DEMUR_TRY(const coordinator::Snapshot snapshot, store.Load());
  DEMUR_TRY(const dp::Ledger ledger, coordinator::ReplayLedger(snapshot, task_));
  if (ledger.rounds_charged() == 0) return std::optional<dp::EpsilonReport>();
  DEMUR_TRY(const dp::EpsilonReport report, ledger.Report());
  return std::optional<dp::EpsilonReport>(report);
}

}  // namespace

Result<std::unique_ptr<Federation>> MakeWireFederation(coordinator::PreparedTask task,
                                                       const FederationSetup& setup,
                                                       const std::string& folder) {
  if (setup.options.noise == NoiseMode::kAggregate && task.plan_template().privacy.noise) {
    return Error(ErrorCode::kInvalidArgument,
                 "scenario.noise: real devices draw their own noise; write \"per_device\"");
  }
  auto federation = std::make_unique<WireFederation>(std::move(task), setup, folder);
  DEMUR_RETURN_IF_ERROR(federation->Start());
  return std::unique_ptr<Federation>(std::move(federation));
}

}  // namespace demur::sim
