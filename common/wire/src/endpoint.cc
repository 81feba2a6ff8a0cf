#include "demur/wire/endpoint.h"

#include <charconv>

namespace demur::wire {
namespace {

constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789.-";
constexpr std::string_view kAddressCharacters = "0123456789abcdef:.";

Error Bad() { return Error(ErrorCode::kInvalidArgument, "not an address of the form host:port"); }

bool ParsePort(std::string_view text, std::uint16_t* out) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return false;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return ec == std::errc{} && end == text.data() + text.size();
}

}  // namespace

Result<Endpoint> ParseEndpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Bad();
  std::string_view host = text.substr(0, colon);
  std::string_view allowed = kNameCharacters;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    allowed = kAddressCharacters;
    // Otherwise a name in brackets would be written back without them.
    if (host.find(':') == std::string_view::npos) return Bad();
  }
  Endpoint endpoint;
  if (host.empty() || host.size() > kMaxHostLen ||
      host.find_first_not_of(allowed) != std::string_view::npos ||
      !ParsePort(text.substr(colon + 1), &endpoint.port)) {
    return Bad();
  }
  endpoint.host = host;
  return endpoint;
}

std::string Format(const Endpoint& endpoint) {
  const bool brackets = endpoint.host.find(':') != std::string::npos;
  std::string out = brackets ? "[" + endpoint.host + "]" : endpoint.host;
  return out + ":" + std::to_string(endpoint.port);
}

}  // namespace demur::wire
