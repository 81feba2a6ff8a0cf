#include "demur/base/bytes.h"

namespace demur {
namespace {

int HexDigit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string ToHex(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    out.push_back(kDigits[std::to_integer<unsigned>(b) >> 4]);
    out.push_back(kDigits[std::to_integer<unsigned>(b) & 15U]);
  }
  return out;
}

Result<Bytes> FromHex(std::string_view text) {
  if (text.size() % 2 != 0) return Error(ErrorCode::kInvalidArgument, "hex text of odd length");
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = HexDigit(text[i]);
    const int low = HexDigit(text[i + 1]);
    if (high < 0 || low < 0) return Error(ErrorCode::kInvalidArgument, "not a hex digit");
    out.push_back(std::byte(high * 16 + low));
  }
  return out;
}

Result<std::uint64_t> ByteReader::Integer(std::size_t width) {
  if (rest_.size() < width) return Error(ErrorCode::kDataLoss, "cut off in an integer");
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) {
    value = value << 8 | std::to_integer<std::uint64_t>(rest_[i]);
  }
  rest_ = rest_.subspan(width);
  return value;
}

Result<std::uint8_t> ByteReader::U8() {
  DEMUR_TRY(const std::uint64_t v, Integer(1));
  return static_cast<std::uint8_t>(v);
}
Result<std::uint16_t> ByteReader::U16() {
  DEMUR_TRY(const std::uint64_t v, Integer(2));
  return static_cast<std::uint16_t>(v);
}
Result<std::uint32_t> ByteReader::U32() {
  DEMUR_TRY(const std::uint64_t v, Integer(4));
  return static_cast<std::uint32_t>(v);
}
Result<std::uint64_t> ByteReader::U64() { return Integer(8); }

Result<ByteView> ByteReader::Raw(std::size_t len) {
  if (rest_.size() < len) return Error(ErrorCode::kDataLoss, "cut off in a field");
  const ByteView out = rest_.first(len);
  rest_ = rest_.subspan(len);
  return out;
}

Result<ByteView> ByteReader::Sized(std::size_t max_len) {
  const ByteView before = rest_;
  DEMUR_TRY(const std::uint64_t len, Integer(4));
  if (len > max_len || len > rest_.size()) {
    rest_ = before;
    return Error(ErrorCode::kDataLoss, "field longer than allowed");
  }
  return Raw(static_cast<std::size_t>(len));
}

Status ByteReader::Finish() const {
  if (!rest_.empty()) return Error(ErrorCode::kDataLoss, "bytes after the end");
  return {};
}

}  // namespace demur
