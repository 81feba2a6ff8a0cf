#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "demur/base/bytes.h"
#include "demur/base/clock.h"
#include "demur/base/ids.h"
#include "demur/base/random.h"
#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/crypto/operator_files.h"
#include "demur/secagg/cohort.h"
#include "demur/wire/control.h"
#include "demur/wire/endpoint.h"
#include "demur/wire/token.h"

// The identity authority: says which keys are devices and which are the coordinator, and knows
// nothing else. A program of its own with its own key; the coordinator never holds that key
// (docs/threat-model.md, identity authority).
//
// A data folder holds: authority.key (0600), ca.pem, authority.db (coordinator, tokens, devices)
// revoked.json (signed), and population.statement (signed) once an epoch was closed.
namespace demur::authority {

// The first device enrolled; the next ones count up from it in order of enrolment.
inline constexpr DeviceNumber kFirstDevice{1};

inline constexpr std::int64_t kAuthorityDays = 3650;
inline constexpr std::int64_t kServerDays = 366;
inline constexpr std::int64_t kDeviceDays = 366;
inline constexpr std::uint32_t kMaxTokenDevices = 1'000'000;
inline constexpr std::int64_t kMaxTokenSeconds = std::int64_t{366} * 86400;

// What a new token shall allow.
struct TokenRequest {
  std::uint32_t devices = 1;         // enrolments, 1 to kMaxTokenDevices
  std::int64_t lifetime_s = 0;       // 1 to kMaxTokenSeconds, from now
  wire::Endpoint enrolment_address;  // where devices reach the enrolment listener
};

inline constexpr std::string_view kPopulationFile = "population.statement";

// That a device is in the population of the newest epoch (secagg::VerifyInclusion).
struct InclusionProof {
  secagg::PopulationStatement statement;
  crypto::PublicKey identity_key{};
  std::vector<Hash256> path;
};

struct Counts {
  std::uint64_t devices = 0;  // ever enrolled
  std::uint64_t revoked = 0;  // of these
};

// Thread-safe. Several Authority objects, also in several processes (`demur-ca serve` beside
// `demur-ca token`), may have one folder open: the database decides who is first. Functions that
// write return after the change is on the disk. All may fail with what storage/database.h lists.
class Authority {
 public:
  // Makes a new authority in `folder`, which is created if need be. `name`: crypto::IssueAuthority.
  // kFailedPrecondition: an authority is there already; nothing was touched. kInvalidArgument:
  // name.
  static Status Init(const std::string& folder, std::string_view name, const Clock& clock,
                     RandomSource& random);

  // Opens an existing one; `clock` and `random` must outlive it. kNotFound: no authority in
  // `folder`. kDataLoss: key and certificate do not belong together, or the latter has expired.
  static Result<std::unique_ptr<Authority>> Open(const std::string& folder, const Clock& clock,
                                                 RandomSource& random);
  ~Authority();

  // DER of the self-signed certificate.
  const Bytes& certificate() const noexcept;
  Hash256 certificate_sha256() const;

  // A fresh key of the enrolment listener and its certificate (name wire::kEnrolServerName); the
  // key is never written to disk.
  struct Identity {
    Bytes certificate;        // DER
    SecretBytes private_key;  // PKCS#8 DER
  };
  Result<Identity> EnrolmentIdentity();

  // Certifies the coordinator and remembers its name, address and plan key for tokens made from now
  // on; a later call replaces them. The certificate names request.name and the address's host.
  // Returns DER. kInvalidArgument: port 0. Verifying the request is ParseCertifyRequest's.
  Result<Bytes> Certify(const crypto::CertifyRequest& request, const wire::Endpoint& address);

  // The text of wire::FormatToken. kInvalidArgument: a number out of its range, or port 0.
  // kFailedPrecondition: no coordinator has been certified yet.
  Result<SecretBytes> MakeToken(const TokenRequest& request);

  // One device's request. The same public key always gets the same number: enrolling again (a lost
  // reply, a certificate about to expire) costs no use of the token.
  // kPermissionDenied: bad signature, unknown secret, or the device was revoked.
  // kDeadlineExceeded: the token has expired. kResourceExhausted: all its uses are taken.
  Result<wire::EnrolReply> Enrol(const wire::Enrol& request);

  // Shuts a device out for good, and writes revoked.json. Doing it again changes nothing.
  // kNotFound: no such device.
  Status Revoke(DeviceNumber device);
  // What revoked.json holds (crypto::ParseRevocationList).
  Result<std::string> SignedRevocationList();

  // Closes the population for an epoch, one above the last: everybody enrolled until now, and a
  // beacon drawn only then, so that nobody can have tried keys against it. Gives the statement that
  // was signed and written to population.statement. kFailedPrecondition: nobody is enrolled.
  Result<secagg::PopulationStatement> CloseEpoch();
  // kFailedPrecondition: no epoch was closed, or devices were revoked since, so that the tree is
  // another. kNotFound: the device was not in it, or was revoked.
  Result<InclusionProof> ProveInclusion(DeviceNumber device);

  Result<Counts> Count();

 private:
  struct Impl;
  explicit Authority(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace demur::authority
