#include <algorithm>
#include <utility>

#include "demur/base/clock.h"
#include "demur/client/local_round.h"
#include "demur/coordinator/round_store.h"
#include "demur/crypto/hash.h"
#include "demur/dp/decoder.h"
#include "demur/dp/encoder.h"
#include "demur/dp/ledger.h"
#include "demur/dp/skellam.h"
#include "demur/learning_local/registry.h"
#include "demur/secagg/cohort.h"
#include "demur/simulations/federation.h"
#include "demur/wire/plan_codec.h"

namespace demur::sim {
namespace {

constexpr std::uint32_t kMostIdsSkipped = 10'000;

// What a thread keeps from client to client and from round to round.
struct Bench {
  client::LocalRoundWorkspace workspace;
  std::vector<std::uint32_t> sum;
  std::uint32_t contributors = 0;
  std::uint32_t untrained = 0;
  Status status;
};

Result<Bench> MakeBench(const model::Layout& layout, const model::EncodingPlan& encoding) {
  DEMUR_TRY(dp::Encoder encoder, dp::Encoder::Create(layout, encoding));
  return Bench{.workspace = client::LocalRoundWorkspace(std::move(encoder)),
               .sum = std::vector<std::uint32_t>(layout.dim(), 0),
               .contributors = 0,
               .untrained = 0,
               .status = {}};
}

// Encodings and everything else of a plan whose devices add no noise of their own.
void RemoveNoise(model::Plan* plan) {
  plan->privacy.noise = false;
  plan->encoding.noise_variance = 0;
}

// Adds Skellam noise of variance `devices * share` to every coordinate: what as many devices would
// have added together, since Skellam is closed under addition. Drawn as few times as tables allow.
Status AddAggregateNoise(std::span<std::uint32_t> sum, std::uint64_t share, std::uint32_t devices,
                         RandomStream& stream) {
  const std::uint64_t devices_a_draw = std::max<std::uint64_t>(1, dp::kMaxNoiseVariance / share);
  std::vector<std::int32_t> noise(sum.size());
  for (std::uint64_t left = devices; left > 0;) {
    const std::uint64_t together = std::min<std::uint64_t>(left, devices_a_draw);
    DEMUR_TRY(const auto table, dp::AliasTable::ForVariance(together * share));
    DEMUR_RETURN_IF_ERROR(table->Fill(noise, stream));
    for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += static_cast<std::uint32_t>(noise[c]);
    left -= together;
  }
  return {};
}

class FastFederation final : public Federation {
 public:
  FastFederation(coordinator::PreparedTask task, const People& people, RandomSource& random,
                 Workers& workers, const FastOptions& options)
      : task_(std::move(task)),
        people_(people),
        random_(random),
        workers_(workers),
        options_(options),
        states_(people.size()),
        participations_(people.size(), 0),
        counted_in_(people.size(), 0) {}

  Status Start();
  Result<RoundRow> RunRound() override;

  const model::SharedModel& model() const noexcept override { return model_; }
  const model::PrivateState& state(std::uint32_t user) const override { return states_[user]; }
  const coordinator::PreparedTask& task() const noexcept override { return task_; }
  std::string cohort_rule() const override {
    return secagg::DescribeCohort(task_.config().eligibility.RateUnits(), &population_);
  }
  Result<std::optional<dp::EpsilonReport>> Spent() const override;

 private:
  struct Member {
    std::uint32_t user = 0;
    client::Departure departure = client::Departure::kNone;
  };
  // One session of a round whose sum may be looked at: the permit is marked as opened.
  struct Opened {
    model::Plan plan;
    model::Layout layout;
    dp::RoundPermit permit;
  };

  Result<dp::Reservation> Reserve(const model::Plan& plan, std::uint64_t devices_left);
  Status MakePopulation();
  bool IsDrawn(std::uint32_t user, RoundId round) const;
  Result<RoundId> NextRound(std::vector<std::uint32_t>* cohort);
  Result<std::vector<std::uint32_t>> DrawCohort(RoundId round);
  Status RunSessions(RoundId round, std::vector<std::uint32_t> cohort, RoundRow* row);
  Result<std::optional<std::vector<std::uint32_t>>> FindRows(
      RoundId round, const std::vector<std::uint32_t>& cohort);
  void KeepEligible(std::vector<std::uint32_t>* cohort) const;
  Result<std::optional<Opened>> RunSession(const dp::RoundKey& key,
                                           const std::vector<std::uint32_t>& cohort,
                                           const std::vector<std::uint32_t>& rows, RoundRow* row);
  Result<std::vector<Member>> Drill(const model::Plan& plan,
                                    const std::vector<std::uint32_t>& cohort, RoundRow* row);
  Status PrepareBenches(const model::Plan& plan, const model::Layout& layout);
  Status CollectSum(const model::Plan& plan, const model::Layout& layout,
                    const std::vector<Member>& roster, RoundRow* row);
  Status Train(const model::Plan& plan, const model::Layout& layout,
               const std::vector<Member>& roster);
  Status CommitRound(Opened session, RoundRow* row);
  std::uint64_t DevicesLeft() const;

  coordinator::PreparedTask task_;
  const People& people_;
  RandomSource& random_;
  Workers& workers_;
  FastOptions options_;

  std::unique_ptr<learning::LocalStep> local_step_;
  std::unique_ptr<learning::LocalStep> counting_step_;  // of a session that counts rows
  std::optional<dp::Ledger> ledger_;
  std::vector<Bench> benches_;  // one a thread
  std::vector<std::uint32_t> sum_;
  std::uint32_t contributors_ = 0;

  model::SharedModel model_;
  learning::ServerState server_state_;
  std::vector<model::PrivateState> states_;
  std::vector<std::uint32_t> participations_;
  std::vector<std::uint32_t> counted_in_;  // the last round that is in participations_
  std::uint64_t model_version_ = 0;
  std::uint32_t round_ = 0;
  std::uint32_t ids_skipped_ = 0;  // in which the beacon drew too few
  secagg::PopulationStatement population_;
  std::vector<crypto::PublicKey> identities_;  // stand-ins; empty where the cohort is not drawn
  SystemClock clock_;
};

Status FastFederation::Start() {
  const model::Plan& plan = task_.plan_template();
  DEMUR_TRY(local_step_, learning_local::MakeLocalStep(plan.training.algorithm, plan.training));
  if (const auto& counts = task_.counts_template()) {
    DEMUR_TRY(counting_step_,
              learning_local::MakeLocalStep(counts->training.algorithm, counts->training));
  }
  DEMUR_TRY(model_,
            task_.server_step().InitialModel(random_, coordinator::InitialModelStream(task_.id())));
  DEMUR_TRY(ledger_, dp::Ledger::Create(task_.ledger_policy()));
  DEMUR_RETURN_IF_ERROR(PrepareBenches(plan, task_.layout()));
  if (task_.config().eligibility.RateUnits() == 0) return {};
  return MakePopulation();
}

// An encoder is of one slice.
Status FastFederation::PrepareBenches(const model::Plan& plan, const model::Layout& layout) {
  model::Plan of_devices = plan;
  if (options_.noise == NoiseMode::kAggregate) RemoveNoise(&of_devices);
  benches_.clear();
  for (unsigned worker = 0; worker < workers_.size(); ++worker) {
    DEMUR_TRY(Bench bench, MakeBench(layout, of_devices.encoding));
    benches_.push_back(std::move(bench));
  }
  sum_.resize(layout.dim());
  return {};
}

// What an authority would have closed: as many people, a beacon, and keys that nobody holds. In
// wire mode they are others, so that with an eligibility rate the two modes draw other cohorts.
Status FastFederation::MakePopulation() {
  StreamId id = coordinator::CohortStream(task_.id(), RoundId{});
  DEMUR_TRY(const auto stream, random_.Stream(id));
  DEMUR_RETURN_IF_ERROR(stream->Fill(population_.beacon));
  population_.epoch = 1;
  population_.enrolled = people_.size();
  population_.active = people_.size();
  for (std::uint32_t user = 0; user < people_.size(); ++user) {
    identities_.push_back(crypto::Sha256(ByteWriter().U64(DeviceOf(user).value).bytes()));
  }
  return {};
}

bool FastFederation::IsDrawn(std::uint32_t user, RoundId round) const {
  const std::uint32_t rate = task_.config().eligibility.RateUnits();
  return rate == 0 ||
         secagg::Eligible(population_.beacon, task_.id(), round, identities_[user], rate);
}

Result<RoundRow> FastFederation::RunRound() {
  const auto begin = clock_.Monotonic();
  std::vector<std::uint32_t> cohort;
  DEMUR_TRY(const RoundId id, NextRound(&cohort));
  ++round_;
  RoundRow row;
  row.round = round_;
  DEMUR_RETURN_IF_ERROR(RunSessions(id, std::move(cohort), &row));
  row.wall_ms = std::chrono::duration<double, std::milli>(clock_.Monotonic() - begin).count();
  return row;
}

// The id of the next round and who is invited to it. One that the beacon draws too few for is left
// out, as the coordinator does.
Result<RoundId> FastFederation::NextRound(std::vector<std::uint32_t>* cohort) {
  for (; ids_skipped_ <= kMostIdsSkipped; ++ids_skipped_) {
    const RoundId id{.epoch = coordinator::kFirstEpoch, .counter = round_ + 1 + ids_skipped_};
    DEMUR_TRY(*cohort, DrawCohort(id));
    if (!cohort->empty()) return id;
  }
  return Error(ErrorCode::kResourceExhausted,
               "task.eligibility.rate draws too few devices for secagg.roster_min");
}

Status FastFederation::RunSessions(RoundId round, std::vector<std::uint32_t> cohort,
                                   RoundRow* row) {
  row->cohort = static_cast<std::uint32_t>(cohort.size());
  std::vector<std::uint32_t> rows;
  std::uint32_t attempt = 0;
  if (task_.counts_template()) {
    DEMUR_TRY(auto found, FindRows(round, cohort));
    if (!found) return {};
    KeepEligible(&cohort);
    if (cohort.size() < task_.plan_template().secagg.roster_min) return {};
    rows = std::move(*found);
    attempt = 1;
    row->cohort = static_cast<std::uint32_t>(cohort.size());
  } else {
    DEMUR_TRY(rows, task_.DrawRows(server_state_, random_, round));
  }
  DEMUR_TRY(auto opened, RunSession({round, attempt}, cohort, rows, row));
  if (!opened) return {};
  return CommitRound(std::move(*opened), row);
}

// The session that counts rows; nothing when the round ends with it.
Result<std::optional<std::vector<std::uint32_t>>> FastFederation::FindRows(
    RoundId round, const std::vector<std::uint32_t>& cohort) {
  using Rows = std::optional<std::vector<std::uint32_t>>;
  RoundRow unused;
  DEMUR_TRY(auto opened, RunSession({round, 0}, cohort, {}, &unused));
  if (!opened) return Rows();
  const auto counts =
      dp::Decode(sum_, contributors_, opened->layout, opened->plan.training, opened->plan.encoding);
  Result<std::vector<std::uint32_t>> rows = Error(ErrorCode::kAborted, "infeasible");
  if (counts) rows = task_.FindRows(*counts);
  if (!counts && counts.error().code() != ErrorCode::kAborted) return counts.error();
  if (!rows) {
    DEMUR_RETURN_IF_ERROR(ledger_->Burn(opened->permit.key()));
    return Rows();
  }
  DEMUR_RETURN_IF_ERROR(ledger_->Commit(std::move(opened->permit)));
  return Rows(std::move(*rows));
}

// Who may be in the second session: counted in this round already, or with a participation left.
void FastFederation::KeepEligible(std::vector<std::uint32_t>* cohort) const {
  std::erase_if(*cohort, [this](std::uint32_t user) {
    return counted_in_[user] != round_ &&
           participations_[user] >= task_.plan_template().privacy.participations_max;
  });
}

// Leaves the sum in sum_. Nothing: too few answered, and what was reserved is given back.
Result<std::optional<FastFederation::Opened>> FastFederation::RunSession(
    const dp::RoundKey& key, const std::vector<std::uint32_t>& cohort,
    const std::vector<std::uint32_t>& rows, RoundRow* row) {
  const model::Plan plan =
      coordinator::MakePlan(task_, key, {crypto::Sha256(model_.Canonical()), model_version_},
                            std::numeric_limits<std::int64_t>::max(), rows);
  DEMUR_TRY(model::Layout layout, model::Layout::Create(plan.training.schema, plan.training.slice));
  if (task_.chooses_rows()) DEMUR_RETURN_IF_ERROR(PrepareBenches(plan, layout));
  DEMUR_TRY(dp::Reservation reservation,
            Reserve(plan, key.attempt == 0 ? DevicesLeft() : cohort.size()));
  DEMUR_TRY(const std::vector<Member> roster, Drill(plan, cohort, row));
  DEMUR_RETURN_IF_ERROR(CollectSum(plan, layout, roster, row));
  row->rows = layout.num_rows();
  // Devices that leave after masking are in the sum, but they do not answer: enough others must.
  const std::uint32_t answering = contributors_ - row->after_masking;
  if (answering < plan.secagg.SurvivorsMin(static_cast<std::uint32_t>(cohort.size()))) {
    DEMUR_RETURN_IF_ERROR(ledger_->Release(std::move(reservation.permit)));
    return std::optional<Opened>();
  }
  DEMUR_RETURN_IF_ERROR(ledger_->MarkOpened(reservation.permit));
  return std::optional<Opened>({plan, std::move(layout), std::move(reservation.permit)});
}

std::uint64_t FastFederation::DevicesLeft() const {
  const std::uint32_t max = task_.plan_template().privacy.participations_max;
  return static_cast<std::uint64_t>(
      std::count_if(participations_.begin(), participations_.end(),
                    [max](std::uint32_t count) { return count < max; }));
}

Result<dp::Reservation> FastFederation::Reserve(const model::Plan& plan,
                                                std::uint64_t devices_left) {
  DEMUR_TRY(const auto charge, dp::ChargeOf(plan));
  const Bytes encoded = wire::EncodePlan(plan);
  return ledger_->Reserve({.key = {.round = plan.round, .attempt = plan.attempt},
                           .manifest = crypto::Sha256(encoded),
                           .charge = charge,
                           .devices_left = devices_left,
                           .roster_min = plan.secagg.roster_min});
}

// Empty: the beacon drew too few for a roster, and the next round id draws others.
Result<std::vector<std::uint32_t>> FastFederation::DrawCohort(RoundId round) {
  const model::Plan& plan = task_.plan_template();
  const bool drawn = task_.config().eligibility.RateUnits() > 0;
  std::uint32_t left = 0;
  std::vector<DeviceNumber> eligible;
  eligible.reserve(people_.size());
  for (std::uint32_t user = 0; user < people_.size(); ++user) {
    if (participations_[user] >= plan.privacy.participations_max) continue;
    ++left;
    if (IsDrawn(user, round)) eligible.push_back(DeviceOf(user));
  }
  if (left < plan.secagg.roster_min) {
    return Error(ErrorCode::kResourceExhausted,
                 "fewer devices have participations left than the roster needs");
  }
  if (eligible.size() < plan.secagg.roster_min) return std::vector<std::uint32_t>();
  DEMUR_TRY(const auto stream, random_.Stream(coordinator::CohortStream(task_.id(), round)));
  DEMUR_TRY(const auto devices,
            coordinator::SelectCohort(
                eligible, drawn ? plan.secagg.roster_max : task_.config().cohort, *stream));
  std::vector<std::uint32_t> cohort;
  cohort.reserve(devices.size());
  for (const DeviceNumber device : devices) {
    cohort.push_back(static_cast<std::uint32_t>(device.value - kFirstDevice));
  }
  return cohort;
}

// The cohort of a session, with who leaves it.
Result<std::vector<FastFederation::Member>> FastFederation::Drill(
    const model::Plan& plan, const std::vector<std::uint32_t>& cohort, RoundRow* row) {
  std::vector<Member> roster;
  roster.reserve(cohort.size());
  const StreamId round = client::RoundStream(plan, kNoClient, Purpose::kDropout);
  for (const std::uint32_t user : cohort) {
    DEMUR_TRY(const client::Departure departure,
              client::DrillDecision(random_, round, DeviceOf(user), options_.drill));
    if (departure == client::Departure::kBeforeMasking) ++row->before_masking;
    if (departure == client::Departure::kAfterMasking) ++row->after_masking;
    roster.push_back({user, departure});
  }
  return roster;
}

Status FastFederation::Train(const model::Plan& plan, const model::Layout& layout,
                             const std::vector<Member>& roster) {
  const bool counts = plan.session.counts_rows();
  // Counting looks at no model; devices take an empty one of the counts' shape.
  std::optional<model::SharedModel> empty;
  if (counts) empty.emplace(plan.training.schema);
  DEMUR_TRY(const auto checked,
            client::CheckedModel::Create(counts ? *empty : model_, layout, plan));
  const client::LocalRound round{
      .plan = plan, .model = checked, .step = counts ? *counting_step_ : *local_step_};
  workers_.ForEach(
      static_cast<std::uint32_t>(roster.size()), 8, [&](std::uint32_t index, unsigned worker) {
        Bench& bench = benches_[worker];
        const Member& member = roster[index];
        // Who leaves before masking keeps the old private state and sends nothing.
        if (!bench.status || member.departure == client::Departure::kBeforeMasking) return;
        auto report =
            client::RunLocalRound(round, states_[member.user], people_.person(member.user).view,
                                  DeviceOf(member.user), random_, &bench.workspace);
        if (!report) {
          bench.status = std::move(report).error();
          return;
        }
        bench.workspace.encoded.AddTo(bench.sum);
        std::swap(states_[member.user], bench.workspace.next);
        // Two sessions of one round are one participation.
        participations_[member.user] += counted_in_[member.user] == round_ ? 0U : 1U;
        counted_in_[member.user] = round_;
        ++bench.contributors;
        if (!report->trained) ++bench.untrained;
      });
  for (const Bench& bench : benches_) DEMUR_RETURN_IF_ERROR(bench.status);
  return {};
}

Status FastFederation::CollectSum(const model::Plan& plan, const model::Layout& layout,
                                  const std::vector<Member>& roster, RoundRow* row) {
  for (Bench& bench : benches_) {
    std::fill(bench.sum.begin(), bench.sum.end(), 0U);
    bench.contributors = 0;
    bench.untrained = 0;
  }
  model::Plan of_devices = plan;
  if (options_.noise == NoiseMode::kAggregate) RemoveNoise(&of_devices);
  DEMUR_RETURN_IF_ERROR(Train(of_devices, layout, roster));
  std::fill(sum_.begin(), sum_.end(), 0U);
  contributors_ = 0;
  for (const Bench& bench : benches_) {
    for (std::size_t c = 0; c < sum_.size(); ++c) sum_[c] += bench.sum[c];
    contributors_ += bench.contributors;
    row->untrained += bench.untrained;
  }
  if (plan.privacy.noise && options_.noise == NoiseMode::kAggregate) {
    DEMUR_TRY(const auto stream,
              random_.Stream(client::RoundStream(plan, kNoClient, Purpose::kNoise)));
    DEMUR_RETURN_IF_ERROR(
        AddAggregateNoise(sum_, plan.encoding.noise_variance, contributors_, *stream));
  }
  return {};
}

Status FastFederation::CommitRound(Opened session, RoundRow* row) {
  const auto mean =
      dp::Decode(sum_, contributors_, session.layout, session.plan.training, session.plan.encoding);
  // An infeasible sum abandons the round, as it does on the server.
  if (!mean && mean.error().code() == ErrorCode::kAborted) {
    DEMUR_RETURN_IF_ERROR(ledger_->Burn(session.permit.key()));
    return {};
  }
  if (!mean) return mean.error();
  DEMUR_RETURN_IF_ERROR(task_.Apply(*mean, session.layout, &model_, &server_state_));
  DEMUR_RETURN_IF_ERROR(ledger_->Commit(std::move(session.permit)));
  row->update_norm = mean->Norm();
  row->committed = true;
  ++model_version_;
  return {};
}

Result<std::optional<dp::EpsilonReport>> FastFederation::Spent() const {
  if (!task_.plan_template().privacy.noise || ledger_->rounds_charged() == 0)
    return std::optional<dp::EpsilonReport>();
  DEMUR_TRY(const dp::EpsilonReport report, ledger_->Report());
  return std::optional<dp::EpsilonReport>(report);
}

}  // namespace

Result<std::unique_ptr<Federation>> MakeFastFederation(coordinator::PreparedTask task,
                                                       const People& people, RandomSource& random,
                                                       Workers& workers,
                                                       const FastOptions& options) {
  auto federation =
      std::make_unique<FastFederation>(std::move(task), people, random, workers, options);
  DEMUR_RETURN_IF_ERROR(federation->Start());
  return std::unique_ptr<Federation>(std::move(federation));
}

std::string ModelSha256(const model::SharedModel& model) {
  return ToHex(crypto::Sha256(model.Canonical()));
}

}  // namespace demur::sim
