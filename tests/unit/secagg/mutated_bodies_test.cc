#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "attacks_util.h"
#include "both_profiles.h"

// Every message of every phase with its body spoilt in every way that is listed here, and with a
// good signature, as only a dishonest coordinator or member can make it: each is named and dropped,
// or taken for what it says; nothing crashes and no device gives two kinds of share of one member.
namespace demur::secagg {
namespace {

struct Mutant {
  std::string what;
  Bytes body;
};

std::vector<Mutant> Mutants(const Bytes& body, std::size_t flips) {
  std::vector<Mutant> out;
  const auto add = [&out](const std::string& what, Bytes mutant) {
    out.push_back({what, std::move(mutant)});
  };
  const auto resized = [&body](std::size_t size) {
    Bytes mutant = body;
    mutant.resize(size);
    return mutant;
  };
  add("empty", {});
  for (const std::size_t cut : {std::size_t{1}, std::size_t{8}, std::size_t{16}, body.size() / 2}) {
    add("cut by " + std::to_string(cut), resized(body.size() - cut));
    add("longer by " + std::to_string(cut), resized(body.size() + cut));
  }
  Bytes twice = body;
  twice.insert(twice.end(), body.begin(), body.end());
  add("twice", std::move(twice));
  for (const std::byte fill : {std::byte{0}, std::byte{0xFF}}) {
    Bytes filled = body;
    std::fill_n(filled.begin(), std::min<std::size_t>(filled.size(), 64), fill);
    add("head filled", std::move(filled));
    add("all filled", Bytes(body.size(), fill));
  }
  // Where the shape of a message is written, and then all over it.
  std::set<std::size_t> places;
  for (std::size_t at = 0; at < std::min<std::size_t>(body.size(), 24); ++at) places.insert(at);
  for (std::size_t i = 0; i < flips; ++i) places.insert(i * body.size() / flips);
  places.insert(body.size() - 1);
  for (const std::size_t at : places) {
    Bytes flipped = body;
    flipped[at] ^= std::byte(1U << (at % 8));
    add("bit in byte " + std::to_string(at), std::move(flipped));
  }
  return out;
}

struct Place {
  const char* state;
  FrameType type;
};
std::vector<Place> DevicePlaces(bool malicious) {
  std::vector<Place> out = {{"advertised", FrameType::kRoster},
                            {"shared", FrameType::kInbox},
                            {"masked", FrameType::kConfirmRequest}};
  if (malicious) out.push_back({"confirmed", FrameType::kUnmaskRequest});
  out.push_back({"unmasked", FrameType::kClose});
  return out;
}
std::vector<Place> ServerPlaces(bool malicious) {
  std::vector<Place> out = {{"announced", FrameType::kAdvertise},
                            {"sharing", FrameType::kShares},
                            {"masking", FrameType::kMasked}};
  if (malicious) out.push_back({"confirming", FrameType::kConfirm});
  out.push_back({"unmasking", FrameType::kUnmask});
  return out;
}

// Everything that device 0 says, while it is told `type` as `frame` in place of the honest one.
class Follow {
 public:
  explicit Follow(Recording& r) : r_(r) {}

  void Tell(ClientTransition t) {
    for (const ClientEffect& effect : t.effects) {
      const auto* send = std::get_if<client::effect::Send>(&effect);
      if (send != nullptr && send->type == FrameType::kUnmask) revealed_.insert(*send->frame);
    }
    state_ = std::move(t.next);
  }
  // The honest messages from `after` on, whatever became of the device.
  void GoOn(const std::vector<Place>& places, FrameType after) {
    bool on = false;
    for (const Place& place : places) {
      if (on) Tell(Give(place.type));
      if (place.type == FrameType::kInbox && on) {
        Tell(Step(std::move(state_), client::event::Input{r_.session().InputOf(0)}, r_.config(0)));
      }
      on = on || place.type == after;
    }
  }
  const std::set<Bytes>& revealed() const { return revealed_; }
  const ClientState& state() const { return state_; }

 private:
  ClientTransition Give(FrameType type) {
    return Step(std::move(state_), client::event::Message{type, r_.ToDevice(0, type)},
                r_.config(0));
  }
  Recording& r_;
  ClientState state_{client::state::Idle{}};
  std::set<Bytes> revealed_;
};

class MutatedBodies : public ::testing::TestWithParam<model::SecAggProfile> {
 protected:
  static Recording& World() {
    return GetParam() == model::SecAggProfile::kMalicious ? Complete() : Reference();
  }
};

TEST_P(MutatedBodies, EndADeviceByNameOrMeanWhatTheySay) {
  Recording& r = World();
  const auto places = DevicePlaces(r.malicious());
  std::size_t taken = 0;
  for (const Place& place : places) {
    for (const Mutant& mutant : Mutants(Opened(r.ToDevice(0, place.type)).body, 16)) {
      SCOPED_TRACE(std::string(place.state) + ", " + mutant.what);
      auto t = Give(r, 0, place.state, place.type, r.AsServer(place.type, mutant.body));
      EXPECT_FALSE(t.refused);
      if (const auto* aborted = std::get_if<client::state::Aborted>(&t.next)) {
        EXPECT_NE(aborted->reason, ClientAbort::kInternal);
        EXPECT_NE(aborted->reason, ClientAbort::kStopped);
        EXPECT_TRUE(Fails(t, aborted->reason));
      } else {
        ++taken;
      }
      Follow follow(r);
      follow.Tell(std::move(t));
      follow.GoOn(places, place.type);
      EXPECT_LE(follow.revealed().size(), 1U);
      for (const Bytes& frame : follow.revealed()) {
        const auto unmask = wire::DecodeUnmask(Opened(frame).body, r.announcement().limits());
        ASSERT_OK(unmask);
        std::set<std::uint32_t> dealers;
        for (const auto& share : unmask->shares) {
          EXPECT_TRUE(dealers.insert(share.index).second);
        }
      }
    }
  }
  // What is left that means something: other survivor sets, unknown status words, copies.
  EXPECT_LT(taken, 60U);
}

TEST_P(MutatedBodies, CostAMemberItsPlaceAndTheOthersNothing) {
  Recording& r = World();
  std::vector<std::uint32_t> everybody(20);
  for (std::uint32_t i = 0; i < 20; ++i) everybody[i] = i;
  const ServerConfig& config = r.session().server_config();
  for (const Place& place : ServerPlaces(r.malicious())) {
    std::optional<ServerState> state;
    std::uint32_t device = 0;
    std::size_t mutants = Mutants(Opened(r.FromDevice(0, place.type)).body, 24).size();
    for (std::size_t i = 0; i < mutants; ++i) {
      if (!state || device == 17) {  // three are left to wait for
        state = r.ServerIn(place.state, everybody);
        device = 0;
      }
      const auto all = Mutants(Opened(r.FromDevice(device, place.type)).body, 24);
      if (i >= all.size()) break;
      SCOPED_TRACE(std::string(place.state) + ", " + all[i].what);
      const MemberId id = r.session().device(device).identity.public_key;
      auto t =
          Step(std::move(*state),
               server::event::Message{id, place.type, r.AsDevice(device, place.type, all[i].body)},
               config);
      EXPECT_EQ(NameOf(t.next), place.state);
      EXPECT_FALSE(t.refused);
      if (!t.effects.empty()) {
        ASSERT_EQ(t.effects.size(), 2U);
        const auto* evidence = std::get_if<server::effect::Evidence>(&t.effects[0]);
        const auto* close = std::get_if<server::effect::Send>(&t.effects[1]);
        ASSERT_TRUE(evidence != nullptr && close != nullptr);
        EXPECT_EQ(evidence->member, id);
        EXPECT_EQ(close->to, id);
        EXPECT_FALSE(IsActive(t.next, id));
      }
      state = std::move(t.next);
      ++device;
    }
  }
}

// A frame under another type, of another sender, or longer than the plan allows.
TEST_P(MutatedBodies, WithAnotherTypeSenderOrLengthAreNotRead) {
  Recording& r = World();
  for (const Place& place : DevicePlaces(r.malicious())) {
    for (const Place& other : DevicePlaces(r.malicious())) {
      if (other.type == place.type) continue;
      const auto t = Give(r, 0, place.state, place.type, r.ToDevice(0, other.type));
      const auto* aborted = std::get_if<client::state::Aborted>(&t.next);
      ASSERT_NE(aborted, nullptr) << place.state;
      EXPECT_TRUE(aborted->reason == ClientAbort::kBadSignature ||
                  aborted->reason == ClientAbort::kMalformed);
    }
    const auto limit = wire::MaxSecAggFrameLen(place.type, r.announcement().limits());
    EXPECT_TRUE(
        Fails(Give(r, 0, place.state, place.type, Bytes(limit + 8)), ClientAbort::kMalformed));
  }
  const std::vector<std::uint32_t> holding = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (const Place& place : ServerPlaces(r.malicious())) {
    const MemberId id = r.session().device(0).identity.public_key;
    const auto sent = [&](Bytes frame) {
      return Describe(Step(r.ServerIn(place.state, holding),
                           server::event::Message{id, place.type, std::move(frame)},
                           r.session().server_config()));
    };
    EXPECT_EQ(sent(r.FromDevice(1, place.type)),
              std::string("evidence: bad signature, M10 -> ") + place.state);
    const auto limit = wire::MaxSecAggFrameLen(place.type, r.announcement().limits());
    EXPECT_EQ(sent(Bytes(limit + 8)),
              std::string("evidence: malformed message, M10 -> ") + place.state);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, MutatedBodies, testing::BothProfiles(), testing::NameOfProfile);

}  // namespace
}  // namespace demur::secagg
