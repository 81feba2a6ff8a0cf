#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "demur/secagg/field.h"
#include "demur/secagg/mask.h"
#include "demur/secagg/packing.h"
#include "demur/secagg/shamir.h"

// Does the time of a primitive tell its secret input? Fixed against random inputs in random order,
// compared by Welch's t-test over several crops of the times, after O. Reparaz, J. Balasch and
// I. Verbauwhede, "Dude, is my code constant time?", 2017. A round that finds nothing proves
// nothing; a difference in most rounds is one. Not a test: it needs a machine without other work.
// usage: dudect_secagg [ROUNDS [MEASUREMENTS]]      exits with 1 when something tells
namespace demur::secagg {
namespace {

constexpr std::size_t kPool = 512;  // inputs made before the clock runs, half of each class
constexpr double kTells = 4.5;      // |t| above this in the median round; the usual bound

// Ticks of some clock that only goes forward.
std::uint64_t Ticks() noexcept {
#if defined(__x86_64__)
  std::uint32_t cpu = 0;
  return __builtin_ia32_rdtscp(&cpu);
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

// Keeps the optimiser from dropping or moving what made `value`.
template <class T>
void Keep(const T& value) noexcept {
  asm volatile("" : : "r"(&value) : "memory");
}

struct Moments {
  double count = 0;
  double mean = 0;
  double squares = 0;
  void Add(double x) noexcept {
    ++count;
    const double delta = x - mean;
    mean += delta / count;
    squares += delta * (x - mean);
  }
};

double WelchT(const Moments& a, const Moments& b) noexcept {
  if (a.count < 2 || b.count < 2) return 0;
  const double spread = a.squares / (a.count - 1) / a.count + b.squares / (b.count - 1) / b.count;
  if (spread > 0) return (a.mean - b.mean) / std::sqrt(spread);
  return a.mean == b.mean ? 0 : HUGE_VAL;
}

struct Sample {
  bool fixed = false;
  std::uint64_t ticks = 0;
};

// The largest |t| over all times and over those below growing percentiles of all: what interrupts
// an operation only adds, and would hide a small difference.
double LargestT(std::vector<Sample> samples) {
  std::sort(samples.begin(), samples.end(),
            [](const Sample& a, const Sample& b) { return a.ticks < b.ticks; });
  double largest = 0;
  for (const double share : {0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0}) {
    const auto last = static_cast<std::size_t>(share * static_cast<double>(samples.size() - 1));
    const std::uint64_t bound = samples[last].ticks;  // ties stay together
    std::array<Moments, 2> classes;
    for (const Sample& sample : samples) {
      if (sample.ticks > bound) break;
      classes[sample.fixed ? 1 : 0].Add(static_cast<double>(sample.ticks));
    }
    largest = std::max(largest, std::fabs(WelchT(classes[0], classes[1])));
  }
  return largest;
}

// A primitive: `run(i)` works on input i of the pool; `fixed[i]` is its class.
struct Target {
  std::string name;
  std::vector<bool> fixed;
  std::function<void(std::size_t)> run;
};

double MedianRound(const Target& target, int rounds, std::size_t measurements,
                   std::mt19937_64& draw) {
  std::vector<double> found;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::uint16_t> order(measurements);
    for (auto& at : order) at = static_cast<std::uint16_t>(draw() % kPool);
    for (std::size_t i = 0; i < kPool; ++i) target.run(i);  // caches and pages
    std::vector<Sample> samples(measurements);
    for (std::size_t i = 0; i < measurements; ++i) {
      const std::uint64_t before = Ticks();
      target.run(order[i]);
      samples[i] = {target.fixed[order[i]], Ticks() - before};
    }
    found.push_back(LargestT(std::move(samples)));
  }
  std::sort(found.begin(), found.end());
  return found[found.size() / 2];
}

// Random classes, so that no place in memory belongs to one of them.
std::vector<bool> Classes(std::mt19937_64& draw) {
  std::vector<bool> fixed(kPool);
  for (std::size_t i = 0; i < kPool; ++i) fixed[i] = i % 2 == 0;
  std::shuffle(fixed.begin(), fixed.end(), draw);
  return fixed;
}

std::vector<SecretArray<32>> Secrets(const std::vector<bool>& fixed, std::mt19937_64& draw) {
  std::vector<SecretArray<32>> secrets(fixed.size());
  for (std::size_t i = 0; i < fixed.size(); ++i) {
    for (std::byte& byte : secrets[i].mutable_view()) {
      byte = fixed[i] ? std::byte{0} : std::byte(draw() & 0xFFU);
    }
  }
  return secrets;
}

std::vector<std::vector<std::uint64_t>> Elements(const std::vector<bool>& fixed, std::size_t count,
                                                 std::uint64_t fixed_value, std::mt19937_64& draw) {
  std::vector<std::vector<std::uint64_t>> out(fixed.size(), std::vector<std::uint64_t>(count));
  for (std::size_t i = 0; i < fixed.size(); ++i) {
    for (auto& value : out[i]) value = fixed[i] ? fixed_value : draw() % kMersenne61;
  }
  return out;
}

// A stream that costs the same for every read.
class Coins final : public RandomStream {
 public:
  Status Fill(std::span<std::byte> out) override {
    for (std::byte& byte : out) byte = std::byte((state_ = state_ * 5 + 3) >> 56 & 0xFFU);
    return {};
  }

 private:
  std::uint64_t state_ = 1;
};

// What must be caught: stops at the first byte that differs.
Target LeakingComparison(std::mt19937_64& draw) {
  Target target{.name = "leaking comparison (self-check)", .fixed = Classes(draw), .run = {}};
  target.run = [secrets = std::make_shared<std::vector<SecretArray<32>>>(
                    Secrets(target.fixed, draw))](std::size_t i) {
    const ByteView secret = (*secrets)[i].view();
    std::size_t at = 0;
    while (at < secret.size() && secret[at] == std::byte{0}) {
      Keep(++at);
    }
    Keep(at);
  };
  return target;
}

// What must not: the same input in both classes.
Target Nothing(std::mt19937_64& draw) {
  Target target{.name = "equal classes (self-check)", .fixed = Classes(draw), .run = {}};
  const std::vector<bool> all(kPool, true);
  target.run = [elements = Elements(all, 64, 1, draw)](std::size_t i) {
    Keep(Evaluate<ShareField>(elements[i], 3));
  };
  return target;
}

Target FieldMul(std::mt19937_64& draw) {
  Target target{.name = "ShareField::Mul, 64 of them", .fixed = Classes(draw), .run = {}};
  target.run = [elements = Elements(target.fixed, 64, 0, draw)](std::size_t i) {
    std::uint64_t sum = 0;
    for (const std::uint64_t a : elements[i]) {
      sum = ShareField::Add(sum, ShareField::Mul(a, kMersenne61 - 2));
    }
    Keep(sum);
  };
  return target;
}

Target Evaluation(std::mt19937_64& draw, std::uint64_t fixed_value, const char* name) {
  Target target{.name = name, .fixed = Classes(draw), .run = {}};
  target.run = [elements = Elements(target.fixed, 34, fixed_value, draw)](std::size_t i) {
    Keep(Evaluate<ShareField>(elements[i], 65));
  };
  return target;
}

Target Splitting(std::mt19937_64& draw) {
  Target target{.name = "SplitSecret, 8 of 16", .fixed = Classes(draw), .run = {}};
  target.run = [secrets = std::make_shared<std::vector<SecretArray<32>>>(
                    Secrets(target.fixed, draw))](std::size_t i) {
    std::array<std::uint32_t, 16> xs;
    std::iota(xs.begin(), xs.end(), 1U);
    Coins coins;
    Keep(SplitSecret((*secrets)[i], 8, xs, coins));
  };
  return target;
}

Target MaskKey(std::mt19937_64& draw) {
  Target target{.name = "ApplyMask, 512 words, by key", .fixed = Classes(draw), .run = {}};
  target.run = [secrets =
                    std::make_shared<std::vector<SecretArray<32>>>(Secrets(target.fixed, draw)),
                words = std::vector<std::uint32_t>(512)](std::size_t i) mutable {
    Keep(ApplyMask((*secrets)[i], MaskSign::kAdd, words));
  };
  return target;
}

Target PackedValues(std::mt19937_64& draw) {
  Target target{.name = "Pack, 512 words of 18 bits", .fixed = Classes(draw), .run = {}};
  std::vector<std::vector<std::uint32_t>> words(kPool, std::vector<std::uint32_t>(512));
  for (std::size_t i = 0; i < kPool; ++i) {
    if (target.fixed[i]) continue;
    for (auto& word : words[i]) word = static_cast<std::uint32_t>(draw());
  }
  target.run = [words = std::move(words)](std::size_t i) { Keep(Pack(words[i], 18)); };
  return target;
}

int Main(int rounds, std::size_t measurements) {
  std::mt19937_64 draw(20'170'320);  // which inputs; no secret of anybody's
  const Target targets[] = {Nothing(draw),
                            FieldMul(draw),
                            Evaluation(draw, 0, "Evaluate, 34 coefficients, fixed 0"),
                            Evaluation(draw, kMersenne61 - 1, "Evaluate, fixed p - 1"),
                            Splitting(draw),
                            MaskKey(draw),
                            PackedValues(draw)};
  std::printf("%d rounds of %zu measurements; largest |t| of the median round\n", rounds,
              measurements);
  bool told = false;
  for (const Target& target : targets) {
    const double t = MedianRound(target, rounds, measurements, draw);
    std::printf("%-40s %8.2f  %s\n", target.name.c_str(), t, t > kTells ? "TELLS" : "nothing seen");
    told = told || t > kTells;
  }
  const Target leaking = LeakingComparison(draw);
  const double t = MedianRound(leaking, rounds, measurements, draw);
  const bool caught = t > kTells;
  std::printf("%-40s %8.2f  %s\n", leaking.name.c_str(), t,
              caught ? "caught, as it must be" : "NOT CAUGHT: this run says nothing");
  return told || !caught ? 1 : 0;
}

}  // namespace
}  // namespace demur::secagg

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  const long measurements = argc > 2 ? std::atol(argv[2]) : 50'000;
  if (rounds < 1 || measurements < 100) {
    std::fprintf(stderr, "usage: %s [ROUNDS [MEASUREMENTS >= 100]]\n", argv[0]);
    return 2;
  }
  return demur::secagg::Main(rounds, static_cast<std::size_t>(measurements));
}
