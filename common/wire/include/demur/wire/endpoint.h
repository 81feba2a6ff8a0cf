#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "demur/base/result.h"

// "host:port" as people write it in options, config files and tokens. Pure functions; safe from
// several threads.
namespace demur::wire {

inline constexpr std::size_t kMaxHostLen = 64;  // characters, like a certificate's names

struct Endpoint {
  std::string host;  // lower-case host name, IPv4 or IPv6 address; no brackets
  std::uint16_t port = 0;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// "example.test:8443", "127.0.0.1:0", "[::1]:8443". Port 0 is for listening ("any").
// kInvalidArgument: no port, a port above 65535 or with leading zeros, or a host that is empty, too
// long, or holds other characters than [a-z0-9.-] (in brackets: [0-9a-f:.]).
Result<Endpoint> ParseEndpoint(std::string_view text);
// What ParseEndpoint reads back equal.
std::string Format(const Endpoint& endpoint);

}  // namespace demur::wire
