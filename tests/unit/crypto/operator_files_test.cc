#include "demur/crypto/operator_files.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "crypto_test_util.h"
#include "demur/base/json.h"
#include "result_matchers.h"

namespace demur::crypto {
namespace {

using testing::FilledKey;

std::string Set(std::string_view text, std::string_view key, Json value) {
  Json json = Json::Parse(text).value();
  json.Set(key, std::move(value));
  return json.Dump();
}

// Every change of one field of `object`: left out, under another name, and of every other type.
std::vector<std::string> BrokenFields(const std::string& object) {
  const Json json = Json::Parse(object).value();
  std::vector<std::string> out;
  for (const auto& [key, value] : *json.object()) {
    Json without;
    for (const auto& [other, kept] : *json.object()) {
      if (other != key) without.Set(other, kept);
    }
    out.push_back(without.Dump());
    out.push_back(without.Set(key + "_", value).Dump());
    const Json::Array others = {
        Json(),       Json(true),          Json(1.5),
        Json("text"), Json(Json::Array{}), Json::Parse("{\"a\":1}").value()};
    for (const Json& other : others) {
      const bool fits = other.array() != nullptr && value.array() != nullptr;
      if (!fits) out.push_back(Set(object, key, other));
    }
  }
  return out;
}

class CertifyRequestTest : public ::testing::Test {
 protected:
  const Ed25519KeyPair tls_key_ = Ed25519FromSeed(FilledKey(1)).value();
  const Ed25519KeyPair plan_key_ = Ed25519FromSeed(FilledKey(2)).value();
  const std::string text_ = MakeCertifyRequest("coordinator.test", tls_key_, plan_key_).value();
  const std::string body_ =
      std::string(AsText(FromHex(*Json::Parse(text_)->Find("body")->text()).value()));
};

TEST_F(CertifyRequestTest, RoundTrips) {
  ASSERT_OK_AND_ASSIGN(const CertifyRequest request, ParseCertifyRequest(text_));
  EXPECT_EQ(request.name, "coordinator.test");
  EXPECT_EQ(request.tls_key, tls_key_.public_key);
  EXPECT_EQ(request.plan_key, plan_key_.public_key);
}
TEST_F(CertifyRequestTest, WhoDoesNotHoldBothKeysCannotAsk) {
  ASSERT_OK_AND_ASSIGN(const std::string other,
                       MakeCertifyRequest("other.test", tls_key_, plan_key_));
  const Json strange = Json::Parse(other).value();
  for (const char* field : {"tls_signature", "plan_signature"}) {
    EXPECT_ERROR(ParseCertifyRequest(Set(text_, field, *strange.Find(field)->text())),
                 ErrorCode::kPermissionDenied)
        << field;
  }
  // Signatures of the right length by the wrong key: swapped.
  const Json own = Json::Parse(text_).value();
  EXPECT_ERROR(
      ParseCertifyRequest(Set(text_, "tls_signature", *own.Find("plan_signature")->text())),
      ErrorCode::kPermissionDenied);
}
TEST_F(CertifyRequestTest, AChangedBodyIsRefused) {
  std::string changed = body_;
  changed.replace(changed.find("coordinator"), 11, "c00rdinator");
  EXPECT_ERROR(ParseCertifyRequest(Set(text_, "body", ToHex(AsBytes(changed)))),
               ErrorCode::kPermissionDenied);
}
TEST_F(CertifyRequestTest, MalformedFilesAreRefused) {
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("[]"), std::string("{\"body\":1}"),
        Set(text_, "body", 1), Set(text_, "body", "zz"), Set(text_, "body", ""),
        Set(text_, "extra", 1), Set(text_, "tls_signature", "00"),
        Set(text_, "tls_signature", Json::Array{})}) {
    EXPECT_ERROR(ParseCertifyRequest(text), ErrorCode::kInvalidArgument) << text;
  }
}
TEST_F(CertifyRequestTest, MalformedBodiesAreRefused) {
  for (const std::string& body :
       {std::string("{}"), Set(body_, "version", 2), Set(body_, "version", "1"),
        Set(body_, "extra", 1), Set(body_, "name", "Upper"), Set(body_, "name", ""),
        Set(body_, "name", std::string(65, 'a')), Set(body_, "name", "a,DNS:b"),
        Set(body_, "tls_key", "00"), Set(body_, "tls_key", 7),
        Set(body_, "tls_key", ToHex(plan_key_.public_key))}) {
    EXPECT_ERROR(ParseCertifyRequest(Set(text_, "body", ToHex(AsBytes(body)))),
                 ErrorCode::kInvalidArgument)
        << body;
  }
}
TEST_F(CertifyRequestTest, EveryFieldIsNeededInItsOwnType) {
  for (const std::string& text : BrokenFields(text_)) {
    EXPECT_ERROR(ParseCertifyRequest(text), ErrorCode::kInvalidArgument) << text;
  }
  for (const std::string& body : BrokenFields(body_)) {
    const auto read = ParseCertifyRequest(Set(text_, "body", ToHex(AsBytes(body))));
    // "text" is a name: that body is a good one, of which nothing was signed.
    const bool name = body.find("\"name\":\"text\"") != std::string::npos;
    EXPECT_ERROR(read, name ? ErrorCode::kPermissionDenied : ErrorCode::kInvalidArgument) << body;
  }
}
TEST_F(CertifyRequestTest, NoBitOfASignatureOrABodyMayChange) {
  const Json file = Json::Parse(text_).value();
  for (const char* field : {"tls_signature", "plan_signature", "body"}) {
    const Bytes good = FromHex(*file.Find(field)->text()).value();
    for (std::size_t i = 0; i < good.size(); ++i) {
      Bytes changed = good;
      changed[i] ^= std::byte{1};
      EXPECT_FALSE(ParseCertifyRequest(Set(text_, field, ToHex(changed))).has_value())
          << field << " " << i;
    }
  }
}
TEST_F(CertifyRequestTest, NamesUpToTheBorderAreTaken) {
  for (const std::string& name : {std::string("a"), std::string("0"), std::string(64, 'z'),
                                  std::string("a-b.c-d.0123456789")}) {
    ASSERT_OK_AND_ASSIGN(const std::string text, MakeCertifyRequest(name, tls_key_, plan_key_));
    EXPECT_EQ(ParseCertifyRequest(text)->name, name);
  }
  for (const std::string& name : {std::string(), std::string(65, 'z'), std::string("a_b"),
                                  std::string("a/b"), std::string("a\nb"), std::string("a\0b", 3),
                                  std::string("\xc3\xa9"), std::string("\xff")}) {
    EXPECT_ERROR(MakeCertifyRequest(name, tls_key_, plan_key_), ErrorCode::kInvalidArgument);
  }
}
TEST_F(CertifyRequestTest, AFileBeyondTheLimitIsRefusedUnread) {
  // Good but for blanks behind it.
  const std::string padded = text_ + std::string(kOperatorFileMaxLen - text_.size(), ' ');
  EXPECT_OK(ParseCertifyRequest(padded));
  EXPECT_ERROR(ParseCertifyRequest(padded + " "), ErrorCode::kInvalidArgument);
}
// A key of order 8 or less: for some message a signature exists that needs no private key at all,
// so a request that it "signed" proves nothing.
TEST_F(CertifyRequestTest, AKeyThatEverybodyCanSignForProvesNothing) {
  Bytes forged(64);
  forged[0] = std::byte{1};  // R: the neutral element; S: 0
  for (const char* field : {"tls", "plan"}) {
    const std::string own = field;
    const std::string body = Set(body_, own + "_key", "01" + std::string(62, '0'));
    Bytes input = ToBytes(AsBytes("demur/certify-request/1"));
    input.push_back(std::byte{0});
    input.insert(input.end(), AsBytes(body).begin(), AsBytes(body).end());
    std::string text = Set(text_, "body", ToHex(AsBytes(body)));
    for (const auto& [name, key] : {std::pair{"tls", &tls_key_}, {"plan", &plan_key_}}) {
      const Bytes signature = name == own ? forged : ToBytes(Sign(*key, input).value());
      text = Set(text, name + std::string("_signature"), ToHex(signature));
    }
    EXPECT_ERROR(ParseCertifyRequest(text), ErrorCode::kPermissionDenied) << field;
  }
}
TEST_F(CertifyRequestTest, BadRequestsAreNotMade) {
  EXPECT_ERROR(MakeCertifyRequest("Upper", tls_key_, plan_key_), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(MakeCertifyRequest("a.test", tls_key_, tls_key_), ErrorCode::kInvalidArgument);
}

class RevocationListTest : public ::testing::Test {
 protected:
  const Ed25519KeyPair key_ = Ed25519FromSeed(FilledKey(3)).value();
  const RevocationList list_ = {
      3, 1750000000, {DeviceNumber(2), DeviceNumber(7), DeviceNumber(1ULL << 40)}};
  const std::string text_ = SignRevocationList(key_, list_).value();

  // A list whose body is `body`, correctly signed: what only the authority's own bug could make.
  std::string Signed(const std::string& body) const {
    Bytes input = ToBytes(AsBytes("demur/revocation-list/1"));
    input.push_back(std::byte{0});
    const ByteView bytes = AsBytes(body);
    input.insert(input.end(), bytes.begin(), bytes.end());
    Json file;
    file.Set("body", ToHex(bytes)).Set("signature", ToHex(Sign(key_, input).value()));
    return file.Dump();
  }
};

TEST_F(RevocationListTest, RoundTrips) {
  ASSERT_OK_AND_ASSIGN(const RevocationList back, ParseRevocationList(text_, key_.public_key));
  EXPECT_EQ(back.sequence, 3U);
  EXPECT_EQ(back.issued, 1750000000);
  EXPECT_EQ(back.devices, list_.devices);
  EXPECT_TRUE(back.Contains(DeviceNumber(7)));
  EXPECT_FALSE(back.Contains(DeviceNumber(6)));
}
TEST_F(RevocationListTest, AnEmptyListIsAList) {
  ASSERT_OK_AND_ASSIGN(const std::string text, SignRevocationList(key_, {0, 5, {}}));
  ASSERT_OK_AND_ASSIGN(const RevocationList back, ParseRevocationList(text, key_.public_key));
  EXPECT_TRUE(back.devices.empty());
}
TEST_F(RevocationListTest, AnotherKeyOrAChangedBodyIsRefused) {
  const Ed25519KeyPair other = Ed25519FromSeed(FilledKey(4)).value();
  EXPECT_ERROR(ParseRevocationList(text_, other.public_key), ErrorCode::kPermissionDenied);
  const std::string shorter = R"({"version":1,"sequence":0,"issued":1,"devices":[]})";
  EXPECT_ERROR(ParseRevocationList(Set(text_, "body", ToHex(AsBytes(shorter))), key_.public_key),
               ErrorCode::kPermissionDenied);
}
TEST_F(RevocationListTest, MalformedFilesAreRefused) {
  for (const std::string& text : {std::string("x"), std::string("{}"), Set(text_, "extra", 1),
                                  Set(text_, "signature", "0")}) {
    EXPECT_ERROR(ParseRevocationList(text, key_.public_key), ErrorCode::kInvalidArgument) << text;
  }
  for (const char* body : {"{}", R"({"version":2,"sequence":0,"issued":1,"devices":[]})",
                           R"({"version":1,"sequence":-1,"issued":1,"devices":[]})",
                           R"({"version":1,"sequence":0,"issued":1,"devices":{}})",
                           R"({"version":1,"sequence":2,"issued":1,"devices":[2,1]})",
                           R"({"version":1,"sequence":2,"issued":1,"devices":[2,2]})",
                           R"({"version":1,"sequence":1,"issued":1,"devices":[-2]})",
                           R"({"version":1,"sequence":1,"issued":1,"devices":[1.5]})"}) {
    EXPECT_ERROR(ParseRevocationList(Signed(body), key_.public_key), ErrorCode::kInvalidArgument)
        << body;
  }
  EXPECT_OK(ParseRevocationList(Signed(R"({"version":1,"sequence":1,"issued":1,"devices":[1,2]})"),
                                key_.public_key));
}
TEST_F(RevocationListTest, EveryFieldIsNeededInItsOwnType) {
  const std::string body = R"({"version":1,"sequence":2,"issued":1,"devices":[1,2]})";
  ASSERT_OK(ParseRevocationList(Signed(body), key_.public_key));
  for (const std::string& broken : BrokenFields(body)) {
    EXPECT_ERROR(ParseRevocationList(Signed(broken), key_.public_key), ErrorCode::kInvalidArgument)
        << broken;
  }
  for (const std::string& broken : BrokenFields(text_)) {
    EXPECT_ERROR(ParseRevocationList(broken, key_.public_key), ErrorCode::kInvalidArgument)
        << broken;
  }
}
// A signature covers what it is for: one for a request does not make a list.
TEST_F(RevocationListTest, ASignatureForAnotherPurposeDoesNotFit) {
  const std::string body = R"({"version":1,"sequence":0,"issued":1,"devices":[]})";
  for (const char* purpose : {"demur/certify-request/1", "demur/enrol-request/1",
                              "demur/revocation-list/1x", "demur/revocation-list/", ""}) {
    Bytes input = ToBytes(AsBytes(purpose));
    input.push_back(std::byte{0});
    input.insert(input.end(), AsBytes(body).begin(), AsBytes(body).end());
    Json file;
    file.Set("body", ToHex(AsBytes(body))).Set("signature", ToHex(Sign(key_, input).value()));
    EXPECT_ERROR(ParseRevocationList(file.Dump(), key_.public_key), ErrorCode::kPermissionDenied)
        << purpose;
  }
}
// Whatever is signed can be read: a list that no coordinator takes would revoke nobody.
TEST_F(RevocationListTest, NumbersBeyondWhatAReaderTakesAreNotSigned) {
  constexpr std::uint64_t kMost = INT64_MAX;
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       SignRevocationList(key_, {kMost, INT64_MAX, {DeviceNumber(kMost)}}));
  ASSERT_OK_AND_ASSIGN(const RevocationList back, ParseRevocationList(text, key_.public_key));
  EXPECT_EQ(back.sequence, kMost);
  EXPECT_TRUE(back.Contains(DeviceNumber(kMost)));
  EXPECT_ERROR(SignRevocationList(key_, {1, 0, {DeviceNumber(kMost + 1)}}),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(SignRevocationList(key_, {kMost + 1, 0, {}}), ErrorCode::kInvalidArgument);
}
TEST_F(RevocationListTest, ALongListContainsExactlyItsDevices) {
  RevocationList list{20'000, 1, {}};
  for (std::uint64_t i = 0; i < 20'000; ++i) list.devices.emplace_back(3 * i + 1);
  ASSERT_OK_AND_ASSIGN(const std::string text, SignRevocationList(key_, list));
  ASSERT_OK_AND_ASSIGN(const RevocationList back, ParseRevocationList(text, key_.public_key));
  EXPECT_EQ(back.devices, list.devices);
  for (std::uint64_t i = 0; i <= 60'000; ++i) {
    EXPECT_EQ(back.Contains(DeviceNumber(i)), i % 3 == 1 && i <= 59'998) << i;
  }
}
TEST_F(RevocationListTest, DevicesOutOfOrderAreNotSigned) {
  EXPECT_ERROR(SignRevocationList(key_, {2, 0, {DeviceNumber(2), DeviceNumber(1)}}),
               ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur::crypto
