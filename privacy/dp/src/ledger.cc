#include "demur/dp/ledger.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "demur/crypto/hash.h"

namespace demur::dp {
namespace {

Error Bad(const char* what) { return Error(ErrorCode::kInvalidArgument, what); }
Error Broken(const std::string& what) { return Error(ErrorCode::kDataLoss, "ledger: " + what); }
Error WrongTime(const char* what) { return Error(ErrorCode::kFailedPrecondition, what); }
Error Spent(const char* what) { return Error(ErrorCode::kResourceExhausted, what); }

// The first link of the chain names the promise: entries made under another budget do not verify.
Hash256 Genesis(const Ledger::Policy& policy) {
  const TaskBudget& budget = policy.budget;
  ByteWriter writer;
  writer.Text("demur ledger v1").Raw(policy.task.bytes).U8(policy.noise ? 1 : 0);
  writer.U64(std::bit_cast<std::uint64_t>(budget.epsilon))
      .U64(std::bit_cast<std::uint64_t>(budget.delta))
      .U64(budget.population)
      .U32(budget.participations_max)
      .U32(budget.rounds_max)
      .U32(budget.roster_max)
      .U32(budget.dim)
      .U8(budget.weak_privacy ? 1 : 0);
  return crypto::Sha256(writer.bytes());
}

}  // namespace

Ledger::Ledger(const Policy& policy) : policy_(policy), head_(Genesis(policy)) {}

std::string_view ToString(LedgerStanding standing) noexcept {
  switch (standing) {
    case LedgerStanding::kReserved:
      return "reserved";
    case LedgerStanding::kOpened:
      return "opened";
    case LedgerStanding::kCommitted:
      return "committed";
    case LedgerStanding::kBurnt:
      return "burnt";
    case LedgerStanding::kReleased:
      return "released";
  }
  return "unknown";
}

Result<Ledger> Ledger::Create(const Policy& policy) {
  const TaskBudget& budget = policy.budget;
  if (budget.rounds_max == 0 || budget.participations_max == 0 ||
      budget.participations_max > budget.rounds_max) {
    return Bad("ledger: participations_max must be 1 to rounds_max");
  }
  Ledger ledger(policy);
  if (!policy.noise) return ledger;
  DEMUR_RETURN_IF_ERROR(budget.Validate());
  // The sampler's share of delta at the budget's epsilon: nothing that costs more is admitted.
  const double delta = budget.delta - SamplerDelta(budget, budget.epsilon);
  if (!(delta >= budget.delta / 2)) return Bad("ledger: the sampler's error does not fit delta");
  DEMUR_TRY(ledger.conversion_, DpConversion::Create(delta));
  ledger.budget_units_ =
      static_cast<std::uint64_t>(std::floor(std::ldexp(budget.epsilon, kEpsilonFractionBits)));
  return ledger;
}

Result<Ledger> Ledger::FromEntries(const Policy& policy, std::span<const LedgerEntry> entries) {
  DEMUR_TRY(Ledger ledger, Create(policy));
  for (const LedgerEntry& entry : entries) DEMUR_RETURN_IF_ERROR(ledger.Apply(entry));
  return ledger;
}

Status Ledger::Apply(const LedgerEntry& entry) {
  DEMUR_RETURN_IF_ERROR(CheckChain(entry));
  const Status allowed =
      entry.kind == EntryKind::kReserve ? CheckReserve(entry) : CheckTransition(entry);
  if (!allowed)
    return Broken("entry " + std::to_string(entry.seq) +
                  " is not allowed: " + allowed.error().message());
  Take(entry);
  return {};
}

Status Ledger::CheckChain(const LedgerEntry& entry) const {
  if (entry.seq != num_entries_ + 1) return Broken("gap before entry " + std::to_string(entry.seq));
  if (entry.task != policy_.task) return Broken("an entry of another task");
  if (entry.previous != head_ || entry.hash != entry.ComputeHash()) {
    return Broken("the chain is broken at entry " + std::to_string(entry.seq));
  }
  return {};
}

// Also says whether a new reservation may be made; Apply turns every refusal into kDataLoss.
Status Ledger::CheckReserve(const LedgerEntry& entry) const {
  if (!sessions_.empty() && entry.key <= sessions_.rbegin()->first) {
    return WrongTime("ledger: rounds and attempts must ascend");
  }
  if (entry.charge.has_value() != policy_.noise) {
    return Bad("ledger: a round is charged exactly when the task has noise");
  }
  const auto total = totals_.find(entry.key.round);
  if (total == totals_.end() && totals_.size() >= policy_.budget.rounds_max) {
    return Spent("ledger: rounds_max is reached");
  }
  if (!policy_.noise) return {};
  DEMUR_TRY(const RdpCurve curve, CurveOf(*entry.charge));
  if (curve != entry.curve) return Bad("ledger: the curve does not belong to the charge");
  // The worst case with this session in it.
  std::map<RdpCurve, std::uint64_t> counts = curve_counts_;
  RdpCurve round_curve;
  if (total != totals_.end()) {
    round_curve = total->second.curve;
    if (--counts[round_curve] == 0) counts.erase(round_curve);
  }
  DEMUR_RETURN_IF_ERROR(round_curve.Add(curve));
  ++counts[round_curve];
  DEMUR_TRY(const RdpCurve worst, SumOfLargest(counts, policy_.budget.participations_max));
  if (conversion_->EpsilonUnits(worst) > budget_units_) {
    return Spent("ledger: the privacy budget of this task would be passed");
  }
  return {};
}

Status Ledger::CheckTransition(const LedgerEntry& entry) const {
  const auto it = sessions_.find(entry.key);
  if (it == sessions_.end()) return Error(ErrorCode::kNotFound, "ledger: no such round");
  const Session& session = it->second;
  if (entry.charge || entry.manifest != session.manifest) {
    return Bad("ledger: entry and reservation differ");
  }
  bool allowed = false;
  switch (entry.kind) {
    case EntryKind::kReserve:
      break;
    case EntryKind::kOpen:
      allowed = session.standing == LedgerStanding::kReserved;
      break;
    case EntryKind::kCommit:
      allowed = session.standing == LedgerStanding::kOpened;
      break;
    case EntryKind::kBurn:
      allowed = !session.settled();
      break;
    case EntryKind::kRelease:
      allowed = session.standing == LedgerStanding::kReserved;
      break;
  }
  if (!allowed) return WrongTime("ledger: the round is not in the phase for this");
  return {};
}

void Ledger::Take(const LedgerEntry& entry) {
  Session& session = sessions_[entry.key];
  switch (entry.kind) {
    case EntryKind::kReserve:
      session.manifest = entry.manifest;
      session.charge = entry.charge;
      session.curve = entry.curve;
      Charge(entry);
      break;
    case EntryKind::kOpen:
      session.standing = LedgerStanding::kOpened;
      break;
    case EntryKind::kCommit:
      session.standing = LedgerStanding::kCommitted;
      break;
    case EntryKind::kBurn:
      session.standing = LedgerStanding::kBurnt;
      break;
    case EntryKind::kRelease:
      session.standing = LedgerStanding::kReleased;
      Uncharge(entry.key);
      break;
  }
  head_ = entry.hash;
  num_entries_ = entry.seq;
}

void Ledger::Charge(const LedgerEntry& entry) {
  RoundTotal& total = totals_[entry.key.round];
  if (total.sessions > 0 && --curve_counts_[total.curve] == 0) curve_counts_.erase(total.curve);
  const Status added = total.curve.Add(entry.curve);
  DEMUR_CHECK(added.has_value(), "CheckReserve added the same curves");
  ++total.sessions;
  ++curve_counts_[total.curve];
}

void Ledger::Uncharge(const RoundKey& key) {
  const auto it = totals_.find(key.round);
  DEMUR_CHECK(it != totals_.end(), "a reserved round is charged");
  RoundTotal& total = it->second;
  if (--curve_counts_[total.curve] == 0) curve_counts_.erase(total.curve);
  const RdpCurve& curve = sessions_[key].curve;
  for (std::size_t i = 0; i < kNumOrders; ++i) total.curve.units[i] -= curve.units[i];
  if (--total.sessions == 0) {
    totals_.erase(it);
  } else {
    ++curve_counts_[total.curve];
  }
}

Result<RdpCurve> Ledger::SumOfLargest(const std::map<RdpCurve, std::uint64_t>& counts,
                                      std::uint64_t how_many) {
  RdpCurve sum;
  // One curve above another at every order is the rule (rounds of one plan have one curve), but
  // nothing here relies on it: each order takes its own largest values.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> values(counts.size());
  for (std::size_t order = 0; order < kNumOrders; ++order) {
    std::size_t n = 0;
    for (const auto& [curve, count] : counts) values[n++] = {curve.units[order], count};
    std::sort(values.begin(), values.end(), std::greater<>());
    std::uint64_t left = how_many;
    RdpCurve part;
    for (const auto& [value, count] : values) {
      const std::uint64_t taken = std::min(left, count);
      RdpCurve one;
      one.units[order] = value;
      DEMUR_RETURN_IF_ERROR(part.Add(one, taken));
      left -= taken;
      if (left == 0) break;
    }
    sum.units[order] = part.units[order];
  }
  return sum;
}

LedgerEntry Ledger::NextEntry(EntryKind kind, const RoundKey& key) const {
  LedgerEntry entry;
  entry.seq = num_entries_ + 1;
  entry.kind = kind;
  entry.task = policy_.task;
  entry.key = key;
  const auto it = sessions_.find(key);
  if (it != sessions_.end()) entry.manifest = it->second.manifest;
  entry.previous = head_;
  return entry;
}

Result<Reservation> Ledger::Reserve(const RoundIntent& intent) {
  if (intent.devices_left < intent.roster_min) {
    return Spent("ledger: fewer devices than a roster have participations left");
  }
  LedgerEntry entry = NextEntry(EntryKind::kReserve, intent.key);
  entry.manifest = intent.manifest;
  entry.charge = intent.charge;
  if (entry.charge) {
    DEMUR_TRY(entry.curve, CurveOf(*entry.charge));
  }
  DEMUR_RETURN_IF_ERROR(CheckReserve(entry));
  entry.hash = entry.ComputeHash();
  Take(entry);
  sessions_[intent.key].permit_out = true;
  return Reservation{RoundPermit(policy_.task, intent.key, intent.manifest), entry};
}

Result<RoundPermit> Ledger::Resume(const RoundKey& key) {
  const auto it = sessions_.find(key);
  if (it == sessions_.end()) return Error(ErrorCode::kNotFound, "ledger: no such round");
  if (it->second.settled()) return WrongTime("ledger: the round is settled");
  if (it->second.permit_out) return WrongTime("ledger: the permit of this round is out");
  it->second.permit_out = true;
  return RoundPermit(policy_.task, key, it->second.manifest);
}

Result<LedgerEntry> Ledger::Move(EntryKind kind, const RoundKey& key) {
  LedgerEntry entry = NextEntry(kind, key);
  DEMUR_RETURN_IF_ERROR(CheckTransition(entry));
  entry.hash = entry.ComputeHash();
  Take(entry);
  return entry;
}

Result<LedgerEntry> Ledger::MarkOpened(const RoundPermit& permit) {
  if (!Mine(permit)) return WrongTime("ledger: not a permit of this ledger");
  return Move(EntryKind::kOpen, permit.key());
}

Result<LedgerEntry> Ledger::Commit(RoundPermit permit) {
  if (!Mine(permit)) return WrongTime("ledger: not a permit of this ledger");
  return Move(EntryKind::kCommit, permit.key());
}

Result<LedgerEntry> Ledger::Release(RoundPermit permit) {
  if (!Mine(permit)) return WrongTime("ledger: not a permit of this ledger");
  return Move(EntryKind::kRelease, permit.key());
}

Result<LedgerEntry> Ledger::Burn(const RoundKey& key) { return Move(EntryKind::kBurn, key); }

bool Ledger::Mine(const RoundPermit& permit) const {
  return permit.valid() && permit.task() == policy_.task;
}

std::vector<RoundKey> Ledger::Unsettled() const {
  std::vector<RoundKey> keys;
  for (const auto& [key, session] : sessions_) {
    if (!session.settled()) keys.push_back(key);
  }
  return keys;
}

bool Ledger::Opened(const RoundKey& key) const {
  const auto it = sessions_.find(key);
  return it != sessions_.end() && it->second.standing == LedgerStanding::kOpened;
}

std::map<RoundKey, LedgerStanding> Ledger::Standings() const {
  std::map<RoundKey, LedgerStanding> out;
  for (const auto& [key, session] : sessions_) out.emplace(key, session.standing);
  return out;
}

Result<RdpCurve> Ledger::WorstCase() const {
  return SumOfLargest(curve_counts_, policy_.budget.participations_max);
}

Result<std::uint64_t> Ledger::EpsilonUnits() const {
  if (!policy_.noise || totals_.empty()) return std::uint64_t{0};
  DEMUR_TRY(const RdpCurve worst, WorstCase());
  return conversion_->EpsilonUnits(worst);
}

Result<EpsilonReport> Ledger::Report() const {
  if (!policy_.noise || totals_.empty()) return WrongTime("ledger: nothing was charged");
  DEMUR_TRY(const RdpCurve worst, WorstCase());
  // The distinguisher needs sums that were released: committed sessions of one charge, in
  // different rounds, as many as one identity may be in.
  std::map<SkellamCharge, std::uint64_t> released;
  const RoundId* last = nullptr;
  for (const auto& [key, session] : sessions_) {
    if (session.standing != LedgerStanding::kCommitted || (last != nullptr && *last == key.round))
      continue;
    ++released[*session.charge];
    last = &key.round;
  }
  const std::uint64_t k = policy_.budget.participations_max;
  SkellamCharge charge;
  std::uint64_t times = 0;
  for (const auto& [candidate, count] : released) {
    if (std::min(count, k) >= times) {
      charge = candidate;
      times = std::min(count, k);
    }
  }
  DEMUR_TRY(EpsilonReport report,
            ReportOf(worst, charge, static_cast<std::uint32_t>(times), policy_.budget));
  report.participations = static_cast<std::uint32_t>(std::min<std::uint64_t>(k, totals_.size()));
  return report;
}

bool operator==(const Ledger& a, const Ledger& b) {
  return a.policy_ == b.policy_ && a.head_ == b.head_ && a.num_entries_ == b.num_entries_ &&
         a.totals_ == b.totals_ && a.curve_counts_ == b.curve_counts_ &&
         a.sessions_ == b.sessions_ && a.budget_units_ == b.budget_units_;
}

}  // namespace demur::dp
