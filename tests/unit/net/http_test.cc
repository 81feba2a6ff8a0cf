#include "demur/net/http.h"

#include <gtest/gtest.h>

#include "result_matchers.h"

namespace demur::net {
namespace {

TEST(HttpTest, ReadsPathAndQuery) {
  ASSERT_OK_AND_ASSIGN(const auto request,
                       ParseHttpHead("GET /metrics?name=a HTTP/1.1\r\nHost: x\r\n\r\nignored"));
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(*request, (HttpRequest{"/metrics", "name=a"}));
}
TEST(HttpTest, OldVersionNeedsNoHost) {
  ASSERT_OK_AND_ASSIGN(const auto request, ParseHttpHead("GET /healthz HTTP/1.0\r\n\r\n"));
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(*request, (HttpRequest{"/healthz", ""}));
}
TEST(HttpTest, EveryTruncationIsIncomplete) {
  const std::string head = "GET / HTTP/1.1\r\nHost: localhost:1\r\nAccept: */*\r\n\r\n";
  for (std::size_t len = 0; len < head.size(); ++len) {
    ASSERT_OK_AND_ASSIGN(const auto request, ParseHttpHead(head.substr(0, len)));
    EXPECT_FALSE(request.has_value()) << len;
  }
}
TEST(HttpTest, MalformedHeadsAreRefused) {
  for (const char* head :
       {"GET /\r\nHost: x\r\n\r\n", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "GET / http/1.1\r\nHost: x\r\n\r\n",
        "GET metrics HTTP/1.1\r\nHost: x\r\n\r\n", "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", "G\"T / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\xC3\xA4 HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\ny: z\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\x7f\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "GET / HTTP/1.1\r\nHost: x\r\nTRANSFER-ENCODING: chunked\r\n\r\n"}) {
    EXPECT_ERROR(ParseHttpHead(head), ErrorCode::kInvalidArgument) << head;
  }
}
TEST(HttpTest, OtherMethodsAreNotImplemented) {
  for (const char* method : {"POST", "HEAD", "DELETE", "get"}) {
    const std::string head = std::string(method) + " / HTTP/1.1\r\nHost: x\r\n\r\n";
    EXPECT_ERROR(ParseHttpHead(head), ErrorCode::kUnimplemented) << method;
  }
}
TEST(HttpTest, LongHeadsAreRefused) {
  std::string head = "GET / HTTP/1.1\r\nHost: x\r\nA: ";
  head.append(kMaxHttpHeadLen - head.size() - 4, 'a');
  EXPECT_OK(ParseHttpHead(head + "\r\n\r\n"));
  EXPECT_ERROR(ParseHttpHead(head + "a\r\n\r\n"), ErrorCode::kResourceExhausted);
  EXPECT_ERROR(ParseHttpHead(std::string(kMaxHttpHeadLen, 'a')), ErrorCode::kResourceExhausted);
}
TEST(HttpTest, ManyHeadersAreRefused) {
  std::string head = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (std::size_t i = 1; i < kMaxHttpHeaders; ++i) head += "A: b\r\n";
  EXPECT_OK(ParseHttpHead(head + "\r\n"));
  EXPECT_ERROR(ParseHttpHead(head + "A: b\r\n\r\n"), ErrorCode::kResourceExhausted);
}
TEST(HttpTest, ReplyIsComplete) {
  EXPECT_EQ(FormatHttp({200, "text/plain", "ok\n"}),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            "Connection: close\r\n\r\nok\n");
}
TEST(HttpTest, ErrorsBecomeStatusCodes) {
  for (const auto& [code, status] : {std::pair{ErrorCode::kInvalidArgument, 400},
                                     {ErrorCode::kNotFound, 404},
                                     {ErrorCode::kUnimplemented, 405},
                                     {ErrorCode::kDeadlineExceeded, 408},
                                     {ErrorCode::kResourceExhausted, 431},
                                     {ErrorCode::kUnavailable, 503},
                                     {ErrorCode::kInternal, 500}}) {
    EXPECT_EQ(HttpReplyFor(Error(code, "why")).status, status);
  }
  EXPECT_NE(FormatHttp(HttpReplyFor(Error(ErrorCode::kUnimplemented, "x"))).find("Allow: GET\r\n"),
            std::string::npos);
}

}  // namespace
}  // namespace demur::net
