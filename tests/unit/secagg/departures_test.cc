#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "secagg_test_util.h"

// Sessions with departures drawn at random, mild and far beyond what the plan allows, against a
// model that knows only who leaves when, the graph and the published parameters: it says whether a
// sum must come out, of whom, or why none may. Nothing of the coordinator's own counting is used.
namespace demur::secagg {
namespace {

using wire::FrameType;

struct Expected {
  std::optional<ServerAbort> abort;
  bool shares_asked = false;
  std::set<std::uint32_t> survivors;  // devices
};

// Who sends what: a device is in the set of a phase if it answers that phase.
struct Script {
  std::vector<std::optional<FrameType>> leaves_at;  // by device
  bool Answers(std::uint32_t device, FrameType phase) const {
    return !leaves_at[device] || *leaves_at[device] > phase;
  }
};
static_assert(FrameType::kAdvertise < FrameType::kShares &&
              FrameType::kShares < FrameType::kMasked && FrameType::kMasked < FrameType::kUnmask);

// The graph of a session and the device at each of its places; empty when no roster was frozen.
struct Seen {
  std::optional<Graph> graph;
  std::vector<std::uint32_t> device_at;
};

std::uint32_t AmongNeighbours(const Seen& seen, std::uint32_t index,
                              const std::function<bool(std::uint32_t)>& counts) {
  const auto neighbours = seen.graph->Neighbours(index);
  return static_cast<std::uint32_t>(
      std::count_if(neighbours.begin(), neighbours.end(),
                    [&](std::uint32_t other) { return counts(seen.device_at[other]); }));
}

Expected Predict(const Script& script, const model::Plan& plan, const Seen& seen) {
  const auto answering = [&](FrameType phase) {
    std::set<std::uint32_t> out;
    for (std::uint32_t i = 0; i < script.leaves_at.size(); ++i) {
      if (script.Answers(i, phase)) out.insert(i);
    }
    return out;
  };
  const auto roster = answering(FrameType::kAdvertise);
  if (roster.size() < plan.secagg.roster_min) return {ServerAbort::kRosterTooSmall, false, {}};
  const auto n = static_cast<std::uint32_t>(roster.size());
  const auto ring =
      FindRingParameters(n, {plan.secagg.corrupt_permille, plan.secagg.dropout_permille,
                             plan.secagg.sigma, plan.secagg.eta});
  const std::uint32_t survivors_min = plan.secagg.SurvivorsMin(n);
  // `helpers` can open the secrets of each of `owners`.
  const auto open = [&](const std::set<std::uint32_t>& owners,
                        const std::set<std::uint32_t>& helpers) {
    for (std::uint32_t index = 0; index < n; ++index) {
      if (owners.contains(seen.device_at[index]) && AmongNeighbours(seen, index, [&](auto d) {
                                                      return helpers.contains(d);
                                                    }) < ring->threshold) {
        return false;
      }
    }
    return true;
  };
  const auto shared = answering(FrameType::kShares);
  if (shared.size() < survivors_min || !open(shared, shared)) {
    return {ServerAbort::kTooFewShared, false, {}};
  }
  const auto survivors = answering(FrameType::kMasked);
  if (survivors.size() < survivors_min || !open(shared, survivors)) {
    return {ServerAbort::kTooFewSurvivors, false, {}};
  }
  if (!open(shared, answering(FrameType::kUnmask))) return {ServerAbort::kTooFewShares, true, {}};
  return {std::nullopt, true, survivors};
}

// Each device leaves with probability `permille` at one phase, drawn too; half say so.
Script Draw(std::mt19937& draw, SecAggSession& session, std::uint32_t devices,
            std::uint32_t permille, const std::vector<FrameType>& phases) {
  Script script{std::vector<std::optional<FrameType>>(devices)};
  for (std::uint32_t i = 0; i < devices; ++i) {
    if (draw() % 1000 >= permille) continue;
    script.leaves_at[i] = phases[draw() % phases.size()];
    session.Depart(i, *script.leaves_at[i], draw() % 2 == 0);
  }
  return script;
}

// Runs to the end and notes the graph on the way, before the coordinator forgets it.
Seen RunNotingTheGraph(SecAggSession& session) {
  Seen seen;
  const auto note = [&]<class S>(const S& state) {
    if constexpr (requires { state.frozen; }) {
      seen.graph = state.frozen.graph;
      seen.device_at.clear();
      for (const auto& member : state.frozen.roster) {
        seen.device_at.push_back(session.IndexOfDevice(state.core.members[member.position].id));
      }
    }
  };
  session.SetTap([&](SecAggSession::Frame&) {
    std::visit(note, session.server());
    return true;
  });
  session.Run();
  return seen;
}

struct Trial {
  const char* name;
  std::uint32_t devices;
  std::uint32_t permille;  // leave
  std::vector<FrameType> phases;
  int trials;
};
void PrintTo(const Trial& trial, std::ostream* out) { *out << trial.name; }

class DeparturesTest : public ::testing::TestWithParam<Trial> {};

TEST_P(DeparturesTest, EndAsTheModelSays) {
  const Trial& trial = GetParam();
  std::mt19937 draw(trial.devices * 1000 + trial.permille);
  for (int run = 0; run < trial.trials; ++run) {
    SCOPED_TRACE(run);
    SessionOptions options;
    options.devices = trial.devices;
    options.seed = draw();
    options.dim = 9;
    options.bits = 8 + static_cast<std::uint32_t>(draw() % 25);
    SecAggSession session(options);
    if (run % 2 == 1) session.ShuffleDelivery(draw());
    const Script script = Draw(draw, session, trial.devices, trial.permille, trial.phases);
    const Seen seen = RunNotingTheGraph(session);
    const Expected expected = Predict(script, session.plan(), seen);
    EXPECT_TRUE(session.evidence().empty());  // leaving is no fault
    ASSERT_EQ(session.sum_ready().has_value(), !expected.abort.has_value())
        << (expected.abort ? ToString(*expected.abort) : "a sum");
    EXPECT_EQ(session.abandoned().has_value(), expected.abort.has_value());
    if (expected.abort) {
      EXPECT_EQ(ToString(session.abandoned()->reason), ToString(*expected.abort));
      EXPECT_EQ(session.abandoned()->shares_asked, expected.shares_asked);
      EXPECT_TRUE(session.abandoned()->permit.valid());
      continue;
    }
    const auto survivors = session.Survivors();
    EXPECT_EQ(std::set<std::uint32_t>(survivors.begin(), survivors.end()), expected.survivors);
    std::vector<std::uint32_t> sum(options.dim);  // of the inputs, mod 2^bits
    for (const std::uint32_t device : expected.survivors) {
      const auto input = session.InputOf(device);
      for (std::size_t w = 0; w < sum.size(); ++w) sum[w] += input[w];
    }
    for (std::uint32_t& value : sum) value &= ~std::uint32_t{0} >> (32 - options.bits);
    EXPECT_EQ(session.sum_ready()->sum, sum);
  }
}

const std::vector<FrameType> kAnyPhase = {FrameType::kAdvertise, FrameType::kShares,
                                          FrameType::kMasked, FrameType::kUnmask};
INSTANTIATE_TEST_SUITE_P(
    Drawn, DeparturesTest,
    ::testing::Values(Trial{"few", 30, 100, kAnyPhase, 4}, Trial{"some", 30, 250, kAnyPhase, 8},
                      Trial{"many", 30, 450, kAnyPhase, 8},
                      Trial{"before_the_roster", 24, 160, {FrameType::kAdvertise}, 6},
                      Trial{"before_sharing", 26, 300, {FrameType::kShares}, 5},
                      Trial{"before_masking", 26, 300, {FrameType::kMasked}, 5},
                      Trial{"before_unmasking", 26, 880, {FrameType::kUnmask}, 5},
                      Trial{"larger", 60, 150, kAnyPhase, 1}),
    [](const auto& trial) { return std::string(trial.param.name); });

// Where the drawn trials may not come: on both sides of each border, for the model and for the
// coordinator. A model that always says "a sum" would test nothing.
TEST(Departures, OneMemberMoreOrLessDecidesAtEveryPhase) {
  SessionOptions options;
  options.devices = 26;
  struct Case {
    FrameType phase;
    std::uint32_t leave;
    std::optional<ServerAbort> abort;
  };
  const Case cases[] = {{FrameType::kAdvertise, 6, std::nullopt},
                        {FrameType::kAdvertise, 7, ServerAbort::kRosterTooSmall},
                        {FrameType::kShares, 7, std::nullopt},
                        {FrameType::kShares, 8, ServerAbort::kTooFewShared},
                        {FrameType::kMasked, 7, std::nullopt},
                        {FrameType::kMasked, 8, ServerAbort::kTooFewSurvivors},
                        {FrameType::kUnmask, 25, ServerAbort::kTooFewShares}};
  for (const Case& c : cases) {
    SCOPED_TRACE(::testing::Message() << wire::ToString(c.phase) << " " << c.leave);
    SecAggSession session(options);
    Script script{std::vector<std::optional<FrameType>>(options.devices)};
    for (std::uint32_t i = 0; i < c.leave; ++i) {
      session.Depart(i, c.phase);
      script.leaves_at[i] = c.phase;
    }
    const Seen seen = RunNotingTheGraph(session);
    EXPECT_EQ(Predict(script, session.plan(), seen).abort, c.abort);
    ASSERT_EQ(session.abandoned().has_value(), c.abort.has_value());
    if (c.abort) {
      EXPECT_EQ(ToString(session.abandoned()->reason), ToString(*c.abort));
    }
  }
}

// Enough members are left by far, but not of those who hold the shares of one.
TEST(Departures, AMemberWithoutNeighboursEndsTheRoundBeforeAnyShareIsAskedFor) {
  SessionOptions options;
  options.devices = 100;
  SecAggSession whole(options);
  const Seen graph = RunNotingTheGraph(whole);
  const auto neighbours = graph.graph->Neighbours(0);
  const auto ring = FindRingParameters(100, {50, 300, 40, 20});
  ASSERT_EQ(neighbours.size(), ring->neighbours);
  const std::size_t gone = neighbours.size() - ring->threshold + 1;
  ASSERT_LE(gone, 30U);  // the plan allows as many to leave
  for (const auto& [phase, abort] : {std::pair{FrameType::kShares, ServerAbort::kTooFewShared},
                                     {FrameType::kMasked, ServerAbort::kTooFewSurvivors}}) {
    for (const std::size_t leave : {gone - 1, gone}) {
      SCOPED_TRACE(::testing::Message() << wire::ToString(phase) << " " << leave);
      SecAggSession session(options);
      for (std::size_t i = 0; i < leave; ++i) {
        session.Depart(graph.device_at[neighbours[i]], phase);
      }
      session.Run();
      ASSERT_EQ(session.abandoned().has_value(), leave == gone);
      if (leave != gone) continue;
      EXPECT_EQ(ToString(session.abandoned()->reason), ToString(abort));
      EXPECT_FALSE(session.abandoned()->shares_asked);
    }
  }
}

}  // namespace
}  // namespace demur::secagg
