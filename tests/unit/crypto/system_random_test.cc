#include "demur/crypto/system_random.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <set>
#include <string>
#include <vector>

#include "result_matchers.h"

namespace demur::crypto {
namespace {

// 32 equal bytes by chance: below 2^-240. A set of 64 such draws that is smaller is a bug.
TEST(SystemRandomTest, OneIdGivesUnrelatedStreams) {
  SystemRandom random;
  std::set<std::string> seen;
  for (int i = 0; i < 32; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto stream, random.Stream({}));
    ASSERT_OK_AND_ASSIGN(const auto blocks, random.Blocks({}));
    std::array<std::byte, 32> from_stream{};
    std::array<std::byte, 32> from_blocks{};
    ASSERT_OK(stream->Fill(from_stream));
    const std::vector<std::uint64_t> indices = {0, 1};
    ASSERT_OK(blocks->Read(indices, from_blocks));
    seen.insert(ToHex(from_stream));
    seen.insert(ToHex(from_blocks));
  }
  EXPECT_EQ(seen.size(), 64U);
}
TEST(SystemRandomTest, ABlockReadTwiceIsTheSame) {
  SystemRandom random;
  ASSERT_OK_AND_ASSIGN(const auto blocks, random.Blocks({}));
  const std::vector<std::uint64_t> index = {1000};
  std::array<std::byte, 16> first{};
  std::array<std::byte, 16> again{};
  ASSERT_OK(blocks->Read(index, first));
  ASSERT_OK(blocks->Read(index, again));
  EXPECT_EQ(first, again);
}

struct Drawn {
  bool old_stream_refused = false;
  bool old_blocks_refused = false;
  std::array<std::byte, 32> fresh{};
};

Drawn Draw(SystemRandom& random, RandomStream& old_stream, RandomBlocks& old_blocks) {
  Drawn drawn;
  std::array<std::byte, 16> out{};
  const std::vector<std::uint64_t> index = {0};
  drawn.old_stream_refused = !old_stream.Fill(out).has_value();
  drawn.old_blocks_refused = !old_blocks.Read(index, out).has_value();
  const auto stream = random.Stream({});
  if (stream) drawn.old_stream_refused &= (*stream)->Fill(drawn.fresh).has_value();
  return drawn;
}

TEST(SystemRandomTest, AForkedChildNeverRepeatsItsParent) {
  SystemRandom random;
  ASSERT_OK_AND_ASSIGN(const auto stream, random.Stream({}));
  ASSERT_OK_AND_ASSIGN(const auto blocks, random.Blocks({}));
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(::pipe(pipe_ends.data()), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const Drawn drawn = Draw(random, *stream, *blocks);
    const bool sent = ::write(pipe_ends[1], &drawn, sizeof drawn) == ssize_t{sizeof drawn};
    ::_exit(sent ? 0 : 1);
  }
  Drawn in_child;
  ASSERT_EQ(::read(pipe_ends[0], &in_child, sizeof in_child), ssize_t{sizeof in_child});
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  EXPECT_TRUE(in_child.old_stream_refused);
  EXPECT_TRUE(in_child.old_blocks_refused);

  const Drawn in_parent = Draw(random, *stream, *blocks);
  EXPECT_FALSE(in_parent.old_stream_refused);
  EXPECT_FALSE(in_parent.old_blocks_refused);
  EXPECT_NE(in_parent.fresh, in_child.fresh);
  EXPECT_NE(in_child.fresh, (std::array<std::byte, 32>{}));
}

}  // namespace
}  // namespace demur::crypto
