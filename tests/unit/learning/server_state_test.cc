#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "demur/learning/server_step.h"
#include "result_matchers.h"

namespace demur::learning {
namespace {

model::Schema TwoTables() {
  model::Schema schema;
  schema.tables = {{"a", 2, 3, 1.0}, {"b", 1, 2, 1.0}};
  return schema;
}

ServerState Full() {
  ServerState state;
  state.tables.resize(2);
  state.tables[0] = {{1, -2, 3, 4, 5, 6}, {0, 1, 2, 3, 4, 0.5F}, {7, 0}};
  state.tables[1] = {{}, {9, 8}, {1}};
  return state;
}

ServerState Scored() {
  ServerState state = Full();
  state.rows = {{0.5F, 2}, {1, 0.25F}};
  return state;
}

TEST(ServerStateTest, SurvivesARoundTrip) {
  for (const ServerState& state : {ServerState(), Full(), Scored()}) {
    ASSERT_OK_AND_ASSIGN(const ServerState read,
                         ServerState::Parse(TwoTables(), state.Serialise()));
    EXPECT_EQ(read, state);
  }
}

TEST(ServerStateTest, RefusesEveryTruncationAndEveryExtraByte) {
  const Bytes bytes = Scored().Serialise();
  for (std::size_t len = 0; len < bytes.size(); ++len) {
    EXPECT_ERROR(ServerState::Parse(TwoTables(), ByteView(bytes).first(len)), ErrorCode::kDataLoss)
        << len;
  }
  Bytes longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_ERROR(ServerState::Parse(TwoTables(), longer), ErrorCode::kDataLoss);
}

TEST(ServerStateTest, RefusesAnotherSchema) {
  const Bytes bytes = Full().Serialise();
  model::Schema rows = TwoTables();
  rows.tables[0].rows = 3;
  EXPECT_ERROR(ServerState::Parse(rows, bytes), ErrorCode::kDataLoss);
  model::Schema cols = TwoTables();
  cols.tables[0].cols = 4;
  EXPECT_ERROR(ServerState::Parse(cols, bytes), ErrorCode::kDataLoss);
  model::Schema fewer = TwoTables();
  fewer.tables.pop_back();
  EXPECT_ERROR(ServerState::Parse(fewer, bytes), ErrorCode::kDataLoss);
}

TEST(ServerStateTest, RefusesAnotherVersion) {
  Bytes bytes = Full().Serialise();
  for (const std::byte version : {std::byte{1}, std::byte{3}}) {
    bytes[5] = version;
    EXPECT_ERROR(ServerState::Parse(TwoTables(), bytes), ErrorCode::kDataLoss);
  }
}

TEST(ServerStateTest, RefusesScoresThatCannotBe) {
  const auto refused = [](auto change) {
    ServerState state = Scored();
    change(state.rows);
    return testing::HasError(ServerState::Parse(TwoTables(), state.Serialise()),
                             ErrorCode::kDataLoss);
  };
  EXPECT_FALSE(refused([](RowScores&) {}));
  EXPECT_TRUE(refused([](RowScores& r) { r.reward[1] = std::nanf(""); }));
  EXPECT_TRUE(refused([](RowScores& r) { r.count[0] = std::numeric_limits<float>::infinity(); }));
  EXPECT_TRUE(refused([](RowScores& r) { r.reward[0] = -0.5F; }));
  EXPECT_TRUE(refused([](RowScores& r) { r.count[1] = -1; }));
  EXPECT_TRUE(refused([](RowScores& r) { r.count.pop_back(); }));
  EXPECT_TRUE(refused([](RowScores& r) { r.reward.pop_back(); }));
  // No table has three rows; the other one has one.
  EXPECT_TRUE(refused([](RowScores& r) { r = {{1, 2, 3}, {1, 2, 3}}; }));
  EXPECT_FALSE(refused([](RowScores& r) { r = {{1}, {1}}; }));
}

TEST(ServerStateTest, RefusesMomentsThatCannotBe) {
  ServerState nan = Full();
  nan.tables[0].first[0] = std::nanf("");
  EXPECT_ERROR(ServerState::Parse(TwoTables(), nan.Serialise()), ErrorCode::kDataLoss);
  ServerState infinite = Full();
  infinite.tables[1].second[0] = std::numeric_limits<float>::infinity();
  EXPECT_ERROR(ServerState::Parse(TwoTables(), infinite.Serialise()), ErrorCode::kDataLoss);
  ServerState negative = Full();
  negative.tables[1].second[0] = -1;
  EXPECT_ERROR(ServerState::Parse(TwoTables(), negative.Serialise()), ErrorCode::kDataLoss);
}

TEST(ServerStateTest, AHugeCountTakesNoMemory) {
  model::Schema huge;
  huge.tables = {{"a", 1U << 20, 64, 1.0}};
  ByteWriter out;
  out.U32(0x44534F53).U16(2).U16(1).U32(1U << 20).U8(3);
  EXPECT_ERROR(ServerState::Parse(huge, out.bytes()), ErrorCode::kDataLoss);
  huge.tables = {{"a", 0xFFFFFFFF, 1, 1.0}};
  ByteWriter scores;
  scores.U32(0x44534F53).U16(2).U16(0).U32(0xFFFFFFFF).U32(0);
  EXPECT_ERROR(ServerState::Parse(huge, scores.bytes()), ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace demur::learning
