#include "demur/net/http.h"

#include <algorithm>

namespace demur::net {
namespace {

constexpr std::size_t kMaxTargetLen = 1024;  // bytes

Error BadHead(const char* what) {
  return Error(ErrorCode::kInvalidArgument, std::string("http: ") + what);
}

// RFC 9110, section 5.6.2.
bool IsTokenChar(char c) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kMarks.find(c) != std::string_view::npos;
}
bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}
bool IsVisible(char c) { return c > ' ' && c <= '~'; }
// Header values: visible ASCII and blanks.
bool IsValueChar(char c) { return IsVisible(c) || c == ' ' || c == '\t'; }

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

std::string_view Trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Takes the line off the front of `rest`, which ends in CRLF.
std::string_view TakeLine(std::string_view* rest) {
  const auto end = rest->find("\r\n");
  const std::string_view line = rest->substr(0, end);
  rest->remove_prefix(end + 2);
  return line;
}

Result<HttpRequest> ParseRequestLine(std::string_view line, bool* needs_host) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return BadHead("bad request line");
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return BadHead("unknown version");
  if (!IsToken(method)) return BadHead("bad method");
  if (method != "GET") return Error(ErrorCode::kUnimplemented, "http: only GET");
  if (target.empty() || target.front() != '/' || target.size() > kMaxTargetLen ||
      !std::all_of(target.begin(), target.end(), IsVisible)) {
    return BadHead("bad target");
  }
  *needs_host = version == "HTTP/1.1";
  const auto question = target.find('?');
  HttpRequest request{std::string(target.substr(0, question)), {}};
  if (question != std::string_view::npos) request.query = target.substr(question + 1);
  return request;
}

Status ParseHeaders(std::string_view rest, bool needs_host) {
  std::size_t num_headers = 0;
  std::size_t num_hosts = 0;
  while (!rest.empty()) {
    const std::string_view line = TakeLine(&rest);
    if (++num_headers > kMaxHttpHeaders) {
      return Error(ErrorCode::kResourceExhausted, "http: too many headers");
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !IsToken(line.substr(0, colon))) {
      return BadHead("bad header");  // a folded line too: it begins with a blank
    }
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = Trim(line.substr(colon + 1));
    if (!std::all_of(value.begin(), value.end(), IsValueChar)) return BadHead("bad header value");
    if (EqualsIgnoringCase(name, "host")) ++num_hosts;
    if (EqualsIgnoringCase(name, "transfer-encoding") ||
        (EqualsIgnoringCase(name, "content-length") && value != "0")) {
      return BadHead("no body is accepted");
    }
  }
  if (num_hosts > 1 || (needs_host && num_hosts == 0)) return BadHead("one Host is needed");
  return {};
}

const char* ReasonOf(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

int StatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 400;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kUnimplemented:
      return 405;
    case ErrorCode::kDeadlineExceeded:
      return 408;
    case ErrorCode::kResourceExhausted:
      return 431;
    case ErrorCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

}  // namespace

Result<std::optional<HttpRequest>> ParseHttpHead(std::string_view received) {
  const auto end = received.substr(0, kMaxHttpHeadLen).find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (received.size() >= kMaxHttpHeadLen) {
      return Error(ErrorCode::kResourceExhausted, "http: head too long");
    }
    return std::optional<HttpRequest>();
  }
  std::string_view rest = received.substr(0, end + 2);  // every line with its CRLF
  bool needs_host = true;
  DEMUR_TRY(HttpRequest request, ParseRequestLine(TakeLine(&rest), &needs_host));
  DEMUR_RETURN_IF_ERROR(ParseHeaders(rest, needs_host));
  return std::optional<HttpRequest>(std::move(request));
}

std::string FormatHttp(const HttpReply& reply) {
  std::string out = "HTTP/1.1 " + std::to_string(reply.status) + " " + ReasonOf(reply.status);
  out += "\r\nContent-Type: " + reply.content_type;
  out += "\r\nContent-Length: " + std::to_string(reply.body.size());
  if (reply.status == 405) out += "\r\nAllow: GET";
  out +=
      "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n";
  out += reply.body;
  return out;
}

HttpReply HttpReplyFor(const Error& error) {
  HttpReply reply;
  reply.status = StatusOf(error.code());
  reply.body = error.message() + "\n";
  return reply;
}

}  // namespace demur::net
