#include <asio/post.hpp>
#include <utility>

#include "demur/base/fault.h"
#include "demur/base/log.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/hash.h"
#include "demur/dp/accountant.h"
#include "demur/dp/decoder.h"
#include "engine.h"

// How each effect of the round machine is made to happen (engine.h).
namespace demur::coordinator {
namespace {

constexpr std::uint32_t kRoundsShown = 50;

// A point for crash tests before each kind of message goes out.
void SendPoint(wire::FrameType type) {
  FaultPoint("coordinator.send_" + std::string(ToString(type)));
}

struct PushFrame {
  ConnectionPtr connection;
  wire::FrameType type;
  std::shared_ptr<const Bytes> frame;

  void operator()() const {
    // Refused: the device reads too slowly, or the connection is closing already.
    if (!connection->outbox.Push(type, frame)) connection->stream->Close();
  }
};

Hash256 HashWords(const std::vector<std::uint32_t>& words) {
  ByteWriter writer;
  for (const std::uint32_t word : words) writer.U32(word);
  return crypto::Sha256(writer.bytes());
}

Result<Hash256> DrawNonce(RandomSource& random, const TaskId& task, const dp::RoundKey& key) {
  StreamId id;
  id.task = StreamTask(task);
  id.round = key.round.Packed();
  id.attempt = key.attempt;
  id.client = kNoClient;
  id.purpose = Purpose::kKeys;
  DEMUR_TRY(const auto stream, random.Stream(id));
  Hash256 nonce{};
  DEMUR_RETURN_IF_ERROR(stream->Fill(nonce));
  return nonce;
}

// What a certificate is checked against. Pure for the life of a session: the time, the list and the
// population are those of its start.
struct RosterRules {
  crypto::CertificateVerifier verifier;
  std::int64_t unix_ms = 0;
  crypto::RevocationList revoked;
  std::optional<secagg::PopulationStatement> population;
  model::Plan plan;
};

// A device's certificate as the roster shows it.
secagg::CertificateCheck CheckOf(RosterRules all) {
  return [rules = std::make_shared<const RosterRules>(std::move(all))](
             ByteView der) -> Result<crypto::PublicKey> {
    DEMUR_TRY(const auto certificate,
              rules->verifier.Verify(der, rules->unix_ms / 1000, crypto::CertificateKind::kDevice));
    if (rules->revoked.Contains(certificate.device)) {
      return Error(ErrorCode::kPermissionDenied, "revoked");
    }
    if (rules->population) {
      DEMUR_RETURN_IF_ERROR(secagg::CheckPeer(certificate.device, certificate.public_key,
                                              *rules->population, rules->plan));
    }
    return certificate.public_key;
  };
}

}  // namespace

// --- Rounds
// ---------------------------------------------------------------------------------------

// The answer comes as an event of its own: a cohort that cannot be had is no error of the store.
Status Engine::Do(machine::effect::Draw&& e) {
  DEMUR_RETURN_IF_ERROR(ReloadRevocations());
  ReloadPopulation();
  CloseExpired();
  Result<machine::event::Drawn> drawn = DrawRound(e);
  // Another id makes others eligible; any other reason is a fault.
  const bool skip = !drawn && drawn.error().code() == ErrorCode::kUnavailable &&
                    parts_.task.config().eligibility.RateUnits() > 0;
  if (!drawn) {
    log::Write(skip ? log::Level::kInfo : log::Level::kError, "round_not_drawn",
               {{"round", e.id}, {"error", drawn.error()}});
  }
  auto event = std::make_shared<machine::Event>(
      drawn ? machine::Event(std::move(*drawn))
            : machine::Event(machine::event::Failed{e.id, drawn.error().message(), skip}));
  asio::post(thread_, [this, event] { Handle(std::move(*event)); });
  return {};
}

// The cohort of `plan`. With an eligibility rate all who are eligible, but for what the roster
// holds; kUnavailable: they are too few in this round.
Result<std::vector<DeviceNumber>> Engine::Select(const model::Plan& plan,
                                                 const std::vector<DeviceNumber>& eligible) const {
  const machine::Core& core = state_->core;
  const bool drawn = !plan.cohort.server_chosen();
  std::vector<DeviceNumber> pool;
  for (const DeviceNumber device : eligible) {
    if (Revoked(device) || Expired(device)) continue;
    if (drawn && !secagg::CheckPeer(device, core.devices.at(device).identity,
                                    parts_.population->statement, plan)) {
      continue;
    }
    pool.push_back(device);
  }
  if (drawn && pool.size() < plan.secagg.roster_min) {
    return Error(ErrorCode::kUnavailable, std::to_string(pool.size()) + " of " +
                                              std::to_string(eligible.size()) +
                                              " connected devices are eligible in this round");
  }
  // Who was in the first session is drawn already.
  if (plan.session.kind == model::SessionKind::kRows) return pool;
  DEMUR_TRY(const auto stream, parts_.random.Stream(CohortStream(plan.task, plan.round)));
  return SelectCohort(pool, drawn ? plan.secagg.roster_max : core.config.cohort, *stream);
}

Result<machine::event::Drawn> Engine::DrawRound(const machine::effect::Draw& e) {
  const std::int64_t now = parts_.clock.UnixMillis();
  const machine::Core& core = state_->core;
  const dp::RoundKey key{e.id, e.attempt};
  std::vector<std::uint32_t> rows = e.rows;
  if (rows.empty()) {
    DEMUR_TRY(rows, parts_.task.DrawRows(parts_.recovered.server_state, parts_.random, e.id));
  }
  model::Plan plan = MakePlan(parts_.task, key, {core.model_hash, core.model_version},
                              now + PlanLifetimeMillis(parts_.task.plan_template().timeouts), rows);
  DEMUR_TRY(auto verifier, crypto::CertificateVerifier::Create(parts_.deployment.authority));
  RosterRules rules{std::move(verifier), now, {}, {}, {}};
  if (const std::uint32_t rate = parts_.task.config().eligibility.RateUnits(); rate > 0) {
    if (!parts_.population) {
      return Error(ErrorCode::kFailedPrecondition,
                   "task.eligibility.rate is set and no epoch was closed: run `demur-ca "
                   "close-epoch` and copy population.statement into the coordinator's folder");
    }
    plan.cohort = {rate, parts_.population->bytes};
    rules.population = parts_.population->statement;
  }
  rules.plan = plan;
  DEMUR_TRY(std::vector<DeviceNumber> cohort, Select(plan, e.eligible));
  std::vector<secagg::MemberId> invited;
  invited.reserve(cohort.size());
  for (const DeviceNumber device : cohort) invited.push_back(core.devices.at(device).identity);
  DEMUR_TRY(const Hash256 nonce, DrawNonce(parts_.random, parts_.task.id(), key));
  {
    const std::lock_guard lock(mutex_);
    rules.revoked = revoked_;
  }
  DEMUR_TRY(secagg::ServerConfig config,
            secagg::ServerConfig::Create(plan, parts_.deployment.plan_key.Clone(),
                                         std::move(invited), nonce, CheckOf(std::move(rules))));
  DEMUR_TRY(const auto charge, dp::ChargeOf(plan));
  // Whoever was in the first session needs no participation for the second.
  dp::RoundIntent intent{.key = key,
                         .manifest = config.announcement().params_hash,
                         .charge = charge,
                         .devices_left = e.attempt == 0 ? DevicesLeft() : e.eligible.size(),
                         .roster_min = plan.secagg.roster_min};
  return machine::event::Drawn{e.id, std::move(cohort), intent, std::move(config)};
}

// Everybody who is enrolled, as the task states it, or as many as were ever seen, less those whose
// participations are used up.
std::uint64_t Engine::DevicesLeft() const {
  const machine::Core& core = state_->core;
  std::uint64_t exhausted = 0;
  for (const auto& [number, device] : core.devices) {
    if (device.participations >= core.config.participations_max) ++exhausted;
  }
  const std::uint64_t known = core.devices.size();
  return std::max<std::uint64_t>(parts_.task.config().privacy.population, known) - exhausted;
}

Status Engine::Do(machine::effect::Aggregate&& e) {
  Result<machine::Event> computed = Compute(e);
  if (!computed) log::Warning("round_infeasible", {{"round", e.id}, {"error", computed.error()}});
  auto event = std::make_shared<machine::Event>(
      computed ? std::move(*computed)
               : machine::Event(machine::event::Failed{e.id, computed.error().message()}));
  asio::post(thread_, [this, event] { Handle(std::move(*event)); });
  return {};
}

// Step 5, and what is made of the mean: rows, or a model.
Result<machine::Event> Engine::Compute(const machine::effect::Aggregate& e) {
  const auto& committing = std::get<machine::state::Committing>(state_->phase);
  const model::Plan& plan = committing.config.announcement().plan;
  DEMUR_TRY(const model::Layout layout,
            model::Layout::Create(plan.training.schema, plan.training.slice));
  DEMUR_TRY(const model::MeanUpdate mean,
            dp::Decode(e.sum, e.survivors, layout, plan.training, plan.encoding));
  const Hash256 sum_hash = HashWords(e.sum);
  if (plan.session.counts_rows()) {
    DEMUR_TRY(std::vector<std::uint32_t> rows, parts_.task.FindRows(mean));
    const Hash256 rows_hash = HashWords(rows);
    return machine::Event(machine::event::RowsFound{e.id, std::move(rows), rows_hash, sum_hash});
  }
  DEMUR_TRY(ModelRow row, Train(mean, layout));
  return machine::Event(
      machine::event::Computed{e.id, std::move(row), next_state_.Serialise(), sum_hash});
}

// Step 6: the model that is trained on stays as it is until the next one is durable.
Result<ModelRow> Engine::Train(const model::MeanUpdate& mean, const model::Layout& layout) {
  next_model_ = parts_.recovered.model;
  next_state_ = parts_.recovered.server_state;
  DEMUR_RETURN_IF_ERROR(parts_.task.Apply(mean, layout, &next_model_, &next_state_));
  update_norm_ = mean.Norm();
  ModelRow row;
  row.version = state_->core.model_version + 1;
  row.blob = next_model_.Canonical();
  row.hash = crypto::Sha256(row.blob);
  return row;
}

// --- The store
// ------------------------------------------------------------------------------------

Status Engine::Do(machine::effect::PersistReserve&& e) {
  round_devices_ = e.round.cohort;
  return parts_.store.Reserve(e.round, e.ledger);
}

Status Engine::Do(machine::effect::PersistSurvivors&& e) {
  return parts_.store.FixSurvivors(e.id, e.roster, e.survivors, e.ledger);
}

Status Engine::Do(machine::effect::PersistRows&& e) {
  DEMUR_RETURN_IF_ERROR(parts_.store.CommitRows(e.round, e.ledger));
  log::Info("rows_found",
            {{"round", e.round.id}, {"survivors", e.round.survivors}, {"rows", e.round.rows}});
  CancelTimers();
  return {};
}

Status Engine::Do(machine::effect::PersistCommit&& e) {
  DEMUR_RETURN_IF_ERROR(parts_.store.Commit(e.round, e.model, e.server_state, e.ledger));
  parts_.recovered.model = std::move(next_model_);
  parts_.recovered.server_state = std::move(next_state_);
  PublishModel(std::make_shared<const Bytes>(std::move(e.model.blob)));
  return {};
}

Status Engine::Do(machine::effect::PersistAbandon&& e) {
  return parts_.store.Abandon(e.id, e.reason, e.ended_unix_ms, e.ledger);
}

// --- Devices
// --------------------------------------------------------------------------------------

Status Engine::Do(machine::effect::Send&& e) {
  SendPoint(e.type);
  // A device that is away asks again when it is back: the session keeps its answers.
  const auto it = connections_.find(e.to);
  if (it == connections_.end()) return {};
  asio::post(it->second->strand, PushFrame{it->second, e.type, std::move(e.frame)});
  return {};
}

Status Engine::Do(machine::effect::StartTimer&& e) {
  StartTimerFor(e.duration_ms, machine::event::Deadline{e.round, e.phase, e.attempt});
  return {};
}

Status Engine::Do(machine::effect::StartGrace&& e) {
  StartTimerFor(e.duration_ms, machine::event::GraceOver{e.round, e.device, e.loss, e.attempt});
  return {};
}

Status Engine::Do(machine::effect::StartPause&& e) {
  StartTimerFor(e.duration_ms, machine::event::PauseOver{});
  return {};
}

Status Engine::Do(machine::effect::Fault&& e) {
  ++faults_;
  log::Warning("device_fault", {{"device", e.device}, {"fault", secagg::ToString(e.fault)}});
  return {};
}

Status Engine::Do(machine::effect::RoundEnded&& e) {
  const RoundReport& report = e.report;
  declined_ += report.declined;
  log::Info(report.committed ? "round_committed" : "round_abandoned",
            {{"round", report.id},
             {"cohort", report.cohort},
             {"roster", report.roster},
             {"survivors", report.survivors},
             {"declined", report.declined},
             {"rows", report.rows},
             {"reason", report.reason},
             {"model_version", report.model_version}});
  CancelTimers();
  PublishRounds();
  Publish();
  parts_.on_round({report, report.committed ? update_norm_ : 0, parts_.recovered.model});
  return {};
}

Status Engine::Do(machine::effect::Finished&& e) {
  for (auto& [device, connection] : connections_) Goodbye(connection);
  Finish(e.reason);
  return {};
}

// --- What others may see
// --------------------------------------------------------------------------

// A list that cannot be believed leaves the one before in force, loudly. Who is on a new one is cut
// off: a connection that was let in before would count as a device that can be invited.
Status Engine::ReloadRevocations() {
  auto list = LoadRevocations(parts_.deployment.dir, parts_.deployment.authority, revoked_);
  if (!list) {
    log::Failure("revocations_refused", {{"error", list.error()}});
    const std::lock_guard lock(mutex_);
    ++status_.revocations_refused;
    return {};
  }
  DEMUR_RETURN_IF_ERROR(parts_.store.KeepRevocations(*list));
  {
    const std::lock_guard lock(mutex_);
    revoked_ = *list;
    status_.revocations = list->sequence;
  }
  for (const auto& [device, connection] : connections_) {
    if (!list->Contains(device)) continue;
    log::Warning("device_revoked", {{"device", device}});
    asio::post(connection->strand, [cut = connection] { cut->stream->Close(); });
  }
  return {};
}

// As with the list: one that cannot be believed leaves the epoch before in force, loudly.
void Engine::ReloadPopulation() {
  if (parts_.task.config().eligibility.RateUnits() == 0) return;
  auto population =
      LoadPopulation(parts_.deployment.dir, parts_.deployment.authority, parts_.population);
  if (!population) {
    log::Failure("population_refused", {{"error", population.error()}});
    return;
  }
  const bool changed =
      *population && (!parts_.population || parts_.population->bytes != (*population)->bytes);
  parts_.population = std::move(*population);
  if (changed) WarnOfBound();
  const std::lock_guard lock(mutex_);
  status_.cohort_rule = CohortRule();
}

// A device of the usual floor would refuse every plan: better said here than in its log.
void Engine::WarnOfBound() const {
  const model::SecAggPlan& plan = parts_.task.plan_template().secagg;
  const secagg::CorruptBound bound =
      secagg::BoundCorrupt({.enrolled = parts_.population->statement.enrolled,
                            .corrupt_permille = secagg::kDefaultPopulationCorruptPermille,
                            .rate = parts_.task.config().eligibility.RateUnits(),
                            .sigma = secagg::kCohortSigma},
                           plan.roster_min);
  if (bound.permille <= plan.corrupt_permille) return;
  log::Warning("gamma_below_cohort_bound", {{"epoch", parts_.population->statement.epoch},
                                            {"gamma_permille", plan.corrupt_permille},
                                            {"bound_permille", bound.permille}});
}

std::string Engine::CohortRule() const {
  return secagg::DescribeCohort(parts_.task.config().eligibility.RateUnits(),
                                parts_.population ? &parts_.population->statement : nullptr);
}

// A certificate may end while its connection lasts. Nobody accepts such a member, so it is not
// drawn; TLS tells it why when it comes back.
bool Engine::Expired(DeviceNumber device) const {
  const auto it = connections_.find(device);
  return it != connections_.end() && parts_.clock.UnixMillis() / 1000 > it->second->not_after;
}

void Engine::CloseExpired() {
  for (const auto& [device, connection] : connections_) {
    if (!Expired(device)) continue;
    log::Warning("device_certificate_expired", {{"device", device}});
    asio::post(connection->strand, [cut = connection] { cut->stream->Close(); });
  }
}

void Engine::PublishModel(std::shared_ptr<const Bytes> blob) {
  auto offer = std::make_shared<ModelOffer>();
  offer->hash = crypto::Sha256(*blob);
  offer->body = std::make_shared<const Bytes>(
      wire::Encode(wire::ModelBlob{parts_.task.id(), offer->hash, *blob}));
  const std::lock_guard lock(mutex_);
  offer_ = std::move(offer);
}

void Engine::PublishRounds() {
  auto rounds = parts_.store.Rounds(kRoundsShown);
  if (!rounds) {
    log::Warning("rounds_not_read", {{"error", rounds.error()}});
    return;
  }
  const std::lock_guard lock(mutex_);
  status_.rounds = std::move(*rounds);
}

void Engine::Publish() {
  const machine::Core& core = state_->core;
  const std::uint32_t pending = machine::PendingMembers(*state_);
  const bool running = std::holds_alternative<machine::state::Running>(state_->phase);
  const bool open = running || std::holds_alternative<machine::state::Committing>(state_->phase);
  auto budget = ViewBudget(core.ledger, parts_.task, core.epoch);
  const auto eligible = static_cast<std::uint32_t>(machine::Eligible(core).size());
  const std::lock_guard lock(mutex_);
  status_.phase = machine::NameOf(*state_);
  status_.epoch = core.epoch;
  status_.round = core.last_counter + (open ? 0 : 1);
  status_.rounds_committed = core.committed;
  status_.rounds_abandoned = core.abandoned;
  status_.model_version = core.model_version;
  status_.model_sha256 = ToHex(core.model_hash);
  status_.devices_connected = static_cast<std::uint32_t>(connections_.size());
  status_.devices_eligible = eligible;
  status_.cohort = open ? round_devices_ : 0;
  status_.answered = running && pending <= round_devices_ ? round_devices_ - pending : 0;
  status_.faults_total = faults_;
  status_.declined_total = declined_;
  if (budget) status_.budget = *budget;
}

}  // namespace demur::coordinator
