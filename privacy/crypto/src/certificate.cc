#include "demur/crypto/certificate.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>
#include <utility>

#include "demur/base/file.h"
#include "openssl.h"
#include "pem.h"

// Reading and checking certificates. Making them is in certificate_issue.cc.
namespace demur::crypto {
namespace {

using internal::ForgetErrors;
using internal::In;
using internal::Key;
using internal::X509Ptr;

template <auto kFree>
using FreedBy = internal::Free<kFree>;
using Constraints = std::unique_ptr<BASIC_CONSTRAINTS, FreedBy<BASIC_CONSTRAINTS_free>>;
using Usages = std::unique_ptr<EXTENDED_KEY_USAGE, FreedBy<EXTENDED_KEY_USAGE_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, FreedBy<GENERAL_NAMES_free>>;
using Time = std::unique_ptr<ASN1_TIME, FreedBy<ASN1_TIME_free>>;

constexpr std::string_view kDevicePrefix = "demur-device-";

Error Bad() {
  ForgetErrors();
  return Error(ErrorCode::kInvalidArgument, "not a certificate that demur uses");
}
Error Refused() {
  ForgetErrors();
  return Error(ErrorCode::kPermissionDenied, "certificate refused");
}

// The whole input is one certificate of sane length, in the one encoding that DER has for it: what
// OpenSSL reads it also takes in others, under which one certificate would be two to whoever hashes
// it.
X509Ptr Decode(ByteView der) {
  if (der.empty() || der.size() > kCertificateMaxLen) return nullptr;
  const unsigned char* at = In(der.data());
  X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate == nullptr || at != In(der.data()) + der.size()) return nullptr;
  if (i2d_X509(certificate.get(), nullptr) != static_cast<int>(der.size())) return nullptr;
  std::array<unsigned char, kCertificateMaxLen> again{};
  unsigned char* to = again.data();
  i2d_X509(certificate.get(), &to);
  if (!std::equal(der.begin(), der.end(), std::as_bytes(std::span(again)).begin())) return nullptr;
  return certificate;
}

bool HasExtension(const X509* certificate, int nid) {
  return X509_get_ext_by_NID(certificate, nid, -1) >= 0;
}

struct IssuedExtension {
  int nid;
  bool critical;
};
constexpr std::array<IssuedExtension, 6> kIssued = {{{NID_basic_constraints, true},
                                                     {NID_key_usage, true},
                                                     {NID_ext_key_usage, false},
                                                     {NID_subject_key_identifier, false},
                                                     {NID_authority_key_identifier, false},
                                                     {NID_subject_alt_name, false}}};

bool BelongsTo(CertificateKind kind, int nid) {
  if (nid == NID_subject_alt_name) return kind == CertificateKind::kServer;
  const bool of_leaf = nid == NID_ext_key_usage || nid == NID_authority_key_identifier;
  return !of_leaf || kind != CertificateKind::kAuthority;
}

// Exactly the extensions that certificate_issue.cc gives the kind, in its order. What we do not
// understand might limit what the certificate is good for, so it is refused even when it is not
// critical; what is missing or may be ignored is not the limit that others read there.
bool HasItsExtensions(const X509* certificate, CertificateKind kind) {
  int at = 0;
  for (const IssuedExtension& issued : kIssued) {
    if (!BelongsTo(kind, issued.nid)) continue;
    X509_EXTENSION* extension = X509_get_ext(certificate, at++);  // null behind the last
    if (extension == nullptr || OBJ_obj2nid(X509_EXTENSION_get_object(extension)) != issued.nid ||
        (X509_EXTENSION_get_critical(extension) != 0) != issued.critical) {
      return false;
    }
  }
  return at == X509_get_ext_count(certificate);
}

// The kind that basic constraints, key usage and extended key usage agree on.
std::optional<CertificateKind> KindOf(X509* certificate) {
  const Constraints constraints(static_cast<BASIC_CONSTRAINTS*>(
      X509_get_ext_d2i(certificate, NID_basic_constraints, nullptr, nullptr)));
  if (constraints == nullptr || !HasExtension(certificate, NID_key_usage)) return std::nullopt;
  const std::uint32_t key_usage = X509_get_key_usage(certificate);
  const Usages usages(static_cast<EXTENDED_KEY_USAGE*>(
      X509_get_ext_d2i(certificate, NID_ext_key_usage, nullptr, nullptr)));
  if (constraints->ca != 0) {
    if (key_usage != (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) return std::nullopt;
    if (HasExtension(certificate, NID_ext_key_usage)) return std::nullopt;
    // One level: an authority makes no authorities.
    if (constraints->pathlen == nullptr || ASN1_INTEGER_get(constraints->pathlen) != 0) {
      return std::nullopt;
    }
    return CertificateKind::kAuthority;
  }
  if (constraints->pathlen != nullptr) return std::nullopt;
  if (key_usage != KU_DIGITAL_SIGNATURE) return std::nullopt;
  if (usages == nullptr || sk_ASN1_OBJECT_num(usages.get()) != 1) return std::nullopt;
  switch (OBJ_obj2nid(sk_ASN1_OBJECT_value(usages.get(), 0))) {
    case NID_server_auth:
      return CertificateKind::kServer;
    case NID_client_auth:
      return CertificateKind::kDevice;
    default:
      return std::nullopt;
  }
}

// The single CN of a name that has nothing else.
std::optional<std::string> CommonName(const X509_NAME* name) {
  if (X509_NAME_entry_count(name) != 1) return std::nullopt;
  const X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, 0);
  if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName) return std::nullopt;
  const ASN1_STRING* text = X509_NAME_ENTRY_get_data(entry);
  const int type = ASN1_STRING_type(text);
  if (type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING) return std::nullopt;
  std::string out(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                  static_cast<std::size_t>(ASN1_STRING_length(text)));
  const bool fine =
      !out.empty() && out.size() <= kNameMaxLen &&
      std::all_of(out.begin(), out.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!fine) return std::nullopt;
  return out;
}

std::optional<DeviceNumber> DeviceOf(std::string_view name) {
  if (!name.starts_with(kDevicePrefix)) return std::nullopt;
  const std::string_view digits = name.substr(kDevicePrefix.size());
  std::uint64_t number = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  // Written back and compared: "007" and "7" must not be two names of one device.
  if (ec != std::errc{} || end != digits.data() + digits.size() ||
      std::to_string(number) != digits) {
    return std::nullopt;
  }
  return DeviceNumber(number);
}

bool AppendName(const GENERAL_NAME* name, ServerNames* out) {
  if (name->type == GEN_DNS) {
    const ASN1_IA5STRING* dns = name->d.dNSName;
    std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(dns)),
                     static_cast<std::size_t>(ASN1_STRING_length(dns)));
    const bool fine =
        !text.empty() && text.size() <= kNameMaxLen &&
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") == std::string::npos;
    if (fine) out->dns_names.push_back(std::move(text));
    return fine;
  }
  if (name->type != GEN_IPADD) return false;
  const ASN1_OCTET_STRING* address = name->d.iPAddress;
  const int len = ASN1_STRING_length(address);
  if (len != 4 && len != 16) return false;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text.data(),
                text.size()) == nullptr) {
    return false;
  }
  out->ip_addresses.emplace_back(text.data());
  return true;
}

std::optional<ServerNames> NamesOf(const X509* certificate) {
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  ServerNames out;
  if (names == nullptr || sk_GENERAL_NAME_num(names.get()) == 0) return std::nullopt;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    if (!AppendName(sk_GENERAL_NAME_value(names.get(), i), &out)) return std::nullopt;
  }
  return out;
}

// A time in the form that DER prescribes for it: what is written back must be what was read.
std::optional<std::int64_t> UnixTime(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  const std::time_t seconds = timegm(&parts);
  const Time written(ASN1_TIME_set(nullptr, seconds));
  if (written == nullptr || ASN1_STRING_cmp(time, written.get()) != 0) return std::nullopt;
  return static_cast<std::int64_t>(seconds);
}

bool ReadSerial(const X509* certificate, Serial* out) {
  const ASN1_INTEGER* number = X509_get0_serialNumber(certificate);
  if (ASN1_STRING_type(number) != V_ASN1_INTEGER ||
      ASN1_STRING_length(number) != static_cast<int>(out->size())) {
    return false;
  }
  const auto* data = reinterpret_cast<const std::byte*>(ASN1_STRING_get0_data(number));
  std::copy_n(data, out->size(), out->begin());
  return (out->front() & std::byte{0xc0}) == std::byte{0x40};  // as every serial is made
}

// Both places that name the signature algorithm, and the key, say Ed25519.
bool IsEd25519(const X509* certificate, PublicKey* key) {
  const EVP_PKEY* public_key = X509_get0_pubkey(certificate);
  const X509_ALGOR* outer = nullptr;
  X509_get0_signature(nullptr, &outer, certificate);
  std::size_t len = key->size();
  return public_key != nullptr && EVP_PKEY_get_id(public_key) == EVP_PKEY_ED25519 &&
         EVP_PKEY_get_raw_public_key(public_key, internal::Out(key->data()), &len) == 1 &&
         len == key->size() && X509_get_signature_nid(certificate) == NID_ED25519 &&
         X509_ALGOR_cmp(outer, X509_get0_tbs_sigalg(certificate)) == 0;
}

Result<Certificate> Describe(X509* certificate) {
  Certificate out;
  const auto kind = KindOf(certificate);
  const auto name = CommonName(X509_get_subject_name(certificate));
  const auto not_before = UnixTime(X509_get0_notBefore(certificate));
  const auto not_after = UnixTime(X509_get0_notAfter(certificate));
  if (X509_get_version(certificate) != X509_VERSION_3 || !kind ||
      !HasItsExtensions(certificate, *kind) || !name || !not_before || !not_after ||
      *not_before > *not_after || !ReadSerial(certificate, &out.serial) ||
      !IsEd25519(certificate, &out.public_key)) {
    return Bad();
  }
  const X509_NAME* subject = X509_get_subject_name(certificate);
  if (*kind == CertificateKind::kAuthority &&
      X509_NAME_cmp(subject, X509_get_issuer_name(certificate)) != 0) {
    return Bad();
  }
  out.kind = *kind;
  out.name = *name;
  out.validity = {*not_before, *not_after};
  if (*kind == CertificateKind::kServer) {
    auto names = NamesOf(certificate);
    if (!names) return Bad();
    out.names = std::move(*names);
  }
  if (*kind == CertificateKind::kDevice) {
    const auto device = DeviceOf(out.name);
    if (!device) return Bad();
    out.device = *device;
  }
  return out;
}

bool IsValidAt(const Validity& validity, std::int64_t now) {
  return validity.not_before <= now && now <= validity.not_after;
}

}  // namespace

std::string_view ToString(CertificateKind kind) noexcept {
  switch (kind) {
    case CertificateKind::kAuthority:
      return "authority";
    case CertificateKind::kServer:
      return "server";
    case CertificateKind::kDevice:
      return "device";
  }
  return "unknown";
}

Result<Certificate> ParseCertificate(ByteView der) {
  const X509Ptr certificate = Decode(der);
  if (certificate == nullptr) return Bad();
  return Describe(certificate.get());
}

struct CertificateVerifier::Issuer {
  Bytes der;
  X509Ptr certificate;
  Certificate parsed;
  Key key;
};

Result<CertificateVerifier> CertificateVerifier::Create(ByteView authority_der) {
  auto issuer = std::make_shared<Issuer>();
  issuer->der = ToBytes(authority_der);
  issuer->certificate = Decode(authority_der);
  if (issuer->certificate == nullptr) return Bad();
  DEMUR_TRY(issuer->parsed, Describe(issuer->certificate.get()));
  if (issuer->parsed.kind != CertificateKind::kAuthority) return Bad();
  issuer->key = internal::PublicFromRaw(EVP_PKEY_ED25519, issuer->parsed.public_key);
  if (issuer->key == nullptr) return internal::LibraryFailure();
  return CertificateVerifier(std::move(issuer));
}

Result<Certificate> CertificateVerifier::Verify(ByteView der, std::int64_t now,
                                                CertificateKind kind) const {
  const Issuer& issuer = *issuer_;
  const X509Ptr certificate = Decode(der);
  if (certificate == nullptr) return Bad();
  DEMUR_TRY(Certificate parsed, Describe(certificate.get()));
  if (parsed.kind != kind) return Bad();
  if (!IsValidAt(parsed.validity, now)) return Refused();
  if (!IsValidAt(issuer.parsed.validity, now)) return Refused();
  if (X509_NAME_cmp(X509_get_issuer_name(certificate.get()),
                    X509_get_subject_name(issuer.certificate.get())) != 0) {
    return Refused();
  }
  if (X509_verify(certificate.get(), issuer.key.get()) != 1) return Refused();
  // One level only: an authority that another one signed is not the one that is pinned.
  if (kind == CertificateKind::kAuthority &&
      !std::equal(der.begin(), der.end(), issuer.der.begin(), issuer.der.end())) {
    return Refused();
  }
  return parsed;
}

Result<Certificate> VerifyCertificate(ByteView der, ByteView authority_der, std::int64_t now,
                                      CertificateKind kind) {
  DEMUR_TRY(const auto verifier, CertificateVerifier::Create(authority_der));
  return verifier.Verify(der, now, kind);
}

Result<Bytes> ReadCertificateFile(const std::string& path) {
  DEMUR_TRY(const std::string pem, ReadTextFile(path, internal::kPemMaxLen));
  auto der = FromPem(kPemCertificate, pem);
  if (!der) return std::move(der).error().WithContext(path);
  if (const auto parsed = ParseCertificate(*der); !parsed) {
    return Error(parsed.error()).WithContext(path);
  }
  return der;
}

Status WriteCertificateFile(const std::string& path, ByteView der) {
  const std::string pem = ToPem(kPemCertificate, der);
  return WriteFileAtomically(path, AsBytes(pem), FileMode::kPublic);
}

}  // namespace demur::crypto
