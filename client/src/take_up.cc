#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/strand.hpp>
#include <asio/use_awaitable.hpp>
#include <string>
#include <utility>

#include "connection.h"
#include "demur/base/fault.h"
#include "demur/base/log.h"
#include "demur/client/local_round.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/keys.h"

// What a device does between M0 and M1: agree or refuse, get the model, train.
namespace demur::client {
namespace {

using wire::FrameType;

constexpr net::Limit kWriteLimit{30'000};
constexpr net::Limit kModelLimit{120'000};  // until the model begins, and again until it is here
constexpr std::size_t kMaxWaiting = 4;      // frames

// What a worker needs to train; holds everything it looks at.
struct TrainingJob {
  OwnData own;
  std::shared_ptr<const secagg::ClientConfig> config;
  model::Layout layout;
  ModelPtr model;
  RandomSource* random = nullptr;
};

asio::awaitable<Result<Trained>> TrainOnWorker(TrainingJob job) {
  co_return TrainForRound(job.own, job.config->announcement().plan, job.layout, *job.model,
                          *job.random);
}

// The same bytes give the same answer for the life of a session, so time stands still in it.
// With a population a peer that it does not hold, or that the beacon did not draw, is no member.
struct PeerRules {
  crypto::CertificateVerifier verifier;
  std::int64_t now_s = 0;
  std::optional<secagg::PopulationStatement> population;
  model::Plan plan;
};
secagg::CertificateCheck CheckOf(PeerRules all) {
  return [rules = std::make_shared<const PeerRules>(std::move(all))](
             ByteView der) -> Result<crypto::PublicKey> {
    DEMUR_TRY(const crypto::Certificate certificate,
              rules->verifier.Verify(der, rules->now_s, crypto::CertificateKind::kDevice));
    if (rules->population) {
      DEMUR_RETURN_IF_ERROR(secagg::CheckPeer(certificate.device, certificate.public_key,
                                              *rules->population, rules->plan));
    }
    return certificate.public_key;
  };
}

Result<std::shared_ptr<const secagg::ClientConfig>> ConfigOf(secagg::Announcement announcement,
                                                             const Identity& identity,
                                                             PeerRules rules) {
  DEMUR_TRY(crypto::Ed25519KeyPair key, crypto::Ed25519FromSeed(identity.key_seed));
  DEMUR_TRY(
      secagg::ClientConfig config,
      secagg::ClientConfig::Create(std::move(announcement), std::move(key), identity.certificate,
                                   identity.plan_key, CheckOf(std::move(rules))));
  return std::make_shared<const secagg::ClientConfig>(std::move(config));
}

Result<CohortSelf> SelfOf(const Identity& identity) {
  DEMUR_TRY(const auto authority, crypto::ParseCertificate(identity.authority));
  DEMUR_TRY(const auto own, crypto::ParseCertificate(identity.certificate));
  return CohortSelf{authority.public_key, own.public_key, identity.device};
}

// How long after M0 an M1 is still of use; 0: no limit.
net::Limit TrainingLimit(const model::TimeoutPlan& timeouts) {
  if (timeouts.training_ms == 0 || timeouts.advertise_ms == 0) return net::kNoLimit;
  return net::Limit(std::int64_t{timeouts.training_ms} + timeouts.advertise_ms);
}

// What CheckPlan refuses for any reason but its time, it refuses in the next round as well; to be
// invited to that would only cost everybody else a roster.
wire::LeaveScope ScopeOf(const Error& why) {
  const bool once =
      why.code() == ErrorCode::kDeadlineExceeded || why.code() == ErrorCode::kFailedPrecondition;
  return once ? wire::LeaveScope::kRound : wire::LeaveScope::kTask;
}

Result<ModelPtr> ReadModel(const model::Plan& plan, ByteView body, ModelShelf& shelf) {
  DEMUR_TRY(const wire::ModelBlob blob, wire::DecodeModelBlob(body, BlobLen(plan.training.schema)));
  if (blob.task != plan.task || blob.model_hash != plan.model_hash) {
    return Error(ErrorCode::kInvalidArgument, "model blob: not the one that was asked for");
  }
  return shelf.Put(plan, blob.blob);
}

// Null: it has to be fetched. To count rows no model is looked at: an empty one of the counts'
// shape stands for it.
ModelPtr ModelAtHand(const model::Plan& plan, ModelShelf& shelf) {
  if (plan.session.counts_rows())
    return std::make_shared<const model::SharedModel>(plan.training.schema);
  return shelf.Find(plan);
}

}  // namespace

asio::awaitable<Status> Connection::OnAnnounce(Bytes frame) {
  wire::PlanLimits limits;
  limits.max_coordinates = core_.options.floor.dim_max;
  auto opened = secagg::OpenAnnouncement(frame, core_.identity->plan_key, limits);
  if (!opened) {
    // No round to leave: what cannot be opened names none. Closing the connection says as much.
    core_.CountRefusal(opened.error());
    core_.EndSession("the coordinator broke the protocol");
    co_return Broken(std::move(opened).error().WithContext("announcement"));
  }
  if (core_.session) {
    // Told again after a reconnect.
    if (core_.session->announcement().announce_hash == opened->announce_hash) co_return Status();
    core_.EndSession("another round was announced");
  }
  co_return co_await TakeUp(std::move(*opened));
}

asio::awaitable<Status> Connection::TakeUp(secagg::Announcement announcement) {
  const model::Plan& plan = announcement.plan;
  auto admission = Admit(announcement);
  if (!admission) {
    const wire::LeaveScope scope = ScopeOf(admission.error());
    co_return co_await Refuse(plan, std::move(admission).error(), scope);
  }
  // Before the first frame: after a crash the id is refused, whoever announces it again.
  if (Status saved = core_.store->SaveTask(admission->seen); !saved) {
    static_cast<void>(co_await TakeLeave(plan));
    co_return StoreFailed(std::move(saved).error());
  }
  core_.preparing = {announcement.announce_hash, *admission};
  FaultPoint("client.admitted");
  ModelPtr model = ModelAtHand(plan, core_.tools.shelf);
  if (!model) {
    DEMUR_CO_TRY(const net::Frame frame, co_await FetchModel(plan));
    auto read = ReadModel(plan, frame.body, core_.tools.shelf);
    if (!read) {
      const Error why = std::move(read).error();
      static_cast<void>(co_await Refuse(plan, why));
      co_return Broken(why);
    }
    // The round may have ended meanwhile; the model is here all the same.
    if (!waiting_.empty()) co_return Status();
    model = std::move(*read);
  }
  co_return co_await Begin(std::move(announcement), std::move(*admission), std::move(model));
}

// A round that was being prepared when the connection was lost is the one round that is not refused
// for having been seen; a process that has started since knows of none.
Result<Admission> Connection::Admit(const secagg::Announcement& announcement) {
  const std::int64_t now = core_.tools.clock.UnixMillis();
  const auto& preparing = core_.preparing;
  if (preparing && preparing->announce_hash == announcement.announce_hash &&
      announcement.plan.expires_unix_ms > now) {
    return preparing->admission;
  }
  const Floor& floor = core_.options.floor;
  DEMUR_TRY(Admission admission, CheckPlan(announcement.plan, floor, core_.store->tasks(), now));
  DEMUR_TRY(const CohortSelf self, SelfOf(*core_.identity));
  DEMUR_RETURN_IF_ERROR(CheckCohort(announcement.plan, floor, self, &admission));
  return admission;
}

asio::awaitable<Status> Connection::Begin(secagg::Announcement announcement, Admission admission,
                                          ModelPtr model) {
  const auto started = core_.tools.clock.Monotonic();
  const Identity& identity = *core_.identity;
  DEMUR_CO_TRY(auto verifier, crypto::CertificateVerifier::Create(identity.authority));
  PeerRules rules{std::move(verifier), core_.tools.clock.UnixMillis() / 1000, admission.population,
                  announcement.plan};
  DEMUR_CO_TRY(auto config, ConfigOf(std::move(announcement), identity, std::move(rules)));
  const model::Plan& plan = config->announcement().plan;
  if (!plan.session.counts_rows()) core_.newest = {{config, &plan}, model};
  auto own = core_.ReadOwn(plan.task);
  if (!own) {
    static_cast<void>(co_await TakeLeave(plan));
    co_return StoreFailed(std::move(own).error());
  }
  TrainingJob job{std::move(*own), config, std::move(admission.layout), model, &core_.tools.random};
  auto trained = co_await asio::co_spawn(asio::make_strand(core_.tools.workers),
                                         TrainOnWorker(std::move(job)), asio::use_awaitable);
  if (!trained) co_return co_await Refuse(plan, std::move(trained).error());
  const net::Limit limit = TrainingLimit(plan.timeouts);
  if (limit > net::kNoLimit && core_.tools.clock.Monotonic() - started > limit) {
    co_return co_await Refuse(plan, Error(ErrorCode::kDeadlineExceeded, "training took too long"));
  }

  PreparedRound round;
  round.config = config;
  round.charged = admission.charged;
  round.input = std::move(trained->input);
  round.next = std::move(trained->next);
  DEMUR_CO_TRY(round.departure,
               DrillDecision(core_.tools.random, RoundStream(plan, kNoClient, Purpose::kDropout),
                             identity.device, core_.options.drill));
  DEMUR_CO_TRY(const auto stream,
               core_.tools.random.Stream(RoundStream(plan, identity.device.value, Purpose::kKeys)));
  DEMUR_CO_TRY(secagg::ClientSecrets secrets, secagg::DrawClientSecrets(*stream));
  core_.OpenSession(std::make_shared<RoundSession>(std::move(round)));
  // Named: GCC 12 frees a temporary aggregate inside a co_await expression twice.
  secagg::ClientEvent event = secagg::client::event::Start{std::move(secrets)};
  co_return co_await Advance(std::move(event));
}

asio::awaitable<Status> Connection::Refuse(model::Plan plan, Error why, wire::LeaveScope scope) {
  core_.CountRefusal(why);
  log::Warning("plan_refused", {{"device", core_.number.load()},
                                {"task", plan.task},
                                {"round", plan.round},
                                {"error", why}});
  co_return co_await TakeLeave(std::move(plan), scope);
}

asio::awaitable<Status> Connection::TakeLeave(model::Plan plan, wire::LeaveScope scope) {
  core_.preparing.reset();
  const Bytes body = wire::Encode(wire::Leave{plan.task, plan.round, plan.attempt, scope});
  co_return co_await stream_.WriteFrame(FrameType::kLeave, body, kWriteLimit);
}

asio::awaitable<Result<net::Frame>> Connection::FetchModel(const model::Plan& plan) {
  const Bytes body = wire::Encode(wire::FetchModel{plan.task, plan.model_hash});
  DEMUR_CO_RETURN_IF_ERROR(co_await stream_.WriteFrame(FrameType::kFetchModel, body, kWriteLimit));
  const std::size_t blob_len = BlobLen(plan.training.schema) + wire::kModelBlobOverheadLen;
  net::FrameLimits limits{wire::MaxSecAggFrameLen(FrameType::kAnnounce, {}), kModelLimit,
                          kModelLimit};
  limits.max_body_len = std::max(limits.max_body_len, static_cast<std::uint32_t>(blob_len));
  for (;;) {
    DEMUR_CO_TRY(net::Frame frame, co_await stream_.ReadFrame(limits));
    if (frame.type == FrameType::kModelBlob) co_return frame;
    if (frame.type == FrameType::kRefusal) co_return Refused(frame);
    const bool round_goes_on =
        frame.type == FrameType::kAnnounce || frame.type == FrameType::kClose;
    if (!round_goes_on || waiting_.size() == kMaxWaiting) {
      co_return Broken(
          Error(ErrorCode::kFailedPrecondition,
                "frame " + std::string(ToString(frame.type)) + " where a model was due"));
    }
    waiting_.push_back(std::move(frame));
  }
}

}  // namespace demur::client
