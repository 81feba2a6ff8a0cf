#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "demur/crypto/certificate.h"
#include "demur/crypto/keys.h"
#include "demur/net/tls_context.h"
#include "fake_clock.h"

namespace demur::testing {

// A throw-away authority whose keys are a function of `seed`: test secrets only. Certificates are
// valid from an hour before FakeClock::kStart to a day after it. Link common/net and
// privacy/crypto.
class TestPki {
 public:
  static constexpr std::string_view kServerName = "coordinator.test";

  explicit TestPki(std::uint8_t seed = 1) : seed_(seed), authority_key_(Key(0)) {
    authority_ = crypto::IssueAuthority(authority_key_, "demur test", kValidity, Serial(0)).value();
  }

  const Bytes& authority() const noexcept { return authority_; }  // DER
  const crypto::Ed25519KeyPair& authority_key() const noexcept { return authority_key_; }
  // The key pair of participant `index`; 0 is the authority's, 1 the server's.
  crypto::Ed25519KeyPair Key(std::uint8_t index) const {
    SecretArray<32> secret;
    std::fill(secret.mutable_view().begin(), secret.mutable_view().end(), std::byte{seed_});
    secret.mutable_view()[0] = std::byte{index};
    return crypto::Ed25519FromSeed(secret).value();
  }

  net::TlsIdentity Server(std::string name = std::string(kServerName)) const {
    const crypto::Ed25519KeyPair key = Key(1);
    const crypto::ServerNames names{{std::move(name)}, {"127.0.0.1"}};
    return {
        crypto::IssueServer(authority_key_, authority_, key.public_key, names, kValidity, Serial(1))
            .value(),
        crypto::PrivateKeyToDer(key)};
  }
  net::TlsIdentity Device(std::uint8_t number = 7) const {
    const crypto::Ed25519KeyPair key = Key(number);
    return {crypto::IssueDevice(authority_key_, authority_, key.public_key, DeviceNumber(number),
                                kValidity, Serial(number))
                .value(),
            crypto::PrivateKeyToDer(key)};
  }

 private:
  static constexpr crypto::Validity kValidity{FakeClock::kStart / 1000 - 3'600,
                                              FakeClock::kStart / 1000 + 86'400};
  static crypto::Serial Serial(std::uint8_t number) {
    crypto::Serial serial{};
    serial.front() = std::byte{0x40};
    serial.back() = std::byte{number};
    return serial;
  }

  std::uint8_t seed_;
  crypto::Ed25519KeyPair authority_key_;
  Bytes authority_;
};

}  // namespace demur::testing
