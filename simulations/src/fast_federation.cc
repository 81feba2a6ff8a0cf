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
        participations_(people.size(), 0) {}

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

  Result<dp::Reservation> Reserve(const model::Plan& plan, std::uint64_t devices_left);
  Status MakePopulation();
  bool IsDrawn(std::uint32_t user, const model::Plan& plan) const;
  Result<std::vector<Member>> DrawRoster(const model::Plan& plan);
  Status CollectSum(const model::Plan& plan, const std::vector<Member>& roster, RoundRow* row);
  Status Train(const model::Plan& plan, const std::vector<Member>& roster);
  Status CommitRound(const model::Plan& plan, RoundRow* row);

  coordinator::PreparedTask task_;
  const People& people_;
  RandomSource& random_;
  Workers& workers_;
  FastOptions options_;

  std::unique_ptr<learning::LocalStep> local_step_;
  std::optional<dp::Ledger> ledger_;
  std::vector<Bench> benches_;  // one a thread
  std::vector<std::uint32_t> sum_;
  std::uint32_t contributors_ = 0;

  model::SharedModel model_;
  learning::ServerState server_state_;
  std::vector<model::PrivateState> states_;
  std::vector<std::uint32_t> participations_;
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
  DEMUR_TRY(model_,
            task_.server_step().InitialModel(random_, coordinator::InitialModelStream(task_.id())));
  DEMUR_TRY(ledger_, dp::Ledger::Create(task_.ledger_policy()));
  model::Plan of_devices = plan;
  if (options_.noise == NoiseMode::kAggregate) RemoveNoise(&of_devices);
  for (unsigned worker = 0; worker < workers_.size(); ++worker) {
    DEMUR_TRY(Bench bench, MakeBench(task_.layout(), of_devices.encoding));
    benches_.push_back(std::move(bench));
  }
  sum_.resize(task_.layout().dim());
  if (task_.config().eligibility.RateUnits() == 0) return {};
  return MakePopulation();
}

// What an authority would have closed: as many people, a beacon, and keys that nobody holds. In
// wire mode they are others, so that with an eligibility rate the two modes draw other cohorts.
Status FastFederation::MakePopulation() {
  StreamId id = coordinator::CohortStream(task_.id(), RoundId{}, 0);
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

bool FastFederation::IsDrawn(std::uint32_t user, const model::Plan& plan) const {
  const std::uint32_t rate = task_.config().eligibility.RateUnits();
  return rate == 0 ||
         secagg::Eligible(population_.beacon, plan.task, plan.round, identities_[user], rate);
}

Result<RoundRow> FastFederation::RunRound() {
  const auto begin = clock_.Monotonic();
  model::Plan plan = coordinator::MakePlan(
      task_, RoundId{.epoch = coordinator::kFirstEpoch, .counter = round_ + 1 + ids_skipped_}, 0,
      crypto::Sha256(model_.Canonical()), model_version_, std::numeric_limits<std::int64_t>::max());
  DEMUR_TRY(std::vector<Member> roster, DrawRoster(plan));
  while (roster.empty()) {
    if (++ids_skipped_ > kMostIdsSkipped) {
      return Error(ErrorCode::kResourceExhausted,
                   "task.eligibility.rate draws too few devices for secagg.roster_min");
    }
    ++plan.round.counter;
    DEMUR_TRY(roster, DrawRoster(plan));
  }
  const auto devices_left = static_cast<std::uint64_t>(
      std::count_if(participations_.begin(), participations_.end(),
                    [&](std::uint32_t count) { return count < plan.privacy.participations_max; }));
  DEMUR_TRY(dp::Reservation reservation, Reserve(plan, devices_left));
  ++round_;
  RoundRow row;
  row.round = round_;
  row.cohort = static_cast<std::uint32_t>(roster.size());
  for (const Member& member : roster) {
    if (member.departure == client::Departure::kBeforeMasking) ++row.before_masking;
    if (member.departure == client::Departure::kAfterMasking) ++row.after_masking;
  }
  DEMUR_RETURN_IF_ERROR(CollectSum(plan, roster, &row));
  // Devices that leave after masking are in the sum, but they do not answer: enough others must.
  const std::uint32_t answering = contributors_ - row.after_masking;
  if (answering < plan.secagg.SurvivorsMin(row.cohort)) {
    DEMUR_RETURN_IF_ERROR(ledger_->Release(std::move(reservation.permit)));
  } else {
    DEMUR_RETURN_IF_ERROR(ledger_->MarkOpened(reservation.permit));
    DEMUR_RETURN_IF_ERROR(CommitRound(plan, &row));
    DEMUR_RETURN_IF_ERROR(row.committed ? ledger_->Commit(std::move(reservation.permit))
                                        : ledger_->Burn(reservation.permit.key()));
  }
  row.wall_ms = std::chrono::duration<double, std::milli>(clock_.Monotonic() - begin).count();
  return row;
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
Result<std::vector<FastFederation::Member>> FastFederation::DrawRoster(const model::Plan& plan) {
  const bool drawn = task_.config().eligibility.RateUnits() > 0;
  std::uint32_t left = 0;
  std::vector<DeviceNumber> eligible;
  eligible.reserve(people_.size());
  for (std::uint32_t user = 0; user < people_.size(); ++user) {
    if (participations_[user] >= plan.privacy.participations_max) continue;
    ++left;
    if (IsDrawn(user, plan)) eligible.push_back(DeviceOf(user));
  }
  if (left < plan.secagg.roster_min) {
    return Error(ErrorCode::kResourceExhausted,
                 "fewer devices have participations left than the roster needs");
  }
  if (eligible.size() < plan.secagg.roster_min) return std::vector<Member>();
  DEMUR_TRY(const auto stream,
            random_.Stream(coordinator::CohortStream(plan.task, plan.round, plan.attempt)));
  DEMUR_TRY(const auto cohort,
            coordinator::SelectCohort(
                eligible, drawn ? plan.secagg.roster_max : task_.config().cohort, *stream));
  std::vector<Member> roster;
  roster.reserve(cohort.size());
  const StreamId round = client::RoundStream(plan, kNoClient, Purpose::kDropout);
  for (const DeviceNumber device : cohort) {
    DEMUR_TRY(const client::Departure departure,
              client::DrillDecision(random_, round, device, options_.drill));
    roster.push_back({static_cast<std::uint32_t>(device.value - kFirstDevice), departure});
  }
  return roster;
}

Status FastFederation::Train(const model::Plan& plan, const std::vector<Member>& roster) {
  DEMUR_TRY(const auto checked, client::CheckedModel::Create(model_, task_.layout(), plan));
  const client::LocalRound round{.plan = plan, .model = checked, .step = *local_step_};
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
        ++participations_[member.user];
        ++bench.contributors;
        if (!report->trained) ++bench.untrained;
      });
  for (const Bench& bench : benches_) DEMUR_RETURN_IF_ERROR(bench.status);
  return {};
}

Status FastFederation::CollectSum(const model::Plan& plan, const std::vector<Member>& roster,
                                  RoundRow* row) {
  for (Bench& bench : benches_) {
    std::fill(bench.sum.begin(), bench.sum.end(), 0U);
    bench.contributors = 0;
    bench.untrained = 0;
  }
  model::Plan of_devices = plan;
  if (options_.noise == NoiseMode::kAggregate) RemoveNoise(&of_devices);
  DEMUR_RETURN_IF_ERROR(Train(of_devices, roster));
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

Status FastFederation::CommitRound(const model::Plan& plan, RoundRow* row) {
  const auto mean = dp::Decode(sum_, contributors_, task_.layout(), plan.training, plan.encoding);
  // An infeasible sum abandons the round, as it does on the server.
  if (!mean && mean.error().code() == ErrorCode::kAborted) return {};
  if (!mean) return mean.error();
  DEMUR_RETURN_IF_ERROR(task_.server_step().Run(&model_, &server_state_, *mean, task_.layout()));
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
