#include <algorithm>
#include <iterator>

#include "demur/crypto/hash.h"
#include "demur/secagg/server.h"
#include "server_steps.h"

namespace demur::secagg {
namespace {

Error Bad(const char* what) { return Error(ErrorCode::kInvalidArgument, what); }

}  // namespace

Result<ServerConfig> ServerConfig::Create(const model::Plan& plan,
                                          crypto::Ed25519KeyPair signing_key,
                                          std::vector<MemberId> invited,
                                          const Hash256& server_nonce,
                                          CertificateCheck check_certificate) {
  DEMUR_RETURN_IF_ERROR(plan.Validate());
  if (!check_certificate) return Bad("secagg: no certificate check");
  std::sort(invited.begin(), invited.end());
  if (std::adjacent_find(invited.begin(), invited.end()) != invited.end()) {
    return Bad("secagg: a member is invited twice");
  }
  if (invited.size() < plan.secagg.roster_min || invited.size() > plan.secagg.roster_max) {
    return Bad("secagg: the cohort is outside the plan's roster");
  }
  for (const std::size_t n : {std::size_t{plan.secagg.roster_min}, invited.size()}) {
    DEMUR_RETURN_IF_ERROR([&]() -> Status {
      DEMUR_TRY([[maybe_unused]] const auto parameters,
                ComputeParameters(static_cast<std::uint32_t>(n), plan.secagg));
      return {};
    }());
  }
  const Bytes encoded_plan = wire::EncodePlan(plan);
  Bytes body = wire::Encode(wire::Announce{encoded_plan, crypto::Sha256(server_nonce)});
  if (body.size() > wire::kMaxAnnounceLen) return Bad("secagg: the plan is too long to announce");
  ServerConfig config;
  DEMUR_TRY(const auto layout, model::Layout::Create(plan.training.schema, plan.training.slice));
  config.announcement_ = {plan, crypto::Sha256(body), crypto::Sha256(encoded_plan),
                          crypto::Sha256(server_nonce), layout.dim()};
  DEMUR_TRY(const auto message, SignMessage(signing_key, wire::FrameType::kAnnounce, Hash256{},
                                            kNoIndex, std::move(body)));
  config.announce_frame_ = std::make_shared<const Bytes>(wire::Encode(message));
  config.signing_key_ = std::move(signing_key);
  config.invited_ = std::move(invited);
  config.server_nonce_ = server_nonce;
  config.check_certificate_ = std::move(check_certificate);
  return config;
}

const dp::RoundPermit* PermitOf(const ServerState& state) noexcept {
  return std::visit(
      []<class S>(const S& s) -> const dp::RoundPermit* {
        if constexpr (requires { s.core; }) {
          return s.core.permit.valid() ? &s.core.permit : nullptr;
        } else {
          return nullptr;
        }
      },
      state);
}

std::uint32_t PendingMembers(const ServerState& state) noexcept {
  return std::visit(
      []<class S>(const S& s) -> std::uint32_t {
        if constexpr (requires { server::Pending(s.core, s); }) {
          return server::Pending(s.core, s);
        } else {
          return 0;
        }
      },
      state);
}

bool IsActive(const ServerState& state, const MemberId& member) noexcept {
  return std::visit(
      [&member]<class S>(const S& s) {
        if constexpr (requires { server::Pending(s.core, s); }) {
          const server::Member* one = server::FindMember(s.core, member);
          return one != nullptr && one->standing == server::Standing::kActive;
        } else {
          return false;
        }
      },
      state);
}

std::shared_ptr<const Bytes> MakeOwnFrame(const ServerState& state, const ServerConfig& config,
                                          const MemberId& to, wire::FrameType type) {
  return std::visit(
      [&]<class S>(const S& s) -> std::shared_ptr<const Bytes> {
        if constexpr (std::is_same_v<S, server::state::Sharing>) {
          const server::Member* member = server::FindMember(s.core, to);
          if (member == nullptr || member->index == kNoIndex || type != wire::FrameType::kRoster) {
            return nullptr;
          }
          return server::MakeRoster(config, s.core, s.frozen, member->index);
        } else if constexpr (std::is_same_v<S, server::state::Masking>) {
          const server::Member* member = server::FindMember(s.core, to);
          if (member == nullptr || member->index == kNoIndex || type != wire::FrameType::kInbox) {
            return nullptr;
          }
          return server::MakeInbox(config, s, member->index);
        } else {
          return nullptr;
        }
      },
      state);
}

std::string_view NameOf(const ServerState& state) noexcept {
  static constexpr std::string_view kNames[] = {"announced", "advertising", "sharing",
                                                "masking",   "confirming",  "unmasking",
                                                "summed",    "done",        "aborted"};
  static_assert(std::size(kNames) == std::variant_size_v<ServerState>);
  return kNames[state.index()];
}

std::string_view ToString(Phase phase) noexcept {
  static constexpr std::string_view kNames[] = {"unknown", "training", "advertise", "share",
                                                "mask",    "confirm",  "unmask"};
  const auto number = static_cast<std::size_t>(phase);
  return kNames[number < std::size(kNames) ? number : 0];
}

std::string_view ToString(Fault fault) noexcept {
  static constexpr std::string_view kNames[] = {
      "unknown",          "malformed message",      "bad signature",      "message out of order",
      "second body",      "another round",          "certificate",        "bad key",
      "duplicate key",    "wrong neighbours",       "another member set", "bad vector",
      "wrong share kind", "share is not the dealt", "bad dealing",        "bad confirmation"};
  const auto number = static_cast<std::size_t>(fault);
  return kNames[number < std::size(kNames) ? number : 0];
}

std::string_view ToString(ServerAbort reason) noexcept {
  static constexpr std::string_view kNames[] = {"unknown",
                                                "stopped",
                                                "roster too small",
                                                "too few members shared",
                                                "too few survivors",
                                                "too few shares",
                                                "bad dealing",
                                                "internal",
                                                "too few confirmations"};
  const auto number = static_cast<std::size_t>(reason);
  return kNames[number < std::size(kNames) ? number : 0];
}

}  // namespace demur::secagg
