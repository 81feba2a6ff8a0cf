#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "demur/base/bytes.h"
#include "demur/base/ids.h"
#include "demur/base/result.h"
#include "demur/dp/accountant.h"

// The coordinator's account of one task: append-only entries in a hash chain, and the state that
// follows from them. Pure: no disk, no clock. The shell writes each entry it is given durably,
// before it does what the entry allows. Rounds without noise get entries too, so that
// participations are counted. Not thread-safe.
namespace demur::dp {

struct RoundKey {
  RoundId round;
  std::uint32_t attempt = 0;
  friend auto operator<=>(const RoundKey&, const RoundKey&) = default;
};

// Numbers are on disk: never renumber.
enum class EntryKind : std::uint8_t {
  kReserve = 1,  // before the round is announced; charges
  kOpen = 2,     // before the first unmask request leaves; the charge is final from here
  kCommit = 3,   // with the model it paid for
  kBurn = 4,     // abandoned, stays charged
  kRelease = 5,  // abandoned before kOpen: the charge is given back
};

struct LedgerEntry {
  std::uint64_t seq = 0;  // 1, 2, 3, ...
  EntryKind kind = EntryKind::kReserve;
  TaskId task;
  RoundKey key;
  Hash256 manifest{};  // SHA-256 of the signed plan
  // On kReserve of a round with noise: what was charged, and its curve as it was computed then.
  std::optional<SkellamCharge> charge;
  RdpCurve curve;      // all zero without a charge
  Hash256 previous{};  // hash of the entry before; the first one names the budget
  Hash256 hash{};      // SHA-256 of a label and everything above

  // Canonical bytes: fixed order, big-endian.
  Bytes Encode() const;
  // kDataLoss: too short or long, an unknown version or kind, or a curve without a charge. Does
  // not check hashes: the chain is the ledger's to check.
  static Result<LedgerEntry> Parse(ByteView bytes);
  Hash256 ComputeHash() const;
  friend bool operator==(const LedgerEntry&, const LedgerEntry&) = default;
};
inline constexpr std::size_t kMaxEntryBytes = 1024;

// What the coordinator asks to be allowed.
struct RoundIntent {
  RoundKey key;
  Hash256 manifest{};                   // SHA-256 of the signed plan that will be announced
  std::optional<SkellamCharge> charge;  // ChargeOf(plan)
  std::uint64_t devices_left = 0;       // identities with participations left
  std::uint32_t roster_min = 0;         // of the plan
};

// The right to open one sum, and the only argument that opens one. Made by Ledger alone, moved
// never copied; a permit that was moved from is not valid().
class RoundPermit {
 public:
  RoundPermit(RoundPermit&& other) noexcept
      : task_(other.task_), key_(other.key_), manifest_(other.manifest_), valid_(other.valid_) {
    other.valid_ = false;
  }
  RoundPermit& operator=(RoundPermit&& other) noexcept {
    task_ = other.task_;
    key_ = other.key_;
    manifest_ = other.manifest_;
    valid_ = std::exchange(other.valid_, false);
    return *this;
  }
  RoundPermit(const RoundPermit&) = delete;
  RoundPermit& operator=(const RoundPermit&) = delete;
  ~RoundPermit() = default;

  bool valid() const noexcept { return valid_; }
  const TaskId& task() const noexcept { return task_; }
  const RoundKey& key() const noexcept { return key_; }
  const Hash256& manifest() const noexcept { return manifest_; }

 private:
  friend class Ledger;
  RoundPermit(const TaskId& task, const RoundKey& key, const Hash256& manifest)
      : task_(task), key_(key), manifest_(manifest), valid_(true) {}
  TaskId task_;
  RoundKey key_;
  Hash256 manifest_{};
  bool valid_ = false;
};

struct Reservation {
  RoundPermit permit;
  LedgerEntry entry;  // to be made durable before the round is announced
};

// How a round stands in a ledger.
enum class LedgerStanding : std::uint8_t {
  kReserved = 1,
  kOpened = 2,
  kCommitted = 3,
  kBurnt = 4,
  kReleased = 5,
};
std::string_view ToString(LedgerStanding standing) noexcept;

// Every method that gives an entry has already taken it into the state, so two reservations can
// not spend the same budget. When making an entry durable fails, throw the Ledger away and rebuild
// it from what is on disk.
class Ledger {
 public:
  // What a task may spend. `noise` false: no charges, budget.epsilon and delta are not looked at.
  struct Policy {
    TaskId task;
    bool noise = false;
    TaskBudget budget;
    friend bool operator==(const Policy&, const Policy&) = default;
  };

  // An empty ledger. kInvalidArgument: the budget does not hold together.
  static Result<Ledger> Create(const Policy& policy);
  // The state after `entries`, equal to the last bit to the one that wrote them.
  // kDataLoss: another policy, a broken chain, a gap, an unknown kind, a transition that is not
  // allowed, a curve that its charge does not give. Nothing may then be spent.
  static Result<Ledger> FromEntries(const Policy& policy, std::span<const LedgerEntry> entries);
  // Takes one more entry from disk. kDataLoss as above, and the state is unchanged.
  Status Apply(const LedgerEntry& entry);

  // Charges a round and mints its permit.
  // kResourceExhausted: the budget, the rounds or the devices that are left do not allow it.
  // kFailedPrecondition: not later than every (round, attempt) before. kInvalidArgument: a charge
  // where the policy has no noise, or none where it has, or a charge out of range.
  Result<Reservation> Reserve(const RoundIntent& intent);
  // After a restart: the permit of a round that is reserved or opened, once per Ledger object.
  // kNotFound: no such round. kFailedPrecondition: settled, or its permit is out already.
  Result<RoundPermit> Resume(const RoundKey& key);

  // Before the first unmask request leaves. kFailedPrecondition: not reserved (or opened already).
  Result<LedgerEntry> MarkOpened(const RoundPermit& permit);
  // Takes the permit. kFailedPrecondition: the round was never opened, or is settled.
  Result<LedgerEntry> Commit(RoundPermit permit);
  // Takes the permit. kFailedPrecondition: opened (burn it instead) or settled.
  Result<LedgerEntry> Release(RoundPermit permit);
  // By key, so that a round whose permit was lost can be closed. kNotFound, kFailedPrecondition.
  Result<LedgerEntry> Burn(const RoundKey& key);

  // Rounds that are reserved or opened: what a restart has to settle.
  std::vector<RoundKey> Unsettled() const;
  bool Opened(const RoundKey& key) const;
  // Every round that was ever reserved: for whoever keeps a record of its own to compare. The chain
  // alone does not tell that its last entries were lost.
  std::map<RoundKey, LedgerStanding> Standings() const;
  std::uint64_t num_entries() const noexcept { return num_entries_; }
  const Hash256& head() const noexcept { return head_; }
  const Policy& policy() const noexcept { return policy_; }
  std::uint64_t rounds_charged() const noexcept { return totals_.size(); }

  // At each order, the sum of the participations_max largest rounds.
  Result<RdpCurve> WorstCase() const;
  // Epsilon of WorstCase() in units of 2^-40; 0 without noise or rounds.
  // kResourceExhausted: the sum overflows.
  Result<std::uint64_t> EpsilonUnits() const;
  // The bracket for a report. kFailedPrecondition: no noise, or nothing charged yet.
  Result<EpsilonReport> Report() const;

  // Same policy, entries and state (permits that are out do not count).
  friend bool operator==(const Ledger& a, const Ledger& b);

 private:
  struct Session {
    LedgerStanding standing = LedgerStanding::kReserved;
    Hash256 manifest{};
    std::optional<SkellamCharge> charge;
    RdpCurve curve;
    bool permit_out = false;

    bool settled() const noexcept { return standing >= LedgerStanding::kCommitted; }

    friend bool operator==(const Session& a, const Session& b) {
      return a.standing == b.standing && a.manifest == b.manifest && a.charge == b.charge &&
             a.curve == b.curve;
    }
  };
  // What one round costs a participant: its sessions added up.
  struct RoundTotal {
    RdpCurve curve;
    std::uint32_t sessions = 0;
    friend bool operator==(const RoundTotal&, const RoundTotal&) = default;
  };

  explicit Ledger(const Policy& policy);
  Status CheckReserve(const LedgerEntry& entry) const;
  Status CheckTransition(const LedgerEntry& entry) const;
  Status CheckChain(const LedgerEntry& entry) const;
  LedgerEntry NextEntry(EntryKind kind, const RoundKey& key) const;
  void Take(const LedgerEntry& entry);
  void Charge(const LedgerEntry& entry);
  void Uncharge(const RoundKey& key);
  bool Mine(const RoundPermit& permit) const;
  Result<LedgerEntry> Move(EntryKind kind, const RoundKey& key);
  static Result<RdpCurve> SumOfLargest(const std::map<RdpCurve, std::uint64_t>& counts,
                                       std::uint64_t how_many);

  Policy policy_;
  std::optional<DpConversion> conversion_;  // with noise
  std::uint64_t budget_units_ = 0;
  std::map<RoundKey, Session> sessions_;
  std::map<RoundId, RoundTotal> totals_;            // rounds that are charged
  std::map<RdpCurve, std::uint64_t> curve_counts_;  // how many rounds have this total
  Hash256 head_{};
  std::uint64_t num_entries_ = 0;
};

}  // namespace demur::dp
