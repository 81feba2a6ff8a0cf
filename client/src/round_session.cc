#include "round_session.h"

#include <algorithm>
#include <span>
#include <utility>

#include "demur/base/fault.h"
#include "demur/base/secret.h"
#include "demur/wire/control.h"

namespace demur::client {
namespace {

namespace effect = secagg::client::effect;
namespace event = secagg::client::event;
namespace state = secagg::client::state;

SessionEnd EndOf(wire::CloseStatus status) {
  switch (status) {
    case wire::CloseStatus::kCommitted:
      return SessionEnd::kCommitted;
    case wire::CloseStatus::kAbandoned:
      return SessionEnd::kAbandoned;
    case wire::CloseStatus::kExcluded:
      return SessionEnd::kExcluded;
  }
  return SessionEnd::kAbandoned;
}

bool Sends(const std::vector<secagg::ClientEffect>& effects, wire::FrameType type) {
  return std::any_of(effects.begin(), effects.end(), [type](const secagg::ClientEffect& e) {
    const auto* send = std::get_if<effect::Send>(&e);
    return send != nullptr && send->type == type;
  });
}

bool NeedsInput(const std::vector<secagg::ClientEffect>& effects) {
  return std::any_of(effects.begin(), effects.end(), [](const secagg::ClientEffect& e) {
    return std::holds_alternative<effect::NeedInput>(e);
  });
}

}  // namespace

std::string_view ToString(SessionEnd end) noexcept {
  switch (end) {
    case SessionEnd::kCommitted:
      return "committed";
    case SessionEnd::kAbandoned:
      return "abandoned";
    case SessionEnd::kExcluded:
      return "excluded";
    case SessionEnd::kLeft:
      return "left";
    case SessionEnd::kStopped:
      return "stopped";
    case SessionEnd::kFailed:
      return "failed";
  }
  return "unknown";
}

RoundSession::RoundSession(PreparedRound round) : round_(std::move(round)), state_(state::Idle{}) {}

RoundSession::~RoundSession() { Wipe(std::as_writable_bytes(std::span(round_.input))); }

const secagg::Announcement& RoundSession::announcement() const noexcept {
  return round_.config->announcement();
}

bool RoundSession::counts_rows() const noexcept {
  return announcement().plan.session.counts_rows();
}

void RoundSession::Compute(secagg::ClientEvent event) {
  if (end_) return;
  Take(secagg::Step(std::move(state_), std::move(event), *round_.config));
  if (leave_ || !NeedsInput(pending_)) return;
  pending_.clear();  // NeedInput stands alone in its step
  Take(secagg::Step(std::move(state_), event::Input{round_.input}, *round_.config));
}

// A scripted departure shows in place of the message that it replaces.
void RoundSession::Take(secagg::ClientTransition transition) {
  state_ = std::move(transition.next);
  const bool leaves =
      (round_.departure == Departure::kBeforeMasking && NeedsInput(transition.effects)) ||
      (round_.departure == Departure::kAfterMasking &&
       Sends(transition.effects, wire::FrameType::kUnmask));
  if (leaves) return Depart();
  for (secagg::ClientEffect& e : transition.effects) pending_.push_back(std::move(e));
}

void RoundSession::Depart() {
  pending_.clear();
  // The answer is a Failed that nobody has to hear of; what counts is that the secrets are gone.
  state_ = secagg::Step(std::move(state_), event::Stop{}, *round_.config).next;
  leave_ = true;
}

Result<std::vector<OutFrame>> RoundSession::Settle(RoundJournal& journal) {
  std::vector<OutFrame> out;
  std::vector<secagg::ClientEffect> effects = std::move(pending_);
  pending_.clear();
  for (secagg::ClientEffect& e : effects) {
    if (Status status = Perform(e, journal, &out); !status) {
      state_ = secagg::Step(std::move(state_), event::Stop{}, *round_.config).next;
      end_ = SessionEnd::kFailed;
      return std::move(status).error();
    }
  }
  if (leave_) {
    const model::Plan& plan = announcement().plan;
    const wire::Leave leave{plan.task, plan.round, plan.attempt};
    out.push_back({wire::FrameType::kLeave, std::make_shared<const Bytes>(wire::Encode(leave))});
    end_ = SessionEnd::kLeft;
  }
  return out;
}

Status RoundSession::Durable(Status saved) {
  journal_failed_ = !saved;
  return saved;
}

Status RoundSession::Perform(secagg::ClientEffect& e, RoundJournal& journal,
                             std::vector<OutFrame>* out) {
  if (auto* send = std::get_if<effect::Send>(&e)) {
    if (send->type == wire::FrameType::kAdvertise && !joined_) {
      FaultPoint("client.before_m1");
      joined_ = true;
    }
    if (send->type == wire::FrameType::kUnmask) FaultPoint("client.before_m9");
    out->push_back({send->type, std::move(send->frame)});
    return {};
  }
  if (std::holds_alternative<effect::PersistMasked>(e)) {
    FaultPoint("client.before_masked_saved");
    DEMUR_RETURN_IF_ERROR(Durable(journal.SaveMasked(round_.charged, round_.next)));
    FaultPoint("client.after_masked_saved");
    // M5 is made, and made once.
    Wipe(std::as_writable_bytes(std::span(round_.input)));
    round_.input.clear();
    return {};
  }
  if (const auto* persist = std::get_if<effect::PersistSurvivors>(&e)) {
    round_.charged.confirmed_session = persist->session;
    round_.charged.confirmed_survivors = persist->survivors_hash;
    return Durable(journal.SaveTask(round_.charged));
  }
  if (const auto* finished = std::get_if<effect::Finished>(&e)) {
    end_ = EndOf(finished->status);
    return {};
  }
  if (const auto* failed = std::get_if<effect::Failed>(&e)) {
    if (failed->reason == secagg::ClientAbort::kStopped) {
      end_ = SessionEnd::kStopped;
      return {};
    }
    return Error(ErrorCode::kAborted,
                 "session ended: " + std::string(secagg::ToString(failed->reason)));
  }
  return {};
}

std::uint64_t RoundSession::WaitMs() const noexcept {
  const model::TimeoutPlan& t = announcement().plan.timeouts;
  if (std::holds_alternative<state::Advertised>(state_)) {
    // The roster waits for the slowest training and then for the slowest M1.
    if (t.training_ms == 0 || t.advertise_ms == 0) return 0;
    return std::uint64_t{t.training_ms} + t.advertise_ms;
  }
  if (std::holds_alternative<state::Shared>(state_)) return t.share_ms;
  if (std::holds_alternative<state::Masked>(state_)) return t.mask_ms;
  if (std::holds_alternative<state::Confirmed>(state_)) return t.confirm_ms;
  if (std::holds_alternative<state::Unmasked>(state_)) return t.unmask_ms;
  return 0;
}

}  // namespace demur::client
