#include "share_oracle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "demur/seeded/seeded_random.h"
#include "result_matchers.h"

// The oracle of the crash tests must see what it is there to see: a session made by hand, in which
// the holders reveal what a test tells them to.
namespace demur::testing {
namespace {

constexpr std::uint32_t kMembers = 9;
constexpr std::uint32_t kThreshold = 5;
const wire::SecAggLimits kLimits{kMembers, 16, 16};

SecretArray<32> Filled(std::uint8_t value) {
  SecretArray<32> out;
  std::fill(out.mutable_view().begin(), out.mutable_view().end(), std::byte{value});
  return out;
}

class ShareOracleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    session_.fill(std::byte{7});
    for (std::uint8_t member = 0; member < kMembers; ++member) Advertise(member);
    const wire::Shares shares{session_, {}};
    oracle_.Take(DeviceNumber(1), wire::FrameType::kShares, Signed(wire::Encode(shares)));
  }

  static Bytes Signed(Bytes body) { return wire::Encode(wire::SignedBody{std::move(body), {}}); }

  // Member 0 owns real seeds; the others only hold.
  void Advertise(std::uint8_t member, std::uint8_t mask_seed = 100, std::uint8_t self_seed = 200) {
    wire::Advertise advertise;
    advertise.identity_key.fill(std::byte{static_cast<unsigned char>(member + 1)});
    advertise.certificate = {std::byte{1}};
    advertise.mask_key = secagg::KeyPairFromSeed({}, Filled(mask_seed)).value().public_key;
    advertise.self_commitment =
        secagg::SelfCommitment({}, advertise.identity_key, Filled(self_seed));
    oracle_.Take(DeviceNumber(member + 1U), wire::FrameType::kAdvertise,
                 Signed(wire::Encode(advertise)));
  }

  // Members 1 to `holders` reveal their shares of member 0's seed.
  void Reveal(wire::ShareKind kind, std::uint32_t holders) {
    std::vector<std::uint32_t> points;
    for (std::uint32_t index = 1; index < kMembers; ++index) points.push_back(index + 1);
    const auto coins = random_.Stream({.purpose = Purpose::kKeys}).value();
    const SecretArray<32> seed = Filled(kind == wire::ShareKind::kMask ? 100 : 200);
    auto shares = secagg::SplitSecret(seed, kThreshold, points, *coins).value();
    for (std::uint32_t index = 1; index <= holders; ++index) {
      wire::Unmask unmask;
      unmask.session = session_;
      unmask.shares.push_back({0, kind, std::move(shares[index - 1])});
      oracle_.Take(DeviceNumber(index + 1), wire::FrameType::kUnmask, Signed(wire::Encode(unmask)));
    }
  }

  seeded::SeededRandom random_{3};
  Hash256 session_{};
  ShareOracle oracle_{{kLimits}};
};

TEST_F(ShareOracleTest, SeesBothSeedsWhereTheyCanBeOpened) {
  Reveal(wire::ShareKind::kSelf, kThreshold);
  Reveal(wire::ShareKind::kMask, kThreshold);
  const ShareOracle::Verdict verdict = oracle_.Judge();
  EXPECT_EQ(verdict.self_seeds, 1U);
  EXPECT_EQ(verdict.mask_seeds, 1U);
  EXPECT_EQ(verdict.both, 1U);
}
// The coordinator may have taken the first M1 of a device that came back with another, or the
// second: either way what was opened is noticed.
TEST_F(ShareOracleTest, SeesThroughAnotherAdvertisementOfTheSameMember) {
  for (const bool before : {true, false}) {
    oracle_ = ShareOracle({kLimits});
    if (before) Advertise(0, 7, 8);
    SetUp();
    if (!before) Advertise(0, 7, 8);
    Reveal(wire::ShareKind::kSelf, kThreshold);
    Reveal(wire::ShareKind::kMask, kThreshold);
    const ShareOracle::Verdict verdict = oracle_.Judge();
    EXPECT_EQ(verdict.self_seeds, 1U) << before;
    EXPECT_EQ(verdict.mask_seeds, 1U) << before;
    EXPECT_EQ(verdict.both, 1U) << before;
  }
}
TEST_F(ShareOracleTest, OneShareTooFewOpensNothing) {
  Reveal(wire::ShareKind::kSelf, kThreshold);
  Reveal(wire::ShareKind::kMask, kThreshold - 1);
  const ShareOracle::Verdict verdict = oracle_.Judge();
  EXPECT_EQ(verdict.self_seeds, 1U);
  EXPECT_EQ(verdict.mask_seeds, 0U);
  EXPECT_EQ(verdict.both, 0U);
}
TEST_F(ShareOracleTest, SeesASecondMaskedVectorOfOneAnnouncement) {
  for (const std::uint8_t value : {std::uint8_t{1}, std::uint8_t{2}}) {
    wire::Masked masked;
    masked.session = session_;
    masked.dim = kLimits.dim;
    masked.bits = kLimits.bits;
    masked.packed.assign(wire::PackedLen(kLimits.dim, kLimits.bits), std::byte{value});
    oracle_.Take(DeviceNumber(1), wire::FrameType::kMasked, Signed(wire::Encode(masked)));
  }
  EXPECT_EQ(oracle_.Judge().masked_bodies, 1U);
  EXPECT_EQ(oracle_.Judge().second_bodies, 1U);
}

}  // namespace
}  // namespace demur::testing
