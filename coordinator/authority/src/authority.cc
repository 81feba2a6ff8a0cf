#include "demur/authority/authority.h"

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <utility>

#include "demur/base/file.h"
#include "demur/base/log.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/keys.h"
#include "demur/crypto/labels.h"
#include "identity_store.h"
#include "population.h"

namespace demur::authority {
namespace {

constexpr std::int64_t kDay = 86400;
constexpr std::int64_t kClockSkew = 3600;  // a device's clock may be this far behind ours
// An expired token is remembered for a while, so that its holder is told what is wrong with it.
constexpr std::int64_t kTokenMemory = 30 * kDay;

std::string KeyPath(const std::string& folder) { return folder + "/authority.key"; }
std::string CertificatePath(const std::string& folder) { return folder + "/ca.pem"; }
std::string DatabasePath(const std::string& folder) { return folder + "/authority.db"; }
std::string RevokedPath(const std::string& folder) { return folder + "/revoked.json"; }
std::string PopulationPath(const std::string& folder) {
  return folder + "/" + std::string(kPopulationFile);
}

Error Refused(const char* why) { return Error(ErrorCode::kPermissionDenied, why); }

std::int64_t Now(const Clock& clock) { return clock.UnixMillis() / 1000; }

crypto::Validity ValidFor(std::int64_t now, std::int64_t days) {
  return {std::max<std::int64_t>(0, now - kClockSkew), now + days * kDay};
}

Result<crypto::Serial> NewSerial(RandomStream& random) {
  crypto::Serial serial{};
  DEMUR_RETURN_IF_ERROR(random.Fill(serial));
  return serial;
}

Result<crypto::Ed25519KeyPair> NewKey(RandomStream& random) {
  DEMUR_TRY(const SecretArray<32> seed, crypto::RandomKey(random));
  return crypto::Ed25519FromSeed(seed);
}

// What the database keeps of a token's secret.
Hash256 TokenId(const SecretArray<wire::kEnrolSecretLen>& secret) {
  crypto::Sha256Hasher hasher;
  const std::byte zero{0};
  hasher.Update(AsBytes(crypto::label::kTokenId)).Update({&zero, 1}).Update(secret.view());
  return hasher.Finish();
}

// The names under which devices may find the coordinator: its own, and the address's host.
crypto::ServerNames NamesOf(const std::string& name, const std::string& host) {
  crypto::ServerNames names{{name}, {}};
  const bool numeric = host.find(':') != std::string::npos ||
                       host.find_first_not_of("0123456789.") == std::string::npos;
  if (numeric) {
    names.ip_addresses.push_back(host);
  } else if (host != name) {
    names.dns_names.push_back(host);
  }
  return names;
}

Status WriteRevoked(IdentityStore& store, const crypto::Ed25519KeyPair& key,
                    const std::string& path, std::int64_t now) {
  crypto::RevocationList list;
  DEMUR_TRY(list.devices, store.Revoked());
  list.sequence = list.devices.size();
  list.issued = now;
  DEMUR_TRY(const std::string text, crypto::SignRevocationList(key, list));
  return WriteFileAtomically(path, AsBytes(text), FileMode::kPublic);
}

}  // namespace

struct Authority::Impl {
  Impl(std::string folder_path, const Clock& clock_to_use, crypto::Ed25519KeyPair own_key,
       Bytes own_certificate, IdentityStore identity_store, std::unique_ptr<RandomStream> stream)
      : folder(std::move(folder_path)),
        clock(clock_to_use),
        key(std::move(own_key)),
        certificate(std::move(own_certificate)),
        store(std::move(identity_store)),
        random(std::move(stream)) {}

  const std::string folder;
  const Clock& clock;
  const crypto::Ed25519KeyPair key;
  const Bytes certificate;
  std::mutex mutex;  // guards what stands below
  IdentityStore store;
  std::unique_ptr<RandomStream> random;

  // No certificate outlives the authority's own.
  Result<crypto::Validity> Validity(std::int64_t days) const {
    DEMUR_TRY(const crypto::Certificate own, crypto::ParseCertificate(certificate));
    crypto::Validity validity = ValidFor(Now(clock), days);
    validity.not_before = std::max(validity.not_before, own.validity.not_before);
    validity.not_after = std::min(validity.not_after, own.validity.not_after);
    return validity;
  }
  // The device's number, found or new. Inside a transaction.
  Result<DeviceNumber> Admit(const wire::Enrol& request);
};

Status Authority::Init(const std::string& folder, std::string_view name, const Clock& clock,
                       RandomSource& random) {
  for (const std::string& path :
       {KeyPath(folder), CertificatePath(folder), DatabasePath(folder), RevokedPath(folder)}) {
    std::error_code ec;
    if (std::filesystem::symlink_status(path, ec).type() != std::filesystem::file_type::not_found) {
      return Error(ErrorCode::kFailedPrecondition,
                   path +
                       ": there is an authority already, and it is never overwritten; if `init` "
                       "was interrupted here, remove the folder and run it again");
    }
  }
  StreamId id;
  id.purpose = Purpose::kKeys;
  DEMUR_TRY(const auto stream, random.Stream(id));
  DEMUR_TRY(const crypto::Ed25519KeyPair key, NewKey(*stream));
  DEMUR_TRY(const crypto::Serial serial, NewSerial(*stream));
  DEMUR_TRY(const Bytes certificate,
            crypto::IssueAuthority(key, name, ValidFor(Now(clock), kAuthorityDays), serial));
  DEMUR_RETURN_IF_ERROR(MakeFolder(folder));
  DEMUR_RETURN_IF_ERROR(crypto::WriteNewKeyFile(KeyPath(folder), key));
  DEMUR_RETURN_IF_ERROR(crypto::WriteCertificateFile(CertificatePath(folder), certificate));
  DEMUR_TRY(IdentityStore store, IdentityStore::Open(DatabasePath(folder), true));
  return WriteRevoked(store, key, RevokedPath(folder), Now(clock));
}

Result<std::unique_ptr<Authority>> Authority::Open(const std::string& folder, const Clock& clock,
                                                   RandomSource& random) {
  DEMUR_TRY(crypto::Ed25519KeyPair key, crypto::ReadKeyFile(KeyPath(folder)));
  DEMUR_TRY(Bytes certificate, crypto::ReadCertificateFile(CertificatePath(folder)));
  const auto parsed = crypto::VerifyCertificate(certificate, certificate, Now(clock),
                                                crypto::CertificateKind::kAuthority);
  if (!parsed || parsed->public_key != key.public_key) {
    return Error(ErrorCode::kDataLoss,
                 CertificatePath(folder) + ": expired, or not the certificate of authority.key");
  }
  DEMUR_TRY(IdentityStore store, IdentityStore::Open(DatabasePath(folder), false));
  StreamId id;
  id.round = 1;  // apart from what Init read, also where the source repeats
  id.purpose = Purpose::kKeys;
  DEMUR_TRY(auto stream, random.Stream(id));
  return std::unique_ptr<Authority>(new Authority(std::make_unique<Impl>(
      folder, clock, std::move(key), std::move(certificate), std::move(store), std::move(stream))));
}

Authority::Authority(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Authority::~Authority() = default;

const Bytes& Authority::certificate() const noexcept { return impl_->certificate; }
Hash256 Authority::certificate_sha256() const { return crypto::Sha256(impl_->certificate); }

Result<Authority::Identity> Authority::EnrolmentIdentity() {
  const std::lock_guard lock(impl_->mutex);
  DEMUR_TRY(const crypto::Ed25519KeyPair key, NewKey(*impl_->random));
  DEMUR_TRY(const crypto::Serial serial, NewSerial(*impl_->random));
  DEMUR_TRY(const crypto::Validity validity, impl_->Validity(kServerDays));
  DEMUR_TRY(Bytes certificate,
            crypto::IssueServer(impl_->key, impl_->certificate, key.public_key,
                                {{std::string(wire::kEnrolServerName)}, {}}, validity, serial));
  return Identity{std::move(certificate), crypto::PrivateKeyToDer(key)};
}

Result<Bytes> Authority::Certify(const crypto::CertifyRequest& request,
                                 const wire::Endpoint& address) {
  if (address.port == 0) {
    return Error(ErrorCode::kInvalidArgument, "the coordinator's address needs a port above 0");
  }
  const std::lock_guard lock(impl_->mutex);
  DEMUR_TRY(const crypto::Serial serial, NewSerial(*impl_->random));
  DEMUR_TRY(const crypto::Validity validity, impl_->Validity(kServerDays));
  DEMUR_TRY(Bytes certificate,
            crypto::IssueServer(impl_->key, impl_->certificate, request.tls_key,
                                NamesOf(request.name, address.host), validity, serial));
  DEMUR_TRY(auto transaction, impl_->store.Begin());
  DEMUR_RETURN_IF_ERROR(impl_->store.SetCoordinator({request.name, address, request.plan_key}));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  return certificate;
}

Result<SecretBytes> Authority::MakeToken(const TokenRequest& request) {
  if (request.devices == 0 || request.devices > kMaxTokenDevices) {
    return Error(ErrorCode::kInvalidArgument, "a token is for 1 to 1000000 devices");
  }
  if (request.lifetime_s <= 0 || request.lifetime_s > kMaxTokenSeconds) {
    return Error(ErrorCode::kInvalidArgument, "a token lives 1 second to 366 days");
  }
  const std::lock_guard lock(impl_->mutex);
  DEMUR_TRY(auto transaction, impl_->store.Begin());
  DEMUR_TRY(const auto coordinator, impl_->store.Coordinator());
  if (!coordinator) {
    return Error(ErrorCode::kFailedPrecondition,
                 "no coordinator to name in the token: certify one first");
  }
  const std::int64_t now = Now(impl_->clock);
  wire::Token token;
  token.authority = request.enrolment_address;
  token.authority_sha256 = certificate_sha256();
  token.expires = now + request.lifetime_s;
  token.coordinator = coordinator->address;
  token.coordinator_name = coordinator->name;
  token.plan_key = coordinator->plan_key;
  DEMUR_RETURN_IF_ERROR(impl_->random->Fill(token.secret.mutable_view()));
  DEMUR_TRY(SecretBytes text, wire::FormatToken(token));
  DEMUR_RETURN_IF_ERROR(impl_->store.DropTokens(now - kTokenMemory));
  DEMUR_RETURN_IF_ERROR(
      impl_->store.AddToken(TokenId(token.secret), request.devices, token.expires));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  return text;
}

Result<DeviceNumber> Authority::Impl::Admit(const wire::Enrol& request) {
  const std::int64_t now = Now(clock);
  DEMUR_TRY(const auto token, store.FindToken(TokenId(request.secret)));
  if (!token) return Refused("the authority does not know this token");
  if (now > token->expires) {
    return Error(ErrorCode::kDeadlineExceeded, "the token has expired");
  }
  DEMUR_TRY(const auto known, store.FindDevice(request.public_key));
  if (known && known->revoked) return Refused("this device was revoked");
  if (known) return known->number;
  if (token->used >= token->devices) {
    return Error(ErrorCode::kResourceExhausted, "all uses of the token are taken");
  }
  DEMUR_RETURN_IF_ERROR(store.CountUse(*token));
  return store.AddDevice(request.public_key, now);
}

Result<wire::EnrolReply> Authority::Enrol(const wire::Enrol& request) {
  // First, and outside the lock: who does not hold the key costs the others nothing.
  const SecretBytes input = wire::EnrolSigningInput(request.secret, request.public_key);
  if (!crypto::Verify(request.public_key, input.view(), request.signature)) {
    return Refused("the request is not signed with its own key");
  }
  const std::lock_guard lock(impl_->mutex);
  DEMUR_TRY(auto transaction, impl_->store.Begin());
  wire::EnrolReply reply;
  DEMUR_TRY(reply.device, impl_->Admit(request));
  DEMUR_TRY(const crypto::Serial serial, NewSerial(*impl_->random));
  DEMUR_TRY(const crypto::Validity validity, impl_->Validity(kDeviceDays));
  DEMUR_TRY(reply.certificate_der,
            crypto::IssueDevice(impl_->key, impl_->certificate, request.public_key, reply.device,
                                validity, serial));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  return reply;
}

Status Authority::Revoke(DeviceNumber device) {
  const std::lock_guard lock(impl_->mutex);
  const std::int64_t now = Now(impl_->clock);
  DEMUR_TRY(auto transaction, impl_->store.Begin());
  DEMUR_TRY(const bool changed, impl_->store.Revoke(device, now));
  // The file comes first: when it cannot be written, the operator is told and nothing has changed.
  // A crash in between leaves a list that is ahead of the database, which the next call repairs.
  DEMUR_RETURN_IF_ERROR(WriteRevoked(impl_->store, impl_->key, RevokedPath(impl_->folder), now));
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  if (changed) log::Info("device_revoked", {{"device", device}});
  return {};
}

Result<std::string> Authority::SignedRevocationList() {
  const std::lock_guard lock(impl_->mutex);
  crypto::RevocationList list;
  DEMUR_TRY(list.devices, impl_->store.Revoked());
  list.sequence = list.devices.size();
  list.issued = Now(impl_->clock);
  return crypto::SignRevocationList(impl_->key, list);
}

Result<secagg::PopulationStatement> Authority::CloseEpoch() {
  const std::lock_guard lock(impl_->mutex);
  DEMUR_TRY(auto transaction, impl_->store.Begin());
  DEMUR_TRY(secagg::PopulationStatement statement, MeasurePopulation(impl_->store));
  DEMUR_RETURN_IF_ERROR(impl_->random->Fill(statement.beacon));
  statement.unix_ms = impl_->clock.UnixMillis();
  DEMUR_TRY(const Bytes bytes, secagg::SignStatement(impl_->key, statement));
  DEMUR_RETURN_IF_ERROR(impl_->store.AddEpoch({statement.epoch, bytes}));
  // Before the file: no two statements of one epoch may ever be seen.
  DEMUR_RETURN_IF_ERROR(transaction.Commit());
  DEMUR_RETURN_IF_ERROR(
      WriteFileAtomically(PopulationPath(impl_->folder), bytes, FileMode::kPublic));
  log::Info("epoch_closed", {{"epoch", statement.epoch}, {"enrolled", statement.enrolled}});
  return statement;
}

Result<InclusionProof> Authority::ProveInclusion(DeviceNumber device) {
  const std::lock_guard lock(impl_->mutex);
  DEMUR_TRY(const auto last, impl_->store.LastEpoch());
  if (!last) {
    return Error(ErrorCode::kFailedPrecondition,
                 "no epoch was closed yet: run `demur-ca close-epoch` first");
  }
  DEMUR_TRY(const auto statement, secagg::OpenStatement(last->statement, impl_->key.public_key));
  return ProveMember(impl_->store, statement, device);
}

Result<Counts> Authority::Count() {
  const std::lock_guard lock(impl_->mutex);
  return impl_->store.Count();
}

}  // namespace demur::authority
