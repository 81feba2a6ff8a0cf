#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "demur/base/fault.h"
#include "demur/coordinator/round_store.h"
#include "demur/crypto/hash.h"
#include "demur/storage/database.h"
#include "result_matchers.h"
#include "temporary_folder.h"

// What the tests of the coordinator's store share.
namespace demur::coordinator {

using Access = RoundStore::Access;

inline ModelRow MakeModel(std::uint64_t version) {
  ModelRow model;
  model.version = version;
  model.blob = ToBytes(AsBytes("model number " + std::to_string(version)));
  model.hash = crypto::Sha256(model.blob);
  return model;
}

inline Bytes State(std::uint64_t version) {
  return ToBytes(AsBytes("state " + std::to_string(version)));
}

inline RoundRow MakeRound(std::uint32_t counter, std::uint64_t version) {
  RoundRow round;
  round.id = {1, counter};
  round.cohort = 40;
  round.model_version = version;
  round.started_unix_ms = 1000 * std::int64_t{counter};
  return round;
}

inline LedgerRow Entry(std::uint64_t seq) {
  return {seq, ToBytes(AsBytes("entry " + std::to_string(seq)))};
}

inline const std::vector<DeviceNumber> kSurvivors = {DeviceNumber(3), DeviceNumber(8),
                                                     DeviceNumber(9)};

class RoundStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = folder_.File("store");
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    task_.bytes[0] = std::byte{7};
  }
  void TearDown() override { SetFaultHandler({}); }

  Status Create() {
    DEMUR_TRY(RoundStore store,
              RoundStore::Create(dir_, {task_, Hash256{}}, MakeModel(0), State(0)));
    (void)store;
    return {};
  }
  // Runs one whole round on the newest model.
  Status CommitOne(RoundStore& store, std::uint32_t counter, std::uint64_t version) {
    const RoundRow round = MakeRound(counter, version);
    DEMUR_RETURN_IF_ERROR(store.Reserve(round, {Entry(3 * version + 1)}));
    DEMUR_RETURN_IF_ERROR(store.FixSurvivors(round.id, 35, kSurvivors, {Entry(3 * version + 2)}));
    return store.Commit(round, MakeModel(version + 1), State(version + 1),
                        {Entry(3 * version + 3)});
  }
  // SQL behind the store's back, as damage would do it.
  Status Tamper(const std::string& sql) {
    DEMUR_TRY(storage::Database database,
              storage::Database::Open(dir_ + "/" + std::string(RoundStore::kFileName), {}));
    return database.Execute(sql);
  }
  void ExpectDamaged(const std::string& sql, const std::string& named) {
    ASSERT_OK(Tamper(sql));
    ASSERT_OK_AND_ASSIGN(RoundStore store, RoundStore::Open(dir_, Access::kWrite));
    const auto snapshot = store.Load();
    ASSERT_FALSE(snapshot.has_value()) << sql;
    EXPECT_EQ(snapshot.error().code(), ErrorCode::kDataLoss);
    EXPECT_NE(snapshot.error().message().find(named), std::string::npos)
        << snapshot.error().message();
  }

  testing::TemporaryFolder folder_;
  std::string dir_;
  TaskId task_;
};

}  // namespace demur::coordinator
