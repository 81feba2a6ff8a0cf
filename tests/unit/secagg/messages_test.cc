#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "demur/wire/secagg_messages.h"
#include "result_matchers.h"

// The layout of M0 to M10: what is written is read back, and lengths that the plan does not allow
// are refused.
namespace demur::wire {
namespace {

constexpr SecAggLimits kLimits{24, 100, 18};

Hash256 Filled(int value) {
  Hash256 out{};
  out.fill(std::byte(value));
  return out;
}
Signature Signed(int value) {
  Signature out{};
  out.fill(std::byte(value));
  return out;
}

Advertise SampleAdvertise() {
  Advertise out;
  out.announce = Filled(1);
  out.identity_key = Filled(2);
  out.certificate = Bytes(300, std::byte{3});
  out.channel_key = Filled(4);
  out.mask_key = Filled(5);
  out.nonce = Filled(6);
  out.self_commitment = Filled(7);
  return out;
}
Roster SampleRoster() {
  Roster out;
  out.server_nonce = Filled(1);
  out.size = 21;
  out.root = Filled(2);
  out.my_index = 20;
  out.neighbours = {{0, {Bytes(500, std::byte{9}), Signed(1)}}, {7, {Bytes(9), Signed(2)}}};
  out.committee = {{3, Filled(3), Filled(4)}};
  out.multiproof = {Filled(5), Filled(6)};
  return out;
}
SealedShares Sealed(std::uint32_t index) {
  SealedShares out;
  out.index = index;
  out.sealed.fill(std::byte(index + 2));
  out.mask_share_hash.fill(std::byte(index + 3));
  out.self_share_hash.fill(std::byte(index + 4));
  return out;
}
Masked SampleMasked() { return {Filled(1), Filled(2), 100, 18, Bytes(225, std::byte{7})}; }
Unmask SampleUnmask() {
  Unmask out;
  out.session = Filled(1);
  for (const std::uint32_t index : {2U, 5U, 23U}) {
    RevealedShare& share = out.shares.emplace_back();
    share.index = index;
    share.kind = index == 5 ? ShareKind::kMask : ShareKind::kSelf;
    std::fill_n(share.share.mutable_view().begin(), kShareLen, std::byte(index));
  }
  return out;
}

TEST(SecAggMessages, EveryMessageComesBackAsItWas) {
  const Announce m0{Bytes(700, std::byte{1}), Filled(2)};
  ASSERT_OK_AND_ASSIGN(const Announce m0_read, DecodeAnnounce(Encode(m0)));
  EXPECT_EQ(m0_read, m0);
  const Advertise m1 = SampleAdvertise();
  ASSERT_OK_AND_ASSIGN(const Advertise m1_read, DecodeAdvertise(Encode(m1)));
  EXPECT_EQ(m1_read, m1);
  ASSERT_OK_AND_ASSIGN(const Roster m2, DecodeRoster(Encode(SampleRoster()), kLimits));
  EXPECT_EQ(m2, SampleRoster());
  const Shares m3{Filled(1), {Sealed(0), Sealed(4), Sealed(23)}};
  ASSERT_OK_AND_ASSIGN(const Shares m3_read, DecodeShares(Encode(m3), kLimits));
  EXPECT_EQ(m3_read, m3);
  const Inbox m4{Filled(1), Bytes(3, std::byte{0xFF}), {Sealed(1), Sealed(2)}};
  ASSERT_OK_AND_ASSIGN(const Inbox m4_read, DecodeInbox(Encode(m4), kLimits));
  EXPECT_EQ(m4_read, m4);
  ASSERT_OK_AND_ASSIGN(const Masked m5, DecodeMasked(Encode(SampleMasked()), kLimits));
  EXPECT_EQ(m5, SampleMasked());
  const ConfirmRequest m6{Filled(1), Bytes(3, std::byte{0x0F})};
  ASSERT_OK_AND_ASSIGN(const ConfirmRequest m6_read, DecodeConfirmRequest(Encode(m6), kLimits));
  EXPECT_EQ(m6_read, m6);
  const Confirm m7{Filled(1), Signed(4)};
  ASSERT_OK_AND_ASSIGN(const Confirm m7_read, DecodeConfirm(Encode(m7)));
  EXPECT_EQ(m7_read, m7);
  const UnmaskRequest m8{Filled(1), {{2, Bytes(5), Signed(1)}, {3, Bytes(6), Signed(2)}}};
  ASSERT_OK_AND_ASSIGN(const UnmaskRequest m8_read, DecodeUnmaskRequest(Encode(m8), kLimits));
  EXPECT_EQ(m8_read, m8);
  const Close m10{Filled(1), CloseStatus::kExcluded, Filled(2)};
  ASSERT_OK_AND_ASSIGN(const Close m10_read, DecodeClose(Encode(m10)));
  EXPECT_EQ(m10_read, m10);
}

TEST(SecAggMessages, RevealedSharesComeBackAsTheyWere) {
  const Unmask sample = SampleUnmask();
  ASSERT_OK_AND_ASSIGN(const Unmask read, DecodeUnmask(Encode(sample), kLimits));
  EXPECT_EQ(read.session, sample.session);
  ASSERT_EQ(read.shares.size(), sample.shares.size());
  for (std::size_t i = 0; i < read.shares.size(); ++i) {
    EXPECT_EQ(read.shares[i].index, sample.shares[i].index);
    EXPECT_EQ(read.shares[i].kind, sample.shares[i].kind);
    EXPECT_TRUE(ConstantTimeEqual(read.shares[i].share.view(), sample.shares[i].share.view()));
  }
}

TEST(SecAggMessages, ListsAscendWithoutDoubles) {
  const Shares backward{Filled(1), {Sealed(4), Sealed(3)}};
  EXPECT_ERROR(DecodeShares(Encode(backward), kLimits), ErrorCode::kInvalidArgument);
  const Shares twice{Filled(1), {Sealed(4), Sealed(4)}};
  EXPECT_ERROR(DecodeShares(Encode(twice), kLimits), ErrorCode::kInvalidArgument);
  const Shares outside{Filled(1), {Sealed(24)}};
  EXPECT_ERROR(DecodeShares(Encode(outside), kLimits), ErrorCode::kInvalidArgument);
  Roster roster = SampleRoster();
  std::swap(roster.neighbours[0], roster.neighbours[1]);
  EXPECT_ERROR(DecodeRoster(Encode(roster), kLimits), ErrorCode::kInvalidArgument);
  const UnmaskRequest confirmations{Filled(1), {{2, Bytes(5), {}}, {2, Bytes(6), {}}}};
  EXPECT_ERROR(DecodeUnmaskRequest(Encode(confirmations), kLimits), ErrorCode::kInvalidArgument);
}

// The field that holds the records says how many bytes of them count.
Bytes WithFieldLen(Bytes body, std::uint32_t len, std::uint32_t new_len) {
  const auto pointer_end = [](std::uint32_t bytes) {  // list of bytes, little-endian
    const std::uint32_t word = bytes << 3 | 2;
    return Bytes{std::byte(word), std::byte(word >> 8), std::byte(word >> 16),
                 std::byte(word >> 24)};
  };
  const Bytes old = pointer_end(len);
  const auto at = std::search(body.begin(), body.end(), old.begin(), old.end());
  EXPECT_NE(at, body.end());
  const Bytes changed = pointer_end(new_len);
  std::copy(changed.begin(), changed.end(), at);
  return body;
}

TEST(SecAggMessages, RecordsAreWholeAndNoMoreThanTheRosterHas) {
  static_assert(kSealedRecordLen == 132 && kRevealedRecordLen == 45);
  const Bytes shares = Encode(Shares{Filled(1), {Sealed(1), Sealed(2)}});
  const Bytes inbox = Encode(Inbox{Filled(1), Bytes(3), {Sealed(1), Sealed(2)}});
  const Bytes unmask = Encode(SampleUnmask());
  EXPECT_OK(DecodeShares(WithFieldLen(shares, 264, 132), kLimits));
  EXPECT_OK(DecodeUnmask(WithFieldLen(unmask, 135, 90), kLimits));
  for (const std::uint32_t len : {1U, 4U, 44U, 46U, 89U, 91U, 131U, 133U}) {
    EXPECT_ERROR(DecodeShares(WithFieldLen(shares, 264, len), kLimits),
                 ErrorCode::kInvalidArgument);
    EXPECT_ERROR(DecodeInbox(WithFieldLen(inbox, 264, len), kLimits), ErrorCode::kInvalidArgument);
    EXPECT_ERROR(DecodeUnmask(WithFieldLen(unmask, 135, len), kLimits),
                 ErrorCode::kInvalidArgument);
  }
  Shares many{Filled(1), {}};
  Unmask all;
  for (std::uint32_t i = 0; i < 25; ++i) {
    many.items.push_back(Sealed(i));
    all.shares.emplace_back().index = i;
  }
  EXPECT_ERROR(DecodeShares(Encode(many), kLimits), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(DecodeUnmask(Encode(all), kLimits), ErrorCode::kInvalidArgument);
  Bytes kind = unmask;  // of the first share: behind its index, which is 2
  const Bytes record = {std::byte{0}, std::byte{0}, std::byte{0}, std::byte{2}, std::byte{2}};
  const auto at = std::search(kind.begin(), kind.end(), record.begin(), record.end());
  ASSERT_NE(at, kind.end());
  for (const int value : {0, 3, 255}) {
    *(at + 4) = std::byte(value);
    EXPECT_ERROR(DecodeUnmask(kind, kLimits), ErrorCode::kInvalidArgument);
  }
}

TEST(SecAggMessages, LengthsBeyondThePlanAreRefused) {
  Masked masked = SampleMasked();
  masked.packed.pop_back();
  EXPECT_ERROR(DecodeMasked(Encode(masked), kLimits), ErrorCode::kInvalidArgument);
  masked = SampleMasked();
  masked.dim = 99;
  EXPECT_ERROR(DecodeMasked(Encode(masked), kLimits), ErrorCode::kInvalidArgument);
  masked = SampleMasked();
  masked.bits = 19;
  EXPECT_ERROR(DecodeMasked(Encode(masked), kLimits), ErrorCode::kInvalidArgument);
  Advertise advertise = SampleAdvertise();
  advertise.certificate.clear();
  EXPECT_ERROR(DecodeAdvertise(Encode(advertise)), ErrorCode::kInvalidArgument);
  advertise.certificate.resize(kMaxMemberCertificateLen + 1);
  EXPECT_ERROR(DecodeAdvertise(Encode(advertise)), ErrorCode::kInvalidArgument);
  Roster roster = SampleRoster();
  roster.size = 25;
  EXPECT_ERROR(DecodeRoster(Encode(roster), kLimits), ErrorCode::kInvalidArgument);
  roster = SampleRoster();
  roster.my_index = 21;
  EXPECT_ERROR(DecodeRoster(Encode(roster), kLimits), ErrorCode::kInvalidArgument);
  roster = SampleRoster();
  roster.neighbours[1].index = 21;
  EXPECT_ERROR(DecodeRoster(Encode(roster), kLimits), ErrorCode::kInvalidArgument);
  const Inbox inbox{Filled(1), Bytes(4), {}};
  EXPECT_ERROR(DecodeInbox(Encode(inbox), kLimits), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(DecodeConfirmRequest(Encode(ConfirmRequest{Filled(1), Bytes(4)}), kLimits),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(DecodeShares(Encode(Shares{}), {kMaxRosterSize + 1, 1, 18}),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(DecodeAnnounce(Encode(Announce{})), ErrorCode::kInvalidArgument);
}

TEST(SecAggMessages, TruncatedAndLongerBodiesAreRefused) {
  const std::pair<Bytes, std::function<bool(ByteView)>> cases[] = {
      {Encode(Announce{Bytes(40), {}}), [](ByteView b) { return !!DecodeAnnounce(b); }},
      {Encode(SampleAdvertise()), [](ByteView b) { return !!DecodeAdvertise(b); }},
      {Encode(SampleRoster()), [](ByteView b) { return !!DecodeRoster(b, kLimits); }},
      {Encode(Shares{Filled(1), {Sealed(1)}}),
       [](ByteView b) { return !!DecodeShares(b, kLimits); }},
      {Encode(Inbox{Filled(1), Bytes(3), {Sealed(1)}}),
       [](ByteView b) { return !!DecodeInbox(b, kLimits); }},
      {Encode(SampleMasked()), [](ByteView b) { return !!DecodeMasked(ToBytes(b), kLimits); }},
      {Encode(ConfirmRequest{Filled(1), Bytes(3)}),
       [](ByteView b) { return !!DecodeConfirmRequest(b, kLimits); }},
      {Encode(Confirm{}), [](ByteView b) { return !!DecodeConfirm(b); }},
      {Encode(UnmaskRequest{Filled(1), {{2, Bytes(5), {}}}}),
       [](ByteView b) { return !!DecodeUnmaskRequest(b, kLimits); }},
      {Encode(SampleUnmask()), [](ByteView b) { return !!DecodeUnmask(b, kLimits); }},
      {Encode(Close{}), [](ByteView b) { return !!DecodeClose(b); }},
  };
  for (const auto& [body, decodes] : cases) {
    EXPECT_TRUE(decodes(body));
    for (std::size_t len = 0; len < body.size(); ++len) {
      ASSERT_FALSE(decodes(ByteView(body).first(len))) << len;
    }
    Bytes longer = body;
    longer.resize(body.size() + 8);
    EXPECT_FALSE(decodes(longer));
    // Bit flips in the segment table and the pointers are refused or read; they never crash.
    for (std::size_t bit = 0; bit < 8 * std::min<std::size_t>(body.size(), 128); ++bit) {
      Bytes flipped = body;
      flipped[bit / 8] ^= std::byte(1U << (bit % 8));
      (void)decodes(flipped);
    }
  }
}

TEST(SecAggMessages, FrameLimitsHoldTheLargestMessageAndNotMuchMore) {
  Roster roster = SampleRoster();
  roster.size = 24;
  roster.my_index = 23;
  roster.committee.clear();
  roster.multiproof.clear();
  Advertise advertise = SampleAdvertise();
  advertise.certificate.resize(kMaxMemberCertificateLen);
  const Bytes m1 = Encode(advertise);
  roster.neighbours.clear();
  Shares shares;
  Unmask unmask;
  UnmaskRequest request;
  request.confirmations.push_back({23, advertise.certificate, {}});
  for (std::uint32_t i = 0; i < 23; ++i) {
    roster.neighbours.push_back({i, {m1, {}}});
    request.confirmations.push_back({i, advertise.certificate, {}});
    shares.items.push_back(Sealed(i));
    unmask.shares.emplace_back().index = i;
  }
  const auto fits = [](FrameType type, const Bytes& body) {
    const std::size_t frame = Encode(SignedBody{body, {}}).size();
    EXPECT_LE(frame, MaxSecAggFrameLen(type, kLimits)) << ToString(type);
    EXPECT_GE(2 * frame + 4096, MaxSecAggFrameLen(type, kLimits)) << ToString(type);
  };
  fits(FrameType::kAdvertise, m1);
  fits(FrameType::kRoster, Encode(roster));
  fits(FrameType::kShares, Encode(shares));
  fits(FrameType::kInbox, Encode(Inbox{{}, Bytes(3), shares.items}));
  fits(FrameType::kMasked, Encode(SampleMasked()));
  fits(FrameType::kConfirmRequest, Encode(ConfirmRequest{{}, Bytes(3)}));
  fits(FrameType::kConfirm, Encode(Confirm{}));
  fits(FrameType::kUnmaskRequest, Encode(request));
  fits(FrameType::kUnmask, Encode(unmask));
  fits(FrameType::kClose, Encode(Close{}));
  EXPECT_EQ(MaxSecAggFrameLen(FrameType::kHello, kLimits), 0U);
}

}  // namespace
}  // namespace demur::wire
