#include "demur/client/model_shelf.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

#include "demur/crypto/hash.h"
#include "result_matchers.h"

namespace demur::client {
namespace {

struct Offer {
  model::Plan plan;
  Bytes blob;
};

Offer MakeOffer(float value, std::uint32_t rows = 4, std::uint32_t cols = 3) {
  Offer offer;
  offer.plan.training.schema.tables = {{"item", rows, cols, 1.0}};
  offer.plan.training.value_max = 10;
  model::SharedModel model(offer.plan.training.schema);
  for (float& v : model.values(0)) v = value;
  offer.blob = model.Canonical();
  offer.plan.model_hash = crypto::Sha256(offer.blob);
  return offer;
}

TEST(ModelShelfTest, OneCopyForAll) {
  ModelShelf shelf;
  const Offer offer = MakeOffer(1);
  EXPECT_EQ(shelf.Find(offer.plan), nullptr);
  ASSERT_OK_AND_ASSIGN(const ModelPtr first, shelf.Put(offer.plan, offer.blob));
  ASSERT_OK_AND_ASSIGN(const ModelPtr second, shelf.Put(offer.plan, offer.blob));
  EXPECT_EQ(first, second);
  EXPECT_EQ(shelf.Find(offer.plan), first);
  EXPECT_EQ(shelf.size(), 1U);
  EXPECT_EQ(first->values(0)[0], 1.0F);
}

TEST(ModelShelfTest, KeepsTheLastOnesAndWhatIsUsed) {
  ModelShelf shelf(2);
  const Offer used = MakeOffer(1);
  ASSERT_OK_AND_ASSIGN(const ModelPtr held, shelf.Put(used.plan, used.blob));
  for (int i = 2; i < 8; ++i) {
    const Offer offer = MakeOffer(static_cast<float>(i));
    ASSERT_OK(shelf.Put(offer.plan, offer.blob));
  }
  EXPECT_EQ(shelf.size(), 3U) << "the last two, and the one in use";
  EXPECT_EQ(shelf.Find(used.plan), held);
  EXPECT_EQ(shelf.Find(MakeOffer(2).plan), nullptr);
}

TEST(ModelShelfTest, RefusesWhatThePlanDoesNotName) {
  ModelShelf shelf;
  Offer offer = MakeOffer(1);
  Bytes changed = offer.blob;
  changed[5] ^= std::byte{1};
  EXPECT_ERROR(shelf.Put(offer.plan, changed), ErrorCode::kDataLoss);
  Bytes longer = offer.blob;
  longer.resize(longer.size() + 4);
  EXPECT_ERROR(shelf.Put(offer.plan, longer), ErrorCode::kInvalidArgument);
  offer.plan.training.value_max = 0.5;
  EXPECT_ERROR(shelf.Put(offer.plan, offer.blob), ErrorCode::kInvalidArgument);
  EXPECT_EQ(shelf.size(), 0U);
}

// The hash does not cover the schema: rows and columns swapped give the same bytes.
TEST(ModelShelfTest, AnotherSchemaIsAnotherModel) {
  ModelShelf shelf;
  const Offer wide = MakeOffer(1, 3, 4);
  const Offer tall = MakeOffer(1, 4, 3);
  ASSERT_EQ(wide.plan.model_hash, tall.plan.model_hash);
  ASSERT_OK_AND_ASSIGN(const ModelPtr first, shelf.Put(wide.plan, wide.blob));
  EXPECT_EQ(shelf.Find(tall.plan), nullptr);
  ASSERT_OK_AND_ASSIGN(const ModelPtr second, shelf.Put(tall.plan, tall.blob));
  EXPECT_NE(first, second);
  EXPECT_EQ(shelf.Find(wide.plan), first);
  EXPECT_EQ(shelf.Find(tall.plan), second);
}

}  // namespace
}  // namespace demur::client
