#include "demur/crypto/certificate.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

#include "demur/base/file.h"
#include "der.h"
#include "pem.h"

// Reading and checking certificates. Making them is in certificate_issue.cc. They are read field by
// field in the one form in which they are made, not with OpenSSL's X.509: that takes other forms
// too, and decodes the key, the names and every extension a second time to find out.
namespace demur::crypto {
namespace {

using internal::DerReader;

constexpr std::string_view kDevicePrefix = "demur-device-";

Error Bad() { return Error(ErrorCode::kInvalidArgument, "not a certificate that demur uses"); }
Error Refused() { return Error(ErrorCode::kPermissionDenied, "certificate refused"); }

template <class... Byte>
constexpr std::array<std::byte, sizeof...(Byte)> Der(Byte... bytes) {
  return {std::byte(bytes)...};
}

constexpr auto kVersion3 = Der(0xa0, 0x03, 0x02, 0x01, 0x02);
// The algorithm without parameters, both of the signature and of the key.
constexpr auto kEd25519 = Der(0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70);
constexpr auto kAllBitsUsed = Der(0x00);  // in front of the content of a bit string
constexpr unsigned kBitString = 0x03;
constexpr unsigned kExtensions = 0xa3;  // [3]
constexpr auto kCommonName = Der(0x06, 0x03, 0x55, 0x04, 0x03);
constexpr auto kOfExtension = Der(0x06, 0x03, 0x55, 0x1d);  // 2.5.29, the last number follows
constexpr auto kCritical = Der(0x01, 0x01, 0xff);

constexpr auto kSubjectKeyId = Der(14);
constexpr auto kKeyUsage = Der(15);
constexpr auto kAlternativeNames = Der(17);
constexpr auto kBasicConstraints = Der(19);
constexpr auto kAuthorityKeyId = Der(35);
constexpr auto kExtendedKeyUsage = Der(37);

// What the extensions say of each kind.
constexpr auto kIsAuthority = Der(0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01);  // path length behind
constexpr auto kNoneBelow = Der(0x00);  // one level: an authority makes no authorities
constexpr auto kIsLeaf = Der(0x30, 0x00);
constexpr auto kSignsCertificates = Der(0x03, 0x02, 0x01, 0x06);  // and revocation lists
constexpr auto kSignsMessages = Der(0x03, 0x02, 0x07, 0x80);
constexpr auto kServesOnly =
    Der(0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01);
constexpr auto kAsksOnly =
    Der(0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02);
constexpr auto kSubjectKeyIdHead = Der(0x04, 0x14);
constexpr auto kAuthorityKeyIdHead = Der(0x30, 0x16, 0x80, 0x14);
constexpr std::size_t kKeyIdLen = 20;
constexpr unsigned kDnsName = 0x82;    // [2]
constexpr unsigned kIpAddress = 0x87;  // [7]

// A certificate taken apart. The views point into it.
struct Parts {
  Certificate says;
  ByteView signed_part;
  Signature signature{};
  ByteView issuer;  // names as they stand there
  ByteView subject;
};

template <std::size_t N>
bool CopyExactly(const std::optional<ByteView>& from, std::array<std::byte, N>* to) {
  if (!from || from->size() != N) return false;
  std::copy(from->begin(), from->end(), to->begin());
  return true;
}

// A name with a single CN and nothing else; `whole` is as it stands there.
std::optional<std::string> TakeName(DerReader* in, ByteView* whole) {
  const auto name = in->TakeWhole(internal::kDerSequence);
  if (!name) return std::nullopt;
  DerReader sets(name->content);
  const auto set = sets.Take(internal::kDerSet);
  if (!set || !sets.empty()) return std::nullopt;
  DerReader entries(*set);
  const auto entry = entries.Take(internal::kDerSequence);
  if (!entry || !entries.empty()) return std::nullopt;
  DerReader fields(*entry);
  if (!fields.Skip(kCommonName)) return std::nullopt;
  const unsigned type = fields.next_tag();
  if (type != internal::kDerUtf8 && type != internal::kDerPrintable) return std::nullopt;
  const auto text = fields.Take(type);
  if (!text || !fields.empty()) return std::nullopt;
  const std::string_view out = AsText(*text);
  const bool fine =
      !out.empty() && out.size() <= kNameMaxLen &&
      std::all_of(out.begin(), out.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!fine) return std::nullopt;
  *whole = name->whole;
  return std::string(out);
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

bool AppendName(DerReader* in, ServerNames* out) {
  if (in->next_tag() == kDnsName) {
    const auto dns = in->Take(kDnsName);
    if (!dns) return false;
    const std::string_view text = AsText(*dns);
    const bool fine =
        !text.empty() && text.size() <= kNameMaxLen &&
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") == std::string::npos;
    if (fine) out->dns_names.emplace_back(text);
    return fine;
  }
  const auto address = in->Take(kIpAddress);
  if (!address || (address->size() != 4 && address->size() != 16)) return false;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (inet_ntop(address->size() == 4 ? AF_INET : AF_INET6, address->data(), text.data(),
                text.size()) == nullptr) {
    return false;
  }
  out->ip_addresses.emplace_back(text.data());
  return true;
}

bool ReadServerNames(const std::optional<ByteView>& extension, ServerNames* out) {
  if (!extension) return false;
  DerReader outer(*extension);
  const auto list = outer.Take(internal::kDerSequence);
  if (!list || list->empty() || !outer.empty()) return false;
  DerReader names(*list);
  while (!names.empty()) {
    if (!AppendName(&names, out)) return false;
  }
  return true;
}

// Two digits of `text` from `at` on, or -1.
int TwoDigits(std::string_view text, std::size_t at) {
  const auto digit = [text](std::size_t i) { return text[i] >= '0' && text[i] <= '9'; };
  return digit(at) && digit(at + 1) ? (text[at] - '0') * 10 + (text[at + 1] - '0') : -1;
}

// A time in the form that DER prescribes for it: YYMMDDhhmmssZ up to 2049, then YYYYMMDDhhmmssZ.
std::optional<std::int64_t> TakeTime(DerReader* in) {
  constexpr std::size_t kLongLen = 15;
  constexpr int kFirstYear = 1970;
  constexpr int kFirstLongYear = 2050;
  const bool is_long = in->next_tag() == internal::kDerGeneralizedTime;
  const auto content = in->Take(is_long ? internal::kDerGeneralizedTime : internal::kDerUtcTime);
  if (!content || content->empty()) return std::nullopt;
  std::string text(AsText(*content));
  if (!is_long) text.insert(0, text[0] < '5' ? "20" : "19");
  if (text.size() != kLongLen || text.back() != 'Z') return std::nullopt;
  std::array<int, kLongLen / 2> pairs{};  // century, year, month, day, hour, minute, second
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    pairs[i] = TwoDigits(text, 2 * i);
    if (pairs[i] < 0) return std::nullopt;
  }
  const int year = pairs[0] * 100 + pairs[1];
  const std::chrono::year_month_day day(std::chrono::year(year),
                                        std::chrono::month(static_cast<unsigned>(pairs[2])),
                                        std::chrono::day(static_cast<unsigned>(pairs[3])));
  if (!day.ok() || pairs[4] > 23 || pairs[5] > 59 || pairs[6] > 59 ||
      year < (is_long ? kFirstLongYear : kFirstYear)) {
    return std::nullopt;
  }
  const std::chrono::sys_seconds time = std::chrono::sys_days(day) + std::chrono::hours(pairs[4]) +
                                        std::chrono::minutes(pairs[5]) +
                                        std::chrono::seconds(pairs[6]);
  return time.time_since_epoch().count();
}

bool TakeValidity(DerReader* in, Validity* out) {
  const auto content = in->Take(internal::kDerSequence);
  if (!content) return false;
  DerReader times(*content);
  const auto not_before = TakeTime(&times);
  const auto not_after = TakeTime(&times);
  if (!not_before || !not_after || !times.empty() || *not_before > *not_after) return false;
  *out = {*not_before, *not_after};
  return true;
}

bool TakeSerial(DerReader* in, Serial* out) {
  return CopyExactly(in->Take(internal::kDerInteger), out) &&
         (out->front() & std::byte{0xc0}) == std::byte{0x40};  // as every serial is made
}

// The algorithm, then a bit string of N bytes: a key, or the signature.
template <std::size_t N>
bool TakeBits(DerReader* in, std::array<std::byte, N>* out) {
  if (!in->Skip(kEd25519)) return false;
  const auto content = in->Take(kBitString);
  if (!content) return false;
  DerReader bits(*content);
  return bits.Skip(kAllBitsUsed) && CopyExactly(bits.TakeBytes(N), out) && bits.empty();
}

bool TakePublicKey(DerReader* in, PublicKey* out) {
  const auto content = in->Take(internal::kDerSequence);
  if (!content) return false;
  DerReader fields(*content);
  return TakeBits(&fields, out) && fields.empty();
}

// What the next extension says, if it is this one.
std::optional<ByteView> TakeExtension(DerReader* in, ByteView id, bool critical) {
  const auto content = in->Take(internal::kDerSequence);
  if (!content) return std::nullopt;
  DerReader fields(*content);
  if (!fields.Skip(kOfExtension) || !fields.Skip(id)) return std::nullopt;
  if (critical && !fields.Skip(kCritical)) return std::nullopt;
  const auto says = fields.Take(internal::kDerOctets);
  return fields.empty() ? says : std::nullopt;
}

bool Is(const std::optional<ByteView>& says, ByteView expected) {
  return says && AsText(*says) == AsText(expected);
}

bool IsAuthorityOfLeaves(const std::optional<ByteView>& says) {
  if (!says) return false;
  DerReader in(*says);
  return in.Skip(kIsAuthority) && in.Skip(kNoneBelow) && in.empty();
}

bool IsKeyId(const std::optional<ByteView>& says, ByteView head) {
  if (!says) return false;
  DerReader in(*says);
  return in.Skip(head) && in.TakeBytes(kKeyIdLen) && in.empty();
}

// Exactly the extensions that certificate_issue.cc gives one kind, in its order. What we do not
// understand might limit what the certificate is good for, so it is refused even when it is not
// critical; what is missing or may be ignored is not the limit that others read there.
bool ReadExtensions(ByteView list, Certificate* out) {
  DerReader in(list);
  const auto constraints = TakeExtension(&in, kBasicConstraints, true);
  const auto usage = TakeExtension(&in, kKeyUsage, true);
  const bool authority = IsAuthorityOfLeaves(constraints) && Is(usage, kSignsCertificates);
  if (!authority) {
    if (!Is(constraints, kIsLeaf) || !Is(usage, kSignsMessages)) return false;
    const auto purpose = TakeExtension(&in, kExtendedKeyUsage, false);
    if (!Is(purpose, kServesOnly) && !Is(purpose, kAsksOnly)) return false;
    out->kind = Is(purpose, kServesOnly) ? CertificateKind::kServer : CertificateKind::kDevice;
  } else {
    out->kind = CertificateKind::kAuthority;
  }
  if (!IsKeyId(TakeExtension(&in, kSubjectKeyId, false), kSubjectKeyIdHead)) return false;
  if (!authority && !IsKeyId(TakeExtension(&in, kAuthorityKeyId, false), kAuthorityKeyIdHead)) {
    return false;
  }
  if (out->kind == CertificateKind::kServer &&
      !ReadServerNames(TakeExtension(&in, kAlternativeNames, false), &out->names)) {
    return false;
  }
  return in.empty();
}

// What is signed.
bool ReadSignedPart(ByteView content, Parts* out) {
  DerReader in(content);
  Certificate& says = out->says;
  if (!in.Skip(kVersion3) || !TakeSerial(&in, &says.serial) || !in.Skip(kEd25519)) return false;
  const auto issuer = TakeName(&in, &out->issuer);
  if (!issuer || !TakeValidity(&in, &says.validity)) return false;
  auto subject = TakeName(&in, &out->subject);
  if (!subject || !TakePublicKey(&in, &says.public_key)) return false;
  says.name = std::move(*subject);
  const auto tagged = in.Take(kExtensions);
  if (!tagged || !in.empty()) return false;
  DerReader extensions(*tagged);
  const auto list = extensions.Take(internal::kDerSequence);
  return list && extensions.empty() && ReadExtensions(*list, &says);
}

std::optional<Parts> TakeApart(ByteView der) {
  if (der.size() > kCertificateMaxLen) return std::nullopt;
  DerReader outer(der);
  const auto whole = outer.Take(internal::kDerSequence);
  if (!whole || !outer.empty()) return std::nullopt;
  Parts out;
  DerReader in(*whole);
  const auto signed_part = in.TakeWhole(internal::kDerSequence);
  if (!signed_part || !TakeBits(&in, &out.signature) || !in.empty() ||
      !ReadSignedPart(signed_part->content, &out)) {
    return std::nullopt;
  }
  out.signed_part = signed_part->whole;
  if (out.says.kind == CertificateKind::kAuthority && !Is(out.subject, out.issuer)) {
    return std::nullopt;
  }
  if (out.says.kind == CertificateKind::kDevice) {
    const auto device = DeviceOf(out.says.name);
    if (!device) return std::nullopt;
    out.says.device = *device;
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
  auto parts = TakeApart(der);
  if (!parts) return Bad();
  return std::move(parts->says);
}

struct CertificateVerifier::Issuer {
  Bytes der;
  Parts parts;  // of `der`
};

Result<CertificateVerifier> CertificateVerifier::Create(ByteView authority_der) {
  auto issuer = std::make_shared<Issuer>();
  issuer->der = ToBytes(authority_der);
  auto parts = TakeApart(issuer->der);
  if (!parts) return Bad();
  issuer->parts = std::move(*parts);
  if (issuer->parts.says.kind != CertificateKind::kAuthority) return Bad();
  return CertificateVerifier(std::move(issuer));
}

Result<Certificate> CertificateVerifier::Verify(ByteView der, std::int64_t now,
                                                CertificateKind kind) const {
  const Parts& issuer = issuer_->parts;
  auto parts = TakeApart(der);
  if (!parts) return Bad();
  if (parts->says.kind != kind) return Bad();
  if (!IsValidAt(parts->says.validity, now)) return Refused();
  if (!IsValidAt(issuer.says.validity, now)) return Refused();
  if (!Is(parts->issuer, issuer.subject)) return Refused();
  if (!crypto::Verify(issuer.says.public_key, parts->signed_part, parts->signature)) {
    return Refused();
  }
  // One level only: an authority that another one signed is not the one that is pinned.
  if (kind == CertificateKind::kAuthority && !Is(der, issuer_->der)) return Refused();
  return std::move(parts->says);
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
