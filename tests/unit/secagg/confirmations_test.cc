#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "attacks_util.h"

// The signatures without which no share is released: what a device takes for the committee's word,
// and what the coordinator takes for a signature.
namespace demur::secagg {
namespace {

using Confirmations = std::vector<wire::Confirmation>;

// M8 for device 0, changed, then to a device that has confirmed the honest set.
ClientTransition Shown(Recording& r, const std::function<void(Confirmations&)>& change) {
  wire::UnmaskRequest request = UnmaskRequestOf(0, r);
  change(request.confirmations);
  return Give(r, 0, "confirmed", FrameType::kUnmaskRequest, AsFrame(request, r));
}
void Rejects(Recording& r, const char* what, const std::function<void(Confirmations&)>& change) {
  SCOPED_TRACE(what);
  EXPECT_TRUE(Fails(Shown(r, change), ClientAbort::kConfirmations));
}
client::Place PlaceOf(Recording& r, std::uint32_t device) {
  ClientState state = r.DeviceIn(device, "confirmed");
  return std::move(std::get<client::state::Confirmed>(state).place);
}
crypto::Signature SignAs(Recording& r, std::uint32_t index, const Hash256& transcript) {
  auto out = SignTranscript(r.session().device(r.DeviceAt(index)).identity, transcript);
  EXPECT_OK(out);
  return *out;
}
wire::Confirmation ConfirmationOf(Recording& r, std::uint32_t index) {
  const std::uint32_t device = r.DeviceAt(index);
  const auto confirm = wire::DecodeConfirm(Opened(r.FromDevice(device, FrameType::kConfirm)).body);
  EXPECT_OK(confirm);
  return {index, r.session().device(device).certificate, confirm->transcript_signature};
}

bool Names(const Confirmations& c, std::uint32_t index) {
  return std::any_of(c.begin(), c.end(), [index](const auto& one) { return one.index == index; });
}
void Sort(Confirmations& c) {
  std::sort(c.begin(), c.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
}

TEST(Confirmations, ExactlyTheQuorumIsTaken) {
  for (Recording* r : {&Complete(), &Expander()}) {
    const client::Place place = PlaceOf(*r, 0);
    EXPECT_EQ(UnmaskRequestOf(0, *r).confirmations.size(), place.parameters.quorum);
    EXPECT_EQ(Describe(Shown(*r, [](auto&) {})), "M9 -> unmasked");
    Rejects(*r, "one short", [](auto& c) { c.pop_back(); });
    Rejects(*r, "none", [](auto& c) { c.clear(); });
    Rejects(*r, "one more", [&](auto& c) {
      for (const client::Seat& seat : place.committee) {
        if (c.size() > place.parameters.quorum) break;
        if (!Names(c, seat.index)) c.push_back(ConfirmationOf(*r, seat.index));
      }
      Sort(c);
    });
  }
}

TEST(Confirmations, AMemberOutsideTheCommitteeConfirmsNothing) {
  Recording& r = Expander();
  const client::Place place = PlaceOf(r, 0);
  const Hash256 transcript =
      std::get<client::state::Confirmed>(r.DeviceIn(0, "confirmed")).transcript;
  std::uint32_t outsider = 0;
  while (std::any_of(place.committee.begin(), place.committee.end(),
                     [&](const auto& seat) { return seat.index == outsider; })) {
    ++outsider;
  }
  Rejects(r, "a good signature of one who was not drawn", [&](auto& c) {
    c.pop_back();
    c.push_back({outsider, r.session().device(r.DeviceAt(outsider)).certificate,
                 SignAs(r, outsider, transcript)});
    Sort(c);
  });
}

TEST(Confirmations, OneMemberCountsOnce) {
  Recording& r = Complete();
  wire::UnmaskRequest request = UnmaskRequestOf(0, r);
  request.confirmations.back() = request.confirmations.front();
  EXPECT_TRUE(Fails(Give(r, 0, "confirmed", FrameType::kUnmaskRequest, AsFrame(request, r)),
                    ClientAbort::kMalformed));
  request = UnmaskRequestOf(0, r);
  request.confirmations[1] = request.confirmations[0];
  EXPECT_TRUE(Fails(Give(r, 0, "confirmed", FrameType::kUnmaskRequest, AsFrame(request, r)),
                    ClientAbort::kMalformed));
  Rejects(r, "under another's index", [](auto& c) {
    c[1].certificate = c[0].certificate;
    c[1].transcript_signature = c[0].transcript_signature;
  });
}

// Of most of the committee a device knows no more than a leaf of the tree: whether the authority
// certified the key it sees when they sign.
TEST(Confirmations, ASeatThatNobodyCertifiedConfirmsNothing) {
  Recording& r = Expander();
  const client::Place place = PlaceOf(r, 0);
  const Confirmations honest = UnmaskRequestOf(0, r).confirmations;
  const auto known = [&](std::uint32_t index) {
    const auto seat = std::find_if(place.committee.begin(), place.committee.end(),
                                   [index](const auto& s) { return s.index == index; });
    return seat->certified;
  };
  const auto at = [&](bool certified) {
    return static_cast<std::size_t>(
        std::find_if(honest.begin(), honest.end(),
                     [&](const auto& c) { return known(c.index) == certified; }) -
        honest.begin());
  };
  ASSERT_LT(at(false), honest.size());
  ASSERT_LT(at(true), honest.size());
  Rejects(r, "no certificate of the authority",
          [&](auto& c) { c[at(false)].certificate = ToBytes(AsBytes("forged")); });
  Rejects(r, "another member's certificate",
          [&](auto& c) { c[at(false)].certificate = c[at(true)].certificate; });
  // A neighbour's was seen with its M1.
  EXPECT_EQ(Describe(Shown(r, [&](auto& c) { c[at(true)].certificate = {std::byte{1}}; })),
            "M9 -> unmasked");
}

TEST(Confirmations, ASignatureOverAnotherTranscriptIsNone) {
  Recording& r = Complete();
  const client::Place place = PlaceOf(r, 0);
  const MemberSet all = AllBut({});
  const std::uint32_t other = (place.index + 1) % 20;
  const auto rejects = [&](const char* what, const SessionFacts& facts, const MemberSet& shared,
                           const MemberSet& survivors) {
    const Hash256 transcript = ConfirmTranscript(facts, shared, survivors);
    Rejects(r, what, [&](auto& c) {
      c.back().transcript_signature = SignAs(r, c.back().index, transcript);
    });
  };
  SessionFacts facts = place.facts;
  rejects("another U3", facts, all, AllBut({other}));
  rejects("another U2", facts, AllBut({other}), all);
  facts.session[0] ^= std::byte{1};
  rejects("another session", facts, all, all);
  facts = place.facts;
  facts.root[0] ^= std::byte{1};
  rejects("another roster", facts, all, all);
  facts = place.facts;
  facts.model_hash[0] ^= std::byte{1};
  rejects("another model", facts, all, all);
  facts = place.facts;
  facts.params_hash[0] ^= std::byte{1};
  rejects("another plan", facts, all, all);
  // Over the very transcript, but as a message: the two kinds of signature do not mix.
  const Hash256 transcript = ConfirmTranscript(place.facts, all, all);
  Rejects(r, "a signature of the other kind", [&](auto& c) {
    const auto& signer = r.session().device(r.DeviceAt(c.back().index)).identity;
    c.back().transcript_signature = *crypto::Sign(signer, transcript);
  });
  Rejects(r, "a bit of the signature",
          [](auto& c) { c.front().transcript_signature[40] ^= std::byte{1}; });
}

// No share leaves a device of this profile before M8, whatever comes first.
TEST(Confirmations, NothingIsRevealedBeforeTheQuorum) {
  for (Recording* r : {&Complete(), &Expander()}) {
    const Bytes& request = r->ToDevice(0, FrameType::kUnmaskRequest);
    EXPECT_EQ(Describe(Give(*r, 0, "masked", FrameType::kUnmaskRequest, request)), "-> masked");
    auto t = Give(*r, 0, "masked", FrameType::kConfirmRequest,
                  r->ToDevice(0, FrameType::kConfirmRequest));
    ASSERT_EQ(NameOf(t.next), "confirmed");
    const auto silent = [](const ClientTransition& done) {
      return std::none_of(done.effects.begin(), done.effects.end(), [](const auto& effect) {
        const auto* send = std::get_if<client::effect::Send>(&effect);
        return send != nullptr && send->type == FrameType::kUnmask;
      });
    };
    EXPECT_TRUE(silent(t));
    t = Step(std::move(t.next), client::event::Reconnected{}, r->config(0));
    EXPECT_TRUE(silent(t));
    t = Step(std::move(t.next),
             client::event::Message{FrameType::kConfirmRequest,
                                    r->ToDevice(0, FrameType::kConfirmRequest)},
             r->config(0));
    EXPECT_TRUE(silent(t));
    EXPECT_EQ(NameOf(t.next), "confirmed");
  }
}

// The mark is durable before the signature leaves, so a device that restarts signs no second set.
TEST(Confirmations, TheSetIsMarkedBeforeItIsSigned) {
  Recording& r = Complete();
  const auto t =
      Give(r, 0, "masked", FrameType::kConfirmRequest, r.ToDevice(0, FrameType::kConfirmRequest));
  EXPECT_EQ(Describe(t), "mark survivors, M7 -> confirmed");
  const auto* mark = std::get_if<client::effect::PersistSurvivors>(&t.effects[0]);
  ASSERT_NE(mark, nullptr);
  EXPECT_EQ(mark->session, r.session_id());
  EXPECT_EQ(mark->survivors_hash, crypto::Sha256(AllBut({}).bytes()));
}

TEST(Confirmations, ASecondSetIsNotSigned) {
  Recording& r = Complete();
  const std::uint32_t other = (r.IndexOf(0) + 1) % 20;
  for (const char* state : {"confirmed", "unmasked"}) {
    EXPECT_TRUE(
        Fails(Give(r, 0, state, FrameType::kConfirmRequest, ConfirmFrame(AllBut({other}), r)),
              ClientAbort::kSecondBody));
  }
}

// --- The coordinator
// --------------------------------------------------------------------------------------------

std::vector<std::uint32_t> First(std::uint32_t devices) {
  std::vector<std::uint32_t> out(devices);
  for (std::uint32_t i = 0; i < devices; ++i) out[i] = i;
  return out;
}
ServerTransition FromDevice(Recording& r, ServerState state, std::uint32_t device, FrameType type,
                            Bytes frame) {
  return Step(std::move(state),
              server::event::Message{r.session().device(device).identity.public_key, type,
                                     std::move(frame)},
              r.session().server_config());
}

TEST(Confirmations, TheQuorumAndNoLessMakesTheCoordinatorAskForShares) {
  Recording& r = Complete();  // 11 of 20
  auto t = FromDevice(r, r.ServerIn("confirming", First(11)), 0, FrameType::kConfirm,
                      r.FromDevice(0, FrameType::kConfirm));
  EXPECT_EQ(Describe(t), "-> confirming");
  EXPECT_EQ(PendingMembers(t.next), 10U);
  t = FromDevice(r, std::move(t.next), 1, FrameType::kConfirm,
                 r.FromDevice(1, FrameType::kConfirm));
  EXPECT_EQ(Describe(t), "timer unmask, M8 x20 -> unmasking");
  const auto* request = std::get_if<server::effect::Send>(&t.effects[1]);
  ASSERT_NE(request, nullptr);
  const auto decoded =
      wire::DecodeUnmaskRequest(Opened(*request->frame).body, r.announcement().limits());
  ASSERT_OK(decoded);
  EXPECT_EQ(decoded->confirmations.size(), 11U);
}

TEST(Confirmations, TooFewEndTheRoundBeforeAnybodyIsAskedForAShare) {
  Recording& r = Complete();
  auto t =
      Step(r.ServerIn("confirming", First(10)), server::event::Stop{}, r.session().server_config());
  EXPECT_EQ(Describe(t), "abandoned: stopped, M10 x20 -> aborted");
  t = Step(r.ServerIn("confirming", First(10)), server::event::Deadline{Phase::kConfirm},
           r.session().server_config());
  EXPECT_EQ(Describe(t), "abandoned: too few confirmations, M10 x20 -> aborted");
  const auto* abandoned = std::get_if<server::effect::Abandoned>(&t.effects[0]);
  ASSERT_NE(abandoned, nullptr);
  EXPECT_TRUE(abandoned->shares_asked);  // U3 is out: the charge stands
}

// Within the design rate, but so many of the committee that no quorum is left: nobody hears of a
// set that cannot be confirmed, and the charge may be released.
TEST(Confirmations, ASetThatCannotBeConfirmedIsNotAskedAbout) {
  Recording& r = Expander();
  const client::Place place = PlaceOf(r, 0);
  const std::uint32_t spare = place.parameters.committee - place.parameters.quorum;
  for (const std::uint32_t more : {0U, 1U}) {
    SecAggSession session(ExpanderOptions());
    ASSERT_GE(210 - spare - more, place.parameters.survivors_min);
    for (std::uint32_t i = 0; i < spare + more; ++i) {
      session.Depart(r.DeviceAt(place.committee[i].index), FrameType::kMasked);
    }
    session.Run();
    const auto asked = std::count_if(session.sent().begin(), session.sent().end(), [](auto& frame) {
      return frame.type == FrameType::kConfirmRequest;
    });
    if (more == 0) {
      ASSERT_TRUE(session.sum_ready().has_value());
      EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
      continue;
    }
    ASSERT_TRUE(session.abandoned().has_value());
    EXPECT_EQ(session.abandoned()->reason, ServerAbort::kTooFewSurvivors);
    EXPECT_FALSE(session.abandoned()->shares_asked);
    EXPECT_EQ(asked, 0);
  }
}

TEST(Confirmations, ABadSignatureIsEvidenceAndDoesNotCount) {
  Recording& r = Complete();
  const client::Place place = PlaceOf(r, 0);
  const auto sent = [&](const Hash256& session, const Hash256& transcript) {
    const Bytes frame =
        r.AsDevice(0, FrameType::kConfirm,
                   wire::Encode(wire::Confirm{session, SignAs(r, place.index, transcript)}));
    return Describe(
        FromDevice(r, r.ServerIn("confirming", First(12)), 0, FrameType::kConfirm, frame));
  };
  const Hash256 honest = ConfirmTranscript(place.facts, AllBut({}), AllBut({}));
  const Hash256 other = ConfirmTranscript(place.facts, AllBut({}), AllBut({5}));
  EXPECT_EQ(sent(r.session_id(), honest), "-> confirming");
  EXPECT_EQ(sent(r.session_id(), other), "evidence: bad confirmation, M10 -> confirming");
  EXPECT_EQ(sent(Hash256{}, honest), "evidence: another round, M10 -> confirming");
}

TEST(Confirmations, AMemberOutsideTheCommitteeMayNotSign) {
  Recording& r = Expander();
  const auto committee = PlaceOf(r, 0).committee;
  std::uint32_t outsider = 0;
  while (std::any_of(committee.begin(), committee.end(),
                     [&](const auto& seat) { return seat.index == r.IndexOf(outsider); })) {
    ++outsider;
  }
  const Hash256 transcript =
      std::get<client::state::Confirmed>(r.DeviceIn(outsider, "confirmed")).transcript;
  const Bytes frame = r.AsDevice(
      outsider, FrameType::kConfirm,
      wire::Encode(wire::Confirm{r.session_id(), SignAs(r, r.IndexOf(outsider), transcript)}));
  SecAggSession session(ExpanderOptions());
  session.Start();
  ASSERT_TRUE(session.RunUntil("confirming"));
  const MemberId id = session.device(outsider).identity.public_key;
  EXPECT_TRUE(IsActive(session.server(), id));
  session.ServerEvent(server::event::Message{id, FrameType::kConfirm, frame});
  ASSERT_EQ(session.evidence().size(), 1U);
  EXPECT_EQ(session.evidence()[0].fault, Fault::kOutOfOrder);
  EXPECT_FALSE(IsActive(session.server(), id));
  // It costs the member its place, and the others nothing.
  session.Settle();
  ASSERT_TRUE(session.sum_ready().has_value());
  EXPECT_EQ(session.sum_ready()->sum, session.ExpectedSum());
}

// The quorum does not wait for the rest, whose signatures are checked all the same when they come.
TEST(Confirmations, ALateSignatureIsTakenAndALateLieIsEvidence) {
  Recording& r = Complete();
  const auto unmasking = [&] {
    ServerState state = FromDevice(r, r.ServerIn("confirming", First(10)), 1, FrameType::kConfirm,
                                   r.FromDevice(1, FrameType::kConfirm))
                            .next;
    EXPECT_EQ(NameOf(state), "unmasking");
    return state;
  };
  const Bytes& honest = r.FromDevice(0, FrameType::kConfirm);
  auto t = FromDevice(r, unmasking(), 0, FrameType::kConfirm, honest);
  EXPECT_EQ(Describe(t), "-> unmasking");
  t = FromDevice(r, std::move(t.next), 0, FrameType::kUnmask, r.FromDevice(0, FrameType::kUnmask));
  EXPECT_EQ(Describe(t), "-> unmasking");
  const Bytes lie =
      r.AsDevice(0, FrameType::kConfirm,
                 wire::Encode(wire::Confirm{r.session_id(), SignAs(r, r.IndexOf(0), Hash256{})}));
  t = FromDevice(r, unmasking(), 0, FrameType::kConfirm, lie);
  EXPECT_EQ(Describe(t), "evidence: bad confirmation, M10 -> unmasking");
}

// Invited, but gone before the roster froze: there is no place to make a frame for.
TEST(Confirmations, WhoHasNoPlaceInTheRosterHasNoFrameOfItsOwn) {
  SessionOptions options;
  options.devices = 25;
  options.profile = model::SecAggProfile::kMalicious;
  options.sigma = 80;
  SecAggSession session(options);
  session.Depart(0, FrameType::kAdvertise);
  session.Start();
  const MemberId& gone = session.device(0).identity.public_key;
  ASSERT_TRUE(session.RunUntil("sharing"));
  EXPECT_EQ(MakeOwnFrame(session.server(), session.server_config(), gone, FrameType::kRoster),
            nullptr);
  ASSERT_TRUE(session.RunUntil("masking"));
  EXPECT_EQ(MakeOwnFrame(session.server(), session.server_config(), gone, FrameType::kInbox),
            nullptr);
}

TEST(Confirmations, AFrameOfItsOwnIsMadeInItsPhaseOnly) {
  Recording& r = Complete();
  const ServerConfig& config = r.session().server_config();
  const MemberId id = r.session().device(0).identity.public_key;
  MemberId nobody{};
  nobody[0] = std::byte{1};
  const std::pair<const char*, FrameType> phases[] = {{"sharing", FrameType::kRoster},
                                                      {"masking", FrameType::kInbox}};
  for (const auto& [state, type] : phases) {
    const auto frame = MakeOwnFrame(r.ServerIn(state, {0}), config, id, type);
    ASSERT_NE(frame, nullptr);
    EXPECT_EQ(*frame, r.ToDevice(0, type));
    EXPECT_EQ(MakeOwnFrame(r.ServerIn(state, {0}), config, nobody, type), nullptr);
  }
  for (const char* state :
       {"announced", "advertising", "sharing", "masking", "unmasking", "summed", "aborted"}) {
    for (const FrameType type : {FrameType::kRoster, FrameType::kInbox, FrameType::kClose}) {
      if (std::pair{std::string(state), type} ==
              std::pair{std::string("sharing"), FrameType::kRoster} ||
          std::pair{std::string(state), type} ==
              std::pair{std::string("masking"), FrameType::kInbox}) {
        continue;
      }
      EXPECT_EQ(MakeOwnFrame(r.ServerIn(state, {0}), config, id, type), nullptr) << state;
    }
  }
}

}  // namespace
}  // namespace demur::secagg
