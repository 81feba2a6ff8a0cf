#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "attacks_util.h"
#include "secagg_adversary.h"

// Members that lie in whole sessions of the malicious profile, and what a coordinator learns from
// two sessions of one device.
namespace demur::secagg {
namespace {

// The M2 that `device` got.
wire::Roster RosterOf(const SecAggSession& session, std::uint32_t device) {
  for (const auto& frame : session.sent()) {
    if (frame.device != device || frame.type != FrameType::kRoster) continue;
    auto roster = wire::DecodeRoster(Opened(frame.bytes).body,
                                     session.server_config().announcement().limits());
    EXPECT_OK(roster);
    return std::move(*roster);
  }
  ADD_FAILURE() << "no roster";
  return {};
}

// What a seed's shares cost who: a holder that reveals another share than it was dealt is blamed
// and the round goes on; a dealer whose shares are what it signed, and open to nothing, is blamed
// itself, not those who hold them.
TEST(SecAggNegative, bad_share_blamed) {
  {
    SecAggSession session(CompleteOptions(24));
    session.Depart(2, FrameType::kMasked);
    session.SetTap([&](SecAggSession::Frame& frame) {
      if (!frame.to_server || frame.type != FrameType::kUnmask || frame.device != 5) return true;
      const auto& place = std::get<client::state::Unmasked>(*session.device(5).state).place;
      auto unmask = wire::DecodeUnmask(Opened(frame.bytes).body,
                                       session.server_config().announcement().limits());
      for (auto& share : unmask->shares) share.share.mutable_view()[7] ^= std::byte{1};
      frame.bytes = SignedFrame(session.device(5).identity, FrameType::kUnmask, place.facts.session,
                                place.index, wire::Encode(*unmask));
      return true;
    });
    session.Run();
    ASSERT_EQ(session.evidence().size(), 1U);
    EXPECT_EQ(session.IndexOfDevice(session.evidence()[0].member), 5U);
    EXPECT_EQ(session.evidence()[0].fault, Fault::kShareMismatch);
    ASSERT_TRUE(session.sum_ready().has_value());
    EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
  }
  for (const bool survives : {true, false}) {
    for (const int wrong : {3, 23}) {  // of 23, of which 13 open a seed
      SCOPED_TRACE(::testing::Message() << survives << " " << wrong);
      SecAggSession session(CompleteOptions(24));
      if (!survives) session.Depart(4, FrameType::kMasked);
      session.SetTap([&](SecAggSession::Frame& frame) {
        if (!frame.to_server || frame.type != FrameType::kShares || frame.device != 4) return true;
        std::uint8_t next = 0;  // another value for each holder: on no polynomial of low degree
        const auto spoil = [&](std::span<std::byte> mask, std::span<std::byte> self) {
          if (next == wrong) return;
          ++next;
          for (std::size_t limb = 0; limb < 5; ++limb) {
            mask[limb * 8 + 6] ^= std::byte(next * 29);
            self[limb * 8 + 6] ^= std::byte(next * 31);
          }
        };
        frame.bytes =
            testing::DealAnew(session, 4, RosterOf(session, 4), Opened(frame.bytes).body, spoil);
        return true;
      });
      session.Run();
      ASSERT_EQ(session.evidence().size(), 1U);
      EXPECT_EQ(session.IndexOfDevice(session.evidence()[0].member), 4U);
      EXPECT_EQ(session.evidence()[0].fault, Fault::kBadDealing);
      EXPECT_EQ(session.sum_ready().has_value(), wrong == 3);
      if (session.sum_ready()) {
        EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
      } else {
        ASSERT_TRUE(session.abandoned().has_value());
        EXPECT_EQ(session.abandoned()->reason, ServerAbort::kBadDealing);
      }
    }
  }
}

// A dealer whose ciphertexts open for nobody, or not to what it signed, is a dealer of whom nobody
// reveals anything; that is found out at the latest when its secret is needed.
TEST(SecAggNegative, shares_that_do_not_open_count_as_not_received) {
  SecAggSession session(CompleteOptions(24));
  session.SetTap([&](SecAggSession::Frame& frame) {
    if (!frame.to_server || frame.type != FrameType::kShares || frame.device != 4) return true;
    const auto roster = RosterOf(session, 4);
    auto shares = wire::DecodeShares(Opened(frame.bytes).body,
                                     session.server_config().announcement().limits());
    for (auto& item : shares->items) item.sealed[3] ^= std::byte{1};
    const auto facts = MakeSession(session.server_config().announcement(), roster.server_nonce,
                                   roster.root, roster.size);
    frame.bytes = SignedFrame(session.device(4).identity, FrameType::kShares, facts.session,
                              roster.my_index, wire::Encode(*shares));
    return true;
  });
  session.Run();
  EXPECT_FALSE(session.sum_ready().has_value());
  ASSERT_TRUE(session.abandoned().has_value());
  EXPECT_EQ(session.abandoned()->reason, ServerAbort::kTooFewShares);
}

// The same device, the same vector, two rounds: nothing that it sends, and nothing that it draws,
// is there twice, so that the difference of two masked vectors tells nothing.
TEST(SecAggNegative, two_maskings_fresh_secrets) {
  seeded::SeededRandom random(5);
  auto stream = random.Stream({1, 2, 3, 4, Purpose::kKeys});
  ASSERT_OK(stream);
  std::set<Bytes> drawn;
  for (int session = 0; session < 2; ++session) {
    const auto secrets = DrawClientSecrets(**stream);
    ASSERT_OK(secrets);
    for (const auto* seed :
         {&secrets->mask_seed, &secrets->self_seed, &secrets->channel_seed, &secrets->share_seed}) {
      EXPECT_TRUE(drawn.insert(ToBytes(seed->view())).second);
    }
    EXPECT_TRUE(drawn.insert(ToBytes(secrets->nonce)).second);
  }
  EXPECT_EQ(drawn.size(), 10U);

  SessionOptions options = CompleteOptions();
  options.dim = 2048;
  options.bits = 8;
  std::vector<wire::Advertise> advertised;
  std::vector<wire::Masked> masked;
  for (const std::uint32_t round : {1U, 2U}) {
    options.round = round;
    SecAggSession session(options);
    session.Run();
    for (const auto& frame : session.received()) {
      if (frame.device != 0) continue;
      const Bytes body = Opened(frame.bytes).body;
      const auto limits = session.server_config().announcement().limits();
      if (frame.type == FrameType::kAdvertise) advertised.push_back(*wire::DecodeAdvertise(body));
      if (frame.type == FrameType::kMasked) masked.push_back(*wire::DecodeMasked(body, limits));
    }
  }
  ASSERT_EQ(advertised.size(), 2U);
  EXPECT_NE(advertised[0].channel_key, advertised[1].channel_key);
  EXPECT_NE(advertised[0].mask_key, advertised[1].mask_key);
  EXPECT_NE(advertised[0].nonce, advertised[1].nonce);
  EXPECT_NE(advertised[0].self_commitment, advertised[1].self_commitment);
  // 2,048 differences over 16 bins, 15 degrees of freedom: above 60 has a probability below 1e-6.
  ASSERT_EQ(masked.size(), 2U);
  std::vector<double> bins(16);
  for (std::size_t i = 0; i < masked[0].packed.size(); ++i) {
    const auto difference = static_cast<std::uint8_t>(std::to_integer<int>(masked[0].packed[i]) -
                                                      std::to_integer<int>(masked[1].packed[i]));
    ++bins[difference / 16];
  }
  double chi_square = 0;
  for (const double count : bins) chi_square += (count - 128) * (count - 128) / 128;
  EXPECT_LT(chi_square, 60);
  // Once it is out, no second vector of the same session is made.
  Recording& r = Complete();
  EXPECT_TRUE(
      Step(r.DeviceIn(0, "masked"), client::event::Input{r.session().InputOf(0)}, r.config(0))
          .refused);
}

// A ciphertext in another place: of another dealer, for another holder, of another session.
TEST(SecAggNegative, share_swap_aad) {
  Recording& r = Complete();
  const auto received = [&](const wire::Inbox& inbox) {
    const auto t = Give(r, 0, "shared", FrameType::kInbox, AsFrame(inbox, r));
    const auto* ready = std::get_if<client::state::Ready>(&t.next);
    EXPECT_NE(ready, nullptr) << NameOf(t.next);
    return ready == nullptr ? std::size_t{0} : ready->shares.size();
  };
  const wire::Inbox honest = InboxOf(0, r);
  ASSERT_EQ(received(honest), 19U);
  wire::Inbox inbox = honest;
  std::swap(inbox.items[2].sealed, inbox.items[5].sealed);
  EXPECT_EQ(received(inbox), 17U) << "another dealer's";
  // What the same dealer sealed for somebody else, hashes and all.
  inbox = honest;
  const std::uint32_t other = r.DeviceAt(inbox.items[0].index == 1 ? 2 : 1);
  for (const auto& item : InboxOf(other, r).items) {
    if (item.index == inbox.items[0].index) inbox.items[0] = item;
  }
  ASSERT_NE(inbox.items[0], honest.items[0]);
  EXPECT_EQ(received(inbox), 18U) << "another holder's";
  SessionOptions next = CompleteOptions();
  next.round = 2;
  SecAggSession second(next);
  second.Run();
  for (const auto& frame : second.sent()) {
    if (frame.device != 0 || frame.type != FrameType::kInbox) continue;
    inbox = *wire::DecodeInbox(Opened(frame.bytes).body, r.announcement().limits());
  }
  wire::Inbox mixed = honest;
  mixed.items[7] = inbox.items[7];
  ASSERT_NE(mixed.items[7], honest.items[7]);
  EXPECT_EQ(received(mixed), 18U) << "another session's";
  // Below the threshold there is no vector at all.
  for (std::size_t i = 0; i < 9; ++i) mixed.items[i].sealed[0] ^= std::byte{1};
  EXPECT_TRUE(
      Fails(Give(r, 0, "shared", FrameType::kInbox, AsFrame(mixed, r)), ClientAbort::kShares));
}

// The nonce of a sealed share is a constant, so a key must never seal twice: a device deals for one
// roster, and no two channels have the same key, of whichever session, dealer or holder.
TEST(SecAggNegative, one_roster_one_seal) {
  Recording& r = Complete();
  wire::Roster other = secagg::RosterOf(0, r);
  other.neighbours.pop_back();
  EXPECT_TRUE(
      Fails(Give(r, 0, "shared", FrameType::kRoster, AsFrame(other, r)), ClientAbort::kSecondBody));

  std::vector<crypto::X25519KeyPair> pairs;
  for (std::uint32_t i = 0; i < 4; ++i) {
    pairs.push_back(
        *KeyPairFromSeed(r.announcement().announce_hash, r.session().SecretsOf(i).channel_seed));
  }
  std::set<Bytes> keys;
  for (const int session : {1, 2}) {  // of one announcement: another roster, or another nonce
    SessionFacts facts{r.announcement().announce_hash, r.announcement().params_hash, {}, {}, {}, 4};
    facts.session.fill(std::byte(session));
    for (std::uint32_t i = 0; i < 4; ++i) {
      auto own = *crypto::X25519Agreement::Create(pairs[i].private_key);
      for (std::uint32_t j = 0; j < 4; ++j) {
        if (j == i) continue;
        const auto channel =
            DeriveChannel(facts, own, {i, pairs[i].public_key}, {j, pairs[j].public_key});
        ASSERT_OK(channel);
        EXPECT_TRUE(keys.insert(ToBytes(channel->to_peer.view())).second) << i << " to " << j;
      }
    }
  }
}

}  // namespace
}  // namespace demur::secagg
