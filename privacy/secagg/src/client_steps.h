#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "demur/secagg/client.h"

// What the device does with each message once its signature is good. Private to secagg; client.cc
// decides which of these an event leads to. nullopt: done; otherwise why the device gives up.
namespace demur::secagg::client {

using Failure = std::optional<ClientAbort>;
using Frame = std::shared_ptr<const Bytes>;

struct Advertisement {
  crypto::X25519KeyPair channel;
  crypto::X25519KeyPair mask;
  Frame frame;
};
Failure MakeAdvertise(const ClientConfig& config, const ClientSecrets& secrets, Advertisement* out);

// M2: checks every word of the roster against what this device can compute itself.
Failure ReadRoster(const ClientConfig& config, const state::Advertised& state, ByteView body,
                   Place* place);
// M3. Gives every neighbour of `place` its open_key.
Failure MakeShares(const ClientConfig& config, const state::Advertised& state, Place* place,
                   Frame* out);

// M4.
Failure ReadInbox(const ClientConfig& config, const Place& place, ByteView body, MemberSet* shared,
                  std::vector<ReceivedShares>* shares);
// M5, and the hash of its body.
Failure MakeMasked(const ClientConfig& config, const state::Ready& state,
                   std::vector<std::uint32_t> values, Frame* out, Hash256* body_hash);

// M6.
Failure ReadConfirmRequest(const ClientConfig& config, const state::Masked& state, ByteView body,
                           MemberSet* survivors);
// M7. `out` stays null where this member is not of the committee.
Failure MakeConfirm(const ClientConfig& config, const Place& place, const Hash256& transcript,
                    Frame* out);
// M8: the quorum's signatures over `state.transcript`, all of them good.
Failure ReadUnmaskRequest(const ClientConfig& config, const state::Confirmed& state, ByteView body);
// M9.
Failure MakeUnmask(const ClientConfig& config, const Place& place,
                   const std::vector<ReceivedShares>& shares, const MemberSet& survivors,
                   Frame* out);

}  // namespace demur::secagg::client
