#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "attacks_util.h"

// What a curious coordinator sees, and what dishonest members try. Each test has the name by which
// the attack is known.
namespace demur::secagg {
namespace {

// --- What the coordinator sees
// ------------------------------------------------------------------------------

// One device's vector of zeros, without any dropout: the coordinator must see uniform noise.
// Chi-square over 256 bins, 255 degrees of freedom: above 400 has a probability below 1e-7.
TEST(SecAggAttacks, masked_vector_without_dropout_is_uniform) {
  SessionOptions options;
  options.dim = 1U << 14;
  options.bits = 8;
  static Recording& r = *new Recording(options);
  auto t = Step(r.DeviceIn(0, "ready"),
                client::event::Input{std::vector<std::uint32_t>(options.dim)}, r.config(0));
  const auto* send = std::get_if<client::effect::Send>(&t.effects[1]);
  ASSERT_NE(send, nullptr);
  const auto masked = wire::DecodeMasked(Opened(*send->frame).body, r.announcement().limits());
  ASSERT_OK(masked);
  std::vector<double> bins(256);
  for (const std::byte byte : masked->packed) ++bins[std::to_integer<std::size_t>(byte)];
  double chi_square = 0;
  for (const double count : bins) chi_square += (count - 64) * (count - 64) / 64;
  EXPECT_LT(chi_square, 400);
  EXPECT_GT(chi_square, 150);
}

// The same device, the same vector, another session: nothing in common.
TEST(SecAggAttacks, masks_are_fresh_in_every_session) {
  Recording& r = Reference();
  SessionOptions next;
  next.round = 3;
  static Recording& second = *new Recording(next);
  const auto limits = r.announcement().limits();
  const auto a = wire::DecodeMasked(Opened(r.FromDevice(0, FrameType::kMasked)).body, limits);
  const auto b = wire::DecodeMasked(Opened(second.FromDevice(0, FrameType::kMasked)).body, limits);
  ASSERT_TRUE(a && b);
  std::size_t equal = 0;
  for (std::size_t i = 0; i < a->packed.size(); ++i)
    equal += a->packed[i] == b->packed[i] ? 1U : 0U;
  EXPECT_LT(equal, 8U);  // of 84 bytes
}

// --- Members
// ------------------------------------------------------------------------------------------------

std::string Unmasked(const std::function<void(wire::Unmask&)>& change) {
  Recording& r = Reference();
  auto unmask = wire::DecodeUnmask(Opened(r.FromDevice(0, FrameType::kUnmask)).body,
                                   r.announcement().limits());
  EXPECT_OK(unmask);
  change(*unmask);
  return Describe(
      Step(r.ServerIn("unmasking", {0, 1}),
           server::event::Message{r.session().device(0).identity.public_key, FrameType::kUnmask,
                                  r.AsDevice(0, FrameType::kUnmask, wire::Encode(*unmask))},
           r.session().server_config()));
}

TEST(SecAggAttacks, bad_share_blamed) {
  EXPECT_EQ(Unmasked([](auto&) {}), "-> unmasking");
  EXPECT_EQ(Unmasked([](auto& m) { m.shares[1].share.mutable_view()[39] ^= std::byte{1}; }),
            "evidence: share is not the dealt, M10 -> unmasking");
  EXPECT_EQ(Unmasked([](auto& m) { m.shares[0].kind = wire::ShareKind::kMask; }),
            "evidence: wrong share kind, M10 -> unmasking");
  EXPECT_EQ(Unmasked([](auto& m) { m.session[0] ^= std::byte{1}; }),
            "evidence: another round, M10 -> unmasking");
  EXPECT_EQ(Unmasked([](auto& m) {
              m.shares.resize(1);
              m.shares[0].index = Reference().IndexOf(0);  // its own
            }),
            "evidence: wrong neighbours, M10 -> unmasking");
}

// A holder whose share is wrong costs itself its place and the others nothing.
TEST(SecAggAttacks, a_lying_holder_does_not_end_the_session) {
  SessionOptions options;
  options.devices = 24;
  SecAggSession session(options);
  session.Depart(2, FrameType::kMasked);
  session.SetTap([&](SecAggSession::Frame& frame) {
    if (!frame.to_server || frame.type != FrameType::kUnmask || frame.device != 5) return true;
    const auto& state = std::get<client::state::Unmasked>(*session.device(5).state);
    auto unmask = wire::DecodeUnmask(Opened(frame.bytes).body,
                                     session.server_config().announcement().limits());
    unmask->shares[0].share.mutable_view()[3] ^= std::byte{1};
    frame.bytes = SignedFrame(session.device(5).identity, FrameType::kUnmask,
                              state.place.facts.session, state.place.index, wire::Encode(*unmask));
    return true;
  });
  session.Run();
  ASSERT_TRUE(session.sum_ready().has_value());
  EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
  ASSERT_EQ(session.evidence().size(), 1U);
  EXPECT_EQ(session.evidence()[0].fault, Fault::kShareMismatch);
}

// A dealer whose shares open to another seed than it committed to: blamed, and no sum comes out.
TEST(SecAggAttacks, a_seed_that_was_not_committed_to_blames_its_dealer) {
  Recording& r = Reference();
  for (const bool survives : {true, false}) {
    SessionOptions options;
    options.devices = 24;
    SecAggSession session(options);
    if (!survives) session.Depart(4, FrameType::kMasked);
    session.Start();
    ASSERT_TRUE(session.RunUntil("unmasking"));
    auto& state = std::get<server::state::Unmasking>(session.server());
    std::uint32_t index = 0;
    const MemberId dealer = session.device(4).identity.public_key;
    while (state.core.members[state.frozen.roster[index].position].id != dealer) ++index;
    auto& owner = state.frozen.roster[index];
    (survives ? owner.self_commitment : owner.mask_key)[0] ^= std::byte{1};
    session.Settle();
    EXPECT_FALSE(session.sum_ready().has_value());
    ASSERT_TRUE(session.abandoned().has_value());
    EXPECT_EQ(session.abandoned()->reason, ServerAbort::kBadDealing);
    EXPECT_TRUE(session.abandoned()->shares_asked);
    ASSERT_EQ(session.evidence().size(), 1U);
    EXPECT_EQ(session.evidence()[0].member, dealer);
    EXPECT_EQ(session.evidence()[0].fault, Fault::kBadDealing);
  }
  (void)r;
}

std::string Advertised(const std::function<void(wire::Advertise&)>& change) {
  Recording& r = Reference();
  auto advertise = wire::DecodeAdvertise(Opened(r.FromDevice(0, FrameType::kAdvertise)).body);
  EXPECT_OK(advertise);
  change(*advertise);
  return Describe(
      Step(r.ServerIn("announced", {0, 1}),
           server::event::Message{r.session().device(0).identity.public_key, FrameType::kAdvertise,
                                  r.AsDevice(0, FrameType::kAdvertise, wire::Encode(*advertise))},
           r.session().server_config()));
}

TEST(SecAggAttacks, an_advertisement_that_does_not_hold_is_rejected) {
  Recording& r = Reference();
  EXPECT_EQ(Advertised([](auto&) {}), "-> announced");
  EXPECT_EQ(Advertised([](auto& m) { m.announce[0] ^= std::byte{1}; }),
            "evidence: another round, M10 -> announced");
  EXPECT_EQ(
      Advertised([&](auto& m) { m.identity_key = r.session().device(1).identity.public_key; }),
      "evidence: certificate, M10 -> announced");
  EXPECT_EQ(Advertised([&](auto& m) { m.certificate = r.session().device(1).certificate; }),
            "evidence: certificate, M10 -> announced");
  EXPECT_EQ(Advertised([](auto& m) { m.certificate = ToBytes(AsBytes("forged")); }),
            "evidence: certificate, M10 -> announced");
  EXPECT_EQ(Advertised([](auto& m) { m.mask_key = m.channel_key; }),
            "evidence: bad key, M10 -> announced");
  EXPECT_EQ(Advertised([](auto& m) { m.mask_key.back() |= std::byte{0x80}; }),
            "evidence: bad key, M10 -> announced");
}

TEST(SecAggAttacks, a_vector_that_does_not_fit_is_rejected) {
  Recording& r = Reference();
  const auto given = [&](const std::function<void(wire::Masked&)>& change) {
    auto masked = wire::DecodeMasked(Opened(r.FromDevice(0, FrameType::kMasked)).body,
                                     r.announcement().limits());
    EXPECT_OK(masked);
    change(*masked);
    auto t =
        Step(r.ServerIn("masking", {0, 1}),
             server::event::Message{r.session().device(0).identity.public_key, FrameType::kMasked,
                                    r.AsDevice(0, FrameType::kMasked, wire::Encode(*masked))},
             r.session().server_config());
    return Describe(t);
  };
  EXPECT_EQ(given([](auto& m) { m.packed.back() |= std::byte{0x80}; }),  // six bits are unused
            "evidence: bad vector, M10 -> masking");
  EXPECT_EQ(given([](auto& m) { m.packed.pop_back(); }),
            "evidence: malformed message, M10 -> masking");
  EXPECT_EQ(given([](auto& m) { m.session[0] ^= std::byte{1}; }),
            "evidence: another round, M10 -> masking");
}

TEST(SecAggAttacks, shares_for_others_than_the_neighbours_are_rejected) {
  Recording& r = Reference();
  auto shares = wire::DecodeShares(Opened(r.FromDevice(0, FrameType::kShares)).body,
                                   r.announcement().limits());
  ASSERT_OK(shares);
  shares->items.pop_back();
  const auto t =
      Step(r.ServerIn("sharing", {0, 1}),
           server::event::Message{r.session().device(0).identity.public_key, FrameType::kShares,
                                  r.AsDevice(0, FrameType::kShares, wire::Encode(*shares))},
           r.session().server_config());
  EXPECT_EQ(Describe(t), "evidence: wrong neighbours, M10 -> sharing");
}

}  // namespace
}  // namespace demur::secagg
