#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "demur/base/result.h"
#include "demur/base/secret.h"
#include "demur/secagg/member_set.h"
#include "demur/secagg/parameters.h"

// Who masks with whom, and who signs the survivor set: both drawn from the session, so that every
// member can draw them again. Immutable; safe from several threads.
namespace demur::secagg {

// An order of 0..n-1: a Fisher-Yates shuffle over 32-bit big-endian words of AES-256-CTR(seed) from
// block `number` * 2^32 on, words that would bias a draw thrown away. kInternal: the cipher failed.
Result<std::vector<std::uint32_t>> DrawOrder(std::uint32_t n, const SecretArray<32>& seed,
                                             std::uint32_t number);

class Graph {
 public:
  // Of a roster of n under `parameters`:
  //   ring: one order, each member joined to the k / 2 next on either side (a Harary graph);
  //   expander: k / 2 orders, each closed to a cycle, edges that are there twice counted once;
  //   complete: everybody.
  // k even (ring, expander) and below n (checked). kInternal: the cipher failed.
  static Result<Graph> Create(std::uint32_t n, const Parameters& parameters,
                              const SecretArray<32>& seed);
  // What Create(...)->Neighbours(member) is, without the graph of the others. Errors of Create.
  static Result<std::vector<std::uint32_t>> NeighboursOf(std::uint32_t member, std::uint32_t n,
                                                         const Parameters& parameters,
                                                         const SecretArray<32>& seed);

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(first_.size()) - 1; }
  // Ascending, without `member` itself; `member` < size() (checked). Borrowed from the graph.
  std::span<const std::uint32_t> Neighbours(std::uint32_t member) const;
  bool AreNeighbours(std::uint32_t a, std::uint32_t b) const noexcept;
  // |N(member) and set|.
  std::uint32_t CountIn(std::uint32_t member, const MemberSet& set) const;

 private:
  std::vector<std::size_t> first_{0};  // where each member's neighbours begin; one more at the end
  std::vector<std::uint32_t> joined_;
};

// The members that sign the survivor set, ascending: all n of a complete graph, else the first
// `parameters.committee` of DrawOrder(n, seed, 0). kInternal: the cipher failed.
Result<std::vector<std::uint32_t>> DrawCommittee(std::uint32_t n, const Parameters& parameters,
                                                 const SecretArray<32>& seed);

}  // namespace demur::secagg
