#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string_view>
#include <utility>

#include "demur/crypto/aead.h"
#include "demur/secagg/mask.h"
#include "secagg_test_util.h"

// What the tests of attacks share: one honest session whose frames they change, and the questions
// they ask of what comes out.
namespace demur::secagg {

using wire::FrameType;

inline Recording& Reference() {
  static Recording& recording = *new Recording(SessionOptions{});
  return recording;
}
// The malicious profile on a complete graph, where everybody signs: t = q = 11.
inline SessionOptions CompleteOptions(std::uint32_t devices = 20) {
  SessionOptions options;
  options.devices = devices;
  options.sigma = 80;
  options.profile = model::SecAggProfile::kMalicious;
  return options;
}
inline Recording& Complete() {
  static Recording& recording = *new Recording(CompleteOptions());
  return recording;
}
// The malicious profile on an expander with a committee.
inline SessionOptions ExpanderOptions() {
  SessionOptions options = CompleteOptions(210);
  options.dropout_permille = 100;  // fewer neighbours, so that a session takes less time
  options.sigma = 40;
  return options;
}
inline Recording& Expander() {
  static Recording& recording = *new Recording(ExpanderOptions());
  return recording;
}

inline ClientTransition Give(Recording& r, std::uint32_t device, std::string_view state,
                             FrameType type, Bytes frame) {
  return Step(r.DeviceIn(device, state), client::event::Message{type, std::move(frame)},
              r.config(device));
}
inline ClientTransition Give(std::uint32_t device, std::string_view state, FrameType type,
                             Bytes frame) {
  return Give(Reference(), device, state, type, std::move(frame));
}

inline wire::Roster RosterOf(std::uint32_t device, Recording& r = Reference()) {
  auto roster = wire::DecodeRoster(Opened(r.ToDevice(device, FrameType::kRoster)).body,
                                   r.announcement().limits());
  EXPECT_OK(roster);
  return std::move(*roster);
}
inline Bytes AsFrame(const wire::Roster& roster, Recording& r = Reference()) {
  return r.AsServer(FrameType::kRoster, wire::Encode(roster));
}
inline wire::Inbox InboxOf(std::uint32_t device, Recording& r = Reference()) {
  auto inbox = wire::DecodeInbox(Opened(r.ToDevice(device, FrameType::kInbox)).body,
                                 r.announcement().limits());
  EXPECT_OK(inbox);
  return std::move(*inbox);
}
inline Bytes AsFrame(const wire::Inbox& inbox, Recording& r = Reference()) {
  return r.AsServer(FrameType::kInbox, wire::Encode(inbox));
}
inline Bytes ConfirmFrame(const MemberSet& survivors, Recording& r = Reference()) {
  return r.AsServer(FrameType::kConfirmRequest,
                    wire::Encode(wire::ConfirmRequest{r.session_id(), ToBytes(survivors.bytes())}));
}
inline wire::UnmaskRequest UnmaskRequestOf(std::uint32_t device, Recording& r) {
  auto request = wire::DecodeUnmaskRequest(
      Opened(r.ToDevice(device, FrameType::kUnmaskRequest)).body, r.announcement().limits());
  EXPECT_OK(request);
  return std::move(*request);
}
inline Bytes AsFrame(const wire::UnmaskRequest& request, Recording& r) {
  return r.AsServer(FrameType::kUnmaskRequest, wire::Encode(request));
}
inline wire::Unmask UnmaskIn(const ClientTransition& t) {
  for (const ClientEffect& effect : t.effects) {
    const auto* send = std::get_if<client::effect::Send>(&effect);
    if (send == nullptr || send->type != FrameType::kUnmask) continue;
    auto unmask =
        wire::DecodeUnmask(Opened(*send->frame).body, Reference().announcement().limits());
    EXPECT_OK(unmask);
    return std::move(*unmask);
  }
  ADD_FAILURE() << "no M9";
  return {};
}
inline MemberSet AllBut(const std::set<std::uint32_t>& out, std::uint32_t n = 20) {
  MemberSet set(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    if (!out.contains(i)) set.Insert(i);
  }
  return set;
}
inline bool Fails(const ClientTransition& t, ClientAbort reason) {
  const auto* aborted = std::get_if<client::state::Aborted>(&t.next);
  if (aborted == nullptr) return false;
  for (const ClientEffect& effect : t.effects) {
    if (!std::holds_alternative<client::effect::Failed>(effect)) return false;  // says nothing more
  }
  EXPECT_EQ(ToString(aborted->reason), ToString(reason));
  return aborted->reason == reason;
}
// Re-signs `advertise` as `device`.
inline wire::SignedBody SignedAdvertise(std::uint32_t device, const wire::Advertise& advertise) {
  return Opened(Reference().AsDevice(device, FrameType::kAdvertise, wire::Encode(advertise)));
}

}  // namespace demur::secagg
