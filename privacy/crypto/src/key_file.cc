#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <utility>

#include "demur/base/file.h"
#include "demur/crypto/keys.h"
#include "pem.h"

namespace demur::crypto {
namespace {

constexpr std::string_view kPemPrivateKey = "PRIVATE KEY";

// PKCS#8 (RFC 8410) of an Ed25519 key is these 16 bytes and the seed: SEQUENCE { version 0,
// algorithm 1.3.101.112, OCTET STRING { OCTET STRING seed } }. No other form is written or read.
constexpr std::array<unsigned char, 16> kPrefix = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                                   0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};

}  // namespace

SecretBytes PrivateKeyToDer(const Ed25519KeyPair& key) {
  SecretBytes der(kPrefix.size() + key.seed.kLen);
  const auto prefix = std::as_bytes(std::span(kPrefix));
  auto to = std::copy(prefix.begin(), prefix.end(), der.mutable_view().begin());
  std::copy(key.seed.view().begin(), key.seed.view().end(), to);
  return der;
}

Result<Ed25519KeyPair> PrivateKeyFromDer(ByteView der) {
  const auto prefix = std::as_bytes(std::span(kPrefix));
  SecretArray<32> seed;
  if (der.size() != prefix.size() + seed.kLen ||
      !std::equal(prefix.begin(), prefix.end(), der.begin())) {
    return Error(ErrorCode::kInvalidArgument, "not an Ed25519 private key");
  }
  std::copy(der.begin() + prefix.size(), der.end(), seed.mutable_view().begin());
  return Ed25519FromSeed(seed);
}

Status WriteNewKeyFile(const std::string& path, const Ed25519KeyPair& key) {
  std::error_code ec;
  const auto status = std::filesystem::symlink_status(path, ec);
  if (status.type() == std::filesystem::file_type::none) {
    return Error(ErrorCode::kUnavailable, path + ": " + ec.message());
  }
  if (status.type() != std::filesystem::file_type::not_found) {
    return Error(ErrorCode::kFailedPrecondition,
                 path + ": there is something already, and a key is never overwritten");
  }
  const SecretBytes der = PrivateKeyToDer(key);
  const SecretBytes pem = internal::EncodePem(kPemPrivateKey, der.view());
  return WriteFileAtomically(path, pem.view(), FileMode::kOwnerOnly);
}

Result<Ed25519KeyPair> ReadKeyFile(const std::string& path) {
  DEMUR_TRY(Bytes raw, ReadFile(path, internal::kPemMaxLen));
  const SecretBytes pem(std::move(raw));
  auto der = internal::DecodePem(kPemPrivateKey, AsText(pem.view()));
  if (!der) return std::move(der).error().WithContext(path);
  auto key = PrivateKeyFromDer(der->view());
  if (!key) return std::move(key).error().WithContext(path);
  return key;
}

}  // namespace demur::crypto
