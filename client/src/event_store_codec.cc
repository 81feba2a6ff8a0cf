#include "event_store_codec.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace demur::client {
namespace {

constexpr std::size_t kAccountMaxLen = 4096;
constexpr std::size_t kTextMaxLen = 256;
constexpr std::size_t kCertificateMaxLen = 4096;
constexpr std::size_t kStateMaxValues = std::size_t{1} << 20;

template <std::size_t N>
Status ReadArray(ByteReader& in, std::array<std::byte, N>* out) {
  DEMUR_TRY(const ByteView bytes, in.Raw(N));
  std::copy(bytes.begin(), bytes.end(), out->begin());
  return {};
}

Status ReadRound(ByteReader& in, RoundId* out) {
  DEMUR_TRY(const std::uint64_t packed, in.U64());
  *out = RoundId::FromPacked(packed);
  return {};
}

Status ReadReal(ByteReader& in, double* out) {
  DEMUR_TRY(const std::uint64_t bits, in.U64());
  *out = std::bit_cast<double>(bits);
  return {};
}

Status ReadText(ByteReader& in, std::string* out) {
  DEMUR_TRY(const ByteView text, in.Sized(kTextMaxLen));
  *out = std::string(AsText(text));
  return {};
}

Status ReadTerms(ByteReader& in, PlanTerms* out) {
  DEMUR_TRY(const std::uint8_t noise, in.U8());
  out->noise = noise != 0;
  DEMUR_RETURN_IF_ERROR(ReadReal(in, &out->epsilon_round));
  DEMUR_RETURN_IF_ERROR(ReadReal(in, &out->delta));
  for (std::uint32_t* field : {&out->participations_max, &out->roster_min, &out->survivors_min,
                               &out->corrupt_permille, &out->sigma}) {
    DEMUR_TRY(*field, in.U32());
  }
  DEMUR_TRY(const std::uint8_t profile, in.U8());
  out->profile = static_cast<model::SecAggProfile>(profile);
  return {};
}

}  // namespace

Bytes EncodeEvent(const learning::Event& event) {
  ByteWriter out;
  out.U32(event.item.value).U8(static_cast<std::uint8_t>(event.signal));
  out.U64(static_cast<std::uint64_t>(event.unix_ms));
  return std::move(out).bytes();
}

Result<learning::Event> DecodeEvent(ByteView bytes) {
  ByteReader in(bytes);
  learning::Event event;
  DEMUR_TRY(event.item.value, in.U32());
  DEMUR_TRY(const std::uint8_t signal, in.U8());
  DEMUR_TRY(event.signal, learning::SignalFromNumber(signal));
  DEMUR_TRY(const std::uint64_t unix_ms, in.U64());
  event.unix_ms = static_cast<std::int64_t>(unix_ms);
  DEMUR_RETURN_IF_ERROR(in.Finish());
  return event;
}

Bytes EncodeState(const TaskId& task, const model::PrivateState& state) {
  ByteWriter out;
  out.Raw(task.bytes).U32(static_cast<std::uint32_t>(state.values.size()));
  for (const float value : state.values) out.U32(std::bit_cast<std::uint32_t>(value));
  return std::move(out).bytes();
}

Result<StoredState> DecodeState(ByteView bytes) {
  ByteReader in(bytes);
  StoredState out;
  DEMUR_RETURN_IF_ERROR(ReadArray(in, &out.task.bytes));
  DEMUR_TRY(const std::uint32_t count, in.U32());
  if (count > kStateMaxValues || in.remaining() != std::size_t{count} * 4) {
    return Error(ErrorCode::kDataLoss, "device store: a private state of the wrong length");
  }
  out.state.values.resize(count);
  for (float& value : out.state.values) {
    DEMUR_TRY(const std::uint32_t bits, in.U32());
    value = std::bit_cast<float>(bits);
  }
  return out;
}

Bytes EncodeTask(const TaskRecord& record) {
  ByteWriter out;
  out.Sized(record.account.Encode()).U64(record.last_seen.Packed());
  out.U64(record.masked_round.Packed()).U32(record.masked_attempt);
  out.Raw(record.confirmed_session).Raw(record.confirmed_survivors);
  out.U8(record.terms ? 1 : 0);
  if (record.terms) {
    const PlanTerms& terms = *record.terms;
    out.U8(terms.noise ? 1 : 0).U64(std::bit_cast<std::uint64_t>(terms.epsilon_round));
    out.U64(std::bit_cast<std::uint64_t>(terms.delta)).U32(terms.participations_max);
    out.U32(terms.roster_min).U32(terms.survivors_min).U32(terms.corrupt_permille);
    out.U32(terms.sigma).U8(static_cast<std::uint8_t>(terms.profile));
  }
  out.U64(record.population_epoch).U32(record.last_seen_attempt).Raw(record.last_seen_sessions);
  return std::move(out).bytes();
}

Result<TaskRecord> DecodeTask(ByteView bytes) {
  ByteReader in(bytes);
  TaskRecord record;
  DEMUR_TRY(const ByteView account, in.Sized(kAccountMaxLen));
  DEMUR_TRY(record.account, dp::DeviceTaskAccount::Parse(account));
  DEMUR_RETURN_IF_ERROR(ReadRound(in, &record.last_seen));
  DEMUR_RETURN_IF_ERROR(ReadRound(in, &record.masked_round));
  DEMUR_TRY(record.masked_attempt, in.U32());
  DEMUR_RETURN_IF_ERROR(ReadArray(in, &record.confirmed_session));
  DEMUR_RETURN_IF_ERROR(ReadArray(in, &record.confirmed_survivors));
  DEMUR_TRY(const std::uint8_t has_terms, in.U8());
  if (has_terms != 0) {
    record.terms.emplace();
    DEMUR_RETURN_IF_ERROR(ReadTerms(in, &*record.terms));
  }
  // Records from before there were drawn cohorts end here.
  if (in.remaining() != 0) {
    DEMUR_TRY(record.population_epoch, in.U64());
  }
  // And these from before a round could have two sessions.
  if (in.remaining() != 0) {
    DEMUR_TRY(record.last_seen_attempt, in.U32());
    DEMUR_RETURN_IF_ERROR(ReadArray(in, &record.last_seen_sessions));
  }
  DEMUR_RETURN_IF_ERROR(in.Finish());
  return record;
}

Bytes EncodeIdentity(const Identity& identity) {
  ByteWriter out;
  // The seed comes last into its place: a buffer that still grows leaves copies behind.
  out.Raw(Bytes(identity.key_seed.view().size())).U64(identity.device.value);
  out.Sized(identity.certificate).Sized(identity.authority).Sized(AsBytes(identity.host));
  out.U16(identity.port).Sized(AsBytes(identity.server_name)).Raw(identity.plan_key);
  Bytes bytes = std::move(out).bytes();
  std::copy(identity.key_seed.view().begin(), identity.key_seed.view().end(), bytes.begin());
  return bytes;
}

Result<Identity> DecodeIdentity(ByteView bytes) {
  ByteReader in(bytes);
  Identity identity;
  DEMUR_TRY(const ByteView seed, in.Raw(32));
  std::copy(seed.begin(), seed.end(), identity.key_seed.mutable_view().begin());
  DEMUR_TRY(identity.device.value, in.U64());
  DEMUR_TRY(const ByteView certificate, in.Sized(kCertificateMaxLen));
  identity.certificate = ToBytes(certificate);
  DEMUR_TRY(const ByteView authority, in.Sized(kCertificateMaxLen));
  identity.authority = ToBytes(authority);
  DEMUR_RETURN_IF_ERROR(ReadText(in, &identity.host));
  DEMUR_TRY(identity.port, in.U16());
  DEMUR_RETURN_IF_ERROR(ReadText(in, &identity.server_name));
  DEMUR_RETURN_IF_ERROR(ReadArray(in, &identity.plan_key));
  DEMUR_RETURN_IF_ERROR(in.Finish());
  return identity;
}

}  // namespace demur::client
