#include <gtest/gtest.h>

#include <numeric>
#include <thread>
#include <vector>

#include "demur/secagg/mask.h"
#include "demur/seeded/seeded_random.h"
#include "result_matchers.h"

// Many masks in one walk: the bytes of one mask after the other, however the vector is cut.
namespace demur::secagg {
namespace {

class ManyMasksTest : public ::testing::Test {
 protected:
  void Draw(std::size_t terms) {
    keys_ = std::vector<SecretArray<32>>(terms);
    terms_.clear();
    for (std::size_t i = 0; i < terms; ++i) {
      const auto stream = seeded::SeededRandom(i).Stream({1, 2, 3, 4, Purpose::kKeys});
      ASSERT_OK(stream);
      ASSERT_OK((*stream)->Fill(keys_[i].mutable_view()));
      terms_.push_back({&keys_[i], i % 3 == 1 ? MaskSign::kSubtract : MaskSign::kAdd});
    }
  }
  static std::vector<std::uint32_t> Values(std::size_t dim) {
    std::vector<std::uint32_t> values(dim);
    std::iota(values.begin(), values.end(), 0xFFFFFF00U);
    return values;
  }
  std::vector<std::uint32_t> OneByOne(std::size_t dim) const {
    auto values = Values(dim);
    for (const MaskTerm& term : terms_) EXPECT_OK(ApplyMask(*term.key, term.sign, values));
    return values;
  }

  std::vector<SecretArray<32>> keys_;
  std::vector<MaskTerm> terms_;
};

TEST_F(ManyMasksTest, AreTheMasksOneByOne) {
  for (const std::size_t terms : {0U, 1U, 2U, 15U, 16U, 17U, 33U}) {
    Draw(terms);
    for (const std::size_t dim : {0U, 1U, 3U, 15U, 16U, 17U, 2047U, 2048U, 2049U, 5003U}) {
      auto values = Values(dim);
      ASSERT_OK(ApplyMasks(terms_, values));
      EXPECT_EQ(values, OneByOne(dim)) << terms << " " << dim;
    }
  }
}

TEST_F(ManyMasksTest, CutsAtAnyWholeBlockLeaveTheSameBytes) {
  Draw(18);
  for (const std::size_t dim : {5U, 2051U, 4999U}) {
    const auto whole = OneByOne(dim);
    for (const std::size_t part : {4U, 12U, 2044U, 2048U, 2052U}) {
      auto values = Values(dim);
      for (std::size_t first = 0; first < dim; first += part) {
        ASSERT_OK(ApplyMasks(terms_, std::span(values).subspan(first, std::min(part, dim - first)),
                             first));
      }
      EXPECT_EQ(values, whole) << dim << " " << part;
    }
  }
}

TEST_F(ManyMasksTest, ThreadsOnPartsOfAVectorLeaveTheSameBytes) {
  constexpr std::size_t kDim = 40'003;
  constexpr std::size_t kPart = 10'004;
  Draw(20);
  auto values = Values(kDim);
  std::vector<Status> done(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < done.size(); ++i) {
    threads.emplace_back([&, i] {
      const auto part = std::span(values).subspan(i * kPart, std::min(kPart, kDim - i * kPart));
      done[i] = ApplyMasks(terms_, part, i * kPart);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Status& status : done) EXPECT_OK(status);
  EXPECT_EQ(values, OneByOne(kDim));
}

// Far into a stream: a counter of more than 32 bits of blocks.
TEST_F(ManyMasksTest, AddThenSubtractLeavesNothingAnywhereInTheStream) {
  Draw(1);
  const std::size_t far = (std::size_t{1} << 34) + 8;
  std::vector<std::uint32_t> values(9);
  ASSERT_OK(ApplyMasks(terms_, values, far));
  std::vector<std::uint32_t> near(9);
  ASSERT_OK(ApplyMasks(terms_, near, 8));
  EXPECT_NE(values, near);
  const MaskTerm back[] = {{&keys_[0], MaskSign::kSubtract}};
  ASSERT_OK(ApplyMasks(back, values, far));
  EXPECT_EQ(values, std::vector<std::uint32_t>(9));
}

TEST_F(ManyMasksTest, AnOffsetInsideABlockStopsTheProgram) {
  Draw(1);
  std::vector<std::uint32_t> values(8);
  for (const std::size_t first : {1U, 2U, 3U, 5U, 2047U}) {
    EXPECT_DEATH(static_cast<void>(ApplyMasks(terms_, values, first)), "whole block") << first;
  }
}

}  // namespace
}  // namespace demur::secagg
