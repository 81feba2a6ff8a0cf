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
  explicit Draws(const SecretArray<32>& seed) : stream_(crypto::MakeCtrStream(seed)) {}

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
      DEMUR_RETURN_IF_ERROR(stream_->Fill(buffer_));
      at_ = 0;
    }
    std::uint32_t word = 0;
    for (int i = 0; i < 4; ++i) word = word << 8 | std::to_integer<std::uint32_t>(buffer_[at_++]);
    return word;
  }

  std::unique_ptr<RandomStream> stream_;
  std::array<std::byte, 1024> buffer_{};
  std::size_t at_ = buffer_.size();
};

}  // namespace

Result<Graph> Graph::Create(std::uint32_t n, std::uint32_t neighbours,
                            const SecretArray<32>& seed) {
  Graph graph;
  graph.n_ = n;
  DEMUR_CHECK(neighbours % 2 == 0 && neighbours < n, "k: even and below n");
  graph.half_ = neighbours / 2;
  graph.member_at_.resize(n);
  std::iota(graph.member_at_.begin(), graph.member_at_.end(), 0U);
  Draws draws(seed);
  for (std::uint32_t i = n; i-- > 1;) {
    DEMUR_TRY(const std::uint32_t j, draws.Below(i + 1));
    std::swap(graph.member_at_[i], graph.member_at_[j]);
  }
  graph.position_of_.resize(n);
  for (std::uint32_t i = 0; i < n; ++i) graph.position_of_[graph.member_at_[i]] = i;
  return graph;
}

std::vector<std::uint32_t> Graph::Neighbours(std::uint32_t member) const {
  DEMUR_CHECK(member < n_, "a member of the graph");
  std::vector<std::uint32_t> out;
  out.reserve(std::size_t{2} * half_);
  const std::uint32_t at = position_of_[member];
  for (std::uint32_t step = 1; step <= half_; ++step) {
    out.push_back(member_at_[(at + step) % n_]);
    out.push_back(member_at_[(at + n_ - step) % n_]);
  }
  std::sort(out.begin(), out.end());
  return out;
}

bool Graph::AreNeighbours(std::uint32_t a, std::uint32_t b) const noexcept {
  if (a >= n_ || b >= n_ || a == b) return false;
  const std::uint32_t ahead = (position_of_[b] + n_ - position_of_[a]) % n_;
  return std::min(ahead, n_ - ahead) <= half_;
}

std::uint32_t Graph::CountIn(std::uint32_t member, const MemberSet& set) const {
  const auto neighbours = Neighbours(member);
  return static_cast<std::uint32_t>(
      std::count_if(neighbours.begin(), neighbours.end(),
                    [&set](std::uint32_t other) { return set.Contains(other); }));
}

}  // namespace demur::secagg
