#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "demur/secagg/graph.h"
#include "demur/secagg/member_set.h"
#include "demur/secagg/packing.h"
#include "demur/secagg/shamir.h"
#include "secagg_test_util.h"

// One byte of a signed frame is not what it was: whichever byte, neither side acts on the frame.
// (The envelope around body and signature has bytes that say nothing; what is signed has none.) And
// what a caller must not do stops the program before anything is computed.
namespace demur::secagg {
namespace {

using wire::FrameType;

Recording& Reference() {
  static Recording& recording = *new Recording(SessionOptions{});
  return recording;
}

// `frame` with byte `at` changed, in the bit that `at` picks.
Bytes Changed(ByteView frame, std::size_t at) {
  Bytes out = ToBytes(frame);
  out[at] ^= std::byte(1U << (at % 8));
  return out;
}
// The envelope opens to the very body and signature of `good`.
bool SaysTheSame(ByteView frame, ByteView good) {
  const auto opened = wire::DecodeSignedBody(ToBytes(frame), 1U << 24);
  const auto expected = Opened(good);
  return opened && opened->body == expected.body && opened->signature == expected.signature;
}
// The first and last bytes, where the parts of a frame are described, and some between.
std::vector<std::size_t> Places(const Bytes& good, std::size_t between) {
  std::vector<std::size_t> out;
  const auto add = [&](std::size_t at) {
    if (!SaysTheSame(Changed(good, at), good)) out.push_back(at);
  };
  for (std::size_t at = 0; at < 24; ++at) add(at);
  for (std::size_t i = 0; i < between; ++i) add(24 + i * (good.size() - 32) / between);
  for (std::size_t at = good.size() - 8; at < good.size(); ++at) add(at);
  EXPECT_GE(out.size(), 20 + between);  // of 32
  return out;
}

struct Received {
  const char* state;
  FrameType type;
};
void PrintTo(const Received& received, std::ostream* out) { *out << received.state; }

class DeviceIntegrityTest : public ::testing::TestWithParam<Received> {};

TEST_P(DeviceIntegrityTest, AChangedFrameEndsTheSessionAndIsNotAnswered) {
  Recording& r = Reference();
  const Bytes& good = r.ToDevice(0, GetParam().type);
  for (const std::size_t at : Places(good, 12)) {
    const auto t = Step(r.DeviceIn(0, GetParam().state),
                        client::event::Message{GetParam().type, Changed(good, at)}, r.config(0));
    const auto* aborted = std::get_if<client::state::Aborted>(&t.next);
    ASSERT_NE(aborted, nullptr) << at << ": " << NameOf(t.next);
    EXPECT_TRUE(aborted->reason == ClientAbort::kBadSignature ||
                aborted->reason == ClientAbort::kMalformed)
        << at << ": " << ToString(aborted->reason);
    EXPECT_TRUE(std::all_of(t.effects.begin(), t.effects.end(), [](const ClientEffect& effect) {
      return std::holds_alternative<client::effect::Failed>(effect);
    })) << at;
  }
}

INSTANTIATE_TEST_SUITE_P(Each, DeviceIntegrityTest,
                         ::testing::Values(Received{"advertised", FrameType::kRoster},
                                           Received{"shared", FrameType::kInbox},
                                           Received{"masked", FrameType::kConfirmRequest},
                                           Received{"unmasked", FrameType::kClose}),
                         [](const auto& received) { return std::string(received.param.state); });

class CoordinatorIntegrityTest : public ::testing::TestWithParam<Received> {};

// Every member is tried with another place; whoever sent the frame loses its place, nobody else.
TEST_P(CoordinatorIntegrityTest, AChangedFrameIsEvidenceAndChangesNothingElse) {
  Recording& r = Reference();
  const std::uint32_t n = static_cast<std::uint32_t>(r.session().server_config().invited().size());
  std::vector<std::uint32_t> everybody;
  for (std::uint32_t i = 0; i < n; ++i) everybody.push_back(i);
  const auto places = Places(r.FromDevice(0, GetParam().type), 28);
  std::size_t next = 0;
  while (next < places.size()) {
    ServerState state = r.ServerIn(GetParam().state, everybody);
    ASSERT_EQ(PendingMembers(state), n);
    for (std::uint32_t device = 0; device + 1 < n && next < places.size(); ++device, ++next) {
      const MemberId member = r.session().device(device).identity.public_key;
      const Bytes& good = r.FromDevice(device, GetParam().type);
      auto t = Step(std::move(state),
                    server::event::Message{member, GetParam().type,
                                           Changed(good, std::min(places[next], good.size() - 1))},
                    r.session().server_config());
      const std::string text = Describe(t);
      ASSERT_TRUE(text.starts_with("evidence: bad signature") ||
                  text.starts_with("evidence: malformed message"))
          << places[next] << ": " << text;
      EXPECT_EQ(std::get<server::effect::Evidence>(t.effects.front()).member, member);
      EXPECT_EQ(NameOf(t.next), GetParam().state);
      EXPECT_EQ(PendingMembers(t.next), n - 1 - device);
      state = std::move(t.next);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Each, CoordinatorIntegrityTest,
                         ::testing::Values(Received{"announced", FrameType::kAdvertise},
                                           Received{"sharing", FrameType::kShares},
                                           Received{"masking", FrameType::kMasked},
                                           Received{"unmasking", FrameType::kUnmask}),
                         [](const auto& received) { return std::string(received.param.state); });

TEST(AnnouncementIntegrity, NoChangedOrCutFrameOpens) {
  Recording& r = Reference();
  const Bytes& good = *r.session().server_config().announce_frame();
  const crypto::PublicKey& key = r.session().server_key().public_key;
  ASSERT_OK(OpenAnnouncement(good, key));
  for (std::size_t at = 0; at < good.size(); ++at) {
    EXPECT_ERROR(OpenAnnouncement(ByteView(good).first(at), key), ErrorCode::kInvalidArgument);
    const Bytes changed = Changed(good, at);
    const auto opened = OpenAnnouncement(changed, key);
    ASSERT_EQ(opened.has_value(), SaysTheSame(changed, good)) << at;
    if (opened) continue;
    EXPECT_TRUE(opened.error().code() == ErrorCode::kPermissionDenied ||
                opened.error().code() == ErrorCode::kInvalidArgument)
        << at;
  }
}

// Signed by the right key, and still no plan: form comes behind the signature, sense behind form.
TEST(AnnouncementIntegrity, ASignedBodyThatIsNoSoundPlanIsRefused) {
  Recording& r = Reference();
  const auto open = [&](const Bytes& body) {
    return OpenAnnouncement(
        SignedFrame(r.session().server_key(), FrameType::kAnnounce, Hash256{}, kNoIndex, body),
        r.session().server_key().public_key);
  };
  const auto with = [&](const std::function<void(model::Plan&)>& change) {
    model::Plan plan = r.session().plan();
    change(plan);
    return wire::Encode(wire::Announce{wire::EncodePlan(plan), {}});
  };
  EXPECT_OK(open(with([](auto&) {})));
  EXPECT_ERROR(open({}), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(open(wire::Encode(wire::Announce{ToBytes(AsBytes("no plan")), {}})),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(open(with([](auto& p) { p.encoding.bits = 7; })), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(open(with([](auto& p) { p.encoding.bits = 33; })), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(open(with([](auto& p) { p.secagg.roster_max = 0; })), ErrorCode::kInvalidArgument);
  EXPECT_ERROR(open(with([](auto& p) { p.version += 1; })), ErrorCode::kInvalidArgument);
}

// Gives a counted number of bytes, then fails.
class ShortCoins final : public RandomStream {
 public:
  explicit ShortCoins(std::size_t len) : left_(len) {}
  Status Fill(std::span<std::byte> out) override {
    if (out.size() > left_) return Error(ErrorCode::kInternal, "empty");
    left_ -= out.size();
    std::fill(out.begin(), out.end(), std::byte{static_cast<unsigned char>(left_)});
    return {};
  }

 private:
  std::size_t left_;
};

TEST(ClientSecretsTest, AreFiveDrawsOrNothing) {
  for (std::size_t len = 0; len < 160; len += 31) {
    ShortCoins coins(len);
    EXPECT_ERROR(DrawClientSecrets(coins), ErrorCode::kInternal) << len;
  }
  ShortCoins coins(160);
  ASSERT_OK_AND_ASSIGN(const ClientSecrets secrets, DrawClientSecrets(coins));
  std::set<std::string> drawn = {ToHex(secrets.nonce)};
  for (const auto* seed :
       {&secrets.mask_seed, &secrets.self_seed, &secrets.channel_seed, &secrets.share_seed}) {
    drawn.insert(ToHex(seed->view()));
  }
  EXPECT_EQ(drawn.size(), 5U);
}

// --- What the headers call "checked"
// ----------------------------------------------------------------

TEST(ChecksDeathTest, WidthsOutsideEightToThirtyTwoStopTheProgram) {
  std::vector<std::uint32_t> values(4);
  for (const std::uint32_t bits : {0U, 7U, 33U}) {
    EXPECT_DEATH(Pack(values, bits), "8 to 32") << bits;
    EXPECT_DEATH(static_cast<void>(UnpackAdd(Bytes(4), bits, values)), "8 to 32") << bits;
  }
}
TEST(ChecksDeathTest, ThresholdsAndPointsThatShareNothingStopTheProgram) {
  const SecretArray<32> secret;
  const std::uint32_t good[] = {1, 2};
  const std::uint32_t zero[] = {1, 0};
  ShortCoins coins(1000);
  EXPECT_DEATH(static_cast<void>(SplitSecret(secret, 0, good, coins)), "threshold");
  EXPECT_DEATH(static_cast<void>(SplitSecret(secret, 3, good, coins)), "threshold");
  EXPECT_DEATH(static_cast<void>(SplitSecret(secret, 1, {}, coins)), "threshold");
  EXPECT_DEATH(static_cast<void>(SplitSecret(secret, 2, zero, coins)), "where the secret lies");
}
TEST(ChecksDeathTest, MembersAndGraphsOutsideTheRosterStopTheProgram) {
  MemberSet set(9);
  EXPECT_DEATH(set.Insert(9), "roster");
  EXPECT_DEATH(static_cast<void>(Graph::Create(10, Parameters{GraphKind::kRing, 3, 2, 2, 0, 0},
                                               SecretArray<32>())),
               "even and below");
  EXPECT_DEATH(static_cast<void>(Graph::Create(10, Parameters{GraphKind::kRing, 10, 2, 2, 0, 0},
                                               SecretArray<32>())),
               "even and below");
  ASSERT_OK_AND_ASSIGN(
      const Graph graph,
      Graph::Create(10, Parameters{GraphKind::kRing, 2, 2, 2, 0, 0}, SecretArray<32>()));
  EXPECT_DEATH(static_cast<void>(graph.Neighbours(10)), "member of the graph");
  EXPECT_DEATH(static_cast<void>(MerkleTree({})), "a tree has leaves");
}
// The ledger's permit is the only way to open a sum: one of another round starts no session.
TEST(ChecksDeathTest, APermitForAnotherRoundStartsNoSession) {
  Recording& r = Reference();
  model::Plan other = r.session().plan();
  other.round.counter += 1;
  EXPECT_DEATH(StartServer(r.session().server_config(), testing::MintPermit(other)),
               "another round");
  other = r.session().plan();
  other.task.bytes[0] ^= std::byte{1};
  EXPECT_DEATH(StartServer(r.session().server_config(), testing::MintPermit(other)),
               "another round");
  dp::RoundPermit spent = testing::MintPermit(r.session().plan());
  const dp::RoundPermit taken = std::move(spent);
  EXPECT_TRUE(taken.valid());
  EXPECT_DEATH(StartServer(r.session().server_config(), std::move(spent)), "another round");
}

}  // namespace
}  // namespace demur::secagg
