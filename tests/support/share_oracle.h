#pragma once

#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/ids.h"
#include "demur/crypto/hash.h"
#include "demur/secagg/session.h"
#include "demur/secagg/shamir.h"
#include "demur/wire/secagg_messages.h"
#include "demur/wire/signed_body.h"

// What a coordinator could open of its devices' secrets, given every frame that all its
// incarnations received. A vector is safe as long as nobody can open both its owner's mask seed and
// self seed, so that is what the oracle looks for: it needs no threshold, it tries every number of
// the shares it has and compares what comes out with all that the owner ever advertised. For tests.
namespace demur::testing {

class ShareOracle {
 public:
  struct Verdict {
    std::size_t mask_seeds = 0;  // opened, over all sessions
    std::size_t self_seeds = 0;
    std::size_t both = 0;  // devices of a session of which both were opened: must be 0
    std::size_t masked_bodies = 0;
    std::size_t second_bodies = 0;  // of one device for one announcement: must be 0
  };

  // Of every kind of session that a round has: their vectors differ in length.
  explicit ShareOracle(std::vector<wire::SecAggLimits> sessions) : limits_(std::move(sessions)) {}

  // `frame`: the frame body of M1, M3, M5 or M9 as `from` sent it. Others are left out.
  void Take(DeviceNumber from, wire::FrameType type, ByteView frame) {
    const auto message = wire::DecodeSignedBody(ToBytes(frame), frame.size());
    if (!message) return;
    if (type == wire::FrameType::kAdvertise) TakeAdvertise(from, message->body);
    if (type == wire::FrameType::kShares) TakeShares(from, message->body);
    if (type == wire::FrameType::kMasked) TakeMasked(from, message->body);
    if (type == wire::FrameType::kUnmask) TakeUnmask(from, message->body);
  }

  Verdict Judge() const {
    Verdict verdict;
    for (const auto& [id, session] : sessions_) {
      const Roster& roster = rosters_.at(session.announce);
      std::uint32_t index = 0;  // a roster is in order of identity keys
      for (const auto& [identity, advertised] : roster) {
        bool mask = false;
        bool self = false;
        for (const wire::Advertise& m1 : advertised) {
          mask = mask || Opens(session, roster, index, m1, wire::ShareKind::kMask);
          self = self || Opens(session, roster, index, m1, wire::ShareKind::kSelf);
        }
        verdict.mask_seeds += mask ? 1 : 0;
        verdict.self_seeds += self ? 1 : 0;
        verdict.both += mask && self ? 1 : 0;
        ++index;
      }
    }
    std::map<std::pair<DeviceNumber, Hash256>, std::set<Hash256>> bodies;
    for (const auto& [key, hashes] : masked_) {
      bodies[{key.first, sessions_.at(key.second).announce}].insert(hashes.begin(), hashes.end());
    }
    for (const auto& [key, hashes] : bodies) {
      verdict.masked_bodies += 1;
      verdict.second_bodies += hashes.size() - 1;
    }
    return verdict;
  }

 private:
  using Identity = wire::PublicKey;
  // Every M1 of a member: a device that died may have sent one in each of its lives, and which of
  // them went into the roster only the coordinator knows.
  using Roster = std::map<Identity, std::vector<wire::Advertise>>;
  struct Session {
    Hash256 announce{};
    // (dealer, kind) -> holder -> share
    std::map<std::pair<std::uint32_t, wire::ShareKind>,
             std::map<Identity, SecretArray<wire::kShareLen>>>
        shares;
  };

  void TakeAdvertise(DeviceNumber from, ByteView body) {
    auto advertise = wire::DecodeAdvertise(body);
    if (!advertise) return;
    rosters_[advertise->announce][advertise->identity_key].push_back(*advertise);
    latest_[from] = std::move(*advertise);
  }
  void TakeShares(DeviceNumber from, ByteView body) {
    const auto shares = wire::DecodeShares(body, limits_.front());
    if (shares && latest_.contains(from)) {
      sessions_[shares->session].announce = latest_[from].announce;
    }
  }
  void TakeMasked(DeviceNumber from, ByteView body) {
    for (const wire::SecAggLimits& limits : limits_) {
      const auto masked = wire::DecodeMasked(ToBytes(body), limits);
      if (masked && sessions_.contains(masked->session))
        masked_[{from, masked->session}].insert(crypto::Sha256(masked->packed));
    }
  }
  void TakeUnmask(DeviceNumber from, ByteView body) {
    auto unmask = wire::DecodeUnmask(body, limits_.front());
    if (!unmask || !sessions_.contains(unmask->session) || !latest_.contains(from)) return;
    Session& session = sessions_[unmask->session];
    for (wire::RevealedShare& revealed : unmask->shares) {
      session.shares[{revealed.index, revealed.kind}][latest_[from].identity_key] =
          std::move(revealed.share);
    }
  }

  static bool Fits(const wire::Advertise& owner, wire::ShareKind kind,
                   const SecretArray<32>& seed) {
    if (kind == wire::ShareKind::kSelf) {
      return secagg::SelfCommitment(owner.announce, owner.identity_key, seed) ==
             owner.self_commitment;
    }
    const auto pair = secagg::KeyPairFromSeed(owner.announce, seed);
    return pair && pair->public_key == owner.mask_key;
  }
  static bool Opens(const Session& session, const Roster& roster, std::uint32_t index,
                    const wire::Advertise& owner, wire::ShareKind kind) {
    const auto found = session.shares.find({index, kind});
    if (found == session.shares.end()) return false;
    std::vector<secagg::HeldShare> held;
    for (const auto& [holder, share] : found->second) {
      const auto at = std::distance(roster.begin(), roster.find(holder));
      held.push_back({static_cast<std::uint32_t>(at) + 1, &share});
      const auto seed = secagg::OpenSecret(held);
      if (seed && Fits(owner, kind, *seed)) return true;
    }
    return false;
  }

  std::vector<wire::SecAggLimits> limits_;
  std::map<DeviceNumber, wire::Advertise> latest_;
  std::map<Hash256, Roster> rosters_;  // by announcement
  std::map<Hash256, Session> sessions_;
  std::map<std::pair<DeviceNumber, Hash256>, std::set<Hash256>> masked_;
};

}  // namespace demur::testing
