#include "demur/crypto/operator_files.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "demur/base/json.h"
#include "demur/crypto/labels.h"

namespace demur::crypto {
namespace {

constexpr std::size_t kMaxDnsNameLen = 64;

Error Bad(const char* why) { return Error(ErrorCode::kInvalidArgument, why); }
Error BadSignature() { return Error(ErrorCode::kPermissionDenied, "signature does not fit"); }

// What is signed: purpose, a zero byte, the body. No label holds a zero byte, so no two differ only
// in where one ends.
Bytes SigningInput(std::string_view purpose, ByteView body) {
  return ByteWriter().Text(purpose).U8(0).Raw(body).bytes();
}

// An object with exactly these keys.
Status HasOnlyKeys(const Json& json, std::initializer_list<std::string_view> keys) {
  if (json.object() == nullptr) return Bad("not a JSON object");
  if (json.object()->size() != keys.size()) return Bad("fields missing or unknown");
  for (const std::string_view key : keys) {
    if (json.Find(key) == nullptr) return Bad("fields missing or unknown");
  }
  return {};
}

Result<std::string> TextField(const Json& json, std::string_view key) {
  const std::string* text = json.Find(key)->text();
  if (text == nullptr) return Bad("a field that is not text");
  return *text;
}
Result<Bytes> HexField(const Json& json, std::string_view key) {
  DEMUR_TRY(const std::string text, TextField(json, key));
  return FromHex(text);
}
template <std::size_t N>
Result<std::array<std::byte, N>> HexArrayField(const Json& json, std::string_view key) {
  DEMUR_TRY(const std::string text, TextField(json, key));
  return FromHexExactly<N>(text);
}

Result<Json> ParseObject(std::string_view text, std::initializer_list<std::string_view> keys) {
  if (text.size() > kOperatorFileMaxLen) return Bad("file too long");
  DEMUR_TRY(Json json, Json::Parse(text));
  DEMUR_RETURN_IF_ERROR(HasOnlyKeys(json, keys));
  return json;
}

bool IsDnsName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxDnsNameLen &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") == std::string_view::npos;
}

Result<CertifyRequest> ReadCertifyBody(ByteView body) {
  DEMUR_TRY(const Json json, ParseObject(AsText(body), {"version", "name", "tls_key", "plan_key"}));
  DEMUR_TRY(const std::int64_t version, json.Find("version")->Integer());
  if (version != 1) return Bad("another version of the request");
  CertifyRequest request;
  DEMUR_TRY(request.name, TextField(json, "name"));
  DEMUR_TRY(request.tls_key, HexArrayField<32>(json, "tls_key"));
  DEMUR_TRY(request.plan_key, HexArrayField<32>(json, "plan_key"));
  if (!IsDnsName(request.name)) return Bad("the name is not a lower-case host name");
  // A key that signs plans never also speaks TLS: a stolen server would otherwise make plans.
  if (request.tls_key == request.plan_key) return Bad("one key for two purposes");
  return request;
}

bool IsAscending(const std::vector<DeviceNumber>& devices) {
  return std::adjacent_find(devices.begin(), devices.end(),
                            [](DeviceNumber a, DeviceNumber b) { return a >= b; }) == devices.end();
}

// Not negative. JSON integers beyond 2^63 - 1 are refused by Integer().
Result<std::uint64_t> Count(const Json& json) {
  DEMUR_TRY(const std::int64_t value, json.Integer());
  if (value < 0) return Bad("a negative number");
  return static_cast<std::uint64_t>(value);
}

Result<RevocationList> ReadRevocationBody(ByteView body) {
  DEMUR_TRY(const Json json,
            ParseObject(AsText(body), {"version", "sequence", "issued", "devices"}));
  DEMUR_TRY(const std::int64_t version, json.Find("version")->Integer());
  if (version != 1) return Bad("another version of the list");
  RevocationList list;
  DEMUR_TRY(list.sequence, Count(*json.Find("sequence")));
  DEMUR_TRY(list.issued, json.Find("issued")->Integer());
  const Json::Array* devices = json.Find("devices")->array();
  if (devices == nullptr) return Bad("devices are not a list");
  list.devices.reserve(devices->size());
  for (const Json& device : *devices) {
    DEMUR_TRY(const std::uint64_t number, Count(device));
    list.devices.emplace_back(number);
  }
  if (!IsAscending(list.devices)) return Bad("devices out of order");
  return list;
}

}  // namespace

Result<std::string> MakeCertifyRequest(std::string_view name, const Ed25519KeyPair& tls_key,
                                       const Ed25519KeyPair& plan_key) {
  Json body;
  body.Set("version", 1).Set("name", name);
  body.Set("tls_key", ToHex(tls_key.public_key)).Set("plan_key", ToHex(plan_key.public_key));
  const std::string text = body.Dump();
  DEMUR_RETURN_IF_ERROR([&]() -> Status {
    DEMUR_TRY(const CertifyRequest back, ReadCertifyBody(AsBytes(text)));
    return {};
  }());
  const Bytes input = SigningInput(label::kCertifyRequest, AsBytes(text));
  DEMUR_TRY(const Signature tls_signature, Sign(tls_key, input));
  DEMUR_TRY(const Signature plan_signature, Sign(plan_key, input));
  Json file;
  file.Set("body", ToHex(AsBytes(text)));
  file.Set("tls_signature", ToHex(tls_signature)).Set("plan_signature", ToHex(plan_signature));
  return file.Dump(2) + "\n";
}

// The keys that signed stand in the body, so here alone the body is read first; it is small.
Result<CertifyRequest> ParseCertifyRequest(std::string_view text) {
  DEMUR_TRY(const Json file, ParseObject(text, {"body", "tls_signature", "plan_signature"}));
  DEMUR_TRY(const Bytes body, HexField(file, "body"));
  DEMUR_TRY(const Signature tls_signature, HexArrayField<64>(file, "tls_signature"));
  DEMUR_TRY(const Signature plan_signature, HexArrayField<64>(file, "plan_signature"));
  DEMUR_TRY(const CertifyRequest request, ReadCertifyBody(body));
  const Bytes input = SigningInput(label::kCertifyRequest, body);
  if (!Verify(request.tls_key, input, tls_signature)) return BadSignature();
  if (!Verify(request.plan_key, input, plan_signature)) return BadSignature();
  return request;
}

bool RevocationList::Contains(DeviceNumber device) const {
  return std::binary_search(devices.begin(), devices.end(), device);
}

Result<std::string> SignRevocationList(const Ed25519KeyPair& authority_key,
                                       const RevocationList& list) {
  Json devices = Json::Array{};
  for (const DeviceNumber device : list.devices) devices.Append(device.value);
  Json body;
  body.Set("version", 1).Set("sequence", list.sequence).Set("issued", list.issued);
  body.Set("devices", std::move(devices));
  const std::string text = body.Dump();
  // What is signed can be read: a list that every coordinator refuses would revoke nobody.
  DEMUR_RETURN_IF_ERROR([&]() -> Status {
    DEMUR_TRY(const RevocationList back, ReadRevocationBody(AsBytes(text)));
    return {};
  }());
  DEMUR_TRY(const Signature signature,
            Sign(authority_key, SigningInput(label::kRevocationList, AsBytes(text))));
  Json file;
  file.Set("body", ToHex(AsBytes(text))).Set("signature", ToHex(signature));
  return file.Dump(2) + "\n";
}

Result<RevocationList> ParseRevocationList(std::string_view text, const PublicKey& authority_key) {
  DEMUR_TRY(const Json file, ParseObject(text, {"body", "signature"}));
  DEMUR_TRY(const Bytes body, HexField(file, "body"));
  DEMUR_TRY(const Signature signature, HexArrayField<64>(file, "signature"));
  if (!Verify(authority_key, SigningInput(label::kRevocationList, body), signature)) {
    return BadSignature();
  }
  return ReadRevocationBody(body);
}

}  // namespace demur::crypto
