#include <cstddef>
#include <cstdint>
#include <string_view>

#include "demur/crypto/certificate.h"

using demur::ByteView;
using demur::crypto::CertificateKind;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView der = std::as_bytes(std::span(data, size));
  if (const auto parsed = demur::crypto::ParseCertificate(der)) {
    const bool server = parsed->kind == CertificateKind::kServer;
    const bool named = !parsed->names.dns_names.empty() || !parsed->names.ip_addresses.empty();
    if (server != named || parsed->name.empty()) __builtin_trap();
    if (parsed->validity.not_before > parsed->validity.not_after) __builtin_trap();
    // One encoding: no other length of the outermost element is taken.
    const unsigned length_of_length = der.size() > 258 ? 0x82 : 0x81;
    if (der.size() >= 131 && std::to_integer<unsigned>(der[1]) != length_of_length) {
      __builtin_trap();
    }
    // A leaf is never its own authority.
    const auto verified = demur::crypto::VerifyCertificate(der, der, 0, parsed->kind);
    if (verified && parsed->kind != CertificateKind::kAuthority) __builtin_trap();
  }
  const auto from_pem = demur::crypto::FromPem(demur::crypto::kPemCertificate, demur::AsText(der));
  if (from_pem && from_pem->empty()) __builtin_trap();
  return 0;
}
