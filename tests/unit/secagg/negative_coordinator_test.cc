#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "attacks_util.h"
#include "secagg_adversary.h"

// A coordinator that lies in whole sessions (tests/support/secagg_adversary.h): whatever it says to
// whom, no vector of an honest device opens. Each test has the name by which the attack is known.
namespace demur::secagg {
namespace {

using testing::LyingCoordinator;

SessionOptions Options(model::SecAggProfile profile, std::uint32_t devices) {
  SessionOptions options = CompleteOptions(devices);
  options.profile = profile;
  options.dim = 5;
  if (profile == model::SecAggProfile::kSemiHonest) options.sigma = 40;
  return options;
}

// gamma n devices.
std::set<std::uint32_t> Colluders(const SessionOptions& options) {
  std::set<std::uint32_t> out;
  for (std::uint32_t i = 0; i < options.devices * options.corrupt_permille / 1000; ++i) {
    out.insert(i);
  }
  return out;
}

std::vector<std::uint32_t> FirstHonest(const LyingCoordinator& c, std::size_t count) {
  std::vector<std::uint32_t> out;
  for (std::uint32_t i = 0; out.size() < count; ++i) {
    if (!c.IsColluder(i)) out.push_back(i);
  }
  return out;
}
bool Signs(const LyingCoordinator& c, std::uint32_t index) {
  return std::binary_search(c.committee().begin(), c.committee().end(), index);
}

// Members that are to believe that `victim` dropped out: as many honest neighbours as the threshold
// asks for besides the colluders, of those that sign nothing first. None of `taken`.
std::set<std::uint32_t> WhoHearsDropped(const LyingCoordinator& c, std::uint32_t victim,
                                        const std::set<std::uint32_t>& taken) {
  std::vector<std::uint32_t> order;
  std::uint32_t bought = 0;
  for (const bool signer : {false, true}) {
    for (const std::uint32_t i : c.graph().Neighbours(victim)) {
      if (signer != Signs(c, i)) continue;
      if (c.IsColluder(i)) {
        ++bought;
      } else if (!taken.contains(i)) {
        order.push_back(i);
      }
    }
  }
  const std::size_t wanted = c.parameters().threshold - std::min(bought, c.parameters().threshold);
  order.resize(std::min(order.size(), wanted));
  return {order.begin(), order.end()};
}

// What the coordinator shows those of whom the honest committee did not sign their set.
enum class Filler {
  kNothing,      // the colluders' signatures, which are too few
  kOtherSet,     // signatures over the set that the others were shown
  kNoCommittee,  // signatures of colluders who are not of the committee, and then of anybody's key
};

using Confirmations = std::vector<wire::Confirmation>;

// One of the lies of a session: some of a victim's neighbours hear that it dropped out.
struct View {
  MemberSet survivors;
  std::set<std::uint32_t> heard_by;
  Confirmations signatures;
};

Confirmations Request(LyingCoordinator& c, const View& view, const View& other, Filler filler) {
  Confirmations good = view.signatures;
  const auto add = [&](wire::Confirmation one) {
    const bool taken =
        std::any_of(good.begin(), good.end(), [&](const auto& g) { return g.index == one.index; });
    if (good.size() < c.parameters().quorum && !taken) good.push_back(std::move(one));
  };
  for (const auto& one : other.signatures) {
    if (filler == Filler::kOtherSet) add(one);
  }
  for (std::uint32_t i = 0; i < c.facts().n && filler == Filler::kNoCommittee; ++i) {
    if (!Signs(c, i)) add(c.Forge(i, c.TranscriptOf(view.survivors)));
  }
  std::sort(good.begin(), good.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  good.resize(std::min<std::size_t>(good.size(), c.parameters().quorum));
  return good;
}

// Tells some neighbours of each victim that it dropped out and everybody else that all are there;
// one victim for each filler.
void SplitViews(LyingCoordinator& c, const std::vector<std::uint32_t>& victims,
                const std::vector<Filler>& fillers) {
  std::vector<View> views = {{c.shared(), {}, {}}};
  std::map<std::uint32_t, std::size_t> view_of;
  std::set<std::uint32_t> taken(victims.begin(), victims.end());
  for (const std::uint32_t victim : victims) {
    View view{c.Without(c.shared(), {victim}), WhoHearsDropped(c, victim, taken), {}};
    for (const std::uint32_t i : view.heard_by) view_of[i] = views.size();
    taken.insert(view.heard_by.begin(), view.heard_by.end());
    views.push_back(std::move(view));
  }
  for (std::uint32_t i = 0; i < c.facts().n; ++i) {
    if (c.IsColluder(i)) {
      for (View& view : views) {
        if (Signs(c, i)) view.signatures.push_back(c.Forge(i, c.TranscriptOf(view.survivors)));
      }
      continue;
    }
    View& view = views[view_of[i]];
    const auto answer = c.AskToConfirm(i, view.survivors);
    if (c.malicious() && answer) view.signatures.push_back(c.ConfirmationIn(i, *answer));
  }
  if (!c.malicious()) return;  // M6 was answered with shares
  std::vector<Confirmations> requests = {Request(c, views[0], views[1], Filler::kNothing)};
  for (std::size_t v = 1; v < views.size(); ++v) {
    requests.push_back(Request(c, views[v], views[0], fillers[v - 1]));
  }
  for (std::uint32_t i = 0; i < c.facts().n; ++i) {
    if (!c.IsColluder(i)) c.AskToUnmask(i, requests[view_of[i]]);
  }
}

// The coordinator of these tests is no straw man: where devices agree on no survivor set it opens
// its victim. This is what the semi-honest profile trusts the coordinator not to do.
TEST(SecAggNegative, a_split_view_opens_a_victim_of_the_semi_honest_profile) {
  const SessionOptions options = Options(model::SecAggProfile::kSemiHonest, 60);
  LyingCoordinator c(options, Colluders(options));
  ASSERT_TRUE(c.CollectVectors());
  const std::uint32_t victim = FirstHonest(c, 1)[0];
  SplitViews(c, {victim}, {Filler::kNothing});
  const auto recovered = c.Recover(victim);
  ASSERT_TRUE(recovered.has_value());
  EXPECT_EQ(*recovered, c.session().InputOf(c.DeviceAt(victim)));
}

TEST(SecAggNegative, two_survivor_sets_one_signature) {
  SessionOptions options = Options(model::SecAggProfile::kMalicious, 210);
  options.sigma = 40;
  LyingCoordinator c(options, Colluders(options));
  ASSERT_TRUE(c.CollectVectors());
  ASSERT_EQ(c.parameters().graph, GraphKind::kExpander);
  const auto victims = FirstHonest(c, 3);
  SplitViews(c, victims, {Filler::kNothing, Filler::kOtherSet, Filler::kNoCommittee});
  for (const std::uint32_t victim : victims) {
    SCOPED_TRACE(victim);
    // There are neighbours enough for both lies: only the devices stand in the way.
    EXPECT_GE(c.SharesOf(victim, wire::ShareKind::kSelf), c.parameters().threshold);
    EXPECT_LT(c.SharesOf(victim, wire::ShareKind::kMask), c.parameters().threshold);
    EXPECT_FALSE(c.Recover(victim).has_value());
  }
}

// On a complete graph the threshold stands in the way as well.
TEST(SecAggNegative, a_split_view_opens_nothing_on_a_complete_graph) {
  const SessionOptions options = Options(model::SecAggProfile::kMalicious, 40);
  LyingCoordinator c(options, Colluders(options));
  ASSERT_TRUE(c.CollectVectors());
  const std::uint32_t victim = FirstHonest(c, 1)[0];
  SplitViews(c, {victim}, {Filler::kOtherSet});
  EXPECT_FALSE(c.Recover(victim).has_value());
}

// The whole committee signs one set, everybody reveals; then the other list is asked for.
TEST(SecAggNegative, unmask_overlap_rejected) {
  const SessionOptions options = Options(model::SecAggProfile::kMalicious, 40);
  LyingCoordinator c(options, Colluders(options));
  ASSERT_TRUE(c.CollectVectors());
  const std::uint32_t victim = FirstHonest(c, 1)[0];
  const MemberSet sets[2] = {c.shared(), c.Without(c.shared(), {victim})};
  Confirmations good;
  for (std::uint32_t i = 0; i < c.facts().n; ++i) {
    const auto answer = c.AskToConfirm(i, sets[0]);
    ASSERT_TRUE(answer.has_value());
    if (good.size() < c.parameters().quorum) good.push_back(c.ConfirmationIn(i, *answer));
  }
  for (std::uint32_t i = 0; i < c.facts().n; ++i) c.AskToUnmask(i, good);
  EXPECT_GE(c.SharesOf(victim, wire::ShareKind::kSelf), c.facts().n - 1);
  for (std::uint32_t i = 0; i < c.facts().n; ++i) {
    if (c.IsColluder(i) || i == victim) continue;
    EXPECT_FALSE(c.AskToConfirm(i, sets[1]).has_value());
    const auto* aborted =
        std::get_if<client::state::Aborted>(&*c.session().device(c.DeviceAt(i)).state);
    ASSERT_NE(aborted, nullptr);
    EXPECT_EQ(aborted->reason, ClientAbort::kSecondBody);
  }
  EXPECT_FALSE(c.Recover(victim).has_value());
}

// A set that leaves out more than the design allows, or all but a few.
TEST(SecAggNegative, server_low_threshold_rejected) {
  Recording& r = Complete();
  const std::uint32_t own = r.IndexOf(0);
  MemberSet few(20);
  for (std::uint32_t i = 0; i < 13; ++i) few.Insert((own + i) % 20);  // 14 have to survive
  EXPECT_TRUE(Fails(Give(r, 0, "masked", FrameType::kConfirmRequest, ConfirmFrame(few, r)),
                    ClientAbort::kSurvivors));
  few.Insert((own + 13) % 20);
  EXPECT_EQ(Describe(Give(r, 0, "masked", FrameType::kConfirmRequest, ConfirmFrame(few, r))),
            "mark survivors, M7 -> confirmed");
  // A roster below the plan's, with a tree of its own.
  wire::Roster roster = RosterOf(0, r);
  roster.size = 19;
  roster.my_index = std::min(roster.my_index, 18U);
  roster.neighbours.pop_back();
  EXPECT_TRUE(Fails(Give(r, 0, "advertised", FrameType::kRoster, AsFrame(roster, r)),
                    ClientAbort::kRoster));
}

// Half of the cohort gets another model. What the halves send names their announcement, so nobody
// takes a neighbour of the other half, and without that no mask cancels.
TEST(SecAggNegative, model_hash_mismatch_no_cancel) {
  Recording& r = Complete();
  model::Plan plan = r.session().plan();
  plan.model_hash[0] ^= std::byte{1};
  SecAggSession other(CompleteOptions(), plan);
  other.Start();
  ASSERT_TRUE(other.RunUntil("sharing"));
  wire::Roster roster = RosterOf(0, r);
  const std::uint32_t device = r.DeviceAt(roster.neighbours[0].index);
  for (const auto& frame : other.received()) {
    if (frame.device == device) roster.neighbours[0].advertise = Opened(frame.bytes);
  }
  ASSERT_NE(roster, RosterOf(0, r));
  EXPECT_TRUE(Fails(Give(r, 0, "advertised", FrameType::kRoster, AsFrame(roster, r)),
                    ClientAbort::kRoster));
  // The coordinator makes one announcement of both for the device: it is the device's own that
  // enters the masks.
  auto facts = std::get<client::state::Masked>(r.DeviceIn(0, "masked")).place.facts;
  EXPECT_EQ(facts.model_hash, r.session().plan().model_hash);
  const auto honest = ConfirmTranscript(facts, AllBut({}), AllBut({}));
  facts.model_hash = plan.model_hash;
  EXPECT_NE(ConfirmTranscript(facts, AllBut({}), AllBut({})), honest);
}

// Old frames, as they were and signed anew for this round.
TEST(SecAggNegative, replayed_session) {
  Recording& old = Complete();
  SessionOptions next = CompleteOptions();
  next.round = 2;
  static Recording& r = *new Recording(next);
  const std::pair<const char*, FrameType> steps[] = {{"advertised", FrameType::kRoster},
                                                     {"shared", FrameType::kInbox},
                                                     {"masked", FrameType::kConfirmRequest},
                                                     {"confirmed", FrameType::kUnmaskRequest},
                                                     {"unmasked", FrameType::kClose}};
  for (const auto& [state, type] : steps) {
    SCOPED_TRACE(state);
    const Bytes& frame = old.ToDevice(0, type);
    EXPECT_TRUE(Fails(Give(r, 0, state, type, frame), ClientAbort::kBadSignature));
    const auto again = Give(r, 0, state, type, r.AsServer(type, Opened(frame).body));
    const bool names_announcement = type == FrameType::kRoster || type == FrameType::kClose;
    EXPECT_TRUE(Fails(again, names_announcement ? ClientAbort::kRoster : ClientAbort::kMalformed));
  }
  // And with the session's name written over: seals and signatures are bound to the session.
  wire::Inbox inbox = InboxOf(0, old);
  inbox.session = r.session_id();
  EXPECT_TRUE(
      Fails(Give(r, 0, "shared", FrameType::kInbox, AsFrame(inbox, r)), ClientAbort::kShares));
  wire::UnmaskRequest request = UnmaskRequestOf(0, old);
  request.session = r.session_id();
  EXPECT_TRUE(Fails(Give(r, 0, "confirmed", FrameType::kUnmaskRequest, AsFrame(request, r)),
                    ClientAbort::kConfirmations));
  for (const auto& [state, type] : {std::pair{"announced", FrameType::kAdvertise},
                                    {"sharing", FrameType::kShares},
                                    {"masking", FrameType::kMasked},
                                    {"confirming", FrameType::kConfirm},
                                    {"unmasking", FrameType::kUnmask}}) {
    const auto t = Step(r.ServerIn(state, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}),
                        server::event::Message{r.session().device(0).identity.public_key, type,
                                               old.FromDevice(0, type)},
                        r.session().server_config());
    EXPECT_EQ(Describe(t), std::string("evidence: bad signature, M10 -> ") + state);
  }
}

// U3 with a member of whom this device made no mask.
TEST(SecAggNegative, u2_mismatch_aborts) {
  Recording& r = Complete();
  const std::uint32_t absent = (r.IndexOf(0) + 1) % 20;
  wire::Inbox inbox = InboxOf(0, r);
  inbox.shared = ToBytes(AllBut({absent}).bytes());
  auto t = Give(r, 0, "shared", FrameType::kInbox, AsFrame(inbox, r));
  ASSERT_EQ(NameOf(t.next), "ready");
  t = Step(std::move(t.next), client::event::Input{r.session().InputOf(0)}, r.config(0));
  ASSERT_EQ(NameOf(t.next), "masked");
  ClientState masked = std::move(t.next);
  t = Step(std::move(masked),
           client::event::Message{FrameType::kConfirmRequest, ConfirmFrame(AllBut({}), r)},
           r.config(0));
  EXPECT_TRUE(Fails(t, ClientAbort::kSurvivors));
  // A device that was shown another U2 than the committee takes no signature of theirs.
  t = Give(r, 0, "shared", FrameType::kInbox, AsFrame(inbox, r));
  t = Step(std::move(t.next), client::event::Input{r.session().InputOf(0)}, r.config(0));
  t = Step(std::move(t.next),
           client::event::Message{FrameType::kConfirmRequest, ConfirmFrame(AllBut({absent}), r)},
           r.config(0));
  ASSERT_EQ(NameOf(t.next), "confirmed");
  wire::UnmaskRequest request = UnmaskRequestOf(0, r);
  const auto facts = std::get<client::state::Confirmed>(t.next).place.facts;
  const Hash256 others = ConfirmTranscript(facts, AllBut({}), AllBut({absent}));
  for (auto& one : request.confirmations) {
    const auto& signer = r.session().device(r.DeviceAt(one.index)).identity;
    one.transcript_signature = *SignTranscript(signer, others);
  }
  t = Step(std::move(t.next),
           client::event::Message{FrameType::kUnmaskRequest, AsFrame(request, r)}, r.config(0));
  EXPECT_TRUE(Fails(t, ClientAbort::kConfirmations));
}

}  // namespace
}  // namespace demur::secagg
