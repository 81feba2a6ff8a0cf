#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "demur/crypto/hash.h"
#include "result_matchers.h"
#include "secagg_session.h"

// What the secagg tests share: frames of a whole session to replay, and frames that a dishonest
// coordinator or member would make.
namespace demur::secagg {

using testing::SecAggSession;
using testing::SessionOptions;

inline std::string Number(wire::FrameType type) {
  return "M" + std::to_string(static_cast<int>(type) - 10);
}

inline Bytes SignedFrame(const crypto::Ed25519KeyPair& key, wire::FrameType type,
                         const Hash256& scope, std::uint32_t index, Bytes body) {
  auto message = SignMessage(key, type, scope, index, std::move(body));
  EXPECT_OK(message);
  return wire::Encode(*message);
}

inline wire::SignedBody Opened(ByteView frame) {
  auto message = wire::DecodeSignedBody(ToBytes(frame), 1U << 24);
  EXPECT_OK(message);
  return std::move(*message);
}

// A session without departures, run to its end once. Everything in it is a function of the seed, so
// its frames fit any fresh state of the same options.
class Recording {
 public:
  explicit Recording(const SessionOptions& options) : session_(options) {
    session_.Start();
    session_.Settle();
    EXPECT_TRUE(session_.sum_ready().has_value());
    session_.ServerEvent(server::event::Finish{});
    for (const auto& frame : session_.sent()) to_device_[{frame.device, frame.type}] = frame.bytes;
    for (const auto& frame : session_.received()) {
      from_device_[{frame.device, frame.type}] = frame.bytes;
    }
    const auto masked = wire::DecodeMasked(Opened(FromDevice(0, wire::FrameType::kMasked)).body,
                                           announcement().limits());
    EXPECT_OK(masked);
    session_id_ = masked->session;
    for (std::uint32_t i = 0; i < options.devices; ++i) {
      const auto roster = wire::DecodeRoster(Opened(ToDevice(i, wire::FrameType::kRoster)).body,
                                             announcement().limits());
      EXPECT_OK(roster);
      index_of_.push_back(roster->my_index);
    }
  }

  SecAggSession& session() { return session_; }
  const Announcement& announcement() const { return session_.server_config().announcement(); }
  const Hash256& session_id() const { return session_id_; }
  std::uint32_t IndexOf(std::uint32_t device) const { return index_of_[device]; }
  std::uint32_t DeviceAt(std::uint32_t index) const {
    for (std::uint32_t i = 0; i < index_of_.size(); ++i) {
      if (index_of_[i] == index) return i;
    }
    return kNoIndex;
  }
  const Bytes& ToDevice(std::uint32_t device, wire::FrameType type) const {
    return to_device_.at({device, type});
  }
  const Bytes& FromDevice(std::uint32_t device, wire::FrameType type) const {
    return from_device_.at({device, type});
  }
  bool malicious() const {
    return session_.plan().secagg.profile == model::SecAggProfile::kMalicious;
  }
  const ClientConfig& config(std::uint32_t device) { return *session_.device(device).config; }

  // A frame the coordinator could have signed.
  Bytes AsServer(wire::FrameType type, Bytes body) {
    const bool early = type == wire::FrameType::kRoster || type == wire::FrameType::kClose;
    return SignedFrame(session_.server_key(), type,
                       early ? announcement().announce_hash : session_id_, kNoIndex,
                       std::move(body));
  }
  // A frame `device` could have signed.
  Bytes AsDevice(std::uint32_t device, wire::FrameType type, Bytes body) {
    const bool early = type == wire::FrameType::kAdvertise;
    return SignedFrame(session_.device(device).identity, type,
                       early ? announcement().announce_hash : session_id_,
                       early ? kNoIndex : index_of_[device], std::move(body));
  }

  // A fresh state of `device` in the named state.
  ClientState DeviceIn(std::uint32_t device, std::string_view name) {
    using wire::FrameType;
    ClientState state{client::state::Idle{}};
    const auto step = [&](ClientEvent event) {
      state = Step(std::move(state), std::move(event), config(device)).next;
    };
    const auto message = [&](FrameType type) {
      step(client::event::Message{type, ToDevice(device, type)});
    };
    if (name == "idle") return state;
    if (name == "aborted") {
      step(client::event::Stop{});
      return state;
    }
    step(client::event::Start{session_.SecretsOf(device)});
    if (name == "advertised") return state;
    message(FrameType::kRoster);
    if (name == "shared") return state;
    message(FrameType::kInbox);
    if (name == "ready") return state;
    step(client::event::Input{session_.InputOf(device)});
    if (name == "masked") return state;
    message(FrameType::kConfirmRequest);
    if (name == "confirmed") return state;
    if (malicious()) message(FrameType::kUnmaskRequest);
    if (name == "unmasked") return state;
    message(FrameType::kClose);
    EXPECT_EQ(NameOf(state), name);
    return state;
  }

  // A fresh state of the coordinator in the named state. The devices in `holding` have not
  // answered its phase yet.
  ServerState ServerIn(std::string_view name, const std::vector<std::uint32_t>& holding) {
    using wire::FrameType;
    const ServerConfig& config = session_.server_config();
    auto state = StartServer(config, testing::MintPermit(session_.plan())).next;
    const auto step = [&](ServerEvent event) {
      state = Step(std::move(state), std::move(event), config).next;
    };
    const auto holds = [&](std::uint32_t device) {
      return std::find(holding.begin(), holding.end(), device) != holding.end();
    };
    // Answers of everybody, or of those who are not held back.
    const auto answers = [&](FrameType type, bool all) {
      for (std::uint32_t i = 0; i < index_of_.size(); ++i) {
        if (!all && holds(i)) continue;
        step(server::event::Message{session_.device(i).identity.public_key, type,
                                    FromDevice(i, type)});
      }
    };
    if (name == "aborted") {
      step(server::event::Stop{});
      return state;
    }
    if (name == "advertising") step(server::event::Deadline{Phase::kTraining});
    const std::pair<std::string_view, FrameType> phases[] = {
        {"announced", FrameType::kAdvertise}, {"advertising", FrameType::kAdvertise},
        {"sharing", FrameType::kShares},      {"masking", FrameType::kMasked},
        {"confirming", FrameType::kConfirm},  {"unmasking", FrameType::kUnmask}};
    for (const auto& [phase, type] : phases) {
      if (phase == "advertising" && name != "advertising") continue;
      if (phase == "confirming" && !malicious()) continue;
      if (phase == "announced" && name == "advertising") continue;
      answers(type, phase != name);
      if (phase == name) return state;
    }
    if (name == "done") step(server::event::Finish{});
    EXPECT_EQ(NameOf(state), name);
    return state;
  }

 private:
  SecAggSession session_;
  Hash256 session_id_{};
  std::vector<std::uint32_t> index_of_;
  std::map<std::pair<std::uint32_t, wire::FrameType>, Bytes> to_device_;
  std::map<std::pair<std::uint32_t, wire::FrameType>, Bytes> from_device_;
};

// A transition in one line, as the tables in docs/protocol.md have it: what goes out, in order, an
// arrow and the next state; or "refused".
inline std::string Describe(const ClientTransition& t) {
  if (t.refused) return t.effects.empty() ? "refused" : "refused with effects";
  std::string out;
  for (const ClientEffect& effect : t.effects) {
    if (!out.empty()) out += ", ";
    if (const auto* send = std::get_if<client::effect::Send>(&effect)) out += Number(send->type);
    if (std::holds_alternative<client::effect::NeedInput>(effect)) out += "need input";
    if (std::holds_alternative<client::effect::PersistMasked>(effect)) out += "mark vector";
    if (std::holds_alternative<client::effect::PersistSurvivors>(effect)) out += "mark survivors";
    if (std::holds_alternative<client::effect::Finished>(effect)) out += "finished";
    if (const auto* failed = std::get_if<client::effect::Failed>(&effect)) {
      out += ToString(failed->reason);
    }
  }
  return out + (out.empty() ? "-> " : " -> ") + std::string(NameOf(t.next));
}

inline std::string Describe(const ServerTransition& t) {
  if (t.refused) return t.effects.empty() ? "refused" : "refused with effects";
  std::vector<std::string> parts;
  std::vector<int> times;
  const auto add = [&](std::string part) {
    if (!parts.empty() && parts.back() == part) {
      ++times.back();
    } else {
      parts.push_back(std::move(part));
      times.push_back(1);
    }
  };
  for (const ServerEffect& effect : t.effects) {
    if (const auto* send = std::get_if<server::effect::Send>(&effect)) add(Number(send->type));
    if (const auto* own = std::get_if<server::effect::SendOwn>(&effect)) add(Number(own->type));
    if (std::holds_alternative<server::effect::PersistSurvivors>(effect)) add("persist survivors");
    if (const auto* timer = std::get_if<server::effect::StartTimer>(&effect)) {
      add("timer " + std::string(ToString(timer->phase)));
    }
    if (std::holds_alternative<server::effect::SumReady>(effect)) add("sum");
    if (const auto* abandoned = std::get_if<server::effect::Abandoned>(&effect)) {
      add("abandoned: " + std::string(ToString(abandoned->reason)));
    }
    if (const auto* evidence = std::get_if<server::effect::Evidence>(&effect)) {
      add("evidence: " + std::string(ToString(evidence->fault)));
    }
  }
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += ", ";
    out += parts[i] + (times[i] > 1 ? " x" + std::to_string(times[i]) : "");
  }
  return out + (out.empty() ? "-> " : " -> ") + std::string(NameOf(t.next));
}

}  // namespace demur::secagg
