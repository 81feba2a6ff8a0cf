#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>

#include "demur/base/bytes.h"
#include "demur/base/file.h"
#include "demur/base/json.h"
#include "demur/crypto/aead.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/keys.h"
#include "result_matchers.h"

// Project Wycheproof's vectors, read from outside the repository. Every test of every file is
// either run or counted as outside our interface (AES-GCM with other key or nonce lengths).
namespace demur::crypto {
namespace {

const std::string& Text(const Json& json, std::string_view key) {
  static const std::string kNone = "(missing)";
  const Json* found = json.Find(key);
  const std::string* text = found == nullptr ? nullptr : found->text();
  EXPECT_NE(text, nullptr) << key;
  return text == nullptr ? kNone : *text;
}
Bytes Hex(const Json& json, std::string_view key) {
  auto bytes = FromHex(Text(json, key));
  EXPECT_OK(bytes);
  return bytes ? *bytes : Bytes{};
}
std::int64_t Integer(const Json& json, std::string_view key) {
  const Json* found = json.Find(key);
  EXPECT_NE(found, nullptr) << key;
  return found == nullptr ? -1 : found->Integer().value();
}
bool HasFlag(const Json& test, std::string_view flag) {
  const Json* flags = test.Find("flags");
  if (flags == nullptr || flags->array() == nullptr) return false;
  return std::any_of(flags->array()->begin(), flags->array()->end(),
                     [flag](const Json& one) { return *one.text() == flag; });
}
SecretArray<32> KeyFrom(const Bytes& bytes) {
  SecretArray<32> key;
  EXPECT_EQ(bytes.size(), key.kLen);
  std::copy_n(bytes.begin(), std::min(bytes.size(), key.kLen), key.mutable_view().begin());
  return key;
}
template <std::size_t N>
std::array<std::byte, N> ArrayFrom(const Bytes& bytes) {
  std::array<std::byte, N> out{};
  EXPECT_EQ(bytes.size(), N);
  std::copy_n(bytes.begin(), std::min(bytes.size(), N), out.begin());
  return out;
}

struct Counts {
  std::int64_t run = 0;
  std::int64_t outside = 0;
};

// Calls `run` for every test; it says whether the test fits our interface. Checks the file's own
// count, and that `expected_run` tests were run, so that a renamed field cannot empty the suite.
void ForEachTest(const std::string& name, std::int64_t expected_run,
                 const std::function<bool(const Json& group, const Json& test)>& run) {
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       ReadTextFile(std::string(DEMUR_WYCHEPROOF) + "/" + name, 16U << 20));
  ASSERT_OK_AND_ASSIGN(const Json file, Json::Parse(text));
  Counts counts;
  ASSERT_NE(file.Find("testGroups"), nullptr);
  for (const Json& group : *file.Find("testGroups")->array()) {
    for (const Json& test : *group.Find("tests")->array()) {
      SCOPED_TRACE(name + " tcId " + std::to_string(Integer(test, "tcId")));
      if (run(group, test)) {
        ++counts.run;
      } else {
        ++counts.outside;
      }
    }
  }
  EXPECT_EQ(counts.run + counts.outside, Integer(file, "numberOfTests"));
  EXPECT_EQ(counts.run, expected_run);
}

// Refused: exactly the all-zero results. All the rest ("acceptable" is what strict implementations
// may also refuse: twist points, non-canonical keys) gives the listed secret, as RFC 7748 demands.
// On receipt of a key (CheckX25519PublicKey) low order and non-canonical encodings are refused too.
TEST(WycheproofTest, X25519) {
  ForEachTest("x25519_test.json", 518, [](const Json&, const Json& test) {
    const auto public_key = ArrayFrom<32>(Hex(test, "public"));
    const auto shared = X25519(KeyFrom(Hex(test, "private")), public_key);
    if (HasFlag(test, "ZeroSharedSecret")) {
      EXPECT_ERROR(shared, ErrorCode::kInvalidArgument);
    } else {
      EXPECT_OK(shared);
      if (shared) {
        EXPECT_EQ(ToHex(shared->view()), Text(test, "shared"));
      }
    }
    const bool top_bit = (public_key[31] & std::byte{0x80}) != std::byte{0};
    const bool refused =
        HasFlag(test, "LowOrderPublic") || HasFlag(test, "NonCanonicalPublic") || top_bit;
    EXPECT_EQ(CheckX25519PublicKey(public_key).has_value(), !refused);
    return true;
  });
}

// A signature of another length than 64 bytes has no form in our interface: it is refused by type
// where messages are parsed, so those twelve tests count as run when they are "invalid".
TEST(WycheproofTest, Ed25519) {
  int other_lengths = 0;
  ForEachTest("ed25519_test.json", 151, [&](const Json& group, const Json& test) {
    const Json* key = group.Find("publicKey");
    const auto public_key = ArrayFrom<32>(Hex(*key, "pk"));
    const Bytes signature = Hex(test, "sig");
    const bool valid = Text(test, "result") == "valid";
    if (signature.size() != 64) {
      EXPECT_FALSE(valid);
      ++other_lengths;
      return true;
    }
    EXPECT_EQ(Verify(public_key, Hex(test, "msg"), ArrayFrom<64>(signature)), valid);
    return true;
  });
  EXPECT_EQ(other_lengths, 12);
}

// Of the file's 316 tests 250 have a key of 128 or 192 bits (211) or a nonce of another length than
// 96 bits (39), which our interface cannot be given.
TEST(WycheproofTest, Aes256Gcm) {
  ForEachTest("aes_gcm_test.json", 66, [](const Json& group, const Json& test) {
    if (Integer(group, "keySize") != 256 || Integer(group, "ivSize") != 96) return false;
    EXPECT_EQ(Integer(group, "tagSize"), 128);
    const SecretArray<32> key = KeyFrom(Hex(test, "key"));
    const auto nonce = ArrayFrom<12>(Hex(test, "iv"));
    Bytes sealed = Hex(test, "ct");
    const Bytes tag = Hex(test, "tag");
    sealed.insert(sealed.end(), tag.begin(), tag.end());
    const auto opened = Open(key, nonce, Hex(test, "aad"), sealed);
    if (Text(test, "result") != "valid") {
      EXPECT_ERROR(opened, ErrorCode::kDataLoss);
      return true;
    }
    EXPECT_OK(opened);
    if (opened) {
      EXPECT_EQ(ToHex(opened->view()), Text(test, "msg"));
    }
    const auto again = Seal(key, nonce, Hex(test, "aad"), Hex(test, "msg"));
    EXPECT_OK(again);
    if (again) {
      EXPECT_EQ(*again, sealed);
    }
    return true;
  });
}

TEST(WycheproofTest, HkdfSha256) {
  ForEachTest("hkdf_sha256_test.json", 86, [](const Json&, const Json& test) {
    const auto out = HkdfSha256(Hex(test, "ikm"), Hex(test, "salt"), Hex(test, "info"),
                                static_cast<std::size_t>(Integer(test, "size")));
    if (Text(test, "result") == "valid") {
      EXPECT_OK(out);
      if (out) {
        EXPECT_EQ(ToHex(out->view()), Text(test, "okm"));
      }
    } else {
      EXPECT_ERROR(out, ErrorCode::kInvalidArgument);
    }
    return true;
  });
}

TEST(WycheproofTest, HmacSha256) {
  ForEachTest("hmac_sha256_test.json", 174, [](const Json& group, const Json& test) {
    const auto len = static_cast<std::size_t>(Integer(group, "tagSize") / 8);
    const Hash256 tag = HmacSha256(Hex(test, "key"), Hex(test, "msg"));
    EXPECT_EQ(ConstantTimeEqual(ByteView(tag).first(len), Hex(test, "tag")),
              Text(test, "result") == "valid");
    return true;
  });
}

}  // namespace
}  // namespace demur::crypto
