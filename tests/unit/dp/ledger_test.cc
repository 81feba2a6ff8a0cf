#include "demur/dp/ledger.h"

#include <gtest/gtest.h>

#include <type_traits>
#include <vector>

#include "dp_fixtures.h"
#include "result_matchers.h"

namespace demur::dp {
namespace {

// Four of these rounds cost 4.9 of 6 at delta 1e-7; see Policy.
constexpr SkellamCharge kUsual{.l2_sq = 1'000'000, .l1 = 100'000, .mu = 5'000'000};
constexpr SkellamCharge kDear{.l2_sq = 1'000'000, .l1 = 100'000, .mu = 2'000'000};

Ledger::Policy Policy(std::uint32_t participations = 4) {
  Ledger::Policy policy;
  policy.task.bytes.fill(std::byte{1});
  policy.noise = true;
  policy.budget.epsilon = 6;
  policy.budget.delta = 1e-7;
  policy.budget.population = 20'000;
  policy.budget.participations_max = participations;
  policy.budget.rounds_max = 10;
  policy.budget.roster_max = 1000;
  policy.budget.dim = 900;
  return policy;
}

RoundIntent Intent(std::uint32_t round, const SkellamCharge& charge = kUsual,
                   std::uint32_t attempt = 1) {
  RoundIntent intent;
  intent.key = {RoundId{1, round}, attempt};
  intent.manifest.fill(std::byte{static_cast<unsigned char>(round)});
  intent.charge = charge;
  intent.devices_left = 1000;
  intent.roster_min = 800;
  return intent;
}

// A ledger together with what its shell wrote to disk.
struct Book {
  explicit Book(const Ledger::Policy& policy = Policy()) : ledger(Ledger::Create(policy).value()) {}

  Result<RoundPermit> Reserve(const RoundIntent& intent) {
    DEMUR_TRY(Reservation made, ledger.Reserve(intent));
    entries.push_back(made.entry);
    return std::move(made.permit);
  }
  void Write(Result<LedgerEntry> entry) {
    ASSERT_OK(entry);
    entries.push_back(std::move(entry).value());
  }
  // A whole committed round.
  void Round(const RoundIntent& intent) {
    auto permit = Reserve(intent);
    ASSERT_OK(permit);
    Write(ledger.MarkOpened(*permit));
    Write(ledger.Commit(std::move(permit).value()));
  }
  Result<Ledger> Replay() const { return Ledger::FromEntries(ledger.policy(), entries); }

  Ledger ledger;
  std::vector<LedgerEntry> entries;
};

double Epsilon(const Ledger& ledger) {
  return static_cast<double>(ledger.EpsilonUnits().value()) * kEpsilonUnit;
}

static_assert(!std::is_copy_constructible_v<RoundPermit>);
static_assert(!std::is_copy_assignable_v<RoundPermit>);
static_assert(!std::is_default_constructible_v<RoundPermit>);
static_assert(std::is_nothrow_move_constructible_v<RoundPermit>);

TEST(LedgerTest, ReservingChargesBeforeAnythingHappens) {
  Book book;
  EXPECT_EQ(Epsilon(book.ledger), 0);
  ASSERT_OK_AND_ASSIGN(const RoundPermit permit, book.Reserve(Intent(1)));
  EXPECT_TRUE(permit.valid());
  EXPECT_EQ(permit.key(), Intent(1).key);
  EXPECT_EQ(permit.manifest(), Intent(1).manifest);
  EXPECT_EQ(permit.task(), Policy().task);
  EXPECT_GT(Epsilon(book.ledger), 1.5);
  EXPECT_EQ(book.entries[0].seq, 1U);
  EXPECT_EQ(book.entries[0].kind, EntryKind::kReserve);
  EXPECT_EQ(book.entries[0].curve, CurveOf(kUsual).value());
  EXPECT_EQ(book.ledger.head(), book.entries[0].hash);
}

TEST(LedgerTest, APermitMovesAndNeverDoubles) {
  Book book;
  ASSERT_OK_AND_ASSIGN(RoundPermit first, book.Reserve(Intent(1)));
  RoundPermit second = std::move(first);
  EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move): that is the point
  EXPECT_TRUE(second.valid());
  EXPECT_ERROR(book.ledger.MarkOpened(first), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(book.ledger.Resume(Intent(1).key), ErrorCode::kFailedPrecondition);
  EXPECT_OK(book.ledger.MarkOpened(second));
  ASSERT_OK_AND_ASSIGN(RoundPermit third, book.Reserve(Intent(2)));
  third = std::move(second);
  EXPECT_EQ(third.key(), Intent(1).key);
  EXPECT_FALSE(second.valid());  // NOLINT(bugprone-use-after-move)
}

TEST(LedgerTest, EveryRoundCountsUpToTheParticipationsOfOnePerson) {
  Book book;
  double before = 0;
  for (std::uint32_t round = 1; round <= 4; ++round) {
    book.Round(Intent(round));
    EXPECT_GT(Epsilon(book.ledger), before);
    before = Epsilon(book.ledger);
  }
  // Nobody may be in a fifth.
  for (std::uint32_t round = 5; round <= 10; ++round) {
    book.Round(Intent(round));
    EXPECT_EQ(Epsilon(book.ledger), before);
  }
  RdpCurve four;
  ASSERT_OK(four.Add(CurveOf(kUsual).value(), 4));
  EXPECT_EQ(book.ledger.WorstCase().value(), four);
  EXPECT_ERROR(book.Reserve(Intent(11)), ErrorCode::kResourceExhausted);  // rounds_max
}

TEST(LedgerTest, TheWorstCaseIsTheSumOfTheLargestAtEachOrder) {
  Book book(Policy(2));
  const SkellamCharge cheap{1'000'000, 100'000, 50'000'000};
  book.Round(Intent(1, cheap));
  book.Round(Intent(2, kUsual));
  book.Round(Intent(3, cheap));
  book.Round(Intent(4, kDear));
  RdpCurve expected = CurveOf(kUsual).value();
  ASSERT_OK(expected.Add(CurveOf(kDear).value()));
  EXPECT_EQ(book.ledger.WorstCase().value(), expected);
}

TEST(LedgerTest, ARoundThatWouldPassTheBudgetIsRefusedForGood) {
  Book book(Policy(10));
  std::uint32_t round = 1;
  for (; round <= 10; ++round) {
    auto permit = book.Reserve(Intent(round, kDear));
    if (!permit) break;
    EXPECT_LE(Epsilon(book.ledger), 6);
  }
  ASSERT_GT(round, 2U);
  ASSERT_LT(round, 10U);
  const Ledger before = book.ledger;
  EXPECT_ERROR(book.ledger.Reserve(Intent(round, kDear)), ErrorCode::kResourceExhausted);
  EXPECT_ERROR(book.ledger.Reserve(Intent(round + 1, kDear)), ErrorCode::kResourceExhausted);
  EXPECT_EQ(book.ledger, before);
  // Settling does not give it back, only releasing before opening does.
  EXPECT_OK(book.ledger.Burn(Intent(1).key));
  EXPECT_ERROR(book.ledger.Reserve(Intent(round, kDear)), ErrorCode::kResourceExhausted);
}

TEST(LedgerTest, TwoSessionsOfOneRoundAreOneParticipationWithTwoCharges) {
  Book book(Policy(1));
  (void)book.Reserve(Intent(1, kUsual, 1)).value();
  const RdpCurve once = book.ledger.WorstCase().value();
  (void)book.Reserve(Intent(2, kUsual, 1)).value();
  EXPECT_EQ(book.ledger.WorstCase().value(), once);
  (void)book.Reserve(Intent(2, kUsual, 2)).value();
  RdpCurve twice = once;
  ASSERT_OK(twice.Add(once));
  EXPECT_EQ(book.ledger.WorstCase().value(), twice);
  EXPECT_EQ(book.ledger.rounds_charged(), 2U);
}

TEST(LedgerTest, RoundsNeedEnoughDevicesWithParticipationsLeft) {
  Book book;
  RoundIntent intent = Intent(1);
  intent.devices_left = 799;
  EXPECT_ERROR(book.ledger.Reserve(intent), ErrorCode::kResourceExhausted);
  intent.devices_left = 800;
  EXPECT_OK(book.ledger.Reserve(intent));
}

TEST(LedgerTest, RoundsAndAttemptsOnlyGoUp) {
  Book book;
  (void)book.Reserve(Intent(5)).value();
  EXPECT_ERROR(book.ledger.Reserve(Intent(5)), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(book.ledger.Reserve(Intent(4)), ErrorCode::kFailedPrecondition);
  EXPECT_OK(book.ledger.Reserve(Intent(5, kUsual, 2)));
  RoundIntent next_epoch = Intent(1);
  next_epoch.key.round.epoch = 2;
  EXPECT_OK(book.ledger.Reserve(next_epoch));
}

TEST(LedgerTest, ReleasingBeforeOpeningGivesTheChargeBack) {
  Book book;
  book.Round(Intent(1));
  const RdpCurve before = book.ledger.WorstCase().value();
  auto permit = book.Reserve(Intent(2)).value();
  EXPECT_NE(book.ledger.WorstCase().value(), before);
  book.Write(book.ledger.Release(std::move(permit)));
  EXPECT_EQ(book.ledger.WorstCase().value(), before);
  EXPECT_EQ(book.ledger.rounds_charged(), 1U);
  EXPECT_ERROR(book.ledger.Reserve(Intent(2)), ErrorCode::kFailedPrecondition);  // never again
  EXPECT_EQ(book.Replay().value(), book.ledger);
}

TEST(LedgerTest, ReleasingOneOfTwoSessionsKeepsTheOther) {
  Book book(Policy(1));
  auto first = book.Reserve(Intent(1, kDear, 1)).value();
  auto second = book.Reserve(Intent(1, kUsual, 2)).value();
  book.Write(book.ledger.Release(std::move(first)));
  EXPECT_EQ(book.ledger.WorstCase().value(), CurveOf(kUsual).value());
  EXPECT_EQ(book.ledger.rounds_charged(), 1U);
  EXPECT_EQ(book.Replay().value(), book.ledger);
}

TEST(LedgerTest, AnOpenedRoundCanNoMoreBeReleased) {
  Book book;
  auto permit = book.Reserve(Intent(1)).value();
  const double charged = Epsilon(book.ledger);
  EXPECT_FALSE(book.ledger.Opened(permit.key()));
  book.Write(book.ledger.MarkOpened(permit));
  EXPECT_TRUE(book.ledger.Opened(permit.key()));
  EXPECT_ERROR(book.ledger.MarkOpened(permit), ErrorCode::kFailedPrecondition);
  const RoundKey key = permit.key();
  EXPECT_ERROR(book.ledger.Release(std::move(permit)), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(Epsilon(book.ledger), charged);
  book.Write(book.ledger.Burn(key));
  EXPECT_EQ(Epsilon(book.ledger), charged);
}

TEST(LedgerTest, NothingIsCommittedThatWasNeverOpened) {
  Book book;
  EXPECT_ERROR(book.ledger.Commit(book.Reserve(Intent(1)).value()), ErrorCode::kFailedPrecondition);
}

TEST(LedgerTest, SettledRoundsStaySettled) {
  for (const bool commit : {true, false}) {
    Book book;
    auto permit = book.Reserve(Intent(1)).value();
    const RoundKey key = permit.key();
    book.Write(book.ledger.MarkOpened(permit));
    if (commit) {
      book.Write(book.ledger.Commit(std::move(permit)));
    } else {
      book.Write(book.ledger.Burn(key));
    }
    EXPECT_TRUE(book.ledger.Unsettled().empty());
    EXPECT_ERROR(book.ledger.Burn(key), ErrorCode::kFailedPrecondition);
    EXPECT_ERROR(book.ledger.Resume(key), ErrorCode::kFailedPrecondition);
    EXPECT_FALSE(book.ledger.Opened(key));
  }
}

TEST(LedgerTest, UnknownRoundsAndForeignPermitsAreRefused) {
  Book book;
  EXPECT_ERROR(book.ledger.Burn(Intent(1).key), ErrorCode::kNotFound);
  EXPECT_ERROR(book.ledger.Resume(Intent(1).key), ErrorCode::kNotFound);
  Ledger::Policy other = Policy();
  other.task.bytes[0] = std::byte{9};
  Book foreign(other);
  auto permit = foreign.Reserve(Intent(1)).value();
  (void)book.Reserve(Intent(1)).value();
  EXPECT_ERROR(book.ledger.MarkOpened(permit), ErrorCode::kFailedPrecondition);
  EXPECT_ERROR(book.ledger.Commit(std::move(permit)), ErrorCode::kFailedPrecondition);
}

TEST(LedgerTest, AfterARestartAPermitIsMintedOnceForWhatIsUnsettled) {
  Book book;
  book.Round(Intent(1));
  (void)book.Reserve(Intent(2)).value();
  ASSERT_OK_AND_ASSIGN(Ledger after, book.Replay());
  EXPECT_EQ(after, book.ledger);
  EXPECT_EQ(after.Unsettled(), std::vector<RoundKey>{Intent(2).key});
  ASSERT_OK_AND_ASSIGN(RoundPermit permit, after.Resume(Intent(2).key));
  EXPECT_EQ(permit.manifest(), Intent(2).manifest);
  EXPECT_ERROR(after.Resume(Intent(2).key), ErrorCode::kFailedPrecondition);
  EXPECT_OK(after.Release(std::move(permit)));
}

TEST(LedgerTest, ReplayGivesTheSameStateAtEveryEntry) {
  Book book;
  std::vector<Ledger> states = {book.ledger};
  const auto note = [&] { states.push_back(book.ledger); };
  for (std::uint32_t round = 1; round <= 6; ++round) {
    auto permit =
        book.Reserve(
                Intent(round, round % 2 == 0 ? kUsual : SkellamCharge{900'000, 90'000, 7'000'000}))
            .value();
    note();
    const RoundKey key = permit.key();
    if (round % 3 == 0) {
      book.Write(book.ledger.Release(std::move(permit)));
    } else {
      book.Write(book.ledger.MarkOpened(permit));
      note();
      if (round % 3 == 1) {
        book.Write(book.ledger.Commit(std::move(permit)));
      } else {
        book.Write(book.ledger.Burn(key));
      }
    }
    note();
  }
  ASSERT_EQ(states.size(), book.entries.size() + 1);
  Ledger step = Ledger::Create(Policy()).value();
  for (std::size_t i = 0; i <= book.entries.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const Ledger whole,
                         Ledger::FromEntries(Policy(), std::span(book.entries).first(i)));
    EXPECT_EQ(whole, states[i]) << i;
    EXPECT_EQ(step, states[i]) << i;
    EXPECT_EQ(whole.EpsilonUnits().value(), states[i].EpsilonUnits().value());
    if (i < book.entries.size()) {
      ASSERT_OK(step.Apply(book.entries[i]));
    }
  }
}

TEST(LedgerTest, ABrokenChainRefusesEverything) {
  Book book;
  for (std::uint32_t round = 1; round <= 3; ++round) book.Round(Intent(round));
  const auto refused = [&](auto change) {
    std::vector<LedgerEntry> entries = book.entries;
    change(entries);
    return demur::testing::HasError(Ledger::FromEntries(Policy(), entries), ErrorCode::kDataLoss);
  };
  EXPECT_TRUE(refused([](auto& e) { e.erase(e.begin()); }));
  EXPECT_TRUE(refused([](auto& e) { e.erase(e.begin() + 4); }));
  EXPECT_TRUE(refused([](auto& e) { std::swap(e[1], e[2]); }));
  EXPECT_TRUE(refused([](auto& e) { e.push_back(e.back()); }));
  EXPECT_TRUE(refused([](auto& e) { e[3].manifest[0] ^= std::byte{1}; }));
  EXPECT_TRUE(refused([](auto& e) { e[3].hash[0] ^= std::byte{1}; }));
  EXPECT_TRUE(refused([](auto& e) { e.back().hash[0] ^= std::byte{1}; }));
  // Rewritten with a hash of its own, but not what the next entry follows.
  EXPECT_TRUE(refused([](auto& e) {
    e[4].key.attempt = 7;
    e[4].hash = e[4].ComputeHash();
  }));
  EXPECT_TRUE(refused([](auto& e) {
    e.back().previous[5] ^= std::byte{1};
    e.back().hash = e.back().ComputeHash();
  }));
}

// A forger who knows the hash function still has to write history that the rules allow.
TEST(LedgerTest, WellHashedHistoryThatBreaksTheRulesIsRefused) {
  Book book;
  auto permit = book.Reserve(Intent(1)).value();
  book.Write(book.ledger.MarkOpened(permit));
  const auto refused = [&](auto change) {
    LedgerEntry entry = book.entries.back();
    entry.seq = 3;
    entry.previous = book.ledger.head();
    change(entry);
    entry.hash = entry.ComputeHash();
    Ledger ledger = book.ledger;
    const auto result = demur::testing::HasError(ledger.Apply(entry), ErrorCode::kDataLoss);
    // A refusal changes nothing.
    EXPECT_EQ(ledger == book.ledger, bool{result});
    return result;
  };
  EXPECT_FALSE(refused([](auto& e) { e.kind = EntryKind::kCommit; }));  // the honest next entry
  EXPECT_TRUE(refused([](auto& e) { e.kind = EntryKind::kRelease; }));
  EXPECT_TRUE(refused([](auto& e) { e.kind = EntryKind::kOpen; }));
  EXPECT_TRUE(refused([](auto& e) { e.kind = static_cast<EntryKind>(9); }));
  EXPECT_TRUE(refused([](auto& e) {
    e.kind = EntryKind::kCommit;
    e.manifest[0] ^= std::byte{1};
  }));
  EXPECT_TRUE(refused([](auto& e) {
    e.kind = EntryKind::kCommit;
    e.task.bytes[0] = std::byte{77};
  }));
  const auto reserve = [](LedgerEntry& e) {
    e.kind = EntryKind::kReserve;
    e.key = Intent(2).key;
    e.charge = kUsual;
    e.curve = CurveOf(kUsual).value();
  };
  EXPECT_FALSE(refused(reserve));
  EXPECT_TRUE(refused([&](auto& e) {
    reserve(e);
    e.curve.units[0] = 0;  // a curve that its charge does not give
  }));
  EXPECT_TRUE(refused([&](auto& e) {
    reserve(e);
    e.charge.reset();
    e.curve = {};
  }));
  EXPECT_TRUE(refused([&](auto& e) {
    reserve(e);
    e.charge = SkellamCharge{1'000'000, 100'000, 10'000};  // far beyond the budget
    e.curve = CurveOf(*e.charge).value();
  }));
}

TEST(LedgerTest, EntriesMadeUnderAnotherPromiseDoNotVerify) {
  Book book;
  book.Round(Intent(1));
  const auto refused = [&](auto change) {
    Ledger::Policy policy = Policy();
    change(policy);
    return demur::testing::HasError(Ledger::FromEntries(policy, book.entries),
                                    ErrorCode::kDataLoss);
  };
  EXPECT_FALSE(refused([](auto&) {}));
  EXPECT_TRUE(refused([](auto& p) { p.budget.epsilon = 8; }));
  EXPECT_TRUE(refused([](auto& p) { p.budget.delta = 1e-6; }));
  EXPECT_TRUE(refused([](auto& p) { p.budget.participations_max = 3; }));
  EXPECT_TRUE(refused([](auto& p) { p.budget.rounds_max = 11; }));
  EXPECT_TRUE(refused([](auto& p) { p.noise = false; }));
}

TEST(LedgerTest, RoundsWithoutNoiseAreCountedAndHaveNoEpsilon) {
  Ledger::Policy policy = Policy();
  policy.noise = false;
  policy.budget.epsilon = 0;
  policy.budget.delta = 0;
  Book book(policy);
  RoundIntent intent = Intent(1);
  EXPECT_ERROR(book.ledger.Reserve(intent), ErrorCode::kInvalidArgument);  // a charge
  intent.charge.reset();
  book.Round(intent);
  EXPECT_EQ(book.ledger.rounds_charged(), 1U);
  EXPECT_EQ(book.ledger.EpsilonUnits().value(), 0U);
  EXPECT_ERROR(book.ledger.Report(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(book.Replay().value(), book.ledger);
  for (std::uint32_t round = 2; round <= 10; ++round) {
    intent.key.round.counter = round;
    book.Round(intent);
  }
  intent.key.round.counter = 11;
  EXPECT_ERROR(book.ledger.Reserve(intent), ErrorCode::kResourceExhausted);
}

TEST(LedgerTest, ChargesAreNeededWhereTheTaskHasNoise) {
  Book book;
  RoundIntent intent = Intent(1);
  intent.charge.reset();
  EXPECT_ERROR(book.ledger.Reserve(intent), ErrorCode::kInvalidArgument);
  intent.charge = SkellamCharge{1, 1, 0};
  EXPECT_ERROR(book.ledger.Reserve(intent), ErrorCode::kInvalidArgument);
  EXPECT_EQ(book.ledger.num_entries(), 0U);
}

TEST(LedgerTest, TheReportBracketsWhatWasReleased) {
  Book book;
  EXPECT_ERROR(book.ledger.Report(), ErrorCode::kFailedPrecondition);
  (void)book.Reserve(Intent(1)).value();
  ASSERT_OK_AND_ASSIGN(EpsilonReport report, book.ledger.Report());
  EXPECT_EQ(report.lower, 0);  // charged, nothing released
  EXPECT_GT(report.upper, 1.5);
  for (std::uint32_t round = 2; round <= 6; ++round) book.Round(Intent(round));
  ASSERT_OK_AND_ASSIGN(report, book.ledger.Report());
  EXPECT_EQ(report.participations, 4U);
  EXPECT_EQ(report.delta, 1e-7);
  EXPECT_GT(report.lower, 3.5);
  EXPECT_LT(report.lower, report.upper);
  EXPECT_NEAR(report.upper, Epsilon(book.ledger), 1e-9);
}

TEST(LedgerTest, AdmissionAgreesWithTheCalibration) {
  const auto request = demur::testing::UsualRequest();
  const model::Plan plan = demur::testing::PlanFor(request);
  Ledger::Policy policy;
  policy.task = plan.task;
  policy.noise = true;
  policy.budget = BudgetOf(plan, 900, request.population);
  Book book(policy);
  for (std::uint32_t round = 1; round <= 8; ++round) {
    RoundIntent intent = Intent(round);
    intent.charge = ChargeOf(plan).value();
    book.Round(intent);
  }
  EXPECT_GT(Epsilon(book.ledger), 5.99);
  EXPECT_LE(Epsilon(book.ledger), 6.0);
}

TEST(LedgerTest, PoliciesThatDoNotHoldTogetherAreRefused) {
  Ledger::Policy policy = Policy();
  policy.budget.participations_max = 11;
  EXPECT_ERROR(Ledger::Create(policy), ErrorCode::kInvalidArgument);
  policy = Policy();
  policy.budget.delta = 1e-30;
  EXPECT_ERROR(Ledger::Create(policy), ErrorCode::kInvalidArgument);
  policy = Policy();
  policy.budget.epsilon = 20;
  EXPECT_ERROR(Ledger::Create(policy), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur::dp
