#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "demur/base/ids.h"
#include "demur/base/result.h"

// The one door to randomness. Devices and coordinators get crypto::SystemRandom; simulations and
// tests may link privacy/seeded, whose streams are a function of (seed, StreamId) alone.
namespace demur {

// What a stream is for: two purposes never share bits. Never renumber: seeded results depend on it.
enum class Purpose : std::uint8_t {
  kKeys = 1,  // long-lived keys, session seeds, nonces
  kMasks = 2,
  kRounding = 3,
  kNoise = 4,
  kSampling = 5,        // unobserved items drawn as negatives, order of examples
  kInitialisation = 6,  // first model, first private state
  kCohort = 7,
  kDropout = 8,  // scripted departures of trials
  kData = 9,     // synthetic populations, splits
  kRows = 10,    // rows of a slice that the server draws
};

struct StreamId {
  std::uint64_t task = 0;   // first 8 bytes of the TaskId
  std::uint64_t round = 0;  // RoundId::Packed()
  std::uint32_t attempt = 0;
  std::uint64_t client = 0;  // DeviceNumber; kNoClient for what belongs to the server
  Purpose purpose = Purpose::kKeys;
};
inline constexpr std::uint64_t kNoClient = ~std::uint64_t{0};
// StreamId::task of a task: the first 8 bytes of its id, big-endian.
std::uint64_t StreamTask(const TaskId& task) noexcept;

// A sequence of random bytes. Not thread-safe per object.
class RandomStream {
 public:
  virtual ~RandomStream() = default;
  // kInternal: the generator failed; the content of `out` must not be used.
  virtual Status Fill(std::span<std::byte> out) = 0;
};

// Random bytes addressed by 16-byte block, so that a caller may read only the blocks it needs and
// still get what a full read would have given it. Not thread-safe per object.
inline constexpr std::size_t kRandomBlockLen = 16;
class RandomBlocks {
 public:
  virtual ~RandomBlocks() = default;
  // Writes block `indices[i]` to out[16 i, 16 i + 16). out.size() == 16 * indices.size().
  // kInternal: the generator failed; the content of `out` must not be used.
  virtual Status Read(std::span<const std::uint64_t> indices, std::span<std::byte> out) = 0;
};

// Thread-safe: streams may be made from several threads, each then used by one.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  // The two forms of one StreamId are independent of each other.
  virtual Result<std::unique_ptr<RandomStream>> Stream(const StreamId& id) = 0;
  virtual Result<std::unique_ptr<RandomBlocks>> Blocks(const StreamId& id) = 0;
};

// Unbiased integer in [0, bound) by rejection. bound > 0. kInternal: the stream failed.
Result<std::uint32_t> UniformBelow(RandomStream& stream, std::uint32_t bound);
// Uniform double in [0, 1) with 53 random bits. For sampling and data, never for noise.
Result<double> UniformUnit(RandomStream& stream);

}  // namespace demur
