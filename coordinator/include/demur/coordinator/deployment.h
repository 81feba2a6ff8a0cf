#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "demur/base/bytes.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/coordinator/task.h"
#include "demur/crypto/keys.h"
#include "demur/crypto/operator_files.h"
#include "demur/secagg/cohort.h"

// The files of one coordinator: a folder that `init` makes and `serve` opens.
//
//   task.toml       the task, every default written out
//   server.key      Ed25519, TLS (mode 0600)
//   plan.key        Ed25519, signs plans and everything else a round sends (mode 0600)
//   server.request  for `demur-ca certify`
//   server.pem      the certificate that comes back
//   ca.pem          the authority's certificate
//   revoked.json    the authority's list of devices shut out; may be absent until the first one
//   population.statement  of `demur-ca close-epoch`; where task.eligibility.rate > 0
//   coordinator.db  rounds, models, ledger (round_store.h)
//   lock            held by the one process that serves
namespace demur::coordinator {

inline constexpr std::string_view kTaskFile = "task.toml";
inline constexpr std::string_view kServerKeyFile = "server.key";
inline constexpr std::string_view kPlanKeyFile = "plan.key";
inline constexpr std::string_view kRequestFile = "server.request";
inline constexpr std::string_view kCertificateFile = "server.pem";
inline constexpr std::string_view kAuthorityFile = "ca.pem";
inline constexpr std::string_view kRevokedFile = "revoked.json";
inline constexpr std::string_view kPopulationFile = "population.statement";

// Makes the folder, its keys, the request and the store with the first model. A task without an id
// gets one. Draws only from `random`, so that a seeded source gives the same model.
// kFailedPrecondition: `dir` holds a coordinator already (nothing is overwritten).
// kInvalidArgument: a bad name or task. After an interrupted Init, remove the folder and run it
// again.
Status InitDeployment(const std::string& dir, std::string_view server_name, TaskConfig task,
                      RandomSource& random);

struct Deployment {
  std::string dir;
  TaskConfig task;
  std::string server_name;  // of the request
  crypto::Ed25519KeyPair server_key;
  crypto::Ed25519KeyPair plan_key;
  Bytes certificate;  // DER
  Bytes authority;    // DER
};

// kNotFound: a file is missing (says which step makes it). kInvalidArgument: a file is malformed,
// or the certificate is for another key.
Result<Deployment> LoadDeployment(const std::string& dir);

// That devices will accept the certificate at `now_s` (Unix seconds).
// kFailedPrecondition: expired, or the authority of ca.pem did not sign it; names file and cure.
Status CheckCertificate(const Deployment& deployment, std::int64_t now_s);

// The authority's list, or an empty one where there is no file and never was. `in_force`: the
// newest list that ever was. Nobody who was shut out comes back because a file or an authority was
// restored: kFailedPrecondition where it is missing, older or lacks one of them, kPermissionDenied
// where the authority did not sign it, kInvalidArgument where it is malformed. All name file and
// cure.
Result<crypto::RevocationList> LoadRevocations(const std::string& dir, ByteView authority,
                                               const crypto::RevocationList& in_force);

// The newest epoch that the authority closed.
struct Population {
  secagg::PopulationStatement statement;
  Bytes bytes;  // as signed; what a plan carries
};
// Nothing where there is no file and none is in force. `in_force`: the one that rounds were drawn
// from so far. kFailedPrecondition: the file is missing or of an older epoch, kPermissionDenied:
// the authority did not sign it, kInvalidArgument: malformed, or another statement of the same
// epoch. All name file and cure.
Result<std::optional<Population>> LoadPopulation(const std::string& dir, ByteView authority,
                                                 const std::optional<Population>& in_force);

}  // namespace demur::coordinator
