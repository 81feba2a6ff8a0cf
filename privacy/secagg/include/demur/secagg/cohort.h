#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/ids.h"
#include "demur/base/result.h"
#include "demur/crypto/keys.h"
#include "demur/model/plan.h"

// Cohorts that the coordinator does not choose (docs/protocol.md, "Cohorts"; docs/adr/0008). The
// authority closes the enrolled population once an epoch and signs what it was, with a beacon drawn
// only then; who is eligible for a round is a function of the beacon that every device computes.
// Integers inside hashed and signed strings are big-endian. Stateless; safe from several threads.
namespace demur::secagg {

// The population of one epoch, as its authority closed it.
struct PopulationStatement {
  std::uint64_t epoch = 0;        // 1, 2, ..: one more at every close
  std::uint64_t enrolled = 0;     // the highest device number given; > 0
  std::uint64_t active = 0;       // of these, not revoked
  Hash256 root{};                 // PopulationRoot over the leaves of devices 1 to `enrolled`
  std::uint64_t revocations = 0;  // sequence of the revocation list that `active` follows
  Hash256 beacon{};               // drawn when the epoch was closed
  std::int64_t unix_ms = 0;       // when that was

  friend bool operator==(const PopulationStatement&, const PopulationStatement&) = default;
};

inline constexpr std::size_t kStatementLen = 169;  // version, fields, signature

// kInvalidArgument: epoch, enrolled or unix_ms is not positive, or active is above enrolled.
Result<Bytes> SignStatement(const crypto::Ed25519KeyPair& authority_key,
                            const PopulationStatement& statement);
// `authority_key`: of the pinned authority certificate.
// kPermissionDenied: another key signed it. kInvalidArgument: another length or version, or numbers
// that SignStatement refuses.
Result<PopulationStatement> OpenStatement(ByteView bytes, const crypto::PublicKey& authority_key);

// --- Inclusion (RFC 6962, 2.1), for auditors ----------------------------------------------------

// Leaf of a device: SHA-256(0x00, identity key). A revoked device has 32 zero bytes in its place,
// which no key hashes to.
Hash256 PopulationLeaf(const crypto::PublicKey& identity_key);
// `leaves` in the order of numbers, must not be empty (checked).
Hash256 PopulationRoot(std::span<const Hash256> leaves);
// The siblings from the leaf at `index` (below the number of leaves, checked) up to the root.
std::vector<Hash256> InclusionPath(std::span<const Hash256> leaves, std::uint64_t index);
// Is `identity_key` that of device `number` in the population of `statement`?
bool VerifyInclusion(const PopulationStatement& statement, DeviceNumber number,
                     const crypto::PublicKey& identity_key, std::span<const Hash256> path);

// --- Eligibility --------------------------------------------------------------------------------

// HMAC-SHA256(beacon, "demur/eligible/1", task, u64 round, identity key): its first 8 bytes are
// below rate * 2^32. `rate` in units of 2^-32.
bool Eligible(const Hash256& beacon, const TaskId& task, RoundId round,
              const crypto::PublicKey& identity_key, std::uint32_t rate);

// The statement of a plan that carries one. Errors of OpenStatement.
Result<std::optional<PopulationStatement>> OpenCohort(const model::CohortPlan& cohort,
                                                      const crypto::PublicKey& authority_key);
// May the device whose certificate says `number` and `identity_key` be a member of this round? The
// certificate is the authority's word that the number belongs to the key; numbers are given in the
// order of enrolment, so that one above `statement.enrolled` was not there when the beacon fell.
// kPermissionDenied: it may not. Every member asks this of its peers, the coordinator of M1.
Status CheckPeer(DeviceNumber number, const crypto::PublicKey& identity_key,
                 const PopulationStatement& statement, const model::Plan& plan);

// "server-chosen", or "authority-drawn (rate 0.001, epoch 3, 1000000 enrolled)"; null: the
// authority has made no statement yet. For pages and reports.
std::string DescribeCohort(std::uint32_t rate, const PopulationStatement* statement);

// --- What eligibility bounds --------------------------------------------------------------------

// A coordinator can call any member dropped and so keep all who collude with it; it cannot add one
// who is not eligible.
struct CohortAssumptions {
  std::uint64_t enrolled = 0;
  std::uint32_t corrupt_permille = 0;  // gamma: of everybody enrolled
  std::uint32_t rate = 0;              // units of 2^-32
  std::uint32_t sigma = 0;             // bits; > 0
};
// The coordinator may choose among round ids before it announces one, and only the device's memory
// of the last id bounds its choice: 2^40 ids tried leave 2^-40 of these 80 bits.
inline constexpr std::uint32_t kCohortSigma = 80;
inline constexpr std::uint32_t kDefaultPopulationCorruptPermille = 50;

struct CorruptBound {
  std::uint32_t corrupt = 0;   // members, at most the roster
  std::uint32_t permille = 0;  // of the roster, rounded up
  friend bool operator==(const CorruptBound&, const CorruptBound&) = default;
};
// The least c with Pr[Binomial(floor(gamma * enrolled), rate) > c] <= 2^-sigma, over a roster of
// `roster` (> 0, checked). Equal on every machine (IEEE operations only, no libm); takes
// O(min(gamma * enrolled * rate, roster)) steps.
CorruptBound BoundCorrupt(const CohortAssumptions& assume, std::uint32_t roster);

// Numbers of eligible devices between which a round falls, but for 2^-40 on either side.
struct EligibleBounds {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};
// Above 2^22 expected eligible devices it says nothing: 0 to `enrolled`.
EligibleBounds EligibleRange(std::uint64_t enrolled, std::uint32_t rate);

}  // namespace demur::secagg
