#include "demur/base/check.h"
#include "demur/wire/secagg_messages.h"
#include "flat_reader.h"
#include "schema/secagg.capnp.h"

// Sizes and writing of M0 to M10; secagg_decode.cc reads them.
namespace demur::wire {
namespace {

using internal::AsData;
using internal::FirstSegmentWords;
using internal::Flatten;

constexpr std::size_t kFieldsLen = 512;         // fixed fields, pointers and hashes, about
constexpr std::size_t kNeighbourItemLen = 128;  // one RosterNeighbour without its M1
constexpr std::size_t kConfirmationItemLen = 128;
constexpr std::size_t kAdvertiseLen = kMaxMemberCertificateLen + 512;  // an M1 body, at most
constexpr std::size_t kSignedLen = 256;  // what a SignedBody adds to its body

Bytes Records(const std::vector<SealedShares>& items) {
  ByteWriter out;
  for (const SealedShares& item : items) {
    out.U32(item.index).Raw(item.sealed).Raw(item.mask_share_hash).Raw(item.self_share_hash);
  }
  return std::move(out).bytes();
}

}  // namespace

std::size_t PackedLen(std::uint32_t dim, std::uint32_t bits) noexcept {
  return static_cast<std::size_t>((std::uint64_t{dim} * bits + 7) / 8);
}

std::size_t BitmapLen(std::uint32_t n) noexcept { return (std::size_t{n} + 7) / 8; }

std::uint32_t MaxSecAggFrameLen(FrameType type, const SecAggLimits& limits) noexcept {
  const std::size_t n = std::min(limits.roster_max, kMaxRosterSize);
  std::size_t body = 0;
  switch (type) {
    case FrameType::kAnnounce:
      body = kMaxAnnounceLen;
      break;
    case FrameType::kAdvertise:
      body = kAdvertiseLen;
      break;
    case FrameType::kRoster:
      body = n * (kNeighbourItemLen + kAdvertiseLen);
      break;
    case FrameType::kShares:
      body = n * kSealedRecordLen;
      break;
    case FrameType::kInbox:
      body = BitmapLen(limits.roster_max) + n * kSealedRecordLen;
      break;
    case FrameType::kMasked:
      body = PackedLen(limits.dim, limits.bits);
      break;
    case FrameType::kConfirmRequest:
      body = BitmapLen(limits.roster_max);
      break;
    case FrameType::kUnmaskRequest:
      body = n * (kConfirmationItemLen + kMaxMemberCertificateLen);
      break;
    case FrameType::kUnmask:
      body = n * kRevealedRecordLen;
      break;
    case FrameType::kConfirm:
    case FrameType::kClose:
      break;
    default:
      return 0;
  }
  return static_cast<std::uint32_t>(
      std::min<std::size_t>(body + kFieldsLen + kSignedLen, ~std::uint32_t{0}));
}

Bytes Encode(const Announce& message) {
  capnp::MallocMessageBuilder builder(FirstSegmentWords(message.plan.size(), kFieldsLen));
  auto root = builder.initRoot<schema::Announce>();
  root.setPlan(AsData(message.plan));
  root.setNonceCommitment(AsData(message.nonce_commitment));
  return Flatten(builder);
}

Bytes Encode(const Advertise& message) {
  capnp::MallocMessageBuilder builder(FirstSegmentWords(message.certificate.size(), kFieldsLen));
  auto root = builder.initRoot<schema::Advertise>();
  root.setAnnounce(AsData(message.announce));
  root.setIdentityKey(AsData(message.identity_key));
  root.setCertificate(AsData(message.certificate));
  root.setChannelKey(AsData(message.channel_key));
  root.setMaskKey(AsData(message.mask_key));
  root.setNonce(AsData(message.nonce));
  root.setSelfCommitment(AsData(message.self_commitment));
  return Flatten(builder);
}

Bytes Encode(const Roster& message) {
  std::size_t data = message.committee.size() * kNeighbourItemLen + message.multiproof.size() * 32;
  for (const auto& neighbour : message.neighbours) {
    data += neighbour.advertise.body.size() + kNeighbourItemLen;
  }
  capnp::MallocMessageBuilder builder(FirstSegmentWords(data, kFieldsLen));
  auto root = builder.initRoot<schema::Roster>();
  root.setServerNonce(AsData(message.server_nonce));
  root.setSize(message.size);
  root.setRoot(AsData(message.root));
  root.setMyIndex(message.my_index);
  auto neighbours = root.initNeighbours(static_cast<kj::uint>(message.neighbours.size()));
  for (kj::uint i = 0; i < neighbours.size(); ++i) {
    neighbours[i].setIndex(message.neighbours[i].index);
    neighbours[i].setAdvertise(AsData(message.neighbours[i].advertise.body));
    neighbours[i].setSignature(AsData(message.neighbours[i].advertise.signature));
  }
  auto committee = root.initCommittee(static_cast<kj::uint>(message.committee.size()));
  for (kj::uint i = 0; i < committee.size(); ++i) {
    committee[i].setIndex(message.committee[i].index);
    committee[i].setIdentityKey(AsData(message.committee[i].identity_key));
    committee[i].setRest(AsData(message.committee[i].rest));
  }
  Bytes proof;
  for (const Hash256& node : message.multiproof)
    proof.insert(proof.end(), node.begin(), node.end());
  root.setMultiproof(AsData(proof));
  return Flatten(builder);
}

Bytes Encode(const Shares& message) {
  const Bytes items = Records(message.items);
  capnp::MallocMessageBuilder builder(FirstSegmentWords(items.size(), kFieldsLen));
  auto root = builder.initRoot<schema::Shares>();
  root.setSession(AsData(message.session));
  root.setItems(AsData(items));
  return Flatten(builder);
}

Bytes Encode(const Inbox& message) {
  const Bytes items = Records(message.items);
  capnp::MallocMessageBuilder builder(
      FirstSegmentWords(message.shared.size() + items.size(), kFieldsLen));
  auto root = builder.initRoot<schema::Inbox>();
  root.setSession(AsData(message.session));
  root.setShared(AsData(message.shared));
  root.setItems(AsData(items));
  return Flatten(builder);
}

Bytes Encode(const Masked& message) {
  DEMUR_CHECK(message.bits <= 32, "a coordinate has at most 32 bits");
  capnp::MallocMessageBuilder builder(FirstSegmentWords(message.packed.size(), kFieldsLen));
  auto root = builder.initRoot<schema::Masked>();
  root.setSession(AsData(message.session));
  root.setSharedHash(AsData(message.shared_hash));
  root.setDim(message.dim);
  root.setBits(static_cast<std::uint8_t>(message.bits));
  root.setPacked(AsData(message.packed));
  return Flatten(builder);
}

Bytes Encode(const ConfirmRequest& message) {
  capnp::MallocMessageBuilder builder(FirstSegmentWords(message.survivors.size(), kFieldsLen));
  auto root = builder.initRoot<schema::ConfirmRequest>();
  root.setSession(AsData(message.session));
  root.setSurvivors(AsData(message.survivors));
  return Flatten(builder);
}

Bytes Encode(const Confirm& message) {
  capnp::MallocMessageBuilder builder(FirstSegmentWords(0, kFieldsLen));
  auto root = builder.initRoot<schema::Confirm>();
  root.setSession(AsData(message.session));
  root.setTranscriptSignature(AsData(message.transcript_signature));
  return Flatten(builder);
}

Bytes Encode(const UnmaskRequest& message) {
  std::size_t data = 0;
  for (const auto& item : message.confirmations) {
    data += item.certificate.size() + kConfirmationItemLen;
  }
  capnp::MallocMessageBuilder builder(FirstSegmentWords(data, kFieldsLen));
  auto root = builder.initRoot<schema::UnmaskRequest>();
  root.setSession(AsData(message.session));
  auto items = root.initConfirmations(static_cast<kj::uint>(message.confirmations.size()));
  for (kj::uint i = 0; i < items.size(); ++i) {
    items[i].setIndex(message.confirmations[i].index);
    items[i].setCertificate(AsData(message.confirmations[i].certificate));
    items[i].setTranscriptSignature(AsData(message.confirmations[i].transcript_signature));
  }
  return Flatten(builder);
}

Bytes Encode(const Unmask& message) {
  ByteWriter shares;
  for (const RevealedShare& revealed : message.shares) {
    shares.U32(revealed.index).U8(static_cast<std::uint8_t>(revealed.kind));
    shares.Raw(revealed.share.view());
  }
  capnp::MallocMessageBuilder builder(FirstSegmentWords(shares.bytes().size(), kFieldsLen));
  auto root = builder.initRoot<schema::Unmask>();
  root.setSession(AsData(message.session));
  root.setShares(AsData(shares.bytes()));
  return Flatten(builder);
}

Bytes Encode(const Close& message) {
  capnp::MallocMessageBuilder builder(FirstSegmentWords(0, kFieldsLen));
  auto root = builder.initRoot<schema::Close>();
  root.setAnnounce(AsData(message.announce));
  root.setStatus(static_cast<std::uint8_t>(message.status));
  root.setResultHash(AsData(message.result_hash));
  return Flatten(builder);
}

}  // namespace demur::wire
