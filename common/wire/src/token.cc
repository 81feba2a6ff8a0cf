#include "demur/wire/token.h"

#include <algorithm>
#include <utility>

namespace demur::wire {
namespace {

constexpr std::string_view kPrefix = "demur1-";
constexpr std::size_t kCrcLen = 4;
constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::size_t kMaxEndpointLen = kMaxHostLen + 8;  // brackets, colon, five digits

Error Bad(const char* why) {
  return Error(ErrorCode::kInvalidArgument, std::string("enrolment token: ") + why);
}

// CRC-32 as in IEEE 802.3, bit by bit: a token is short.
std::uint32_t Crc32(ByteView bytes) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320U & (0U - (crc & 1U)));
  }
  return ~crc;
}

// Hexadecimal without a copy in a std::string, which nobody wipes.
std::byte HexDigit(unsigned value) {
  return std::byte{static_cast<unsigned char>(value < 10 ? '0' + value : 'a' + (value - 10))};
}
int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

Result<SecretBytes> DecodeHex(std::string_view text) {
  if (text.size() % 2 != 0) return Bad("cut short");
  SecretBytes out(text.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = HexValue(text[2 * i]);
    const int low = HexValue(text[2 * i + 1]);
    if (high < 0 || low < 0) return Bad("a character that does not belong there");
    out.mutable_view()[i] = std::byte{static_cast<unsigned char>(16 * high + low)};
  }
  return out;
}

Result<Endpoint> ReadEndpoint(ByteReader& reader) {
  DEMUR_TRY(const ByteView text, reader.Sized(kMaxEndpointLen));
  DEMUR_TRY(Endpoint endpoint, ParseEndpoint(AsText(text)));
  // One spelling only, and somewhere that can be connected to.
  if (endpoint.port == 0 || Format(endpoint) != AsText(text)) return Bad("bad address");
  return endpoint;
}

// A host name is what stands before the colon of an endpoint.
bool IsHostName(const std::string& name) {
  const auto endpoint = ParseEndpoint(name + ":1");
  return endpoint.has_value() && endpoint->host == name;
}

template <std::size_t N>
Status ReadArray(ByteReader& reader, std::span<std::byte, N> out) {
  DEMUR_TRY(const ByteView bytes, reader.Raw(N));
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return {};
}

Result<Token> ReadPayload(ByteView payload) {
  ByteReader reader(payload);
  Token token;
  DEMUR_TRY(token.authority, ReadEndpoint(reader));
  DEMUR_RETURN_IF_ERROR(ReadArray<32>(reader, token.authority_sha256));
  DEMUR_TRY(const std::uint64_t expires, reader.U64());
  if (expires > std::uint64_t{1} << 40) return Bad("bad expiry");
  token.expires = static_cast<std::int64_t>(expires);
  DEMUR_TRY(token.coordinator, ReadEndpoint(reader));
  DEMUR_TRY(const ByteView name, reader.Sized(kMaxHostLen));
  token.coordinator_name = AsText(name);
  if (!IsHostName(token.coordinator_name)) return Bad("bad coordinator name");
  DEMUR_RETURN_IF_ERROR(ReadArray<32>(reader, token.plan_key));
  DEMUR_RETURN_IF_ERROR(ReadArray<kEnrolSecretLen>(reader, token.secret.mutable_view()));
  DEMUR_RETURN_IF_ERROR(reader.Finish());
  return token;
}

}  // namespace

Token Token::Clone() const {
  return {authority,   authority_sha256, secret.Clone(), expires,
          coordinator, coordinator_name, plan_key};
}

Result<SecretBytes> FormatToken(const Token& token) {
  ByteWriter open;  // everything but the secret, which comes last
  open.Sized(AsBytes(Format(token.authority))).Raw(token.authority_sha256);
  open.U64(static_cast<std::uint64_t>(token.expires));
  open.Sized(AsBytes(Format(token.coordinator))).Sized(AsBytes(token.coordinator_name));
  open.Raw(token.plan_key);
  SecretBytes payload(open.bytes().size() + kEnrolSecretLen + kCrcLen);
  const auto out = payload.mutable_view();
  auto to = std::copy(open.bytes().begin(), open.bytes().end(), out.begin());
  to = std::copy(token.secret.view().begin(), token.secret.view().end(), to);
  const std::uint32_t crc = Crc32(payload.view().first(payload.size() - kCrcLen));
  const Bytes crc_bytes = ByteWriter().U32(crc).bytes();
  std::copy(crc_bytes.begin(), crc_bytes.end(), to);
  // What goes out can be read back: bad fields are found here, at the authority.
  DEMUR_RETURN_IF_ERROR([&]() -> Status {
    DEMUR_TRY(const Token back, ReadPayload(payload.view().first(payload.size() - kCrcLen)));
    return {};
  }());

  SecretBytes text(kPrefix.size() + 2 * payload.size());
  auto at = std::copy_n(AsBytes(kPrefix).begin(), kPrefix.size(), text.mutable_view().begin());
  for (const std::byte byte : payload.view()) {
    const auto value = std::to_integer<unsigned>(byte);
    *at++ = HexDigit(value >> 4);
    *at++ = HexDigit(value & 15U);
  }
  return text;
}

Result<Token> ParseToken(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return Bad("empty");
  text = text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
  if (text.size() > kMaxTokenLen) return Bad("too long");
  if (!text.starts_with(kPrefix)) return Bad("does not start with demur1-");
  DEMUR_TRY(const SecretBytes bytes, DecodeHex(text.substr(kPrefix.size())));
  if (bytes.size() < kCrcLen) return Bad("cut short");
  const ByteView payload = bytes.view().first(bytes.size() - kCrcLen);
  ByteReader tail(bytes.view().last(kCrcLen));
  DEMUR_TRY(const std::uint32_t crc, tail.U32());
  if (crc != Crc32(payload)) return Bad("wrong checksum: was it copied whole?");
  auto token = ReadPayload(payload);
  if (!token) return Bad("not well formed");
  return token;
}

}  // namespace demur::wire
