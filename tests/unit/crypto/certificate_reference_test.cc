#include "certificate_reference.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "crypto_test_util.h"
#include "demur/crypto/certificate.h"
#include "result_matchers.h"

// The parser against OpenSSL's, on thousands of certificates that are wrong somewhere: what one
// takes the other takes and reads alike, and what one refuses the other refuses.
namespace demur::crypto {
namespace {

using testing::FilledKey;

constexpr std::int64_t kNow = 1750000000;
constexpr Validity kYear = {kNow - 100, kNow + std::int64_t{365} * 86400};

// One element of a certificate and what is inside it, to be changed and written anew.
struct Element {
  unsigned tag = 0;
  Bytes content;                  // of one without children
  std::vector<Element> children;  // also those of a string that holds an element
  bool open = false;              // has children
  std::size_t more_length = 0;    // bytes that its length is longer than it has to be
};

std::size_t LengthOf(ByteView der, std::size_t* header) {
  std::size_t len = std::to_integer<std::size_t>(der[1]);
  *header = 2;
  if (len < 0x80) return len;
  const std::size_t width = len - 0x80;
  len = 0;
  for (std::size_t i = 0; i < width; ++i) len = len << 8 | std::to_integer<std::size_t>(der[2 + i]);
  *header += width;
  return len;
}

// Reads good DER.
std::vector<Element> ReadAll(ByteView der) {
  std::vector<Element> out;
  while (!der.empty()) {
    std::size_t header = 0;
    const std::size_t len = LengthOf(der, &header);
    Element& element = out.emplace_back();
    element.tag = std::to_integer<unsigned>(der[0]);
    const ByteView content = der.subspan(header, len);
    const bool wraps = element.tag == 0x04 && len > 2 &&
                       (std::to_integer<unsigned>(content[0]) == 0x30 ||
                        std::to_integer<unsigned>(content[0]) == 0x04) &&
                       std::to_integer<std::size_t>(content[1]) == len - 2;
    element.open = (element.tag & 0x20) != 0 || wraps;
    if (element.open) {
      element.children = ReadAll(content);
    } else {
      element.content = ToBytes(content);
    }
    der = der.subspan(header + len);
  }
  return out;
}

Bytes Write(const std::vector<Element>& elements) {
  Bytes out;
  for (const Element& element : elements) {
    const Bytes content = element.open ? Write(element.children) : element.content;
    out.push_back(std::byte(element.tag));
    const std::size_t shortest = content.size() < 0x80 ? 0 : content.size() < 0x100 ? 1 : 2;
    const std::size_t width = shortest + element.more_length;
    if (width == 0) {
      out.push_back(std::byte(content.size()));
    } else {
      out.push_back(std::byte(0x80 + width));
      for (std::size_t i = width; i-- > 0;) {
        out.push_back(i < 4 ? std::byte(content.size() >> (8 * i) & 0xff) : std::byte{0});
      }
    }
    out.insert(out.end(), content.begin(), content.end());
  }
  return out;
}

void ForEach(std::vector<Element>& elements,
             const std::function<void(std::vector<Element>&, std::size_t)>& visit) {
  for (std::size_t i = 0; i < elements.size(); ++i) {
    visit(elements, i);
    if (elements[i].open) ForEach(elements[i].children, visit);
  }
}

class CertificateReference : public ::testing::Test {
 protected:
  static Serial SerialOf(unsigned char fill) {
    Serial serial;
    serial.fill(std::byte{fill});
    return serial;
  }

  void Compare(const Bytes& der) {
    const auto expected = testing::ReferenceParse(der);
    const auto got = ParseCertificate(der);
    ASSERT_EQ(got.has_value(), expected.has_value()) << ToHex(der);
    ++compared_;
    if (!got) return;
    ++taken_;
    EXPECT_TRUE(testing::SameCertificate(*got, *expected)) << ToHex(der);
    const bool verified = VerifyCertificate(der, ca_, kNow, got->kind).has_value();
    EXPECT_EQ(verified, testing::ReferenceVerify(der, ca_, kNow, got->kind)) << ToHex(der);
    verified_ += verified ? 1 : 0;
  }

  // With the authority's signature over what is signed now. `root` is one certificate.
  Bytes Signed(std::vector<Element> root) const {
    if (root.empty()) return {};
    auto& parts = root[0].children;
    if (parts.size() == 3 && parts[2].content.size() == 65) {
      const Bytes signed_part = Write({parts[0]});
      const Signature signature = Sign(ca_key_, signed_part).value();
      std::copy(signature.begin(), signature.end(), parts[2].content.begin() + 1);
    }
    return Write(root);
  }
  const Ed25519KeyPair ca_key_ = Ed25519FromSeed(FilledKey(1)).value();
  const PublicKey leaf_key_ = Ed25519FromSeed(FilledKey(2)).value().public_key;
  const Bytes ca_ = IssueAuthority(ca_key_, "trial authority", kYear, SerialOf(1)).value();
  const Bytes server_ =
      IssueServer(ca_key_, ca_, leaf_key_, {{"coordinator.test"}, {"::1"}}, kYear, SerialOf(2))
          .value();
  const Bytes device_ =
      IssueDevice(ca_key_, ca_, leaf_key_, DeviceNumber(7), {kNow, 4102444800}, SerialOf(4))
          .value();
  const std::vector<Bytes> good_ = {ca_, server_, device_};
  int compared_ = 0;
  int taken_ = 0;
  int verified_ = 0;
};

TEST_F(CertificateReference, GoodOnesReadAlikeAndTheEditorWritesThemBack) {
  for (const Bytes& der : good_) {
    EXPECT_EQ(Write(ReadAll(der)), der);
    EXPECT_EQ(Signed(ReadAll(der)), der);
    Compare(der);
  }
  EXPECT_EQ(verified_, 3);
}

TEST_F(CertificateReference, EveryBitFlipHasTheSameVerdict) {
  for (const Bytes& der : good_) {
    for (std::size_t i = 0; i < 8 * der.size(); ++i) {
      Bytes changed = der;
      changed[i / 8] ^= std::byte{1} << (i % 8);
      Compare(changed);
    }
  }
  EXPECT_GT(compared_, 8000);
  EXPECT_GT(taken_, 2000);
  EXPECT_EQ(verified_, 0);
}

TEST_F(CertificateReference, EveryByteThatIsMissingOrTooManyHasTheSameVerdict) {
  for (const Bytes& der : good_) {
    for (std::size_t i = 0; i <= der.size(); ++i) {
      Compare(Bytes(der.begin(), der.begin() + static_cast<std::ptrdiff_t>(i)));
      for (const int byte : {0x00, 0x30, 0xff}) {
        Bytes longer = der;
        longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(i), std::byte(byte));
        Compare(longer);
      }
      if (i == der.size()) continue;
      Bytes shorter = der;
      shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(i));
      Compare(shorter);
    }
  }
  EXPECT_EQ(taken_, 3);  // the whole ones
}

// Lengths around a change are put right, and the authority signs the result: only what was changed
// can be the reason.
TEST_F(CertificateReference, EveryElementChangedAndSignedAgainHasTheSameVerdict) {
  for (const Bytes& der : good_) {
    std::vector<Element> root = ReadAll(der);
    ForEach(root, [&](std::vector<Element>& among, std::size_t i) {
      constexpr std::size_t kBitsOf = 16;  // bytes; in longer ones every bit is like another
      const Element before = among[i];
      for (const std::size_t more : {1U, 2U, 3U, 7U}) {
        among[i].more_length = more;
        Compare(Signed(root));
      }
      among[i] = before;
      for (unsigned form = 0; form < 0x100; form += 0x20) {  // every class, with parts or without
        for (const unsigned number : {0U, 1U, 2U, 3U, 4U, 6U, 12U, 16U, 17U, 19U, 23U, 24U}) {
          among[i].tag = form | number;
          Compare(Signed(root));
        }
      }
      among[i] = before;
      if (!before.open) {
        for (const std::size_t len : {0U, 1U, 2U, 19U, 20U, 21U, 63U, 64U, 65U, 66U}) {
          among[i].content.resize(len, std::byte{'1'});
          Compare(Signed(root));
        }
        among[i] = before;
        for (std::size_t bit = 0; bit < 8 * std::min(before.content.size(), kBitsOf); ++bit) {
          among[i].content[bit / 8] ^= std::byte{1} << (bit % 8);
          Compare(Signed(root));
          among[i].content[bit / 8] ^= std::byte{1} << (bit % 8);
        }
      }
    });
  }
  EXPECT_GT(compared_, 15000);
  EXPECT_GT(verified_, 500);
}

TEST_F(CertificateReference, EveryElementLeftOutDoubledOrInsertedHasTheSameVerdict) {
  const std::vector<Element> foreign = {
      {0x05, {}, {}, false, 0},                            // NULL
      {0x81, {std::byte{0}, std::byte{1}}, {}, false, 0},  // a unique number of the issuer
      {0x82, {std::byte{0}, std::byte{1}}, {}, false, 0},  // ... of the subject
      {0x01, {std::byte{0x00}}, {}, false, 0},             // FALSE
      {0x01, {std::byte{0x01}}, {}, false, 0},             // TRUE, but not in DER
      {0x01, {std::byte{0xff}}, {}, false, 0},             // TRUE
      {0x02, {std::byte{0x00}}, {}, false, 0},             // 0
      {0x30, {}, {}, true, 0},                             // SEQUENCE {}
  };
  for (const Bytes& der : good_) {
    std::vector<Element> root = ReadAll(der);
    std::vector<std::vector<Element>> changed;
    ForEach(root, [&](std::vector<Element>& among, std::size_t i) {
      const std::vector<Element> before = among;
      const auto at = [&among, i] { return among.begin() + static_cast<std::ptrdiff_t>(i); };
      const auto keep = [&] {
        changed.push_back(root);
        among = before;
      };
      among.erase(at());
      keep();
      among.insert(at(), before[i]);
      keep();
      if (i + 1 < among.size()) {
        std::swap(among[i], among[i + 1]);
        keep();
      }
      for (const Element& other : foreign) {
        among.insert(at(), other);
        keep();
        among.insert(at() + 1, other);
        keep();
      }
    });
    for (const auto& tree : changed) Compare(Signed(tree));
  }
  EXPECT_GT(compared_, 2500);
}

// Bytes of one in another, several places at once: what no list above thought of.
TEST_F(CertificateReference, RandomChangesHaveTheSameVerdict) {
  std::mt19937 random(20260501);
  const auto below = [&random](std::size_t limit) { return random() % limit; };
  for (int i = 0; i < 20000; ++i) {
    Bytes changed = good_[below(good_.size())];
    const Bytes& other = good_[below(good_.size())];
    for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
      const std::size_t len = 1 + below(40);
      const std::size_t from = below(other.size() - len);
      const std::size_t to = below(changed.size() - len);
      if (below(2) == 0) {
        std::copy_n(other.begin() + static_cast<std::ptrdiff_t>(from), len,
                    changed.begin() + static_cast<std::ptrdiff_t>(to));
      } else {
        changed[to] = std::byte(below(256));
      }
    }
    Compare(changed);
  }
  EXPECT_GT(taken_, 500);
}

}  // namespace
}  // namespace demur::crypto
