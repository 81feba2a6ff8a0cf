#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "demur/base/check.h"
#include "demur/dp/ledger.h"

// Bytes as entries of u16 length each, replayed into a ledger: whatever they say, parsing and
// replay end in an error or in a state that says the same when it is replayed again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using demur::dp::Ledger;
  using demur::dp::LedgerEntry;
  Ledger::Policy policy;
  policy.budget.participations_max = 2;
  policy.budget.rounds_max = 3;
  auto ledger = Ledger::Create(policy);
  DEMUR_CHECK(ledger.has_value(), "the policy holds together");
  std::vector<LedgerEntry> taken;
  demur::ByteReader reader(std::as_bytes(std::span(data, size)));
  for (int i = 0; i < 64; ++i) {
    const auto length = reader.U16();
    if (!length) break;
    const auto bytes = reader.Raw(*length);
    if (!bytes) break;
    const auto entry = LedgerEntry::Parse(*bytes);
    if (!entry) continue;
    DEMUR_CHECK(std::ranges::equal(entry->Encode(), *bytes), "there is one encoding of an entry");
    if (ledger->Apply(*entry)) taken.push_back(*entry);
  }
  const auto again = Ledger::FromEntries(policy, taken);
  DEMUR_CHECK(again.has_value() && *again == *ledger, "replay gives the same state");
  return 0;
}
