#pragma once

#include <optional>
#include <vector>

#include "demur/secagg/server.h"

// What the coordinator does with each message once its sender and signature are known, and what
// happens at the end of a phase. Private to secagg; server.cc decides which of these an event leads
// to.
namespace demur::secagg::server {

using Effects = std::vector<ServerEffect>;
using Verdict = std::optional<Fault>;  // nullopt: accepted

bool HasAccepted(const Member& member, wire::FrameType type) noexcept;
// Null: not of the cohort.
Member* FindMember(Core& core, const MemberId& id);
const Member* FindMember(const Core& core, const MemberId& id);

// --- Accepting one message (server_messages.cc)
// ---------------------------------------------------

// Checks an M1 from `from`. Its keys become the roster's when the phase ends.
Verdict CheckAdvertise(const ServerConfig& config, const MemberId& from, ByteView body);
Verdict AcceptShares(const ServerConfig& config, state::Sharing& state, const Member& member,
                     ByteView body);
Verdict AcceptMasked(const ServerConfig& config, state::Masking& state, const Member& member,
                     Bytes body);
// M7 from a member of the committee: signs `transcript`.
Verdict CheckConfirm(const Frozen& frozen, const Hash256& transcript, const Member& member,
                     ByteView body, wire::Confirm* out);
Verdict AcceptConfirm(state::Confirming& state, const Member& member, ByteView body);
Verdict AcceptUnmask(const ServerConfig& config, state::Unmasking& state, const Member& member,
                     ByteView body);

// --- Frames
// ------------------------------------------------------------------------------------------

using Frame = std::shared_ptr<const Bytes>;
// All: null when the library failed.
Frame MakeRoster(const ServerConfig& config, const Core& core, const Frozen& frozen,
                 std::uint32_t index);
Frame MakeInbox(const ServerConfig& config, const state::Masking& state, std::uint32_t index);
Frame MakeConfirmRequest(const ServerConfig& config, const Frozen& frozen,
                         const MemberSet& survivors);
// M8: the quorum's signatures, those of the lowest members.
Frame MakeUnmaskRequest(const ServerConfig& config, const state::Confirming& state);
Frame MakeClose(const ServerConfig& config, wire::CloseStatus status, const Hash256& result_hash);

// --- Ends of phases (server_phases.cc)
// --------------------------------------------------------------

// Active members without an answer to the phase. Counting stops at `enough`: whether there is any
// is asked at every message.
inline constexpr std::uint32_t kAllOfThem = ~std::uint32_t{0};
std::uint32_t Pending(const Core& core, const state::Announced&,
                      std::uint32_t enough = kAllOfThem) noexcept;
std::uint32_t Pending(const Core& core, const state::Advertising&,
                      std::uint32_t enough = kAllOfThem) noexcept;
std::uint32_t Pending(const Core& core, const state::Sharing&,
                      std::uint32_t enough = kAllOfThem) noexcept;
std::uint32_t Pending(const Core& core, const state::Masking& state,
                      std::uint32_t enough = kAllOfThem) noexcept;
std::uint32_t Pending(const Core& core, const state::Confirming& state,
                      std::uint32_t enough = kAllOfThem) noexcept;
std::uint32_t Pending(const Core& core, const state::Unmasking& state,
                      std::uint32_t enough = kAllOfThem) noexcept;

// Each ends its phase, whoever is missing, and goes on until somebody is waited for again.
ServerTransition EndAdvertising(Core core, Effects effects, const ServerConfig& config);
ServerTransition EndSharing(state::Sharing state, Effects effects, const ServerConfig& config);
ServerTransition EndMasking(state::Masking state, Effects effects, const ServerConfig& config);
ServerTransition EndConfirming(state::Confirming state, Effects effects,
                               const ServerConfig& config);
ServerTransition EndUnmasking(state::Unmasking state, Effects effects, const ServerConfig& config);

ServerTransition Abandon(Core core, ServerAbort reason, bool shares_asked, Effects effects,
                         const ServerConfig& config);
// Tells `member` that the round goes on without it.
void SendExcluded(const Member& member, Effects& effects, const ServerConfig& config);
void StartTimer(Phase phase, Effects& effects, const ServerConfig& config);

// --- The sum (unmasking.cc)
// --------------------------------------------------------------------------

// Opens the self seeds of the survivors and the mask seeds of those who dropped out, checks each
// against what its owner advertised, and takes the masks off state.sum. nullopt: the sum is clean.
// `blamed`: dealers of wrong shares, whether or not the rest of their shares opened.
std::optional<ServerAbort> RemoveMasks(state::Unmasking& state, std::vector<MemberId>* blamed);

}  // namespace demur::secagg::server
