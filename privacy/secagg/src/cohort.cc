#include "demur/secagg/cohort.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "demur/base/check.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/labels.h"
#include "demur/secagg/merkle.h"
#include "demur/secagg/session.h"

namespace demur::secagg {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kSignatureLen = std::tuple_size_v<crypto::Signature>;

Error Bad(const char* why) { return Error(ErrorCode::kInvalidArgument, why); }
Error NotMember(const char* why) { return Error(ErrorCode::kPermissionDenied, why); }

// Purpose, a zero byte, the body, as in the authority's other files.
Bytes SigningInput(ByteView body) {
  return ByteWriter().Text(crypto::label::kPopulation).U8(0).Raw(body).bytes();
}

Status CheckStatement(const PopulationStatement& statement) {
  if (statement.epoch == 0) return Bad("population statement: epoch 0");
  if (statement.enrolled == 0) return Bad("population statement: nobody is enrolled");
  if (statement.active > statement.enrolled) {
    return Bad("population statement: more active devices than enrolled ones");
  }
  if (statement.unix_ms <= 0) return Bad("population statement: no time");
  return {};
}

Bytes EncodeBody(const PopulationStatement& statement) {
  ByteWriter out;
  out.U8(kVersion).U64(statement.epoch).U64(statement.enrolled).U64(statement.active);
  out.Raw(statement.root).U64(statement.revocations).Raw(statement.beacon);
  out.U64(static_cast<std::uint64_t>(statement.unix_ms));
  return std::move(out).bytes();
}

Status ReadHash(ByteReader& in, Hash256* out) {
  DEMUR_TRY(const ByteView bytes, in.Raw(out->size()));
  std::copy(bytes.begin(), bytes.end(), out->begin());
  return {};
}

Result<PopulationStatement> DecodeBody(ByteView body) {
  ByteReader in(body);
  PopulationStatement out;
  DEMUR_TRY(const std::uint8_t version, in.U8());
  if (version != kVersion) return Bad("population statement: another version");
  DEMUR_TRY(out.epoch, in.U64());
  DEMUR_TRY(out.enrolled, in.U64());
  DEMUR_TRY(out.active, in.U64());
  DEMUR_RETURN_IF_ERROR(ReadHash(in, &out.root));
  DEMUR_TRY(out.revocations, in.U64());
  DEMUR_RETURN_IF_ERROR(ReadHash(in, &out.beacon));
  DEMUR_TRY(const std::uint64_t unix_ms, in.U64());
  out.unix_ms = static_cast<std::int64_t>(unix_ms);
  DEMUR_RETURN_IF_ERROR(in.Finish());
  DEMUR_RETURN_IF_ERROR(CheckStatement(out));
  return out;
}

}  // namespace

Result<Bytes> SignStatement(const crypto::Ed25519KeyPair& authority_key,
                            const PopulationStatement& statement) {
  DEMUR_RETURN_IF_ERROR(CheckStatement(statement));
  const Bytes body = EncodeBody(statement);
  DEMUR_TRY(const crypto::Signature signature, crypto::Sign(authority_key, SigningInput(body)));
  return ByteWriter().Raw(body).Raw(signature).bytes();
}

Result<PopulationStatement> OpenStatement(ByteView bytes, const crypto::PublicKey& authority_key) {
  if (bytes.size() != kStatementLen) return Bad("population statement: wrong length");
  const ByteView body = bytes.first(kStatementLen - kSignatureLen);
  crypto::Signature signature{};
  const ByteView signed_part = bytes.last(kSignatureLen);
  std::copy(signed_part.begin(), signed_part.end(), signature.begin());
  if (!crypto::Verify(authority_key, SigningInput(body), signature)) {
    return Error(ErrorCode::kPermissionDenied,
                 "population statement: the signature is not the authority's");
  }
  return DecodeBody(body);
}

Hash256 PopulationLeaf(const crypto::PublicKey& identity_key) {
  return crypto::Sha256(ByteWriter().U8(0).Raw(identity_key).bytes());
}

Hash256 PopulationRoot(std::span<const Hash256> leaves) { return MerkleTree(leaves).root(); }

std::vector<Hash256> InclusionPath(std::span<const Hash256> leaves, std::uint64_t index) {
  DEMUR_CHECK(index < leaves.size(), "a leaf that is not in the tree");
  std::vector<Hash256> path;
  while (leaves.size() > 1) {
    const std::size_t left = MerkleLeftSize(leaves.size());
    const bool in_left = index < left;
    path.push_back(MerkleTree(in_left ? leaves.subspan(left) : leaves.first(left)).root());
    leaves = in_left ? leaves.first(left) : leaves.subspan(left);
    if (!in_left) index -= left;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

bool VerifyInclusion(const PopulationStatement& statement, DeviceNumber number,
                     const crypto::PublicKey& identity_key, std::span<const Hash256> path) {
  if (number.value == 0 || number.value > statement.enrolled) return false;
  // The turns from the root down, which the path goes back.
  std::uint64_t index = number.value - 1;
  std::uint64_t size = statement.enrolled;
  std::vector<bool> in_left;
  while (size > 1) {
    const std::uint64_t left = MerkleLeftSize(size);
    in_left.push_back(index < left);
    size = in_left.back() ? left : size - left;
    if (!in_left.back()) index -= left;
  }
  if (path.size() != in_left.size()) return false;
  Hash256 node = PopulationLeaf(identity_key);
  for (const Hash256& sibling : path) {
    node = in_left.back() ? MerkleNode(node, sibling) : MerkleNode(sibling, node);
    in_left.pop_back();
  }
  return node == statement.root;
}

bool Eligible(const Hash256& beacon, const TaskId& task, RoundId round,
              const crypto::PublicKey& identity_key, std::uint32_t rate) {
  ByteWriter message;
  message.Text(crypto::label::kEligible).Raw(task.bytes).U64(round.Packed()).Raw(identity_key);
  const Hash256 tag = crypto::HmacSha256(beacon, message.bytes());
  std::uint64_t draw = 0;
  for (std::size_t i = 0; i < 8; ++i) draw = draw << 8 | std::to_integer<std::uint64_t>(tag[i]);
  return draw < std::uint64_t{rate} << 32;
}

Result<std::optional<PopulationStatement>> OpenCohort(const model::CohortPlan& cohort,
                                                      const crypto::PublicKey& authority_key) {
  if (cohort.server_chosen()) return std::optional<PopulationStatement>();
  DEMUR_TRY(PopulationStatement statement, OpenStatement(cohort.statement, authority_key));
  return std::optional<PopulationStatement>(statement);
}

Status CheckPeer(DeviceNumber number, const crypto::PublicKey& identity_key,
                 const PopulationStatement& statement, const model::Plan& plan) {
  if (number.value == 0 || number.value > statement.enrolled) {
    return NotMember("cohort: enrolled after the epoch was closed");
  }
  if (!Eligible(statement.beacon, plan.task, plan.round, identity_key, plan.cohort.rate)) {
    return NotMember("cohort: not eligible in this round");
  }
  return {};
}

std::string DescribeCohort(std::uint32_t rate, const PopulationStatement* statement) {
  if (rate == 0) return "server-chosen";
  std::array<char, 128> text{};
  const double share = static_cast<double>(rate) / 4294967296.0;
  if (statement == nullptr) {
    std::snprintf(text.data(), text.size(), "authority-drawn (rate %.6g, no epoch closed yet)",
                  share);
  } else {
    std::snprintf(text.data(), text.size(),
                  "authority-drawn (rate %.6g, epoch %llu, %llu enrolled)", share,
                  static_cast<unsigned long long>(statement->epoch),
                  static_cast<unsigned long long>(statement->enrolled));
  }
  return text.data();
}

}  // namespace demur::secagg
