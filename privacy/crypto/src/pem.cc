#include "pem.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "demur/crypto/certificate.h"
#include "openssl.h"

namespace demur::crypto {
namespace internal {
namespace {

constexpr std::size_t kLineLen = 64;

Error BadPem() { return Error(ErrorCode::kInvalidArgument, "not the PEM text that is expected"); }

std::string Mark(std::string_view verb, std::string_view what) {
  return std::string("-----").append(verb).append(" ").append(what).append("-----");
}

bool IsBase64(std::byte c) {
  const auto value = std::to_integer<unsigned char>(c);
  return std::isalnum(value) != 0 || value == '+' || value == '/';
}

// Standard alphabet, padded, no blanks.
Result<SecretBytes> DecodeBase64(const SecretBytes& text) {
  const ByteView all = text.view();
  if (all.empty() || all.size() % 4 != 0) return BadPem();
  std::size_t padding = 0;
  while (padding < 2 && all[all.size() - 1 - padding] == std::byte{'='}) ++padding;
  const ByteView body = all.first(all.size() - padding);
  if (!std::all_of(body.begin(), body.end(), IsBase64)) return BadPem();
  SecretBytes out(all.size() / 4 * 3);
  const int len =
      EVP_DecodeBlock(Out(out.mutable_view().data()), In(all.data()), static_cast<int>(all.size()));
  if (len < 0 || static_cast<std::size_t>(len) != out.size()) return BadPem();
  return SecretBytes::CopyOf(out.view().first(out.size() - padding));
}

}  // namespace

SecretBytes EncodePem(std::string_view what, ByteView der) {
  // EVP_EncodeBlock ends its text with a NUL.
  SecretBytes base64((der.size() + 2) / 3 * 4 + 1);
  EVP_EncodeBlock(Out(base64.mutable_view().data()), In(der.data()), static_cast<int>(der.size()));
  const std::size_t len = base64.size() - 1;
  const std::string begin = Mark("BEGIN", what) + "\n";
  const std::string end = Mark("END", what) + "\n";
  const std::size_t lines = (len + kLineLen - 1) / kLineLen;
  SecretBytes out(begin.size() + len + lines + end.size());
  auto to = std::copy_n(AsBytes(begin).begin(), begin.size(), out.mutable_view().begin());
  for (std::size_t at = 0; at < len; at += kLineLen) {
    const ByteView line = base64.view().subspan(at, std::min(kLineLen, len - at));
    to = std::copy(line.begin(), line.end(), to);
    *to++ = std::byte{'\n'};
  }
  std::copy_n(AsBytes(end).begin(), end.size(), to);
  return out;
}

Result<SecretBytes> DecodePem(std::string_view what, std::string_view pem) {
  if (pem.size() > kPemMaxLen) return BadPem();
  const std::string begin = Mark("BEGIN", what);
  const std::size_t start = pem.find(begin);
  if (start == std::string_view::npos) return BadPem();
  const std::string_view rest = pem.substr(start + begin.size());
  const std::size_t stop = rest.find(Mark("END", what));
  if (stop == std::string_view::npos || rest.find(begin) != std::string_view::npos) return BadPem();
  const std::string_view lines = rest.substr(0, stop);
  const auto is_break = [](char c) { return c == '\n' || c == '\r'; };
  SecretBytes text(lines.size() -
                   static_cast<std::size_t>(std::count_if(lines.begin(), lines.end(), is_break)));
  std::size_t used = 0;
  for (const char c : lines) {
    if (!is_break(c)) text.mutable_view()[used++] = std::byte{static_cast<unsigned char>(c)};
  }
  return DecodeBase64(text);
}

}  // namespace internal

std::string ToPem(std::string_view what, ByteView der) {
  const SecretBytes pem = internal::EncodePem(what, der);
  return std::string(AsText(pem.view()));
}

Result<Bytes> FromPem(std::string_view what, std::string_view pem) {
  DEMUR_TRY(const SecretBytes der, internal::DecodePem(what, pem));
  return ToBytes(der.view());
}

}  // namespace demur::crypto
