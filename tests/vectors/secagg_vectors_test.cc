#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "result_matchers.h"
#include "secagg_transcript.h"

// The golden files of tests/vectors/secagg against the library. They are frozen: a difference
// means that devices and coordinators of before and after do not understand each other.
namespace demur::testing {
namespace {

using wire::FrameType;

constexpr model::SecAggProfile kProfiles[] = {model::SecAggProfile::kMalicious,
                                              model::SecAggProfile::kSemiHonest};

Json Golden(const std::string& name) {
  std::ifstream in(DEMUR_SECAGG_GOLDEN "/" + name, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  auto document = Json::Parse(text.str());
  EXPECT_OK(document);
  return document ? std::move(*document) : Json();
}

Json Golden(model::SecAggProfile profile) {
  return Golden(profile == model::SecAggProfile::kMalicious ? "complete.json" : "ring.json");
}

// Line by line, so that a failure names the first value that differs.
void ExpectSame(const Json& golden, const Json& now) {
  std::istringstream expected(golden.Dump(0));
  std::istringstream actual(now.Dump(0));
  std::string a;
  std::string b;
  for (int line = 1; std::getline(expected, a); ++line) {
    ASSERT_TRUE(std::getline(actual, b)) << "line " << line << ": " << a;
    ASSERT_EQ(a, b) << "line " << line;
  }
  EXPECT_FALSE(std::getline(actual, b)) << b;
}

Bytes HexAt(const Json& object, const char* key) {
  const Json* value = object.Find(key);
  EXPECT_TRUE(value != nullptr && value->text() != nullptr) << key;
  auto bytes = FromHex(value != nullptr && value->text() != nullptr ? *value->text() : "");
  EXPECT_OK(bytes);
  return bytes ? std::move(*bytes) : Bytes();
}

void Load(const Json& member, const char* key, std::span<std::byte> out) {
  const Bytes bytes = HexAt(member, key);
  ASSERT_EQ(bytes.size(), out.size()) << key;
  std::copy(bytes.begin(), bytes.end(), out.begin());
}

// One device fed with what the file says it was sent.
class Replay {
 public:
  Replay(const Json& member, const secagg::ClientConfig& config)
      : member_(member), config_(config) {}

  void Start() {
    secagg::ClientSecrets secrets;
    Load(member_, "mask_seed", secrets.mask_seed.mutable_view());
    Load(member_, "self_seed", secrets.self_seed.mutable_view());
    Load(member_, "channel_seed", secrets.channel_seed.mutable_view());
    Load(member_, "share_seed", secrets.share_seed.mutable_view());
    Load(member_, "nonce", secrets.nonce);
    Do(secagg::client::event::Start{std::move(secrets)});
  }
  void Input() {
    std::vector<std::uint32_t> values;
    for (const Json& value : *member_.Find("input")->array()) {
      values.push_back(static_cast<std::uint32_t>(*value.Integer()));
    }
    Do(secagg::client::event::Input{std::move(values)});
  }
  void Receive(FrameType type, const char* name) {
    Do(secagg::client::event::Message{type, HexAt(*member_.Find("frames"), name)});
  }
  void ExpectSent(const char* name) const {
    EXPECT_EQ(ToHex(sent_), ToHex(HexAt(*member_.Find("frames"), name))) << name;
  }
  std::string_view state() const { return secagg::NameOf(state_); }

 private:
  void Do(secagg::ClientEvent event) {
    auto transition = secagg::Step(std::move(state_), std::move(event), config_);
    EXPECT_FALSE(transition.refused);
    state_ = std::move(transition.next);
    sent_.clear();
    for (const auto& effect : transition.effects) {
      if (const auto* send = std::get_if<secagg::client::effect::Send>(&effect)) {
        sent_ = *send->frame;
      }
    }
  }

  const Json& member_;
  const secagg::ClientConfig& config_;
  secagg::ClientState state_{secagg::client::state::Idle{}};
  Bytes sent_;
};

TEST(SecAggGolden, BothSidesStillSayWhatTheFilesSay) {
  for (const auto profile : kProfiles) {
    SecAggTranscript transcript(profile);
    ExpectSame(Golden(profile), transcript.Document());
    EXPECT_EQ(transcript.session().sum_ready()->sum, transcript.session().ExpectedSum());
    EXPECT_EQ(transcript.session().sum_ready()->survivors.size(), 19U);
    EXPECT_TRUE(transcript.session().evidence().empty());
  }
}

TEST(SecAggGolden, ADeviceAnswersTheRecordedFramesByteForByte) {
  for (const auto profile : kProfiles) {
    SecAggTranscript transcript(profile);
    const Json golden = Golden(profile);
    const Json::Array& members = *golden.Find("members")->array();
    for (const std::uint32_t index : SecAggTranscript::kShown) {
      const auto& device = transcript.session().device(transcript.DeviceAt(index));
      Replay replay(members.at(index), *device.config);
      replay.Start();
      replay.ExpectSent("M1");
      replay.Receive(FrameType::kRoster, "M2");
      replay.ExpectSent("M3");
      replay.Receive(FrameType::kInbox, "M4");
      replay.Input();
      replay.ExpectSent("M5");
      replay.Receive(FrameType::kConfirmRequest, "M6");
      if (transcript.malicious()) {
        replay.ExpectSent("M7");
        replay.Receive(FrameType::kUnmaskRequest, "M8");
      }
      replay.ExpectSent("M9");
      replay.Receive(FrameType::kClose, "M10");
      EXPECT_EQ(replay.state(), "closed");
    }
  }
}

// The announcement of the file opens to the plan of the file.
TEST(SecAggGolden, ADeviceReadsTheRecordedAnnouncement) {
  for (const auto profile : kProfiles) {
    const Json golden = Golden(profile);
    const Json& frames = *golden.Find("members")->array()->front().Find("frames");
    crypto::PublicKey key{};
    Load(*golden.Find("server"), "signing_key", key);
    ASSERT_OK_AND_ASSIGN(const auto announcement,
                         secagg::OpenAnnouncement(HexAt(frames, "M0"), key));
    EXPECT_EQ(announcement.plan.secagg.profile, profile);
    EXPECT_EQ(ToHex(wire::EncodePlan(announcement.plan)), ToHex(HexAt(golden, "plan")));
  }
}

TEST(SecAggGolden, TheExpanderIsStillDrawnAsTheFileSays) {
  ExpectSame(Golden("expander.json"), ExpanderExample().Document());
}

}  // namespace
}  // namespace demur::testing
