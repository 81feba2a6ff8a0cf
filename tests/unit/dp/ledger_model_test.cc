#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "demur/dp/ledger.h"
#include "dp_fixtures.h"
#include "result_matchers.h"

// Long random histories of a ledger against a naive account kept beside it: a list of sessions,
// added up from scratch whenever a number is wanted. After every entry the ledger is also rebuilt
// from disk, as after a crash at that point.
namespace demur::dp {
namespace {

enum class Fate { kReserved, kOpened, kKept, kReleased };

struct NaiveSession {
  RoundKey key;
  SkellamCharge charge;
  RdpCurve curve;
  Fate fate = Fate::kReserved;
};

NaiveSession Session(const RoundKey& key, const SkellamCharge& charge) {
  return {key, charge, CurveOf(charge).value(), Fate::kReserved};
}

// At each order: charges of a round added up, rounds sorted, the k largest added up.
RdpCurve NaiveWorstCase(const std::vector<NaiveSession>& sessions, std::size_t k) {
  RdpCurve worst;
  for (std::size_t order = 0; order < kNumOrders; ++order) {
    std::map<RoundId, std::uint64_t> rounds;
    for (const NaiveSession& session : sessions) {
      if (session.fate == Fate::kReleased) continue;
      rounds[session.key.round] += session.curve.units[order];
    }
    std::vector<std::uint64_t> values;
    for (const auto& [round, value] : rounds) values.push_back(value);
    std::sort(values.rbegin(), values.rend());
    for (std::size_t i = 0; i < std::min(k, values.size()); ++i) worst.units[order] += values[i];
  }
  return worst;
}

class History {
 public:
  History(std::uint64_t seed, std::uint32_t k)
      : random_(seed), dice_(random_.Stream({.purpose = Purpose::kData}).value()) {
    policy_.task.bytes[3] = std::byte{5};
    policy_.noise = true;
    policy_.budget = {.epsilon = 6,
                      .delta = 1e-7,
                      .population = 20'000,
                      .participations_max = k,
                      .rounds_max = 12,
                      .roster_max = 1000,
                      .dim = 900,
                      .weak_privacy = false};
    ledger_.emplace(Ledger::Create(policy_).value());
  }

  void Step() {
    switch (Below(5)) {
      case 0:
      case 1:
        return Reserve();
      case 2:
        return Settle();
      case 3:
        return Open();
      default:
        return Crash();
    }
  }
  void Check() {
    ASSERT_OK_AND_ASSIGN(const Ledger rebuilt, Ledger::FromEntries(policy_, entries_));
    ASSERT_EQ(rebuilt, *ledger_);
    const RdpCurve naive = NaiveWorstCase(sessions_, policy_.budget.participations_max);
    ASSERT_EQ(ledger_->WorstCase().value(), naive);
    ASSERT_LE(static_cast<double>(ledger_->EpsilonUnits().value()) * kEpsilonUnit, 6.0);
    std::vector<RoundKey> open;
    for (const NaiveSession& session : sessions_) {
      if (session.fate == Fate::kReserved || session.fate == Fate::kOpened) {
        open.push_back(session.key);
      }
    }
    ASSERT_EQ(ledger_->Unsettled(), open);
  }
  std::size_t refused() const { return refused_; }
  std::size_t num_entries() const { return entries_.size(); }

 private:
  std::uint32_t Below(std::uint32_t bound) { return UniformBelow(*dice_, bound).value(); }

  void Reserve() {
    // A later round, or another attempt of the same one.
    if (Below(4) > 0) {
      ++next_.round.counter;
      next_.attempt = 0;
    }
    ++next_.attempt;
    const SkellamCharge charge{1'000'000, 100'000, 1'500'000 * (1 + Below(6))};
    RoundIntent intent{
        .key = next_, .manifest = {}, .charge = charge, .devices_left = 1000, .roster_min = 20};
    std::vector<NaiveSession> after = sessions_;
    after.push_back(Session(next_, charge));
    auto made = ledger_->Reserve(intent);
    const bool fits = Fits(after);
    ASSERT_EQ(made.has_value(), fits);
    if (!fits) {
      EXPECT_EQ(made.error().code(), ErrorCode::kResourceExhausted);
      ++refused_;
      return;
    }
    entries_.push_back(made->entry);
    sessions_ = std::move(after);
    permits_.insert_or_assign(next_, std::move(made->permit));
  }
  bool Fits(const std::vector<NaiveSession>& sessions) const {
    std::map<RoundId, int> rounds;
    for (const NaiveSession& session : sessions) {
      if (session.fate != Fate::kReleased) ++rounds[session.key.round];
    }
    if (rounds.size() > policy_.budget.rounds_max) return false;
    const double delta = policy_.budget.delta - SamplerDelta(policy_.budget, 6);
    const RdpCurve worst = NaiveWorstCase(sessions, policy_.budget.participations_max);
    return DpConversion::Create(delta)->EpsilonUnits(worst) <= std::uint64_t{6} << 40;
  }
  NaiveSession* Pick(Fate fate) {
    std::vector<NaiveSession*> found;
    for (NaiveSession& session : sessions_) {
      if (session.fate == fate) found.push_back(&session);
    }
    return found.empty() ? nullptr : found[Below(static_cast<std::uint32_t>(found.size()))];
  }
  RoundPermit TakePermit(const RoundKey& key) {
    const auto it = permits_.find(key);
    if (it == permits_.end()) return ledger_->Resume(key).value();
    RoundPermit permit = std::move(it->second);
    permits_.erase(it);
    return permit;
  }
  void Open() {
    NaiveSession* session = Pick(Fate::kReserved);
    if (session == nullptr) return;
    RoundPermit permit = TakePermit(session->key);
    auto entry = ledger_->MarkOpened(permit);
    ASSERT_OK(entry);
    entries_.push_back(*entry);
    permits_.insert_or_assign(session->key, std::move(permit));
    session->fate = Fate::kOpened;
  }
  void Settle() {
    NaiveSession* session = Pick(Below(2) == 0 ? Fate::kReserved : Fate::kOpened);
    if (session == nullptr) return;
    const bool opened = session->fate == Fate::kOpened;
    auto entry = Below(3) == 0 ? ledger_->Burn(session->key)
                 : opened      ? ledger_->Commit(TakePermit(session->key))
                               : ledger_->Release(TakePermit(session->key));
    ASSERT_OK(entry);
    session->fate = entry->kind == EntryKind::kRelease ? Fate::kReleased : Fate::kKept;
    permits_.erase(session->key);
    entries_.push_back(*entry);
  }
  // The process dies and comes back: permits in memory are gone.
  void Crash() {
    permits_.clear();
    ledger_.emplace(Ledger::FromEntries(policy_, entries_).value());
  }

  seeded::SeededRandom random_;
  std::unique_ptr<RandomStream> dice_;
  Ledger::Policy policy_;
  std::optional<Ledger> ledger_;
  std::vector<LedgerEntry> entries_;
  std::vector<NaiveSession> sessions_;
  std::map<RoundKey, RoundPermit> permits_;
  RoundKey next_{RoundId{1, 0}, 0};
  std::size_t refused_ = 0;
};

TEST(LedgerModelTest, RandomHistoriesAgreeWithTheNaiveAccountAfterEveryEntry) {
  std::size_t refused = 0;
  std::size_t entries = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    SCOPED_TRACE(seed);
    History history(seed, 1 + static_cast<std::uint32_t>(seed % 4));
    for (int i = 0; i < 40; ++i) {
      history.Step();
      if (::testing::Test::HasFatalFailure()) return;
      history.Check();
      if (::testing::Test::HasFatalFailure()) return;
    }
    refused += history.refused();
    entries += history.num_entries();
  }
  EXPECT_GT(refused, 5U);
  EXPECT_GT(entries, 100U);
}

// What was charged does not depend on the order in which rounds came.
TEST(LedgerModelTest, TheWorstCaseDoesNotDependOnTheOrderOfRounds) {
  std::vector<NaiveSession> sessions;
  for (std::uint32_t i = 0; i < 6; ++i) {
    sessions.push_back(
        Session({RoundId{1, i + 1}, 1}, {1'000'000, 100'000, 5'000'000 + i * 900'000}));
  }
  const RdpCurve forward = NaiveWorstCase(sessions, 3);
  std::reverse(sessions.begin(), sessions.end());
  EXPECT_EQ(NaiveWorstCase(sessions, 3), forward);
  Ledger::Policy policy;
  policy.noise = true;
  policy.budget = {6, 1e-7, 20'000, 3, 12, 1000, 900, false};
  Ledger ledger = Ledger::Create(policy).value();
  std::uint32_t round = 0;
  for (const NaiveSession& session : sessions) {
    RoundIntent intent;
    intent.key = {RoundId{1, ++round}, 1};
    intent.charge = session.charge;
    ASSERT_OK(ledger.Reserve(intent));
  }
  EXPECT_EQ(ledger.WorstCase().value(), forward);
}

}  // namespace
}  // namespace demur::dp
