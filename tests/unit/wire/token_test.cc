#include "demur/wire/token.h"

#include <gtest/gtest.h>

#include <string>

#include "demur/wire/endpoint.h"
#include "result_matchers.h"

namespace demur::wire {
namespace {

TEST(EndpointTest, RoundTrips) {
  for (const char* text : {"a:1", "coordinator.test:8443", "127.0.0.1:0", "[::1]:65535",
                           "[fe80::1:2]:443", "[::ffff:10.0.0.1]:7"}) {
    ASSERT_OK_AND_ASSIGN(const Endpoint endpoint, ParseEndpoint(text));
    EXPECT_EQ(Format(endpoint), text);
  }
  EXPECT_EQ(ParseEndpoint("[::1]:9").value(), (Endpoint{"::1", 9}));
}
TEST(EndpointTest, BadTextIsRefused) {
  for (const char* text :
       {"",      ":",      ":1",    "a",     "a:",    "a:65536",       "a:-1",   "a:+1",
        "a:01",  "a: 1",   "a:1 ",  "A:1",   "a b:1", "::1:80",        "[]:1",   "[a]:1",
        "[::1]", "[::1:1", "a/b:1", "a:1:2", "a\n:1", "[127.0.0.1]:1", "[::g]:1"}) {
    EXPECT_ERROR(ParseEndpoint(text), ErrorCode::kInvalidArgument) << text;
  }
  EXPECT_OK(ParseEndpoint(std::string(kMaxHostLen, 'a') + ":1"));
  EXPECT_ERROR(ParseEndpoint(std::string(kMaxHostLen + 1, 'a') + ":1"),
               ErrorCode::kInvalidArgument);
}

Token SomeToken() {
  Token token;
  token.authority = {"127.0.0.1", 7001};
  token.authority_sha256.fill(std::byte{0xa1});
  token.secret.mutable_view()[0] = std::byte{0x5e};
  token.secret.mutable_view()[31] = std::byte{0x01};
  token.expires = 1'900'000'000;
  token.coordinator = {"::1", 7002};
  token.coordinator_name = "coordinator.test";
  token.plan_key.fill(std::byte{0xb2});
  return token;
}
std::string TextOf(const Token& token) {
  return std::string(AsText(FormatToken(token).value().view()));
}

TEST(TokenTest, RoundTripsEveryField) {
  const Token token = SomeToken();
  ASSERT_OK_AND_ASSIGN(const Token back, ParseToken(TextOf(token)));
  EXPECT_EQ(back.authority, token.authority);
  EXPECT_EQ(back.authority_sha256, token.authority_sha256);
  EXPECT_TRUE(ConstantTimeEqual(back.secret.view(), token.secret.view()));
  EXPECT_EQ(back.expires, token.expires);
  EXPECT_EQ(back.coordinator, token.coordinator);
  EXPECT_EQ(back.coordinator_name, token.coordinator_name);
  EXPECT_EQ(back.plan_key, token.plan_key);
  EXPECT_EQ(TextOf(back.Clone()), TextOf(token));
}
// Frozen: tokens live on paper and in mail.
TEST(TokenTest, TheTextNeverChanges) {
  EXPECT_EQ(TextOf(SomeToken()),
            "demur1-0000000e3132372e302e302e313a37303031"
            "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
            "00000000713fb3000000000a5b3a3a315d3a37303032"
            "00000010636f6f7264696e61746f722e74657374"
            "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"
            "5e00000000000000000000000000000000000000000000000000000000000001"
            "44a46acf");
}
TEST(TokenTest, BlanksAroundItAreAllowedAndNothingElse) {
  const std::string text = TextOf(SomeToken());
  EXPECT_OK(ParseToken("  \t" + text + "\r\n"));
  EXPECT_ERROR(ParseToken(text + "x"), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ParseToken(text + "00"), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(ParseToken(text.substr(0, 40) + "\n" + text.substr(40)),
               ErrorCode::kInvalidArgument);
}
TEST(TokenTest, EveryChangedCharacterIsSeen) {
  const std::string text = TextOf(SomeToken());
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = text[i] == '0' ? '1' : '0';
    EXPECT_ERROR(ParseToken(changed), ErrorCode::kInvalidArgument) << i;
  }
}
TEST(TokenTest, EveryTruncationIsRefused) {
  const std::string text = TextOf(SomeToken());
  for (std::size_t len = 0; len < text.size(); ++len) {
    EXPECT_ERROR(ParseToken(std::string_view(text).substr(0, len)), ErrorCode::kInvalidArgument)
        << len;
  }
}
TEST(TokenTest, ForeignAndLongTextIsRefused) {
  for (const std::string& text :
       {std::string("demur2-00"), std::string("demur1-"), std::string("DEMUR1-00000000"),
        std::string("demur1-00000000"), std::string(kMaxTokenLen + 1, 'a'),
        "demur1-" + std::string(1 << 20, '0')}) {
    EXPECT_ERROR(ParseToken(text), ErrorCode::kInvalidArgument) << text.substr(0, 20);
  }
}
TEST(TokenTest, ErrorsRepeatNothingOfTheToken) {
  std::string text = TextOf(SomeToken());
  text.back() = text.back() == '0' ? '1' : '0';
  const auto result = ParseToken(text);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message().find("5e0000"), std::string::npos);
  EXPECT_LT(result.error().message().size(), 100U);
}
TEST(TokenTest, FieldsOutOfRangeAreNotWritten) {
  const auto written = [](auto change) {
    Token token = SomeToken();
    change(token);
    return FormatToken(token).has_value();
  };
  EXPECT_FALSE(written([](Token& t) { t.authority.port = 0; }));
  EXPECT_FALSE(written([](Token& t) { t.authority.host = ""; }));
  EXPECT_FALSE(written([](Token& t) { t.coordinator.port = 0; }));
  EXPECT_FALSE(written([](Token& t) { t.coordinator.host = std::string(65, 'a'); }));
  EXPECT_FALSE(written([](Token& t) { t.coordinator_name = ""; }));
  EXPECT_FALSE(written([](Token& t) { t.coordinator_name = "a:1"; }));
  EXPECT_FALSE(written([](Token& t) { t.coordinator_name = "Upper"; }));
  EXPECT_FALSE(written([](Token& t) { t.expires = -1; }));
  EXPECT_TRUE(written([](Token& t) { t.expires = 0; }));
}

}  // namespace
}  // namespace demur::wire
