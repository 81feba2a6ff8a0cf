#pragma once

#include <array>
#include <set>
#include <string>
#include <string_view>

// The points (base/fault.h) at which the crash tests kill a process, by the way they are counted.
// fault_points.sh compares them with the sources: a new point that is not here fails a test.
namespace demur::testing {

// Coordinator: every round passes these once.
inline constexpr std::array<std::string_view, 9> kRoundPoints = {
    "coordinator.before_reserve",       "coordinator.after_reserve",
    "coordinator.before_survivors",     "coordinator.after_survivors",
    "coordinator.before_commit",        "coordinator.commit_model_written",
    "coordinator.commit_round_written", "coordinator.commit_ledger_written",
    "coordinator.after_commit"};
// Those of a sparse round's first session, which are passed between before_survivors and
// before_reserve of its second.
inline constexpr std::array<std::string_view, 2> kRowsPoints = {"coordinator.before_rows",
                                                                "coordinator.after_rows"};
// Every member of a round passes these.
inline constexpr std::array<std::string_view, 9> kMemberPoints = {
    "coordinator.send_announce",
    "coordinator.received_advertise",
    "coordinator.send_roster",
    "coordinator.received_shares",
    "coordinator.send_inbox",
    "coordinator.received_masked",
    "coordinator.send_confirm_request",
    "coordinator.received_unmask",
    "coordinator.send_close"};
// A restart that finds a round open passes these.
inline constexpr std::array<std::string_view, 2> kRestartPoints = {"coordinator.before_abandon",
                                                                   "coordinator.after_abandon"};

// Device: once in its life, once a round, and at every commit of its store.
inline constexpr std::array<std::string_view, 1> kLifePoints = {"store.created"};
inline constexpr std::array<std::string_view, 5> kSessionPoints = {
    "client.admitted", "client.before_m1", "client.before_masked_saved",
    "client.after_masked_saved", "client.before_m9"};
inline constexpr std::array<std::string_view, 3> kStorePoints = {
    "store.before_commit", "store.after_commit", "store.after_counter"};

inline std::set<std::string> EveryCrashPoint() {
  std::set<std::string> out;
  out.insert(kRoundPoints.begin(), kRoundPoints.end());
  out.insert(kRowsPoints.begin(), kRowsPoints.end());
  out.insert(kMemberPoints.begin(), kMemberPoints.end());
  out.insert(kRestartPoints.begin(), kRestartPoints.end());
  out.insert(kLifePoints.begin(), kLifePoints.end());
  out.insert(kSessionPoints.begin(), kSessionPoints.end());
  out.insert(kStorePoints.begin(), kStorePoints.end());
  return out;
}

}  // namespace demur::testing
