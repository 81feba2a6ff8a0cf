#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "demur/base/result.h"

// As much HTTP/1.1 as an admin port on the loopback needs: heads of GET requests without a body,
// and replies after which the connection closes. Pure functions; safe from several threads.
namespace demur::net {

inline constexpr std::size_t kMaxHttpHeadLen = 4096;  // bytes, blank line included
inline constexpr std::size_t kMaxHttpHeaders = 32;

struct HttpRequest {
  std::string path;   // "/metrics"; starts with '/', visible ASCII, not decoded
  std::string query;  // after '?', without it

  friend bool operator==(const HttpRequest&, const HttpRequest&) = default;
};

// Reads the head at the start of `received`; what follows it is ignored. Nothing when the blank
// line has not arrived yet.
// kInvalidArgument: not HTTP/1.0 or 1.1, bad characters, folded lines, no Host, or a body.
// kResourceExhausted: no blank line within kMaxHttpHeadLen, or more than kMaxHttpHeaders headers.
// kUnimplemented: another method than GET.
Result<std::optional<HttpRequest>> ParseHttpHead(std::string_view received);

struct HttpReply {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// The reply's bytes: status line, Content-Length, Connection: close, body.
std::string FormatHttp(const HttpReply& reply);
// The reply that says why a request was refused: 400, 405, 408, 431, 404, 503 or 500.
HttpReply HttpReplyFor(const Error& error);

}  // namespace demur::net
