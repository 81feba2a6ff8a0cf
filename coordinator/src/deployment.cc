#include "demur/coordinator/deployment.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "demur/base/file.h"
#include "demur/coordinator/round_store.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/hash.h"

namespace demur::coordinator {
namespace {

constexpr std::uint64_t kRequestMaxLen = 1U << 16;

std::string Path(const std::string& dir, std::string_view file) {
  return dir + "/" + std::string(file);
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

Status WriteKeys(const std::string& dir, std::string_view server_name, const TaskId& task,
                 RandomSource& random) {
  StreamId id;
  id.task = StreamTask(task);
  id.client = kNoClient;
  id.purpose = Purpose::kKeys;
  DEMUR_TRY(const auto stream, random.Stream(id));
  DEMUR_TRY(const auto server_seed, crypto::RandomKey(*stream));
  DEMUR_TRY(const auto plan_seed, crypto::RandomKey(*stream));
  DEMUR_TRY(const auto server_key, crypto::Ed25519FromSeed(server_seed));
  DEMUR_TRY(const auto plan_key, crypto::Ed25519FromSeed(plan_seed));
  DEMUR_TRY(const std::string request,
            crypto::MakeCertifyRequest(server_name, server_key, plan_key));
  DEMUR_RETURN_IF_ERROR(crypto::WriteNewKeyFile(Path(dir, kServerKeyFile), server_key));
  DEMUR_RETURN_IF_ERROR(crypto::WriteNewKeyFile(Path(dir, kPlanKeyFile), plan_key));
  return WriteFileAtomically(Path(dir, kRequestFile), AsBytes(request), FileMode::kPublic);
}

Status WriteFirstModel(const std::string& dir, const PreparedTask& task, RandomSource& random) {
  DEMUR_TRY(const model::SharedModel model,
            task.server_step().InitialModel(random, InitialModelStream(task.id())));
  ModelRow row;
  row.blob = model.Canonical();
  row.hash = crypto::Sha256(row.blob);
  const Bytes state = learning::ServerState().Serialise();
  const TaskKey key{task.id(), HashTask(task.config())};
  DEMUR_TRY(const RoundStore store, RoundStore::Create(dir, key, row, state));
  (void)store;
  return {};
}

Result<TaskId> DrawTaskId(RandomSource& random) {
  StreamId id;
  id.client = kNoClient;
  id.purpose = Purpose::kKeys;
  DEMUR_TRY(const auto stream, random.Stream(id));
  TaskId out;
  DEMUR_RETURN_IF_ERROR(stream->Fill(out.bytes));
  return out;
}

// Says what makes the missing file.
template <class T>
Result<T> Explain(Result<T> result, const char* how) {
  if (result || result.error().code() != ErrorCode::kNotFound) return result;
  return Error(ErrorCode::kNotFound, result.error().message() + " (" + how + ")");
}

Error Lacks(const std::string& path, DeviceNumber device, const std::string& list) {
  return Error(ErrorCode::kFailedPrecondition,
               path + ": lacks device " + std::to_string(device.value) + ", which " + list +
                   " shut out for good; was the authority restored from a backup? Revoke it there "
                   "again");
}

}  // namespace

Status InitDeployment(const std::string& dir, std::string_view server_name, TaskConfig task,
                      RandomSource& random) {
  for (const std::string_view file : {kServerKeyFile, kPlanKeyFile, RoundStore::kFileName}) {
    if (!Exists(Path(dir, file))) continue;
    // The store is the last file that Init makes.
    const bool whole = Exists(Path(dir, RoundStore::kFileName));
    return Error(ErrorCode::kFailedPrecondition,
                 Path(dir, file) + ": there is a coordinator here already" +
                     (whole ? ""
                            : ", without its coordinator.db; if `init` was interrupted, "
                              "remove the folder and run it again, else restore a backup"));
  }
  if (!task.id) {
    DEMUR_TRY(task.id, DrawTaskId(random));
  }
  DEMUR_TRY(const PreparedTask prepared, PreparedTask::Create(task));
  DEMUR_RETURN_IF_ERROR(MakeFolder(dir));
  DEMUR_RETURN_IF_ERROR(WriteKeys(dir, server_name, prepared.id(), random));
  DEMUR_RETURN_IF_ERROR(
      WriteFileAtomically(Path(dir, kTaskFile), AsBytes(FormatTask(task)), FileMode::kPublic));
  return WriteFirstModel(dir, prepared, random);
}

Result<Deployment> LoadDeployment(const std::string& dir) {
  Deployment out;
  out.dir = dir;
  DEMUR_TRY(out.task, Explain(LoadTask(Path(dir, kTaskFile)), "made by `demur-coordinator init`"));
  constexpr const char* kFromBackup = "made by `demur-coordinator init`; restore it from a backup";
  DEMUR_TRY(out.server_key, Explain(crypto::ReadKeyFile(Path(dir, kServerKeyFile)), kFromBackup));
  DEMUR_TRY(out.plan_key, Explain(crypto::ReadKeyFile(Path(dir, kPlanKeyFile)), kFromBackup));
  DEMUR_TRY(const std::string request,
            Explain(ReadTextFile(Path(dir, kRequestFile), kRequestMaxLen), kFromBackup));
  Result<crypto::CertifyRequest> parsed = crypto::ParseCertifyRequest(request);
  if (!parsed) return std::move(parsed).error().WithContext(Path(dir, kRequestFile));
  if (parsed->plan_key != out.plan_key.public_key) {
    return Error(ErrorCode::kInvalidArgument,
                 Path(dir, kPlanKeyFile) +
                     ": is not the key that server.request names, and devices follow no other: "
                     "restore the folder as a whole");
  }
  out.server_name = parsed->name;
  DEMUR_TRY(out.certificate, Explain(crypto::ReadCertificateFile(Path(dir, kCertificateFile)),
                                     "made by `demur-ca certify` from server.request"));
  DEMUR_TRY(out.authority, Explain(crypto::ReadCertificateFile(Path(dir, kAuthorityFile)),
                                   "copy ca.pem from the authority's folder"));
  DEMUR_TRY(const crypto::Certificate certificate, crypto::ParseCertificate(out.certificate));
  if (certificate.public_key != out.server_key.public_key) {
    return Error(ErrorCode::kInvalidArgument,
                 Path(dir, kCertificateFile) + ": is for another key than server.key");
  }
  return out;
}

Status CheckCertificate(const Deployment& deployment, std::int64_t now_s) {
  const std::string path = Path(deployment.dir, kCertificateFile);
  DEMUR_TRY(const crypto::Certificate own, crypto::ParseCertificate(deployment.certificate));
  if (now_s > own.validity.not_after) {
    return Error(ErrorCode::kFailedPrecondition,
                 path +
                     ": has expired; renew it with `demur-ca certify --dir CA --request "
                     "server.request --out server.pem --address HOST:PORT`");
  }
  if (!crypto::VerifyCertificate(deployment.certificate, deployment.authority, now_s,
                                 crypto::CertificateKind::kServer)) {
    return Error(ErrorCode::kFailedPrecondition,
                 path + ": is not good under " + Path(deployment.dir, kAuthorityFile) +
                     ": another authority signed it, one of the two has expired, or this "
                     "machine's clock is wrong");
  }
  return {};
}

Result<crypto::RevocationList> LoadRevocations(const std::string& dir, ByteView authority,
                                               const crypto::RevocationList& in_force) {
  constexpr const char* kCure = "; copy revoked.json from the authority's folder";
  const std::string path = Path(dir, kRevokedFile);
  const std::string before = "list " + std::to_string(in_force.sequence);
  if (!Exists(path)) {
    if (in_force.sequence == 0) return crypto::RevocationList{};
    return Error(ErrorCode::kFailedPrecondition,
                 path + ": is missing, but " + before + " was in force" + kCure);
  }
  DEMUR_TRY(const crypto::Certificate certificate, crypto::ParseCertificate(authority));
  DEMUR_TRY(const std::string text, ReadTextFile(path, crypto::kOperatorFileMaxLen));
  Result<crypto::RevocationList> list = crypto::ParseRevocationList(text, certificate.public_key);
  if (!list) return Error(list.error().code(), path + ": " + list.error().message() + kCure);
  if (list->sequence < in_force.sequence) {
    return Error(ErrorCode::kFailedPrecondition, path + ": list " + std::to_string(list->sequence) +
                                                     " is older than " + before +
                                                     ", which was in force" + kCure);
  }
  for (const DeviceNumber device : in_force.devices) {
    if (!list->Contains(device)) return Lacks(path, device, before);
  }
  return list;
}

Result<std::optional<Population>> LoadPopulation(const std::string& dir, ByteView authority,
                                                 const std::optional<Population>& in_force) {
  constexpr const char* kCure =
      "; run `demur-ca close-epoch` and copy population.statement from the authority's folder";
  const std::string path = Path(dir, kPopulationFile);
  if (!Exists(path)) {
    if (!in_force) return std::optional<Population>();
    return Error(ErrorCode::kFailedPrecondition, path + ": is missing, but epoch " +
                                                     std::to_string(in_force->statement.epoch) +
                                                     " was in force" + kCure);
  }
  DEMUR_TRY(const crypto::Certificate certificate, crypto::ParseCertificate(authority));
  Population out;
  DEMUR_TRY(out.bytes, ReadFile(path, model::kMaxStatementLen));
  auto statement = secagg::OpenStatement(out.bytes, certificate.public_key);
  if (!statement) {
    return Error(statement.error().code(), path + ": " + statement.error().message() + kCure);
  }
  out.statement = *statement;
  if (in_force && out.statement.epoch < in_force->statement.epoch) {
    return Error(ErrorCode::kFailedPrecondition,
                 path + ": epoch " + std::to_string(out.statement.epoch) + " is older than epoch " +
                     std::to_string(in_force->statement.epoch) + ", which was in force" + kCure);
  }
  if (in_force && out.statement.epoch == in_force->statement.epoch &&
      out.bytes != in_force->bytes) {
    return Error(ErrorCode::kInvalidArgument,
                 path + ": another statement of an epoch that was in force" + kCure);
  }
  return std::optional<Population>(std::move(out));
}

}  // namespace demur::coordinator
