#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

#include "crypto_test_util.h"
#include "demur/crypto/aead.h"
#include "demur/crypto/aes_ctr.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/keys.h"
#include "result_matchers.h"

// The published answers of every primitive, and the definitions of the composed ones written out
// the slow way. What a wrong length, padding or byte order would change shows up here.
namespace demur::crypto {
namespace {

using testing::Counting;
using testing::FilledKey;
using testing::Hex;
using testing::HexArray;
using testing::HexKey;
using testing::Repeat;

struct HashVector {
  Bytes message;
  const char* digest;
};

// FIPS 180-2, appendices B.1 to B.3.
TEST(KnownAnswers, Sha256) {
  const HashVector vectors[] = {
      {ToBytes(AsBytes("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {ToBytes(AsBytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {Repeat('a', 1'000'000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (const HashVector& vector : vectors) EXPECT_EQ(ToHex(Sha256(vector.message)), vector.digest);
}

struct HmacVector {
  Bytes key;
  Bytes message;
  const char* tag;  // or as much of it as is published
};

// RFC 4231, cases 3 to 5 and 7.
TEST(KnownAnswers, HmacSha256) {
  const HmacVector vectors[] = {
      {Repeat(0xaa, 20), Repeat(0xdd, 50),
       "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {Counting(1, 25), Repeat(0xcd, 50),
       "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
      {Repeat(0x0c, 20), ToBytes(AsBytes("Test With Truncation")),
       "a3b6167473100ee06e0c796c2955552b"},
      {Repeat(0xaa, 131),
       ToBytes(AsBytes("This is a test using a larger than block-size key and a larger than "
                       "block-size data. The key needs to be hashed before being used by the "
                       "HMAC algorithm.")),
       "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
  };
  for (const HmacVector& vector : vectors) {
    EXPECT_TRUE(ToHex(HmacSha256(vector.key, vector.message)).starts_with(vector.tag))
        << vector.tag;
  }
}

// RFC 5869, appendix A.2: salt and input longer than a block, output of three.
TEST(KnownAnswers, HkdfSha256) {
  ASSERT_OK_AND_ASSIGN(const SecretBytes out,
                       HkdfSha256(Counting(0x00, 80), Counting(0x60, 80), Counting(0xb0, 80), 82));
  EXPECT_EQ(ToHex(out.view()),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
            "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
            "cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

// NIST's AESAVS, KeySbox and VarKey for 256 bits: the cipher of the zero block is block 0.
TEST(KnownAnswers, Aes256OfTheZeroBlock) {
  const std::pair<const char*, const char*> vectors[] = {
      {"c47b0294dbbbee0fec4757f22ffeee3587ca4730c3d33b691df38bab076bc558",
       "46f2fb342d6f0ab477476fc501242c5f"},
      {"8000000000000000000000000000000000000000000000000000000000000000",
       "e35a6dcb19b201a01ebcfa8aa22b5759"},
  };
  for (const auto& [key, block] : vectors) {
    AesCtr ctr(HexKey(key));
    Bytes out(16);
    ASSERT_OK(ctr.Keystream(0, out));
    EXPECT_EQ(ToHex(out), block);
    const std::uint64_t zero[] = {0};
    ASSERT_OK(ctr.Blocks(zero, out));
    EXPECT_EQ(ToHex(out), block);
  }
}

struct AgreementVector {
  const char* scalar;
  const char* point;
  const char* shared;
};

// RFC 7748, section 5.2, second vector (the point has its top bit set), and section 6.1.
constexpr AgreementVector kAgreements[] = {
    {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
     "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
     "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
    {"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
     "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
     "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
    {"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
     "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
     "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
};

TEST(KnownAnswers, X25519) {
  for (const AgreementVector& vector : kAgreements) {
    ASSERT_OK_AND_ASSIGN(const SecretArray<32> shared,
                         X25519(HexKey(vector.scalar), HexArray<32>(vector.point)));
    EXPECT_EQ(ToHex(shared.view()), vector.shared);
  }
  ASSERT_OK_AND_ASSIGN(const X25519KeyPair pair, X25519FromSeed(HexKey(kAgreements[1].scalar)));
  EXPECT_EQ(ToHex(pair.public_key), kAgreements[2].point);
}

// RFC 7748, section 5.2: a thousand iterations of k, u = X25519(k, u), k.
TEST(KnownAnswers, X25519Iterated) {
  SecretArray<32> scalar;
  scalar.mutable_view()[0] = std::byte{9};
  PublicKey point{};
  point[0] = std::byte{9};
  for (int i = 0; i < 1000; ++i) {
    ASSERT_OK_AND_ASSIGN(SecretArray<32> next, X25519(scalar, point));
    std::copy(scalar.view().begin(), scalar.view().end(), point.begin());
    scalar = std::move(next);
  }
  EXPECT_EQ(ToHex(scalar.view()),
            "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

// --- Definitions, written out
// ---------------------------------------------------------------------

// RFC 2104, for keys of up to a block and beyond.
Hash256 SlowHmac(ByteView key, ByteView message) {
  Bytes block = key.size() > kSha256BlockLen ? ToBytes(Sha256(key)) : ToBytes(key);
  block.resize(kSha256BlockLen);
  const auto padded = [&block](unsigned char pad) {
    Bytes out = block;
    for (std::byte& byte : out) byte ^= std::byte{pad};
    return out;
  };
  ByteWriter inner;
  inner.Raw(padded(0x36)).Raw(message);
  ByteWriter outer;
  outer.Raw(padded(0x5c)).Raw(Sha256(inner.bytes()));
  return Sha256(outer.bytes());
}

// RFC 5869, section 2.
Bytes SlowHkdf(ByteView ikm, ByteView salt, ByteView info, std::size_t len) {
  const Bytes no_salt(kSha256Len);
  const Hash256 key = SlowHmac(salt.empty() ? ByteView(no_salt) : salt, ikm);
  Bytes out;
  Bytes last;
  for (std::uint8_t counter = 1; out.size() < len; ++counter) {
    ByteWriter input;
    input.Raw(last).Raw(info).U8(counter);
    last = ToBytes(SlowHmac(key, input.bytes()));
    out.insert(out.end(), last.begin(), last.end());
  }
  out.resize(len);
  return out;
}

TEST(Definitions, HmacForEveryKeyLength) {
  for (std::size_t len = 0; len <= 2 * kSha256BlockLen + 1; ++len) {
    const Bytes key = Counting(0x11, len);
    EXPECT_EQ(HmacSha256(key, key), SlowHmac(key, key)) << len;
  }
}

TEST(Definitions, HkdfForEveryPartOfABlockAndTheLongestOutput) {
  const Bytes ikm = Counting(1, 32);
  const Bytes salt = Counting(40, 65);
  const Bytes info = Counting(80, 21);
  std::vector<std::size_t> lengths = {kHkdfMaxLen - 1, kHkdfMaxLen};
  for (std::size_t len = 1; len <= 3 * kSha256Len + 1; ++len) lengths.push_back(len);
  for (const std::size_t len : lengths) {
    for (const bool salted : {true, false}) {
      const ByteView used = salted ? ByteView(salt) : ByteView();
      ASSERT_OK_AND_ASSIGN(const SecretBytes out, HkdfSha256(ikm, used, info, len));
      EXPECT_EQ(ToBytes(out.view()), SlowHkdf(ikm, used, info, len)) << len << " " << salted;
    }
  }
  EXPECT_EQ(ToBytes(HkdfKey({}, {}, {}).view()), SlowHkdf({}, {}, {}, 32));
}

// With the nonce 00 00 00 00 00 00 00 00 and the upper half of an index, GCM enciphers under the
// blocks (upper << 32) + 2, +3, ...: another implementation of the counter, at every height.
TEST(Definitions, KeystreamHasTheCounterOfGcm) {
  const SecretArray<32> key = FilledKey(0x3c);
  for (const std::uint32_t upper : {0U, 1U, 0x00ff00ffU, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
    ByteWriter text;
    text.U64(0).U32(upper);
    AeadNonce nonce{};
    std::copy(text.bytes().begin(), text.bytes().end(), nonce.begin());
    for (const std::size_t len : {1U, 15U, 16U, 17U, 4095U, 4113U}) {
      ASSERT_OK_AND_ASSIGN(const Bytes sealed, Seal(key, nonce, {}, Bytes(len)));
      Bytes stream(len);
      AesCtr ctr(key);
      ASSERT_OK(ctr.Keystream((std::uint64_t{upper} << 32) + 2, stream));
      EXPECT_EQ(stream, ToBytes(ByteView(sealed).first(len))) << upper << " " << len;
    }
  }
}

// NIST SP 800-38D, sections 6 and 7, bit by bit.
using Block = std::array<std::uint8_t, 16>;

Block TimesInGcmField(const Block& a, const Block& b) {
  Block product{};
  Block v = b;
  for (std::size_t bit = 0; bit < 128; ++bit) {
    const bool set = (a[bit / 8] >> (7 - bit % 8) & 1) != 0;
    for (std::size_t i = 0; i < 16 && set; ++i) product[i] ^= v[i];
    const bool carry = (v[15] & 1) != 0;
    for (std::size_t i = 16; i-- > 0;) {
      const auto from_above = i > 0 ? static_cast<unsigned>(v[i - 1] & 1U) << 7 : 0U;
      v[i] = static_cast<std::uint8_t>(static_cast<unsigned>(v[i] >> 1) | from_above);
    }
    if (carry) v[0] ^= 0xe1;
  }
  return product;
}

// `ciphertext` and `aad`, each padded to whole blocks, and their lengths, under hash key `h`.
Block Ghash(const Block& h, ByteView aad, ByteView ciphertext) {
  ByteWriter input;
  for (const ByteView part : {aad, ciphertext}) {
    input.Raw(part).Raw(Bytes((16 - part.size() % 16) % 16));
  }
  input.U64(8 * aad.size()).U64(8 * ciphertext.size());
  Block y{};
  for (std::size_t at = 0; at < input.bytes().size(); at += 16) {
    for (std::size_t i = 0; i < 16; ++i)
      y[i] ^= std::to_integer<std::uint8_t>(input.bytes()[at + i]);
    y = TimesInGcmField(y, h);
  }
  return y;
}

TEST(Definitions, GcmTagsForEveryPaddingOfBothInputs) {
  const SecretArray<32> key = FilledKey(0x81);
  AesCtr ctr(key);
  Bytes blocks(32);
  ASSERT_OK(ctr.Keystream(0, blocks));  // the hash key, and the block that hides the tag
  Block h{};
  for (std::size_t i = 0; i < 16; ++i) h[i] = std::to_integer<std::uint8_t>(blocks[i]);
  for (const std::size_t aad_len : {0U, 1U, 15U, 16U, 17U, 33U}) {
    for (std::size_t len = 0; len <= 33; ++len) {
      const Bytes aad = Counting(7, aad_len);
      ASSERT_OK_AND_ASSIGN(const Bytes sealed, Seal(key, AeadNonce{}, aad, Counting(90, len)));
      ASSERT_EQ(sealed.size(), len + kAeadTagLen);
      const Block hash = Ghash(h, aad, ByteView(sealed).first(len));
      for (std::size_t i = 0; i < 16; ++i) {
        EXPECT_EQ(sealed[len + i], std::byte{hash[i]} ^ blocks[16 + i]) << aad_len << " " << len;
      }
    }
  }
}

// --- How a stream is read
// -----------------------------------------------------------------------

// Any sequence of seeks, whole and broken reads and scattered blocks gives bytes of one stream.
TEST(CtrReads, EverySequenceOfReadsSeesOneStream) {
  const SecretArray<32> key = FilledKey(0x44);
  constexpr std::size_t kBlocks = 300;
  Bytes whole(kBlocks * kCtrBlockLen);
  AesCtr reference(key);
  ASSERT_OK(reference.Keystream(0, whole));
  std::mt19937 draw(11);
  const auto below = [&draw](std::size_t bound) { return draw() % bound; };
  AesCtr ctr(key);
  std::size_t next = 0;
  for (int step = 0; step < 2000; ++step) {
    const std::size_t first = below(3) == 0 ? below(kBlocks) : next % kBlocks;
    const std::size_t len = below((kBlocks - first) * kCtrBlockLen + 1);
    Bytes out(len, std::byte{0xee});
    if (below(4) == 0) {
      std::vector<std::uint64_t> indices(below(9));
      for (std::uint64_t& index : indices) index = below(kBlocks);
      out.resize(indices.size() * kCtrBlockLen);
      ASSERT_OK(ctr.Blocks(indices, out));
      for (std::size_t i = 0; i < out.size(); ++i) {
        ASSERT_EQ(out[i], whole[indices[i / 16] * 16 + i % 16]) << step;
      }
      continue;
    }
    ASSERT_OK(ctr.Keystream(first, out));
    ASSERT_TRUE(std::equal(out.begin(), out.end(), whole.begin() + std::ptrdiff_t(first * 16)))
        << "step " << step << ", block " << first << ", " << len << " bytes";
    next = first + (len + 15) / kCtrBlockLen;
  }
}

TEST(CtrReads, AMovedCipherGoesOnWhereItStood) {
  const SecretArray<32> key = FilledKey(0x45);
  Bytes whole(64);
  AesCtr first(key);
  ASSERT_OK(first.Keystream(0, std::span(whole).first(32)));
  AesCtr second = std::move(first);
  ASSERT_OK(second.Keystream(2, std::span(whole).subspan(32)));
  AesCtr third(FilledKey(0x46));
  third = std::move(second);
  Bytes again(64);
  ASSERT_OK(third.Keystream(0, again));
  EXPECT_EQ(again, whole);
}

TEST(CtrReads, AStreamCutAtRandomIsTheStream) {
  const SecretArray<32> key = FilledKey(0x47);
  Bytes whole(1 << 15);
  AesCtr ctr(key);
  ASSERT_OK(ctr.Keystream(0, whole));
  std::mt19937 draw(12);
  for (int trial = 0; trial < 20; ++trial) {
    const auto stream = MakeCtrStream(key);
    std::size_t at = 0;
    while (at < whole.size()) {
      const std::size_t most = trial % 2 == 0 ? 40 : 1200;  // inside, and beyond, its buffer
      const std::size_t len = std::min<std::size_t>(draw() % most, whole.size() - at);
      Bytes piece(len);
      ASSERT_OK(stream->Fill(piece));
      ASSERT_TRUE(std::equal(piece.begin(), piece.end(), whole.begin() + std::ptrdiff_t(at)))
          << trial << " " << at << " " << len;
      at += len;
    }
  }
}

}  // namespace
}  // namespace demur::crypto
