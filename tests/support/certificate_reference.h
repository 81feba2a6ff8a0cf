#pragma once

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "demur/crypto/certificate.h"

// What certificate.cc does, done another way: OpenSSL reads the certificate and says what is in it,
// and everything is written back and compared, because OpenSSL also takes what is not DER.
// Tests and the fuzz target hold the two against each other.
namespace demur::crypto::testing {

template <auto kFree>
struct FreeX509 {
  template <class T>
  void operator()(T* object) const noexcept {
    kFree(object);
  }
};
using ReferenceX509 = std::unique_ptr<X509, FreeX509<X509_free>>;

// The bytes that `encode` (an i2d function) writes of `object`.
template <class T, class Encode>
Bytes Encoded(T* object, Encode encode) {
  unsigned char* der = nullptr;
  const int len = encode(object, &der);
  if (len <= 0) return {};
  Bytes out = ToBytes(std::as_bytes(std::span(der, static_cast<std::size_t>(len))));
  OPENSSL_free(der);
  return out;
}

inline std::string TextOf(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

// An extension as the library would write it: the parts and the whole.
inline bool IsCanonical(X509_EXTENSION* extension) {
  const bool critical = X509_EXTENSION_get_critical(extension) != 0;
  const std::unique_ptr<X509_EXTENSION, FreeX509<X509_EXTENSION_free>> whole(
      X509_EXTENSION_create_by_OBJ(nullptr, X509_EXTENSION_get_object(extension), critical,
                                   X509_EXTENSION_get_data(extension)));
  const int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));
  const X509V3_EXT_METHOD* method = X509V3_EXT_get(extension);
  void* parsed = X509V3_EXT_d2i(extension);
  if (whole == nullptr || method == nullptr || method->it == nullptr || parsed == nullptr) {
    if (parsed != nullptr && method != nullptr && method->it != nullptr) {
      ASN1_item_free(static_cast<ASN1_VALUE*>(parsed), ASN1_ITEM_ptr(method->it));
    }
    return false;
  }
  const std::unique_ptr<X509_EXTENSION, FreeX509<X509_EXTENSION_free>> again(
      X509V3_EXT_i2d(nid, critical ? 1 : 0, parsed));
  ASN1_item_free(static_cast<ASN1_VALUE*>(parsed), ASN1_ITEM_ptr(method->it));
  const Bytes given = Encoded(extension, i2d_X509_EXTENSION);
  return again != nullptr && Encoded(whole.get(), i2d_X509_EXTENSION) == given &&
         Encoded(again.get(), i2d_X509_EXTENSION) == given;
}

// Null: not one certificate in DER. X509's own cache hands back what it read, so the parts are
// written anew one by one.
inline ReferenceX509 ReferenceDecode(ByteView der) {
  if (der.empty() || der.size() > kCertificateMaxLen) return nullptr;
  const auto* const begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* at = begin;
  ReferenceX509 certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate == nullptr || at != begin + der.size()) return nullptr;
  // The cached bytes of what is signed are what the signature is over.
  const ReferenceX509 written(X509_dup(certificate.get()));
  if (written == nullptr || i2d_re_X509_tbs(written.get(), nullptr) <= 0) return nullptr;
  if (Encoded(written.get(), i2d_X509) != ToBytes(der)) return nullptr;
  for (int i = 0; i < X509_get_ext_count(certificate.get()); ++i) {
    if (!IsCanonical(X509_get_ext(certificate.get(), i))) return nullptr;
  }
  const ASN1_BIT_STRING* subject_id = nullptr;
  const ASN1_BIT_STRING* issuer_id = nullptr;
  X509_get0_uids(certificate.get(), &issuer_id, &subject_id);
  if (issuer_id != nullptr || subject_id != nullptr) return nullptr;
  return certificate;
}

// The single CN of a name that has nothing else.
inline std::optional<std::string> ReferenceName(const X509_NAME* name) {
  if (X509_NAME_entry_count(name) != 1) return std::nullopt;
  const X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, 0);
  if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName) return std::nullopt;
  const ASN1_STRING* data = X509_NAME_ENTRY_get_data(entry);
  const int type = ASN1_STRING_type(data);
  if (type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING) return std::nullopt;
  const std::unique_ptr<X509_NAME, FreeX509<X509_NAME_free>> written(X509_NAME_new());
  if (X509_NAME_add_entry(written.get(), entry, -1, 0) != 1 ||
      Encoded(written.get(), i2d_X509_NAME) != Encoded(name, i2d_X509_NAME)) {
    return std::nullopt;
  }
  std::string out = TextOf(data);
  const bool fine =
      !out.empty() && out.size() <= kNameMaxLen &&
      std::all_of(out.begin(), out.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!fine) return std::nullopt;
  return out;
}

inline bool HasBits(const X509* certificate, std::initializer_list<int> bits) {
  const std::unique_ptr<ASN1_BIT_STRING, FreeX509<ASN1_BIT_STRING_free>> given(
      static_cast<ASN1_BIT_STRING*>(
          X509_get_ext_d2i(certificate, NID_key_usage, nullptr, nullptr)));
  const std::unique_ptr<ASN1_BIT_STRING, FreeX509<ASN1_BIT_STRING_free>> made(
      ASN1_BIT_STRING_new());
  for (const int bit : bits) ASN1_BIT_STRING_set_bit(made.get(), bit, 1);
  return given != nullptr &&
         Encoded(given.get(), i2d_ASN1_BIT_STRING) == Encoded(made.get(), i2d_ASN1_BIT_STRING);
}

inline std::optional<CertificateKind> ReferenceKind(const X509* certificate) {
  const std::unique_ptr<BASIC_CONSTRAINTS, FreeX509<BASIC_CONSTRAINTS_free>> constraints(
      static_cast<BASIC_CONSTRAINTS*>(
          X509_get_ext_d2i(certificate, NID_basic_constraints, nullptr, nullptr)));
  if (constraints == nullptr) return std::nullopt;
  if (constraints->ca != 0) {
    const bool one_level = constraints->ca == 0xff && constraints->pathlen != nullptr &&
                           ASN1_INTEGER_get(constraints->pathlen) == 0;
    if (!one_level || !HasBits(certificate, {5, 6})) return std::nullopt;
    return CertificateKind::kAuthority;
  }
  const std::unique_ptr<EXTENDED_KEY_USAGE, FreeX509<EXTENDED_KEY_USAGE_free>> usages(
      static_cast<EXTENDED_KEY_USAGE*>(
          X509_get_ext_d2i(certificate, NID_ext_key_usage, nullptr, nullptr)));
  if (constraints->pathlen != nullptr || !HasBits(certificate, {0}) || usages == nullptr ||
      sk_ASN1_OBJECT_num(usages.get()) != 1) {
    return std::nullopt;
  }
  const int usage = OBJ_obj2nid(sk_ASN1_OBJECT_value(usages.get(), 0));
  if (usage == NID_server_auth) return CertificateKind::kServer;
  if (usage == NID_client_auth) return CertificateKind::kDevice;
  return std::nullopt;
}

// Just the extensions of its kind, in order, with key identifiers of 20 bytes.
inline bool HasReferenceExtensions(X509* certificate, CertificateKind kind) {
  std::vector<std::pair<int, bool>> wanted = {{NID_basic_constraints, true}, {NID_key_usage, true}};
  const bool leaf = kind != CertificateKind::kAuthority;
  if (leaf) wanted.emplace_back(NID_ext_key_usage, false);
  wanted.emplace_back(NID_subject_key_identifier, false);
  if (leaf) wanted.emplace_back(NID_authority_key_identifier, false);
  if (kind == CertificateKind::kServer) wanted.emplace_back(NID_subject_alt_name, false);
  if (X509_get_ext_count(certificate) != static_cast<int>(wanted.size())) return false;
  for (int i = 0; i < static_cast<int>(wanted.size()); ++i) {
    X509_EXTENSION* extension = X509_get_ext(certificate, i);
    const auto& [nid, critical] = wanted[static_cast<std::size_t>(i)];
    if (OBJ_obj2nid(X509_EXTENSION_get_object(extension)) != nid ||
        (X509_EXTENSION_get_critical(extension) != 0) != critical) {
      return false;
    }
  }
  constexpr int kIdLen = 20;
  const std::unique_ptr<ASN1_OCTET_STRING, FreeX509<ASN1_OCTET_STRING_free>> own(
      static_cast<ASN1_OCTET_STRING*>(
          X509_get_ext_d2i(certificate, NID_subject_key_identifier, nullptr, nullptr)));
  if (own == nullptr || ASN1_STRING_length(own.get()) != kIdLen) return false;
  if (!leaf) return true;
  const std::unique_ptr<AUTHORITY_KEYID, FreeX509<AUTHORITY_KEYID_free>> authority(
      static_cast<AUTHORITY_KEYID*>(
          X509_get_ext_d2i(certificate, NID_authority_key_identifier, nullptr, nullptr)));
  return authority != nullptr && authority->issuer == nullptr && authority->serial == nullptr &&
         authority->keyid != nullptr && ASN1_STRING_length(authority->keyid) == kIdLen;
}

inline std::optional<ServerNames> ReferenceServerNames(const X509* certificate) {
  const std::unique_ptr<GENERAL_NAMES, FreeX509<GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr || sk_GENERAL_NAME_num(names.get()) == 0) return std::nullopt;
  ServerNames out;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      std::string text = TextOf(name->d.dNSName);
      if (text.empty() || text.size() > kNameMaxLen ||
          text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") != std::string::npos) {
        return std::nullopt;
      }
      out.dns_names.push_back(std::move(text));
      continue;
    }
    if (name->type != GEN_IPADD) return std::nullopt;
    const int len = ASN1_STRING_length(name->d.iPAddress);
    if (len != 4 && len != 16) return std::nullopt;
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress), text.data(),
              text.size());
    out.ip_addresses.emplace_back(text.data());
  }
  return out;
}

// Written back, it must be what was read.
inline std::optional<std::int64_t> ReferenceTime(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  const std::time_t seconds = timegm(&parts);
  const std::unique_ptr<ASN1_TIME, FreeX509<ASN1_TIME_free>> written(
      ASN1_TIME_set(nullptr, seconds));
  if (seconds < 0 || written == nullptr || ASN1_STRING_cmp(time, written.get()) != 0) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(seconds);
}

inline bool HasReferenceSerial(const X509* certificate, Serial* out) {
  const ASN1_INTEGER* number = X509_get0_serialNumber(certificate);
  if (ASN1_STRING_type(number) != V_ASN1_INTEGER ||
      ASN1_STRING_length(number) != static_cast<int>(out->size())) {
    return false;
  }
  std::copy_n(reinterpret_cast<const std::byte*>(ASN1_STRING_get0_data(number)), out->size(),
              out->begin());
  return (out->front() & std::byte{0xc0}) == std::byte{0x40};
}

// Key and signature are of Ed25519, named three times and without parameters.
inline bool IsReferenceEd25519(X509* certificate, PublicKey* key) {
  const auto plain = [](const X509_ALGOR* algorithm) {
    const ASN1_OBJECT* object = nullptr;
    int type = V_ASN1_NULL;
    X509_ALGOR_get0(&object, &type, nullptr, algorithm);
    return OBJ_obj2nid(object) == NID_ED25519 && type == V_ASN1_UNDEF;
  };
  const ASN1_BIT_STRING* signature = nullptr;
  const X509_ALGOR* outer = nullptr;
  X509_get0_signature(&signature, &outer, certificate);
  X509_ALGOR* of_key = nullptr;
  const unsigned char* bits = nullptr;
  int bits_len = 0;
  const X509_PUBKEY* public_key = X509_get_X509_PUBKEY(certificate);
  X509_PUBKEY_get0_param(nullptr, &bits, &bits_len, &of_key, public_key);
  const ASN1_BIT_STRING* key_bits = X509_get0_pubkey_bitstr(certificate);
  const EVP_PKEY* decoded = X509_get0_pubkey(certificate);
  std::size_t len = key->size();
  return plain(outer) && plain(X509_get0_tbs_sigalg(certificate)) && plain(of_key) &&
         ASN1_STRING_length(signature) == 64 && (signature->flags & 7) == 0 &&
         (key_bits->flags & 7) == 0 && decoded != nullptr &&
         EVP_PKEY_get_id(decoded) == EVP_PKEY_ED25519 &&
         EVP_PKEY_get_raw_public_key(decoded, reinterpret_cast<unsigned char*>(key->data()),
                                     &len) == 1 &&
         len == key->size();
}

inline std::optional<DeviceNumber> ReferenceDevice(std::string_view name) {
  constexpr std::string_view kPrefix = "demur-device-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::string_view digits = name.substr(kPrefix.size());
  std::uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (std::to_string(number) != digits) return std::nullopt;
  return DeviceNumber(number);
}

// As ParseCertificate; nullopt where that is an error.
inline std::optional<Certificate> ReferenceParse(X509* certificate) {
  Certificate out;
  const auto kind = ReferenceKind(certificate);
  const auto name = ReferenceName(X509_get_subject_name(certificate));
  const auto not_before = ReferenceTime(X509_get0_notBefore(certificate));
  const auto not_after = ReferenceTime(X509_get0_notAfter(certificate));
  if (X509_get_version(certificate) != X509_VERSION_3 || !kind ||
      !HasReferenceExtensions(certificate, *kind) || !name ||
      !ReferenceName(X509_get_issuer_name(certificate)) || !not_before || !not_after ||
      *not_before > *not_after || !HasReferenceSerial(certificate, &out.serial) ||
      !IsReferenceEd25519(certificate, &out.public_key)) {
    return std::nullopt;
  }
  out.kind = *kind;
  out.name = *name;
  out.validity = {*not_before, *not_after};
  if (*kind == CertificateKind::kAuthority &&
      Encoded(X509_get_subject_name(certificate), i2d_X509_NAME) !=
          Encoded(X509_get_issuer_name(certificate), i2d_X509_NAME)) {
    return std::nullopt;
  }
  if (*kind == CertificateKind::kServer) {
    auto names = ReferenceServerNames(certificate);
    if (!names) return std::nullopt;
    out.names = std::move(*names);
  }
  if (*kind == CertificateKind::kDevice) {
    const auto device = ReferenceDevice(out.name);
    if (!device) return std::nullopt;
    out.device = *device;
  }
  return out;
}
inline std::optional<Certificate> ReferenceParse(ByteView der) {
  const ReferenceX509 certificate = ReferenceDecode(der);
  if (certificate == nullptr) return std::nullopt;
  return ReferenceParse(certificate.get());
}

// Whether `authority` (good, and valid at `now`) issued `der` as `kind`, good at `now`.
inline bool ReferenceVerify(ByteView der, ByteView authority, std::int64_t now,
                            CertificateKind kind) {
  const ReferenceX509 certificate = ReferenceDecode(der);
  const ReferenceX509 issuer = ReferenceDecode(authority);
  if (certificate == nullptr || issuer == nullptr) return false;
  const auto parsed = ReferenceParse(certificate.get());
  return parsed && parsed->kind == kind && parsed->validity.not_before <= now &&
         now <= parsed->validity.not_after &&
         Encoded(X509_get_issuer_name(certificate.get()), i2d_X509_NAME) ==
             Encoded(X509_get_subject_name(issuer.get()), i2d_X509_NAME) &&
         X509_verify(certificate.get(), X509_get0_pubkey(issuer.get())) == 1 &&
         (kind != CertificateKind::kAuthority || ToBytes(der) == ToBytes(authority));
}

inline bool SameCertificate(const Certificate& a, const Certificate& b) {
  return a.kind == b.kind && a.device == b.device && a.name == b.name &&
         a.names.dns_names == b.names.dns_names && a.names.ip_addresses == b.names.ip_addresses &&
         a.public_key == b.public_key && a.validity.not_before == b.validity.not_before &&
         a.validity.not_after == b.validity.not_after && a.serial == b.serial;
}

}  // namespace demur::crypto::testing
