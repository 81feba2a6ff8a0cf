#include <cstddef>
#include <cstdint>
#include <string_view>

#include "../support/certificate_reference.h"
#include "demur/crypto/certificate.h"

using demur::ByteView;
using demur::crypto::CertificateKind;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView der = std::as_bytes(std::span(data, size));
  const auto parsed = demur::crypto::ParseCertificate(der);
  const auto reference = demur::crypto::testing::ReferenceParse(der);
  if (parsed.has_value() != reference.has_value()) __builtin_trap();
  if (parsed) {
    if (!demur::crypto::testing::SameCertificate(*parsed, *reference)) __builtin_trap();
    const bool server = parsed->kind == CertificateKind::kServer;
    const bool named = !parsed->names.dns_names.empty() || !parsed->names.ip_addresses.empty();
    if (server != named || parsed->name.empty()) __builtin_trap();
    if (parsed->validity.not_before > parsed->validity.not_after) __builtin_trap();
    // A leaf is never its own authority.
    const auto verified = demur::crypto::VerifyCertificate(der, der, 0, parsed->kind);
    if (verified && parsed->kind != CertificateKind::kAuthority) __builtin_trap();
  }
  const auto from_pem = demur::crypto::FromPem(demur::crypto::kPemCertificate, demur::AsText(der));
  if (from_pem && from_pem->empty()) __builtin_trap();
  return 0;
}
