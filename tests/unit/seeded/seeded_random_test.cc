#include "demur/seeded/seeded_random.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "demur/crypto/aes_ctr.h"
#include "demur/crypto/hash.h"
#include "demur/crypto/labels.h"
#include "result_matchers.h"

namespace demur::seeded {
namespace {

constexpr StreamId kId = {0x0102030405060708, 0x1112131415161718, 0x21222324, 0x3132333435363738,
                          Purpose::kNoise};

std::string StreamHex(std::uint64_t seed, const StreamId& id, std::size_t len = 32) {
  SeededRandom random(seed);
  auto stream = random.Stream(id);
  EXPECT_OK(stream);
  Bytes out(len);
  EXPECT_OK((*stream)->Fill(out));
  return ToHex(out);
}
std::string BlocksHex(std::uint64_t seed, const StreamId& id,
                      std::vector<std::uint64_t> indices = {0, 1}) {
  SeededRandom random(seed);
  auto blocks = random.Blocks(id);
  EXPECT_OK(blocks);
  Bytes out(16 * indices.size());
  EXPECT_OK((*blocks)->Read(indices, out));
  return ToHex(out);
}

// The definition in the header, spelled out with other code.
SecretArray<32> ExpectedKey(std::uint64_t seed, const StreamId& id, std::uint8_t form) {
  ByteWriter text;
  text.Text(crypto::label::kSeeded).U64(seed).U64(id.task).U64(id.round).U32(id.attempt);
  text.U64(id.client).U8(static_cast<std::uint8_t>(id.purpose)).U8(form);
  const Hash256 digest = crypto::Sha256(text.bytes());
  SecretArray<32> key;
  std::copy(digest.begin(), digest.end(), key.mutable_view().begin());
  return key;
}

TEST(SeededRandomTest, FollowsItsDefinition) {
  Bytes expected(32);
  crypto::AesCtr stream(ExpectedKey(7, kId, 0));
  ASSERT_OK(stream.Keystream(0, expected));
  EXPECT_EQ(StreamHex(7, kId), ToHex(expected));
  crypto::AesCtr blocks(ExpectedKey(7, kId, 1));
  ASSERT_OK(blocks.Keystream(0, expected));
  EXPECT_EQ(BlocksHex(7, kId), ToHex(expected));
}

// Frozen (made with sha256sum and openssl enc -aes-256-ctr): seeded results, and every report that
// names a seed, depend on these bytes.
TEST(SeededRandomTest, KnownAnswersNeverChange) {
  EXPECT_EQ(StreamHex(1, {}), "80b4f1943b7de7991f4219570df9fd87035b17dbb526cb6c68fa2922faf302a1");
  EXPECT_EQ(StreamHex(7, kId), "763efd3a7e6c52d85ab4f9540c9654989866505d08f261cd69f5305cd2dd42a4");
  EXPECT_EQ(BlocksHex(1, {}), "641d8d4ae23622e5915d4108a510b0cc8c24476603f13f17c6d6d38f84ecca7f");
  EXPECT_EQ(BlocksHex(7, kId, {1ULL << 40, 3}),
            "589be6780bfa9b93f8a0ec91ebbd62b8577eaa38f5f61023e60aa75f8e7465a7");
}

TEST(SeededRandomTest, TheSameIdGivesTheSameBytesEachTimeAndFromAnyThread) {
  const std::string expected = StreamHex(7, kId, 1000);
  SeededRandom random(7);
  std::vector<std::string> seen(4);
  std::vector<std::thread> threads;
  for (std::string& slot : seen) {
    threads.emplace_back([&random, &slot] {
      auto stream = random.Stream(kId);
      Bytes out(1000);
      if (stream && (*stream)->Fill(out)) slot = ToHex(out);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& one : seen) EXPECT_EQ(one, expected);
}

TEST(SeededRandomTest, EveryPurposeIsAStreamOfItsOwn) {
  std::set<std::string> seen;
  for (std::uint8_t purpose = 1; purpose <= 9; ++purpose) {
    StreamId id = kId;
    id.purpose = static_cast<Purpose>(purpose);
    seen.insert(StreamHex(7, id));
    seen.insert(BlocksHex(7, id));
  }
  EXPECT_EQ(seen.size(), 18U);
}
TEST(SeededRandomTest, EveryFieldOfTheIdAndTheSeedMatters) {
  std::set<std::string> seen = {StreamHex(7, kId), StreamHex(8, kId)};
  StreamId id = kId;
  id.task ^= 1;
  seen.insert(StreamHex(7, id));
  id = kId;
  id.round ^= 1;
  seen.insert(StreamHex(7, id));
  id = kId;
  id.attempt ^= 1;
  seen.insert(StreamHex(7, id));
  id = kId;
  id.client ^= 1;
  seen.insert(StreamHex(7, id));
  EXPECT_EQ(seen.size(), 6U);
}
// Fields of fixed width: moving a value from one field to the next is another stream.
TEST(SeededRandomTest, NeighbouringFieldsDoNotRunIntoEachOther) {
  std::set<std::string> seen;
  seen.insert(StreamHex(1, {0, 0, 0, 0, Purpose::kKeys}));
  seen.insert(StreamHex(0, {1, 0, 0, 0, Purpose::kKeys}));
  seen.insert(StreamHex(0, {0, 1, 0, 0, Purpose::kKeys}));
  seen.insert(StreamHex(0, {0, 0, 1, 0, Purpose::kKeys}));
  seen.insert(StreamHex(0, {0, 0, 0, 1, Purpose::kKeys}));
  EXPECT_EQ(seen.size(), 5U);
}
// 4,000 devices over 5 rounds: no two streams begin alike (a chance collision is below 2^-98).
TEST(SeededRandomTest, RoundsAndClientsDoNotCollide) {
  SeededRandom random(3);
  std::set<std::string> seen;
  for (std::uint64_t round = 0; round < 5; ++round) {
    for (std::uint64_t client = 0; client < 4000; ++client) {
      auto stream = random.Stream({9, round, 0, client, Purpose::kSampling});
      std::array<std::byte, 16> out{};
      ASSERT_OK(stream);
      ASSERT_OK((*stream)->Fill(out));
      seen.insert(ToHex(out));
    }
  }
  EXPECT_EQ(seen.size(), 20000U);
}

}  // namespace
}  // namespace demur::seeded
