#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "crypto_test_util.h"
#include "demur/crypto/certificate.h"
#include "result_matchers.h"

// Certificates that the authority's own key signed, but that none of the Issue functions could have
// made: good ones taken apart with OpenSSL, changed in one place and signed again. A parser that
// takes one of them takes what another program, or a bug of the authority, may one day issue.
namespace demur::crypto {
namespace {

using testing::FilledKey;

constexpr std::int64_t kNow = 1750000000;
constexpr Validity kYear = {kNow - 100, kNow + 365 * 86400};

template <auto kFree>
struct Free {
  template <class T>
  void operator()(T* object) const noexcept {
    kFree(object);
  }
};
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;

// One in which something is `what`: how it is made from a good one.
struct Forgery {
  const char* what;
  std::function<void(X509*)> change;
};
void PrintTo(const Forgery& forgery, std::ostream* out) { *out << forgery.what; }

void Remove(X509* certificate, int nid) {
  const int at = X509_get_ext_by_NID(certificate, nid, -1);
  ASSERT_GE(at, 0);
  const Extension removed(X509_delete_ext(certificate, at));
}
// `value` as in OpenSSL's configuration files; -1 appends, else it goes where one of `nid` was.
void Insert(X509* certificate, int nid, const char* value, int at) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  ASSERT_NE(extension, nullptr) << value;
  ASSERT_EQ(X509_add_ext(certificate, extension.get(), at), 1);
}
void Replace(X509* certificate, int nid, const char* value) {
  const int at = X509_get_ext_by_NID(certificate, nid, -1);
  Remove(certificate, nid);
  Insert(certificate, nid, value, at);
}
void AddName(X509_NAME* name, int nid, int type, std::string_view text) {
  ASSERT_EQ(X509_NAME_add_entry_by_NID(name, nid, type,
                                       reinterpret_cast<const unsigned char*>(text.data()),
                                       static_cast<int>(text.size()), -1, 0),
            1);
}
void Rename(X509* certificate, std::string_view name, int type = V_ASN1_UTF8STRING) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_ENTRY_free(X509_NAME_delete_entry(subject, 0));
  AddName(subject, NID_commonName, type, name);
}
void SetSerial(X509* certificate, std::string_view hex) {
  const Bytes bytes = testing::Hex(hex);
  ASSERT_EQ(ASN1_STRING_set(X509_get_serialNumber(certificate), bytes.data(),
                            static_cast<int>(bytes.size())),
            1);
}
Key RawPublic(int type, std::size_t len) {
  const Bytes raw = testing::Repeat(9, len);
  return Key(EVP_PKEY_new_raw_public_key(
      type, nullptr, reinterpret_cast<const unsigned char*>(raw.data()), raw.size()));
}

// One authority with a server and a device, all of them good.
class ForgeryTest : public ::testing::TestWithParam<Forgery> {
 protected:
  static Serial SerialOf(unsigned char fill) {
    Serial serial;
    serial.fill(std::byte{fill});
    return serial;
  }

  // `good` with `change`, signed again by `signer` (the authority, unless said otherwise).
  Bytes Forge(const Bytes& good, const std::function<void(X509*)>& change) const {
    const Key signer(EVP_PKEY_new_raw_private_key(
        EVP_PKEY_ED25519, nullptr,
        reinterpret_cast<const unsigned char*>(ca_key_.seed.view().data()), 32));
    return Forge(good, change, signer.get(), nullptr);
  }
  static Bytes Forge(const Bytes& good, const std::function<void(X509*)>& change, EVP_PKEY* signer,
                     const EVP_MD* digest) {
    const auto* at = reinterpret_cast<const unsigned char*>(good.data());
    const X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(good.size())));
    change(certificate.get());
    EXPECT_GT(X509_sign(certificate.get(), signer, digest), 0);
    unsigned char* der = nullptr;
    const int len = i2d_X509(certificate.get(), &der);
    EXPECT_GT(len, 0);
    Bytes out = ToBytes(std::as_bytes(std::span(der, static_cast<std::size_t>(len))));
    OPENSSL_free(der);
    return out;
  }

  void ExpectRefused(const Bytes& good, CertificateKind kind) const {
    const Bytes forged = Forge(good, GetParam().change);
    EXPECT_ERROR(ParseCertificate(forged), ErrorCode::kInvalidArgument);
    EXPECT_ERROR(VerifyCertificate(forged, ca_, kNow, kind), ErrorCode::kInvalidArgument);
  }

  const Ed25519KeyPair ca_key_ = Ed25519FromSeed(FilledKey(1)).value();
  const PublicKey leaf_key_ = Ed25519FromSeed(FilledKey(2)).value().public_key;
  const Bytes ca_ = IssueAuthority(ca_key_, "trial authority", kYear, SerialOf(1)).value();
  const Bytes server_ = IssueServer(ca_key_, ca_, leaf_key_, {{"coordinator.test"}, {"127.0.0.1"}},
                                    kYear, SerialOf(2))
                            .value();
  const Bytes device_ =
      IssueDevice(ca_key_, ca_, leaf_key_, DeviceNumber(42), kYear, SerialOf(3)).value();
};

// The tools leave a good certificate good: what follows is refused for its change alone.
TEST_F(ForgeryTest, SignedAgainUnchangedTheyAreTheSameBytes) {
  for (const Bytes& good : {ca_, server_, device_}) {
    EXPECT_EQ(Forge(good, [](X509*) {}), good);
  }
  const Bytes renamed = Forge(device_, [](X509* c) { Rename(c, "demur-device-43"); });
  ASSERT_OK_AND_ASSIGN(const Certificate parsed,
                       VerifyCertificate(renamed, ca_, kNow, CertificateKind::kDevice));
  EXPECT_EQ(parsed.device, DeviceNumber(43));
}

class LeafForgeryTest : public ForgeryTest {};
TEST_P(LeafForgeryTest, IsRefused) {
  ExpectRefused(device_, CertificateKind::kDevice);
  ExpectRefused(server_, CertificateKind::kServer);
}
INSTANTIATE_TEST_SUITE_P(
    Each, LeafForgeryTest,
    ::testing::Values(
        Forgery{"version 1", [](X509* c) { X509_set_version(c, X509_VERSION_1); }},
        Forgery{"no basic constraints", [](X509* c) { Remove(c, NID_basic_constraints); }},
        Forgery{"basic constraints that may be ignored",
                [](X509* c) { Replace(c, NID_basic_constraints, "CA:FALSE"); }},
        Forgery{"an authority with the usage of a leaf",
                [](X509* c) { Replace(c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"); }},
        Forgery{"a path length without an authority",
                [](X509* c) { Replace(c, NID_basic_constraints, "critical,CA:FALSE,pathlen:0"); }},
        Forgery{"no key usage", [](X509* c) { Remove(c, NID_key_usage); }},
        Forgery{"a key usage that may be ignored",
                [](X509* c) { Replace(c, NID_key_usage, "digitalSignature"); }},
        Forgery{"a key that also agrees",
                [](X509* c) { Replace(c, NID_key_usage, "critical,digitalSignature,keyAgreement"); }},
        Forgery{"a key that signs certificates",
                [](X509* c) { Replace(c, NID_key_usage, "critical,keyCertSign,cRLSign"); }},
        Forgery{"no extended usage", [](X509* c) { Remove(c, NID_ext_key_usage); }},
        Forgery{"both usages",
                [](X509* c) { Replace(c, NID_ext_key_usage, "clientAuth,serverAuth"); }},
        Forgery{"another usage", [](X509* c) { Replace(c, NID_ext_key_usage, "codeSigning"); }},
        Forgery{"any usage",
                [](X509* c) { Replace(c, NID_ext_key_usage, "anyExtendedKeyUsage"); }},
        Forgery{"no subject key", [](X509* c) { Remove(c, NID_subject_key_identifier); }},
        Forgery{"no authority key", [](X509* c) { Remove(c, NID_authority_key_identifier); }},
        Forgery{"an extension that is not ours",
                [](X509* c) { Insert(c, NID_netscape_comment, "hello", -1); }},
        Forgery{"a limit that is not ours",
                [](X509* c) { Insert(c, NID_name_constraints, "critical,permitted;DNS:a", -1); }},
        Forgery{"an extension twice",
                [](X509* c) { Insert(c, NID_key_usage, "critical,digitalSignature", -1); }},
        Forgery{"two names",
                [](X509* c) {
                  AddName(X509_get_subject_name(c), NID_commonName, MBSTRING_ASC, "another");
                }},
        Forgery{"an organisation",
                [](X509* c) {
                  AddName(X509_get_subject_name(c), NID_organizationName, MBSTRING_ASC, "o");
                }},
        Forgery{"no name",
                [](X509* c) {
                  X509_NAME_ENTRY_free(X509_NAME_delete_entry(X509_get_subject_name(c), 0));
                }},
        Forgery{"a name in two-byte characters",
                [](X509* c) { Rename(c, std::string_view("\0a", 2), V_ASN1_BMPSTRING); }},
        Forgery{"a name with a zero byte",
                [](X509* c) { Rename(c, std::string_view("demur-device-4\0", 15)); }},
        Forgery{"a short serial", [](X509* c) { SetSerial(c, "41"); }},
        Forgery{"a long serial",
                [](X509* c) { SetSerial(c, "4101010101010101010101010101010101"); }},
        Forgery{"a serial without its marked bit",
                [](X509* c) { SetSerial(c, "3f010101010101010101010101010101"); }},
        Forgery{"a negative serial",
                [](X509* c) {
                  ASSERT_EQ(ASN1_INTEGER_set_int64(X509_get_serialNumber(c), -5), 1);
                }},
        Forgery{"an end before its start",
                [](X509* c) { ASN1_TIME_set(X509_getm_notBefore(c), kYear.not_after + 1); }},
        Forgery{"a time in the form of another century",
                [](X509* c) {
                  ASN1_TIME* end = X509_getm_notAfter(c);
                  ASSERT_NE(ASN1_TIME_to_generalizedtime(end, &end), nullptr);
                  X509_set1_notAfter(c, end);
                }},
        Forgery{"a key that only agrees",
                [](X509* c) { X509_set_pubkey(c, RawPublic(EVP_PKEY_X25519, 32).get()); }},
        Forgery{"a key of a larger curve",
                [](X509* c) { X509_set_pubkey(c, RawPublic(EVP_PKEY_ED448, 57).get()); }}));

class DeviceForgeryTest : public ForgeryTest {};
TEST_P(DeviceForgeryTest, IsRefused) { ExpectRefused(device_, CertificateKind::kDevice); }
INSTANTIATE_TEST_SUITE_P(
    Each, DeviceForgeryTest,
    ::testing::Values(
        Forgery{"a host name", [](X509* c) { Insert(c, NID_subject_alt_name, "DNS:a.test", -1); }},
        Forgery{"no number", [](X509* c) { Rename(c, "demur-device-"); }},
        Forgery{"a number beyond 64 bits",
                [](X509* c) { Rename(c, "demur-device-18446744073709551616"); }},
        Forgery{"a number below zero", [](X509* c) { Rename(c, "demur-device--1"); }},
        Forgery{"a padded number", [](X509* c) { Rename(c, "demur-device-042"); }},
        Forgery{"a number in base 16", [](X509* c) { Rename(c, "demur-device-0x2a"); }},
        Forgery{"another prefix", [](X509* c) { Rename(c, "Demur-device-42"); }},
        Forgery{"text behind the number", [](X509* c) { Rename(c, "demur-device-42 "); }}));

class ServerForgeryTest : public ForgeryTest {};
TEST_P(ServerForgeryTest, IsRefused) { ExpectRefused(server_, CertificateKind::kServer); }
INSTANTIATE_TEST_SUITE_P(
    Each, ServerForgeryTest,
    ::testing::Values(
        Forgery{"no host name", [](X509* c) { Remove(c, NID_subject_alt_name); }},
        Forgery{"a mail address",
                [](X509* c) { Replace(c, NID_subject_alt_name, "DNS:a.test,email:a@a.test"); }},
        Forgery{"an address of the web",
                [](X509* c) { Replace(c, NID_subject_alt_name, "URI:https://a.test"); }},
        Forgery{"a wildcard",
                [](X509* c) { Replace(c, NID_subject_alt_name, "DNS:*.coordinator.test"); }},
        Forgery{"capital letters",
                [](X509* c) { Replace(c, NID_subject_alt_name, "DNS:Coordinator.test"); }},
        Forgery{"a host name of 65 characters", [](X509* c) {
                  const std::string name = "DNS:" + std::string(65, 'a');
                  Replace(c, NID_subject_alt_name, name.c_str());
                }}));

class AuthorityForgeryTest : public ForgeryTest {};
TEST_P(AuthorityForgeryTest, IsRefused) {
  ExpectRefused(ca_, CertificateKind::kAuthority);
  const Bytes forged = Forge(ca_, GetParam().change);
  EXPECT_ERROR(VerifyCertificate(device_, forged, kNow, CertificateKind::kDevice),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(IssueDevice(ca_key_, forged, leaf_key_, DeviceNumber(1), kYear, SerialOf(9)),
               ErrorCode::kInvalidArgument);
}
INSTANTIATE_TEST_SUITE_P(
    Each, AuthorityForgeryTest,
    ::testing::Values(
        Forgery{"no path length",
                [](X509* c) { Replace(c, NID_basic_constraints, "critical,CA:TRUE"); }},
        Forgery{"authorities below it",
                [](X509* c) { Replace(c, NID_basic_constraints, "critical,CA:TRUE,pathlen:1"); }},
        Forgery{"constraints that may be ignored",
                [](X509* c) { Replace(c, NID_basic_constraints, "CA:TRUE,pathlen:0"); }},
        Forgery{"a key that signs messages",
                [](X509* c) {
                  Replace(c, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature");
                }},
        Forgery{"a key that signs no lists",
                [](X509* c) { Replace(c, NID_key_usage, "critical,keyCertSign"); }},
        Forgery{"the usage of a server",
                [](X509* c) { Insert(c, NID_ext_key_usage, "serverAuth", -1); }},
        Forgery{"a host name", [](X509* c) { Insert(c, NID_subject_alt_name, "DNS:a.test", -1); }},
        Forgery{"no subject key", [](X509* c) { Remove(c, NID_subject_key_identifier); }},
        Forgery{"an issuer of another name", [](X509* c) {
                  AddName(X509_get_issuer_name(c), NID_organizationName, MBSTRING_ASC, "o");
                }}));

TEST_F(ForgeryTest, ASignatureOfAnotherAlgorithmIsRefused) {
  for (const char* curve : {"P-256", "P-384"}) {
    const Key other(EVP_EC_gen(curve));
    ASSERT_NE(other, nullptr);
    const Bytes signed_by_it = Forge(
        device_, [](X509*) {}, other.get(), EVP_sha256());
    EXPECT_ERROR(ParseCertificate(signed_by_it), ErrorCode::kInvalidArgument) << curve;
    const Bytes about_it = Forge(device_, [&](X509* c) { X509_set_pubkey(c, other.get()); });
    EXPECT_ERROR(ParseCertificate(about_it), ErrorCode::kInvalidArgument) << curve;
  }
}

// The same content in other bytes: whoever compares or hashes certificates would see two.
TEST_F(ForgeryTest, OnlyOneEncodingOfACertificateIsTaken) {
  for (const Bytes& good : {ca_, server_, device_}) {
    ASSERT_EQ(ToHex(ByteView(good).first(2)), "3082");
    Bytes longer_length = good;  // 30 82 hh ll -> 30 83 00 hh ll
    longer_length[1] = std::byte{0x83};
    longer_length.insert(longer_length.begin() + 2, std::byte{0});
    Bytes no_length = good;  // an open end: 30 80 ... 00 00
    no_length[1] = std::byte{0x80};
    no_length.erase(no_length.begin() + 2, no_length.begin() + 4);
    no_length.insert(no_length.end(), 2, std::byte{0});
    for (const Bytes& other : {longer_length, no_length}) {
      EXPECT_ERROR(ParseCertificate(other), ErrorCode::kInvalidArgument) << ToHex(other);
      EXPECT_ERROR(VerifyCertificate(other, ca_, kNow, ParseCertificate(good)->kind),
                   ErrorCode::kInvalidArgument);
    }
  }
}

// --- What may be issued, up to its borders
// ----------------------------------------------------------

TEST_F(ForgeryTest, EveryBorderOfTimeComesBackAsItWasIssued) {
  constexpr std::int64_t kLast = 253402300799;   // 9999-12-31T23:59:59Z
  constexpr std::int64_t k2050 = 2524608000;     // where the form of a time changes
  constexpr std::int64_t kLeapDay = 1709164800;  // 2024-02-29
  const std::vector<Validity> taken = {{0, 0},
                                       {0, kLast},
                                       {kLast, kLast},
                                       {0, k2050 - 1},
                                       {0, k2050},
                                       {k2050, k2050 + 1},
                                       {kLeapDay, kLeapDay + 86399}};
  for (const Validity& validity : taken) {
    ASSERT_OK_AND_ASSIGN(const Bytes der, IssueAuthority(ca_key_, "a", validity, SerialOf(1)));
    ASSERT_OK_AND_ASSIGN(const Certificate parsed, ParseCertificate(der));
    EXPECT_EQ(parsed.validity.not_before, validity.not_before);
    EXPECT_EQ(parsed.validity.not_after, validity.not_after);
    for (const std::int64_t at : {validity.not_before, validity.not_after}) {
      EXPECT_OK(VerifyCertificate(der, der, at, CertificateKind::kAuthority));
    }
    for (const std::int64_t at : {validity.not_before - 1, validity.not_after + 1}) {
      EXPECT_ERROR(VerifyCertificate(der, der, at, CertificateKind::kAuthority),
                   ErrorCode::kPermissionDenied);
    }
  }
  for (const Validity& refused : std::vector<Validity>{{-1, 0},
                                                       {0, kLast + 1},
                                                       {kLast + 1, kLast + 1},
                                                       {1, 0},
                                                       {0, INT64_MAX},
                                                       {INT64_MIN, 0}}) {
    EXPECT_ERROR(IssueAuthority(ca_key_, "a", refused, SerialOf(1)), ErrorCode::kInvalidArgument);
    EXPECT_ERROR(IssueDevice(ca_key_, ca_, leaf_key_, DeviceNumber(1), refused, SerialOf(1)),
                 ErrorCode::kInvalidArgument);
  }
}

TEST_F(ForgeryTest, EveryNameThatMayBeIssuedComesBack) {
  std::string printable;
  for (char c = ' '; c <= '~'; ++c) printable.push_back(c);
  for (const std::string& name : {std::string("a"), std::string(64, 'z'), printable.substr(0, 64),
                                  printable.substr(printable.size() - 64)}) {
    ASSERT_OK_AND_ASSIGN(const Bytes der, IssueAuthority(ca_key_, name, kYear, SerialOf(1)));
    EXPECT_EQ(ParseCertificate(der)->name, name);
    EXPECT_OK(IssueDevice(ca_key_, der, leaf_key_, DeviceNumber(1), kYear, SerialOf(1)));
  }
  const ServerNames names = {{std::string(64, 'a'), "a-1.b.test"},
                             {"255.255.255.255", "0.0.0.0", "::", "2001:db8::ff00:42:8329"}};
  ASSERT_OK_AND_ASSIGN(const Bytes server,
                       IssueServer(ca_key_, ca_, leaf_key_, names, kYear, SerialOf(1)));
  ASSERT_OK_AND_ASSIGN(const Certificate parsed, ParseCertificate(server));
  EXPECT_EQ(parsed.names.dns_names, names.dns_names);
  EXPECT_EQ(parsed.names.ip_addresses, names.ip_addresses);
  // Without a host name the first address is the name.
  ASSERT_OK_AND_ASSIGN(const Bytes bare,
                       IssueServer(ca_key_, ca_, leaf_key_, {{}, {"::1"}}, kYear, SerialOf(1)));
  EXPECT_EQ(ParseCertificate(bare)->name, "::1");
  EXPECT_TRUE(ParseCertificate(bare)->names.dns_names.empty());
}

TEST_F(ForgeryTest, NamesThatMakeItTooLongToReadAreNotIssued) {
  ServerNames names;
  while (true) {
    names.dns_names.push_back(std::string(60, 'a') + std::to_string(names.dns_names.size()));
    const auto issued = IssueServer(ca_key_, ca_, leaf_key_, names, kYear, SerialOf(1));
    if (!issued) {
      EXPECT_ERROR(issued, ErrorCode::kInvalidArgument);
      break;
    }
    ASSERT_LE(issued->size(), kCertificateMaxLen);
    ASSERT_OK(ParseCertificate(*issued));
  }
  EXPECT_GT(names.dns_names.size(), 20U);
}

}  // namespace
}  // namespace demur::crypto
