#include "secagg_coordinator.h"

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "demur/base/clock.h"
#include "demur/base/json.h"
#include "demur/dp/ledger.h"
#include "demur/secagg/server.h"

namespace demur::sim {
namespace {

namespace effect = secagg::server::effect;
namespace event = secagg::server::event;
using wire::FrameType;

double Seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

// The process's peak resident set, bytes. A forked child starts with what it has then.
std::uint64_t PeakResident() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

// A permit as the task's ledger gives it before a round is announced.
Result<dp::RoundPermit> MintPermit(const model::Plan& plan) {
  dp::Ledger::Policy policy{plan.task, false, {}};
  policy.budget.participations_max = plan.privacy.participations_max;
  policy.budget.rounds_max = plan.privacy.rounds_max;
  DEMUR_TRY(auto ledger, dp::Ledger::Create(policy));
  DEMUR_TRY(auto reservation,
            ledger.Reserve({{plan.round, plan.attempt}, plan.model_hash, std::nullopt, 1, 1}));
  return std::move(reservation.permit);
}

class Coordinator {
 public:
  Coordinator(secagg::ServerConfig config, const std::vector<crypto::PublicKey>& devices,
              Link& link, std::uint64_t peak_before)
      : config_(std::move(config)), devices_(devices), link_(link), peak_before_(peak_before) {
    for (std::uint32_t i = 0; i < devices.size(); ++i) number_of_.emplace(devices[i], i);
  }

  Status Start(dp::RoundPermit permit) {
    const auto before = ThreadCpuTime();
    secagg::ServerTransition transition = secagg::StartServer(config_, std::move(permit));
    cpu_s_["announced"] += Seconds(ThreadCpuTime() - before);
    DEMUR_RETURN_IF_ERROR(Take(std::move(transition)));
    return link_.Send(PacketKind::kIdle);
  }

  // Until the other side closes.
  Status Serve() {
    for (;;) {
      DEMUR_TRY(auto packet, link_.Receive());
      if (!packet) return {};
      DEMUR_RETURN_IF_ERROR(Handle(std::move(*packet)));
      DEMUR_RETURN_IF_ERROR(link_.Send(PacketKind::kIdle));
    }
  }

 private:
  Status Handle(Packet packet) {
    if (over_) return {};  // whoever still speaks is heard by nobody
    if (packet.kind == PacketKind::kDeadline) {
      DEMUR_RETURN_IF_ERROR(Feed(event::Deadline{timer_}));
    } else if (packet.type == FrameType::kLeave) {
      DEMUR_RETURN_IF_ERROR(Feed(event::Left{devices_[packet.device]}));
    } else {
      DEMUR_RETURN_IF_ERROR(
          Feed(event::Message{devices_[packet.device], packet.type, std::move(packet.body)}));
    }
    if (summed_) {
      DEMUR_RETURN_IF_ERROR(Feed(event::Finish{wire::CloseStatus::kCommitted, Hash256{}}));
    }
    if (summed_ || !abort_.empty()) return Report();
    return {};
  }

  // One step, timed, and what it leads to. Each frame is gone before the next effect is looked at.
  Status Feed(secagg::ServerEvent event) {
    const std::string phase(secagg::NameOf(*state_));
    const auto* message = std::get_if<event::Message>(&event);
    const bool masked = message != nullptr && message->type == FrameType::kMasked;
    const auto before = ThreadCpuTime();
    secagg::ServerTransition transition =
        secagg::Step(std::move(*state_), std::move(event), config_);
    step_s_ = Seconds(ThreadCpuTime() - before);
    cpu_s_[phase] += step_s_;
    if (masked) ingest_s_ += step_s_;
    if (transition.refused) {
      return Error(ErrorCode::kInternal, "the coordinator refuses an event while " + phase);
    }
    return Take(std::move(transition));
  }

  Status Take(secagg::ServerTransition transition) {
    state_ = std::move(transition.next);
    for (secagg::ServerEffect& one : transition.effects) {
      DEMUR_RETURN_IF_ERROR(std::visit([this](auto& e) { return Do(e); }, one));
    }
    return {};
  }

  Status Do(effect::Send& e) {
    const auto frame = std::exchange(e.frame, nullptr);
    return link_.Send(PacketKind::kFrame, number_of_.at(e.to), e.type, *frame);
  }
  Status Do(effect::SendOwn& e) {
    const auto before = ThreadCpuTime();
    const auto frame = secagg::MakeOwnFrame(*state_, config_, e.to, e.type);
    cpu_s_[std::string(secagg::NameOf(*state_))] += Seconds(ThreadCpuTime() - before);
    if (!frame) return {};  // the session has moved on
    return link_.Send(PacketKind::kFrame, number_of_.at(e.to), e.type, *frame);
  }
  Status Do(effect::StartTimer& e) {
    timer_ = e.phase;
    return {};
  }
  Status Do(effect::SumReady& e) {
    summed_ = true;
    unmask_s_ = step_s_;
    std::vector<std::uint32_t> numbers;
    for (const secagg::MemberId& id : e.survivors) numbers.push_back(number_of_.at(id));
    DEMUR_RETURN_IF_ERROR(link_.Send(PacketKind::kSurvivors, std::as_bytes(std::span(numbers))));
    return link_.Send(PacketKind::kSum, std::as_bytes(std::span(e.sum)));
  }
  Status Do(effect::Abandoned& e) {
    abort_ = secagg::ToString(e.reason);
    return {};
  }
  Status Do(effect::Evidence&) {
    ++faults_;
    return {};
  }
  Status Do(effect::PersistSurvivors&) { return {}; }  // there is no disk here

  Status Report() {
    over_ = true;
    Json json;
    json.Set("ok", summed_).Set("abort", abort_).Set("faults", faults_);
    json.Set("ingest_s", ingest_s_).Set("unmask_s", unmask_s_);
    json.Set("peak_bytes", PeakResident() - peak_before_);
    Json phases;
    for (const auto& [name, seconds] : cpu_s_) phases.Set(name, seconds);
    json.Set("cpu_s", std::move(phases));
    return link_.Send(PacketKind::kReport, AsBytes(json.Dump()));
  }

  secagg::ServerConfig config_;
  const std::vector<crypto::PublicKey>& devices_;
  std::map<secagg::MemberId, std::uint32_t> number_of_;
  Link& link_;
  std::uint64_t peak_before_;
  std::optional<secagg::ServerState> state_;
  secagg::Phase timer_ = secagg::Phase::kTraining;  // the one that runs
  double step_s_ = 0;                               // of the last step
  std::map<std::string, double> cpu_s_;
  double ingest_s_ = 0;
  double unmask_s_ = 0;
  std::uint32_t faults_ = 0;
  bool summed_ = false;
  std::string abort_;
  bool over_ = false;
};

Status Run(CoordinatorSetup setup, Link& link) {
  const std::uint64_t peak_before = PeakResident();
  DEMUR_TRY(auto permit, MintPermit(setup.plan));
  std::vector<crypto::PublicKey> invited = setup.devices;
  DEMUR_TRY(auto config, secagg::ServerConfig::Create(setup.plan, std::move(setup.signing_key),
                                                      std::move(invited), setup.nonce,
                                                      std::move(setup.check_certificate)));
  Coordinator coordinator(std::move(config), setup.devices, link, peak_before);
  DEMUR_RETURN_IF_ERROR(coordinator.Start(std::move(permit)));
  return coordinator.Serve();
}

}  // namespace

Status ServeSecAggSession(CoordinatorSetup setup, Link link) {
  Status status = Run(std::move(setup), link);
  if (!status) (void)link.Send(PacketKind::kFailed, AsBytes(status.error().message()));
  return status;
}

}  // namespace demur::sim
