#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

#include "demur/crypto/aes_ctr.h"
#include "demur/crypto/hash.h"
#include "demur/secagg/mask.h"
#include "demur/secagg/packing.h"
#include "demur/secagg/reed_solomon.h"
#include "demur/secagg/shamir.h"

// The building blocks of secure aggregation, one thread. Coordinates are pseudo-random words.
namespace demur::secagg {
namespace {

constexpr std::uint32_t kDim = 100'000;

SecretArray<32> Key(std::uint64_t seed) {
  SecretArray<32> key;
  for (std::size_t i = 0; i < 8; ++i) key.mutable_view()[i] = std::byte(seed >> (8 * i) & 0xFFU);
  return key;
}

std::vector<std::uint32_t> Words(std::size_t dim) {
  std::vector<std::uint32_t> words(dim);
  for (std::size_t i = 0; i < dim; ++i) words[i] = static_cast<std::uint32_t>(i) * 2654435761U;
  return words;
}

template <class T>
bool Worked(benchmark::State& state, const T& result) {
  if (!result.has_value()) state.SkipWithError("failed");
  return result.has_value();
}

// Argument: bits a coordinate.
void PackWords(benchmark::State& state) {
  const auto words = Words(kDim);
  for (auto _ : state) {
    benchmark::DoNotOptimize(Pack(words, static_cast<std::uint32_t>(state.range(0))));
  }
  state.SetItemsProcessed(state.iterations() * kDim);
}
BENCHMARK(PackWords)->Name("Pack")->Arg(8)->Arg(16)->Arg(18)->Arg(25)->Arg(32);

void UnpackWords(benchmark::State& state) {
  const auto bits = static_cast<std::uint32_t>(state.range(0));
  const Bytes packed = Pack(Words(kDim), bits);
  std::vector<std::uint32_t> sum(kDim);
  for (auto _ : state) {
    if (!Worked(state, UnpackAdd(packed, bits, sum))) break;
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kDim);
}
BENCHMARK(UnpackWords)->Name("UnpackAdd")->Arg(8)->Arg(16)->Arg(18)->Arg(25)->Arg(32);

// What the coordinator does with each M5: its hash, then the sum.
void HashAndUnpack(benchmark::State& state) {
  const auto bits = static_cast<std::uint32_t>(state.range(0));
  const Bytes packed = Pack(Words(kDim), bits);
  std::vector<std::uint32_t> sum(kDim);
  for (auto _ : state) {
    benchmark::DoNotOptimize(crypto::Sha256({packed}));
    if (!Worked(state, UnpackAdd(packed, bits, sum))) break;
    benchmark::ClobberMemory();
  }
}
BENCHMARK(HashAndUnpack)->Arg(18);

// Argument: coordinates.
void OneMask(benchmark::State& state) {
  auto words = Words(static_cast<std::size_t>(state.range(0)));
  const auto key = Key(1);
  for (auto _ : state) {
    if (!Worked(state, ApplyMask(key, MaskSign::kSubtract, words))) break;
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * 4);
}
BENCHMARK(OneMask)->Name("ApplyMask")->Arg(4)->Arg(1000)->Arg(kDim)->Arg(1'000'000);

// Arguments: terms, coordinates.
void ManyMasks(benchmark::State& state) {
  auto words = Words(static_cast<std::size_t>(state.range(1)));
  std::vector<SecretArray<32>> keys;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    keys.push_back(Key(static_cast<std::uint64_t>(i)));
  }
  std::vector<MaskTerm> terms;
  for (const auto& key : keys) {
    terms.push_back({&key, terms.size() % 2 == 0 ? MaskSign::kAdd : MaskSign::kSubtract});
  }
  for (auto _ : state) {
    if (!Worked(state, ApplyMasks(terms, words))) break;
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * state.range(1) * 4);
}
BENCHMARK(ManyMasks)
    ->Name("ApplyMasks")
    ->Args({64, 1000})
    ->Args({64, kDim})
    ->Args({64, 1'000'000})
    ->Unit(benchmark::kMicrosecond);

// A cipher for a new key and its first block.
void NewCipher(benchmark::State& state) {
  const auto key = Key(1);
  std::array<std::byte, 16> block{};
  for (auto _ : state) {
    crypto::AesCtr cipher(key);
    if (!Worked(state, cipher.Keystream(0, block))) break;
  }
}
BENCHMARK(NewCipher);

struct Dealt {
  std::vector<SecretShare> shares;
  std::vector<HeldShare> held;
};
Dealt Deal(std::uint32_t threshold, std::uint32_t holders) {
  std::vector<std::uint32_t> xs(holders);
  std::iota(xs.begin(), xs.end(), 1U);
  const auto coins = crypto::MakeCtrStream(Key(9));
  Dealt dealt{.shares = SplitSecret(Key(3), threshold, xs, *coins).value(), .held = {}};
  for (std::uint32_t i = 0; i < holders; ++i) dealt.held.push_back({xs[i], &dealt.shares[i]});
  return dealt;
}

// Arguments: threshold, shares.
void Split(benchmark::State& state) {
  std::vector<std::uint32_t> xs(static_cast<std::size_t>(state.range(1)));
  std::iota(xs.begin(), xs.end(), 1U);
  const auto key = Key(3);
  const auto coins = crypto::MakeCtrStream(Key(9));
  for (auto _ : state) {
    if (!Worked(state, SplitSecret(key, static_cast<std::uint32_t>(state.range(0)), xs, *coins))) {
      break;
    }
  }
}
BENCHMARK(Split)->Args({34, 66})->Args({115, 189})->Unit(benchmark::kMicrosecond);

// Argument: threshold.
void Open(benchmark::State& state) {
  const Dealt dealt = Deal(static_cast<std::uint32_t>(state.range(0)), 189);
  for (auto _ : state) {
    if (!Worked(
            state,
            OpenSecret(std::span(dealt.held).first(static_cast<std::size_t>(state.range(0)))))) {
      break;
    }
  }
}
BENCHMARK(Open)->Arg(34)->Arg(115)->Unit(benchmark::kMicrosecond);

// Arguments: threshold, shares, wrong ones among them.
void OpenRobust(benchmark::State& state) {
  const auto threshold = static_cast<std::uint32_t>(state.range(0));
  Dealt dealt = Deal(threshold, static_cast<std::uint32_t>(state.range(1)));
  for (std::size_t i = 0; i < static_cast<std::size_t>(state.range(2)); ++i) {
    for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
      dealt.shares[i].mutable_view()[8 * limb + 7] ^= std::byte{1};
    }
  }
  for (auto _ : state) {
    if (!Worked(state, OpenSecretRobust(dealt.held, threshold))) break;
  }
}
BENCHMARK(OpenRobust)
    ->Args({34, 60, 0})
    ->Args({34, 60, 13})
    ->Args({115, 180, 0})
    ->Args({115, 180, 32})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace demur::secagg

BENCHMARK_MAIN();
