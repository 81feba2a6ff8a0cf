#include <algorithm>
#include <string>
#include <utility>

#include "demur/crypto/certificate.h"
#include "openssl.h"

// Making certificates. Reading and checking them is in certificate.cc.
namespace demur::crypto {
namespace {

using internal::ForgetErrors;
using internal::In;
using internal::Key;
using internal::LibraryFailure;
using internal::X509Ptr;

constexpr std::int64_t kLastSecond = 253402300799;  // 9999-12-31T23:59:59Z

Error BadInput(const char* what) {
  ForgetErrors();
  return Error(ErrorCode::kInvalidArgument, what);
}

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kNameMaxLen &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// Also keeps out ',' and ':', which mean something in OpenSSL's extension texts.
bool IsMadeOf(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.size() <= kNameMaxLen &&
         text.find_first_not_of(allowed) == std::string_view::npos;
}

bool AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  const internal::ExtensionPtr extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool SetSerial(X509* certificate, Serial serial) {
  serial[0] = (serial[0] & std::byte{0x7f}) | std::byte{0x40};
  ASN1_INTEGER* number = X509_get_serialNumber(certificate);
  return ASN1_STRING_set(number, serial.data(), static_cast<int>(serial.size())) == 1;
}

bool SetName(X509* certificate, const std::string& name) {
  return X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                    MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(name.c_str()),
                                    static_cast<int>(name.size()), -1, 0) == 1;
}

// Everything but the extensions that tell the kinds apart.
Result<X509Ptr> Draft(const std::string& name, const PublicKey& key, Validity validity,
                      const Serial& serial) {
  if (!IsName(name)) return BadInput("certificate name: 1 to 64 printable characters");
  if (validity.not_before < 0 || validity.not_after > kLastSecond ||
      validity.not_before > validity.not_after) {
    return BadInput("certificate validity: the end lies before the start, or out of range");
  }
  X509Ptr certificate(X509_new());
  const Key public_key = internal::PublicFromRaw(EVP_PKEY_ED25519, key);
  if (certificate == nullptr || public_key == nullptr ||
      X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !SetSerial(certificate.get(), serial) || !SetName(certificate.get(), name) ||
      ASN1_TIME_set(X509_getm_notBefore(certificate.get()), validity.not_before) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), validity.not_after) == nullptr ||
      X509_set_pubkey(certificate.get(), public_key.get()) != 1) {
    return LibraryFailure();
  }
  return certificate;
}

Result<Bytes> SignAndEncode(X509* certificate, const Ed25519KeyPair& key) {
  const Key signer = internal::PrivateFromRaw(EVP_PKEY_ED25519, key.seed.view());
  if (signer == nullptr || X509_sign(certificate, signer.get(), nullptr) <= 0) {
    return LibraryFailure();
  }
  unsigned char* der = nullptr;
  const int len = i2d_X509(certificate, &der);
  if (len < 0) return LibraryFailure();
  Bytes out = ToBytes(std::as_bytes(std::span(der, static_cast<std::size_t>(len))));
  OPENSSL_free(der);
  if (out.size() > kCertificateMaxLen) return BadInput("certificate too long: fewer names");
  return out;
}

// What a leaf adds to a draft, then the signature.
Result<Bytes> IssueLeaf(X509Ptr leaf, const Ed25519KeyPair& authority_key,
                        ByteView authority_certificate, const std::string& usage,
                        const std::string& alternative_names) {
  DEMUR_TRY(const Certificate parsed, ParseCertificate(authority_certificate));
  if (parsed.kind != CertificateKind::kAuthority || parsed.public_key != authority_key.public_key) {
    return BadInput("the certificate is not the authority's whose key signs");
  }
  const unsigned char* at = In(authority_certificate.data());
  const X509Ptr issuer(d2i_X509(nullptr, &at, static_cast<long>(authority_certificate.size())));
  if (issuer == nullptr ||
      X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer.get())) != 1 ||
      !AddExtension(leaf.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(leaf.get(), issuer.get(), NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(leaf.get(), issuer.get(), NID_ext_key_usage, usage) ||
      !AddExtension(leaf.get(), issuer.get(), NID_subject_key_identifier, "hash") ||
      !AddExtension(leaf.get(), issuer.get(), NID_authority_key_identifier, "keyid:always")) {
    return LibraryFailure();
  }
  if (!alternative_names.empty() &&
      !AddExtension(leaf.get(), issuer.get(), NID_subject_alt_name, alternative_names)) {
    return BadInput("a server name is not a host name or an address");
  }
  return SignAndEncode(leaf.get(), authority_key);
}

}  // namespace

Result<Bytes> IssueAuthority(const Ed25519KeyPair& key, std::string_view name, Validity validity,
                             const Serial& serial) {
  DEMUR_TRY(const X509Ptr certificate, Draft(std::string(name), key.public_key, validity, serial));
  X509* raw = certificate.get();
  if (X509_set_issuer_name(raw, X509_get_subject_name(raw)) != 1 ||
      !AddExtension(raw, raw, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(raw, raw, NID_subject_key_identifier, "hash")) {
    return LibraryFailure();
  }
  return SignAndEncode(raw, key);
}

Result<Bytes> IssueServer(const Ed25519KeyPair& authority_key, ByteView authority_certificate,
                          const PublicKey& server_key, const ServerNames& names, Validity validity,
                          const Serial& serial) {
  std::string alternative;
  for (const std::string& name : names.dns_names) {
    if (!IsMadeOf(name, "abcdefghijklmnopqrstuvwxyz0123456789.-")) {
      return BadInput("a server name is not a lower-case host name of at most 64 characters");
    }
    alternative.append(alternative.empty() ? "DNS:" : ",DNS:").append(name);
  }
  for (const std::string& address : names.ip_addresses) {
    if (!IsMadeOf(address, "0123456789abcdef.:")) {
      return BadInput("a server address is not numeric");
    }
    alternative.append(alternative.empty() ? "IP:" : ",IP:").append(address);
  }
  if (alternative.empty()) return BadInput("a server certificate needs at least one name");
  const std::string& first =
      names.dns_names.empty() ? names.ip_addresses.front() : names.dns_names.front();
  DEMUR_TRY(X509Ptr leaf, Draft(first, server_key, validity, serial));
  return IssueLeaf(std::move(leaf), authority_key, authority_certificate, "serverAuth",
                   alternative);
}

Result<Bytes> IssueDevice(const Ed25519KeyPair& authority_key, ByteView authority_certificate,
                          const PublicKey& device_key, DeviceNumber device, Validity validity,
                          const Serial& serial) {
  DEMUR_TRY(X509Ptr leaf,
            Draft("demur-device-" + std::to_string(device.value), device_key, validity, serial));
  return IssueLeaf(std::move(leaf), authority_key, authority_certificate, "clientAuth", "");
}

}  // namespace demur::crypto
