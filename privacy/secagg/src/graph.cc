#include "demur/secagg/graph.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "demur/base/check.h"
#include "demur/crypto/aes_ctr.h"

namespace demur::secagg {
namespace {

// Words of the graph stream. The protocol fixes how they are cut, so base/random.h's helpers, which
// promise no particular use of their stream, do not do here.
class Draws {
 public:
  Draws(const SecretArray<32>& seed, std::uint32_t number)
      : stream_(seed), block_(std::uint64_t{number} << 32) {}

  Result<std::uint32_t> Below(std::uint32_t bound) {
    constexpr std::uint64_t kWords = std::uint64_t{1} << 32;
    const std::uint64_t limit = kWords - kWords % bound;
    for (;;) {
      DEMUR_TRY(const std::uint32_t word, Word());
      if (word < limit) return word % bound;
    }
  }

 private:
  Result<std::uint32_t> Word() {
    if (at_ == buffer_.size()) {
      DEMUR_RETURN_IF_ERROR(stream_.Keystream(block_, buffer_));
      block_ += buffer_.size() / crypto::kCtrBlockLen;
      at_ = 0;
    }
    std::uint32_t word = 0;
    for (int i = 0; i < 4; ++i) word = word << 8 | std::to_integer<std::uint32_t>(buffer_[at_++]);
    return word;
  }

  crypto::AesCtr stream_;
  std::uint64_t block_;
  std::array<std::byte, 1024> buffer_{};
  std::size_t at_ = buffer_.size();
};

void CheckDegree(std::uint32_t n, const Parameters& parameters) {
  const std::uint32_t k = parameters.neighbours;
  DEMUR_CHECK(k < n && (k % 2 == 0 || parameters.graph == GraphKind::kComplete),
              "k: even and below n");
}

// Calls edge(a, b) for both directions of every edge, some of them more than once.
template <class Edge>
Status ForEachEdge(std::uint32_t n, const Parameters& parameters, const SecretArray<32>& seed,
                   Edge edge) {
  const bool ring = parameters.graph == GraphKind::kRing;
  const std::uint32_t cycles = ring ? 1 : parameters.neighbours / 2;
  const std::uint32_t reach = ring ? parameters.neighbours / 2 : 1;
  for (std::uint32_t cycle = 0; cycle < cycles; ++cycle) {
    DEMUR_TRY(const auto order, DrawOrder(n, seed, cycle));
    for (std::uint32_t at = 0; at < n; ++at) {
      for (std::uint32_t step = 1; step <= reach; ++step) {
        const std::uint32_t ahead = at + step < n ? at + step : at + step - n;
        edge(order[at], order[ahead]);
        edge(order[ahead], order[at]);
      }
    }
  }
  return {};
}

std::vector<std::uint32_t> AllBut(std::uint32_t member, std::uint32_t n) {
  std::vector<std::uint32_t> out(n - 1);
  std::iota(out.begin(), out.begin() + member, 0U);
  std::iota(out.begin() + member, out.end(), member + 1);
  return out;
}

void SortOnce(std::vector<std::uint32_t>& members) {
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
}

}  // namespace

Result<std::vector<std::uint32_t>> DrawOrder(std::uint32_t n, const SecretArray<32>& seed,
                                             std::uint32_t number) {
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  Draws draws(seed, number);
  for (std::uint32_t i = n; i-- > 1;) {
    DEMUR_TRY(const std::uint32_t j, draws.Below(i + 1));
    std::swap(order[i], order[j]);
  }
  return order;
}

Result<Graph> Graph::Create(std::uint32_t n, const Parameters& parameters,
                            const SecretArray<32>& seed) {
  CheckDegree(n, parameters);
  std::vector<std::vector<std::uint32_t>> members(n);
  if (parameters.graph == GraphKind::kComplete) {
    for (std::uint32_t i = 0; i < n; ++i) members[i] = AllBut(i, n);
  } else {
    for (auto& one : members) one.reserve(parameters.neighbours);
    DEMUR_RETURN_IF_ERROR(ForEachEdge(
        n, parameters, seed, [&members](auto from, auto to) { members[from].push_back(to); }));
  }
  Graph graph;
  graph.first_.reserve(n + std::size_t{1});
  for (auto& one : members) {
    SortOnce(one);
    graph.joined_.insert(graph.joined_.end(), one.begin(), one.end());
    graph.first_.push_back(graph.joined_.size());
    one = {};
  }
  return graph;
}

Result<std::vector<std::uint32_t>> Graph::NeighboursOf(std::uint32_t member, std::uint32_t n,
                                                       const Parameters& parameters,
                                                       const SecretArray<32>& seed) {
  CheckDegree(n, parameters);
  DEMUR_CHECK(member < n, "a member of the graph");
  if (parameters.graph == GraphKind::kComplete) return AllBut(member, n);
  std::vector<std::uint32_t> out;
  DEMUR_RETURN_IF_ERROR(ForEachEdge(n, parameters, seed, [&out, member](auto from, auto to) {
    if (from == member) out.push_back(to);
  }));
  SortOnce(out);
  return out;
}

std::span<const std::uint32_t> Graph::Neighbours(std::uint32_t member) const {
  DEMUR_CHECK(member < size(), "a member of the graph");
  return std::span(joined_).subspan(first_[member], first_[member + 1] - first_[member]);
}

bool Graph::AreNeighbours(std::uint32_t a, std::uint32_t b) const noexcept {
  if (a >= size()) return false;
  const auto begin = joined_.begin() + static_cast<std::ptrdiff_t>(first_[a]);
  return std::binary_search(begin, joined_.begin() + static_cast<std::ptrdiff_t>(first_[a + 1]), b);
}

std::uint32_t Graph::CountIn(std::uint32_t member, const MemberSet& set) const {
  const auto neighbours = Neighbours(member);
  return static_cast<std::uint32_t>(
      std::count_if(neighbours.begin(), neighbours.end(),
                    [&set](std::uint32_t other) { return set.Contains(other); }));
}

Result<std::vector<std::uint32_t>> DrawCommittee(std::uint32_t n, const Parameters& parameters,
                                                 const SecretArray<32>& seed) {
  DEMUR_CHECK(parameters.committee <= n, "a committee of members");
  std::vector<std::uint32_t> out(n);
  if (parameters.committee == n) {
    std::iota(out.begin(), out.end(), 0U);
    return out;
  }
  DEMUR_TRY(out, DrawOrder(n, seed, 0));
  out.resize(parameters.committee);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace demur::secagg
