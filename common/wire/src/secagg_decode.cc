#include "demur/wire/secagg_messages.h"
#include "flat_reader.h"
#include "schema/secagg.capnp.h"

// Reading of M0 to M10; secagg_encode.cc writes them.
namespace demur::wire {
namespace {

using internal::AsView;
using internal::CopyAtMost;
using internal::CopyExactly;
using internal::FieldOutOfRange;
using internal::KeepOnly;
using internal::ReadFlat;
using internal::ReadLimits;

constexpr std::size_t kAdvertiseMaxLen = kMaxMemberCertificateLen + 512;  // an M1 body

// Whether the lists' indices ascend strictly and stay below the largest roster.
class Ascending {
 public:
  explicit Ascending(std::uint32_t limit) : limit_(limit) {}
  [[nodiscard]] bool Take(std::uint32_t index) noexcept {
    const bool good = index < limit_ && std::uint64_t{index} >= next_;
    next_ = std::uint64_t{index} + 1;
    return good;
  }

 private:
  std::uint64_t next_ = 0;
  std::uint32_t limit_;
};

// Whole records of `record_len` bytes, and at most `max`: known before any of them is made.
bool AreRecords(ByteView bytes, std::size_t record_len, std::size_t max) noexcept {
  return bytes.size() % record_len == 0 && bytes.size() / record_len <= max;
}
[[nodiscard]] bool Take(ByteReader* in, std::span<std::byte> out) {
  const auto bytes = in->Raw(out.size());
  if (bytes) std::copy(bytes->begin(), bytes->end(), out.begin());
  return bytes.has_value();
}

// False: not whole records, too many, or not ascending.
[[nodiscard]] bool ReadSealed(ByteView bytes, std::uint32_t roster_max,
                              std::vector<SealedShares>* out) {
  if (!AreRecords(bytes, kSealedRecordLen, roster_max)) return false;
  out->reserve(bytes.size() / kSealedRecordLen);
  Ascending order(roster_max);
  ByteReader in(bytes);
  while (in.remaining() > 0) {
    SealedShares& share = out->emplace_back();
    const auto index = in.U32();
    if (!index || !order.Take(*index) || !Take(&in, share.sealed) ||
        !Take(&in, share.mask_share_hash) || !Take(&in, share.self_share_hash)) {
      return false;
    }
    share.index = *index;
  }
  return true;
}

bool SoundLimits(const SecAggLimits& limits) noexcept {
  return limits.roster_max <= kMaxRosterSize && limits.bits >= 8 && limits.bits <= 32;
}

Result<Advertise> ReadAdvertise(schema::Advertise::Reader reader) {
  Advertise out;
  if (!CopyExactly(reader.getAnnounce(), &out.announce)) return FieldOutOfRange("announce");
  if (!CopyExactly(reader.getIdentityKey(), &out.identity_key)) {
    return FieldOutOfRange("identityKey");
  }
  if (!CopyAtMost(reader.getCertificate(), kMaxMemberCertificateLen, &out.certificate) ||
      out.certificate.empty()) {
    return FieldOutOfRange("certificate");
  }
  if (!CopyExactly(reader.getChannelKey(), &out.channel_key)) return FieldOutOfRange("channelKey");
  if (!CopyExactly(reader.getMaskKey(), &out.mask_key)) return FieldOutOfRange("maskKey");
  if (!CopyExactly(reader.getNonce(), &out.nonce)) return FieldOutOfRange("nonce");
  if (!CopyExactly(reader.getSelfCommitment(), &out.self_commitment)) {
    return FieldOutOfRange("selfCommitment");
  }
  return out;
}

[[nodiscard]] bool ReadNeighbours(capnp::List<schema::RosterNeighbour>::Reader list,
                                  std::uint32_t size, std::vector<RosterNeighbour>* out) {
  if (list.size() >= size) return false;
  out->reserve(list.size());
  Ascending order(size);
  for (const auto item : list) {
    RosterNeighbour& neighbour = out->emplace_back();
    neighbour.index = item.getIndex();
    if (!order.Take(neighbour.index) ||
        !CopyAtMost(item.getAdvertise(), kAdvertiseMaxLen, &neighbour.advertise.body) ||
        neighbour.advertise.body.empty() ||
        !CopyExactly(item.getSignature(), &neighbour.advertise.signature)) {
      return false;
    }
  }
  return true;
}

[[nodiscard]] bool ReadCommittee(capnp::List<schema::CommitteeMember>::Reader list,
                                 std::uint32_t size, std::vector<CommitteeMember>* out) {
  if (list.size() > size) return false;
  out->reserve(list.size());
  Ascending order(size);
  for (const auto item : list) {
    CommitteeMember& member = out->emplace_back();
    member.index = item.getIndex();
    if (!order.Take(member.index) || !CopyExactly(item.getIdentityKey(), &member.identity_key) ||
        !CopyExactly(item.getRest(), &member.rest)) {
      return false;
    }
  }
  return true;
}

// At most one node a member: a proof names subtrees that do not overlap.
[[nodiscard]] bool ReadProof(capnp::Data::Reader data, std::uint32_t size,
                             std::vector<Hash256>* out) {
  const ByteView bytes = AsView(data);
  constexpr std::size_t kNode = std::tuple_size_v<Hash256>;
  if (bytes.size() % kNode != 0 || bytes.size() / kNode > size) return false;
  out->resize(bytes.size() / kNode);
  for (std::size_t i = 0; i < out->size(); ++i) {
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(i * kNode), kNode, (*out)[i].begin());
  }
  return true;
}

Result<Roster> ReadRoster(schema::Roster::Reader reader, const SecAggLimits& limits) {
  Roster out;
  out.size = reader.getSize();
  out.my_index = reader.getMyIndex();
  if (out.size == 0 || out.size > limits.roster_max) return FieldOutOfRange("size");
  if (out.my_index >= out.size) return FieldOutOfRange("myIndex");
  if (!CopyExactly(reader.getServerNonce(), &out.server_nonce)) {
    return FieldOutOfRange("serverNonce");
  }
  if (!CopyExactly(reader.getRoot(), &out.root)) return FieldOutOfRange("root");
  if (!ReadNeighbours(reader.getNeighbours(), out.size, &out.neighbours)) {
    return FieldOutOfRange("neighbours");
  }
  if (!ReadCommittee(reader.getCommittee(), out.size, &out.committee)) {
    return FieldOutOfRange("committee");
  }
  if (!ReadProof(reader.getMultiproof(), out.size, &out.multiproof)) {
    return FieldOutOfRange("multiproof");
  }
  return out;
}

// All but `packed`, which is still in the body.
Result<ByteView> ReadMasked(schema::Masked::Reader reader, const SecAggLimits& limits,
                            Masked* out) {
  out->dim = reader.getDim();
  out->bits = reader.getBits();
  if (out->dim != limits.dim || out->bits != limits.bits) return FieldOutOfRange("dim");
  if (!CopyExactly(reader.getSession(), &out->session)) return FieldOutOfRange("session");
  if (!CopyExactly(reader.getSharedHash(), &out->shared_hash)) return FieldOutOfRange("sharedHash");
  const ByteView packed = AsView(reader.getPacked());
  if (packed.size() != PackedLen(limits.dim, limits.bits)) return FieldOutOfRange("packed");
  return packed;
}

Result<UnmaskRequest> ReadUnmaskRequest(schema::UnmaskRequest::Reader reader,
                                        const SecAggLimits& limits) {
  UnmaskRequest out;
  if (!CopyExactly(reader.getSession(), &out.session)) return FieldOutOfRange("session");
  const auto list = reader.getConfirmations();
  if (list.size() > limits.roster_max) return FieldOutOfRange("confirmations");
  out.confirmations.reserve(list.size());
  Ascending order(limits.roster_max);
  for (const auto item : list) {
    Confirmation& confirmation = out.confirmations.emplace_back();
    confirmation.index = item.getIndex();
    if (!order.Take(confirmation.index) ||
        !CopyAtMost(item.getCertificate(), kMaxMemberCertificateLen, &confirmation.certificate) ||
        confirmation.certificate.empty() ||
        !CopyExactly(item.getTranscriptSignature(), &confirmation.transcript_signature)) {
      return FieldOutOfRange("confirmations");
    }
  }
  return out;
}

Result<Unmask> ReadUnmask(schema::Unmask::Reader reader, const SecAggLimits& limits) {
  Unmask out;
  if (!CopyExactly(reader.getSession(), &out.session)) return FieldOutOfRange("session");
  const ByteView bytes = AsView(reader.getShares());
  if (!AreRecords(bytes, kRevealedRecordLen, limits.roster_max)) return FieldOutOfRange("shares");
  out.shares.reserve(bytes.size() / kRevealedRecordLen);
  Ascending order(limits.roster_max);
  ByteReader in(bytes);
  while (in.remaining() > 0) {
    RevealedShare& revealed = out.shares.emplace_back();
    const auto index = in.U32();
    const auto kind = in.U8();
    if (!index || !order.Take(*index) || !kind || *kind < 1 || *kind > 2 ||
        !Take(&in, revealed.share.mutable_view())) {
      return FieldOutOfRange("shares");
    }
    revealed.index = *index;
    revealed.kind = static_cast<ShareKind>(*kind);
  }
  return out;
}

}  // namespace

Result<Announce> DecodeAnnounce(ByteView body) {
  if (body.size() > kMaxAnnounceLen) return FieldOutOfRange("plan");
  const auto convert = [](schema::Announce::Reader reader) -> Result<Announce> {
    Announce out;
    if (!CopyAtMost(reader.getPlan(), kMaxAnnounceLen, &out.plan) || out.plan.empty()) {
      return FieldOutOfRange("plan");
    }
    if (!CopyExactly(reader.getNonceCommitment(), &out.nonce_commitment)) {
      return FieldOutOfRange("nonceCommitment");
    }
    return out;
  };
  return ReadFlat<schema::Announce>(body, ReadLimits{}, convert);
}

Result<Advertise> DecodeAdvertise(ByteView body) {
  return ReadFlat<schema::Advertise>(body, ReadLimits{}, ReadAdvertise);
}

Result<Roster> DecodeRoster(ByteView body, const SecAggLimits& limits) {
  if (!SoundLimits(limits)) return FieldOutOfRange("limits");
  return ReadFlat<schema::Roster>(body, ReadLimits{}, [&limits](schema::Roster::Reader reader) {
    return ReadRoster(reader, limits);
  });
}

Result<Shares> DecodeShares(ByteView body, const SecAggLimits& limits) {
  if (!SoundLimits(limits)) return FieldOutOfRange("limits");
  const auto convert = [&limits](schema::Shares::Reader reader) -> Result<Shares> {
    Shares out;
    if (!CopyExactly(reader.getSession(), &out.session)) return FieldOutOfRange("session");
    if (!ReadSealed(AsView(reader.getItems()), limits.roster_max, &out.items))
      return FieldOutOfRange("items");
    return out;
  };
  return ReadFlat<schema::Shares>(body, ReadLimits{}, convert);
}

Result<Inbox> DecodeInbox(ByteView body, const SecAggLimits& limits) {
  if (!SoundLimits(limits)) return FieldOutOfRange("limits");
  const auto convert = [&limits](schema::Inbox::Reader reader) -> Result<Inbox> {
    Inbox out;
    if (!CopyExactly(reader.getSession(), &out.session)) return FieldOutOfRange("session");
    if (!CopyAtMost(reader.getShared(), BitmapLen(limits.roster_max), &out.shared)) {
      return FieldOutOfRange("shared");
    }
    if (!ReadSealed(AsView(reader.getItems()), limits.roster_max, &out.items))
      return FieldOutOfRange("items");
    return out;
  };
  return ReadFlat<schema::Inbox>(body, ReadLimits{}, convert);
}

Result<Masked> DecodeMasked(Bytes body, const SecAggLimits& limits) {
  if (!SoundLimits(limits)) return FieldOutOfRange("limits");
  Masked out;
  DEMUR_TRY(const ByteView packed,
            ReadFlat<schema::Masked>(body, ReadLimits{}, [&](schema::Masked::Reader reader) {
              return ReadMasked(reader, limits, &out);
            }));
  out.packed = KeepOnly(std::move(body), packed);
  return out;
}

Result<ConfirmRequest> DecodeConfirmRequest(ByteView body, const SecAggLimits& limits) {
  if (!SoundLimits(limits)) return FieldOutOfRange("limits");
  const auto convert = [&limits](schema::ConfirmRequest::Reader reader) -> Result<ConfirmRequest> {
    ConfirmRequest out;
    if (!CopyExactly(reader.getSession(), &out.session)) return FieldOutOfRange("session");
    if (!CopyAtMost(reader.getSurvivors(), BitmapLen(limits.roster_max), &out.survivors)) {
      return FieldOutOfRange("survivors");
    }
    return out;
  };
  return ReadFlat<schema::ConfirmRequest>(body, ReadLimits{}, convert);
}

Result<Confirm> DecodeConfirm(ByteView body) {
  const auto convert = [](schema::Confirm::Reader reader) -> Result<Confirm> {
    Confirm out;
    if (!CopyExactly(reader.getSession(), &out.session)) return FieldOutOfRange("session");
    if (!CopyExactly(reader.getTranscriptSignature(), &out.transcript_signature)) {
      return FieldOutOfRange("transcriptSignature");
    }
    return out;
  };
  return ReadFlat<schema::Confirm>(body, ReadLimits{}, convert);
}

Result<UnmaskRequest> DecodeUnmaskRequest(ByteView body, const SecAggLimits& limits) {
  if (!SoundLimits(limits)) return FieldOutOfRange("limits");
  return ReadFlat<schema::UnmaskRequest>(body, ReadLimits{},
                                         [&limits](schema::UnmaskRequest::Reader reader) {
                                           return ReadUnmaskRequest(reader, limits);
                                         });
}

Result<Unmask> DecodeUnmask(ByteView body, const SecAggLimits& limits) {
  if (!SoundLimits(limits)) return FieldOutOfRange("limits");
  return ReadFlat<schema::Unmask>(body, ReadLimits{}, [&limits](schema::Unmask::Reader reader) {
    return ReadUnmask(reader, limits);
  });
}

Result<Close> DecodeClose(ByteView body) {
  const auto convert = [](schema::Close::Reader reader) -> Result<Close> {
    Close out;
    const std::uint8_t status = reader.getStatus();
    if (status < 1 || status > 3) return FieldOutOfRange("status");
    out.status = static_cast<CloseStatus>(status);
    if (!CopyExactly(reader.getAnnounce(), &out.announce)) return FieldOutOfRange("announce");
    if (!CopyExactly(reader.getResultHash(), &out.result_hash)) {
      return FieldOutOfRange("resultHash");
    }
    return out;
  };
  return ReadFlat<schema::Close>(body, ReadLimits{}, convert);
}

}  // namespace demur::wire
